/* model/backward.c - gradients, from the last hidden states back to the embedding; see pass.h. */
#include "model/pass.h"
#include <assert.h>
#include <math.h>

/* The low-rank term's gradients: b_gradient += dy^T u, du = scale dy B, a_gradient += du^T drop(x). Leaves du in
 * pass->du. */
static void low_rank_backward(struct pass *pass, const struct overlay *overlay, int32_t layer, enum linear_kind kind,
                              const float *dy, const float *x)
{
    struct backend *backend = pass->backend;
    const struct low_rank *low_rank = overlay_linear(overlay, layer, kind);
    const float *u = pass->tapes[layer].u[kind];
    int32_t inputs = weight_shape(low_rank->a)->columns, outputs = weight_shape(low_rank->b)->rows;
    backend->linear_backward(
        backend, &(struct linear_backward_args){
                     .dy = dy, .w = low_rank->b, .dx = pass->du, .rows = pass->rows, .scale = low_rank->scale});
    if (!low_rank->b_gradient)
        return;
    backend->linear_weight_backward(backend, &(struct linear_weight_backward_args){.dy = dy,
                                                                                   .x = u,
                                                                                   .dw = low_rank->b_gradient,
                                                                                   .rows = pass->rows,
                                                                                   .outputs = outputs,
                                                                                   .inputs = low_rank->rank,
                                                                                   .scale = 1});
    const float *input = x;
    if (overlay->dropout > 0) {
        backend->dropout(backend, &(struct dropout_args){.x = x,
                                                         .keys = pass->row_keys,
                                                         .out = pass->dropped,
                                                         .rows = pass->rows,
                                                         .columns = inputs,
                                                         .stream = (uint32_t)(layer * LINEAR_KIND_COUNT + (int)kind),
                                                         .seed = overlay->seed,
                                                         .probability = overlay->dropout});
        input = pass->dropped;
    }
    backend->linear_weight_backward(backend, &(struct linear_weight_backward_args){.dy = pass->du,
                                                                                   .x = input,
                                                                                   .dw = low_rank->a_gradient,
                                                                                   .rows = pass->rows,
                                                                                   .outputs = low_rank->rank,
                                                                                   .inputs = inputs,
                                                                                   .scale = 1});
}

/*
 * dx (set, or added to with `accumulate`; NULL: not wanted) and the weight gradients of y = linear(x), given dy.
 */
static void linear_backward(struct pass *pass, const struct overlay *overlay, int32_t layer, enum linear_kind kind,
                            const float *dy, const float *x, float *dx, bool accumulate)
{
    struct backend *backend = pass->backend;
    const struct linear *linear = &pass->model->layers[layer].linears[kind];
    const struct weight_shape *shape = weight_shape(linear->weight);
    struct linear_backward_args args = {
        .dy = dy, .w = linear->weight, .dx = dx, .rows = pass->rows, .scale = 1, .accumulate = accumulate};
    const struct low_rank *low_rank = overlay ? overlay_linear(overlay, layer, kind) : NULL;
    bool has_low_rank = low_rank && low_rank->a, dropping = has_low_rank && overlay->dropout > 0;
    if (has_low_rank) {
        low_rank_backward(pass, overlay, layer, kind, dy, x);
        if (!dropping) {
            args.du = pass->du;
            args.a = low_rank->a;
        }
    }
    if (linear->weight_gradient || linear->bias_gradient)
        backend->linear_weight_backward(backend, &(struct linear_weight_backward_args){.dy = dy,
                                                                                       .x = x,
                                                                                       .dw = linear->weight_gradient,
                                                                                       .dbias = linear->bias_gradient,
                                                                                       .rows = pass->rows,
                                                                                       .outputs = shape->rows,
                                                                                       .inputs = shape->columns,
                                                                                       .scale = 1});
    if (!dx)
        return;
    backend->linear_backward(backend, &args);
    if (dropping) { /* the low-rank term saw drop(x): its gradient passes the same mask */
        backend->linear_backward(
            backend, &(struct linear_backward_args){
                         .dy = pass->du, .w = low_rank->a, .dx = pass->dropped, .rows = pass->rows, .scale = 1});
        backend->dropout(backend, &(struct dropout_args){.x = pass->dropped,
                                                         .keys = pass->row_keys,
                                                         .out = dx,
                                                         .rows = pass->rows,
                                                         .columns = shape->columns,
                                                         .stream = (uint32_t)(layer * LINEAR_KIND_COUNT + (int)kind),
                                                         .seed = overlay->seed,
                                                         .probability = overlay->dropout,
                                                         .accumulate = true});
    }
}

static void norm_backward(struct pass *pass, const float *dy, const float *s, const float *rstd, const float *weight,
                          float *dweight)
{
    pass->backend->norm_backward(pass->backend, &(struct norm_backward_args){.dy = dy,
                                                                             .s = s,
                                                                             .rstd = rstd,
                                                                             .weight = weight,
                                                                             .dx = pass->dstream,
                                                                             .dweight = dweight,
                                                                             .rows = pass->rows,
                                                                             .columns = pass->model->config.hidden});
}

