/* model/predict.c - the vocabulary operation over a batch's predictions, and the start of the backward pass; see
 * pass.h. */
#include "model/internal.h"
#include <assert.h>
#include <string.h>

static float *head_gradient(const struct pass *pass, const struct overlay *overlay)
{
    return overlay && overlay->head.weight ? overlay->head.gradient : pass->model->head.weight_gradient;
}

static struct vocabulary_args vocabulary_arguments(struct pass *pass, const struct overlay *overlay,
                                                   float inverse_temperature)
{
    const struct pass_results results = pass_results_at(pass, pass->results);
    return (struct vocabulary_args){
        .x = pass->hidden,
        .w = pass_head(pass, overlay),
        .targets = pass->inputs.targets,
        .logprob = results.logprob,
        .lse = pass->lse,
        .argmax = results.argmax,
        .rows = pass->predictions,
        .inverse_temperature = inverse_temperature,
    };
}

/* One download of everything up to the last that is wanted. */
static void begin_results(struct pass *pass, const struct predictions *out)
{
    size_t stride = pass_results_at(pass, pass->results).stride;
    size_t count = out->entropy ? 3 : out->argmax ? 2 : out->logprob ? 1 : 0;
    if (count > 0) {
        pass->backend->download_begin(pass->backend, pass->host_results, pass->results, count * stride);
    }
}

static int await_results(struct pass *pass, const struct predictions *out, struct err *err)
{
    const struct pass_results results = pass_results_at(pass, pass->host_results);
    size_t count = (size_t)pass->predictions;
    if (!out->logprob && !out->entropy && !out->argmax) {
        return 0;
    }
    if (pass->backend->wait(pass->backend, err) != 0) {
        return -1;
    }
    if (out->logprob) {
        memcpy(out->logprob, results.logprob, count * sizeof *out->logprob);
    }
    if (out->entropy) {
        memcpy(out->entropy, results.entropy, count * sizeof *out->entropy);
    }
    if (out->argmax) {
        memcpy(out->argmax, results.argmax, count * sizeof *out->argmax);
    }
    return 0;
}

int pass_predict(struct pass *pass, const struct overlay *overlay, float inverse_temperature, struct predictions *out,
                 struct err *err)
{
    if (pass->predictions == 0) {
        return 0;
    }
    struct vocabulary_args args = vocabulary_arguments(pass, overlay, inverse_temperature);
    args.entropy = out->entropy ? pass_results_at(pass, pass->results).entropy : NULL;
    pass->backend->vocabulary(pass->backend, &args);
    begin_results(pass, out);
    return await_results(pass, out, err);
}

/* What a loss says of each prediction, in one upload; the arrays may be NULL. */
static void upload_loss(struct pass *pass, const float *dlogprob, const float *dentropy)
{
    struct pass_inputs *staged = &pass->staged;
    size_t count = (size_t)pass->predictions,
           end = dentropy ? staged->size : (size_t)((char *)staged->dentropy - staged->block);
    memcpy(staged->dlogprob, dlogprob, count * sizeof *dlogprob);
    if (dentropy) {
        memcpy(staged->dentropy, dentropy, count * sizeof *dentropy);
    }
    pass->backend->upload(pass->backend, pass->inputs.dlogprob, staged->dlogprob, end - staged->batch_size);
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
    if (pass->predictions == 0) {
        return 0;
    }
    struct backend *backend = pass->backend;
    backend->score(backend, &(struct score_args){.x = pass->hidden,
                                                 .w = head->weight,
                                                 .y = (float *)(void *)pass->results,
                                                 .rows = pass->predictions,
                                                 .columns = pass->model->config.hidden});
    if (backend_download(backend, scores, pass->results, (size_t)pass->predictions * sizeof *scores, err) != 0) {
        return -1;
    }
    for (int32_t i = 0; i < pass->predictions; i++) {
        scores[i] = (float)((double)scores[i] + head->offset);
    }
    return 0;
}

void pass_score_backward(struct pass *pass, const struct overlay *overlay, const struct score_head *head,
                         const float *dscores)
{
    assert(pass->limits.training);
    if (pass->predictions == 0) {
        return;
    }
    struct backend *backend = pass->backend;
    upload_loss(pass, dscores, NULL);
    backend->score_backward(backend, &(struct score_backward_args){.dy = pass->inputs.dlogprob,
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
    assert(pass->limits.training && !out->entropy && (dlogprob || pass->has_loss));
    if (pass->predictions == 0) {
        return 0;
    }
    struct backend *backend = pass->backend;
    if (dlogprob) {
        upload_loss(pass, dlogprob, NULL);
    }
    struct vocabulary_args args = vocabulary_arguments(pass, overlay, 1.0f);
    args.dlogprob = pass->inputs.dlogprob;
    args.dx = pass->dhidden;
    args.dw = head_gradient(pass, overlay);
    backend->vocabulary_both(backend, &args);
    begin_results(pass, out); /* on their way while the rest goes back */
    backward_from_hidden(pass, overlay);
    return await_results(pass, out, err);
}

void pass_backward(struct pass *pass, const struct overlay *overlay, float inverse_temperature, const float *dlogprob,
                   const float *dentropy)
{
    assert(pass->limits.training);
    if (pass->predictions == 0) {
        return;
    }
    struct backend *backend = pass->backend;
    struct vocabulary_args args = vocabulary_arguments(pass, overlay, inverse_temperature);
    upload_loss(pass, dlogprob, dentropy);
    args.dlogprob = pass->inputs.dlogprob;
    if (dentropy) {
        args.dentropy = pass->inputs.dentropy;
        args.entropy = pass_results_at(pass, pass->results).entropy;
    }
    args.dx = pass->dhidden;
    args.dw = head_gradient(pass, overlay);
    backend->vocabulary_backward(backend, &args);
    backward_from_hidden(pass, overlay);
}
