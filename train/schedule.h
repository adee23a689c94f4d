/*
 * train/schedule.h - the learning rate of every optimizer step.
 *
 * The curves are those of transformers' get_scheduler() (optimization.py), as factors on the peak learning rate. With
 * step counted from 0 and w warm-up steps, the factor of the first w steps is step / w (so a warm-up begins at 0).
 * After that, with p = (step - w) / (total - w):
 *
 *     constant               1, and no warm-up
 *     constant_with_warmup   1
 *     linear                 1 - p
 *     cosine                 (1 + cos(pi p)) / 2
 *     cosine_with_min_lr     the same, scaled to end at min_lr_rate
 *     warmup_stable_decay    1, and in the last fifth of the run's steps (rounded up, d of them) falling as a line:
 *                            (total - step) / d
 *
 * linear, cosine and warmup_stable_decay end at min_lr_rate as well where it is not 0: factor * (1 - min_lr_rate) +
 * min_lr_rate.
 */
#ifndef ATTUNE_TRAIN_SCHEDULE_H
#define ATTUNE_TRAIN_SCHEDULE_H

#include "recipe/recipe.h"
#include <stdint.h>

struct schedule {
    enum schedule_kind kind;
    double learning_rate; /* the peak */
    double min_lr_rate;   /* 0 .. 1: where the curve ends, as a share of the peak */
    int64_t warmup_steps; /* 0 .. total_steps */
    int64_t total_steps;  /* optimizer steps of the whole run */
};

/*
 * The rate that optimizer step `step` is made with; the first step of a run is 0. At and past total_steps the curve
 * stays at its end.
 */
double schedule_rate(const struct schedule *schedule, int64_t step);

/*
 * Warm-up steps of a run, from the recipe's warmup_steps: a number below 1 is a share of the run, rounded up; from 1 on
 * it is a count, at most total_steps.
 */
int64_t schedule_warmup_steps(double warmup_steps, int64_t total_steps);

#endif
