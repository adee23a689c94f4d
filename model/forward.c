/* model/forward.c - token ids to hidden states; see pass.h and internal.h. */
#include "base/mem.h"
#include "model/internal.h"
#include <assert.h>
#include <math.h>
#include <string.h>

static float *cache_or(float *const *cache, int32_t layer, float *own)
{
    return cache ? cache[layer] : own;
}

bool pass_is_last(const struct pass *pass, int32_t layer)
{
    return layer == pass->model->config.layers - 1;
}

void pass_all_rows(struct pass *pass)
{
    pass->rows = pass->tokens;
    pass->row_keys = pass->inputs.keys;
}

void pass_predicting_rows(struct pass *pass)
{
    pass->rows = pass->predictions;
    pass->row_keys = pass->inputs.prediction_keys;
}

struct operand pass_operand(const struct pass *pass, const void *rows)
{
    return (struct operand){rows, pass->backend->traits.activations};
}

static struct norm_args norm_of(const struct pass *pass, const float *x, const float *residual, const float *weight,
                                float *sum, float *rstd)
{
    return (struct norm_args){
        .x = x,
        .residual = residual,
        .weight = weight,
        .sum = sum,
        .rstd = rstd,
        .rows = pass->rows,
        .columns = pass->model->config.hidden,
        .epsilon = pass->model->config.norm_epsilon,
    };
}

void pass_norm(struct pass *pass, const float *x, const float *residual, const float *weight, float *sum, float *rstd)
{
    struct norm_args args = norm_of(pass, x, residual, weight, sum, rstd);
    args.y = pass->normed;
    args.y_dtype = pass->backend->traits.activations;
    pass->backend->norm(pass->backend, &args);
}

static void final_norm(struct pass *pass)
{
    const struct tape *tape = &pass->tapes[pass->model->config.layers - 1];
    struct norm_args args =
        norm_of(pass, tape->middle, pass->delta, pass->model->final_norm, pass->final_sum, pass->final_rstd);
    args.y = pass->hidden;
    pass->backend->norm(pass->backend, &args);
}

int32_t pass_linear(const struct pass *pass, int32_t layer, enum linear_role role)
{
    int32_t linear = pass->model->layers[layer].linears[role];
    assert(linear >= 0);
    return linear;
}

struct dropout pass_dropout(const struct pass *pass, const struct overlay *overlay)
{
    return overlay->dropout > 0 ? (struct dropout){pass->row_keys, overlay->seed, overlay->dropout}
                                : (struct dropout){0};
}

const struct low_rank *pass_low_rank(const struct overlay *overlay, int32_t linear)
{
    const struct low_rank *low_rank = overlay ? &overlay->linears[linear] : NULL;
    return low_rank && low_rank->a ? low_rank : NULL;
}

static struct linear_layer linear_layer(struct pass *pass, const struct overlay *overlay, int32_t layer,
                                        enum linear_role role, float *y)
{
    const int32_t index = pass_linear(pass, layer, role);
    const struct linear *linear = &pass->model->linears[index];
    const struct low_rank *low_rank = pass_low_rank(overlay, index);
    struct linear_layer result = {.w = linear->weight, .bias = linear->bias, .y = y};
    if (low_rank) {
        assert(low_rank->rank <= pass->limits.max_rank);
        result.a = low_rank->a;
        result.b = low_rank->b;
        result.u = pass->tapes[layer].u[role];
        result.scale = low_rank->scale;
        result.stream = (uint32_t)index;
    }
    return result;
}

void pass_linears(struct pass *pass, const struct overlay *overlay, int32_t layer, const enum linear_role roles[],
                  struct operand x, float *const y[], int count, bool training)
{
    struct linear_args args = {.x = x.data, .x_dtype = x.dtype, .rows = pass->rows};
    for (int i = 0; i < count; i++) {
        struct linear_layer *next = &args.layers[args.layer_count];
        *next = linear_layer(pass, overlay, layer, roles[i], y[i]);
        if (!next->a && !next->y) {
            continue;
        }
        args.layer_count++;
        if (training && next->a) {
            args.dropout = pass_dropout(pass, overlay);
        }
    }
    if (args.layer_count > 0) {
        pass->backend->linear(pass->backend, &args);
    }
}

