/* reward/loss.c - see loss.h. */
#include "reward/loss.h"
#include <assert.h>
#include <math.h>

double reward_sigmoid(double z)
{
    double e = exp(-fabs(z));
    return z >= 0 ? 1 / (1 + e) : e / (1 + e);
}

/* log(1 + e^z), for any z. */
static double softplus(double z)
{
    return fmax(z, 0) + log1p(exp(-fabs(z)));
}

/* Whether answers of these ranks are a pair. */
static bool is_pair(int32_t rank, int32_t other, bool ties)
{
    return rank > 0 && other > 0 && (rank != other || ties);
}

/* Adds a pair's loss, and its derivatives to slope[better] and slope[worse]. */
static double add_pair(const float *scores, int32_t better, int32_t worse, double margin, double target,
                       double centering, double *slope)
{
    double z = (double)scores[better] - (double)scores[worse] - margin;
    double sum = (double)scores[better] + (double)scores[worse];
    double outward = reward_sigmoid(z) - target, inward = 2 * centering * sum;
    slope[better] += inward + outward;
    slope[worse] += inward - outward;
    /* -t log sigmoid(z) - (1 - t) log sigmoid(-z) */
    return target * softplus(-z) + (1 - target) * softplus(z) + centering * sum * sum;
}

void reward_loss(const float *scores, const int32_t *ranks, const float *levels, int32_t count,
                 const struct reward_loss_options *options, double weight, float *dscores,
                 struct reward_outcome *outcome)
{
    assert(count <= REWARD_LOSS_ANSWERS_MAX);
    double slope[REWARD_LOSS_ANSWERS_MAX] = {0};
    *outcome = (struct reward_outcome){0};
    for (int32_t i = 0; i < count; i++) {
        for (int32_t j = i + 1; j < count; j++) {
            if (!is_pair(ranks[i], ranks[j], options->ties)) {
                continue;
            }
            int32_t better = ranks[i] <= ranks[j] ? i : j, worse = i + j - better;
            bool tie = ranks[i] == ranks[j];
            double margin = levels && !tie ? (double)levels[better] - (double)levels[worse] : 0;
            outcome->loss += add_pair(scores, better, worse, margin, tie ? 0.5 : 1 - options->label_smoothing,
                                      options->centering, slope);
            outcome->pairs++;
            if (tie) {
                continue;
            }
            outcome->decided++;
            outcome->correct += scores[better] > scores[worse];
            outcome->margin += (double)scores[better] - (double)scores[worse];
        }
    }
    if (outcome->pairs > 0) {
        outcome->loss /= outcome->pairs;
    }
    for (int32_t i = 0; dscores && i < count; i++) {
        dscores[i] = outcome->pairs > 0 ? (float)(weight * slope[i] / outcome->pairs) : 0;
    }
}
