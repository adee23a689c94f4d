/* tests/backend/helper_backends.c - see helper_backends.h. */
#include "helper_backends.h"
#include "backend/cpu/cpu.h"
#include "support/cmocka.h"
#include "support/guarded_backend.h"
#include "support/reference_backend.h"

static void open_one(struct backends *backends, const struct cpu_options *options, bool guarded)
{
    struct err err;
    struct backend *backend;
    assert_true(backends->count < BACKENDS_MAX);
    if (cpu_backend_create(&backend, options, &err) != 0) {
        fail_msg("%s, %s: %s", cpu_isa_name(options->isa), dtype_name(options->compute), err.text);
    }
    if (guarded) {
        assert_int_equal(guarded_backend_create(&backend, backend, &err), 0);
    }
    backends->list[backends->count++] = backend;
}

void backends_open(struct backends *backends, int threads, bool guarded)
{
    *backends = (struct backends){.count = 0};
    for (int isa = CPU_PLAIN; isa <= (int)cpu_detect(); isa++) {
        open_one(backends, &(struct cpu_options){(enum cpu_isa)isa, DTYPE_F32, threads}, guarded);
        open_one(backends, &(struct cpu_options){(enum cpu_isa)isa, DTYPE_BF16, threads}, guarded);
    }
}

void backends_close(struct backends *backends)
{
    for (int i = 0; i < backends->count; i++) {
        backends->list[i]->free(backends->list[i]);
    }
}

struct backend *backends_reference(enum dtype compute)
{
    struct backend *backend;
    struct err err;
    assert_int_equal(reference_backend_create(&backend, compute, &err), 0);
    return backend;
}