/* The angles of the tokens' positions: one table for all layers. */
static void set_rotation(struct pass *pass)
{
    pass->backend->rotation(pass->backend, &(struct rotation_args){
                                               .positions = pass->inputs.positions,
                                               .frequencies = pass->model->rope_frequencies,
                                               .table = pass->rotation,
                                               .rows = pass->tokens,
                                               .rotary = pass->model->config.head_size,
                                               .attention_factor = 1,
                                           });
}

void pass_rotate(struct pass *pass, float *x, int32_t heads, bool inverse)
{
    const int32_t size = pass->model->config.head_size;
    pass->backend->rope(pass->backend, &(struct rope_args){
                                           .x = x,
                                           .table = pass->rotation,
                                           .rows = pass->tokens,
                                           .heads = heads,
                                           .head_size = size,
                                           .rotary = size,
                                           .inverse = inverse,
                                       });
}

/* From pass->normed (the first norm is already applied) to tape->attention. */
static void attention_forward(struct pass *pass, const struct overlay *overlay, int32_t layer, bool training)
{
    struct backend *backend = pass->backend;
    const struct model_config *config = &pass->model->config;
    struct tape *tape = &pass->tapes[layer];
    bool cached = pass->limits.cache_rows > 0;
    pass_linears(pass, overlay, layer, (enum linear_role[]){LINEAR_Q, LINEAR_K, LINEAR_V},
                 pass_operand(pass, pass->normed), (float *[]){tape->q, tape->k, tape->v}, 3, training);
    pass_rotate(pass, tape->q, config->heads, false);
    pass_rotate(pass, tape->k, config->kv_heads, false);
    float *k = cache_or(pass->cache_k, layer, tape->k), *v = cache_or(pass->cache_v, layer, tape->v);
    if (cached) {
        int32_t columns = config->kv_heads * config->head_size;
        backend->scatter_rows(
            backend,
            &(struct rows_args){
                .src = tape->k, .dst = k, .index = pass->inputs.slots, .rows = pass->tokens, .columns = columns});
        backend->scatter_rows(
            backend,
            &(struct rows_args){
                .src = tape->v, .dst = v, .index = pass->inputs.slots, .rows = pass->tokens, .columns = columns});
    }
    backend->attention(backend, &(struct attention_args){
                                    .q = tape->q,
                                    .k = k,
                                    .v = v,
                                    .spans = pass->inputs.spans,
                                    .extent = pass->extent,
                                    .out = tape->attention,
                                    .lse = tape->lse,
                                    .span_count = pass->span_count,
                                    .heads = config->heads,
                                    .kv_heads = config->kv_heads,
                                    .head_size = config->head_size,
                                    .scale = 1.0f / sqrtf((float)config->head_size),
                                });
}

/* Of the residual stream and the attention of the last layer, the rows that predict. */
static void pick_rows(struct pass *pass, struct tape *tape)
{
    const struct model_config *config = &pass->model->config;
    struct rows_args rows = {.index = pass->inputs.prediction_rows, .rows = pass->predictions};
    rows.src = tape->x;
    rows.dst = tape->middle;
    rows.columns = config->hidden;
    pass->backend->gather_rows(pass->backend, &rows);
    rows.src = tape->attention;
    rows.dst = pass->attended;
    rows.columns = config->heads * config->head_size;
    pass->backend->gather_rows(pass->backend, &rows);
}

/*
 * A layer from pass->normed (the first norm is already applied) to pass->delta, what the MLP adds to tape->middle; the
 * last one goes over to the rows that predict. with_down false stops before the down product: the backward pass, which
 * runs checkpointed layers again, makes its input anyway and does not need its output.
 */
