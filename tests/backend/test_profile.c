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

/* Sizes of `layers` equal products, with low-rank terms where rank > 0. */
struct shape {
    int32_t outputs, inputs, rank, layers;
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
    const struct weight_shape shape = {rows, columns, DTYPE_F32, WEIGHT_FORWARD | WEIGHT_BACKWARD};
    for (int i = 0; i < rows * columns; i++) {
        host[i] = (float)((i * 53) % 23) / 23 - 0.5f;
    }
    assert_int_equal(backend->alloc(backend, memory, backend->weight_size(backend, &shape), &err), 0);
    assert_int_equal(backend->weight_create(backend, &weight, &shape, *memory, host, &err), 0);
    return weight;
}

/* Weights of a layer and the memory they stand on; a and b where there is a low-rank term. */
struct matrices {
    struct weight *w, *a, *b;
    void *memory[3];
};

static struct matrices make_matrices(struct backend *backend, struct shape shape)
{
    struct matrices matrices = {.w = matrix(backend, &matrices.memory[0], shape.outputs, shape.inputs)};
    if (shape.rank) {
        matrices.a = matrix(backend, &matrices.memory[1], shape.rank, shape.inputs);
        matrices.b = matrix(backend, &matrices.memory[2], shape.outputs, shape.rank);
    }
    return matrices;
}

static void free_matrices(struct backend *backend, const struct matrices *matrices)
{
    struct weight *const weights[] = {matrices->w, matrices->a, matrices->b};
    for (int i = 0; i < 3; i++) {
        if (weights[i]) {
            backend->weight_free(backend, weights[i]);
            backend->release(backend, matrices->memory[i]);
        }
    }
}

/* y = x W^T (+ u B^T) of each layer; the first y is downloaded into `y`. */
static void run_linear(struct backend *backend, struct shape shape, float *y)
{
    struct err err;
    struct matrices matrices = make_matrices(backend, shape);
    float *x = numbers(backend, ROWS * shape.inputs);
    struct linear_args args = {.x = x, .layer_count = shape.layers, .rows = ROWS};
    for (int i = 0; i < shape.layers; i++) {
        args.layers[i] = (struct linear_layer){.w = matrices.w,
                                               .a = matrices.a,
                                               .b = matrices.b,
                                               .u = shape.rank ? numbers(backend, ROWS * shape.rank) : NULL,
                                               .y = numbers(backend, ROWS * shape.outputs),
                                               .scale = 2};
    }
    backend->linear(backend, &args);
    assert_int_equal(
        backend_download(backend, y, args.layers[0].y, (size_t)ROWS * (size_t)shape.outputs * sizeof *y, &err), 0);
    for (int i = 0; i < shape.layers; i++) {
        backend->release(backend, args.layers[i].u);
        backend->release(backend, args.layers[i].y);
    }
    free_matrices(backend, &matrices);
    backend->release(backend, x);
}

static void test_results_are_the_inner_ones(void **state)
{
    (void)state;
    float plain[ROWS * OUTPUTS], profiled[ROWS * OUTPUTS];
    const struct shape shape = {OUTPUTS, INPUTS, RANK, 1};
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
    run_linear(backend, (struct shape){OUTPUTS, INPUTS, 0, 1}, y);
    run_linear(backend, (struct shape){OUTPUTS, INPUTS, 0, 1}, y);
    run_linear(backend, (struct shape){OUTPUTS, INPUTS, RANK, 1}, y);
    run_linear(backend, (struct shape){OUTPUTS, INPUTS, RANK, 3}, y);
    struct profile_sum sum = profile_operation(backend, BACKEND_linear);
    assert_int_equal(sum.calls, 4);
    assert_true(sum.flops == 6.0 * 2 * ROWS * OUTPUTS * INPUTS + 4.0 * 2 * ROWS * RANK * (INPUTS + OUTPUTS));
    assert_true(sum.seconds > 0 && sum.bytes > sizeof(float) * ROWS * (6.0 * OUTPUTS + 4.0 * INPUTS));
    assert_int_equal(profile_operation(backend, BACKEND_linear_backward).calls, 0);

    struct strbuf report = {0};
    profile_report(backend, &report);
    assert_non_null(strstr(strbuf_text(&report), "  11 x 7 "));
    assert_non_null(strstr(strbuf_text(&report), "  11 x 7, rank 3 "));
    assert_non_null(strstr(strbuf_text(&report), "  33 x 7, rank 3 ")); /* a group's outputs together */
    assert_non_null(strstr(strbuf_text(&report), "preparing weights"));
    assert_non_null(strstr(strbuf_text(&report), "outside of operations"));
    assert_null(strstr(strbuf_text(&report), "adamw")); /* what was not called has no line */
    strbuf_free(&report);
    backend->free(backend);
}

/* What is not wanted is not counted: y or dx, and the a that adds nothing to dx. */
static void test_products_left_out_are_not_counted(void **state)
{
    (void)state;
    struct backend *backend = open_profiled(open_cpu());
    struct matrices m = make_matrices(backend, (struct shape){OUTPUTS, INPUTS, RANK, 1});
    float *x = numbers(backend, ROWS * INPUTS), *u = numbers(backend, ROWS * RANK);
    float *dy = numbers(backend, ROWS * OUTPUTS), *dx = numbers(backend, ROWS * INPUTS);
    backend->linear(backend, &(struct linear_args){.x = x,
                                                   .layers = {{.w = m.w, .a = m.a, .b = m.b, .u = u, .scale = 1}},
                                                   .layer_count = 1,
                                                   .rows = ROWS});
    assert_true(profile_operation(backend, BACKEND_linear).flops == 2.0 * ROWS * RANK * INPUTS);
    struct linear_backward_args args = {
        .layers = {{.dy = dy, .w = m.w, .b = m.b, .du = u, .scale = 1}}, .layer_count = 1, .rows = ROWS};
    backend->linear_backward(backend, &args);
    double expected = 2.0 * ROWS * RANK * OUTPUTS;
    assert_true(profile_operation(backend, BACKEND_linear_backward).flops == expected);
    args.dx = dx;
    backend->linear_backward(backend, &args);
    expected += 2.0 * ROWS * OUTPUTS * (RANK + INPUTS);
    assert_true(profile_operation(backend, BACKEND_linear_backward).flops == expected);
    args.layers[0].a = m.a;
    backend->linear_backward(backend, &args);
    expected += 2.0 * ROWS * (OUTPUTS * (RANK + INPUTS) + RANK * INPUTS);
    assert_true(profile_operation(backend, BACKEND_linear_backward).flops == expected);
    float *const all[] = {x, u, dy, dx};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        backend->release(backend, all[i]);
    }
    free_matrices(backend, &m);
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
                                                         .extent = attention_extent(host, 2),
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
    assert_int_equal(backend_download(backend, host, x, sizeof host, &err), -1);
    backend->release(backend, x);
    backend->free(backend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_are_the_inner_ones),        cmocka_unit_test(test_products_are_counted),
        cmocka_unit_test(test_products_left_out_are_not_counted), cmocka_unit_test(test_attention_counts_what_is_seen),
        cmocka_unit_test(test_no_device_memory_is_read),          cmocka_unit_test(test_a_broken_device_is_reported),
    };
    return cmocka_run_group_tests_name("profile", tests, NULL, NULL);
}
