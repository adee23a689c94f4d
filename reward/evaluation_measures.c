/* reward/evaluation_measures.c - see evaluation_measures.h. */
#include "reward/evaluation_measures.h"
#include <math.h>

/* The prompt at hand is complete. */
static void close_prompt(struct share_sums *sums)
{
    double h = sums->prompt_hits, n = (double)sums->prompt_trials;
    sums->squares_hh += h * h;
    sums->squares_hn += h * n;
    sums->squares_nn += n * n;
    sums->prompt_hits = 0;
    sums->prompt_trials = 0;
}

void share_add(struct share_sums *sums, int64_t prompt, double hit)
{
    if (sums->trials == 0 || prompt != sums->prompt) {
        close_prompt(sums);
        sums->prompt = prompt;
        sums->prompts++;
    }
    sums->hits += hit;
    sums->prompt_hits += hit;
    sums->trials++;
    sums->prompt_trials++;
}

struct share share_of(const struct share_sums *open)
{
    struct share_sums sums = *open;
    struct share share = {
        .value = NAN, .low = NAN, .high = NAN, .error = NAN, .trials = sums.trials, .prompts = sums.prompts};
    if (sums.trials == 0) {
        return share;
    }
    close_prompt(&sums);
    double n = (double)sums.trials, prompts = (double)sums.prompts, p = sums.hits / n;
    double spread = sums.squares_hh - 2 * p * sums.squares_hn + p * p * sums.squares_nn; /* sum (h_c - p n_c)^2 */
    double variance = sums.prompts > 1 ? prompts / (prompts - 1) * fmax(spread, 0) / (n * n) : 0;
    double effective = variance > 1e-12 ? p * (1 - p) / variance : prompts;
    if (!(effective >= 1)) {
        effective = 1;
    }
    if (effective > n) {
        effective = n;
    }
    const double z = MEASURE_NORMAL_97_5;
    double middle = (p + z * z / (2 * effective)) / (1 + z * z / effective);
    double half = z * sqrt(p * (1 - p) / effective + z * z / (4 * effective * effective)) / (1 + z * z / effective);
    share.value = p;
    share.low = fmax(0, middle - half);
    share.high = fmin(1, middle + half);
    share.effective = effective;
    share.error = sqrt(variance);
    return share;
}

/* Welford's sums, which keep their digits where the values are large against their spread. */
void correlation_add(struct correlation *sums, double x, double y)
{
    sums->count++;
    double dx = x - sums->mean_x, dy = y - sums->mean_y;
    sums->mean_x += dx / (double)sums->count;
    sums->mean_y += dy / (double)sums->count;
    sums->xx += dx * (x - sums->mean_x);
    sums->yy += dy * (y - sums->mean_y);
    sums->xy += dx * (y - sums->mean_y);
}

double correlation_of(const struct correlation *sums)
{
    return sums->xx > 0 && sums->yy > 0 ? sums->xy / sqrt(sums->xx * sums->yy) : NAN;
}
