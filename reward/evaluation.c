/* reward/evaluation.c - see evaluation.h. */
#include "reward/evaluation.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>

/* ---- the rankings ---- */

/* A ranking's prompt, and its index in evaluation->rankings. */
struct prompt_index {
    uint64_t prompt;
    int64_t index;
};

static int compare_places(const void *a, const void *b)
{
    const struct prompt_index *x = a, *y = b;
    if (x->prompt != y->prompt) {
        return x->prompt < y->prompt ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

static int sort_by_prompt(struct evaluation *evaluation, struct err *err)
{
    struct prompt_index *places = mem_alloc((size_t)evaluation->count, sizeof *places, err);
    if (!places) {
        return -1;
    }
    for (int64_t i = 0; i < evaluation->count; i++) {
        places[i] = (struct prompt_index){evaluation->set->rankings[evaluation->rankings[i]].prompt_hash, i};
    }
    qsort(places, (size_t)evaluation->count, sizeof *places, compare_places);
    for (int64_t i = 0; i < evaluation->count; i++) {
        evaluation->by_prompt[i] = places[i].index;
    }
    mem_free(places);
    return 0;
}

/* Every ranking but copies, of more than `most` one in so many. */
static void choose(struct evaluation *evaluation, int64_t originals, int64_t most)
{
    const struct ranking_set *set = evaluation->set;
    int64_t seen = 0, scores = 0;
    for (int64_t r = 0; r < (int64_t)set->count; r++) {
        if (set->rankings[r].copy) {
            continue;
        }
        /* The chosen ones are those where seen * most / originals takes a new value. */
        bool chosen = seen == 0 || seen * most / originals != (seen - 1) * most / originals;
        seen++;
        if (!chosen) {
            continue;
        }
        evaluation->rankings[evaluation->count] = r;
        evaluation->starts[evaluation->count++] = scores;
        scores += set->rankings[r].family.count;
    }
    evaluation->starts[evaluation->count] = scores;
}

int evaluation_open(struct evaluation *evaluation, const struct ranking_set *set, const struct recipe_datasets *entries,
                    int64_t most, struct err *err)
{
    int64_t originals = 0;
    for (size_t r = 0; r < set->count; r++) {
        originals += set->rankings[r].copy == 0;
    }
    if (most > originals) {
        most = originals;
    }
    *evaluation = (struct evaluation){.set = set, .entries = entries, .scored_at = -1};
    evaluation->rankings = mem_alloc((size_t)most, sizeof *evaluation->rankings, err);
    evaluation->starts = mem_alloc((size_t)most + 1, sizeof *evaluation->starts, err);
    evaluation->by_prompt = mem_alloc((size_t)most, sizeof *evaluation->by_prompt, err);
    if (evaluation->rankings && evaluation->starts && evaluation->by_prompt) {
        choose(evaluation, originals, most);
        evaluation->scores = mem_alloc((size_t)evaluation->starts[evaluation->count], sizeof *evaluation->scores, err);
    }
    if (!evaluation->scores || sort_by_prompt(evaluation, err) != 0) {
        evaluation_close(evaluation);
        return -1;
    }
    return 0;
}

void evaluation_close(struct evaluation *evaluation)
{
    mem_free(evaluation->rankings);
    mem_free(evaluation->starts);
    mem_free(evaluation->by_prompt);
    mem_free(evaluation->scores);
    *evaluation = (struct evaluation){0};
}

/* ---- comparisons ---- */

void evaluation_each(const struct evaluation *evaluation, comparison_visit *visit, void *context)
{
    uint64_t hash = 0;
    struct comparison comparison = {.prompt = -1};
    for (int64_t i = 0; i < evaluation->count; i++) {
        int64_t index = evaluation->by_prompt[i];
        const struct ranking *ranking = &evaluation->set->rankings[evaluation->rankings[index]];
        const float *scores = evaluation->scores + evaluation->starts[index];
        if (i == 0 || ranking->prompt_hash != hash) {
            comparison.prompt++;
        }
        hash = ranking->prompt_hash;
        comparison.ranking = ranking;
        for (int32_t a = 0; a < ranking->family.count; a++) {
            for (int32_t b = a + 1; b < ranking->family.count; b++) {
                if (ranking->ranks[a] == ranking->ranks[b]) {
                    continue;
                }
                comparison.better = ranking->ranks[a] < ranking->ranks[b] ? a : b;
                comparison.worse = a + b - comparison.better;
                comparison.better_score = (double)scores[comparison.better];
                comparison.worse_score = (double)scores[comparison.worse];
                visit(context, &comparison);
            }
        }
    }
}

double comparison_margin(const struct comparison *comparison)
{
    return comparison->better_score - comparison->worse_score;
}

double comparison_longer(const struct comparison *comparison)
{
    int32_t better = comparison->ranking->characters[comparison->better],
            worse = comparison->ranking->characters[comparison->worse];
    return better > worse ? 1 : better < worse ? 0 : 0.5;
}

/* ---- the summary ---- */

struct summary_sums {
    struct share_sums accuracy, length, advantage;
    double margin;
};

static void add_comparison(void *context, const struct comparison *comparison)
{
    struct summary_sums *sums = context;
    double margin = comparison_margin(comparison);
    share_add(&sums->accuracy, comparison->prompt, margin > 0);
    share_add(&sums->length, comparison->prompt, comparison_longer(comparison));
    share_add(&sums->advantage, comparison->prompt, (margin > 0) - comparison_longer(comparison));
    sums->margin += margin;
}

/* What answers say by themselves: moments and correlations of their scores. */
struct answer_sums {
    struct correlation length, within, position;
    double least, most;
};

static void add_answers(struct answer_sums *sums, const struct ranking *ranking, const float *scores)
{
    double mean_score = 0, mean_length = 0;
    for (int32_t a = 0; a < ranking->family.count; a++) {
        double score = (double)scores[a], length = ranking->characters[a];
        mean_score += score / ranking->family.count;
        mean_length += length / ranking->family.count;
        correlation_add(&sums->length, score, length);
        if (ranking->positions[a] >= 0) {
            correlation_add(&sums->position, score, ranking->positions[a]);
        }
        if (!(score >= sums->least)) {
            sums->least = score;
        }
        if (!(score <= sums->most)) {
            sums->most = score;
        }
    }
    for (int32_t a = 0; a < ranking->family.count; a++) {
        correlation_add(&sums->within, (double)scores[a] - mean_score, ranking->characters[a] - mean_length);
    }
}

void evaluation_measure(const struct evaluation *evaluation, const struct reward_loss_options *options,
                        struct evaluation_summary *out)
{
    struct summary_sums sums = {0};
    struct answer_sums answers = {.least = INFINITY, .most = -INFINITY};
    double loss = 0, weights = 0;
    for (int64_t i = 0; i < evaluation->count; i++) {
        const struct ranking *ranking = &evaluation->set->rankings[evaluation->rankings[i]];
        const float *scores = evaluation->scores + evaluation->starts[i];
        struct reward_outcome outcome;
        reward_loss(scores, ranking->ranks, ranking->levels, ranking->family.count, options, 1, NULL, &outcome);
        if (outcome.pairs > 0) {
            loss += ranking->weight * outcome.loss;
            weights += ranking->weight;
        }
        add_answers(&answers, ranking, scores);
    }
    evaluation_each(evaluation, add_comparison, &sums);
    double comparisons = (double)sums.accuracy.trials, count = (double)answers.length.count;
    *out = (struct evaluation_summary){
        .loss = loss / weights,
        .accuracy = share_of(&sums.accuracy),
        .length_accuracy = share_of(&sums.length),
        .advantage = share_of(&sums.advantage),
        .margin = sums.margin / comparisons,
        .mean = answers.length.mean_x,
        .deviation = sqrt(answers.length.xx / count),
        .least = answers.least,
        .most = answers.most,
        .with_length = correlation_of(&answers.length),
        .within_prompt = correlation_of(&answers.within),
        .with_position = correlation_of(&answers.position),
        .answers = answers.length.count,
        .positions = answers.position.count,
    };
}
