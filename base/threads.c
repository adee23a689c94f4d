/*
 * The pool. A run's indices are handed out through one 64-bit ticket: the upper half is the run's number, the lower
 * half the next index. A thread takes an index by compare-and-swap on the whole ticket, so one that wakes late and
 * still looks at an earlier run cannot take an index of a later one; nobody has to wait until every thread has woken.
 *
 * What else describes the run (task, context, count) is written while the ticket is closed. A thread reads the ticket,
 * then the description, then swaps. Had it read a part of the next run's description, then the closing, which came
 * before, would be visible to it too (release, acquire), and the swap of the older ticket would fail: a swap that
 * succeeds proves that the description belongs to the ticket.
 */
#include "base/threads.h"
#include "base/minmax.h"

#include "base/cgroup.h"
#include "base/mem.h"
#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * How often a thread looks for news before it sleeps: about 40 microseconds. Threads seldom finish an operation closer
 * together than the 10 that waking one costs (tests/bench/README.md has the figures).
 */
#define SPINS 1024

/* Most indices of one run; longer ones are split. */
#define RUN_MAX ((int64_t)1 << 30)

/* The lower half of a ticket from which nothing can be taken. */
#define TICKET_CLOSED UINT32_MAX

typedef void pool_task(void *context, int64_t index);

struct worker {
    struct pool *pool;
    pthread_t thread;
    int index;
};

struct pool {
    int threads; /* the caller's included */
    struct worker *workers;
    int started; /* workers whose thread runs */
    atomic_bool running;

    _Atomic(pool_task *) task;
    _Atomic(void *) context;
    _Atomic int64_t first; /* what index 0 of the ticket stands for */
    _Atomic uint32_t count;

    /* Words that several threads write stand on lines of their own. */
    _Alignas(64) _Atomic uint64_t ticket;
    _Alignas(64) _Atomic uint32_t finished; /* indices of this run that are done; the caller sleeps on it */
    _Atomic uint32_t caller_sleeps;
    _Alignas(64) _Atomic uint32_t published; /* changes with every run; the workers sleep on it */
    _Atomic uint32_t sleepers;
    atomic_bool stopping;
};

static _Thread_local int thread_index;

static void futex_sleep(_Atomic uint32_t *word, uint32_t while_it_is)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, while_it_is, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int sleepers)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, sleepers, NULL, NULL, 0);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint32_t run_of(uint64_t ticket)
{
    return (uint32_t)(ticket >> 32);
}

/* Does what is left of the run on the ticket, and returns that run's number. */
static uint32_t work(struct pool *pool)
{
    uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    for (;;) {
        pool_task *task = atomic_load_explicit(&pool->task, memory_order_acquire);
        void *context = atomic_load_explicit(&pool->context, memory_order_acquire);
        int64_t first = atomic_load_explicit(&pool->first, memory_order_acquire);
        uint32_t count = atomic_load_explicit(&pool->count, memory_order_acquire);
        uint32_t index = (uint32_t)ticket;
        if (index >= count) {
            return run_of(ticket);
        }
        if (!atomic_compare_exchange_weak_explicit(&pool->ticket, &ticket, ticket + 1, memory_order_acq_rel,
                                                   memory_order_acquire)) {
            continue;
        }
        ticket++;
        task(context, first + index);
        if (atomic_fetch_add(&pool->finished, 1) + 1 == count && atomic_load(&pool->caller_sleeps)) {
            futex_wake(&pool->finished, 1);
        }
    }
}

static bool has_news(struct pool *pool, uint32_t seen)
{
    return run_of(atomic_load(&pool->ticket)) != seen || atomic_load(&pool->stopping);
}

/* Returns when there is a run other than `seen`, or the pool stops. */
static void wait_for_news(struct pool *pool, uint32_t seen)
{
    for (int spin = 0; spin < SPINS; spin++) {
        if (has_news(pool, seen)) {
            return;
        }
        relax();
    }
    atomic_fetch_add(&pool->sleepers, 1);
    for (;;) {
        uint32_t published = atomic_load(&pool->published);
        if (has_news(pool, seen)) {
            break;
        }
        futex_sleep(&pool->published, published);
    }
    atomic_fetch_sub(&pool->sleepers, 1);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct pool *pool = worker->pool;
    thread_index = worker->index;
    while (!atomic_load(&pool->stopping)) {
        wait_for_news(pool, work(pool));
    }
    return NULL;
}

