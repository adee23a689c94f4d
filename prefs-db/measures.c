#include "prefs-db/measures.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

double measure_cohen_kappa(const int64_t *table, size_t categories)
{
    double total = 0, same = 0, chance = 0;
    for (size_t i = 0; i < categories * categories; i++) {
        total += (double)table[i];
    }
    for (size_t c = 0; c < categories; c++) {
        double first = 0, second = 0;
        for (size_t other = 0; other < categories; other++) {
            first += (double)table[c * categories + other];
            second += (double)table[other * categories + c];
        }
        same += (double)table[c * categories + c];
        chance += first * second;
    }
    double observed = same / total, expected = chance / (total * total);
    return (observed - expected) / (1 - expected); /* 0 / 0 is the NaN that the header promises */
}

void measure_alpha_add(struct measure_alpha *alpha, const int64_t *counts)
{
    assert(alpha->categories <= MEASURE_CATEGORIES_MAX);
    int64_t raters = 0;
    for (size_t c = 0; c < alpha->categories; c++) {
        raters += counts[c];
    }
    if (raters < 2) {
        return;
    }
    for (size_t c = 0; c < alpha->categories; c++) {
        for (size_t k = 0; counts[c] > 0 && k < alpha->categories; k++) {
            alpha->coincidences[c][k] += (double)(counts[c] * (counts[k] - (c == k))) / (double)(raters - 1);
        }
    }
}

double measure_alpha_value(const struct measure_alpha *alpha)
{
    double marginal[MEASURE_CATEGORIES_MAX] = {0}, total = 0, observed = 0, expected = 0;
    for (size_t c = 0; c < alpha->categories; c++) {
        for (size_t k = 0; k < alpha->categories; k++) {
            marginal[c] += alpha->coincidences[c][k];
        }
        total += marginal[c];
    }
    for (size_t c = 0; c < alpha->categories; c++) {
        double between = marginal[c];
        for (size_t k = c + 1; k < alpha->categories; k++) {
            between += marginal[k];
            double distance = between - (marginal[c] + marginal[k]) / 2;
            observed += alpha->coincidences[c][k] * distance * distance;
            expected += marginal[c] * marginal[k] * distance * distance;
        }
    }
    return 1 - (total - 1) * observed / expected;
}

void measure_wilson(struct measure_share share, double *low, double *high)
{
    if (share.trials == 0) {
        *low = *high = NAN;
        return;
    }
    const double z = 1.959963984540054; /* the 97.5 % point of the normal distribution */
    double n = (double)share.trials, p = (double)share.hits / n;
    double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n);
    *low = fmax(0, middle - half);
    *high = fmin(1, middle + half);
}

/* Whether from `start` every model can be reached along wins, or against them when `backwards`. */
static bool reaches_all(const double *wins, size_t count, bool backwards)
{
    bool seen[MEASURE_MODELS_MAX] = {true};
    size_t queue[MEASURE_MODELS_MAX] = {0}, length = 1;
    for (size_t at = 0; at < length; at++) {
        for (size_t other = 0; other < count; other++) {
            double won = backwards ? wins[other * count + queue[at]] : wins[queue[at] * count + other];
            if (won > 0 && !seen[other]) {
                seen[other] = true;
                queue[length++] = other;
            }
        }
    }
    return length == count;
}

int measure_bradley_terry(double *strengths, const double *wins, size_t count, double prior, struct err *err)
{
    enum { STEPS_MAX = 10000 };
    const double enough = 1e-9;
    assert(count >= 1 && count <= MEASURE_MODELS_MAX);
    /* Ford 1957: the maximum exists exactly when the graph of wins is strongly connected. */
    if (!(prior > 0) && !(reaches_all(wins, count, false) && reaches_all(wins, count, true))) {
        return err_set(err, "no finite strengths: some models won or lost every comparison with the others");
    }
    double now[MEASURE_MODELS_MAX], next[MEASURE_MODELS_MAX];
    for (size_t i = 0; i < count; i++) {
        now[i] = 1;
    }
    double change = INFINITY;
    for (int step = 0; step < STEPS_MAX && change > enough; step++) {
        double log_sum = 0;
        for (size_t i = 0; i < count; i++) {
            double won = prior / 2, games = prior / (now[i] + 1);
            for (size_t j = 0; j < count; j++) {
                double played = j == i ? 0 : wins[i * count + j] + wins[j * count + i];
                won += j == i ? 0 : wins[i * count + j];
                games += played > 0 ? played / (now[i] + now[j]) : 0;
            }
            next[i] = games > 0 ? won / games : 1;
            log_sum += log(next[i]);
        }
        /* With a prior the scale is fixed by the opponent of strength 1. */
        double scale = prior > 0 ? 1 : exp(-log_sum / (double)count);
        change = 0;
        for (size_t i = 0; i < count; i++) {
            change = fmax(change, fabs(log(next[i] * scale / now[i])));
            now[i] = next[i] * scale;
        }
    }
    double mean = 0;
    for (size_t i = 0; i < count; i++) {
        strengths[i] = log(now[i]);
        mean += strengths[i] / (double)count;
    }
    for (size_t i = 0; i < count; i++) {
        strengths[i] -= mean;
    }
    return 0;
}
