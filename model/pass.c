/* model/pass.c - the memory of a pass, and loading a batch; see pass.h and internal.h. */
#include "base/mem.h"
#include "base/minmax.h"
#include "model/internal.h"
#include <assert.h>
#include <string.h>

/* Sizes of the widest rows, from the config; tokens: or predictions, where a batch may have more of them. */
struct widths {
    size_t tokens, hidden, queries, keys, intermediate;
};

static struct widths pass_widths(const struct pass *pass)
{
    const struct model_config *config = &pass->model->config;
    return (struct widths){(size_t)max(pass->limits.tokens, pass->limits.predictions), (size_t)config->hidden,
                           (size_t)config->heads * (size_t)config->head_size,
                           (size_t)config->kv_heads * (size_t)config->head_size, (size_t)config->intermediate};
}

static float *take(struct regions *regions, size_t count)
{
    return regions_take_floats(regions, MEMORY_ACTIVATIONS, count);
}

/* Rows that products alone read. */
static void *take_operand(const struct pass *pass, struct regions *regions, size_t count)
{
    return regions_take(regions, MEMORY_ACTIVATIONS, count * dtype_size(pass->backend->traits.activations));
}

static bool some_layer_has(const struct model *model, enum linear_role role)
{
    for (int32_t n = 0; n < model->linear_count; n++) {
        if (model->linears[n].spec.role == role) {
            return true;
        }
    }
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
    for (enum linear_role role = 0; role < LINEAR_ROLE_COUNT; role++) {
        if (some_layer_has(pass->model, role)) {
            tape->u[role] =
                take(regions, (is_before_attention(role) ? w.tokens : rows) * (size_t)pass->limits.max_rank);
        }
    }
}

static void take_tapes(struct pass *pass, struct regions *regions)
{
    struct widths w = pass_widths(pass);
    bool keep_all = pass->limits.training && !pass->limits.checkpointing;
    struct tape tape = {0};
    for (int32_t l = 0; l < pass->model->config.layers; l++) {
        if (l == 0 || keep_all) {
            take_tape(pass, regions, &tape,
                      keep_all && pass_is_last(pass, l) ? (size_t)pass->limits.predictions : w.tokens);
        }
        if (l == 0 || pass->limits.training) {
            tape.x = take(regions, w.tokens * w.hidden);
        }
        if (pass->tapes) {
            pass->tapes[l] = tape;
        }
    }
}

static void take_backward(struct pass *pass, struct regions *regions)
{
    struct widths w = pass_widths(pass);
    size_t predictions = (size_t)pass->limits.predictions;
    pass->dhidden = take(regions, predictions * w.hidden);
    pass->dstream = take(regions, w.tokens * w.hidden);
    pass->dnormed = take(regions, w.tokens * w.hidden);
    pass->dwide = take(regions, w.tokens * w.intermediate);
    if (pass->backend->traits.activations != DTYPE_F32) {
        pass->dgate = take_operand(pass, regions, w.tokens * w.intermediate);
        pass->dup = take_operand(pass, regions, w.tokens * w.intermediate);
    }
    pass->dattention = take(regions, w.tokens * w.queries);
    pass->dq = take(regions, w.tokens * w.queries);
    pass->dk = take(regions, w.tokens * w.keys);
    pass->dv = take(regions, w.tokens * w.keys);
    for (int i = 0; i < LINEAR_GROUP; i++) {
        pass->du[i] = take(regions, w.tokens * (size_t)pass->limits.max_rank);
    }
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
    pass->logits = regions_take_floats(regions, MEMORY_CACHE,
                                       (size_t)pass->limits.segments * (size_t)pass->model->config.vocabulary);
}

#define PART_ALIGNMENT 64

/* The next part of a block, or NULL where there is no block. */
static void *part(char *memory, size_t *size, size_t bytes)
{
    size_t start = *size;
    *size = start + (bytes + PART_ALIGNMENT - 1) / PART_ALIGNMENT * PART_ALIGNMENT;
    return memory ? memory + start : NULL;
}

