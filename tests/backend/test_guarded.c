/*
 * tests/backend/test_guarded.c - the guard catches what it is there for: each breach is planted in a child process,
 * which must die, and say which operation and field it was.
 */
#include "base/mem.h"
#include "helper_backends.h"
#include "support/cmocka.h"
#include "support/guarded_backend.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROWS    4
#define COLUMNS 8

/* A small device with a weight and some arrays in it. */
struct device {
    struct backend *backend;
    float *x, *y;          /* [ROWS, COLUMNS] */
    int32_t *ids;          /* [ROWS] */
    void *memory;          /* of the weight */
    struct weight *weight; /* [COLUMNS, COLUMNS], forward only */
};

static void ok(int result, const struct err *err)
{
    if (result != 0) {
        fail_msg("%s", err->text);
    }
}

static void *device_alloc(struct backend *backend, size_t size)
{
    struct err err;
    void *memory = NULL;
    ok(backend->alloc(backend, &memory, size, &err), &err);
    return memory;
}

static void open_device(struct device *d)
{
    struct err err;
    const float weight[COLUMNS * COLUMNS] = {1};
    ok(guarded_backend_create(&d->backend, backends_reference(DTYPE_F32), &err), &err);
    ok(d->backend->reserve(
           d->backend,
           &(struct backend_limits){
               .rows = ROWS, .columns = COLUMNS, .spans = 2, .heads = 1, .kv_heads = 1, .head_size = COLUMNS},
           &err),
       &err);
    const struct weight_shape shape = {COLUMNS, COLUMNS, DTYPE_F32, WEIGHT_FORWARD};
    d->x = device_alloc(d->backend, ROWS * COLUMNS * sizeof(float));
    d->y = device_alloc(d->backend, ROWS * COLUMNS * sizeof(float));
    d->ids = device_alloc(d->backend, ROWS * sizeof(int32_t));
    d->memory = device_alloc(d->backend, d->backend->weight_size(d->backend, &shape));
    ok(d->backend->weight_create(d->backend, &d->weight, &shape, d->memory, weight, &err), &err);
}

static void close_device(struct device *d)
{
    d->backend->weight_free(d->backend, d->weight);
    d->backend->release(d->backend, d->memory);
    d->backend->release(d->backend, d->x);
    d->backend->release(d->backend, d->y);
    d->backend->release(d->backend, d->ids);
    d->backend->free(d->backend);
}

static struct linear_args linear(const struct device *d)
{
    return (struct linear_args){.x = d->x, .layers = {{.w = d->weight, .y = d->y}}, .layer_count = 1, .rows = ROWS};
}

/* ---- what works ---- */

static void test_runs_late_and_in_order(void **state)
{
    (void)state;
    struct device d;
    struct err err;
    float host[ROWS * COLUMNS];
    open_device(&d);
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        host[i] = (float)i;
    }
    d.backend->upload(d.backend, d.x, host, sizeof host);
    host[0] = -1; /* copied during the call */
    struct linear_args args = linear(&d);
    d.backend->linear(d.backend, &args);
    args.layers[0].y = NULL; /* the struct is read during the call */
    const struct fill_args fill = {d.x, ROWS * COLUMNS, 5};
    d.backend->fill(d.backend, &fill);
    assert_int_equal(guarded_backend_operations(d.backend), 0);
    ok(backend_download(d.backend, host, d.y, sizeof host, &err), &err);
    assert_int_equal(guarded_backend_operations(d.backend), 2);
    assert_true(host[0] == 0 && host[COLUMNS] == COLUMNS); /* y[r][0] = x[r][0] before the fill */
    ok(backend_download(d.backend, host, d.x, sizeof host, &err), &err);
    assert_true(host[0] == 5 && host[ROWS * COLUMNS - 1] == 5);
    close_device(&d);
}

static void test_memory_is_zeroed_and_aligned(void **state)
{
    (void)state;
    struct device d;
    struct err err;
    unsigned char host[1000];
    open_device(&d);
    for (size_t size = 1; size <= sizeof host; size += 111) {
        void *memory = device_alloc(d.backend, size);
        assert_int_equal((uintptr_t)memory % 64, 0);
        memset(host, 1, sizeof host);
        ok(backend_download(d.backend, host, memory, size, &err), &err);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(host[i], 0);
        }
        d.backend->release(d.backend, memory);
    }
    close_device(&d);
}

