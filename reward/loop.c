/* reward/loop.c - see internal.h. */
#include "base/log.h"
#include "reward/evaluation_figures.h"
#include "reward/internal.h"
#include "reward/recipe.h"
#include <math.h>
#include <stdio.h>

/* ---- a training step ---- */

/* A ranking whose loss is not finite is left out, as its step will be: the sums go into state.json. */
static void add_outcome(struct reward_sums *sums, const struct reward_outcome *outcome, const float *scores,
                        int32_t count)
{
    if (!isfinite(outcome->loss)) {
        return;
    }
    sums->decided += outcome->decided;
    sums->correct += outcome->correct;
    sums->margin += outcome->margin;
    for (int32_t i = 0; i < count; i++) {
        double score = (double)scores[i];
        if (sums->answers == 0 || score < sums->least) {
            sums->least = score;
        }
        if (sums->answers == 0 || score > sums->most) {
            sums->most = score;
        }
        sums->score += score;
        sums->answers++;
    }
}

/*
 * Forward and backward of one pass: the batch holds rankings indices[0 .. count-1]. A ranking's loss weighs its weight
 * over `weights`, the sum over the step. Adds to *loss and the sums.
 */
static int train_pass(struct reward_loop *loop, const int64_t *indices, int64_t count, double weights, double *loss,
                      struct err *err)
{
    const struct score_head *head = trainable_score(loop->trainable);
    double start = clock_seconds();
    pass_load(loop->pass, &loop->batch);
    pass_forward(loop->pass, loop->trainable->overlay, true);
    if (pass_score(loop->pass, head, loop->scores, err) != 0) {
        return -1;
    }
    double scored = clock_seconds();
    loop->seconds.forward += scored - start;
    for (int64_t i = 0, at = 0; i < count; i++) {
        const struct ranking *ranking = &loop->data->train->rankings[indices[i]];
        struct reward_outcome outcome;
        double weight = ranking->weight / weights;
        reward_loss(loop->scores + at, ranking->ranks, ranking->levels, ranking->family.count, &loop->loss, weight,
                    loop->dscores + at, &outcome);
        *loss += weight * outcome.loss;
        add_outcome(&loop->sums, &outcome, loop->scores + at, ranking->family.count);
        at += ranking->family.count;
    }
    pass_score_backward(loop->pass, loop->trainable->overlay, head, loop->dscores);
    if (loop->backend->synchronize(loop->backend, err) != 0) {
        return -1;
    }
    loop->seconds.backward += clock_seconds() - scored;
    return 0;
}

static int train_step(void *context, int64_t step, struct loop_step *result, struct err *err)
{
    struct reward_loop *loop = context;
    const struct ranking_set *set = loop->data->train;
    const int64_t *indices;
    int64_t count = row_order_step(&loop->data->order, step, &indices), taken;
    double weights = 0, loss = 0;
    for (int64_t i = 0; i < count; i++) {
        weights += set->rankings[indices[i]].weight;
    }
    optimizer_clear_gradients(loop->optimizer);
    for (int64_t i = 0; i < count; i += taken) {
        taken = ranking_set_pass(set, indices + i, count - i, loop->recipe->per_device_train_batch_size,
                                 loop->backend->traits.pass_tokens);
        batch_clear(&loop->batch);
        ranking_set_fill(set, &loop->batch, indices + i, taken, loop->data->order.epoch);
        result->tokens += loop->batch.tokens;
        if (train_pass(loop, indices + i, taken, weights, &loss, err) != 0) {
            return -1;
        }
    }
    if (loop->sums.decided > 0) {
        snprintf(result->note, sizeof result->note, "loss %.4f  accuracy %.3f", loss,
                 loop->sums.correct / loop->sums.decided);
    }
    double start = clock_seconds();
    if (loop_update(&loop->steps, loop->optimizer, loss, result, err) != 0) {
        return -1;
    }
    loop->seconds.update += clock_seconds() - start;
    return 0;
}

static void record(void *context, struct metrics *metrics)
{
    struct reward_loop *loop = context;
    const struct reward_sums *sums = &loop->sums;
    loop_record_training(&loop->steps, metrics);
    metrics_real(metrics, "accuracy", sums->correct / sums->decided);
    metrics_real(metrics, "margin", sums->margin / sums->decided);
    metrics_real(metrics, "min_reward", sums->answers > 0 ? sums->least : (double)NAN);
    metrics_real(metrics, "mean_reward", sums->score / sums->answers);
    metrics_real(metrics, "max_reward", sums->answers > 0 ? sums->most : (double)NAN);
    loop->sums = (struct reward_sums){0};
    metrics_timing(metrics, "time/forward", loop->seconds.forward);
    metrics_timing(metrics, "time/backward", loop->seconds.backward);
    metrics_timing(metrics, "time/update", loop->seconds.update);
    loop->seconds = (struct reward_seconds){0};
}

/* ---- evaluation ---- */

