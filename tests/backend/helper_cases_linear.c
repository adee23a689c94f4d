/* tests/backend/helper_cases_linear.c - cases of the embedding, the products and the vocabulary; see helper_cases.h. */
#include "base/random.h"
#include "helper_cases.h"
#include "support/cmocka.h"
#include "support/reference_backend.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Operands are rounded to bf16 on both sides and sums are long enough to differ in f32 only. */
#define TOLERANCE_PRODUCTS_BF16 ((struct op_tolerance){1e-6, 0.01})
/* Gradients of logits are rounded again on their way into a product; just where depends on the backend. */
#define TOLERANCE_VOCABULARY_BF16 ((struct op_tolerance){5e-4, 0.01})

static int32_t largest(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* A factor left out of a spec is 1. */
static float scale_of(float scale)
{
    return scale == 0 ? 1 : scale;
}

static void draw_ids(int32_t *ids, int64_t count, int32_t below)
{
    for (int64_t i = 0; i < count; i++) {
        ids[i] = (int32_t)(random_u64(5, RANDOM_INIT, 1, (uint64_t)i) % (uint64_t)below);
    }
}

/* ---- embedding ---- */

void case_embed(struct op_case *c, const struct embed_spec *spec)
{
    op_begin(c, BACKEND_embed, "%d rows of %d columns, table of %d in %s, scale %g", spec->rows, spec->columns,
             spec->vocabulary, dtype_name(spec->dtype), (double)scale_of(spec->scale));
    struct embed_args *a = &c->arguments.embed;
    a->scale = scale_of(spec->scale);
    OP_ROW_COUNT(c, a, rows, spec->rows);
    OP_WEIGHT(c, a, table, spec->vocabulary, spec->columns, spec->dtype, WEIGHT_LOOKUP);
    draw_ids(OP_ROWS(c, a, ids, OP_INPUT, 1), spec->rows, spec->vocabulary);
    OP_ROWS(c, a, out, OP_SET, spec->columns);
    c->limits = (struct backend_limits){.rows = spec->rows, .columns = spec->columns};
    c->bytes = 8.0 * spec->rows * spec->columns;
}

void case_embed_backward(struct op_case *c, const struct embed_spec *spec)
{
    op_begin(c, BACKEND_embed_backward, "%d rows of %d columns, table of %d, scale %g", spec->rows, spec->columns,
             spec->vocabulary, (double)scale_of(spec->scale));
    struct embed_backward_args *a = &c->arguments.embed_backward;
    a->columns = spec->columns;
    a->vocabulary = spec->vocabulary;
    a->scale = scale_of(spec->scale);
    OP_ROW_COUNT(c, a, rows, spec->rows);
    draw_ids(OP_ROWS(c, a, ids, OP_INPUT, 1), spec->rows, spec->vocabulary);
    OP_ROWS(c, a, dout, OP_INPUT, spec->columns);
    OP_ARRAY(c, a, dtable, OP_ADDED, (int64_t)spec->vocabulary * spec->columns);
    c->limits = (struct backend_limits){.rows = spec->rows, .columns = spec->columns};
    c->bytes = 12.0 * spec->rows * spec->columns;
}

static const struct embed_spec embed_specs[] = {
    {.rows = 1, .columns = 8, .vocabulary = 3},
    {.rows = 65, .columns = 33, .vocabulary = 97, .dtype = DTYPE_BF16},
    {.rows = 65, .columns = 64, .vocabulary = 1000, .dtype = DTYPE_BF16, .scale = 8},
    {.rows = 7, .columns = 100, .vocabulary = 97, .dtype = DTYPE_F16},
    {.rows = 130, .columns = 31, .vocabulary = 5, .scale = 0.5F},
};

void cases_embed(case_visit visit, void *context)
{
    CASES(embed, embed_specs);
}

void cases_embed_backward(case_visit visit, void *context)
{
    CASES(embed_backward, embed_specs);
}

/* ---- products ---- */

static int32_t layer_count(const struct linear_spec *spec)
{
    int32_t count = 1;
    while (count < LINEAR_GROUP && spec->more_outputs[count - 1] > 0) {
        count++;
    }
    return count;
}

static int32_t layer_outputs(const struct linear_spec *spec, int32_t layer)
{
    return layer == 0 ? spec->outputs : spec->more_outputs[layer - 1];
}

static bool in_set(unsigned layers, int32_t layer)
{
    return (layers >> layer & 1) != 0;
}

static int32_t layer_rank(const struct linear_spec *spec, int32_t layer)
{
    return spec->rank > 0 && !in_set(spec->plain, layer) ? spec->rank + layer : 0;
}

static void describe_set(struct op_case *c, const char *what, unsigned layers)
{
    size_t length = strlen(c->name);
    if (layers != 0) {
        snprintf(c->name + length, sizeof c->name - length, ", %s %x", what, layers);
    }
}

static void describe_dropout(struct op_case *c, float probability)
{
    size_t length = strlen(c->name);
    if (probability != 0) {
        snprintf(c->name + length, sizeof c->name - length, ", dropout %g", (double)fmaxf(probability, 0));
    }
}

/* Keys that differ in both of their halves. */
static void add_dropout(struct op_case *c, struct dropout *dropout, float probability)
{
    if (probability == 0) {
        return;
    }
    uint64_t *keys = op_array(c, "dropout.keys", &dropout->keys, OP_U64, OP_INPUT, c->rows, 1, true);
    for (int64_t r = 0; r < c->rows; r++) {
        keys[r] = (uint64_t)r << 33 | (uint64_t)(r % 5);
    }
    dropout->seed = 1234567890123;
    dropout->probability = fmaxf(probability, 0);
}

static void describe_linear(struct op_case *c, enum backend_operation operation, const struct linear_spec *spec)
{
    op_begin(c, operation, "%d rows, %d -> %d + %d + %d, rank %d, %s, scale %g%s%s%s", spec->rows, spec->inputs,
             spec->outputs, spec->more_outputs[0], spec->more_outputs[1], spec->rank, dtype_name(spec->dtype),
             (double)scale_of(spec->scale), spec->bias ? ", bias" : "", spec->no_dx ? ", no dx" : "",
             spec->no_dw ? ", no dw" : "");
    describe_set(c, "plain", spec->plain);
    describe_dropout(c, spec->dropout);
    describe_set(c, "only u", spec->only_u);
    c->tolerance[DTYPE_BF16] = TOLERANCE_PRODUCTS_BF16;
    c->limits = (struct backend_limits){.rows = spec->rows, .columns = spec->inputs};
}

/* The part of one layer in the limits and in the work: B always, the product with W and that with A where they are. */
static void count_layer(struct op_case *c, const struct linear_spec *spec, int32_t layer, bool product, bool a)
{
    const int32_t outputs = layer_outputs(spec, layer), rank = layer_rank(spec, layer);
    const double weights = product ? (double)spec->inputs * outputs : 0;
    c->limits.columns = largest(c->limits.columns, largest(outputs, rank));
    c->flops += 2.0 * spec->rows * (weights + (double)rank * outputs + (a ? (double)rank * spec->inputs : 0));
    c->bytes += 4.0 * spec->rows * (spec->inputs + (double)outputs) + (double)dtype_size(spec->dtype) * weights;
}

static void add_linear_layer(struct op_case *c, struct linear_args *a, const struct linear_spec *spec, int32_t i)
{
    struct linear_layer *layer = &a->layers[i];
    const int32_t outputs = layer_outputs(spec, i), rank = layer_rank(spec, i);
    op_weight(c, LAYER_FIELD(i, w), &layer->w,
              (struct weight_shape){outputs, spec->inputs, spec->dtype, WEIGHT_FORWARD});
    if (spec->bias) {
        op_array(c, LAYER_FIELD(i, bias), &layer->bias, OP_F32, OP_INPUT, outputs, 1, false);
    }
    if (rank > 0) {
        op_weight(c, LAYER_FIELD(i, a), &layer->a,
                  (struct weight_shape){rank, spec->inputs, DTYPE_F32, WEIGHT_FORWARD | WEIGHT_BACKWARD});
        op_weight(c, LAYER_FIELD(i, b), &layer->b,
                  (struct weight_shape){outputs, rank, DTYPE_F32, WEIGHT_FORWARD | WEIGHT_BACKWARD});
        op_array(c, LAYER_FIELD(i, u), &layer->u, OP_F32, OP_SET, c->rows, rank, true);
        layer->scale = scale_of(spec->scale) + (float)i;
        layer->stream = 7 + (uint32_t)i;
    }
    if (!in_set(spec->only_u, i)) {
        op_array(c, LAYER_FIELD(i, y), &layer->y, OP_F32, OP_SET, c->rows, outputs, true);
    }
    count_layer(c, spec, i, layer->y != NULL, true);
}

void case_linear(struct op_case *c, const struct linear_spec *spec)
{
    describe_linear(c, BACKEND_linear, spec);
    struct linear_args *a = &c->arguments.linear;
    a->layer_count = layer_count(spec);
    OP_DTYPE(c, a, x_dtype, spec->x_dtype);
    OP_ROW_COUNT(c, a, rows, spec->rows);
    OP_ROWS_OF(c, a, x, x_dtype, OP_INPUT, spec->inputs);
    for (int32_t i = 0; i < a->layer_count; i++) {
        add_linear_layer(c, a, spec, i);
    }
    add_dropout(c, &a->dropout, spec->dropout);
}

static void add_linear_gradient(struct op_case *c, struct linear_backward_args *a, const struct linear_spec *spec,
                                int32_t i)
{
    struct linear_gradient *layer = &a->layers[i];
    const int32_t outputs = layer_outputs(spec, i), rank = layer_rank(spec, i);
    op_weight(c, LAYER_FIELD(i, w), &layer->w,
              (struct weight_shape){outputs, spec->inputs, spec->dtype, WEIGHT_FORWARD | WEIGHT_BACKWARD});
    op_array(c, LAYER_FIELD(i, dy), &layer->dy, op_element(spec->dy_dtype), OP_INPUT, c->rows, outputs, true);
    if (rank > 0) {
        op_weight(c, LAYER_FIELD(i, b), &layer->b, (struct weight_shape){outputs, rank, DTYPE_F32, WEIGHT_BACKWARD});
        op_array(c, LAYER_FIELD(i, du), &layer->du, OP_F32, OP_SET, c->rows, rank, true);
        layer->scale = scale_of(spec->scale) + (float)i;
        layer->stream = 7 + (uint32_t)i;
        op_weight(c, LAYER_FIELD(i, a), &layer->a,
                  (struct weight_shape){rank, spec->inputs, DTYPE_F32, WEIGHT_BACKWARD});
    }
    count_layer(c, spec, i, !spec->no_dx, !spec->no_dx);
}

void case_linear_backward(struct op_case *c, const struct linear_spec *spec)
{
    describe_linear(c, BACKEND_linear_backward, spec);
    struct linear_backward_args *a = &c->arguments.linear_backward;
    a->layer_count = layer_count(spec);
    OP_DTYPE(c, a, dy_dtype, spec->dy_dtype);
    OP_ROW_COUNT(c, a, rows, spec->rows);
    for (int32_t i = 0; i < a->layer_count; i++) {
        add_linear_gradient(c, a, spec, i);
    }
    add_dropout(c, &a->dropout, spec->dropout);
    if (!spec->no_dx) {
        OP_ROWS(c, a, dx, OP_SET, spec->inputs);
    }
}

/* Of the first layer: its gradient is an operation by itself. */
void case_linear_weight_backward(struct op_case *c, const struct linear_spec *spec)
{
    describe_linear(c, BACKEND_linear_weight_backward, spec);
    struct linear_weight_backward_args *a = &c->arguments.linear_weight_backward;
    a->scale = scale_of(spec->scale);
    a->outputs = spec->outputs;
    a->inputs = spec->inputs;
    OP_DTYPE(c, a, dy_dtype, spec->dy_dtype);
    OP_DTYPE(c, a, x_dtype, spec->x_dtype);
    OP_ROW_COUNT(c, a, rows, spec->rows);
    OP_ROWS_OF(c, a, dy, dy_dtype, OP_INPUT, spec->outputs);
    OP_ROWS_OF(c, a, x, x_dtype, OP_INPUT, spec->inputs);
    a->stream = 9;
    add_dropout(c, &a->dropout, spec->dropout);
    if (!spec->no_dw) {
        OP_ARRAY(c, a, dw, OP_ADDED, (int64_t)spec->outputs * spec->inputs);
    }
    if (spec->bias) {
        OP_ARRAY(c, a, dbias, OP_ADDED, spec->outputs);
    }
    c->limits.columns = largest(spec->inputs, spec->outputs);
    c->flops = 2.0 * spec->rows * spec->inputs * (double)spec->outputs;
}

/* One layer, and the gradients by its weights. */
static const struct linear_spec linear_specs[] = {
    {.rows = 1, .inputs = 1, .outputs = 1},
    {.rows = 1, .inputs = 64, .outputs = 64, .bias = true},
    {.rows = 2, .inputs = 33, .outputs = 97, .rank = 2, .scale = 0.5F},
    {.rows = 3, .inputs = 576, .outputs = 192, .dtype = DTYPE_BF16},
    {.rows = 5, .inputs = 100, .outputs = 48, .dtype = DTYPE_F16},
    {.rows = 16, .inputs = 64, .outputs = 32, .bias = true, .rank = 16, .scale = -2},
    {.rows = 17, .inputs = 31, .outputs = 15, .dtype = DTYPE_BF16, .bias = true, .rank = 1},
    {.rows = 31, .inputs = 48, .outputs = 65, .rank = 3},
    {.rows = 32, .inputs = 64, .outputs = 64, .dtype = DTYPE_BF16, .rank = 4},
    {.rows = 33, .inputs = 192, .outputs = 100, .rank = 7, .bias = true, .dropout = 0.3F},
    {.rows = 65, .inputs = 64, .outputs = 130, .dtype = DTYPE_F16, .rank = 8},
    {.rows = 65, .inputs = 129, .outputs = 96, .rank = 15},
    {.rows = 130, .inputs = 96, .outputs = 257, .dtype = DTYPE_BF16, .rank = 16, .bias = true},
    {.rows = 130, .inputs = 1536, .outputs = 16, .scale = 2},
    {.rows = 70, .inputs = 16, .outputs = 576},
    {.rows = 600, .inputs = 40, .outputs = 300, .bias = true},
    {.rows = 20, .inputs = 1100, .outputs = 1030, .dtype = DTYPE_BF16, .rank = 16},
    {.rows = 790, .inputs = 600, .outputs = 70, .dtype = DTYPE_BF16, .rank = 5},
    {.rows = 790, .inputs = 50, .outputs = 1100, .bias = true},
    {.rows = 400, .inputs = 2100, .outputs = 33},
    {.rows = 60, .inputs = 33, .outputs = 97, .rank = 6, .only_u = LAYERS_ALL, .no_dx = true},
};

/* Groups: low-rank terms in all or some, sizes that fill vectors and panels and sizes that do not, few rows and many.
 */
static const struct linear_spec group_specs[] = {
    {.rows = 1, .inputs = 64, .outputs = 64, .more_outputs = {32, 32}, .dtype = DTYPE_BF16, .bias = true},
    {.rows = 7, .inputs = 33, .outputs = 97, .more_outputs = {15}, .rank = 3, .bias = true, .scale = 0.25F},
    {.rows = 65, .inputs = 96, .outputs = 33, .more_outputs = {128, 70}, .rank = 8, .plain = 2, .dropout = 0.1F},
    {.rows = 40, .inputs = 100, .outputs = 48, .more_outputs = {1, 16}, .rank = 5, .plain = 1, .only_u = 4},
    {.rows = 790, .inputs = 144, .outputs = 144, .more_outputs = {48, 48}, .dtype = DTYPE_BF16, .rank = 16},
    {.rows = 790, .inputs = 129, .outputs = 70, .more_outputs = {33, 47}, .rank = 4, .dropout = 0.05F, .bias = true},
    {.rows = 500, .inputs = 64, .outputs = 200, .more_outputs = {200}, .dtype = DTYPE_F16, .no_dx = true, .rank = 8},
    {.rows = 400, .inputs = 2100, .outputs = 33, .more_outputs = {17, 64}, .rank = 2, .only_u = 1},
    {.rows = 100, .inputs = 150, .outputs = 96, .more_outputs = {40, 97}, .rank = 127},
    {.rows = 330, .inputs = 260, .outputs = 65, .more_outputs = {256}, .dtype = DTYPE_BF16, .rank = 200, .bias = true},
    {.rows = 110, .inputs = 1300, .outputs = 60, .more_outputs = {33}, .rank = 40, .dropout = 0.5F},
    {.rows = 3, .inputs = 1024, .outputs = 64, .more_outputs = {32, 32}, .rank = 16, .dropout = 0.9F},
    {.rows = 20, .inputs = 70, .outputs = 40, .more_outputs = {9}, .rank = 3, .dropout = -1},
};

/* Dropout in the gradient of a: whole panels and parts of one, a few rows and several blocks, dw and its transpose. */
static const struct linear_spec dropout_specs[] = {
    {.rows = 1, .inputs = 5, .outputs = 3, .dropout = 0.5F},
    {.rows = 65, .inputs = 64, .outputs = 2, .dropout = 0.3F},
    {.rows = 301, .inputs = 600, .outputs = 16, .dropout = 0.1F, .scale = -0.5F},
    {.rows = 70, .inputs = 300, .outputs = 5, .dropout = 0.9F},
    {.rows = 600, .inputs = 17, .outputs = 40, .dropout = 0.2F},
    {.rows = 33, .inputs = 130, .outputs = 8, .dropout = -1},
    {.rows = 301, .inputs = 331, .outputs = 16, .dropout = 0.1F, .x_dtype = DTYPE_BF16},
    {.rows = 520, .inputs = 20, .outputs = 33, .dropout = 0.4F, .x_dtype = DTYPE_BF16},
};

/* Rows in bf16; by the weights: dy, x, or both. */
static const struct linear_spec bf16_specs[] = {
    {.rows = 1, .inputs = 33, .outputs = 97, .x_dtype = DTYPE_BF16, .dy_dtype = DTYPE_BF16, .bias = true},
    {.rows = 65, .inputs = 97, .outputs = 33, .rank = 3, .x_dtype = DTYPE_BF16, .dy_dtype = DTYPE_BF16},
    {.rows = 33, .inputs = 31, .outputs = 15, .dtype = DTYPE_BF16, .x_dtype = DTYPE_BF16, .dy_dtype = DTYPE_BF16},
    {.rows = 130, .inputs = 1100, .outputs = 48, .bias = true, .x_dtype = DTYPE_BF16, .dy_dtype = DTYPE_BF16},
    {.rows = 790,
     .inputs = 131,
     .outputs = 97,
     .more_outputs = {33, 15},
     .rank = 6,
     .dropout = 0.2F,
     .bias = true,
     .x_dtype = DTYPE_BF16,
     .dy_dtype = DTYPE_BF16},
    {.rows = 800,
     .inputs = 128,
     .outputs = 128,
     .more_outputs = {64, 64},
     .dtype = DTYPE_BF16,
     .rank = 16,
     .x_dtype = DTYPE_BF16,
     .dy_dtype = DTYPE_BF16},
    {.rows = 300,
     .inputs = 67,
     .outputs = 2100,
     .rank = 9,
     .only_u = 1,
     .no_dx = true,
     .x_dtype = DTYPE_BF16,
     .dy_dtype = DTYPE_BF16},
    {.rows = 400, .inputs = 2100, .outputs = 35, .rank = 4, .x_dtype = DTYPE_BF16, .dy_dtype = DTYPE_BF16},
};

void cases_linear(case_visit visit, void *context)
{
    CASES(linear, linear_specs);
    CASES(linear, group_specs);
    CASES(linear, bf16_specs);
}

void cases_linear_backward(case_visit visit, void *context)
{
    CASES(linear_backward, linear_specs);
    CASES(linear_backward, group_specs);
    CASES(linear_backward, bf16_specs);
}

void cases_linear_weight_backward(case_visit visit, void *context)
{
    CASES(linear_weight_backward, linear_specs);
    CASES(linear_weight_backward, bf16_specs);
    CASES(linear_weight_backward, dropout_specs);
    const struct linear_spec others[] = {
        {.rows = 65, .inputs = 33, .outputs = 97, .bias = true, .no_dw = true},
        {.rows = 65, .inputs = 33, .outputs = 97, .bias = true, .no_dw = true, .dy_dtype = DTYPE_BF16},
        {.rows = 601, .inputs = 7, .outputs = 97, .bias = true, .dy_dtype = DTYPE_BF16},
        {.rows = 301, .inputs = 97, .outputs = 5, .scale = 0.5F, .x_dtype = DTYPE_BF16},
        {.rows = 301, .inputs = 5, .outputs = 97, .scale = 0.5F, .x_dtype = DTYPE_BF16},
        {.rows = 270, .inputs = 129, .outputs = 193, .bias = true, .x_dtype = DTYPE_BF16},
    };
    CASES(linear_weight_backward, others);
}

/* ---- vocabulary ---- */

static struct vocabulary_args *begin_vocabulary(struct op_case *c, enum backend_operation operation,
                                                const struct vocabulary_spec *spec, unsigned uses)
{
    op_begin(c, operation, "%d rows of %d columns, vocabulary %d in %s, 1/temperature %g%s%s%s%s", spec->rows,
             spec->columns, spec->vocabulary, dtype_name(spec->dtype), (double)scale_of(spec->inverse_temperature),
             spec->entropy ? ", entropy" : "", spec->argmax ? ", argmax" : "", spec->dw ? ", dw" : "",
             spec->twins ? ", twins" : "");
    struct vocabulary_args *a = &c->arguments.vocabulary;
    a->inverse_temperature = scale_of(spec->inverse_temperature);
    OP_ROW_COUNT(c, a, rows, spec->rows);
    float *w = OP_WEIGHT(c, a, w, spec->vocabulary, spec->columns, spec->dtype, uses);
    for (int64_t row = 1; spec->twins && row < spec->vocabulary; row += 2) {
        memcpy(w + row * spec->columns, w + (row - 1) * spec->columns, (size_t)spec->columns * sizeof *w);
    }
    /* Logits with a spread of 3 make softmax neither flat nor a single one, those with one of 100 do. */
    float *x = OP_ROWS(c, a, x, OP_INPUT, spec->columns);
    for (int64_t i = 0; i < (int64_t)spec->rows * spec->columns; i++) {
        x[i] *= spec->sharp ? 100 : 3;
    }
    draw_ids(OP_ROWS(c, a, targets, OP_INPUT, 1), spec->rows, spec->vocabulary);
    c->tolerance[DTYPE_BF16] = TOLERANCE_VOCABULARY_BF16;
    if (spec->sharp) {
        c->tolerance[DTYPE_F32].error = 1e-8; /* half a bit of a logit of some hundreds */
    }
    c->limits = (struct backend_limits){.rows = spec->rows,
                                        .columns = spec->columns,
                                        .vocabulary = spec->vocabulary,
                                        .vocabulary_columns = spec->columns};
    c->flops = 2.0 * spec->rows * spec->columns * spec->vocabulary;
    return a;
}

static void vocabulary_gradients(struct op_case *c, struct vocabulary_args *a, const struct vocabulary_spec *spec)
{
    OP_ROWS(c, a, dlogprob, OP_INPUT, 1);
    OP_ROWS(c, a, dx, OP_SET, spec->columns);
    if (spec->dw) {
        OP_ARRAY(c, a, dw, OP_ADDED, (int64_t)spec->vocabulary * spec->columns);
    }
    c->flops *= spec->dw ? 3 : 2;
}

void case_vocabulary(struct op_case *c, const struct vocabulary_spec *spec)
{
    struct vocabulary_args *a = begin_vocabulary(c, BACKEND_vocabulary, spec, WEIGHT_FORWARD);
    OP_ROWS(c, a, logprob, OP_SET, 1);
    OP_ROWS(c, a, lse, OP_SET, 1);
    if (spec->entropy) {
        OP_ROWS(c, a, entropy, OP_SET, 1);
    }
    if (spec->argmax) {
        OP_ROWS(c, a, argmax, OP_SET, 1);
    }
}

/* lse and entropy as the forward operation gives them. */
void case_vocabulary_backward(struct op_case *c, const struct vocabulary_spec *spec)
{
    struct vocabulary_args *a =
        begin_vocabulary(c, BACKEND_vocabulary_backward, spec, WEIGHT_FORWARD | WEIGHT_BACKWARD);
    struct vocabulary_spec forward_spec = *spec;
    forward_spec.entropy = true;
    struct op_case forward;
    struct op_result outputs;
    struct backend *backend;
    struct err err;
    case_vocabulary(&forward, &forward_spec);
    assert_int_equal(reference_backend_create(&backend, DTYPE_F32, &err), 0);
    op_run(&outputs, backend, &forward, 0);
    size_t size = (size_t)spec->rows * sizeof(float);
    memcpy(OP_ROWS(c, a, lse, OP_INPUT, 1), op_output(&outputs, &forward, "lse"), size);
    if (spec->entropy) {
        memcpy(OP_ROWS(c, a, entropy, OP_INPUT, 1), op_output(&outputs, &forward, "entropy"), size);
        OP_ROWS(c, a, dentropy, OP_INPUT, 1);
    }
    vocabulary_gradients(c, a, spec);
    op_result_free(&outputs);
    op_free(&forward);
    backend->free(backend);
}

void case_vocabulary_both(struct op_case *c, const struct vocabulary_spec *spec)
{
    struct vocabulary_args *a = begin_vocabulary(c, BACKEND_vocabulary_both, spec, WEIGHT_FORWARD | WEIGHT_BACKWARD);
    OP_ROWS(c, a, logprob, OP_SET, 1);
    OP_ROWS(c, a, lse, OP_SET, 1);
    if (spec->argmax) {
        OP_ROWS(c, a, argmax, OP_SET, 1);
    }
    vocabulary_gradients(c, a, spec);
}

static const struct vocabulary_spec vocabulary_specs[] = {
    {.rows = 1, .columns = 8, .vocabulary = 97, .dw = true},
    {.rows = 1, .columns = 64, .vocabulary = 1000, .dtype = DTYPE_BF16, .entropy = true, .argmax = true},
    {.rows = 65, .columns = 33, .vocabulary = 97, .entropy = true, .inverse_temperature = 2, .dw = true},
    {.rows = 65, .columns = 64, .vocabulary = 1000, .dtype = DTYPE_BF16, .argmax = true, .dw = true},
    {.rows = 40, .columns = 48, .vocabulary = 97, .dtype = DTYPE_F16, .entropy = true, .argmax = true},
    {.rows = 130, .columns = 100, .vocabulary = 2, .inverse_temperature = 0.7F, .entropy = true},
    {.rows = 33, .columns = 64, .vocabulary = 998, .argmax = true, .twins = true},
    {.rows = 3, .columns = 16, .vocabulary = 5003, .entropy = true, .argmax = true, .dw = true},
    {.rows = 20, .columns = 16, .vocabulary = 97, .entropy = true, .argmax = true, .sharp = true},
};

void cases_vocabulary(case_visit visit, void *context)
{
    CASES(vocabulary, vocabulary_specs);
}

void cases_vocabulary_backward(case_visit visit, void *context)
{
    CASES(vocabulary_backward, vocabulary_specs);
}

void cases_vocabulary_both(case_visit visit, void *context)
{
    CASES(vocabulary_both, vocabulary_specs);
}

/* ---- weight_update: the same operations over weights that it filled ---- */

void cases_weight_update(case_visit visit, void *context)
{
    const struct linear_spec linear = {.rows = 33, .inputs = 65, .outputs = 97, .rank = 8};
    const struct linear_spec masters = {.rows = 7, .inputs = 64, .outputs = 96, .dtype = DTYPE_BF16};
    const struct embed_spec embed = {.rows = 20, .columns = 33, .vocabulary = 97};
    const struct vocabulary_spec vocabulary = {.rows = 9, .columns = 64, .vocabulary = 97, .dw = true};
    for (int i = 0; i < 6; i++) {
        struct op_case c;
        switch (i) {
        case 0:
            case_linear(&c, &linear);
            break;
        case 1:
            case_linear_backward(&c, &linear);
            break;
        case 2:
            case_linear(&c, &masters);
            break;
        case 3:
            case_linear_backward(&c, &masters);
            break;
        case 4:
            case_embed(&c, &embed);
            break;
        default:
            case_vocabulary_both(&c, &vocabulary);
            break;
        }
        c.weights_by_update = true;
        case_finish(&c, visit, context);
    }
}