static void wake_workers(struct pool *pool, int most)
{
    atomic_fetch_add(&pool->published, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        futex_wake(&pool->published, most);
    }
}

static void wait_until_finished(struct pool *pool, uint32_t count)
{
    for (int spin = 0; spin < SPINS; spin++) {
        if (atomic_load_explicit(&pool->finished, memory_order_acquire) == count) {
            return;
        }
        relax();
    }
    atomic_store(&pool->caller_sleeps, 1);
    for (;;) {
        uint32_t finished = atomic_load(&pool->finished);
        if (finished == count) {
            break;
        }
        futex_sleep(&pool->finished, finished);
    }
    atomic_store(&pool->caller_sleeps, 0);
}

static void run_part(struct pool *pool, pool_task *task, void *context, int64_t first, uint32_t count)
{
    uint32_t run = run_of(atomic_load(&pool->ticket));
    atomic_store(&pool->ticket, (uint64_t)run << 32 | TICKET_CLOSED);
    atomic_store_explicit(&pool->task, task, memory_order_release);
    atomic_store_explicit(&pool->context, context, memory_order_release);
    atomic_store_explicit(&pool->first, first, memory_order_release);
    atomic_store_explicit(&pool->count, count, memory_order_release);
    atomic_store_explicit(&pool->finished, 0, memory_order_relaxed);
    atomic_store(&pool->ticket, (uint64_t)(run + 1) << 32);
    wake_workers(pool, (int)count - 1);
    work(pool);
    wait_until_finished(pool, count);
}

void pool_run(struct pool *pool, pool_task *task, void *context, int64_t count)
{
    assert(pool && task && count >= 0);
    bool nested = atomic_exchange(&pool->running, true);
    assert(!nested);
    (void)nested;
    int outer_index = thread_index;
    thread_index = 0;
    if (count == 1 || pool->started == 0) {
        for (int64_t index = 0; index < count; index++) {
            task(context, index);
        }
    } else {
        for (int64_t first = 0; first < count; first += RUN_MAX) {
            int64_t left = count - first;
            run_part(pool, task, context, first, (uint32_t)(min(left, RUN_MAX)));
        }
    }
    thread_index = outer_index;
    atomic_store(&pool->running, false);
}

int pool_threads(const struct pool *pool)
{
    return pool->threads;
}

int pool_thread_index(void)
{
    return thread_index;
}

/* CPUs of the affinity mask; the mask is made larger until it holds all of this machine's. */
static int affinity_cpus(void)
{
    int result = 0;
    for (size_t cpus = CPU_SETSIZE; cpus <= (size_t)1 << 20 && result == 0; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (!set) {
            break;
        }
        if (sched_getaffinity(0, CPU_ALLOC_SIZE(cpus), set) == 0) {
            result = CPU_COUNT_S(CPU_ALLOC_SIZE(cpus), set);
        } else if (errno != EINVAL) {
            cpus = (size_t)1 << 20;
        }
        CPU_FREE(set);
    }
    return result > 0 ? result : 1;
}

int threads_available(void)
{
    int cpus = affinity_cpus();
    struct cgroup group = cgroup_here();
    double quota = ceil(cgroup_cpu_quota(&group));
    return quota >= 1 && quota < cpus ? (int)quota : cpus;
}

int pool_create(struct pool **out, int threads, struct err *err)
{
    assert(threads >= 0);
    struct pool *pool = mem_alloc_aligned(1, sizeof *pool, _Alignof(struct pool), err);
    if (!pool) {
        return -1;
    }
    pool->threads = threads > 0 ? threads : threads_available();
    pool->workers = mem_alloc((size_t)pool->threads, sizeof *pool->workers, err);
    if (!pool->workers) {
        pool_free(pool);
        return -1;
    }
    for (int i = 1; i < pool->threads; i++) {
        struct worker *worker = &pool->workers[pool->started];
        *worker = (struct worker){.pool = pool, .index = i};
        int failure = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (failure != 0) {
            pool_free(pool);
            errno = failure;
            return err_set_errno(err, "cannot start thread %d of %d", i + 1, threads);
        }
        pool->started++;
    }
    *out = pool;
    return 0;
}

void pool_free(struct pool *pool)
{
    if (!pool) {
        return;
    }
    atomic_store(&pool->stopping, true);
    wake_workers(pool, pool->threads);
    for (int i = 0; i < pool->started; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
    mem_free(pool->workers);
    mem_free(pool);
}
