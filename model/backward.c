/* model/backward.c - gradients, from the last hidden states back to the embedding; see pass.h and internal.h. */
#include "model/internal.h"
#include <assert.h>
#include <math.h>

/* A linear layer on the way back: dy, and the x that it read. */
struct backward_layer {
    enum linear_role role;
    struct operand dy, x;
};

/* What the gradient of a weight [outputs, inputs] is made of; dw and dbias are the caller's. */
static struct linear_weight_backward_args weight_backward(const struct pass *pass, struct operand dy, int32_t outputs,
                                                          struct operand x, int32_t inputs)
{
    return (struct linear_weight_backward_args){
        .dy = dy.data,
        .x = x.data,
        .rows = pass->rows,
        .outputs = outputs,
        .inputs = inputs,
        .scale = 1,
        .dy_dtype = dy.dtype,
        .x_dtype = x.dtype,
    };
}

/* b_gradient += dy^T u, a_gradient += du^T drop(x). */
static void low_rank_weights_backward(struct pass *pass, const struct overlay *overlay, int32_t layer,
                                      const struct backward_layer *linear, const float *du)
{
    const int32_t index = pass_linear(pass, layer, linear->role);
    const struct low_rank *low_rank = pass_low_rank(overlay, index);
    if (!low_rank || !low_rank->b_gradient) {
        return;
    }
    int32_t inputs = weight_shape(low_rank->a)->columns, outputs = weight_shape(low_rank->b)->rows;
    struct operand u = operand_f32(pass->tapes[layer].u[linear->role]);
    struct linear_weight_backward_args b = weight_backward(pass, linear->dy, outputs, u, low_rank->rank);
    b.dw = low_rank->b_gradient;
    pass->backend->linear_weight_backward(pass->backend, &b);
    struct linear_weight_backward_args a = weight_backward(pass, operand_f32(du), low_rank->rank, linear->x, inputs);
    a.dw = low_rank->a_gradient;
    a.dropout = pass_dropout(pass, overlay);
    a.stream = (uint32_t)index;
    pass->backend->linear_weight_backward(pass->backend, &a);
}

/* dx (set; NULL: not wanted) of linear layers that read the same x, given their dy; leaves du in pass->du. */
static void linears_backward(struct pass *pass, const struct overlay *overlay, int32_t layer,
                             const struct backward_layer *linears, int count, float *dx)
{
    struct linear_backward_args args = {
        .dx = dx, .layer_count = count, .rows = pass->rows, .dy_dtype = linears->dy.dtype};
    for (int i = 0; i < count; i++) {
        const int32_t index = pass_linear(pass, layer, linears[i].role);
        const struct low_rank *low_rank = pass_low_rank(overlay, index);
        struct linear_gradient *gradient = &args.layers[i];
        assert(linears[i].dy.dtype == args.dy_dtype);
        gradient->dy = linears[i].dy.data;
        gradient->w = pass->model->linears[index].weight;
        if (low_rank) {
            gradient->b = low_rank->b;
            gradient->a = low_rank->a;
            gradient->du = pass->du[i];
            gradient->scale = low_rank->scale;
            gradient->stream = (uint32_t)index;
            args.dropout = pass_dropout(pass, overlay);
        }
    }
    pass->backend->linear_backward(pass->backend, &args);
}