static struct pass_inputs inputs_at(const struct pass_limits *limits, char *memory)
{
    size_t tokens = (size_t)max(limits->tokens, limits->predictions);
    size_t predictions = (size_t)max(limits->predictions, limits->segments), cached = limits->cache_rows ? tokens : 0;
    size_t losses = limits->training ? (size_t)limits->predictions : 0;
    struct pass_inputs inputs = {.block = memory};
    inputs.spans = part(memory, &inputs.size, (size_t)limits->segments * sizeof *inputs.spans);
    inputs.keys = part(memory, &inputs.size, tokens * sizeof *inputs.keys);
    inputs.prediction_keys = part(memory, &inputs.size, predictions * sizeof *inputs.prediction_keys);
    inputs.ids = part(memory, &inputs.size, tokens * sizeof *inputs.ids);
    inputs.positions = part(memory, &inputs.size, tokens * sizeof *inputs.positions);
    inputs.slots = part(memory, &inputs.size, cached * sizeof *inputs.slots);
    inputs.prediction_rows = part(memory, &inputs.size, predictions * sizeof *inputs.prediction_rows);
    inputs.targets = part(memory, &inputs.size, predictions * sizeof *inputs.targets);
    inputs.batch_size = inputs.size;
    inputs.dlogprob = part(memory, &inputs.size, losses * sizeof *inputs.dlogprob);
    inputs.dentropy = part(memory, &inputs.size, losses * sizeof *inputs.dentropy);
    return inputs;
}

static size_t results_stride(int32_t predictions)
{
    return ((size_t)predictions * sizeof(float) + PART_ALIGNMENT - 1) / PART_ALIGNMENT * PART_ALIGNMENT;
}

static size_t results_size(const struct pass_limits *limits)
{
    return 3 * results_stride(max(limits->predictions, limits->segments));
}

struct pass_results pass_results_at(const struct pass *pass, char *memory)
{
    size_t stride = results_stride(pass->predictions);
    return (struct pass_results){.logprob = (float *)(void *)memory,
                                 .argmax = (int32_t *)(void *)(memory + stride),
                                 .entropy = (float *)(void *)(memory + 2 * stride),
                                 .stride = stride};
}

/* Run once to count and once to take (model/memory.h). */
static void take_all(struct pass *pass, struct regions *regions)
{
    struct widths w = pass_widths(pass);
    const struct pass_limits *limits = &pass->limits;
    size_t predictions = (size_t)max(limits->predictions, limits->segments);
    pass->inputs = inputs_at(limits, NULL);
    pass->inputs = inputs_at(limits, regions_take(regions, MEMORY_ACTIVATIONS, pass->inputs.size));
    pass->results = regions_take(regions, MEMORY_ACTIVATIONS, results_size(limits));
    pass->rotation = take(regions, w.tokens * (size_t)pass->model->config.head_size);
    pass->normed = take_operand(pass, regions, w.tokens * w.hidden);
    pass->delta = take(regions, w.tokens * w.hidden);
    pass->wide = take_operand(pass, regions, w.tokens * w.intermediate);
    pass->attended = take(regions, predictions * w.queries);
    pass->final_sum = take(regions, predictions * w.hidden);
    pass->hidden = take(regions, predictions * w.hidden);
    pass->final_rstd = take(regions, predictions);
    pass->lse = take(regions, predictions);
    take_tapes(pass, regions);
    if (limits->training) {
        take_backward(pass, regions);
    }
    if (limits->cache_rows) {
        take_cache(pass, regions);
    }
}

