/* tests/backend/helper_cases_attention.c - cases of rotary positions and attention; see helper_cases.h. */
#include "helper_cases.h"
#include "support/cmocka.h"
#include "support/reference_backend.h"
#include <math.h>
#include <string.h>

/* ---- rotary positions ---- */

void case_rotation(struct op_case *c, const struct rotation_spec *spec)
{
    op_begin(c, BACKEND_rotation, "%d rows of %d, factor %g", spec->rows, spec->rotary, (double)spec->attention_factor);
    struct rotation_args *a = &c->arguments.rotation;
    a->rotary = spec->rotary;
    a->attention_factor = spec->attention_factor == 0 ? 1 : spec->attention_factor;
    OP_ROW_COUNT(c, a, rows, spec->rows);
    int32_t *positions = OP_ROWS(c, a, positions, OP_INPUT, 1);
    for (int32_t r = 0; r < spec->rows; r++) {
        positions[r] = r * 37 % 4096;
    }
    positions[spec->rows - 1] = spec->rows == 1 ? 0 : 3000000;
    float *frequencies = OP_ARRAY(c, a, frequencies, OP_INPUT, spec->rotary / 2);
    for (int32_t i = 0; i < spec->rotary / 2; i++) {
        frequencies[i] = powf(10000, -2.0F * (float)i / (float)spec->rotary);
    }
    OP_ROWS(c, a, table, OP_SET, spec->rotary);
    /* cos and sin of angles of thousands of radians, taken in f32 */
    c->tolerance[DTYPE_F32] = c->tolerance[DTYPE_BF16] = (struct op_tolerance){1e-9, 0.01};
    c->limits = (struct backend_limits){.rows = spec->rows, .head_size = spec->rotary};
    c->bytes = 4.0 * spec->rows * spec->rotary;
}

void case_rope(struct op_case *c, const struct rope_spec *spec)
{
    op_begin(c, BACKEND_rope, "%d rows, %d heads of %d, %d turned%s", spec->rows, spec->heads, spec->head_size,
             spec->rotary, spec->inverse ? ", inverse" : "");
    struct rope_args *a = &c->arguments.rope;
    a->heads = spec->heads;
    a->head_size = spec->head_size;
    a->rotary = spec->rotary;
    a->inverse = spec->inverse;
    OP_ROW_COUNT(c, a, rows, spec->rows);
    OP_ROWS(c, a, x, OP_ADDED, (int64_t)spec->heads * spec->head_size);
    OP_ROWS(c, a, table, OP_INPUT, spec->rotary);
    c->limits = (struct backend_limits){.rows = spec->rows,
                                        .columns = spec->heads * spec->head_size,
                                        .heads = spec->heads,
                                        .kv_heads = spec->heads,
                                        .head_size = spec->head_size};
    c->bytes = 8.0 * spec->rows * spec->heads * spec->head_size;
}

void cases_rotation(case_visit visit, void *context)
{
    const struct rotation_spec specs[] = {
        {.rows = 1, .rotary = 2},
        {.rows = 3, .rotary = 16},
        {.rows = 65, .rotary = 64},
        {.rows = 33, .rotary = 20, .attention_factor = 1.3F},
        {.rows = 65, .rotary = 128, .attention_factor = 0.8F},
        {.rows = 9, .rotary = 298},
    };
    CASES(rotation, specs);
}

void cases_rope(case_visit visit, void *context)
{
    const struct rope_spec specs[] = {
        {.rows = 1, .heads = 1, .head_size = 8, .rotary = 8},
        {.rows = 3, .heads = 2, .head_size = 16, .rotary = 16, .inverse = true},
        {.rows = 65, .heads = 9, .head_size = 64, .rotary = 64},
        {.rows = 33, .heads = 3, .head_size = 80, .rotary = 20},
        {.rows = 65, .heads = 2, .head_size = 128, .rotary = 128, .inverse = true},
        {.rows = 2, .heads = 1, .head_size = 6, .rotary = 2},
        {.rows = 9, .heads = 2, .head_size = 300, .rotary = 298},
    };
    CASES(rope, specs);
}

/* ---- attention ---- */

