/* sft/loop.c - see internal.h. */
#include "base/log.h"
#include "sft/internal.h"
#include <math.h>

/* Sums over a step. */
struct step_sums {
    double loss;
    int64_t predictions, correct, tokens;
};

/* Forward and backward of one micro-batch; every trained token weighs 1 / denominator. Adds to *sums. */
static int micro_batch(struct sft_loop *loop, int64_t denominator, struct step_sums *sums, struct err *err)
{
    int32_t count = loop->batch.prediction_count;
    struct predictions out = {.logprob = loop->logprob, .argmax = loop->argmax};
    for (int32_t i = 0; i < count; i++) {
        loop->dlogprob[i] = -1.0f / (float)denominator;
    }
    pass_load_loss(loop->pass, &loop->batch, loop->dlogprob);
    pass_forward(loop->pass, loop->trainable->overlay, true);
    if (pass_predict_and_backward(loop->pass, loop->trainable->overlay, NULL, &out, err) != 0) {
        return -1;
    }
    for (int32_t i = 0; i < count; i++) {
        sums->loss -= (double)loop->logprob[i];
        sums->correct += loop->argmax[i] == loop->batch.predictions[i].target;
    }
    sums->predictions += count;
    sums->tokens += loop->batch.tokens;
    return 0;
}

/* All micro-batches of a step: gradients and loss. */
static int accumulate(struct sft_loop *loop, int64_t step, struct step_sums *sums, struct err *err)
{
    const int64_t *rows;
    int64_t count = row_order_step(&loop->data->order, step, &rows), denominator = 0, taken;
    *sums = (struct step_sums){0};
    for (int64_t i = 0; i < count; i++) {
        denominator += sft_data_row_trained(loop->data, rows[i]);
    }
    optimizer_clear_gradients(loop->optimizer);
    for (int64_t i = 0; i < count; i += taken) {
        taken = sft_data_pass_rows(loop->data, rows + i, count - i);
        sft_data_fill(loop->data, &loop->batch, rows + i, taken, loop->data->order.epoch);
        if (micro_batch(loop, denominator, sums, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int train_step(void *context, int64_t step, struct loop_step *result, struct err *err)
{
    struct sft_loop *loop = context;
    struct step_sums sums;
    if (accumulate(loop, step, &sums, err) != 0) {
        return -1;
    }
    result->tokens = sums.tokens;
    loop->window_predictions += (double)sums.predictions;
    loop->window_correct += (double)sums.correct;
    return loop_update(&loop->steps, loop->optimizer, sums.loss / (double)sums.predictions, result, err);
}

static void record(void *context, struct metrics *metrics)
{
    struct sft_loop *loop = context;
    loop_record_training(&loop->steps, metrics);
    metrics_real(metrics, "mean_token_accuracy", loop->window_correct / loop->window_predictions);
    loop->window_predictions = loop->window_correct = 0;
}

/* Mean negative log-likelihood of the eval split's trained tokens. */
static int eval_loss(struct sft_loop *loop, double *loss, double *accuracy, struct err *err)
{
    const struct dataset *eval = loop->data->eval;
    double sum = 0;
    int64_t count = 0, correct = 0;
    for (size_t first = 0, taken; first < eval->count; first += taken) {
        struct predictions out = {.logprob = loop->logprob, .argmax = loop->argmax};
        taken = sft_data_pass_eval(loop->data, first);
        sft_data_fill_eval(loop->data, &loop->batch, first, taken);
        pass_load(loop->pass, &loop->batch);
        pass_forward(loop->pass, loop->trainable->overlay, false);
        if (pass_predict(loop->pass, loop->trainable->overlay, 1.0f, &out, err) != 0) {
            return -1;
        }
        for (int32_t i = 0; i < loop->batch.prediction_count; i++) {
            sum -= (double)loop->logprob[i];
            correct += loop->argmax[i] == loop->batch.predictions[i].target;
        }
        count += loop->batch.prediction_count;
    }
    *loss = sum / (double)count;
    *accuracy = (double)correct / (double)count;
    return 0;
}

static int evaluate(void *context, double *error, struct err *err)
{
    struct sft_loop *loop = context;
    struct metrics *metrics = loop->steps.run->metrics;
    int64_t step = loop->steps.run->state.step;
    double loss, accuracy, start = clock_seconds();
    if (loop->data->eval) {
        if (eval_loss(loop, &loss, &accuracy, err) != 0) {
            return -1;
        }
        metrics_begin(metrics, step, loop_epoch(&loop->steps, step));
        metrics_real(metrics, "eval_loss", loss);
        metrics_real(metrics, "eval_perplexity", exp(loss));
        metrics_real(metrics, "eval_mean_token_accuracy", accuracy);
        metrics_timing(metrics, "time/eval", clock_seconds() - start);
        if (metrics_end(metrics, err) != 0) {
            return -1;
        }
        log_info("step %lld: eval loss %.4f, perplexity %.2f, token accuracy %.3f", (long long)step, loss, exp(loss),
                 accuracy);
        *error = loss;
    }
    return loop->generator ? sft_samples_write(loop, err) : 0;
}

struct loop_stage sft_loop_stage(struct sft_loop *loop)
{
    return (struct loop_stage){
        .context = loop, .step = train_step, .record = record, .evaluate = evaluate, .of = "eval loss"};
}
