/* model/pass.c - the memory of a pass, and loading a batch; see pass.h and internal.h. */
#include "base/mem.h"
#include "model/internal.h"
#include <assert.h>
#include <string.h>

static int32_t most(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Sizes of the widest rows, from the config; tokens: or predictions, where a batch may have more of them. */
struct widths {
    size_t tokens, hidden, queries, keys, intermediate;
};

static struct widths pass_widths(const struct pass *pass)
{
    const struct model_config *config = &pass->model->config;
    return (struct widths){(size_t)most(pass->limits.tokens, pass->limits.predictions), (size_t)config->hidden,
                           (size_t)config->heads * (size_t)config->head_size,
                           (size_t)config->kv_heads * (size_t)config->head_size, (size_t)config->intermediate};
}

static float *take(struct regions *regions, size_t count)
{
    return regions_take_floats(regions, MEMORY_ACTIVATIONS, count);
}

/* Rows of the backend's compute. */
static void *take_operand(const struct pass *pass, struct regions *regions, size_t count)
{
    return regions_take(regions, MEMORY_ACTIVATIONS, count * dtype_size(pass->backend->compute));
}

static bool some_layer_has(const struct model *model, enum linear_role role)
{
    for (int32_t n = 0; n < model->linear_count; n++)
        if (model->linears[n].spec.role == role)
            return true;
    return false;
}

/* What the attention itself reads is of all rows, whatever predicts. */
static bool is_before_attention(enum linear_role role)
{
    return role == LINEAR_Q || role == LINEAR_K || role == LINEAR_V;
}

/* Everything of a layer but its input, which only checkpointing keeps apart; `rows` after the attention. */
static void take_tape(struct pass *pass, struct regions *regions, struct tape *tape, size_t rows)
{
    struct widths w = pass_widths(pass);
    tape->rstd1 = take(regions, w.tokens);
    tape->rstd2 = take(regions, rows);
    tape->q = take(regions, w.tokens * w.queries);
    tape->k = take(regions, w.tokens * w.keys);
    tape->v = take(regions, w.tokens * w.keys);
    tape->attention = take(regions, w.tokens * w.queries);
    tape->lse = take(regions, w.tokens * (size_t)pass->model->config.heads);
    tape->middle = take(regions, rows * w.hidden);
    tape->gate = take(regions, rows * w.intermediate);
    tape->up = take(regions, rows * w.intermediate);
    for (enum linear_role role = 0; role < LINEAR_ROLE_COUNT; role++)
        if (some_layer_has(pass->model, role))
            tape->u[role] =
                take(regions, (is_before_attention(role) ? w.tokens : rows) * (size_t)pass->limits.max_rank);
}

static void take_tapes(struct pass *pass, struct regions *regions)
{
    struct widths w = pass_widths(pass);
    bool keep_all = pass->limits.training && !pass->limits.checkpointing;
    struct tape tape = {0};
    for (int32_t l = 0; l < pass->model->config.layers; l++) {
        if (l == 0 || keep_all)
            take_tape(pass, regions, &tape,
                      keep_all && pass_is_last(pass, l) ? (size_t)pass->limits.predictions : w.tokens);
        if (l == 0 || pass->limits.training)
            tape.x = take(regions, w.tokens * w.hidden);
        if (pass->tapes)
            pass->tapes[l] = tape;
    }
}

static void take_backward(struct pass *pass, struct regions *regions)
{
    struct widths w = pass_widths(pass);
    size_t predictions = (size_t)pass->limits.predictions;
    pass->dlogprob = take(regions, predictions);
    pass->dentropy = take(regions, predictions);
    pass->dhidden = take(regions, predictions * w.hidden);
    pass->dstream = take(regions, w.tokens * w.hidden);
    pass->dnormed = take(regions, w.tokens * w.hidden);
    pass->dwide = take(regions, w.tokens * w.intermediate);
    if (pass->backend->compute != DTYPE_F32) {
        pass->dgate = take_operand(pass, regions, w.tokens * w.intermediate);
        pass->dup = take_operand(pass, regions, w.tokens * w.intermediate);
    }
    pass->dattention = take(regions, w.tokens * w.queries);
    pass->dq = take(regions, w.tokens * w.queries);
    pass->dk = take(regions, w.tokens * w.keys);
    pass->dv = take(regions, w.tokens * w.keys);
    for (int i = 0; i < LINEAR_GROUP; i++)
        pass->du[i] = take(regions, w.tokens * (size_t)pass->limits.max_rank);
}

static void take_cache(struct pass *pass, struct regions *regions)
{
    size_t count = (size_t)pass->limits.cache_rows * pass_widths(pass).keys;
    for (int32_t l = 0; l < pass->model->config.layers; l++) {
        float *k = regions_take_floats(regions, MEMORY_CACHE, count);
        float *v = regions_take_floats(regions, MEMORY_CACHE, count);
        if (pass->cache_k) {
            pass->cache_k[l] = k;
            pass->cache_v[l] = v;
        }
    }
    pass->slots = regions_take(regions, MEMORY_CACHE, (size_t)pass->limits.tokens * sizeof(int32_t));
    pass->logits = regions_take_floats(regions, MEMORY_CACHE,
                                       (size_t)pass->limits.segments * (size_t)pass->model->config.vocabulary);
}

/* Run once to count and once to take (model/memory.h). */
static void take_all(struct pass *pass, struct regions *regions)
{
    struct widths w = pass_widths(pass);
    const struct pass_limits *limits = &pass->limits;
    size_t predictions = (size_t)most(limits->predictions, limits->segments);
    pass->ids = regions_take(regions, MEMORY_ACTIVATIONS, w.tokens * sizeof(int32_t));
    pass->positions = regions_take(regions, MEMORY_ACTIVATIONS, w.tokens * sizeof(int32_t));
    pass->dropout_keys = regions_take(regions, MEMORY_ACTIVATIONS, w.tokens * sizeof(uint64_t));
    pass->prediction_keys = regions_take(regions, MEMORY_ACTIVATIONS, predictions * sizeof(uint64_t));
    pass->spans = regions_take(regions, MEMORY_ACTIVATIONS, (size_t)limits->segments * sizeof(struct attention_span));
    pass->prediction_rows = regions_take(regions, MEMORY_ACTIVATIONS, predictions * sizeof(int32_t));
    pass->targets = regions_take(regions, MEMORY_ACTIVATIONS, predictions * sizeof(int32_t));
    pass->rotation = take(regions, w.tokens * (size_t)pass->model->config.head_size);
    pass->normed = take_operand(pass, regions, w.tokens * w.hidden);
    pass->delta = take(regions, w.tokens * w.hidden);
    pass->wide = take_operand(pass, regions, w.tokens * w.intermediate);
    pass->attended = take(regions, predictions * w.queries);
    pass->final_sum = take(regions, predictions * w.hidden);
    pass->hidden = take(regions, predictions * w.hidden);
    pass->final_rstd = take(regions, predictions);
    pass->logprob = take(regions, predictions);
    pass->lse = take(regions, predictions);
    pass->entropy = take(regions, predictions);
    pass->argmax = regions_take(regions, MEMORY_ACTIVATIONS, predictions * sizeof(int32_t));
    take_tapes(pass, regions);
    if (limits->training)
        take_backward(pass, regions);
    if (limits->cache_rows)
        take_cache(pass, regions);
}

static struct backend_limits pass_backend_limits(const struct pass *pass)
{
    const struct model_config *config = &pass->model->config;
    struct widths w = pass_widths(pass);
    return (struct backend_limits){
        .rows = most(pass->limits.tokens, pass->limits.predictions),
        .columns = most(most((int32_t)w.hidden, (int32_t)w.queries), (int32_t)w.intermediate),
        .vocabulary = pass->limits.scorer ? 0 : config->vocabulary,
        .vocabulary_columns = config->hidden,
        .spans = pass->limits.segments,
        .heads = config->heads,
        .kv_heads = config->kv_heads,
        .head_size = config->head_size,
    };
}

int pass_plan(struct model *model, const struct pass_limits *limits, struct backend *backend, struct memory_plan *plan,
              struct err *err)
{
    (void)err;
    struct pass pass = {.model = model, .backend = backend, .limits = *limits};
    struct regions regions;
    regions_begin(&regions, backend);
    take_all(&pass, &regions);
    memory_plan_add(plan, &regions.plan);
    struct backend_limits backend_limits = pass_backend_limits(&pass);
    memory_plan_add_scratch(plan, backend, &backend_limits);
    return 0;
}

static int create_staging(struct pass *pass, struct err *err)
{
    size_t layers = (size_t)pass->model->config.layers, segments = (size_t)pass->limits.segments;
    pass->tapes = mem_alloc(layers, sizeof *pass->tapes, err);
    pass->host_spans = mem_alloc(segments, sizeof *pass->host_spans, err);
    pass->host_keys = mem_alloc((size_t)pass->limits.tokens, sizeof *pass->host_keys, err);
    pass->host_prediction_keys =
        mem_alloc((size_t)pass->limits.predictions + 1, sizeof *pass->host_prediction_keys, err);
    pass->host_rows =
        mem_alloc((size_t)most(pass->limits.predictions, pass->limits.segments) + 1, sizeof *pass->host_rows, err);
    if (!pass->tapes || !pass->host_spans || !pass->host_keys || !pass->host_prediction_keys || !pass->host_rows)
        return -1;
    if (pass->limits.cache_rows) {
        pass->cache_k = mem_alloc(layers, sizeof *pass->cache_k, err);
        pass->cache_v = mem_alloc(layers, sizeof *pass->cache_v, err);
        if (!pass->cache_k || !pass->cache_v)
            return -1;
    }
    return 0;
}

int pass_create(struct pass **out, struct model *model, const struct pass_limits *limits, struct err *err)
{
    assert(model->backend && limits->tokens > 0 && limits->segments > 0);
    struct pass *pass = mem_alloc(1, sizeof *pass, err);
    if (!pass)
        return -1;
    *pass = (struct pass){.model = model, .backend = model->backend, .limits = *limits};
    struct backend_limits backend_limits = pass_backend_limits(pass);
    regions_begin(&pass->regions, pass->backend);
    take_all(pass, &pass->regions);
    if (create_staging(pass, err) != 0 || regions_alloc(&pass->regions, err) != 0 ||
        pass->backend->reserve(pass->backend, &backend_limits, err) != 0) {
        pass_free(pass);
        return -1;
    }
    take_all(pass, &pass->regions);
    *out = pass;
    return 0;
}

void pass_free(struct pass *pass)
{
    if (!pass)
        return;
    regions_free(&pass->regions);
    mem_free(pass->tapes);
    mem_free(pass->host_spans);
    mem_free(pass->host_keys);
    mem_free(pass->host_prediction_keys);
    mem_free(pass->host_rows);
    mem_free(pass->cache_k);
    mem_free(pass->cache_v);
    mem_free(pass);
}

const struct pass_limits *pass_limits(const struct pass *pass)
{
    return &pass->limits;
}

struct model *pass_model(const struct pass *pass)
{
    return pass->model;
}

bool pass_fits(const struct pass *pass, const struct model *model)
{
    const struct model_config *a = &pass->model->config, *b = &model->config;
    return model_config_same_shape(a, b) && (a->vocabulary == b->vocabulary || model->score.weight);
}

void pass_use(struct pass *pass, struct model *model)
{
    assert(pass_fits(pass, model) && model->backend == pass->backend);
    pass->model = model;
}

void pass_return(struct pass *pass, struct model *home)
{
    assert(model_config_same_shape(&pass->model->config, &home->config) && home->backend == pass->backend);
    pass->model = home;
}

void pass_load(struct pass *pass, const struct batch *batch)
{
    assert(batch->tokens > 0 && batch->tokens <= pass->limits.tokens && batch->segment_count <= pass->limits.segments &&
           batch->prediction_count <= pass->limits.predictions);
    struct backend *backend = pass->backend;
    size_t tokens = (size_t)batch->tokens, predictions = (size_t)batch->prediction_count;
    for (int32_t i = 0; i < batch->segment_count; i++) {
        const struct segment *segment = &batch->segments[i];
        struct attention_span span = {
            .query = segment->start, .queries = segment->length, .key = segment->start, .keys = segment->length};
        if (segment->parent >= 0) {
            span.parent = batch->segments[segment->parent].start;
            span.parent_keys = batch->segments[segment->parent].length;
        }
        pass->host_spans[i] = span;
        for (int32_t t = segment->start; t < segment->start + segment->length; t++)
            pass->host_keys[t] = segment->key + (uint64_t)batch->positions[t];
    }
    backend->upload(backend, pass->ids, batch->ids, tokens * sizeof(int32_t));
    backend->upload(backend, pass->positions, batch->positions, tokens * sizeof(int32_t));
    backend->upload(backend, pass->dropout_keys, pass->host_keys, tokens * sizeof(uint64_t));
    backend->upload(backend, pass->spans, pass->host_spans, (size_t)batch->segment_count * sizeof *pass->host_spans);
    for (int32_t i = 0; i < batch->prediction_count; i++) {
        pass->host_rows[i] = batch->predictions[i].row;
        pass->host_prediction_keys[i] = pass->host_keys[batch->predictions[i].row];
    }
    if (predictions) {
        backend->upload(backend, pass->prediction_rows, pass->host_rows, predictions * sizeof(int32_t));
        backend->upload(backend, pass->prediction_keys, pass->host_prediction_keys, predictions * sizeof(uint64_t));
    }
    for (int32_t i = 0; i < batch->prediction_count; i++)
        pass->host_rows[i] = batch->predictions[i].target;
    if (predictions)
        backend->upload(backend, pass->targets, pass->host_rows, predictions * sizeof(int32_t));
    pass->tokens = batch->tokens;
    pass->span_count = batch->segment_count;
    pass->extent = attention_extent(pass->host_spans, batch->segment_count);
    pass->predictions = batch->prediction_count;
}
