/*
 * tests/model/test_memory.c - planned memory is the memory that is taken: model, adapter, pass and generator against what
 * the backend was really asked for.
 */
#include "support/cmocka.h"

#include "model/generate.h"
#include "support/fixture.h"
#include <string.h>

/* A backend whose alloc() and reserve() are counted. */
struct counting {
    struct backend backend;
    struct backend *inner;
    size_t taken, scratch;
    int allocations;
};

static struct counting counted;

static int counted_alloc(struct backend *backend, void **out, size_t size, struct err *err)
{
    (void)backend;
    counted.taken += size;
    counted.allocations++;
    return counted.inner->alloc(counted.inner, out, size, err);
}

static int counted_reserve(struct backend *backend, const struct backend_limits *limits, struct err *err)
{
    (void)backend;
    counted.scratch = counted.inner->scratch_size(counted.inner, limits);
    return counted.inner->reserve(counted.inner, limits, err);
}

/* The table's other functions go to the inner backend: they find their state by the pointer they are given. */
static struct backend *redirect(struct backend *backend)
{
    counted = (struct counting){.inner = backend};
    return backend;
}

static int (*inner_alloc)(struct backend *, void **, size_t, struct err *);
static int (*inner_reserve)(struct backend *, const struct backend_limits *, struct err *);

static int noting_alloc(struct backend *backend, void **out, size_t size, struct err *err)
{
    return 0;
}
