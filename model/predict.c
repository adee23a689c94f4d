/* model/predict.c - the vocabulary operation over a batch's predictions, and the start of the backward pass; see
 * pass.h. */
#include "model/internal.h"
#include <assert.h>

static float *head_gradient(const struct pass *pass, const struct overlay *overlay)
{
    return overlay && overlay->head.weight ? overlay->head.gradient : pass->model->head.weight_gradient;
}

static struct vocabulary_args vocabulary_arguments(struct pass *pass, const struct overlay *overlay,
                                                   float inverse_temperature)
{
    return (struct vocabulary_args){
        .x = pass->hidden,
        .w = pass_head(pass, overlay),
        .targets = pass->targets,
        .logprob = pass->logprob,
        .lse = pass->lse,
        .argmax = pass->argmax,
        .rows = pass->predictions,
        .inverse_temperature = inverse_temperature,
    };
}

static int read_predictions(struct pass *pass, struct predictions *out, struct err *err)
{
    struct backend *backend = pass->backend;
    size_t size = (size_t)pass->predictions * sizeof(float);
    if (out->logprob && backend->download(backend, out->logprob, pass->logprob, size, err) != 0)
        return -1;
    if (out->entropy && backend->download(backend, out->entropy, pass->entropy, size, err) != 0)
        return -1;
    return out->argmax ? backend->download(backend, out->argmax, pass->argmax, size, err) : 0;
}

int pass_predict(struct pass *pass, const struct overlay *overlay, float inverse_temperature, struct predictions *out,
                 struct err *err)
{
    if (pass->predictions == 0)
        return 0;
    struct vocabulary_args args = vocabulary_arguments(pass, overlay, inverse_temperature);
    args.entropy = out->entropy ? pass->entropy : NULL;
    pass->backend->vocabulary(pass->backend, &args);
    return read_predictions(pass, out, err);
}

/* From dhidden through the last norm and all layers. */
static void backward_from_hidden(struct pass *pass, const struct overlay *overlay)
{
    struct backend *backend = pass->backend;
    struct model *model = pass->model;
    pass_predicting_rows(pass);
    backend->fill(backend,
                  &(struct fill_args){.x = pass->dstream, .count = (int64_t)pass->rows * model->config.hidden});
    backend->norm_backward(backend, &(struct norm_backward_args){.dy = pass->dhidden,
                                                                 .s = pass->final_sum,
                                                                 .rstd = pass->final_rstd,
                                                                 .weight = model->final_norm,
                                                                 .dx = pass->dstream,
                                                                 .dweight = model->final_norm_gradient,
                                                                 .rows = pass->rows,
                                                                 .columns = model->config.hidden});
    pass_layers_backward(pass, overlay);
}

int pass_score(struct pass *pass, const struct score_head *head, float *scores, struct err *err)
{
    if (pass->predictions == 0)
        return 0;
    struct backend *backend = pass->backend;
    backend->score(backend, &(struct score_args){.x = pass->hidden,
                                                 .w = head->weight,
                                                 .y = pass->logprob,
                                                 .rows = pass->predictions,
                                                 .columns = pass->model->config.hidden});
    if (backend->download(backend, scores, pass->logprob, (size_t)pass->predictions * sizeof *scores, err) != 0)
        return -1;
    for (int32_t i = 0; i < pass->predictions; i++)
        scores[i] = (float)((double)scores[i] + head->offset);
    return 0;
}

void pass_score_backward(struct pass *pass, const struct overlay *overlay, const struct score_head *head,
                         const float *dscores)
{
    assert(pass->limits.training);
    if (pass->predictions == 0)
        return;
    struct backend *backend = pass->backend;
    backend->upload(backend, pass->dlogprob, dscores, (size_t)pass->predictions * sizeof *dscores);
    backend->score_backward(backend, &(struct score_backward_args){.dy = pass->dlogprob,
                                                                   .x = pass->hidden,
                                                                   .w = head->weight,
                                                                   .dx = pass->dhidden,
                                                                   .dw = head->gradient,
                                                                   .rows = pass->predictions,
                                                                   .columns = pass->model->config.hidden});
    backward_from_hidden(pass, overlay);
}

int pass_predict_and_backward(struct pass *pass, const struct overlay *overlay, const float *dlogprob,
                              struct predictions *out, struct err *err)
{
    assert(pass->limits.training && !out->entropy);
    if (pass->predictions == 0)
        return 0;
    struct backend *backend = pass->backend;
    backend->upload(backend, pass->dlogprob, dlogprob, (size_t)pass->predictions * sizeof(float));
    struct vocabulary_args args = vocabulary_arguments(pass, overlay, 1.0f);
    args.dlogprob = pass->dlogprob;
    args.dx = pass->dhidden;
    args.dw = head_gradient(pass, overlay);
    backend->vocabulary_both(backend, &args);
    backward_from_hidden(pass, overlay);
    return read_predictions(pass, out, err);
}

void pass_backward(struct pass *pass, const struct overlay *overlay, float inverse_temperature, const float *dlogprob,
                   const float *dentropy)
{
    assert(pass->limits.training);
    if (pass->predictions == 0)
        return;
    struct backend *backend = pass->backend;
    size_t size = (size_t)pass->predictions * sizeof(float);
    struct vocabulary_args args = vocabulary_arguments(pass, overlay, inverse_temperature);
    backend->upload(backend, pass->dlogprob, dlogprob, size);
    args.dlogprob = pass->dlogprob;
    if (dentropy) {
        backend->upload(backend, pass->dentropy, dentropy, size);
        args.dentropy = pass->dentropy;
        args.entropy = pass->entropy;
    }
    args.dx = pass->dhidden;
    args.dw = head_gradient(pass, overlay);
    backend->vocabulary_backward(backend, &args);
    backward_from_hidden(pass, overlay);
}
