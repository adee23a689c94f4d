/* train/loop.c - see loop.h. */
#include "train/loop.h"
#include "base/log.h"
#include "report/report.h"
#include "train/interrupt.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

void loop_init(struct loop *loop, const struct recipe *recipe, const struct step_counts *steps)
{
    loop->recipe = recipe;
    loop->schedule = (struct schedule){.kind = recipe->lr_scheduler_type,
                                       .learning_rate = recipe->learning_rate,
                                       .min_lr_rate = recipe->min_lr_rate,
                                       .warmup_steps = schedule_warmup_steps(recipe->warmup_steps, steps->total),
                                       .total_steps = steps->total};
    loop->steps_per_epoch = steps->per_epoch;
    loop->window = (struct loop_window){0};
}

double loop_epoch(const struct loop *loop, int64_t step)
{
    return (double)step / (double)loop->steps_per_epoch;
}

int loop_update(struct loop *loop, struct optimizer *optimizer, double loss, struct loop_step *result, struct err *err)
{
    result->loss = loss;
    result->grad_norm = NAN;
    result->rate = schedule_rate(&loop->schedule, loop->run->state.step);
    result->applied = false;
    if (!isfinite(loss)) {
        return 0;
    }
    return optimizer_step(optimizer, result->rate, &result->grad_norm, &result->applied, err);
}

void loop_record_training(const struct loop *loop, struct metrics *metrics)
{
    const struct run_state *state = &loop->run->state;
    metrics_real(metrics, "loss", state->window_loss / (double)state->window_steps);
    metrics_real(metrics, "learning_rate", loop->window.last.rate);
    metrics_real(metrics, "grad_norm", loop->window.last.grad_norm);
}

/* A step that is not finite changes nothing and is counted; too many in a row end the run. */
static int count_skipped(struct loop *loop, const struct loop_step *step, struct err *err)
{
    struct run_state *state = &loop->run->state;
    state->skipped++;
    state->skipped_in_row++;
    log_warn("step %lld: loss %g and gradient norm %g are not finite; the step was skipped", (long long)state->step + 1,
             step->loss, step->grad_norm);
    if (state->skipped_in_row <= loop->recipe->max_skipped_steps) {
        return 0;
    }
    return err_set(
        err,
        "%lld steps in a row had a loss or gradient that is not finite: the training diverged; the last checkpoint is "
        "in %s, and a lower learning_rate (now %g) or more warm-up (warmup_ratio) usually helps",
        (long long)state->skipped_in_row, loop->recipe->output_dir, loop->recipe->learning_rate);
}

static int train_step(struct loop *loop, struct err *err)
{
    struct run_state *state = &loop->run->state;
    struct loop_step step = {0};
    double start = clock_seconds();
    if (loop->stage.step(loop->stage.context, state->step, &step, err) != 0) {
        return -1;
    }
    if (!step.applied && count_skipped(loop, &step, err) != 0) {
        return -1;
    }
    if (step.applied) {
        state->skipped_in_row = 0;
    }
    state->step++;
    state->tokens += step.tokens;
    state->window_loss += step.loss;
    state->window_steps++;
    loop->window.tokens += step.tokens;
    loop->window.seconds += clock_seconds() - start;
    loop->window.last = step;
    char *note = loop->window.last.note;
    if (!*note) {
        snprintf(note, sizeof loop->window.last.note, "loss %.4f  %.0f tok/s", step.loss,
                 (double)loop->window.tokens / loop->window.seconds);
    }
    progress_update(&loop->progress, state->step, note);
    return 0;
}

/* The record of the steps since the last one. */
static int write_window(struct loop *loop, struct err *err)
{
    struct metrics *metrics = loop->run->metrics;
    struct run_state *state = &loop->run->state;
    metrics_begin(metrics, state->step, loop_epoch(loop, state->step));
    loop->stage.record(loop->stage.context, metrics);
    metrics_whole(metrics, "num_tokens", state->tokens);
    if (state->skipped) {
        metrics_whole(metrics, "skipped_steps", state->skipped);
    }
    metrics_timing(metrics, "tokens_per_second", (double)loop->window.tokens / loop->window.seconds);
    metrics_timing(metrics, "peak_memory_mib", (double)memory_peak() / (1 << 20));
    state->window_loss = 0;
    state->window_steps = 0;
    loop->window = (struct loop_window){0};
    return metrics_end(metrics, err);
}