static int32_t larger(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

struct span_sizes {
    int32_t spans, queries, keys;
    double pairs; /* of a query and a key that it sees */
};

static struct span_sizes measure(const struct attention_span *spans)
{
    struct span_sizes sizes = {0};
    for (; spans[sizes.spans].queries > 0; sizes.spans++) {
        const struct attention_span *s = &spans[sizes.spans];
        sizes.queries = larger(sizes.queries, s->query + s->queries);
        sizes.keys = larger(sizes.keys, larger(s->key + s->keys, s->parent + s->parent_keys));
        sizes.pairs += s->queries * (s->parent_keys + s->keys - 0.5 * (s->queries - 1));
    }
    return sizes;
}

static void describe_attention(struct op_case *c, enum backend_operation operation, const struct attention_spec *spec,
                               const struct span_sizes *sizes)
{
    op_begin(c, operation, "%d spans, %d queries, %d keys, %d / %d heads of %d%s", sizes->spans, sizes->queries,
             sizes->keys, spec->heads, spec->kv_heads, spec->head_size, spec->no_lse ? ", no lse" : "");
    /* Probabilities may be rounded, each backend at its own place. */
    c->tolerance[DTYPE_BF16] = (struct op_tolerance){5e-4, 0.01};
    c->limits = (struct backend_limits){.rows = larger(sizes->queries, sizes->keys),
                                        .columns = spec->heads * spec->head_size,
                                        .spans = sizes->spans,
                                        .heads = spec->heads,
                                        .kv_heads = spec->kv_heads,
                                        .head_size = spec->head_size};
    c->flops = 4.0 * sizes->pairs * spec->heads * spec->head_size;
}

static void sharpen(float *q, int64_t count, const struct attention_spec *spec)
{
    for (int64_t i = 0; spec->sharpness != 0 && i < count; i++) {
        q[i] *= spec->sharpness;
    }
}

void case_attention(struct op_case *c, const struct attention_spec *spec)
{
    struct span_sizes sizes = measure(spec->spans);
    int64_t queries = (int64_t)sizes.queries * spec->heads * spec->head_size;
    int64_t keys = (int64_t)sizes.keys * spec->kv_heads * spec->head_size;
    describe_attention(c, BACKEND_attention, spec, &sizes);
    struct attention_args *a = &c->arguments.attention;
    a->span_count = sizes.spans;
    a->extent = attention_extent(spec->spans, sizes.spans);
    a->heads = spec->heads;
    a->kv_heads = spec->kv_heads;
    a->head_size = spec->head_size;
    a->scale = 1 / sqrtf((float)spec->head_size);
    sharpen(OP_ARRAY(c, a, q, OP_INPUT, queries), queries, spec);
    OP_ARRAY(c, a, k, OP_INPUT, keys);
    OP_ARRAY(c, a, v, OP_INPUT, keys);
    memcpy(OP_ARRAY(c, a, spans, OP_INPUT, sizes.spans), spec->spans, (size_t)sizes.spans * sizeof *spec->spans);
    OP_ARRAY(c, a, out, OP_SET, queries);
    if (!spec->no_lse) {
        OP_ARRAY(c, a, lse, OP_SET, (int64_t)sizes.queries * spec->heads);
    }
}

void case_attention_backward(struct op_case *c, const struct attention_spec *spec)
{
    struct op_case forward;
    struct op_result outputs;
    struct backend *backend;
    struct err err;
    case_attention(&forward, spec);
    assert_int_equal(reference_backend_create(&backend, DTYPE_F32, &err), 0);
    op_run(&outputs, backend, &forward, 0);

    struct span_sizes sizes = measure(spec->spans);
    int64_t queries = op_count(&forward, "q"), keys = op_count(&forward, "k");
    describe_attention(c, BACKEND_attention_backward, spec, &sizes);
    /* dout v - dout out cancels, for a token that sees itself alone entirely. */
    c->tolerance[DTYPE_F32] = (struct op_tolerance){1e-9, 0.01};
    c->tolerance[DTYPE_BF16] = (struct op_tolerance){5e-4, 0.25};
    c->flops *= 2.5; /* five products where the forward pass has two */
    struct attention_backward_args *a = &c->arguments.attention_backward;
    a->span_count = sizes.spans;
    a->extent = attention_extent(spec->spans, sizes.spans);
    a->heads = spec->heads;
    a->kv_heads = spec->kv_heads;
    a->head_size = spec->head_size;
    a->scale = forward.arguments.attention.scale;
    sharpen(OP_ARRAY(c, a, q, OP_INPUT, queries), queries, spec);
    OP_ARRAY(c, a, k, OP_INPUT, keys);
    OP_ARRAY(c, a, v, OP_INPUT, keys);
    memcpy(OP_ARRAY(c, a, spans, OP_INPUT, sizes.spans), spec->spans, (size_t)sizes.spans * sizeof *spec->spans);
    memcpy(OP_ARRAY(c, a, out, OP_INPUT, queries), op_output(&outputs, &forward, "out"), (size_t)queries * 4);
    memcpy(OP_ARRAY(c, a, lse, OP_INPUT, (int64_t)sizes.queries * spec->heads), op_output(&outputs, &forward, "lse"),
           (size_t)(sizes.queries * spec->heads) * 4);
    OP_ARRAY(c, a, dout, OP_INPUT, queries);
    OP_ARRAY(c, a, dq, OP_SET, queries);
    OP_ARRAY(c, a, dk, OP_SET, keys);
    OP_ARRAY(c, a, dv, OP_SET, keys);

    op_result_free(&outputs);
    op_free(&forward);
    backend->free(backend);
}

static const struct attention_spec training_specs[] = {
    {.heads = 1, .kv_heads = 1, .head_size = 8, .spans = SPANS_ONE(1)},
    {.heads = 1, .kv_heads = 1, .head_size = 16, .spans = SPANS_ONE(65)},
    {.heads = 9, .kv_heads = 3, .head_size = 64, .spans = SPANS_PACKED},
    {.heads = 4, .kv_heads = 1, .head_size = 80, .spans = SPANS_FAMILIES},
    {.heads = 2, .kv_heads = 2, .head_size = 128, .spans = SPANS_FAMILIES},
    {.heads = 3, .kv_heads = 3, .head_size = 20, .spans = SPANS_PACKED},
    {.heads = 2, .kv_heads = 1, .head_size = 16, .spans = SPANS_ONE(300)},
    {.heads = 2, .kv_heads = 1, .head_size = 16, .spans = SPANS_LONG_FAMILY},
    {.heads = 2, .kv_heads = 1, .head_size = 32, .sharpness = 4, .spans = SPANS_FAMILIES},
};

void cases_attention(case_visit visit, void *context)
{
    CASES(attention, training_specs);
    const struct attention_spec specs[] = {
        {.heads = 3, .kv_heads = 1, .head_size = 64, .no_lse = true, .spans = SPANS_PACKED},
        {.heads = 9, .kv_heads = 3, .head_size = 64, .spans = SPANS_DECODE},
        {.heads = 2, .kv_heads = 2, .head_size = 8, .no_lse = true, .spans = SPANS_DECODE},
        {.heads = 8, .kv_heads = 1, .head_size = 128, .spans = SPANS_DECODE},
        {.heads = 2, .kv_heads = 1, .head_size = 32, .sharpness = 100, .spans = SPANS_FAMILIES},
        /* a prompt continued in pieces: 30 new tokens on a cache of 50 */
        {.heads = 4, .kv_heads = 2, .head_size = 16, .spans = {{0, 30, 10, 80, 0, 0}, {30, 5, 90, 5, 10, 80}}},
        /* rows of q and k that no span covers */
        {.heads = 2, .kv_heads = 1, .head_size = 16, .spans = {{3, 4, 3, 4, 0, 0}, {10, 2, 10, 2, 3, 4}}},
    };
    CASES(attention, specs);
}

void cases_attention_backward(case_visit visit, void *context)
{
    CASES(attention_backward, training_specs);
    const struct attention_spec specs[] = {
        {.heads = 2, .kv_heads = 1, .head_size = 16, .spans = {{3, 4, 3, 4, 0, 0}, {10, 2, 10, 2, 3, 4}}},
    };
    CASES(attention_backward, specs);
}
