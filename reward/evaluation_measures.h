/*
 * reward/evaluation_measures.h - statistics of an evaluation on plain numbers: shares with intervals, correlation.
 *
 * Comparisons of one prompt are not independent: its answers are compared with each other, and perhaps by several
 * people. So prompts are the units of an interval. With h_c hits of n_c trials in prompt c, share p = sum h / sum n,
 * and C prompts, the variance of p is that of a ratio,
 *
 *     v = C / (C - 1) * sum_c (h_c - p n_c)^2 / (sum_c n_c)^2
 *
 * and p (1 - p) / v is how many independent comparisons would tell as much (Kish's effective size; never taken as more
 * than there are comparisons). The interval is Wilson's with that number, at 95 %. Where v is 0 (all right, or all
 * wrong, or one prompt) it is the number of prompts.
 */
#ifndef ATTUNE_REWARD_EVALUATION_MEASURES_H
#define ATTUNE_REWARD_EVALUATION_MEASURES_H

#include <stdint.h>

/* The 97.5 % point of the normal distribution. */
#define MEASURE_NORMAL_97_5 1.959963984540054

struct share {
    double value, low, high; /* NaN without trials */
    double effective;        /* independent trials that would tell as much */
    double error;            /* standard error of the value, sqrt(v) */
    int64_t trials, prompts;
};

/* Hits and trials, prompt after prompt: all trials of a prompt stand together. Zeroed at first. */
struct share_sums {
    double hits, prompt_hits; /* all, and those of the prompt at hand; half a hit is a draw */
    int64_t trials, prompt_trials, prompts;
    double squares_hh, squares_hn, squares_nn; /* sums of h_c^2, h_c n_c, n_c^2 over the prompts before */
    int64_t prompt;                            /* at hand */
};
void share_add(struct share_sums *sums, int64_t prompt, double hit);
struct share share_of(const struct share_sums *sums);

/* Pearson's correlation of pairs added one by one; NaN where one of the two does not vary. Zeroed at first. */
struct correlation {
    int64_t count;
    double mean_x, mean_y, xx, yy, xy; /* sums of products of deviations */
};
void correlation_add(struct correlation *sums, double x, double y);
double correlation_of(const struct correlation *sums);

#endif