/* Evaluates and notes the best. *better: the error fell by more than the threshold. */
static int evaluate(struct loop *loop, bool *better, struct err *err)
{
    struct run_state *state = &loop->run->state;
    double error = NAN;
    *better = false;
    if (!loop->stage.evaluate) {
        return 0;
    }
    if (loop->stage.evaluate(loop->stage.context, &error, err) != 0) {
        return -1;
    }
    if (isnan(error) && isnan(state->best_eval)) {
        return 0;
    }
    if (!(error >= state->best_eval - loop->recipe->early_stopping_threshold)) { /* also when there is no best yet */
        *better = isfinite(error);
        state->best_eval = error;
        state->best_step = state->step;
        state->evaluations_without_gain = 0;
    } else {
        state->evaluations_without_gain++;
    }
    return 0;
}

/* The report is for looking at: when it cannot be written, training goes on. */
static void write_report(const struct loop *loop)
{
    struct err err;
    if (report_write(loop->recipe->output_dir, loop->recipe->stages, &err) != 0) {
        log_warn("no report: %s", err.text);
    }
}

static bool due(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

/* What follows a step: record, evaluation, checkpoint. *stop: the run ends here. */
static int after_step(struct loop *loop, bool *stop, struct err *err)
{
    const struct recipe *recipe = loop->recipe;
    struct run_state *state = &loop->run->state;
    bool last = state->step == state->total_steps, better = false;
    if ((due(state->step, recipe->logging_steps) || last) && write_window(loop, err) != 0) {
        return -1;
    }
    if ((due(state->step, recipe->eval_steps) || last) && evaluate(loop, &better, err) != 0) {
        return -1;
    }
    if (recipe->early_stopping_patience > 0 && state->evaluations_without_gain >= recipe->early_stopping_patience &&
        !last) {
        log_info("the %s has not fallen for %lld evaluations: stopping early (early_stopping_patience)", loop->stage.of,
                 (long long)state->evaluations_without_gain);
        state->stopped_early = true;
    }
    *stop = last || state->stopped_early || interrupt_requested();
    bool save = due(state->step, recipe->save_steps) || (*stop && recipe->save_steps > 0) || interrupt_requested() ||
                (better && recipe->load_best_model_at_end);
    if (!save) {
        return 0;
    }
    write_report(loop);
    return run_save_checkpoint(loop->run, err);
}

enum loop_outcome loop_run(struct loop *loop, struct err *err)
{
    struct run_state *state = &loop->run->state;
    bool stop = state->step >= state->total_steps || state->stopped_early, better;
    if (state->step == 0 && evaluate(loop, &better, err) != 0) {
        return LOOP_FAILED;
    }
    int result = 0;
    progress_begin(&loop->progress, loop->recipe->stage->name, state->total_steps);
    progress_update(&loop->progress, state->step, NULL);
    while (result == 0 && !stop) {
        result = train_step(loop, err);
        if (result == 0) {
            result = after_step(loop, &stop, err);
        }
    }
    progress_end(&loop->progress);
    if (result != 0) {
        return LOOP_FAILED;
    }
    if (interrupt_requested() && state->step < state->total_steps && !state->stopped_early) {
        log_info("stopped at step %lld of %lld; the same command goes on from checkpoint-%lld", (long long)state->step,
                 (long long)state->total_steps, (long long)state->step);
        return LOOP_INTERRUPTED;
    }
    if (isfinite(state->best_eval) && loop->recipe->load_best_model_at_end && state->best_step > 0 &&
        state->best_step != state->step) {
        log_info("the result is that of step %lld, with the lowest %s %.4f", (long long)state->best_step,
                 loop->stage.of, state->best_eval);
    }
    if (run_finish(loop->run, err) != 0) {
        return LOOP_FAILED;
    }
    write_report(loop);
    log_info("report: %s/report.html", loop->recipe->output_dir);
    return LOOP_FINISHED;
}
