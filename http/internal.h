/*
 * http/internal.h - what the files of this room share: which requests pass, and which clients are too slow.
 */
#ifndef ATTUNE_HTTP_INTERNAL_H
#define ATTUNE_HTTP_INTERNAL_H

#include "http/server.h"
#include <microhttpd.h>
#include <pthread.h>

/* ---- guard.c: which requests pass ----
 *
 * Loopback is no wall against a browser: any page may send requests here (CSRF), and with a DNS name of its own that it
 * points to 127.0.0.1 even read the answers (DNS rebinding). The exact Host list stops the second, the rest the first.
 */

#define GUARD_HOSTS_MAX  8
#define GUARD_HOST_CHARS 256

struct guard {
    char hosts[GUARD_HOSTS_MAX][GUARD_HOST_CHARS];
    size_t count;
    char unknown_host[GUARD_HOST_CHARS]; /* the sentence for one that is not allowed */
};
/* Allows address:port, localhost:port, 127.0.0.1:port and [::1]:port, without the port where it is the scheme's, and
 * the further host of the options. */
int guard_init(struct guard *guard, const struct http_options *options, uint16_t port, const char *host_help,
               struct err *err);

struct guard_answer {
    unsigned status; /* 0: may pass */
    const char *sentence;
};
/* For every request. */
struct guard_answer guard_host(const struct guard *guard, struct MHD_Connection *connection);
/* Further for calls; `changes` for POST, whose body must announce its length of at most HTTP_BODY_MAX bytes. */
struct guard_answer guard_call(struct MHD_Connection *connection, bool changes);

/* ---- peers.c: which clients are too slow ----
 *
 * libmicrohttpd closes idle connections; one that trickles bytes for ever is not idle, and is ended here.
 */

/* A connection in the ring that the deadline thread looks through. */
struct peer {
    struct peer *next, *previous;
    int socket;
    double since; /* its start, or when its last request was answered */
    bool working; /* the site computes the answer: not the client's fault */
};

struct peers {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t deadlines;
    struct peer ring; /* head */
    double request_seconds;
    bool stopping;
};

/* Starts the deadline thread. */
int peers_start(struct peers *peers, double request_seconds, struct err *err);
void peers_stop(struct peers *peers);
/* NULL where memory is short. */
struct peer *peers_add(struct peers *peers, int socket);
void peers_remove(struct peers *peers, struct peer *peer);
/* The client's time stops while its answer is computed, and begins anew after it. */
void peer_set_working(struct peers *peers, struct peer *peer, bool working);

/* ---- listen.c ---- */

/* A listening socket; *port is the one it got, *ipv6 whether the address is one. */
int listen_on(const struct http_options *options, uint16_t *port, bool *ipv6, struct err *err);

#endif
