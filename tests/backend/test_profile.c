/*
 * tests/backend/test_profile.c - the measuring backend: the same numbers as the one inside, and the work counted by
 * hand.
 */
#include "backend/cpu/cpu.h"
#include "backend/profile.h"
#include "base/strbuf.h"
#include "support/cmocka.h"
#include "support/guarded_backend.h"
#include <string.h>

enum { ROWS = 5, INPUTS = 7, OUTPUTS = 11, RANK = 3 };

/* Sizes of a product, with a low-rank term where rank > 0. */
struct shape {
    int32_t outputs, inputs, rank;
};

static struct backend *open_cpu(void)
{
    struct backend *backend;
    struct err err;
    const struct cpu_options options = {.isa = CPU_PLAIN, .compute = DTYPE_F32, .threads = 1};
    assert_int_equal(cpu_backend_create(&backend, &options, &err), 0);
    return backend;
}

static struct backend *open_profiled(struct backend *inner)
{
    struct backend *backend;
    struct err err;
    assert_int_equal(profile_create(&backend, inner, &err), 0);
    const struct backend_limits limits = {.rows = 64,
                                          .columns = 64,
                                          .vocabulary = 64,
                                          .vocabulary_columns = 64,
                                          .spans = 4,
                                          .heads = 4,
                                          .kv_heads = 2,
                                          .head_size = 8};
    assert_int_equal(backend->reserve(backend, &limits, &err), 0);
    return backend;
}

static float *numbers(struct backend *backend, int count)
{
    void *device;
    float host[1024];
    struct err err;
    assert_true(count <= 1024);
    for (int i = 0; i < count; i++) {
        host[i] = (float)((i * 37) % 19) / 19 - 0.5f;
    }
    assert_int_equal(backend->alloc(backend, &device, (size_t)count * sizeof *host, &err), 0);
    backend->upload(backend, device, host, (size_t)count * sizeof *host);
    return device;
}

static struct weight *matrix(struct backend *backend, void **memory, int32_t rows, int32_t columns)
{
    struct weight *weight;
    struct err err;
    float host[1024];
    const struct weight_shape shape = {rows, columns, DTYPE_F32, WEIGHT_FORWARD};
    for (int i = 0; i < rows * columns; i++) {
        host[i] = (float)((i * 53) % 23) / 23 - 0.5f;
    }
    assert_int_equal(backend->alloc(backend, memory, backend->weight_size(backend, &shape), &err), 0);
    assert_int_equal(backend->weight_create(backend, &weight, &shape, *memory, host, &err), 0);
    return weight;
}

/* y = x W^T (+ u B^T), downloaded into `y`. */
static void run_linear(struct backend *backend, struct shape shape, float *y)
{
    struct err err;
    void *w_memory, *b_memory = NULL;
    float *x = numbers(backend, ROWS * shape.inputs), *out = numbers(backend, ROWS * shape.outputs);
    float *u = shape.rank ? numbers(backend, ROWS * shape.rank) : NULL;
    struct weight *w = matrix(backend, &w_memory, shape.outputs, shape.inputs);
    struct weight *b = shape.rank ? matrix(backend, &b_memory, shape.outputs, shape.rank) : NULL;
    backend->linear(backend, &(struct linear_args){.x = x, .w = w, .u = u, .b = b, .y = out, .rows = ROWS, .scale = 1});
    assert_int_equal(backend->download(backend, y, out, (size_t)ROWS * (size_t)shape.outputs * sizeof *y, &err), 0);
    backend->weight_free(backend, w);
    backend->release(backend, w_memory);
    if (b) {
        backend->weight_free(backend, b);
        backend->release(backend, b_memory);
        backend->release(backend, u);
    }
    backend->release(backend, x);
    backend->release(backend, out);
}

static void test_results_are_the_inner_ones(void **state)
{
    (void)state;
    float plain[ROWS * OUTPUTS], profiled[ROWS * OUTPUTS];
    const struct shape shape = {OUTPUTS, INPUTS, RANK};
    struct backend *inner = open_cpu(), *outer = open_profiled(open_cpu());
    struct err err;
    const struct backend_limits limits = {.rows = 64, .columns = 64, .spans = 1};
    assert_int_equal(inner->reserve(inner, &limits, &err), 0);
    run_linear(inner, shape, plain);
    run_linear(outer, shape, profiled);
    assert_memory_equal(plain, profiled, sizeof plain);
    assert_string_equal(inner->numerics, outer->numerics);
    inner->free(inner);
    outer->free(outer);
}

