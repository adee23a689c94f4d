/* The pool: every index once, whatever the number of threads and runs, and no memory read before it is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/threads.h"
#include <cmocka.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 3000 };

struct job {
    struct pool *pool;
    int runs[MOST]; /* not atomic: the pool's own ordering must do */
    int64_t thread_sums[16];
    atomic_int inside[16];
    atomic_int collisions;
};

static void count_index(void *context, int64_t index)
{
    struct job *job = context;
    int thread = pool_thread_index();
    if (atomic_fetch_add(&job->inside[thread], 1) != 0) {
        atomic_fetch_add(&job->collisions, 1);
    }
    job->runs[index]++;
    job->thread_sums[thread] += index;
    atomic_fetch_sub(&job->inside[thread], 1);
}

static void every_index_once(void **state)
{
    (void)state;
    struct err err;
    struct job *job = mem_alloc(1, sizeof *job, &err);
    static const int64_t counts[] = {0, 1, 2, 3, 7, 64, 1000, MOST};
    for (int threads = 1; threads <= 6; threads++) {
        memset(job, 0, sizeof *job);
        assert_int_equal(pool_create(&job->pool, threads, &err), 0);
        assert_int_equal(pool_threads(job->pool), threads);
        int rounds[MOST] = {0};
        int64_t sum = 0;
        for (int round = 0; round < 300; round++) {
            int64_t count = counts[round % 8];
            pool_run(job->pool, count_index, job, count);
            for (int64_t i = 0; i < count; i++) {
                rounds[i]++;
                sum += i;
            }
        }
        assert_memory_equal(job->runs, rounds, sizeof rounds);
        for (int i = 0; i < 16; i++) {
            assert_true(i < threads || job->thread_sums[i] == 0);
            sum -= job->thread_sums[i];
        }
        assert_int_equal(sum, 0);
        assert_int_equal(atomic_load(&job->collisions), 0);
        pool_free(job->pool);
    }
    mem_free(job);
}

/* What a task wrote in one run, another thread's task reads in the next. */
static void hand_on(void *context, int64_t index)
{
    int *values = context;
    int64_t count = values[0];
    int *from = values + 1 + (values[1 + 2 * count] % 2 ? count : 0);
    int *to = values + 1 + (values[1 + 2 * count] % 2 ? 0 : count);
    to[index] = from[(index + 1) % count] + 1;
}

static void runs_follow_each_other(void **state)
{
    (void)state;
    enum { COUNT = 5, ROUNDS = 20000 };
    struct err err;
    struct pool *pool;
    assert_int_equal(pool_create(&pool, 3, &err), 0);
    int values[2 + 2 * COUNT] = {COUNT};
    for (int round = 0; round < ROUNDS; round++) {
        values[1 + 2 * COUNT] = round;
        pool_run(pool, hand_on, values, COUNT);
        if (round % 1000 == 0) {
            usleep(300); /* lets the workers fall asleep */
        }
    }
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(values[1 + i], ROUNDS);
    }
    pool_free(pool);
}

/*
 * Runs of changing lengths, one right after the other: a thread that comes late from a short run must not take what
 * looks like one of its indices in the longer one that follows.
 */
static void short_then_long(void **state)
{
    (void)state;
    struct err err;
    struct job *job = mem_alloc(1, sizeof *job, &err);
    int expected[MOST] = {0};
    assert_int_equal(pool_create(&job->pool, 5, &err), 0);
    for (int round = 0; round < 60000; round++) {
        int64_t count = 2 + round % 7 * (round % 3);
        pool_run(job->pool, count_index, job, count);
        for (int64_t i = 0; i < count; i++) {
            expected[i]++;
        }
    }
    assert_memory_equal(job->runs, expected, sizeof expected);
    pool_free(job->pool);
    mem_free(job);
}

static void slow_task(void *context, int64_t index)
{
    usleep(index == 0 ? 20000 : 100);
    atomic_fetch_add((atomic_int *)context, 1);
}

/* The caller sleeps while a worker, or the worker while the caller, still has something to do. */
static void one_slow_task(void **state)
{
    (void)state;
    struct err err;
    struct pool *pool;
    atomic_int done = 0;
    assert_int_equal(pool_create(&pool, 2, &err), 0);
    for (int round = 0; round < 10; round++) {
        pool_run(pool, slow_task, &done, 3);
        assert_int_equal(atomic_load(&done), 3 * (round + 1));
    }
    pool_free(pool);
}

static void note_thread(void *context, int64_t index)
{
    (void)index;
    *(int *)context = pool_thread_index();
}

static void two_pools(void **state)
{
    (void)state;
    struct err err;
    struct pool *first, *second;
    int index = -1;
    assert_int_equal(pool_create(&first, 2, &err), 0);
    assert_int_equal(pool_create(&second, 3, &err), 0);
    pool_run(first, note_thread, &index, 1);
    assert_int_equal(index, 0);
    pool_run(second, note_thread, &index, 1);
    assert_int_equal(index, 0);
    pool_free(first);
    pool_free(second);
    pool_free(NULL);
}

static void idle_pools_end(void **state)
{
    (void)state;
    struct err err;
    for (int i = 0; i < 200; i++) {
        struct pool *pool;
        assert_int_equal(pool_create(&pool, 1 + i % 5, &err), 0);
        if (i % 3 == 0) {
            usleep(50);
        }
        pool_free(pool);
    }
}

static void creation_fails_without_memory(void **state)
{
    (void)state;
    struct err err;
    struct pool *pool = NULL;
    for (long failing = 1; failing <= 2; failing++) {
        mem_fail_at(failing);
        assert_int_equal(pool_create(&pool, 2, &err), -1);
        assert_non_null(strstr(err.text, "out of memory"));
        assert_null(pool);
    }
    mem_fail_at(0);
}

static void affinity_counts(void **state)
{
    (void)state;
    struct err err;
    assert_in_range(threads_available(), 1, sysconf(_SC_NPROCESSORS_CONF));
    cpu_set_t all, single;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&single);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &single);
            break;
        }
    }
    assert_int_equal(sched_setaffinity(0, sizeof single, &single), 0);
    assert_int_equal(threads_available(), 1);
    struct pool *pool;
    assert_int_equal(pool_create(&pool, 0, &err), 0);
    assert_int_equal(pool_threads(pool), 1);
    pool_free(pool);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_index_once),
        cmocka_unit_test(short_then_long),
        cmocka_unit_test(runs_follow_each_other),
        cmocka_unit_test(one_slow_task),
        cmocka_unit_test(two_pools),
        cmocka_unit_test(idle_pools_end),
        cmocka_unit_test(creation_fails_without_memory),
        cmocka_unit_test(affinity_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
