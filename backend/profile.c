/* backend/profile.c - see profile.h. */
#include "backend/profile.h"
#include "base/log.h"
#include "base/mem.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define SHAPES_MAX 96 /* products with further shapes are put together */
#define NAME_SIZE  96

/* What is measured besides the operations of the table. */
enum { KIND_UPLOAD = BACKEND_OPERATION_COUNT, KIND_DOWNLOAD, KIND_WEIGHT_CREATE, KIND_COUNT };

/* What one call amounts to; a product has outputs > 0. */
struct work {
    double flops, bytes;
    int32_t outputs, inputs, rank;
};

struct entry {
    int kind;
    int32_t outputs, inputs, rank; /* outputs 0: no product, or one of too many shapes */
    struct profile_sum sum;
};

struct profile {
    struct backend table; /* first: a struct backend * is a struct profile * */
    struct backend *inner;
    char name[NAME_SIZE];
    double created;
    struct entry entries[KIND_COUNT + SHAPES_MAX]; /* one of each kind, then the shapes in the order they came */
    int entry_count;
    struct attention_span *spans; /* host copy of a call's spans, [span_capacity] */
    size_t span_capacity;
    bool failed; /* the inner backend failed inside an operation, which cannot say so */
    struct err failure;
};

static struct profile *profile_of(struct backend *backend)
{
    return (struct profile *)(void *)backend;
}

static const struct profile *profile_const(const struct backend *backend)
{
    return (const struct profile *)(const void *)backend;
}

/* ---- the work of a call ---- */

static double product(double a, double b)
{
    return a * b;
}

static double elements_bytes(double count)
{
    return count * (double)sizeof(float);
}

/* A number of `dtype` as a share of a float. */
static double share(enum dtype dtype)
{
    return (double)dtype_size(dtype) / (double)sizeof(float);
}

/* `arrays` arrays of rows * columns floats, read or written. */
static struct work element_work(double rows, double columns, double arrays)
{
    return (struct work){.bytes = elements_bytes(rows * columns * arrays)};
}

static double weight_bytes(struct profile *self, const struct weight *weight, enum weight_use use)
{
    struct weight_shape shape = *weight_shape(weight);
    shape.uses = use;
    return (double)self->inner->weight_size(self->inner, &shape);
}

static struct work work_embed(struct profile *self, const struct embed_args *args)
{
    (void)self;
    return element_work(args->rows, weight_shape(args->table)->columns, 2);
}

static struct work work_embed_backward(struct profile *self, const struct embed_backward_args *args)
{
    (void)self;
    return element_work(args->rows, args->columns, 3);
}

static struct work work_norm(struct profile *self, const struct norm_args *args)
{
    (void)self;
    return element_work(args->rows, args->columns,
                        1 + (args->residual != NULL) + (args->sum != NULL) + share(args->y_dtype));
}

static struct work work_norm_backward(struct profile *self, const struct norm_backward_args *args)
{
    (void)self;
    return element_work(args->rows, args->columns, 4);
}

static int32_t rank_of(const struct weight *b)
{
    return b ? weight_shape(b)->columns : 0;
}

/* What rows times a weight [outputs, inputs] add, in either direction, and a low-rank term's share if it is taken. */
static void add_product(struct profile *self, struct work *work, int32_t rows, const struct weight *weight,
                        enum weight_use use)
{
    if (weight) {
        work->flops += 2 * product(rows, weight_shape(weight)->rows) * weight_shape(weight)->columns;
        work->bytes += weight_bytes(self, weight, use);
    }
}

static struct work work_linear(struct profile *self, const struct linear_args *args)
{
    struct work work = {.inputs = weight_shape(args->layers[0].w)->columns};
    work.bytes = elements_bytes(product(args->rows, work.inputs) * share(args->x_dtype));
    for (int i = 0; i < args->layer_count; i++) {
        const struct linear_layer *layer = &args->layers[i];
        add_product(self, &work, args->rows, layer->a, WEIGHT_FORWARD);
        add_product(self, &work, args->rows, layer->y ? layer->w : NULL, WEIGHT_FORWARD);
        add_product(self, &work, args->rows, layer->y ? layer->b : NULL, WEIGHT_FORWARD);
        work.bytes +=
            elements_bytes(product(args->rows, (layer->y ? weight_shape(layer->w)->rows : 0) + rank_of(layer->b)));
        work.outputs += weight_shape(layer->w)->rows;
        work.rank = rank_of(layer->b) > work.rank ? rank_of(layer->b) : work.rank;
    }
    return work;
}