static void mlp_backward(struct pass *pass, const struct overlay *overlay, int32_t layer)
{
    struct backend *backend = pass->backend;
    struct tape *tape = &pass->tapes[layer];
    struct layer *weights = &pass->model->layers[layer];
    int64_t count = (int64_t)pass->rows * pass->model->config.intermediate;
    backend->gated(backend,
                   &(struct gated_args){.gate = tape->gate, .up = tape->up, .out = pass->wide, .count = count});
    if (pass->limits.checkpointing) /* the layer was run again up to here */
        pass_low_rank_forward(pass, overlay, layer, LINEAR_DOWN, pass->wide, true);
    linear_backward(pass, overlay, layer, LINEAR_DOWN, pass->dstream, pass->wide, pass->dwide, false);
    float *dgate = tape->gate, *dup = tape->up; /* in place: this layer's tape is not read again */
    backend->gated_backward(
        backend,
        &(struct gated_backward_args){
            .gate = tape->gate, .up = tape->up, .dout = pass->dwide, .dgate = dgate, .dup = dup, .count = count});
    pass_norm(pass, tape->middle, NULL, weights->mlp_norm, NULL, pass->normed, NULL);
    linear_backward(pass, overlay, layer, LINEAR_GATE, dgate, pass->normed, pass->dnormed, false);
    linear_backward(pass, overlay, layer, LINEAR_UP, dup, pass->normed, pass->dnormed, true);
    norm_backward(pass, pass->dnormed, tape->middle, tape->rstd2, weights->mlp_norm, weights->mlp_norm_gradient);
}

/* The gradients of rows that predict become those of all rows: pass->dq to pass->dattention, and pass->dstream. */
static void spread_rows(struct pass *pass)
{
    const struct model_config *config = &pass->model->config;
    struct backend *backend = pass->backend;
    int32_t queries = config->heads * config->head_size;
    float *narrow = pass->dstream, *stream = pass->dnormed;
    pass_all_rows(pass);
    backend->fill(backend, &(struct fill_args){.x = pass->dattention, .count = (int64_t)pass->rows * queries});
    backend->fill(backend, &(struct fill_args){.x = stream, .count = (int64_t)pass->rows * config->hidden});
    struct rows_args rows = {.index = pass->prediction_rows, .rows = pass->predictions};
    rows.src = pass->dq;
    rows.dst = pass->dattention;
    rows.columns = queries;
    backend->scatter_add_rows(backend, &rows);
    rows.src = narrow;
    rows.dst = stream;
    rows.columns = config->hidden;
    backend->scatter_add_rows(backend, &rows);
    pass->dstream = stream;
    pass->dnormed = narrow;
}

static void attention_backward(struct pass *pass, const struct overlay *overlay, int32_t layer, bool need_input)
{
    struct backend *backend = pass->backend;
    const struct model_config *config = &pass->model->config;
    struct tape *tape = &pass->tapes[layer];
    struct layer *weights = &pass->model->layers[layer];
    if (pass_is_last(pass, layer)) {
        linear_backward(pass, overlay, layer, LINEAR_O, pass->dstream, pass->attended, pass->dq, false);
        spread_rows(pass);
    } else {
        linear_backward(pass, overlay, layer, LINEAR_O, pass->dstream, tape->attention, pass->dattention, false);
    }
    backend->attention_backward(backend,
                                &(struct attention_backward_args){.q = tape->q,
                                                                  .k = tape->k,
                                                                  .v = tape->v,
                                                                  .out = tape->attention,
                                                                  .lse = tape->lse,
                                                                  .dout = pass->dattention,
                                                                  .spans = pass->spans,
                                                                  .dq = pass->dq,
                                                                  .dk = pass->dk,
                                                                  .dv = pass->dv,
                                                                  .span_count = pass->span_count,
                                                                  .heads = config->heads,
                                                                  .kv_heads = config->kv_heads,
                                                                  .head_size = config->head_size,
                                                                  .scale = 1.0f / sqrtf((float)config->head_size)});
    struct rope_args rope = {.x = pass->dq,
                             .positions = pass->positions,
                             .frequencies = pass->model->rope_frequencies,
                             .rows = pass->rows,
                             .heads = config->heads,
                             .head_size = config->head_size,
                             .rotary = config->head_size,
                             .attention_factor = 1,
                             .inverse = true};
    backend->rope(backend, &rope);
    rope.x = pass->dk;
    rope.heads = config->kv_heads;
    backend->rope(backend, &rope);
    pass_norm(pass, tape->x, NULL, weights->attention_norm, NULL, pass->normed, NULL);
    float *dnormed = need_input ? pass->dnormed : NULL;
    linear_backward(pass, overlay, layer, LINEAR_Q, pass->dq, pass->normed, dnormed, false);
    linear_backward(pass, overlay, layer, LINEAR_K, pass->dk, pass->normed, dnormed, true);
    linear_backward(pass, overlay, layer, LINEAR_V, pass->dv, pass->normed, dnormed, true);
    if (need_input)
        norm_backward(pass, dnormed, tape->x, tape->rstd1, weights->attention_norm, weights->attention_norm_gradient);
}

/* From dstream, the gradient of the last layer's output, to the embedding. */
void pass_layers_backward(struct pass *pass, const struct overlay *overlay)
{
    struct backend *backend = pass->backend;
    struct model *model = pass->model;
    float *table_gradient =
        overlay && overlay->embedding.weight ? overlay->embedding.gradient : model->embedding.weight_gradient;
    for (int32_t l = model->config.layers - 1; l >= 0; l--) {
        struct tape *tape = &pass->tapes[l];
        if (pass->limits.checkpointing) {
            pass_all_rows(pass);
            pass_norm(pass, tape->x, NULL, model->layers[l].attention_norm, NULL, pass->normed, tape->rstd1);
            pass_layer_forward(pass, overlay, l, true, false);
        }
        mlp_backward(pass, overlay, l);
        attention_backward(pass, overlay, l, l > 0 || table_gradient || model->layers[l].attention_norm_gradient);
    }
    if (table_gradient)
        backend->embed_backward(backend, &(struct embed_backward_args){.ids = pass->ids,
                                                                       .dout = pass->dstream,
                                                                       .dtable = table_gradient,
                                                                       .rows = pass->rows,
                                                                       .columns = model->config.hidden,
                                                                       .vocabulary = model->config.vocabulary,
                                                                       .scale = 1});
}