/* The scores of an evaluation's rankings by the model as it is. No bar where the run's own stands. */
static int score_all(struct reward_loop *loop, struct evaluation *evaluation, int64_t most, bool bar, struct err *err)
{
    struct progress progress;
    int result = 0;
    if (bar) {
        progress_begin(&progress, "scoring", evaluation->count);
    }
    for (int64_t i = 0, taken; result == 0 && i < evaluation->count; i += taken) {
        const int64_t *indices = evaluation->rankings + i;
        taken =
            ranking_set_pass(evaluation->set, indices, evaluation->count - i, most, loop->backend->traits.pass_tokens);
        batch_clear(&loop->batch);
        ranking_set_fill(evaluation->set, &loop->batch, indices, taken, 0);
        pass_load(loop->pass, &loop->batch);
        pass_forward(loop->pass, loop->trainable->overlay, false);
        result =
            pass_score(loop->pass, trainable_score(loop->trainable), evaluation->scores + evaluation->starts[i], err);
        if (bar) {
            progress_update(&progress, i + taken, NULL);
        }
    }
    if (bar) {
        progress_end(&progress);
    }
    evaluation->scored_at = result == 0 ? loop->steps.run->state.step : -1;
    return result;
}

static int score_held_out(struct reward_loop *loop, bool bar, struct err *err)
{
    return score_all(loop, &loop->held_out, loop->recipe->per_device_eval_batch_size, bar, err);
}

static struct figures figures_of(const struct reward_loop *loop)
{
    struct figures figures = {.options = &loop->loss, .step = loop->steps.run->state.step};
    if (loop->held_out.count > 0 && loop->held_out.scored_at >= 0) {
        figures.held_out = &loop->held_out;
    }
    if (loop->sample.scored_at >= 0) {
        figures.sample = &loop->sample;
    }
    return figures;
}

static int write_record(struct reward_loop *loop, const struct evaluation_summary *summary, double seconds,
                        struct err *err)
{
    struct metrics *metrics = loop->steps.run->metrics;
    int64_t step = loop->steps.run->state.step;
    metrics_begin(metrics, step, loop_epoch(&loop->steps, step));
    metrics_real(metrics, "eval_loss", summary->loss);
    metrics_real(metrics, "eval_accuracy", summary->accuracy.value);
    metrics_real(metrics, "eval_accuracy_low", summary->accuracy.low);
    metrics_real(metrics, "eval_accuracy_high", summary->accuracy.high);
    metrics_real(metrics, "eval_margin", summary->margin);
    metrics_real(metrics, "eval_mean_reward", summary->mean);
    metrics_timing(metrics, "time/eval", seconds);
    return metrics_end(metrics, err);
}

static int evaluate(void *context, double *error, struct err *err)
{
    struct reward_loop *loop = context;
    struct evaluation_summary summary;
    double start = clock_seconds();
    if (loop->held_out.count == 0) {
        return 0;
    }
    int64_t step = loop->steps.run->state.step;
    if (score_held_out(loop, step == 0, err) != 0) {
        return -1;
    }
    evaluation_measure(&loop->held_out, &loop->loss, &summary);
    if (write_record(loop, &summary, clock_seconds() - start, err) != 0) {
        return -1;
    }
    log_info("step %lld: eval loss %.4f, accuracy %.3f (95 %%: %.3f to %.3f; the longer answer: %.3f), margin %.3f",
             (long long)step, summary.loss, summary.accuracy.value, summary.accuracy.low, summary.accuracy.high,
             summary.length_accuracy.value, summary.margin);
    *error = 1 - summary.accuracy.value;
    struct figures figures = figures_of(loop);
    return figures_write(&figures, loop->recipe->output_dir, err);
}

struct loop_stage reward_loop_stage(struct reward_loop *loop)
{
    return (struct loop_stage){.context = loop,
                               .step = train_step,
                               .record = record,
                               .evaluate = evaluate,
                               .of = "share of wrong eval comparisons"};
}

/* ---- the end ---- */

int reward_loop_before_result(void *context, struct err *err)
{
    struct reward_loop *loop = context;
    const struct recipe *recipe = loop->recipe;
    /* The best checkpoint may have been loaded since the last evaluation. */
    bool stale = recipe->load_best_model_at_end || loop->held_out.scored_at != loop->steps.run->state.step;
    if (loop->held_out.count > 0 && stale && score_held_out(loop, true, err) != 0) {
        return -1;
    }
    if (score_all(loop, &loop->sample, recipe->per_device_train_batch_size, true, err) != 0) {
        return -1;
    }
    struct figures figures = figures_of(loop);
    struct evaluation_summary reference;
    evaluation_measure(figures_main(&figures), &loop->loss, &reference);
    if (reward_keys(recipe)->normalize_scores) {
        if (reference.deviation > 0 && isfinite(reference.deviation)) {
            figures.gain = 1 / reference.deviation;
            figures.offset = -reference.mean / reference.deviation;
        } else {
            log_warn("the deviation of the reference answers' scores is %g, which cannot be brought to 1: scores stay "
                     "as they are (normalize_scores)",
                     reference.deviation);
        }
    }
    figures_print(&figures);
    if (figures_write(&figures, recipe->output_dir, err) != 0) {
        return -1;
    }
    return figures.gain > 0 ? trainable_scale_score(loop->trainable, figures.gain, figures.offset, err) : 0;
}