static struct work work_linear_backward(struct profile *self, const struct linear_backward_args *args)
{
    struct work work = {.inputs = weight_shape(args->layers[0].w)->columns};
    work.bytes = elements_bytes(args->dx ? product(args->rows, work.inputs) : 0);
    for (int i = 0; i < args->layer_count; i++) {
        const struct linear_gradient *layer = &args->layers[i];
        add_product(self, &work, args->rows, args->dx ? layer->w : NULL, WEIGHT_BACKWARD);
        add_product(self, &work, args->rows, args->dx ? layer->a : NULL, WEIGHT_BACKWARD);
        add_product(self, &work, args->rows, layer->b, WEIGHT_BACKWARD);
        work.bytes += elements_bytes(
            product(args->rows, weight_shape(layer->w)->rows * share(args->dy_dtype) + rank_of(layer->b)));
        work.outputs += weight_shape(layer->w)->rows;
        work.rank = rank_of(layer->b) > work.rank ? rank_of(layer->b) : work.rank;
    }
    return work;
}

static struct work work_linear_weight_backward(struct profile *self, const struct linear_weight_backward_args *args)
{
    (void)self;
    const double weights = product(args->outputs, args->inputs);
    struct work work = {.outputs = args->outputs, .inputs = args->inputs};
    work.flops = args->dw ? 2 * args->rows * weights : 0;
    work.bytes =
        elements_bytes(product(args->rows, args->outputs) * share(args->dy_dtype) +
                       product(args->rows, args->inputs) * share(args->x_dtype) + (args->dw ? 2 * weights : 0));
    return work;
}

static struct work work_rotation(struct profile *self, const struct rotation_args *args)
{
    (void)self;
    return element_work(args->rows, args->rotary, 1);
}

static struct work work_rope(struct profile *self, const struct rope_args *args)
{
    (void)self;
    return element_work(args->rows, product(args->heads, args->rotary) + args->rotary / 2.0, 2);
}

/* Pairs of a query and a key that it sees, and the rows of q and k that take part. */
struct pairs {
    double pairs, queries, keys;
};

static struct pairs count_pairs(struct profile *self, const struct attention_span *device, int32_t count)
{
    struct pairs sum = {0};
    struct err err;
    assert((size_t)count <= self->span_capacity);
    if (backend_download(self->inner, self->spans, device, (size_t)count * sizeof *self->spans, &err) != 0) {
        return sum; /* the device broke and says so at the next synchronize() */
    }
    for (int32_t i = 0; i < count; i++) {
        const struct attention_span *span = &self->spans[i];
        const double queries = span->queries, before = span->keys - span->queries + span->parent_keys;
        sum.pairs += queries * before + queries * (queries + 1) / 2;
        sum.queries += queries;
        sum.keys += span->keys + span->parent_keys;
    }
    return sum;
}

/* Scores and weighted values: two products a pair. */
static struct work work_attention(struct profile *self, const struct attention_args *args)
{
    struct pairs pairs = count_pairs(self, args->spans, args->span_count);
    const double size = args->head_size;
    return (struct work){.flops = 4 * pairs.pairs * size * args->heads,
                         .bytes =
                             elements_bytes(2 * size * (pairs.queries * args->heads + pairs.keys * args->kv_heads))};
}

/* Scores again, dv, dp, dq and dk: five products a pair. */
static struct work work_attention_backward(struct profile *self, const struct attention_backward_args *args)
{
    struct pairs pairs = count_pairs(self, args->spans, args->span_count);
    const double size = args->head_size;
    return (struct work){.flops = 10 * pairs.pairs * size * args->heads,
                         .bytes =
                             elements_bytes(4 * size * (pairs.queries * args->heads + pairs.keys * args->kv_heads))};
}

static struct work work_gated(struct profile *self, const struct gated_args *args)
{
    (void)self;
    return element_work((double)args->count, 1, 2 + share(args->out_dtype));
}

static struct work work_gated_backward(struct profile *self, const struct gated_backward_args *args)
{
    (void)self;
    return element_work((double)args->count, 1, 3 + (args->out ? 3 : 2) * share(args->out_dtype));
}

