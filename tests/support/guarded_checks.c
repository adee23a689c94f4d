/* tests/support/guarded_checks.c - see guarded_checks.h. */
#include "support/guarded_checks.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void guarded_breach(const char *operation, const char *field, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "guarded backend: %s: %s ", operation, field);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

static bool overlap(const char *a, size_t a_size, const char *b, size_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

const struct guarded_block *guarded_block_of(const struct guarded_book *book, const void *pointer, size_t size)
{
    const char *start = pointer;
    for (size_t i = 0; i < book->block_count; i++) {
        const struct guarded_block *block = &book->blocks[i];
        if (start >= block->data && start <= block->data + block->size &&
            size <= (size_t)(block->data + block->size - start)) {
            return block;
        }
    }
    return NULL;
}

bool guarded_touches(const struct guarded_book *book, const void *pointer, size_t size)
{
    for (size_t i = 0; i < book->block_count; i++) {
        if (overlap(pointer, size, book->blocks[i].region, book->blocks[i].region_size)) {
            return true;
        }
    }
    return false;
}

void guarded_check_extent(const struct guarded_book *book, const char *operation, const char *field,
                          const void *pointer, size_t size)
{
    if (guarded_block_of(book, pointer, size) == NULL) {
        const char *why = guarded_touches(book, pointer, 1) ? "runs out of its allocation" : "is not device memory";
        guarded_breach(operation, field, "[%zu bytes] %s", size, why);
    }
    for (size_t i = 0; i < book->weight_count; i++) {
        if (overlap(pointer, size, book->weights[i].memory, book->weights[i].size)) {
            guarded_breach(operation, field, "overlaps the memory of a weight, which is the backend's");
        }
    }
}

/* ---- the fields of one call ---- */

#define FIELDS_MAX 16 /* x, and four for each layer of a group */

struct field {
    const char *name, *start;
    size_t size;
    bool written;
    const char *may_be[4]; /* fields at whose place this output may stand */
};

struct checker {
    const struct guarded_book *book;
    const char *operation;
    bool running;
    struct field fields[FIELDS_MAX];
    int count;
};

static void touch(struct checker *c, const char *name, const void *pointer, int64_t count, size_t size, bool written)
{
    if (count < 0) {
        guarded_breach(c->operation, name, "has a negative size");
    }
    if (count == 0) {
        return;
    }
    if (pointer == NULL) {
        guarded_breach(c->operation, name, "is NULL");
    }
    guarded_check_extent(c->book, c->operation, name, pointer, (size_t)count * size);
    c->fields[c->count++] = (struct field){name, pointer, (size_t)count * size, written, {NULL}};
}

static void allow(struct checker *c, const char *output, const char *input)
{
    for (int i = 0; i < c->count; i++) {
        if (strcmp(c->fields[i].name, output) == 0) {
            int n = 0;
            while (c->fields[i].may_be[n] != NULL) {
                n++;
            }
            c->fields[i].may_be[n] = input;
        }
    }
}

static bool allowed(const struct field *output, const struct field *input)
{
    for (int n = 0; output->written && !input->written && output->may_be[n] != NULL; n++) {
        if (strcmp(output->may_be[n], input->name) == 0) {
            return output->start == input->start && output->size == input->size;
        }
    }
    return false;
}

/* No output may share a byte with another field, but for what was allowed. */
static void check_overlaps(const struct checker *c)
{
    for (int i = 0; i < c->count; i++) {
        for (int j = 0; j < i; j++) {
            const struct field *a = &c->fields[i], *b = &c->fields[j];
            if ((a->written || b->written) && overlap(a->start, a->size, b->start, b->size) && !allowed(a, b) &&
                !allowed(b, a)) {
                guarded_breach(c->operation, a->name, "overlaps %s", b->name);
            }
        }
    }
}

static void weigh(struct checker *c, const char *name, const struct weight *weight, unsigned uses)
{
    for (size_t i = 0; i < c->book->weight_count; i++) {
        if (c->book->weights[i].weight == weight) {
            if ((weight_shape(weight)->uses & uses) != uses) {
                guarded_breach(c->operation, name, "was not made for this use");
            }
            return;
        }
    }
    guarded_breach(c->operation, name, "is not a living weight");
}

/* Rows in bf16 are for backends whose products round to it. */
static void check_dtype(struct checker *c, const char *name, enum dtype dtype)
{
    if (dtype != DTYPE_F32 && dtype != DTYPE_BF16) {
        guarded_breach(c->operation, name, "is neither f32 nor bf16");
    }
    if (dtype == DTYPE_BF16 && c->book->compute != DTYPE_BF16) {
        guarded_breach(c->operation, name, "is bf16, and the backend computes in %s", dtype_name(c->book->compute));
    }
}

static void limit(struct checker *c, const char *name, int64_t value, int64_t most)
{
    if (value < 0 || value > most) {
        guarded_breach(c->operation, name, "is %lld, and reserve() was told at most %lld", (long long)value,
                       (long long)most);
    }
}

/* Numbers in device memory. */
static void range(struct checker *c, const char *name, const int32_t *values, int64_t count, int64_t below)
{
    for (int64_t i = 0; c->running && i < count; i++) {
        if (values[i] < 0 || values[i] >= below) {
            guarded_breach(c->operation, name, "[%lld] is %d, not in 0 .. %lld", (long long)i, values[i],
                           (long long)below - 1);
        }
    }
}

/* The largest value; 0 while it cannot be read; -1 of none. */
static int64_t highest(const struct checker *c, const int32_t *values, int64_t count)
{
    int64_t most = c->running || count == 0 ? -1 : 0;
    for (int64_t i = 0; c->running && i < count; i++) {
        most = values[i] > most ? values[i] : most;
    }
    return most;
}

/* In the tables below `c` is the checker, `a` the arguments, and a count is in elements. */
#define READS(field, count)  touch(c, #field, a->field, count, sizeof *a->field, false)
#define WRITES(field, count) touch(c, #field, a->field, count, sizeof *a->field, true) /* set or added to */
#define READS_OR_NULL(field, count)                                                                                    \
    if (a->field != NULL)                                                                                              \
    READS(field, count)
#define WRITES_OR_NULL(field, count)                                                                                   \
    if (a->field != NULL)                                                                                              \
    WRITES(field, count)
/* Arrays of the dtype that another field says. */
#define READS_OF(field, dtype, count)  touch(c, #field, a->field, count, dtype_size(a->dtype), false)
#define WRITES_OF(field, dtype, count) touch(c, #field, a->field, count, dtype_size(a->dtype), true)
#define DTYPE(field)                   check_dtype(c, #field, a->field)
#define MAY_BE(output, input)          allow(c, #output, #input)
#define WEIGHT(field, uses)            weigh(c, #field, a->field, uses)
#define LIMIT(field, most)             limit(c, #field, a->field, most)
#define ALL_BELOW(field, count, below) range(c, #field, a->field, count, below)
#define BREACH_IF(condition, field, ...)                                                                               \
    if (condition)                                                                                                     \
    guarded_breach(c->operation, #field, __VA_ARGS__)

/* ---- what each operation touches ---- */

static void check_embed(struct checker *c, const struct embed_args *a)
{
    LIMIT(rows, c->book->limits.rows);
    WEIGHT(table, WEIGHT_LOOKUP);
    READS(ids, a->rows);
    ALL_BELOW(ids, a->rows, weight_shape(a->table)->rows);
    WRITES(out, (int64_t)a->rows * weight_shape(a->table)->columns);
}

static void check_embed_backward(struct checker *c, const struct embed_backward_args *a)
{
    LIMIT(rows, c->book->limits.rows);
    READS(ids, a->rows);
    ALL_BELOW(ids, a->rows, a->vocabulary);
    READS(dout, (int64_t)a->rows * a->columns);
    WRITES(dtable, (int64_t)a->vocabulary * a->columns);
}

static void check_norm(struct checker *c, const struct norm_args *a)
{
    int64_t count = (int64_t)a->rows * a->columns;
    LIMIT(rows, c->book->limits.rows);
    READS(x, count);
    READS_OR_NULL(residual, count);
    READS(weight, a->columns);
    WRITES_OR_NULL(sum, count);
    DTYPE(y_dtype);
    WRITES_OF(y, y_dtype, count);
    WRITES_OR_NULL(rstd, a->rows);
    MAY_BE(sum, x);
    if (a->y_dtype == DTYPE_F32) {
        MAY_BE(y, x);
    }
}

static void check_norm_backward(struct checker *c, const struct norm_backward_args *a)
{
    int64_t count = (int64_t)a->rows * a->columns;
    LIMIT(rows, c->book->limits.rows);
    READS(dy, count);
    READS(s, count);
    READS(rstd, a->rows);
    READS(weight, a->columns);
    WRITES(dx, count);
    WRITES_OR_NULL(dweight, a->columns);
}

static void check_linear_limits(struct checker *c, int64_t outputs, int64_t inputs)
{
    const struct backend_limits *limits = &c->book->limits;
    int64_t most = limits->columns > limits->vocabulary ? limits->columns : limits->vocabulary;
    limit(c, "outputs", outputs, most);
    limit(c, "inputs", inputs, most);
}

static void check_layer_count(struct checker *c, int32_t count)
{
    if (count < 1 || count > LINEAR_GROUP) {
        guarded_breach(c->operation, "layer_count", "is %d, not in 1 .. %d", count, LINEAR_GROUP);
    }
}

/* A weight's shape where it has to fit another's; -1: any. */
static void check_shape(struct checker *c, const char *name, const struct weight *weight, int64_t rows, int64_t columns)
{
    const struct weight_shape *shape = weight_shape(weight);
    if ((rows >= 0 && shape->rows != rows) || (columns >= 0 && shape->columns != columns)) {
        guarded_breach(c->operation, name, "is [%d, %d], which does not fit the others", shape->rows, shape->columns);
    }
}

static void check_linear_layer(struct checker *c, const struct linear_args *a, int32_t i)
{
    const struct linear_layer *layer = &a->layers[i];
    const int64_t inputs = weight_shape(a->layers[0].w)->columns;
    weigh(c, LAYER_FIELD(i, w), layer->w, WEIGHT_FORWARD);
    check_shape(c, LAYER_FIELD(i, w), layer->w, -1, inputs);
    const int64_t outputs = weight_shape(layer->w)->rows;
    check_linear_limits(c, outputs, inputs);
    if ((layer->a == NULL) != (layer->b == NULL) || (layer->a == NULL) != (layer->u == NULL)) {
        guarded_breach(c->operation, LAYER_FIELD(i, u), "must be given with a and b, or none of the three");
    }
    if (layer->a != NULL) {
        weigh(c, LAYER_FIELD(i, a), layer->a, WEIGHT_FORWARD);
        weigh(c, LAYER_FIELD(i, b), layer->b, WEIGHT_FORWARD);
        const int64_t rank = weight_shape(layer->a)->rows;
        check_shape(c, LAYER_FIELD(i, a), layer->a, rank, inputs);
        check_shape(c, LAYER_FIELD(i, b), layer->b, outputs, rank);
        touch(c, LAYER_FIELD(i, u), layer->u, a->rows * rank, sizeof *layer->u, true);
    }
    if (layer->bias != NULL) {
        touch(c, LAYER_FIELD(i, bias), layer->bias, outputs, sizeof *layer->bias, false);
    }
    if (layer->y != NULL) {
        touch(c, LAYER_FIELD(i, y), layer->y, a->rows * outputs, sizeof *layer->y, true);
    }
}

/* `readers`: low-rank terms that pass the mask. */
static void check_dropout(struct checker *c, const struct dropout *dropout, int64_t rows, int readers)
{
    if (dropout->keys == NULL) {
        return;
    }
    if (!(dropout->probability >= 0 && dropout->probability < 1)) {
        guarded_breach(c->operation, "dropout.probability", "(%g) is not in 0 .. below 1",
                       (double)dropout->probability);
    }
    if (readers == 0) {
        guarded_breach(c->operation, "dropout.keys", "is given, and no layer has a low-rank term");
    }
    touch(c, "dropout.keys", dropout->keys, rows, sizeof *dropout->keys, false);
}

static void check_linear(struct checker *c, const struct linear_args *a)
{
    LIMIT(rows, c->book->limits.rows);
    DTYPE(x_dtype);
    check_layer_count(c, a->layer_count);
    weigh(c, "w", a->layers[0].w, WEIGHT_FORWARD);
    READS_OF(x, x_dtype, (int64_t)a->rows * weight_shape(a->layers[0].w)->columns);
    int readers = 0;
    for (int32_t i = 0; i < a->layer_count; i++) {
        check_linear_layer(c, a, i);
        readers += a->layers[i].a != NULL;
    }
    check_dropout(c, &a->dropout, a->rows, readers);
}

static void check_linear_gradient(struct checker *c, const struct linear_backward_args *a, int32_t i)
{
    const struct linear_gradient *layer = &a->layers[i];
    const int64_t inputs = weight_shape(a->layers[0].w)->columns;
    weigh(c, LAYER_FIELD(i, w), layer->w, WEIGHT_BACKWARD);
    check_shape(c, LAYER_FIELD(i, w), layer->w, -1, inputs);
    const int64_t outputs = weight_shape(layer->w)->rows;
    check_linear_limits(c, outputs, inputs);
    touch(c, LAYER_FIELD(i, dy), layer->dy, a->rows * outputs, dtype_size(a->dy_dtype), false);
    if ((layer->b == NULL) != (layer->du == NULL)) {
        guarded_breach(c->operation, LAYER_FIELD(i, du), "and b must be given or left out together");
    }
    if ((layer->a == NULL) != (layer->b == NULL)) {
        guarded_breach(c->operation, LAYER_FIELD(i, a), "and b must be given or left out together");
    }
    if (layer->b != NULL) {
        weigh(c, LAYER_FIELD(i, b), layer->b, WEIGHT_BACKWARD);
        const int64_t rank = weight_shape(layer->b)->columns;
        check_shape(c, LAYER_FIELD(i, b), layer->b, outputs, rank);
        touch(c, LAYER_FIELD(i, du), layer->du, a->rows * rank, sizeof *layer->du, true);
        weigh(c, LAYER_FIELD(i, a), layer->a, WEIGHT_BACKWARD);
        check_shape(c, LAYER_FIELD(i, a), layer->a, rank, inputs);
    }
}

static void check_linear_backward(struct checker *c, const struct linear_backward_args *a)
{
    LIMIT(rows, c->book->limits.rows);
    DTYPE(dy_dtype);
    check_layer_count(c, a->layer_count);
    weigh(c, "w", a->layers[0].w, WEIGHT_BACKWARD);
    int readers = 0;
    for (int32_t i = 0; i < a->layer_count; i++) {
        check_linear_gradient(c, a, i);
        readers += a->layers[i].a != NULL;
    }
    check_dropout(c, &a->dropout, a->rows, readers);
    WRITES_OR_NULL(dx, (int64_t)a->rows * weight_shape(a->layers[0].w)->columns);
}

static void check_linear_weight_backward(struct checker *c, const struct linear_weight_backward_args *a)
{
    LIMIT(rows, c->book->limits.rows);
    DTYPE(dy_dtype);
    DTYPE(x_dtype);
    check_linear_limits(c, a->outputs, a->inputs);
    READS_OF(dy, dy_dtype, (int64_t)a->rows * a->outputs);
    READS_OF(x, x_dtype, (int64_t)a->rows * a->inputs);
    check_dropout(c, &a->dropout, a->rows, 1);
    WRITES_OR_NULL(dw, (int64_t)a->outputs * a->inputs);
    WRITES_OR_NULL(dbias, a->outputs);
}

static void check_rotation(struct checker *c, const struct rotation_args *a)
{
    LIMIT(rows, c->book->limits.rows);
    BREACH_IF(a->rotary < 2 || a->rotary % 2 != 0, rotary, "must be even");
    READS(positions, a->rows);
    ALL_BELOW(positions, a->rows, INT32_MAX);
    READS(frequencies, a->rotary / 2);
    WRITES(table, (int64_t)a->rows * a->rotary);
}

static void check_rope(struct checker *c, const struct rope_args *a)
{
    LIMIT(rows, c->book->limits.rows);
    BREACH_IF(a->rotary < 2 || a->rotary % 2 != 0 || a->rotary > a->head_size, rotary,
              "must be even and at most head_size");
    WRITES(x, (int64_t)a->rows * a->heads * a->head_size);
    READS(table, (int64_t)a->rows * a->rotary);
}

/* What the host says of the spans is what they are; rows may be more than they reach. */
static void check_extent(struct checker *c, const struct attention_extent *said, const struct attention_span *spans,
                         int32_t count)
{
    const struct attention_extent is = attention_extent(spans, count);
    if (said->rows < is.rows) {
        guarded_breach(c->operation, "extent.rows", "is %d, and a span has query %d", said->rows, is.rows - 1);
    }
    if (said->longest_queries != is.longest_queries) {
        guarded_breach(c->operation, "extent.longest_queries", "is %d, and the longest span has %d",
                       said->longest_queries, is.longest_queries);
    }
    if (said->longest_keys != is.longest_keys) {
        guarded_breach(c->operation, "extent.longest_keys", "is %d, and the longest span has %d", said->longest_keys,
                       is.longest_keys);
    }
}

/* Rows of q, and rows of k that the spans reach; while those cannot be read, one. */
struct span_rows {
    int64_t queries, keys;
};

static struct span_rows check_spans(struct checker *c, const struct attention_extent *extent,
                                    const struct attention_span *spans, int32_t count)
{
    struct span_rows rows = {extent->rows, c->running || count == 0 ? 0 : 1};
    for (int64_t i = 0; c->running && i < count; i++) {
        const struct attention_span *s = &spans[i];
        int64_t query_end = (int64_t)s->query + s->queries;
        int64_t key_end = (int64_t)s->key + s->keys, parent_end = (int64_t)s->parent + s->parent_keys;
        if (s->query < 0 || s->queries < 1 || s->key < 0 || s->keys < s->queries || s->parent_keys < 0 ||
            (s->parent_keys > 0 && s->parent < 0)) {
            guarded_breach(c->operation, "spans", "[%lld] has an impossible range", (long long)i);
        }
        for (int64_t j = 0; j < i; j++) {
            if (s->query < spans[j].query + spans[j].queries && spans[j].query < query_end) {
                guarded_breach(c->operation, "spans", "[%lld] and [%lld] share queries", (long long)j, (long long)i);
            }
        }
        rows.keys = key_end > rows.keys ? key_end : rows.keys;
        rows.keys = s->parent_keys > 0 && parent_end > rows.keys ? parent_end : rows.keys;
    }
    if (c->running) {
        check_extent(c, extent, spans, count);
    }
    return rows;
}

/* Training: own keys are the own tokens, and a child stands behind its parent or another child of it. */
static void check_families(struct checker *c, const struct attention_span *spans, int64_t count)
{
    for (int64_t i = 0; c->running && i < count; i++) {
        if (spans[i].key != spans[i].query || spans[i].keys != spans[i].queries) {
            guarded_breach(c->operation, "spans", "[%lld] is not a training span", (long long)i);
        }
        if (spans[i].parent_keys == 0) {
            continue;
        }
        int64_t first = i;
        while (first > 0 && spans[first].parent_keys > 0) {
            first--;
        }
        if (spans[first].parent_keys > 0 || spans[first].key != spans[i].parent ||
            spans[first].keys != spans[i].parent_keys) {
            guarded_breach(c->operation, "spans", "[%lld] does not stand behind its parent", (long long)i);
        }
    }
}

static void check_heads(struct checker *c, int64_t heads, int64_t kv_heads, int64_t head_size)
{
    const struct backend_limits *limits = &c->book->limits;
    limit(c, "heads", heads, limits->heads);
    limit(c, "kv_heads", kv_heads, limits->kv_heads);
    limit(c, "head_size", head_size, limits->head_size);
    if (kv_heads < 1 || heads % kv_heads != 0) {
        guarded_breach(c->operation, "heads", "(%lld) is not a multiple of kv_heads (%lld)", (long long)heads,
                       (long long)kv_heads);
    }
}

static void check_attention(struct checker *c, const struct attention_args *a)
{
    LIMIT(span_count, c->book->limits.spans);
    check_heads(c, a->heads, a->kv_heads, a->head_size);
    READS(spans, a->span_count);
    struct span_rows rows = check_spans(c, &a->extent, a->spans, a->span_count);
    limit(c, "extent.rows", rows.queries, c->book->limits.rows);
    READS(q, rows.queries * a->heads * a->head_size);
    READS(k, rows.keys * a->kv_heads * a->head_size);
    READS(v, rows.keys * a->kv_heads * a->head_size);
    WRITES(out, rows.queries * a->heads * a->head_size);
    WRITES_OR_NULL(lse, rows.queries * a->heads);
}

static void check_attention_backward(struct checker *c, const struct attention_backward_args *a)
{
    LIMIT(span_count, c->book->limits.spans);
    check_heads(c, a->heads, a->kv_heads, a->head_size);
    READS(spans, a->span_count);
    check_families(c, a->spans, a->span_count);
    struct span_rows rows = check_spans(c, &a->extent, a->spans, a->span_count);
    int64_t queries = rows.queries * a->heads * a->head_size, keys = rows.keys * a->kv_heads * a->head_size;
    limit(c, "extent.rows", rows.queries, c->book->limits.rows);
    READS(q, queries);
    READS(k, keys);
    READS(v, keys);
    READS(out, queries);
    READS(lse, rows.queries * a->heads);
    READS(dout, queries);
    WRITES(dq, queries);
    WRITES(dk, keys);
    WRITES(dv, keys);
}

static void check_gated(struct checker *c, const struct gated_args *a)
{
    DTYPE(out_dtype);
    READS(gate, a->count);
    READS(up, a->count);
    WRITES_OF(out, out_dtype, a->count);
    if (a->out_dtype == DTYPE_F32) {
        MAY_BE(out, gate);
        MAY_BE(out, up);
    }
}

static void check_gated_backward(struct checker *c, const struct gated_backward_args *a)
{
    static const char *const inputs[] = {"gate", "up", "dout"};
    DTYPE(out_dtype);
    READS(gate, a->count);
    READS(up, a->count);
    READS(dout, a->count);
    WRITES_OF(dgate, out_dtype, a->count);
    WRITES_OF(dup, out_dtype, a->count);
    if (a->out != NULL) {
        WRITES_OF(out, out_dtype, a->count);
    }
    for (int i = 0; a->out_dtype == DTYPE_F32 && i < 3; i++) {
        allow(c, "dgate", inputs[i]);
        allow(c, "dup", inputs[i]);
        allow(c, "out", inputs[i]);
    }
}

static void check_vocabulary_inputs(struct checker *c, const struct vocabulary_args *a, unsigned uses)
{
    WEIGHT(w, uses);
    LIMIT(rows, c->book->limits.rows);
    limit(c, "vocabulary", weight_shape(a->w)->rows, c->book->limits.vocabulary);
    limit(c, "columns", weight_shape(a->w)->columns, c->book->limits.vocabulary_columns);
    READS(x, (int64_t)a->rows * weight_shape(a->w)->columns);
    READS(targets, a->rows);
    ALL_BELOW(targets, a->rows, weight_shape(a->w)->rows);
}

static void check_vocabulary_gradients(struct checker *c, const struct vocabulary_args *a)
{
    int64_t columns = weight_shape(a->w)->columns;
    READS(dlogprob, a->rows);
    WRITES(dx, a->rows * columns);
    WRITES_OR_NULL(dw, weight_shape(a->w)->rows * columns);
}

static void check_vocabulary(struct checker *c, const struct vocabulary_args *a)
{
    check_vocabulary_inputs(c, a, WEIGHT_FORWARD);
    WRITES(logprob, a->rows);
    WRITES(lse, a->rows);
    WRITES_OR_NULL(entropy, a->rows);
    WRITES_OR_NULL(argmax, a->rows);
}

static void check_vocabulary_backward(struct checker *c, const struct vocabulary_args *a)
{
    check_vocabulary_inputs(c, a, WEIGHT_FORWARD | WEIGHT_BACKWARD);
    READS(lse, a->rows);
    if (a->dentropy != NULL) {
        READS(dentropy, a->rows);
        READS(entropy, a->rows);
    }
    check_vocabulary_gradients(c, a);
}

static void check_vocabulary_both(struct checker *c, const struct vocabulary_args *a)
{
    BREACH_IF(a->dentropy != NULL, dentropy, "must be NULL");
    check_vocabulary_inputs(c, a, WEIGHT_FORWARD | WEIGHT_BACKWARD);
    WRITES(logprob, a->rows);
    WRITES(lse, a->rows);
    WRITES_OR_NULL(argmax, a->rows);
    check_vocabulary_gradients(c, a);
}

static void check_score(struct checker *c, const struct score_args *a)
{
    LIMIT(rows, c->book->limits.rows);
    READS(x, (int64_t)a->rows * a->columns);
    READS(w, a->columns);
    WRITES(y, a->rows);
}

static void check_score_backward(struct checker *c, const struct score_backward_args *a)
{
    LIMIT(rows, c->book->limits.rows);
    READS(dy, a->rows);
    READS(x, (int64_t)a->rows * a->columns);
    READS(w, a->columns);
    WRITES(dx, (int64_t)a->rows * a->columns);
    WRITES_OR_NULL(dw, a->columns);
}

static void check_gather_rows(struct checker *c, const struct rows_args *a)
{
    READS(index, a->rows);
    ALL_BELOW(index, a->rows, INT32_MAX);
    READS(src, (highest(c, a->index, a->rows) + 1) * a->columns);
    WRITES(dst, (int64_t)a->rows * a->columns);
}

static void check_scatter_add_rows(struct checker *c, const struct rows_args *a)
{
    READS(index, a->rows);
    ALL_BELOW(index, a->rows, INT32_MAX);
    READS(src, (int64_t)a->rows * a->columns);
    WRITES(dst, (highest(c, a->index, a->rows) + 1) * a->columns);
}

static void check_scatter_rows(struct checker *c, const struct rows_args *a)
{
    check_scatter_add_rows(c, a);
    for (int64_t i = 0; c->running && i < a->rows; i++) {
        for (int64_t j = 0; j < i; j++) {
            BREACH_IF(a->index[i] == a->index[j], index, "names row %d twice", a->index[i]);
        }
    }
}

static void check_fill(struct checker *c, const struct fill_args *a)
{
    WRITES(x, a->count);
}

/* A table of the tensors in arenas of `count` elements. */
static void arena(struct checker *c, const char *name, const struct arena_tensor *tensors, int32_t tensor_count,
                  int64_t count)
{
    touch(c, name, tensors, tensor_count, sizeof *tensors, false);
    int64_t end = 0;
    for (int32_t i = 0; c->running && i < tensor_count; i++) {
        if (tensors[i].offset < end) {
            guarded_breach(c->operation, name, "[%d] begins at %lld, before the end of what is before it", i,
                           (long long)tensors[i].offset);
        }
        if (tensors[i].count < 0 || tensors[i].offset > count || tensors[i].count > count - tensors[i].offset) {
            guarded_breach(c->operation, name, "[%d] of %lld elements runs out of the arena", i,
                           (long long)tensors[i].count);
        }
        end = tensors[i].offset + tensors[i].count;
    }
}

static void check_sum_squares(struct checker *c, const struct sum_squares_args *a)
{
    READS(x, a->count);
    arena(c, "tensors", a->tensors, a->tensor_count, a->count);
    WRITES(out, 1);
}

static void check_adamw(struct checker *c, const struct adamw_args *a)
{
    WRITES(master, a->count);
    READS(grad, a->count);
    WRITES(m, a->count);
    WRITES(v, a->count);
    arena(c, "tensors", a->tensors, a->tensor_count, a->count);
    READS(sum_squares, 1);
    BREACH_IF(!(a->max_grad_norm >= 0), max_grad_norm, "is %g; 0 means no clipping", a->max_grad_norm);
}

static void check_weight_update(struct checker *c, const struct weight_update_args *a)
{
    WEIGHT(weight, 0);
    READS(master, (int64_t)weight_shape(a->weight)->rows * weight_shape(a->weight)->columns);
}

void guarded_check(const struct guarded_book *book, enum backend_operation operation,
                   const union guarded_arguments *arguments, bool running)
{
    struct checker checker = {.book = book, .operation = backend_operation_name(operation), .running = running};
    if (!book->reserved && operation != BACKEND_weight_update) {
        guarded_breach(checker.operation, "reserve()", "was not called before the first operation");
    }
    switch (operation) {
#define X(name, args)                                                                                                  \
    case BACKEND_##name:                                                                                               \
        check_##name(&checker, &arguments->name);                                                                      \
        break;
        BACKEND_OPERATIONS(X)
#undef X
    case BACKEND_OPERATION_COUNT:
        break;
    }
    check_overlaps(&checker);
}
