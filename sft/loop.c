/* sft/loop.c - see loop.h. */
#include "sft/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "sft/samples.h"
#include "train/interrupt.h"
#include <math.h>
#include <stdio.h>

/* Of the steps since the last record; what decides bytes of the record is in the run's state instead, to outlive a
 * kill. */
struct window {
    int64_t tokens;
    double seconds;
    double grad_norm, rate; /* of the last step */
};

struct step_result {
    double loss; /* mean over the step's trained tokens */
    int64_t predictions, correct, tokens;
};

static double epoch_of(const struct sft_loop *loop, int64_t step)
{
    return (double)step / (double)loop->data->steps_per_epoch;
}

/* Forward and backward of one micro-batch; every trained token weighs 1 / denominator. Adds to *result (its loss as a
 * sum). */
static int micro_batch(struct sft_loop *loop, int64_t denominator, struct step_result *result, struct err *err)
{
    int32_t count = loop->batch.prediction_count;
    struct predictions out = {.logprob = loop->logprob, .argmax = loop->argmax};
    for (int32_t i = 0; i < count; i++)
        loop->dlogprob[i] = -1.0f / (float)denominator;
    pass_load(loop->pass, &loop->batch);
    pass_forward(loop->pass, loop->trainable->overlay, true);
    if (pass_predict_and_backward(loop->pass, loop->trainable->overlay, loop->dlogprob, &out, err) != 0)
        return -1;
    for (int32_t i = 0; i < count; i++) {
        result->loss -= (double)loop->logprob[i];
        result->correct += loop->argmax[i] == loop->batch.predictions[i].target;
    }
    result->predictions += count;
    result->tokens += loop->batch.tokens;
    return 0;
}

/* All micro-batches of a step: gradients and loss. */
static int accumulate(struct sft_loop *loop, int64_t step, struct step_result *result, struct err *err)
{
    const int64_t *rows;
    int64_t count = sft_data_step(loop->data, step, &rows), denominator = 0, taken;
    *result = (struct step_result){0};
    for (int64_t i = 0; i < count; i++)
        denominator += sft_data_row_trained(loop->data, rows[i]);
    optimizer_clear_gradients(loop->optimizer);
    for (int64_t i = 0; i < count; i += taken) {
        taken = sft_data_pass_rows(loop->data, rows + i, count - i);
        sft_data_fill(loop->data, &loop->batch, rows + i, taken, loop->data->epoch);
        if (micro_batch(loop, denominator, result, err) != 0)
            return -1;
    }
    result->loss /= (double)result->predictions;
    return 0;
}

/* A step that is not finite changes nothing and is counted; too many in a row end the run. */
static int count_skipped(struct sft_loop *loop, double loss, double grad_norm, struct err *err)
{
    struct run_state *state = &loop->run->state;
    state->skipped++;
    state->skipped_in_row++;
    log_warn("step %lld: loss %g and gradient norm %g are not finite; the step was skipped", (long long)state->step + 1,
             loss, grad_norm);
    if (state->skipped_in_row <= loop->recipe->max_skipped_steps)
        return 0;
    return err_set(
        err,
        "%lld steps in a row had a loss or gradient that is not finite: the training diverged; the last checkpoint is "
        "in %s, and a lower learning_rate (now %g) or more warm-up (warmup_ratio) usually helps",
        (long long)state->skipped_in_row, loop->recipe->output_dir, loop->recipe->learning_rate);
}

static int train_step(struct sft_loop *loop, struct window *window, struct err *err)
{
    struct run_state *state = &loop->run->state;
    struct step_result result;
    double start = clock_seconds(), rate = schedule_rate(&loop->schedule, state->step), grad_norm = NAN;
    bool applied = false;
    if (accumulate(loop, state->step, &result, err) != 0)
        return -1;
    if (isfinite(result.loss) && optimizer_step(loop->optimizer, rate, &grad_norm, &applied, err) != 0)
        return -1;
    if (!applied && count_skipped(loop, result.loss, grad_norm, err) != 0)
        return -1;
    if (applied)
        state->skipped_in_row = 0;
    state->step++;
    state->tokens += result.tokens;
    state->window_loss += result.loss;
    state->window_steps++;
    state->window_predictions += result.predictions;
    state->window_correct += result.correct;
    window->tokens += result.tokens;
    window->seconds += clock_seconds() - start;
    window->grad_norm = grad_norm;
    window->rate = rate;
    return 0;
}

