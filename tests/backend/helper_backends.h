/*
 * tests/backend/helper_backends.h - every backend this machine has, to be asked the same questions.
 */
#ifndef ATTUNE_TESTS_BACKEND_HELPER_BACKENDS_H
#define ATTUNE_TESTS_BACKEND_HELPER_BACKENDS_H

#include "backend/backend.h"

#define BACKENDS_MAX 16

struct backends {
    struct backend *list[BACKENDS_MAX];
    int count;
};

/*
 * The CPU backend for each instruction set from plain C to the widest of this CPU, in f32 and in bf16; with `guarded`
 * each inside a guarded backend. Fails the test where one cannot be made.
 */
void backends_open(struct backends *backends, int threads, bool guarded);
void backends_close(struct backends *backends);

/* The reference backend. */
struct backend *backends_reference(enum dtype compute);

#endif