static void test_counts_allocations(void **state)
{
    (void)state;
    struct device d;
    struct err err;
    open_device(&d);
    int64_t before = guarded_backend_allocations(d.backend);
    struct linear_args args = linear(&d);
    d.backend->linear(d.backend, &args);
    ok(d.backend->synchronize(d.backend, &err), &err);
    assert_int_equal(guarded_backend_allocations(d.backend), before);
    d.backend->release(d.backend, device_alloc(d.backend, 4));
    assert_int_equal(guarded_backend_allocations(d.backend), before + 1);
    close_device(&d);
}

static void test_a_broken_device_says_so(void **state)
{
    (void)state;
    struct device d;
    struct err err;
    float host;
    open_device(&d);
    guarded_backend_break_at(d.backend, 2);
    struct linear_args args = linear(&d);
    d.backend->linear(d.backend, &args);
    ok(d.backend->synchronize(d.backend, &err), &err);
    d.backend->linear(d.backend, &args);
    assert_int_equal(d.backend->synchronize(d.backend, &err), -1);
    assert_int_equal(backend_download(d.backend, &host, d.y, sizeof host, &err), -1);
    close_device(&d);
}

/* Operations cannot fail, so a queue without memory is a broken device. */
static void test_out_of_memory_is_said_at_synchronize(void **state)
{
    (void)state;
    const float host[ROWS] = {1, 2, 3, 4};
    for (int i = 0; i < 2; i++) {
        struct device d;
        struct err err;
        open_device(&d);
        const struct fill_args fill = {d.x, ROWS, 0};
        mem_fail_at(1);
        if (i == 0) {
            d.backend->upload(d.backend, d.x, host, sizeof host);
        } else {
            d.backend->fill(d.backend, &fill);
        }
        mem_fail_at(0);
        assert_int_equal(d.backend->synchronize(d.backend, &err), -1);
        assert_non_null(strstr(err.text, "no memory"));
        close_device(&d);
    }
}

/* ---- breaches ---- */

static float sink;

static void peek(struct device *d)
{
    sink = *(volatile float *)d->x;
}

static void poke(struct device *d)
{
    *(volatile float *)d->y = 1;
}

static void peek_behind_the_end(struct device *d)
{
    sink = *((volatile float *)d->x + ROWS * COLUMNS);
}

static void peek_after_release(struct device *d)
{
    d->backend->release(d->backend, d->x);
    sink = *(volatile float *)d->x;
}

static void host_pointer(struct device *d)
{
    float host[ROWS * COLUMNS] = {0};
    struct linear_args args = linear(d);
    args.x = host;
    d->backend->linear(d->backend, &args);
}

static void too_short(struct device *d)
{
    struct linear_args args = linear(d);
    args.layers[0].y = d->y + 1;
    d->backend->linear(d->backend, &args);
}

static void missing(struct device *d)
{
    struct linear_args args = linear(d);
    args.x = NULL;
    d->backend->linear(d->backend, &args);
}

static void too_many_rows(struct device *d)
{
    struct linear_args args = linear(d);
    args.rows = ROWS + 1;
    d->backend->linear(d->backend, &args);
}

static void output_over_input(struct device *d)
{
    struct linear_args args = linear(d);
    args.layers[0].y = d->x;
    d->backend->linear(d->backend, &args);
}

static void layer_over_layer(struct device *d)
{
    struct linear_args args = linear(d);
    args.layers[1] = args.layers[0];
    args.layer_count = 2;
    d->backend->linear(d->backend, &args);
}

static void too_many_layers(struct device *d)
{
    struct linear_args args = linear(d);
    args.layer_count = LINEAR_GROUP + 1;
    d->backend->linear(d->backend, &args);
}

static void no_layers(struct device *d)
{
    d->backend->linear_backward(d->backend, &(struct linear_backward_args){.dx = d->y, .rows = ROWS});
}

static void half_a_low_rank_term(struct device *d)
{
    struct linear_args args = linear(d);
    args.layers[0].a = args.layers[0].b = d->weight;
    d->backend->linear(d->backend, &args);
}

static void dropout_for_nobody(struct device *d)
{
    struct linear_args args = linear(d);
    args.dropout = (struct dropout){(const uint64_t *)(void *)d->x, 1, 0.5F};
    d->backend->linear(d->backend, &args);
}

