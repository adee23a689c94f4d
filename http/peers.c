#include "base/log.h"
#include "base/mem.h"
#include "http/internal.h"

#include <sys/socket.h>
#include <time.h>

static void *enforce_deadlines(void *context)
{
    struct peers *peers = context;
    pthread_mutex_lock(&peers->lock);
    while (!peers->stopping) {
        double now = clock_seconds();
        for (struct peer *peer = peers->ring.next; peer != &peers->ring; peer = peer->next) {
            if (!peer->working && now - peer->since > peers->request_seconds) {
                shutdown(peer->socket, SHUT_RDWR);
            }
        }
        struct timespec next;
        clock_gettime(CLOCK_REALTIME, &next);
        next.tv_sec += 1;
        pthread_cond_timedwait(&peers->wake, &peers->lock, &next);
    }
    pthread_mutex_unlock(&peers->lock);
    return NULL;
}

static void destroy(struct peers *peers)
{
    pthread_mutex_destroy(&peers->lock);
    pthread_cond_destroy(&peers->wake);
}

int peers_start(struct peers *peers, double request_seconds, struct err *err)
{
    *peers = (struct peers){.request_seconds = request_seconds};
    peers->ring.next = peers->ring.previous = &peers->ring;
    pthread_mutex_init(&peers->lock, NULL);
    pthread_cond_init(&peers->wake, NULL);
    if (pthread_create(&peers->deadlines, NULL, enforce_deadlines, peers) != 0) {
        destroy(peers);
        return err_set(err, "cannot start a thread");
    }
    return 0;
}

void peers_stop(struct peers *peers)
{
    pthread_mutex_lock(&peers->lock);
    peers->stopping = true;
    pthread_cond_signal(&peers->wake);
    pthread_mutex_unlock(&peers->lock);
    pthread_join(peers->deadlines, NULL);
    destroy(peers);
}

struct peer *peers_add(struct peers *peers, int socket)
{
    struct err err;
    struct peer *peer = mem_alloc(1, sizeof *peer, &err);
    if (peer == NULL) {
        return NULL;
    }
    peer->socket = socket;
    peer->since = clock_seconds();
    pthread_mutex_lock(&peers->lock);
    peer->next = peers->ring.next;
    peer->previous = &peers->ring;
    peer->next->previous = peer->previous->next = peer;
    pthread_mutex_unlock(&peers->lock);
    return peer;
}

void peers_remove(struct peers *peers, struct peer *peer)
{
    pthread_mutex_lock(&peers->lock);
    peer->next->previous = peer->previous;
    peer->previous->next = peer->next;
    pthread_mutex_unlock(&peers->lock);
    mem_free(peer);
}

void peer_set_working(struct peers *peers, struct peer *peer, bool working)
{
    pthread_mutex_lock(&peers->lock);
    peer->working = working;
    peer->since = clock_seconds();
    pthread_mutex_unlock(&peers->lock);
}
