/*
 * reward/evaluation_groups.h - comparisons sorted by what is known of them, and how often scores are right in each
 * group; and sorted by how sure the scores are.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_REWARD_EVALUATION_GROUPS_H
#define ATTUNE_REWARD_EVALUATION_GROUPS_H

#include "reward/evaluation.h"

#define GROUPS_MAX 8

struct grouping {
    const char *title, *text; /* of its figure */
    const char *names[GROUPS_MAX];
    int count;
    /* The group of a comparison, or -1: not known. */
    int (*group_of)(const struct comparison *comparison);
};
/* By gap of the ranks, strength, agreement, length, and position. */
extern const struct grouping groupings[];
extern const int grouping_count;

/* The accuracy in each group. Returns how many groups have comparisons. */
int grouping_measure(const struct grouping *grouping, const struct evaluation *evaluation, struct share *out);

/* The accuracy on the rankings of one entry. */
struct share evaluation_of_source(const struct evaluation *evaluation, int32_t source);

/*
 * Calibration. The scores say that the answer with the higher one is preferred with probability p = sigmoid(margin),
 * 0.5 .. 1. Comparisons are put into CALIBRATION_BINS of equal width by that, and `observed` is how often they were
 * right.
 */
#define CALIBRATION_BINS 10
struct calibration {
    double predicted[CALIBRATION_BINS]; /* mean p in the bin; NaN where it is empty */
    struct share observed[CALIBRATION_BINS];
    double error; /* mean of |predicted - observed| over the comparisons */
};
void calibration_measure(const struct evaluation *evaluation, struct calibration *out);

/* How many preferred and how many other answers have a score in each of so many intervals between the summary's least
 * and most; an answer counts as often as it is compared. */
#define HISTOGRAM_BINS 24
struct histogram {
    double least, width; /* the first interval's beginning, and the width of each */
    int64_t preferred[HISTOGRAM_BINS], other[HISTOGRAM_BINS];
};
void histogram_measure(const struct evaluation *evaluation, const struct evaluation_summary *summary,
                       struct histogram *out);

/* The comparisons whose scores contradict the label most, worst first, one of each prompt. Returns how many. */
#define WORST_MAX 10
int worst_find(const struct evaluation *evaluation, struct comparison out[WORST_MAX]);

#endif