static void too_few_dropout_keys(struct device *d)
{
    struct linear_weight_backward_args args = {
        .dy = d->x, .x = d->x, .dw = d->y, .rows = ROWS, .outputs = 1, .inputs = COLUMNS};
    args.dropout = (struct dropout){(const uint64_t *)(void *)d->ids, 1, 0.5F};
    d->backend->linear_weight_backward(d->backend, &args);
}

static void everything_dropped(struct device *d)
{
    struct linear_weight_backward_args args = {
        .dy = d->x, .x = d->x, .dw = d->y, .rows = ROWS, .outputs = 1, .inputs = COLUMNS};
    args.dropout = (struct dropout){(const uint64_t *)(void *)d->x, 1, 1};
    d->backend->linear_weight_backward(d->backend, &args);
}

static void low_rank_input_over_the_output(struct device *d)
{
    struct linear_args args = linear(d);
    args.layers[0].a = args.layers[0].b = d->weight;
    args.layers[0].u = d->y;
    d->backend->linear(d->backend, &args);
}

/* A weight for every product. */
static struct weight *weight_of(struct device *d, int32_t rows, int32_t columns)
{
    struct err err;
    struct weight *weight;
    const struct weight_shape shape = {rows, columns, DTYPE_F32, WEIGHT_FORWARD | WEIGHT_BACKWARD};
    void *memory = device_alloc(d->backend, d->backend->weight_size(d->backend, &shape));
    ok(d->backend->weight_create(d->backend, &weight, &shape, memory, NULL, &err), &err);
    return weight;
}

static struct weight *other_weight(struct device *d)
{
    return weight_of(d, ROWS, COLUMNS);
}

/* Of rank ROWS in a, of rank COLUMNS in b. */
static void ranks_differ(struct device *d)
{
    struct linear_args args = linear(d);
    args.layers[0].a = other_weight(d);
    args.layers[0].b = d->weight;
    args.layers[0].u = device_alloc(d->backend, ROWS * COLUMNS * sizeof(float));
    d->backend->linear(d->backend, &args);
}

/* Layers of a group read one x: COLUMNS wide and ROWS wide do not go together. */
static void inputs_differ(struct device *d)
{
    struct linear_args args = linear(d);
    const struct weight_shape shape = {COLUMNS, ROWS, DTYPE_F32, WEIGHT_FORWARD};
    struct err err;
    struct weight *weight;
    void *memory = device_alloc(d->backend, d->backend->weight_size(d->backend, &shape));
    ok(d->backend->weight_create(d->backend, &weight, &shape, memory, NULL, &err), &err);
    args.layers[1] = (struct linear_layer){.w = weight, .y = device_alloc(d->backend, ROWS * COLUMNS * sizeof(float))};
    args.layer_count = 2;
    d->backend->linear(d->backend, &args);
}

static struct linear_backward_args linear_backward(struct device *d)
{
    return (struct linear_backward_args){
        .layers = {{.dy = d->x, .w = other_weight(d)}}, .dx = d->y, .layer_count = 1, .rows = ROWS};
}

static void gradient_of_u_without_b(struct device *d)
{
    struct linear_backward_args args = linear_backward(d);
    args.layers[0].du = d->y;
    d->backend->linear_backward(d->backend, &args);
}

static void a_without_b(struct device *d)
{
    struct linear_backward_args args = linear_backward(d);
    args.layers[0].a = args.layers[0].w;
    d->backend->linear_backward(d->backend, &args);
}

static void gradient_of_u_over_dy(struct device *d)
{
    struct linear_backward_args args = linear_backward(d);
    args.layers[0].b = args.layers[0].w;
    args.layers[0].a = weight_of(d, COLUMNS, COLUMNS);
    args.layers[0].du = d->x;
    d->backend->linear_backward(d->backend, &args);
}

/* The device computes in f32. */
static void bf16_rows_in_f32(struct device *d)
{
    struct linear_args args = linear(d);
    args.x_dtype = DTYPE_BF16;
    d->backend->linear(d->backend, &args);
}

static void f16_rows(struct device *d)
{
    d->backend->gated(d->backend, &(struct gated_args){d->x, d->x, d->y, ROWS, DTYPE_F16});
}

