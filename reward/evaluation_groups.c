/* reward/evaluation_groups.c - see evaluation_groups.h. */
#include "reward/evaluation_groups.h"
#include <math.h>
#include <string.h>

/* ---- what is known of a comparison ---- */

static int by_gap(const struct comparison *comparison)
{
    const int32_t *ranks = comparison->ranking->ranks;
    int32_t gap = ranks[comparison->worse] - ranks[comparison->better];
    return gap < 4 ? gap - 1 : 3;
}

static int by_strength(const struct comparison *comparison)
{
    int32_t strength = comparison->ranking->strength;
    return strength >= 1 && strength <= 4 ? strength - 1 : -1;
}

static int by_agreement(const struct comparison *comparison)
{
    double agreement = comparison->ranking->agreement;
    return isnan(agreement) ? 0 : agreement < 0.6 ? 1 : agreement < 0.8 ? 2 : agreement < 1 ? 3 : 4;
}

static int by_length(const struct comparison *comparison)
{
    double longer = comparison_longer(comparison);
    return longer < 0.5 ? 0 : longer > 0.5 ? 2 : 1;
}

static int by_position(const struct comparison *comparison)
{
    int32_t better = comparison->ranking->positions[comparison->better],
            worse = comparison->ranking->positions[comparison->worse];
    return better < 0 || worse < 0 || better == worse ? -1 : better > worse;
}

const struct grouping groupings[] = {
    {.title = "Accuracy by gap of the ranks",
     .text = "How many ranks lie between the two answers. Neighbours are hard to tell apart, for people too.",
     .names = {"1", "2", "3", "4 or more"},
     .count = 4,
     .group_of = by_gap},
    {.title = "Accuracy by strength",
     .text = "How much better the preferred answer was said to be.",
     .names = {"1 (slightly)", "2", "3", "4 (much)"},
     .count = 4,
     .group_of = by_strength},
    {.title = "Accuracy by agreement",
     .text = "How far the annotators of an item agree on its pairs. Where they do not, no scorer can be right.",
     .names = {"one judgment", "below 60 %", "60 to 80 %", "80 to 100 %", "all agree"},
     .count = 5,
     .group_of = by_agreement},
    {.title = "Accuracy by length",
     .text = "A scorer that has learned nothing but length is right where the preferred answer is the longer one, and "
             "wrong where it is the shorter one.",
     .names = {"preferred is shorter", "equally long", "preferred is longer"},
     .count = 3,
     .group_of = by_length},
    {.title = "Accuracy by position",
     .text = "Where the preferred answer was shown to the annotator. The scorer does not see it: a difference is the "
             "annotators' habit.",
     .names = {"shown earlier", "shown later"},
     .count = 2,
     .group_of = by_position},
};
const int grouping_count = sizeof groupings / sizeof *groupings;

struct group_sums {
    const struct grouping *grouping;
    struct share_sums sums[GROUPS_MAX];
};

static void add_to_group(void *context, const struct comparison *comparison)
{
    struct group_sums *groups = context;
    int group = groups->grouping->group_of(comparison);
    if (group >= 0) {
        share_add(&groups->sums[group], comparison->prompt, comparison_margin(comparison) > 0);
    }
}

int grouping_measure(const struct grouping *grouping, const struct evaluation *evaluation, struct share *out)
{
    struct group_sums groups = {.grouping = grouping};
    int filled = 0;
    evaluation_each(evaluation, add_to_group, &groups);
    for (int g = 0; g < grouping->count; g++) {
        out[g] = share_of(&groups.sums[g]);
        filled += out[g].trials > 0;
    }
    return filled;
}

struct source_sums {
    int32_t source;
    struct share_sums sums;
};

static void add_of_source(void *context, const struct comparison *comparison)
{
    struct source_sums *sums = context;
    if (comparison->ranking->source == sums->source) {
        share_add(&sums->sums, comparison->prompt, comparison_margin(comparison) > 0);
    }
}