static void test_products_are_counted(void **state)
{
    (void)state;
    float y[ROWS * OUTPUTS];
    struct backend *backend = open_profiled(open_cpu());
    run_linear(backend, (struct shape){OUTPUTS, INPUTS, 0}, y);
    run_linear(backend, (struct shape){OUTPUTS, INPUTS, 0}, y);
    run_linear(backend, (struct shape){OUTPUTS, INPUTS, RANK}, y);
    struct profile_sum sum = profile_operation(backend, BACKEND_linear);
    assert_int_equal(sum.calls, 3);
    assert_true(sum.flops == 3.0 * 2 * ROWS * OUTPUTS * INPUTS + 2.0 * ROWS * OUTPUTS * RANK);
    assert_true(sum.seconds > 0 && sum.bytes > 3.0 * sizeof(float) * ROWS * (OUTPUTS + INPUTS));
    assert_int_equal(profile_operation(backend, BACKEND_linear_backward).calls, 0);

    struct strbuf report = {0};
    profile_report(backend, &report);
    assert_non_null(strstr(strbuf_text(&report), "  11 x 7 "));
    assert_non_null(strstr(strbuf_text(&report), "  11 x 7, rank 3 "));
    assert_non_null(strstr(strbuf_text(&report), "preparing weights"));
    assert_non_null(strstr(strbuf_text(&report), "outside of operations"));
    assert_null(strstr(strbuf_text(&report), "adamw")); /* what was not called has no line */
    strbuf_free(&report);
    backend->free(backend);
}

/* A family: a parent of 3 tokens and a child of 2 that sees it. */
static void attend(struct backend *backend)
{
    enum { TOKENS = 5, HEADS = 4, KV_HEADS = 2, SIZE = 8 };
    const struct attention_span host[] = {
        {.query = 0, .queries = 3, .key = 0, .keys = 3},
        {.query = 3, .queries = 2, .key = 3, .keys = 2, .parent = 0, .parent_keys = 3}};
    struct err err;
    void *spans;
    assert_int_equal(backend->alloc(backend, &spans, sizeof host, &err), 0);
    backend->upload(backend, spans, host, sizeof host);
    float *q = numbers(backend, TOKENS * HEADS * SIZE), *out = numbers(backend, TOKENS * HEADS * SIZE);
    float *k = numbers(backend, TOKENS * KV_HEADS * SIZE), *v = numbers(backend, TOKENS * KV_HEADS * SIZE);
    backend->attention(backend, &(struct attention_args){.q = q,
                                                         .k = k,
                                                         .v = v,
                                                         .spans = spans,
                                                         .out = out,
                                                         .span_count = 2,
                                                         .heads = HEADS,
                                                         .kv_heads = KV_HEADS,
                                                         .head_size = SIZE,
                                                         .scale = 0.25f});
    assert_int_equal(backend->synchronize(backend, &err), 0);
    const double pairs = 3 + 2 + 1 + 4 + 5;
    struct profile_sum sum = profile_operation(backend, BACKEND_attention);
    assert_true(sum.flops == pairs * HEADS * SIZE * 4);
    void *const all[] = {spans, q, k, v, out};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        backend->release(backend, all[i]);
    }
}

static void test_attention_counts_what_is_seen(void **state)
{
    (void)state;
    struct backend *backend = open_profiled(open_cpu());
    attend(backend);
    backend->free(backend);
}

/* Spans stand in device memory: on a device far away they are read through a copy. */
static void test_no_device_memory_is_read(void **state)
{
    (void)state;
    struct backend *guarded;
    struct err err;
    assert_int_equal(guarded_backend_create(&guarded, open_cpu(), &err), 0);
    struct backend *backend = open_profiled(guarded);
    attend(backend);
    backend->free(backend);
}

/* A device that breaks inside an operation is reported by the next call that can. */
static void test_a_broken_device_is_reported(void **state)
{
    (void)state;
    struct backend *guarded;
    struct err err;
    float host[4];
    assert_int_equal(guarded_backend_create(&guarded, open_cpu(), &err), 0);
    struct backend *backend = open_profiled(guarded);
    float *x = numbers(backend, 4);
    guarded_backend_break_at(guarded, 1);
    backend->fill(backend, &(struct fill_args){.x = x, .count = 4, .value = 1});
    assert_int_equal(backend->synchronize(backend, &err), -1);
    assert_non_null(strstr(err.text, "broken"));
    assert_int_equal(backend->download(backend, host, x, sizeof host, &err), -1);
    backend->release(backend, x);
    backend->free(backend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_are_the_inner_ones),    cmocka_unit_test(test_products_are_counted),
        cmocka_unit_test(test_attention_counts_what_is_seen), cmocka_unit_test(test_no_device_memory_is_read),
        cmocka_unit_test(test_a_broken_device_is_reported),
    };
    return cmocka_run_group_tests_name("profile", tests, NULL, NULL);
}