/* A device that computes in bf16, with one more array. */
static struct backend *bf16_device(float **x)
{
    struct backend *backend;
    struct err err;
    ok(guarded_backend_create(&backend, backends_reference(DTYPE_BF16), &err), &err);
    ok(backend->reserve(backend, &(struct backend_limits){.rows = ROWS, .columns = COLUMNS}, &err), &err);
    *x = device_alloc(backend, ROWS * COLUMNS * sizeof(float));
    return backend;
}

/* Half as wide as its input, an output in its place would be written over before it is read. */
static void bf16_in_place(struct device *d)
{
    float *x;
    struct backend *backend = bf16_device(&x);
    backend->gated(backend, &(struct gated_args){x, x, x, ROWS, DTYPE_BF16});
    (void)d;
}

/* [ROWS, COLUMNS] of bf16 are half of the allocation: they fit in its second half, and no further back. */
static void bf16_too_short(struct device *d)
{
    float *x, *y;
    struct backend *backend = bf16_device(&x);
    struct err err;
    const int32_t half = ROWS * COLUMNS / 2;
    struct norm_args args = {
        .x = x, .weight = x, .y = NULL, .rows = ROWS, .columns = COLUMNS, .epsilon = 1, .y_dtype = DTYPE_BF16};
    y = device_alloc(backend, ROWS * COLUMNS * sizeof(float));
    args.y = y + half;
    backend->norm(backend, &args);
    ok(backend->synchronize(backend, &err), &err);
    args.y = (uint16_t *)(void *)(y + half) + 1;
    backend->norm(backend, &args);
    (void)d;
}

static void gradient_over_activations(struct device *d)
{
    const struct score_backward_args args = {
        .dy = d->y, .x = d->x, .w = d->y, .dx = d->x, .rows = ROWS, .columns = COLUMNS};
    d->backend->score_backward(d->backend, &args);
}

static void weight_as_array(struct device *d)
{
    struct linear_args args = linear(d);
    args.x = d->memory;
    d->backend->linear(d->backend, &args);
}

static void wrong_use(struct device *d)
{
    const struct linear_backward_args args = {
        .layers = {{.dy = d->x, .w = d->weight}}, .dx = d->y, .layer_count = 1, .rows = ROWS};
    d->backend->linear_backward(d->backend, &args);
}

static void freed_weight(struct device *d)
{
    struct linear_args args = linear(d);
    d->backend->weight_free(d->backend, d->weight);
    d->backend->linear(d->backend, &args);
}

/* The index stands in device memory, so it is found when the operation runs. */
static void index_out_of_range(struct device *d)
{
    struct err err;
    const int32_t index[] = {0, ROWS};
    const struct rows_args args = {d->x, d->y, d->ids, 2, COLUMNS};
    d->backend->upload(d->backend, d->ids, index, sizeof index);
    d->backend->gather_rows(d->backend, &args);
    (void)d->backend->synchronize(d->backend, &err);
}

static void index_twice(struct device *d)
{
    struct err err;
    const int32_t index[] = {1, 1};
    const struct rows_args args = {d->x, d->y, d->ids, 2, COLUMNS};
    d->backend->upload(d->backend, d->ids, index, sizeof index);
    d->backend->scatter_rows(d->backend, &args);
    (void)d->backend->synchronize(d->backend, &err);
}

/* One head over ROWS tokens with these spans. */
static void attend_within(struct device *d, const struct attention_span *spans, int32_t count,
                          struct attention_extent extent, bool backward)
{
    struct err err;
    size_t size = ROWS * COLUMNS * sizeof(float);
    struct attention_span *device = device_alloc(d->backend, (size_t)count * sizeof *spans);
    float *v = device_alloc(d->backend, size), *out = device_alloc(d->backend, size);
    float *lse = device_alloc(d->backend, ROWS * sizeof(float)), *dout = device_alloc(d->backend, size);
    float *dq = device_alloc(d->backend, size), *dk = device_alloc(d->backend, size);
    float *dv = device_alloc(d->backend, size);
    const struct attention_args args = {d->x, d->y, v, device, out, lse, extent, count, 1, 1, COLUMNS, 1};
    const struct attention_backward_args back = {d->x, d->y, v,      out,   lse, dout, device,  dq,
                                                 dk,   dv,   extent, count, 1,   1,    COLUMNS, 1};
    d->backend->upload(d->backend, device, spans, (size_t)count * sizeof *spans);
    if (backward) {
        d->backend->attention_backward(d->backend, &back);
    } else {
        d->backend->attention(d->backend, &args);
    }
    (void)d->backend->synchronize(d->backend, &err);
}