struct share evaluation_of_source(const struct evaluation *evaluation, int32_t source)
{
    struct source_sums sums = {.source = source};
    evaluation_each(evaluation, add_of_source, &sums);
    return share_of(&sums.sums);
}

/* ---- calibration ---- */

struct calibration_sums {
    struct share_sums observed[CALIBRATION_BINS];
    double predicted[CALIBRATION_BINS];
};

static void add_to_bin(void *context, const struct comparison *comparison)
{
    struct calibration_sums *sums = context;
    double margin = comparison_margin(comparison), p = reward_sigmoid(fabs(margin));
    if (!isfinite(margin)) {
        return;
    }
    int bin = (int)((p - 0.5) * 2 * CALIBRATION_BINS);
    if (bin == CALIBRATION_BINS) { /* p is 1 */
        bin--;
    }
    sums->predicted[bin] += p;
    share_add(&sums->observed[bin], comparison->prompt, margin > 0);
}

void calibration_measure(const struct evaluation *evaluation, struct calibration *out)
{
    struct calibration_sums sums = {0};
    double apart = 0;
    int64_t all = 0;
    evaluation_each(evaluation, add_to_bin, &sums);
    for (int b = 0; b < CALIBRATION_BINS; b++) {
        out->observed[b] = share_of(&sums.observed[b]);
        int64_t count = out->observed[b].trials;
        out->predicted[b] = sums.predicted[b] / (double)count;
        if (count > 0) {
            apart += (double)count * fabs(out->predicted[b] - out->observed[b].value);
        }
        all += count;
    }
    out->error = apart / (double)all;
}

/* ---- scores ---- */

static int bin_of(const struct histogram *histogram, double score)
{
    int bin = (int)((score - histogram->least) / histogram->width);
    return bin < 0 ? 0 : bin >= HISTOGRAM_BINS ? HISTOGRAM_BINS - 1 : bin;
}

static void add_to_histogram(void *context, const struct comparison *comparison)
{
    struct histogram *histogram = context;
    if (!isfinite(comparison_margin(comparison))) {
        return;
    }
    histogram->preferred[bin_of(histogram, comparison->better_score)]++;
    histogram->other[bin_of(histogram, comparison->worse_score)]++;
}

void histogram_measure(const struct evaluation *evaluation, const struct evaluation_summary *summary,
                       struct histogram *out)
{
    double range = summary->most - summary->least;
    *out = (struct histogram){.least = summary->least, .width = range > 0 ? range / HISTOGRAM_BINS : 1};
    if (isfinite(range)) {
        evaluation_each(evaluation, add_to_histogram, out);
    }
}

/* ---- the worst ---- */

struct worst {
    struct comparison *items; /* [WORST_MAX], by margin ascending */
    int count;
};

static void remove_item(struct worst *worst, int place)
{
    memmove(worst->items + place, worst->items + place + 1, (size_t)(worst->count - place - 1) * sizeof *worst->items);
    worst->count--;
}

static void add_if_worse(void *context, const struct comparison *comparison)
{
    struct worst *worst = context;
    double margin = comparison_margin(comparison);
    if (!(margin < 0)) {
        return;
    }
    for (int i = 0; i < worst->count; i++) {
        if (worst->items[i].prompt == comparison->prompt) {
            if (comparison_margin(&worst->items[i]) <= margin) {
                return;
            }
            remove_item(worst, i);
        }
    }
    int place = worst->count;
    while (place > 0 && comparison_margin(&worst->items[place - 1]) > margin) {
        place--;
    }
    if (place == WORST_MAX) {
        return;
    }
    if (worst->count == WORST_MAX) {
        worst->count--;
    }
    memmove(worst->items + place + 1, worst->items + place, (size_t)(worst->count - place) * sizeof *worst->items);
    worst->items[place] = *comparison;
    worst->count++;
}

int worst_find(const struct evaluation *evaluation, struct comparison out[WORST_MAX])
{
    struct worst worst = {.items = out};
    evaluation_each(evaluation, add_if_worse, &worst);
    return worst.count;
}
