/*
 * reward/evaluation.h - how far scores agree with people: what is measured once the answers of a set have scores.
 *
 *     evaluation_open()      room for the scores of some of a set's rankings
 *     (reward/loop.c fills them in, pass by pass)
 *     evaluation_measure()   the numbers of an evaluation's record
 *     evaluation_each()      every comparison, for whoever counts something else (evaluation_figures.c)
 *
 * A comparison is a pair of answers of one ranking with different ranks; copies of a ranking (an entry's weight) are
 * left out. It is right when the better answer has the higher score, so equal scores are wrong, as in TRL.
 */
#ifndef ATTUNE_REWARD_EVALUATION_H
#define ATTUNE_REWARD_EVALUATION_H

#include "rankings/set.h"
#include "reward/evaluation_measures.h"
#include "reward/loss.h"

struct evaluation {
    const struct ranking_set *set;
    const struct recipe_datasets *entries; /* that the set was made from; struct ranking.source counts them */
    int64_t *rankings;                     /* [count] indices of the set's rankings, in the order of their scores */
    int64_t *starts;                       /* [count + 1] place of a ranking's first score */
    int64_t *by_prompt;                    /* [count] indices of `rankings`, those of one prompt side by side */
    float *scores;                         /* [starts[count]] */
    int64_t count;
    int64_t scored_at; /* step after which the scores were taken; -1: there are none yet */
};

/*
 * For `most` rankings of the set, spread evenly over it, or for all of them where there are no more. `set` and
 * `entries` are borrowed.
 */
int evaluation_open(struct evaluation *evaluation, const struct ranking_set *set, const struct recipe_datasets *entries,
                    int64_t most, struct err *err);
void evaluation_close(struct evaluation *evaluation);

struct comparison {
    const struct ranking *ranking;
    int32_t better, worse; /* answers of the ranking */
    double better_score, worse_score;
    int64_t prompt; /* the same for comparisons of one prompt, which follow each other */
};
typedef void comparison_visit(void *context, const struct comparison *comparison);
void evaluation_each(const struct evaluation *evaluation, comparison_visit *visit, void *context);

/* A score's margin over the other's, and whether the longer answer is the better one: 1, 0, or 0.5 at equal length. */
double comparison_margin(const struct comparison *comparison);
double comparison_longer(const struct comparison *comparison);

struct evaluation_summary {
    double loss;                  /* weighted mean over the rankings, as in training; NaN without a pair */
    struct share accuracy;        /* of the scores */
    struct share length_accuracy; /* of the rule "the longer answer is the better one" on the same comparisons */
    struct share advantage;       /* value and error of the first less the second; its other members mean nothing */
    double margin;                /* mean over the comparisons */
    double mean, deviation;       /* of the scores, each answer of each ranking once */
    double least, most;
    double with_length, within_prompt, with_position; /* correlations of score with characters, with characters among
                                                         the answers of a ranking, and with the place it was shown in */
    int64_t answers, positions;                       /* positions: answers whose place is known */
};
void evaluation_measure(const struct evaluation *evaluation, const struct reward_loss_options *options,
                        struct evaluation_summary *out);

#endif