/* The weight gradients of these layers, after linears_backward(). */
static void weights_backward(struct pass *pass, const struct overlay *overlay, int32_t layer,
                             const struct backward_layer *linears, int count)
{
    for (int i = 0; i < count; i++) {
        const struct linear *linear = &pass->model->linears[pass_linear(pass, layer, linears[i].role)];
        const struct weight_shape *shape = weight_shape(linear->weight);
        low_rank_weights_backward(pass, overlay, layer, &linears[i], pass->du[i]);
        if (linear->weight_gradient || linear->bias_gradient) {
            struct linear_weight_backward_args args =
                weight_backward(pass, linears[i].dy, shape->rows, linears[i].x, shape->columns);
            args.dw = linear->weight_gradient;
            args.dbias = linear->bias_gradient;
            pass->backend->linear_weight_backward(pass->backend, &args);
        }
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
    const struct operand wide = pass_operand(pass, pass->wide), normed = pass_operand(pass, pass->normed);
    const struct backward_layer down = {LINEAR_DOWN, operand_f32(pass->dstream), wide};
    linears_backward(pass, overlay, layer, &down, 1, pass->dwide);
    /* In f32 in place: this layer's tape is not read again. */
    void *dgate = pass->dgate ? pass->dgate : tape->gate, *dup = pass->dup ? pass->dup : tape->up;
    backend->gated_backward(
        backend, &(struct gated_backward_args){.gate = tape->gate,
                                               .up = tape->up,
                                               .dout = pass->dwide,
                                               .dgate = dgate,
                                               .dup = dup,
                                               .out = pass->wide,
                                               .count = (int64_t)pass->rows * pass->model->config.intermediate,
                                               .out_dtype = backend->traits.activations});
    if (pass->limits.checkpointing) { /* the layer was run again up to here */
        pass_linears(pass, overlay, layer, (enum linear_role[]){LINEAR_DOWN}, wide, (float *[]){NULL}, 1, true);
    }
    weights_backward(pass, overlay, layer, &down, 1);
    pass_norm(pass, tape->middle, NULL, weights->mlp_norm, NULL, NULL);
    const struct backward_layer linears[] = {{LINEAR_GATE, pass_operand(pass, dgate), normed},
                                             {LINEAR_UP, pass_operand(pass, dup), normed}};
    linears_backward(pass, overlay, layer, linears, 2, pass->dnormed);
    weights_backward(pass, overlay, layer, linears, 2);
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
    struct rows_args rows = {.index = pass->inputs.prediction_rows, .rows = pass->predictions};
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
    bool last = pass_is_last(pass, layer);
    const struct backward_layer output = {LINEAR_O, operand_f32(pass->dstream),
                                          operand_f32(last ? pass->attended : tape->attention)};
    linears_backward(pass, overlay, layer, &output, 1, last ? pass->dq : pass->dattention);
    weights_backward(pass, overlay, layer, &output, 1);
    if (last) {
        spread_rows(pass);
    }
    backend->attention_backward(backend,
                                &(struct attention_backward_args){.q = tape->q,
                                                                  .k = tape->k,
                                                                  .v = tape->v,
                                                                  .out = tape->attention,
                                                                  .lse = tape->lse,
                                                                  .dout = pass->dattention,
                                                                  .spans = pass->inputs.spans,
                                                                  .extent = pass->extent,
                                                                  .dq = pass->dq,
                                                                  .dk = pass->dk,
                                                                  .dv = pass->dv,
                                                                  .span_count = pass->span_count,
                                                                  .heads = config->heads,
                                                                  .kv_heads = config->kv_heads,
                                                                  .head_size = config->head_size,
                                                                  .scale = 1.0f / sqrtf((float)config->head_size)});
    pass_rotate(pass, pass->dq, config->heads, true);
    pass_rotate(pass, pass->dk, config->kv_heads, true);
    pass_norm(pass, tape->x, NULL, weights->attention_norm, NULL, NULL);
    float *dnormed = need_input ? pass->dnormed : NULL;
    const struct operand normed = pass_operand(pass, pass->normed);
    const struct backward_layer linears[] = {{LINEAR_Q, operand_f32(pass->dq), normed},
                                             {LINEAR_K, operand_f32(pass->dk), normed},
                                             {LINEAR_V, operand_f32(pass->dv), normed}};
    linears_backward(pass, overlay, layer, linears, 3, dnormed);
    weights_backward(pass, overlay, layer, linears, 3);
    if (need_input) {
        norm_backward(pass, dnormed, tape->x, tape->rstd1, weights->attention_norm, weights->attention_norm_gradient);
    }
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
            pass_norm(pass, tape->x, NULL, model->layers[l].attention_norm, NULL, tape->rstd1);
            pass_layer_forward(pass, overlay, l, true, false);
        }
        mlp_backward(pass, overlay, l);
        attention_backward(pass, overlay, l, l > 0 || table_gradient || model->layers[l].attention_norm_gradient);
    }
    if (table_gradient) {
        backend->embed_backward(backend, &(struct embed_backward_args){.ids = pass->inputs.ids,
                                                                       .dout = pass->dstream,
                                                                       .dtable = table_gradient,
                                                                       .rows = pass->rows,
                                                                       .columns = model->config.hidden,
                                                                       .vocabulary = model->config.vocabulary,
                                                                       .scale = 1});
    }
}