static void attend(struct device *d, const struct attention_span *spans, int32_t count, bool backward)
{
    attend_within(d, spans, count, attention_extent(spans, count), backward);
}

static void span_past_the_rows(struct device *d)
{
    attend_within(d, (const struct attention_span[]){{0, 3, 0, 3, 0, 0}}, 1, (struct attention_extent){2, 3, 3}, false);
}

static void longest_queries_too_few(struct device *d)
{
    attend_within(d, (const struct attention_span[]){{0, 3, 0, 3, 0, 0}}, 1, (struct attention_extent){3, 2, 3}, true);
}

static void longest_keys_too_many(struct device *d)
{
    attend_within(d, (const struct attention_span[]){{0, 1, 0, 1, 0, 0}, {1, 2, 1, 2, 0, 1}}, 2,
                  (struct attention_extent){3, 2, 4}, true);
}

static void span_past_the_keys(struct device *d)
{
    attend(d, (const struct attention_span[]){{0, 2, 0, 5, 0, 0}}, 1, false);
}

static void spans_share_queries(struct device *d)
{
    attend(d, (const struct attention_span[]){{0, 2, 0, 2, 0, 0}, {1, 2, 1, 2, 0, 0}}, 2, false);
}

static void decode_span_in_training(struct device *d)
{
    attend(d, (const struct attention_span[]){{0, 1, 0, 3, 0, 0}}, 1, true);
}

static void child_without_parent(struct device *d)
{
    attend(d, (const struct attention_span[]){{0, 1, 0, 1, 0, 0}, {2, 2, 2, 2, 0, 2}}, 2, true);
}

/* Over an arena of ROWS * COLUMNS elements. */
static void sum_tensors(struct device *d, struct arena_tensor first, struct arena_tensor second)
{
    struct err err;
    const struct arena_tensor tensors[] = {first, second};
    struct arena_tensor *device = device_alloc(d->backend, sizeof tensors);
    const struct sum_squares_args args = {.x = d->x,
                                          .tensors = device,
                                          .out = device_alloc(d->backend, sizeof *args.out),
                                          .count = (int64_t)ROWS * COLUMNS,
                                          .tensor_count = 2};
    d->backend->upload(d->backend, device, tensors, sizeof tensors);
    d->backend->sum_squares(d->backend, &args);
    (void)d->backend->synchronize(d->backend, &err);
}

static void tensors_overlap(struct device *d)
{
    sum_tensors(d, (struct arena_tensor){0, 9, 1}, (struct arena_tensor){8, 8, 1});
}

static void tensors_not_in_order(struct device *d)
{
    sum_tensors(d, (struct arena_tensor){16, 8, 1}, (struct arena_tensor){0, 8, 1});
}

static void tensor_out_of_the_arena(struct device *d)
{
    sum_tensors(d, (struct arena_tensor){0, 8, 1}, (struct arena_tensor){16, 17, 1});
}

/* The first moment in the place of the gradient. */
static void moment_over_gradient(struct device *d)
{
    struct adamw_args args = {.master = d->x, .grad = d->y, .m = d->y, .count = COLUMNS, .tensor_count = 1};
    args.v = d->x + COLUMNS;
    args.tensors = device_alloc(d->backend, sizeof *args.tensors);
    args.sum_squares = device_alloc(d->backend, sizeof *args.sum_squares);
    d->backend->adamw(d->backend, &args);
}

static void upload_too_long(struct device *d)
{
    const float host[ROWS * COLUMNS + 1] = {0};
    d->backend->upload(d->backend, d->x, host, sizeof host);
}

static void upload_from_device(struct device *d)
{
    d->backend->upload(d->backend, d->x, d->y, 4);
}

static void download_to_device(struct device *d)
{
    struct err err;
    (void)backend_download(d->backend, d->x, d->y, 4, &err);
}

static void release_twice(struct device *d)
{
    d->backend->release(d->backend, d->x);
    d->backend->release(d->backend, d->x);
}

static void release_under_a_weight(struct device *d)
{
    d->backend->release(d->backend, d->memory);
}

static void weight_freed_twice(struct device *d)
{
    d->backend->weight_free(d->backend, d->weight);
    d->backend->weight_free(d->backend, d->weight);
}

