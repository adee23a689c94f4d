/*
 * tests/support/guarded_backend.h - a backend that behaves like a device far away, so that a stage which would break on
 * one breaks in the tests.
 *
 * It wraps a backend that works on ordinary memory (cpu, reference) and gives it:
 *   - memory that nobody can touch: PROT_NONE except while operations run, with red zones and guard pages around each
 *     allocation. The host that reads a tensor without a download gets SIGSEGV, and garbage before wait();
 *   - a queue: operations, uploads and downloads run at synchronize(), wait(), weight_create(), weight_free() and
 *     release() only;
 *   - checks of every argument, when the operation is called and, for what stands in device memory (ids, spans), again
 *     when it runs: each pointer must lie in memory of alloc() with its whole extent, outputs may overlap nothing but
 *     what backend.h lets them be, weights must live and have been made for that use, sizes must keep within
 *     reserve()'s limits;
 *   - bookkeeping: double release, release under a living weight, and anything left at free().
 *
 * A breach prints one sentence that names operation and field, and aborts.
 */
#ifndef ATTUNE_TESTS_SUPPORT_GUARDED_BACKEND_H
#define ATTUNE_TESTS_SUPPORT_GUARDED_BACKEND_H

#include "backend/backend.h"

/* Makes *out, which owns `inner` from then on (not when this fails); free it with (*out)->free(*out). */
int guarded_backend_create(struct backend **out, struct backend *inner, struct err *err);

/* The n-th operation that runs from now (1 is the next) breaks the device: every synchronize() and wait() from
 * there fails. */
void guarded_backend_break_at(struct backend *backend, int64_t n);

/* Calls of alloc() and reserve() so far: does not move inside a step. */
int64_t guarded_backend_allocations(const struct backend *backend);
/* Transfers so far, and how often the host waited: wait() and synchronize(). */
struct guarded_transfers {
    int64_t uploads, downloads, waits;
};
struct guarded_transfers guarded_backend_transfers(const struct backend *backend);
/* Operations run so far. */
int64_t guarded_backend_operations(const struct backend *backend);

#endif