static struct backend_limits pass_backend_limits(const struct pass *pass)
{
    const struct model_config *config = &pass->model->config;
    struct widths w = pass_widths(pass);
    return (struct backend_limits){
        .rows = max(pass->limits.tokens, pass->limits.predictions),
        .columns = max(max((int32_t)w.hidden, (int32_t)w.queries), (int32_t)w.intermediate),
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
    size_t layers = (size_t)pass->model->config.layers;
    pass->tapes = mem_alloc(layers, sizeof *pass->tapes, err);
    char *inputs = mem_alloc(pass->inputs.size, 1, err);
    if (inputs) {
        pass->staged = inputs_at(&pass->limits, inputs);
    }
    pass->host_results = mem_alloc(results_size(&pass->limits), 1, err);
    if (!pass->tapes || !inputs || !pass->host_results) {
        return -1;
    }
    if (pass->limits.cache_rows) {
        pass->cache_k = mem_alloc(layers, sizeof *pass->cache_k, err);
        pass->cache_v = mem_alloc(layers, sizeof *pass->cache_v, err);
        if (!pass->cache_k || !pass->cache_v) {
            return -1;
        }
    }
    return 0;
}

int pass_create(struct pass **out, struct model *model, const struct pass_limits *limits, struct err *err)
{
    assert(model->backend && limits->tokens > 0 && limits->segments > 0);
    struct pass *pass = mem_alloc(1, sizeof *pass, err);
    if (!pass) {
        return -1;
    }
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
    if (!pass) {
        return;
    }
    regions_free(&pass->regions);
    mem_free(pass->tapes);
    mem_free(pass->staged.block);
    mem_free(pass->host_results);
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

/* Spans, ids, positions and what names the tokens for dropout. */
static void stage_segments(struct pass *pass, const struct batch *batch)
{
    struct pass_inputs *staged = &pass->staged;
    for (int32_t i = 0; i < batch->segment_count; i++) {
        const struct segment *segment = &batch->segments[i];
        struct attention_span span = {
            .query = segment->start, .queries = segment->length, .key = segment->start, .keys = segment->length};
        if (segment->parent >= 0) {
            span.parent = batch->segments[segment->parent].start;
            span.parent_keys = batch->segments[segment->parent].length;
        }
        staged->spans[i] = span;
        for (int32_t t = segment->start; t < segment->start + segment->length; t++) {
            staged->keys[t] = segment->key + (uint64_t)batch->positions[t];
        }
    }
    memcpy(staged->ids, batch->ids, (size_t)batch->tokens * sizeof *staged->ids);
    memcpy(staged->positions, batch->positions, (size_t)batch->tokens * sizeof *staged->positions);
}

void pass_load_loss(struct pass *pass, const struct batch *batch, const float *dlogprob)
{
    assert(batch->tokens > 0 && batch->tokens <= pass->limits.tokens && batch->segment_count <= pass->limits.segments &&
           batch->prediction_count <= pass->limits.predictions && (!dlogprob || pass->limits.training));
    struct pass_inputs *staged = &pass->staged;
    size_t predictions = (size_t)batch->prediction_count;
    stage_segments(pass, batch);
    for (size_t i = 0; i < predictions; i++) {
        const struct prediction *prediction = &batch->predictions[i];
        staged->prediction_rows[i] = prediction->row;
        staged->prediction_keys[i] = staged->keys[prediction->row];
        staged->targets[i] = prediction->target;
    }
    if (dlogprob && predictions) {
        memcpy(staged->dlogprob, dlogprob, predictions * sizeof *dlogprob);
    }
    pass->backend->upload(pass->backend, pass->inputs.block, staged->block,
                          dlogprob ? staged->size : staged->batch_size);
    pass->tokens = batch->tokens;
    pass->span_count = batch->segment_count;
    pass->extent = attention_extent(staged->spans, batch->segment_count);
    pass->predictions = batch->prediction_count;
    pass->has_loss = dlogprob != NULL;
}

void pass_load(struct pass *pass, const struct batch *batch)
{
    pass_load_loss(pass, batch, NULL);
}
