/*
 * reward/loss.h - the loss of one ranking, from the scores of its answers.
 *
 * Every two answers of different rank are a pair, and the loss is the mean over the ranking's pairs (InstructGPT,
 * Ouyang et al. 2022, eq. 1; with two answers it is the pairwise loss). With w the better answer, l the other,
 *
 *     z    = r_w - r_l - margin
 *     loss = - t log sigmoid(z) - (1 - t) log sigmoid(-z) + centering (r_w + r_l)^2
 *
 * where t = 1 - label_smoothing. Two answers of equal rank are left out, or with `ties` are a pair without a margin and
 * t = 0.5. An answer of rank 0 was not ranked and is in no pair. log sigmoid(z) = -softplus(-z), which overflows
 * nowhere.
 *
 * Sums are double, in the order of the answers, so they do not depend on anything but the ranking.
 */
#ifndef ATTUNE_REWARD_LOSS_H
#define ATTUNE_REWARD_LOSS_H

#include <stdbool.h>
#include <stdint.h>

#define REWARD_LOSS_ANSWERS_MAX 64

struct reward_loss_options {
    bool ties;
    double label_smoothing; /* 0 .. 0.5 */
    double centering;
};

struct reward_outcome {
    double loss;              /* mean over `pairs`; 0 where there are none */
    int32_t pairs;            /* that the loss is over */
    int32_t decided, correct; /* of different rank, and those of them whose better answer has the higher score */
    double margin;            /* r_w - r_l, summed over the decided ones */
};

/*
 * Sets *outcome and, unless it is NULL, dscores[i] = weight * d loss / d scores[i]. ranks: 1 is best, equal is a tie, 0
 * unranked. The margin of a pair is levels[w] - levels[l]; levels NULL: none.
 */
void reward_loss(const float *scores, const int32_t *ranks, const float *levels, int32_t count,
                 const struct reward_loss_options *options, double weight, float *dscores,
                 struct reward_outcome *outcome);

/* 1 / (1 + e^-z), for any z. */
double reward_sigmoid(double z);

#endif