/* `products` of size [rows, vocabulary, columns]; the logits themselves never leave the chip's caches. */
static struct work vocabulary_work(struct profile *self, const struct vocabulary_args *args, int products,
                                   bool backward)
{
    const struct weight_shape *shape = weight_shape(args->w);
    struct work work = {.outputs = shape->rows, .inputs = shape->columns};
    const double weights = product(shape->rows, shape->columns);
    if (args->dw) {
        products++;
        work.bytes += elements_bytes(2 * weights);
    }
    work.flops = 2 * products * args->rows * weights;
    work.bytes += elements_bytes(product(args->rows, shape->columns) * (backward ? 2 : 1)) +
                  weight_bytes(self, args->w, WEIGHT_FORWARD) +
                  (backward ? weight_bytes(self, args->w, WEIGHT_BACKWARD) : 0);
    return work;
}

static struct work work_vocabulary(struct profile *self, const struct vocabulary_args *args)
{
    struct vocabulary_args forward = *args;
    forward.dw = NULL;
    return vocabulary_work(self, &forward, 1, false);
}

static struct work work_vocabulary_backward(struct profile *self, const struct vocabulary_args *args)
{
    return vocabulary_work(self, args, 2, true);
}

static struct work work_vocabulary_both(struct profile *self, const struct vocabulary_args *args)
{
    return vocabulary_work(self, args, 2, true);
}

static struct work work_score(struct profile *self, const struct score_args *args)
{
    (void)self;
    return element_work(args->rows, args->columns, 1);
}

/* x is read for dw alone. */
static struct work work_score_backward(struct profile *self, const struct score_backward_args *args)
{
    (void)self;
    return element_work(args->rows, args->columns, 1 + (args->dw != NULL));
}

static struct work work_gather_rows(struct profile *self, const struct rows_args *args)
{
    (void)self;
    return element_work(args->rows, args->columns, 2);
}

static struct work work_scatter_rows(struct profile *self, const struct rows_args *args)
{
    return work_gather_rows(self, args);
}

static struct work work_scatter_add_rows(struct profile *self, const struct rows_args *args)
{
    (void)self;
    return element_work(args->rows, args->columns, 3);
}

static struct work work_fill(struct profile *self, const struct fill_args *args)
{
    (void)self;
    return element_work((double)args->count, 1, 1);
}

static struct work work_sum_squares(struct profile *self, const struct sum_squares_args *args)
{
    (void)self;
    return element_work((double)args->count, 1, 1);
}

/* Master, m and v are read and written, the gradient is read. */
static struct work work_adamw(struct profile *self, const struct adamw_args *args)
{
    (void)self;
    return element_work((double)args->count, 1, 7);
}

static struct work work_weight_update(struct profile *self, const struct weight_update_args *args)
{
    const struct weight_shape *shape = weight_shape(args->weight);
    return (struct work){.bytes = elements_bytes(product(shape->rows, shape->columns)) +
                                  (double)self->inner->weight_size(self->inner, shape)};
}

/* ---- adding up ---- */

static struct entry *entry_of(struct profile *self, int kind, const struct work *work)
{
    if (work->outputs == 0) {
        return &self->entries[kind];
    }
    for (int i = KIND_COUNT; i < self->entry_count; i++) {
        struct entry *entry = &self->entries[i];
        if (entry->kind == kind && entry->outputs == work->outputs && entry->inputs == work->inputs &&
            entry->rank == work->rank) {
            return entry;
        }
    }
    if (self->entry_count == KIND_COUNT + SHAPES_MAX) {
        return &self->entries[kind];
    }
    struct entry *entry = &self->entries[self->entry_count++];
    *entry = (struct entry){.kind = kind, .outputs = work->outputs, .inputs = work->inputs, .rank = work->rank};
    return entry;
}

static void count_call(struct profile *self, int kind, double start, const struct work *work)
{
    struct entry *entry = entry_of(self, kind, work);
    entry->sum.seconds += clock_seconds() - start;
    entry->sum.calls++;
    entry->sum.flops += work->flops;
    entry->sum.bytes += work->bytes;
}

/* Waits for the inner backend; a failure is kept for the next call that can report it. */
static void wait_for(struct profile *self)
{
    struct err err;
    if (self->inner->synchronize(self->inner, &err) != 0 && !self->failed) {
        self->failed = true;
        self->failure = err;
    }
}

static int kept_failure(const struct profile *self, struct err *err)
{
    return self->failed ? err_set(err, "%s", self->failure.text) : 0;
}