static void weight_memory_too_short(struct device *d)
{
    struct err err;
    const struct weight_shape shape = {ROWS + 1, COLUMNS, DTYPE_F32, WEIGHT_FORWARD};
    struct weight *weight;
    (void)d->backend->weight_create(d->backend, &weight, &shape, d->x, NULL, &err);
}

static void left_behind(struct device *d)
{
    d->backend->weight_free(d->backend, d->weight);
    d->backend->free(d->backend);
}

static void not_reserved(struct device *d)
{
    struct backend *other;
    struct err err;
    ok(guarded_backend_create(&other, backends_reference(DTYPE_F32), &err), &err);
    const struct fill_args args = {d->x, 1, 0};
    other->fill(other, &args);
}

/* A backend that writes past the end of its output, as a kernel with a wrong tail does. */
static void careless_fill(struct backend *backend, const struct fill_args *args)
{
    (void)backend;
    for (int64_t i = 0; i <= args->count; i++) {
        args->x[i] = args->value;
    }
}

static void red_zone(struct device *d)
{
    struct err err;
    struct backend *careless = backends_reference(DTYPE_F32), *guarded;
    careless->fill = careless_fill;
    ok(guarded_backend_create(&guarded, careless, &err), &err);
    ok(guarded->reserve(guarded, &(struct backend_limits){.rows = 1}, &err), &err);
    const struct fill_args args = {device_alloc(guarded, 12), 3, 1};
    guarded->fill(guarded, &args);
    (void)guarded->synchronize(guarded, &err);
    (void)d;
}

static const struct breach {
    const char *name;
    void (*commit)(struct device *device);
    int signal;
    const char *words; /* among what it printed */
} breaches[] = {
    {"peek", peek, SIGSEGV, ""},
    {"poke", poke, SIGSEGV, ""},
    {"peek behind the end", peek_behind_the_end, SIGSEGV, ""},
    {"peek after release", peek_after_release, SIGSEGV, ""},
    {"host pointer", host_pointer, SIGABRT, "linear: x [128 bytes] is not device memory"},
    {"too short", too_short, SIGABRT, "linear: y [128 bytes] runs out of its allocation"},
    {"missing", missing, SIGABRT, "linear: x is NULL"},
    {"too many rows", too_many_rows, SIGABRT, "linear: rows is 5"},
    {"layer over layer", layer_over_layer, SIGABRT, "linear: layers[1].y overlaps y"},
    {"too many layers", too_many_layers, SIGABRT, "linear: layer_count is 4, not in 1 .. 3"},
    {"no layers", no_layers, SIGABRT, "linear_backward: layer_count is 0, not in 1 .. 3"},
    {"half a low-rank term", half_a_low_rank_term, SIGABRT, "linear: u must be given with a and b"},
    {"dropout for nobody", dropout_for_nobody, SIGABRT, "linear: dropout.keys is given, and no layer has a low-rank"},
    {"too few dropout keys", too_few_dropout_keys, SIGABRT,
     "linear_weight_backward: dropout.keys [32 bytes] runs out of its allocation"},
    {"everything dropped", everything_dropped, SIGABRT, "linear_weight_backward: dropout.probability (1) is not in"},
    {"low-rank input over the output", low_rank_input_over_the_output, SIGABRT, "linear: y overlaps u"},
    {"ranks differ", ranks_differ, SIGABRT, "linear: b is [8, 8], which does not fit the others"},
    {"inputs differ", inputs_differ, SIGABRT, "linear: layers[1].w is [8, 4], which does not fit the others"},
    {"gradient of u without b", gradient_of_u_without_b, SIGABRT, "linear_backward: du and b must be given or left"},
    {"a without b", a_without_b, SIGABRT, "linear_backward: a and b must be given or left"},
    {"gradient of u over dy", gradient_of_u_over_dy, SIGABRT, "linear_backward: du"},
    {"bf16 rows in f32", bf16_rows_in_f32, SIGABRT, "linear: x_dtype is bf16, and the backend computes in f32"},
    {"f16 rows", f16_rows, SIGABRT, "gated: out_dtype is neither f32 nor bf16"},
    {"bf16 in place", bf16_in_place, SIGABRT, "gated: out overlaps"},
    {"bf16 too short", bf16_too_short, SIGABRT, "norm: y [64 bytes] runs out of its allocation"},
    {"output over input", output_over_input, SIGABRT, "linear: y overlaps x"},
    {"gradient over activations", gradient_over_activations, SIGABRT, "score_backward: dx overlaps x"},
    {"weight as array", weight_as_array, SIGABRT, "linear: x overlaps the memory of a weight"},
    {"wrong use", wrong_use, SIGABRT, "linear_backward: w was not made for this use"},
    {"freed weight", freed_weight, SIGABRT, "linear: w is not a living weight"},
    {"index out of range", index_out_of_range, SIGABRT, "gather_rows: src"},
    {"index twice", index_twice, SIGABRT, "scatter_rows: index names row 1 twice"},
    {"span past the rows", span_past_the_rows, SIGABRT, "attention: extent.rows is 2, and a span has query 2"},
    {"longest queries too few", longest_queries_too_few, SIGABRT,
     "attention_backward: extent.longest_queries is 2, and the longest span has 3"},
    {"longest keys too many", longest_keys_too_many, SIGABRT,
     "attention_backward: extent.longest_keys is 4, and the longest span has 3"},
    {"span past the keys", span_past_the_keys, SIGABRT, "attention: k"},
    {"spans share queries", spans_share_queries, SIGABRT, "attention: spans [0] and [1] share queries"},
    {"decode span in training", decode_span_in_training, SIGABRT,
     "attention_backward: spans [0] is not a training span"},
    {"child without parent", child_without_parent, SIGABRT, "spans [1] does not stand behind its parent"},
    {"tensors overlap", tensors_overlap, SIGABRT, "sum_squares: tensors [1] begins at 8, before the end of"},
    {"tensors not in order", tensors_not_in_order, SIGABRT, "sum_squares: tensors [1] begins at 0, before the end of"},
    {"tensor out of the arena", tensor_out_of_the_arena, SIGABRT,
     "sum_squares: tensors [1] of 17 elements runs out of the arena"},
    {"moment over gradient", moment_over_gradient, SIGABRT, "adamw: m overlaps grad"},
    {"upload too long", upload_too_long, SIGABRT, "upload: device [132 bytes] runs out of its allocation"},
    {"upload from device", upload_from_device, SIGABRT, "upload: host is device memory"},
    {"download to device", download_to_device, SIGABRT, "download_begin: host is device memory"},
    {"release twice", release_twice, SIGABRT, "release: memory was not given"},
    {"release under a weight", release_under_a_weight, SIGABRT, "release: memory is still the memory of a weight"},
    {"weight freed twice", weight_freed_twice, SIGABRT, "weight_free: weight is not a living weight"},
    {"weight memory too short", weight_memory_too_short, SIGABRT, "weight_create: memory"},
    {"left behind", left_behind, SIGABRT, "free: blocks of memory are left: 4"},
    {"not reserved", not_reserved, SIGABRT, "fill: reserve() was not called"},
    {"red zone", red_zone, SIGABRT, "synchronize: block of 12 bytes was written to behind its end"},
};

