/*
 * base/threads.h - one pool of threads for the whole process.
 *
 * pool_run() calls task(context, index) for index 0..count-1, each once, on the pool's threads and the caller's, and
 * returns when all are done. Which thread takes which index is not fixed: a task's result may depend on its index only.
 * Tasks may not call pool_run() on the same pool.
 */
#ifndef ATTUNE_BASE_THREADS_H
#define ATTUNE_BASE_THREADS_H

#include "base/err.h"
#include <stdint.h>

struct pool;

/* The CPUs that this process may use: its affinity mask, or its cgroup's quota rounded up where that is less. */
int threads_available(void);

/* threads counts the caller's; 0 takes the CPUs this process may use (affinity mask and cgroup quota). */
int pool_create(struct pool **out, int threads, struct err *err);
int pool_threads(const struct pool *pool);
void pool_run(struct pool *pool, void (*task)(void *context, int64_t index), void *context, int64_t count);
/* A number 0..pool_threads()-1 that is the calling task's own while it runs: for scratch memory by thread. */
int pool_thread_index(void);
void pool_free(struct pool *pool);

#endif