#define X(name, args)                                                                                                  \
    static void profile_##name(struct backend *backend, const struct args *arguments)                                  \
    {                                                                                                                  \
        struct profile *self = profile_of(backend);                                                                    \
        struct work work = work_##name(self, arguments);                                                               \
        double start = clock_seconds();                                                                                \
        self->inner->name(self->inner, arguments);                                                                     \
        wait_for(self);                                                                                                \
        count_call(self, BACKEND_##name, start, &work);                                                                \
    }
BACKEND_OPERATIONS(X)
#undef X

/* ---- memory and weights ---- */

static size_t profile_memory_free(struct backend *backend)
{
    struct profile *self = profile_of(backend);
    return self->inner->memory_free(self->inner);
}

static int profile_alloc(struct backend *backend, void **out, size_t size, struct err *err)
{
    struct profile *self = profile_of(backend);
    return self->inner->alloc(self->inner, out, size, err);
}

static void profile_release(struct backend *backend, void *memory)
{
    struct profile *self = profile_of(backend);
    self->inner->release(self->inner, memory);
}

static void profile_upload(struct backend *backend, void *device, const void *host, size_t size)
{
    struct profile *self = profile_of(backend);
    double start = clock_seconds();
    self->inner->upload(self->inner, device, host, size);
    wait_for(self);
    count_call(self, KIND_UPLOAD, start, &(struct work){.bytes = (double)size});
}

static void profile_download_begin(struct backend *backend, void *host, const void *device, size_t size)
{
    struct profile *self = profile_of(backend);
    double start = clock_seconds();
    self->inner->download_begin(self->inner, host, device, size);
    wait_for(self);
    count_call(self, KIND_DOWNLOAD, start, &(struct work){.bytes = (double)size});
}

static int profile_wait(struct backend *backend, struct err *err)
{
    struct profile *self = profile_of(backend);
    int result = self->inner->wait(self->inner, err);
    return result != 0 ? result : kept_failure(self, err);
}

static int profile_synchronize(struct backend *backend, struct err *err)
{
    struct profile *self = profile_of(backend);
    int result = self->inner->synchronize(self->inner, err);
    return result != 0 ? result : kept_failure(self, err);
}

static size_t profile_weight_size(struct backend *backend, const struct weight_shape *shape)
{
    struct profile *self = profile_of(backend);
    return self->inner->weight_size(self->inner, shape);
}

static int profile_weight_create(struct backend *backend, struct weight **out, const struct weight_shape *shape,
                                 void *memory, const void *source, struct err *err)
{
    struct profile *self = profile_of(backend);
    double start = clock_seconds(), bytes = (double)self->inner->weight_size(self->inner, shape);
    int result = self->inner->weight_create(self->inner, out, shape, memory, source, err);
    wait_for(self);
    count_call(self, KIND_WEIGHT_CREATE, start, &(struct work){.bytes = source ? bytes : 0});
    return result;
}

static void profile_weight_free(struct backend *backend, struct weight *weight)
{
    struct profile *self = profile_of(backend);
    self->inner->weight_free(self->inner, weight);
}

static size_t profile_scratch_size(struct backend *backend, const struct backend_limits *limits)
{
    struct profile *self = profile_of(backend);
    return self->inner->scratch_size(self->inner, limits);
}

/* Takes room for the spans of any call beside the inner backend's scratch. */
static int profile_reserve(struct backend *backend, const struct backend_limits *limits, struct err *err)
{
    struct profile *self = profile_of(backend);
    size_t spans = limits->spans > 0 ? (size_t)limits->spans : 1;
    struct attention_span *grown = mem_grow(self->spans, &self->span_capacity, spans, sizeof *grown, err);
    if (!grown) {
        return -1;
    }
    self->spans = grown;
    return self->inner->reserve(self->inner, limits, err);
}

static void profile_free(struct backend *backend)
{
    struct profile *self = profile_of(backend);
    self->inner->free(self->inner);
    mem_free(self->spans);
    mem_free(self);
}

static const struct backend profile_table = {.memory_free = profile_memory_free,
                                             .alloc = profile_alloc,
                                             .release = profile_release,
                                             .upload = profile_upload,
                                             .download_begin = profile_download_begin,
                                             .wait = profile_wait,
                                             .synchronize = profile_synchronize,
                                             .weight_size = profile_weight_size,
                                             .weight_create = profile_weight_create,
                                             .weight_free = profile_weight_free,
                                             .scratch_size = profile_scratch_size,
                                             .reserve = profile_reserve,
                                             .free = profile_free,
#define X(name, args) .name = profile_##name,
                                             BACKEND_OPERATIONS(X)
#undef X
};

int profile_create(struct backend **out, struct backend *inner, struct err *err)
{
    struct profile *self = mem_alloc(1, sizeof *self, err);
    if (!self) {
        return -1;
    }
    self->table = profile_table;
    self->inner = inner;
    snprintf(self->name, sizeof self->name, "%s, profiled", inner->name);
    self->table.name = self->name;
    self->table.numerics = inner->numerics;
    self->table.pool = inner->pool;
    self->table.compute = inner->compute;
    self->table.traits = inner->traits;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        self->entries[kind].kind = kind;
    }
    self->entry_count = KIND_COUNT;
    self->created = clock_seconds();
    *out = &self->table;
    return 0;
}