/* Commits the breach in a child; returns how it ended and what it wrote to standard error. */
static int in_child(const struct breach *breach, char *text, size_t size)
{
    int lines[2], status;
    assert_int_equal(pipe(lines), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct device device;
        signal(SIGSEGV, SIG_DFL); /* cmocka and the sanitizers have handlers of their own */
        signal(SIGABRT, SIG_DFL);
        dup2(lines[1], STDERR_FILENO);
        open_device(&device);
        breach->commit(&device);
        _exit(0);
    }
    close(lines[1]);
    size_t length = 0;
    ssize_t got;
    while ((got = read(lines[0], text + length, size - 1 - length)) > 0) {
        length += (size_t)got;
    }
    text[length] = '\0';
    close(lines[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_breaches(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof breaches / sizeof *breaches; i++) {
        char text[4096];
        int status = in_child(&breaches[i], text, sizeof text);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != breaches[i].signal) {
            fail_msg("'%s' was not caught (status %d): %s", breaches[i].name, status, text);
        }
        if (strstr(text, breaches[i].words) == NULL) {
            fail_msg("'%s' said \"%s\", not \"%s\"", breaches[i].name, text, breaches[i].words);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_late_and_in_order),
        cmocka_unit_test(test_memory_is_zeroed_and_aligned),
        cmocka_unit_test(test_counts_allocations),
        cmocka_unit_test(test_a_broken_device_says_so),
        cmocka_unit_test(test_out_of_memory_is_said_at_synchronize),
        cmocka_unit_test(test_breaches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
