#include "train/schedule.h"

#include <assert.h>
#include <math.h>

/* The share of the peak at which warmup_stable_decay stands. */
static double stable_decay(const struct schedule *schedule, int64_t step)
{
    int64_t decay = (schedule->total_steps + 4) / 5, left = schedule->total_steps - step;
    return left >= decay ? 1 : left > 0 ? (double)left / (double)decay : 0;
}

/* p of the header: 0 at the end of the warm-up, 1 at the end of the run. */
static double progress_of(const struct schedule *schedule, int64_t step)
{
    int64_t length = schedule->total_steps - schedule->warmup_steps;
    if (step >= schedule->total_steps) {
        return 1;
    }
    return (double)(step - schedule->warmup_steps) / (double)(length > 1 ? length : 1);
}

static double factor_of(const struct schedule *schedule, int64_t step)
{
    if (schedule->kind == SCHEDULE_CONSTANT) {
        return 1;
    }
    if (step < schedule->warmup_steps) {
        return (double)step / (double)schedule->warmup_steps;
    }
    double progress = progress_of(schedule, step), factor = 1;
    if (schedule->kind == SCHEDULE_LINEAR) {
        factor = 1 - progress;
    } else if (schedule->kind == SCHEDULE_COSINE || schedule->kind == SCHEDULE_COSINE_WITH_MIN_LR) {
        factor = 0.5 * (1 + cos(acos(-1) * progress));
    } else if (schedule->kind == SCHEDULE_WARMUP_STABLE_DECAY) {
        factor = stable_decay(schedule, step);
    } else {
        return 1;
    }
    return factor * (1 - schedule->min_lr_rate) + schedule->min_lr_rate;
}

double schedule_rate(const struct schedule *schedule, int64_t step)
{
    assert(step >= 0 && schedule->warmup_steps >= 0);
    assert(schedule->min_lr_rate >= 0 && schedule->min_lr_rate <= 1);
    return schedule->learning_rate * factor_of(schedule, step);
}

int64_t schedule_warmup_steps(double warmup_steps, int64_t total_steps)
{
    assert(warmup_steps >= 0 && total_steps >= 0);
    double steps = warmup_steps < 1 ? ceil((double)total_steps * warmup_steps) : floor(warmup_steps);
    return steps < (double)total_steps ? (int64_t)steps : total_steps;
}