/* The record of the steps since the last one. */
static int write_window(struct sft_loop *loop, struct window *window, struct err *err)
{
    struct metrics *metrics = loop->run->metrics;
    struct run_state *state = &loop->run->state;
    metrics_begin(metrics, state->step, epoch_of(loop, state->step));
    metrics_real(metrics, "loss", state->window_loss / (double)state->window_steps);
    metrics_real(metrics, "learning_rate", window->rate);
    metrics_real(metrics, "grad_norm", window->grad_norm);
    metrics_real(metrics, "mean_token_accuracy", (double)state->window_correct / (double)state->window_predictions);
    metrics_whole(metrics, "num_tokens", state->tokens);
    if (state->skipped)
        metrics_whole(metrics, "skipped_steps", state->skipped);
    metrics_timing(metrics, "tokens_per_second", (double)window->tokens / window->seconds);
    metrics_timing(metrics, "peak_memory_mib", (double)memory_peak() / (1 << 20));
    state->window_loss = 0;
    state->window_steps = state->window_predictions = state->window_correct = 0;
    *window = (struct window){0};
    return metrics_end(metrics, err);
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
        if (pass_predict(loop->pass, loop->trainable->overlay, 1.0f, &out, err) != 0)
            return -1;
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

/* Evaluates, writes the record, notes the best. *better: the loss fell by more than the threshold. */
static int evaluate(struct sft_loop *loop, bool *better, struct err *err)
{
    struct run_state *state = &loop->run->state;
    struct metrics *metrics = loop->run->metrics;
    double loss, accuracy, start = clock_seconds();
    *better = false;
    if (loop->data->eval) {
        if (eval_loss(loop, &loss, &accuracy, err) != 0)
            return -1;
        metrics_begin(metrics, state->step, epoch_of(loop, state->step));
        metrics_real(metrics, "eval_loss", loss);
        metrics_real(metrics, "eval_perplexity", exp(loss));
        metrics_real(metrics, "eval_mean_token_accuracy", accuracy);
        metrics_timing(metrics, "eval_seconds", clock_seconds() - start);
        if (metrics_end(metrics, err) != 0)
            return -1;
        log_info("step %lld: eval loss %.4f, perplexity %.2f, token accuracy %.3f", (long long)state->step, loss,
                 exp(loss), accuracy);
        if (!(loss >=
              state->best_eval_loss - loop->recipe->early_stopping_threshold)) { /* also when there is no best yet */
            *better = isfinite(loss);
            state->best_eval_loss = loss;
            state->best_step = state->step;
            state->evaluations_without_gain = 0;
        } else {
            state->evaluations_without_gain++;
        }
    }
    return loop->generator ? sft_samples_write(loop, err) : 0;
}

static bool due(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

/* What follows a step: record, evaluation, checkpoint. *stop: the run ends here. */
static int after_step(struct sft_loop *loop, struct window *window, bool *stop, struct err *err)
{
    const struct recipe *recipe = loop->recipe;
    struct run_state *state = &loop->run->state;
    bool last = state->step == state->total_steps, better = false;
    if ((due(state->step, recipe->logging_steps) || last) && write_window(loop, window, err) != 0)
        return -1;
    if ((due(state->step, recipe->eval_steps) || last) && evaluate(loop, &better, err) != 0)
        return -1;
    if (recipe->early_stopping_patience > 0 && state->evaluations_without_gain >= recipe->early_stopping_patience &&
        !last) {
        log_info("the eval loss has not fallen for %lld evaluations: stopping early (early_stopping_patience)",
                 (long long)state->evaluations_without_gain);
        state->stopped_early = true;
    }
    *stop = last || state->stopped_early || interrupt_requested();
    bool save = due(state->step, recipe->save_steps) || (*stop && recipe->save_steps > 0) || interrupt_requested() ||
                (better && recipe->load_best_model_at_end);
    return save ? run_save_checkpoint(loop->run, loop->trainable, loop->optimizer, err) : 0;
}

enum sft_outcome sft_loop_run(struct sft_loop *loop, struct err *err)
{
    struct run_state *state = &loop->run->state;
    struct window window = {0};
    bool stop = state->step >= state->total_steps || state->stopped_early, better;
    if (state->step == 0 && evaluate(loop, &better, err) != 0)
        return SFT_FAILED;
    progress_begin("sft", state->total_steps);
    int rc = 0;
    while (rc == 0 && !stop) {
        double before = state->window_loss;
        rc = train_step(loop, &window, err);
        char note[64];
        snprintf(note, sizeof note, "loss %.4f  %.0f tok/s", state->window_loss - before,
                 (double)window.tokens / window.seconds);
        progress_update(state->step, note);
        if (rc == 0)
            rc = after_step(loop, &window, &stop, err);
    }
    progress_end();
    if (rc != 0)
        return SFT_FAILED;
    if (interrupt_requested() && state->step < state->total_steps && !state->stopped_early) {
        log_info("stopped at step %lld of %lld; the same command goes on from checkpoint-%lld", (long long)state->step,
                 (long long)state->total_steps, (long long)state->step);
        return SFT_INTERRUPTED;
    }
    return run_finish(loop->run, loop->trainable, err) == 0 ? SFT_FINISHED : SFT_FAILED;
}
