/*
 * Eight annotators at once over HTTP while the server is killed with -9 again and again: what was acknowledged is
 * there, once.
 *
 * ATTUNE_LOAD sets the number of judgments (800 by default) and ATTUNE_LOAD_CSV a file to which a line with rate and
 * latencies is appended: tests/bench/prefs.sh.
 */
#include "base/mem.h"
#include "http/helper_http.h"
#include "prefs-db/helper_prefs.h"
#include "support/cmocka.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define ANNOTATORS 8
#define KILLS      10
#define RETRY_MS   20

struct worker {
    pthread_t thread;
    struct http_client client;
    char token[PREFS_TOKEN_SIZE];
    int64_t wanted, assignment;
    atomic_llong acknowledged;
    double *latencies; /* seconds, of answered judgments that needed one try */
    size_t latency_count;
    int64_t undone, retried;
    bool failed;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Sends until an answer comes, as the page does; returns the status. */
static int insist(struct worker *worker, const char *path, const char *json, json_t **answer)
{
    for (int status = 0;; worker->retried++) {
        status = http_call(&worker->client, path, json, answer);
        if (status != 0 && status != 503) {
            return status;
        }
        if (answer != NULL) {
            json_decref(*answer);
        }
        nanosleep(&(struct timespec){0, RETRY_MS * 1000000L}, NULL);
    }
}

/* The task of an answer becomes the worker's. */
static bool take(struct worker *worker, json_t *answer)
{
    worker->assignment = json_integer_value(json_object_get(json_object_get(answer, "task"), "assignment"));
    json_decref(answer);
    return worker->assignment > 0;
}

static void new_nonce(char text[2 * PREFS_NONCE_SIZE + 1])
{
    unsigned char bytes[PREFS_NONCE_SIZE];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
        abort();
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* Judges the worker's task; the answer brings the next one. */
static bool label_one(struct worker *worker)
{
    json_t *answer = NULL;
    char json[256], nonce[2 * PREFS_NONCE_SIZE + 1];
    new_nonce(nonce);
    snprintf(json, sizeof json,
             "{\"assignment\":%lld,\"verdict\":\"ranked\",\"nonce\":\"%s\",\"ranks\":[1,2],\"strength\":1,\"active_"
             "ms\":900,\"next\":true}",
             (long long)worker->assignment, nonce);
    int64_t tries = worker->retried;
    double begin = now();
    if (insist(worker, "/api/judgment", json, &answer) != 200) {
        json_decref(answer);
        return false;
    }
    if (tries == worker->retried) {
        worker->latencies[worker->latency_count++] = now() - begin;
    }
    worker->acknowledged++;
    return take(worker, answer);
}

/* Every fiftieth judgment is taken back and made again. */
static bool undo_one(struct worker *worker)
{
    char json[128], nonce[2 * PREFS_NONCE_SIZE + 1];
    new_nonce(nonce);
    snprintf(json, sizeof json, "{\"nonce\":\"%s\"}", nonce);
    worker->acknowledged--;
    worker->undone++;
    json_t *answer = NULL;
    return insist(worker, "/api/undo", json, NULL) == 200 && insist(worker, "/api/next", "{}", &answer) == 200 &&
           take(worker, answer) && label_one(worker);
}

static void *work(void *context)
{
    struct worker *worker = context;
    json_t *answer = NULL;
    worker->failed = insist(worker, "/api/next", "{}", &answer) != 200 || !take(worker, answer);
    while (!worker->failed && worker->acknowledged < worker->wanted) {
        worker->failed = !label_one(worker) || (worker->acknowledged % 50 == 0 && !undo_one(worker));
    }
    http_close(&worker->client);
    return NULL;
}

static int by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void record(struct worker *workers, int64_t judgments, double seconds)
{
    const char *csv = getenv("ATTUNE_LOAD_CSV"), *machine = getenv("ATTUNE_MACHINE"), *date = getenv("ATTUNE_DATE");
    struct err err = {""};
    size_t count = 0;
    double *all = mem_alloc((size_t)judgments * 2, sizeof *all, &err);
    assert_non_null(all);
    for (int i = 0; i < ANNOTATORS; i++) {
        memcpy(all + count, workers[i].latencies, workers[i].latency_count * sizeof *all);
        count += workers[i].latency_count;
    }
    qsort(all, count, sizeof *all, by_double);
    printf("%lld judgments in %.1f s, %.0f/s; latency median %.1f ms, p99 %.1f ms\n", (long long)judgments, seconds,
           (double)judgments / seconds, 1000 * all[count / 2], 1000 * all[count * 99 / 100]);
    if (csv != NULL) {
        FILE *out = fopen(csv, "a");
        assert_non_null(out);
        fprintf(out, "%s,%s,load_judgments_per_second,%.0f\n%s,%s,load_p50_ms,%.1f\n%s,%s,load_p99_ms,%.1f\n", date,
                machine, (double)judgments / seconds, date, machine, 1000 * all[count / 2], date, machine,
                1000 * all[count * 99 / 100]);
        fclose(out);
    }
    mem_free(all);
}

static int64_t acknowledged(struct worker *workers)
{
    int64_t sum = 0;
    for (int i = 0; i < ANNOTATORS; i++) {
        sum += workers[i].acknowledged;
    }
    return sum;
}

static void test_killed_ten_times(void **state)
{
    (void)state;
    const char *given = getenv("ATTUNE_LOAD"), *path = scratch_path("load.db");
    int64_t total = given == NULL ? 800 : strtoll(given, NULL, 10), each = total / ANNOTATORS;
    struct prefs *store = new_store("load.db");
    struct worker workers[ANNOTATORS] = {0};
    struct test_server server;
    struct err err = {""};
    add_items(store, 0, each * ANNOTATORS + 100, 2);
    for (int i = 0; i < ANNOTATORS; i++) {
        char handle[32];
        snprintf(handle, sizeof handle, "annotator %d", i);
        add_person(store, handle, PREFS_ROLE_ANNOTATOR, workers[i].token);
        workers[i].latencies = mem_alloc((size_t)each * 2, sizeof(double), &err);
        assert_non_null(workers[i].latencies);
    }
    prefs_close(store);
    server_begin(&server, path, 0, 0);
    for (int i = 0; i < ANNOTATORS; i++) {
        workers[i].client = (struct http_client){.port = server.port, .socket = -1};
        workers[i].wanted = each;
        assert_true(http_login(&workers[i].client, workers[i].token));
    }
    double begin = now();
    for (int i = 0; i < ANNOTATORS; i++) {
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int kill = 1; kill <= KILLS; kill++) {
        while (acknowledged(workers) < each * ANNOTATORS * kill / (KILLS + 1)) {
            nanosleep(&(struct timespec){0, 1000000}, NULL);
        }
        server_kill(&server);
        server_begin(&server, path, server.port, 0);
    }
    int64_t sum = 0, undone = 0, retried = 0;
    for (int i = 0; i < ANNOTATORS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_false(workers[i].failed);
        sum += workers[i].acknowledged;
        undone += workers[i].undone;
        retried += workers[i].retried;
    }
    double seconds = now() - begin;
    server_end(&server);
    assert_true(retried > 0);
    assert_int_equal(number_of(path, "SELECT count(*) FROM assignment WHERE state='submitted'"), sum);
    assert_int_equal(number_of(path, "SELECT count(*) FROM judgment WHERE verdict='ranked'"), sum + undone);
    assert_int_equal(number_of(path, "SELECT count(*) FROM judgment WHERE verdict='withdrawn'"), undone);
    assert_int_equal(number_of(path, "SELECT count(DISTINCT item_id) FROM assignment WHERE state='submitted'"), sum);
    assert_clean(path);
    record(workers, sum + undone, seconds);
    for (int i = 0; i < ANNOTATORS; i++) {
        mem_free(workers[i].latencies);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed_ten_times)};
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
