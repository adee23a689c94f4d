/*
 * tests/support/fixture.h - the parity fixtures of tests/fixtures, and short ways to open a model and compare numbers.
 *
 * Everything here fails the running cmocka test with a sentence instead of returning an error.
 */
#ifndef ATTUNE_TESTS_SUPPORT_FIXTURE_H
#define ATTUNE_TESTS_SUPPORT_FIXTURE_H

#include "base/json.h"
#include "lora/adapter.h"
#include "model/pass.h"
#include "weights/safetensors.h"

/* <fixtures>/<name>/<file>, in a static buffer that the fourth next call overwrites. */
const char *fixture_path(const char *name, const char *file);

/* The CPU's backend; 0 threads: as many as there are cores. */
struct backend *cpu_backend(enum dtype compute, int threads);

/* The backend the parity tests of this run use: the CPU's in f32, or with ATTUNE_TEST_BACKEND=reference the reference
 * one. */
struct backend *fixture_backend(void);

struct model *fixture_model(const char *name, struct backend *backend, bool trainable);
struct adapter *fixture_adapter(const char *name, struct model *model, bool trainable);

/* Sequences [{ids, mask}] of a JSON array as a batch, each a segment of its own. */
void fixture_batch(struct batch *batch, const json_t *sequences);

/* norm(a - b) / max(norm(b), floor) */
double relative_difference(const float *a, const float *b, int64_t count, double floor);
double largest_difference(const float *a, const float *b, int64_t count);

/* A device array as a host array; free with mem_free(). */
float *fetch(struct backend *backend, const float *device, int64_t count);

/* A tensor of a file as it is written into another, in f32. */
struct safetensor_spec copied_tensor(const struct safetensor *tensor);

/* A parameter by name; fails when there is none. */
const struct parameter *find_parameter(const struct parameter_list *list, const char *name);

/* Runs the body's call and fails the test with its sentence. */
#define must(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) != 0)                                                                                               \
            fail_msg("%s: %s", #call, err.text);                                                                       \
    } while (0)

#endif