void pass_layer_forward(struct pass *pass, const struct overlay *overlay, int32_t layer, bool training, bool with_down)
{
    struct tape *tape = &pass->tapes[layer];
    const float *x = tape->x, *attended = tape->attention;
    attention_forward(pass, overlay, layer, training);
    if (pass_is_last(pass, layer)) {
        pass_predicting_rows(pass);
        if (pass->rows == 0) {
            return;
        }
        pick_rows(pass, tape);
        x = tape->middle;
        attended = pass->attended;
    }
    pass_linears(pass, overlay, layer, (enum linear_role[]){LINEAR_O}, operand_f32(attended), &pass->delta, 1,
                 training);
    pass_norm(pass, x, pass->delta, pass->model->layers[layer].mlp_norm, tape->middle, tape->rstd2);
    pass_linears(pass, overlay, layer, (enum linear_role[]){LINEAR_GATE, LINEAR_UP}, pass_operand(pass, pass->normed),
                 (float *[]){tape->gate, tape->up}, 2, training);
    if (!with_down) {
        return;
    }
    pass->backend->gated(pass->backend,
                         &(struct gated_args){.gate = tape->gate,
                                              .up = tape->up,
                                              .out = pass->wide,
                                              .out_dtype = pass->backend->traits.activations,
                                              .count = (int64_t)pass->rows * pass->model->config.intermediate});
    pass_linears(pass, overlay, layer, (enum linear_role[]){LINEAR_DOWN}, pass_operand(pass, pass->wide), &pass->delta,
                 1, training);
}

void pass_forward(struct pass *pass, const struct overlay *overlay, bool training)
{
    assert(!training || pass->limits.training);
    struct model *model = pass->model;
    struct backend *backend = pass->backend;
    const struct weight *table =
        overlay && overlay->embedding.weight ? overlay->embedding.weight : model->embedding.weight;
    float *x = pass->tapes[0].x;
    pass_all_rows(pass);
    set_rotation(pass);
    backend->embed(backend, &(struct embed_args){
                                .table = table, .ids = pass->inputs.ids, .out = x, .rows = pass->tokens, .scale = 1});
    pass_norm(pass, x, NULL, model->layers[0].attention_norm, NULL, pass->tapes[0].rstd1);
    for (int32_t l = 0; l < model->config.layers; l++) {
        struct tape *tape = &pass->tapes[l];
        if (l > 0) {
            pass_norm(pass, pass->tapes[l - 1].middle, pass->delta, model->layers[l].attention_norm, tape->x,
                      tape->rstd1);
        }
        pass_layer_forward(pass, overlay, l, training, true);
    }
    if (pass->rows > 0) {
        final_norm(pass);
    }
}

const struct weight *pass_head(const struct pass *pass, const struct overlay *overlay)
{
    return overlay && overlay->head.weight ? overlay->head.weight : pass->model->head.weight;
}

static void load_cached(struct pass *pass, const struct cached_rows *rows, bool predicting)
{
    struct pass_inputs *staged = &pass->staged;
    size_t count = (size_t)rows->rows;
    memcpy(staged->ids, rows->ids, count * sizeof *staged->ids);
    memcpy(staged->positions, rows->positions, count * sizeof *staged->positions);
    memcpy(staged->slots, rows->slots, count * sizeof *staged->slots);
    memcpy(staged->spans, rows->spans, (size_t)rows->span_count * sizeof *staged->spans);
    pass->tokens = rows->rows;
    pass->span_count = rows->span_count;
    pass->extent = attention_extent(rows->spans, rows->span_count);
    pass->predictions = predicting ? rows->span_count : 0;
    for (int32_t i = 0; i < pass->predictions; i++) {
        staged->prediction_rows[i] = rows->spans[i].query + rows->spans[i].queries - 1;
    }
    pass->backend->upload(pass->backend, pass->inputs.block, staged->block, staged->batch_size);
}

int pass_extend(struct pass *pass, const struct overlay *overlay, const struct cached_rows *rows, float *logits,
                struct err *err)
{
    assert(pass->limits.cache_rows > 0 && rows->rows > 0 && rows->rows <= pass->limits.tokens &&
           rows->span_count <= pass->limits.segments);
    struct backend *backend = pass->backend;
    load_cached(pass, rows, logits != NULL);
    pass_forward(pass, overlay, false);
    if (!logits) {
        return 0;
    }
    backend->linear(backend, &(struct linear_args){.x = pass->hidden,
                                                   .layers = {{.w = pass_head(pass, overlay), .y = pass->logits}},
                                                   .layer_count = 1,
                                                   .rows = pass->predictions});
    return backend_download(backend, logits, pass->logits,
                            (size_t)rows->span_count * (size_t)pass->model->config.vocabulary * sizeof(float), err);
}
