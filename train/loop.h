/*
 * train/loop.h - the steps of a run, and what follows each of them: records, evaluations, checkpoints, an early or an
 * asked-for end. What a step does, and what is measured, the stage says.
 */
#ifndef ATTUNE_TRAIN_LOOP_H
#define ATTUNE_TRAIN_LOOP_H

#include "base/log.h"
#include "train/order.h"
#include "train/run.h"
#include "train/schedule.h"

/* What a step came to. */
struct loop_step {
    double loss;      /* mean over the step's unit of loss */
    double grad_norm; /* before clipping */
    double rate;      /* learning rate */
    int64_t tokens;   /* that went through the model */
    bool applied;     /* false: not finite, so nothing was changed */
    char note[80];    /* for the progress bar; empty: loss and tokens a second */
};

struct loop_stage {
    void *context;
    /* Step number `step` of the run, from 0. */
    int (*step)(void *context, int64_t step, struct loop_step *result, struct err *err);
    /* The stage's members of a record that was begun, of the steps since the last one; forgets them. */
    void (*record)(void *context, struct metrics *metrics);
    /*
     * Evaluates, writes its own record and samples. *error is what the best checkpoint has least of (a loss, a share of
     * mistakes) and `of` what it is called; NaN where nothing was measured.
     */
    int (*evaluate)(void *context, double *error, struct err *err);
    const char *of;
};

/* Of the steps since the last record; what decides the record's bytes is in the run's state, to outlive a kill. */
struct loop_window {
    int64_t tokens;
    double seconds;
    struct loop_step last;
};

struct loop {
    const struct recipe *recipe;
    struct run *run;
    struct loop_stage stage;
    struct schedule schedule;
    int64_t steps_per_epoch;
    struct loop_window window;
    struct progress progress;
};

enum loop_outcome { LOOP_FAILED = -1, LOOP_FINISHED = 0, LOOP_INTERRUPTED = 1 };

/* Sets recipe, schedule and length, and begins a window. */
void loop_init(struct loop *loop, const struct recipe *recipe, const struct step_counts *steps);

/*
 * Steps from run->state.step to the end, then the result. LOOP_INTERRUPTED: stopped by a signal, with a checkpoint
 * written (train/interrupt.h).
 */
enum loop_outcome loop_run(struct loop *loop, struct err *err);

/* ---- for a stage's callbacks ---- */

/* One optimizer step from the gradients that are there, unless the loss is not finite; fills in all of *result but
 * tokens and note. */
int loop_update(struct loop *loop, struct optimizer *optimizer, double loss, struct loop_step *result, struct err *err);
/* "loss" (mean over the window), "learning_rate" and "grad_norm". */
void loop_record_training(const struct loop *loop, struct metrics *metrics);
double loop_epoch(const struct loop *loop, int64_t step);

#endif