/* ---- the report ---- */

static const char *kind_name(int kind)
{
    switch (kind) {
    case KIND_UPLOAD:
        return "upload";
    case KIND_DOWNLOAD:
        return "download";
    case KIND_WEIGHT_CREATE:
        return "preparing weights";
    default:
        return backend_operation_name((enum backend_operation)kind);
    }
}

static void add_sum(struct profile_sum *sum, const struct profile_sum *part)
{
    sum->calls += part->calls;
    sum->seconds += part->seconds;
    sum->flops += part->flops;
    sum->bytes += part->bytes;
}

static struct profile_sum kind_sum(const struct profile *self, int kind)
{
    struct profile_sum sum = {0};
    for (int i = 0; i < self->entry_count; i++) {
        if (self->entries[i].kind == kind) {
            add_sum(&sum, &self->entries[i].sum);
        }
    }
    return sum;
}

struct profile_sum profile_operation(const struct backend *profiled, enum backend_operation operation)
{
    return kind_sum(profile_const(profiled), (int)operation);
}

static void report_rate(struct strbuf *out, double amount, double seconds)
{
    if (amount > 0 && seconds > 0) {
        strbuf_printf(out, " %9.1f", amount / seconds / 1e9);
    } else {
        strbuf_printf(out, " %9s", "-");
    }
}

static void report_line(struct strbuf *out, const char *name, const struct profile_sum *sum, double total)
{
    strbuf_printf(out, "%-30s %9lld %10.3f %6.1f %%", name, (long long)sum->calls, sum->seconds,
                  total > 0 ? 100 * sum->seconds / total : 0);
    report_rate(out, sum->flops, sum->seconds);
    report_rate(out, sum->bytes, sum->seconds);
    strbuf_putc(out, '\n');
}

static int compare_seconds(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->sum.seconds < y->sum.seconds ? 1 : x->sum.seconds > y->sum.seconds ? -1 : 0;
}

/* The shapes of a product, `entries` being sorted; a single one says nothing that the line above has not said. */
static void report_shapes(struct strbuf *out, const struct entry *entries, int count, int kind, double total)
{
    for (int i = 0; i < count; i++) {
        const struct entry *entry = &entries[i];
        if (entry->kind != kind || entry->outputs == 0) {
            continue;
        }
        char name[64];
        int length = snprintf(name, sizeof name, "  %d x %d", entry->outputs, entry->inputs);
        if (entry->rank) {
            snprintf(name + length, sizeof name - (size_t)length, ", rank %d", entry->rank);
        }
        report_line(out, name, &entry->sum, total);
    }
}

void profile_report(const struct backend *profiled, struct strbuf *out)
{
    const struct profile *self = profile_const(profiled);
    const double total = clock_seconds() - self->created;
    struct entry shapes[KIND_COUNT + SHAPES_MAX], kinds[KIND_COUNT];
    struct profile_sum all = {0};
    for (int i = 0; i < self->entry_count; i++) {
        shapes[i] = self->entries[i];
    }
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        kinds[kind] = (struct entry){.kind = kind, .sum = kind_sum(self, kind)};
        add_sum(&all, &kinds[kind].sum);
    }
    qsort(shapes, (size_t)self->entry_count, sizeof *shapes, compare_seconds);
    qsort(kinds, KIND_COUNT, sizeof *kinds, compare_seconds);
    strbuf_printf(out, "profile on %s\n%-30s %9s %10s %8s %9s %9s\n", self->inner->name, "operation", "calls",
                  "seconds", "share", "GFLOP/s", "GB/s");
    for (int i = 0; i < KIND_COUNT && kinds[i].sum.calls > 0; i++) {
        report_line(out, kind_name(kinds[i].kind), &kinds[i].sum, total);
        report_shapes(out, shapes, self->entry_count, kinds[i].kind, total);
    }
    report_line(out, "all operations", &all, total);
    const double outside = total - all.seconds;
    strbuf_printf(out, "%-30s %9s %10.3f %6.1f %%\n", "outside of operations (host)", "", outside,
                  total > 0 ? 100 * outside / total : 0);
}
