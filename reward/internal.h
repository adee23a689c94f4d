/*
 * reward/internal.h - what the files of this room share: a step and an evaluation of the reward stage (loop.c), over
 * parts that reward.c has made.
 */
#ifndef ATTUNE_REWARD_INTERNAL_H
#define ATTUNE_REWARD_INTERNAL_H

#include "model/pass.h"
#include "reward/data.h"
#include "reward/evaluation.h"
#include "train/loop.h"

/* Of the steps since the last record. Doubles, because a run keeps them as such (struct run_number). */
struct reward_sums {
    double decided, correct, margin; /* pairs of different rank, those in the right order, the sum of their margins */
    double answers, score;           /* how many, and the sum of their scores */
    double least, most;              /* 0 while answers is 0 */
};

/* Seconds since the last record, for the report; they decide nothing. */
struct reward_seconds {
    double forward, backward, update; /* to the scores; to the gradients; to the new weights */
};

struct reward_loop {
    const struct recipe *recipe;
    struct backend *backend;
    struct reward_data *data;
    struct trainable *trainable;
    struct optimizer *optimizer;
    struct pass *pass;
    struct loop steps;
    struct batch batch;
    float *scores, *dscores; /* host [readings of a pass] */
    struct reward_loss_options loss;
    struct reward_sums sums;
    struct reward_seconds seconds;
    struct evaluation held_out; /* count 0: there is no eval set */
    struct evaluation sample;   /* of the training rankings, scored once the training is over */
};

/* The callbacks for train/loop.h. */
struct loop_stage reward_loop_stage(struct reward_loop *loop);
/* run->before_result: the last figures, and with normalize_scores the head so that scores of the reference answers have
 * mean 0 and deviation 1. The references are the answers of the eval set, or of the sample where there is none. */
int reward_loop_before_result(void *context, struct err *err);

#endif
