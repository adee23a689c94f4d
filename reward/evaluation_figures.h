/*
 * reward/evaluation_figures.h - an evaluation to look at: figures.json for the report (report/report.h), and a short
 * table for the terminal.
 *
 * Accuracy by set and by what is known of a comparison (gap of the ranks, strength, agreement, which answer is longer
 * and which was shown first), each with its interval; whether the sigmoid of a margin says how often it is right; where
 * the scores stand; what they go along with; the comparisons in which the scores contradict people most.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_REWARD_EVALUATION_FIGURES_H
#define ATTUNE_REWARD_EVALUATION_FIGURES_H

#include "reward/evaluation.h"

struct figures {
    const struct evaluation *held_out, *sample; /* NULL: not there, or without scores */
    const struct reward_loss_options *options;
    int64_t step;
    double gain, offset; /* of the normalised score, gain * score + offset; gain 0: scores stay as they are */
};

/* The evaluation that is looked at closely: what was held out, or else the sample of the training rankings. */
const struct evaluation *figures_main(const struct figures *figures);

/* folder/figures.json, whole or not at all. */
int figures_write(const struct figures *figures, const char *folder, struct err *err);
/* The table of accuracies, by log_info(). */
void figures_print(const struct figures *figures);

#endif
