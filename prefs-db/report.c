/* One walk over all judgments of a project, item by item, gathers every figure. */
#include "prefs-db/report.h"
#include "base/mem.h"
#include "base/random.h"
#include "prefs-db/internal.h"
#include "prefs-db/rankings.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Items are dealt to blocks and the blocks are resampled: with fewer items than blocks this is the bootstrap over
 * items. */
#define BLOCKS         512
#define OUTCOMES       3
#define UNKNOWN        SIZE_MAX
#define VOTES_MAX      128 /* judgments of one item that are compared with each other */
#define TIMES_MAX      ((size_t)1 << 20)
#define PRIOR_GAMES    1.0
#define BOOTSTRAP_SEED 20

struct times {
    int32_t *milliseconds;
    size_t count, capacity;
};

/* Outcomes of a pair of annotators on the units they share. */
struct outcome_table {
    size_t first, second;
    int64_t cells[OUTCOMES * OUTCOMES], units;
};

struct gather {
    struct prefs *store;
    struct report *report;
    struct times *times; /* by annotator */
    struct outcome_table *tables;
    size_t table_count, table_capacity;
    struct measure_alpha alpha;
    uint32_t *wins;              /* [BLOCKS][models][models], in half wins */
    struct prefs_ranking *votes; /* of the item at hand */
    size_t vote_count;
    int64_t item;
};

static size_t find_annotator(const struct report *report, int64_t id)
{
    for (size_t i = 0; i < report->annotator_count; i++) {
        if (report->annotators[i].id == id) {
            return i;
        }
    }
    return UNKNOWN;
}

static size_t find_model(const struct report *report, int64_t id)
{
    for (size_t i = 0; id != 0 && i < report->model_count; i++) {
        if (report->models[i].id == id) {
            return i;
        }
    }
    return UNKNOWN;
}

/* 0: a is better, 1: tie, 2: b is better, -1: not both ranked. */
static int outcome(const struct prefs_ranking *ranking, size_t a, size_t b)
{
    int first = ranking->answers[a].rank, second = ranking->answers[b].rank;
    return first == 0 || second == 0 ? -1 : first < second ? 0 : first == second ? 1 : 2;
}

/* The outcome on a unit of the item: a pair of answers, or a thumb (a == b). */
static int unit_outcome(const struct prefs_ranking *ranking, size_t a, size_t b)
{
    return a == b ? (ranking->thumb > 0 ? 0 : 2) : outcome(ranking, a, b);
}

static struct outcome_table *find_table(struct gather *gather, size_t first, size_t second, struct err *err)
{
    for (size_t i = 0; i < gather->table_count; i++) {
        if (gather->tables[i].first == first && gather->tables[i].second == second) {
            return &gather->tables[i];
        }
    }
    struct outcome_table *tables =
        mem_grow(gather->tables, &gather->table_capacity, gather->table_count + 1, sizeof *tables, err);
    if (tables == NULL) {
        return NULL;
    }
    gather->tables = tables;
    tables[gather->table_count] = (struct outcome_table){.first = first, .second = second};
    return &tables[gather->table_count++];
}

static int compare_two(struct gather *gather, const struct prefs_ranking *x, const struct prefs_ranking *y, size_t a,
                       size_t b, struct err *err)
{
    int said = unit_outcome(x, a, b), other = unit_outcome(y, a, b);
    size_t first = find_annotator(gather->report, x->annotator), second = find_annotator(gather->report, y->annotator);
    if (said < 0 || other < 0 || x->annotator == y->annotator) {
        return 0;
    }
    int same = said == other;
    gather->report->agreement.trials++;
    gather->report->agreement.hits += same;
    if (said != 1 && other != 1) {
        gather->report->decided_agreement.trials++;
        gather->report->decided_agreement.hits += same;
    }
    if (first == UNKNOWN || second == UNKNOWN) {
        return 0;
    }
    struct report_annotator *people = gather->report->annotators;
    people[first].rest.trials++;
    people[first].rest.hits += same;
    people[second].rest.trials++;
    people[second].rest.hits += same;
    struct outcome_table *table =
        first < second ? find_table(gather, first, second, err) : find_table(gather, second, first, err);
    if (table == NULL) {
        return -1;
    }
    table->units++;
    table->cells[first < second ? said * OUTCOMES + other : other * OUTCOMES + said]++;
    return 0;
}

/* Agreement on one unit between all votes of the item that are no repeats. */
static int compare_unit(struct gather *gather, size_t a, size_t b, struct err *err)
{
    int64_t counts[OUTCOMES] = {0};
    for (size_t i = 0; i < gather->vote_count; i++) {
        const struct prefs_ranking *x = &gather->votes[i];
        int said = unit_outcome(x, a, b);
        if (x->repeat || said < 0) {
            continue;
        }
        counts[said]++;
        for (size_t j = i + 1; j < gather->vote_count; j++) {
            if (!gather->votes[j].repeat && compare_two(gather, x, &gather->votes[j], a, b, err) != 0) {
                return -1;
            }
        }
    }
    measure_alpha_add(&gather->alpha, counts);
    return 0;
}

/* A repeat against the same annotator's first look. */
static void compare_self(struct gather *gather, const struct prefs_ranking *repeat, size_t a, size_t b)
{
    for (size_t i = 0; i < gather->vote_count; i++) {
        const struct prefs_ranking *first = &gather->votes[i];
        if (first->repeat || first->annotator != repeat->annotator) {
            continue;
        }
        int said = unit_outcome(first, a, b), again = unit_outcome(repeat, a, b);
        size_t who = find_annotator(gather->report, repeat->annotator);
        if (said >= 0 && again >= 0 && who != UNKNOWN) {
            gather->report->annotators[who].self.trials++;
            gather->report->annotators[who].self.hits += said == again;
        }
    }
}

static void add_pair(struct gather *gather, const struct prefs_ranking *vote, size_t a, size_t b)
{
    int said = outcome(vote, a, b);
    if (said < 0) {
        return;
    }
    struct report *report = gather->report;
    const struct prefs_ranked_answer *first = &vote->answers[a], *second = &vote->answers[b];
    size_t x = find_model(report, first->model), y = find_model(report, second->model);
    report->pairs++;
    if (x != UNKNOWN && y != UNKNOWN && x != y) {
        size_t count = report->model_count;
        /* The block is a hash of the item, so that neighbours in a file do not stand in for each other. */
        size_t block = (size_t)random_u64(BOOTSTRAP_SEED, RANDOM_SPLIT, (uint64_t)vote->item, 0) % BLOCKS;
        uint32_t *wins = gather->wins + block * count * count;
        wins[x * count + y] += (uint32_t)(2 - said);
        wins[y * count + x] += (uint32_t)said;
    }
    if (said == 1) {
        report->ties++;
        return;
    }
    if (first->position >= 0 && second->position >= 0) {
        report->first_wins.trials++;
        report->first_wins.hits += (first->position < second->position) == (said == 0);
    }
    if (first->characters != second->characters) {
        report->longer_wins.trials++;
        report->longer_wins.hits += (first->characters > second->characters) == (said == 0);
    }
}

static int finish_item(struct gather *gather, struct err *err)
{
    size_t count = gather->vote_count == 0 ? 0 : gather->votes[0].count;
    for (size_t a = 0; a < count; a++) {
        for (size_t b = count == 1 ? a : a + 1; b < count; b++) {
            if (compare_unit(gather, a, b, err) != 0) {
                return -1;
            }
            for (size_t i = 0; i < gather->vote_count; i++) {
                if (gather->votes[i].repeat) {
                    compare_self(gather, &gather->votes[i], a, b);
                } else if (a != b) {
                    add_pair(gather, &gather->votes[i], a, b);
                }
            }
        }
    }
    gather->vote_count = 0;
    return 0;
}

static int add_time(struct gather *gather, size_t who, int64_t milliseconds, struct err *err)
{
    struct times *times = &gather->times[who];
    if (milliseconds < 0 || times->count == TIMES_MAX) {
        return 0;
    }
    int32_t *grown = mem_grow(times->milliseconds, &times->capacity, times->count + 1, sizeof *grown, err);
    if (grown == NULL) {
        return -1;
    }
    times->milliseconds = grown;
    grown[times->count++] = milliseconds > INT32_MAX ? INT32_MAX : (int32_t)milliseconds;
    return 0;
}

static int walk(struct gather *gather, int64_t project, struct err *err)
{
    struct prefs_rankings *rankings = NULL;
    const struct prefs_ranking *vote = NULL;
    struct prefs_query query = {.project = project, .without_text = true, .with_repeats = true};
    int got = prefs_rankings_open(&rankings, gather->store, &query, err);
    if (got != 0) {
        return -1;
    }
    while ((got = prefs_rankings_next(rankings, &vote, err)) == 1) {
        size_t who = find_annotator(gather->report, vote->annotator);
        if (who != UNKNOWN && !vote->imported && add_time(gather, who, vote->active_ms, err) != 0) {
            got = -1;
            break;
        }
        if (vote->item != gather->item && finish_item(gather, err) != 0) {
            got = -1;
            break;
        }
        gather->item = vote->item;
        gather->report->judgments++;
        if (gather->vote_count < VOTES_MAX) {
            gather->votes[gather->vote_count++] = *vote;
        }
    }
    prefs_rankings_close(rankings);
    return got < 0 ? -1 : finish_item(gather, err);
}

static int by_number(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static int by_units(const void *a, const void *b)
{
    int64_t x = ((const struct outcome_table *)a)->units, y = ((const struct outcome_table *)b)->units;
    return (x < y) - (x > y);
}

static int by_strength(const void *a, const void *b)
{
    double x = ((const struct report_model *)a)->strength, y = ((const struct report_model *)b)->strength;
    return (x < y) - (x > y);
}

static int by_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sums the blocks, each as often as it was drawn (1 for the data themselves). */
static void sum_wins(double *sum, const struct gather *gather, const int *drawn)
{
    size_t cells = gather->report->model_count * gather->report->model_count;
    memset(sum, 0, cells * sizeof *sum);
    for (size_t block = 0; block < BLOCKS; block++) {
        for (size_t i = 0; drawn[block] > 0 && i < cells; i++) {
            sum[i] += 0.5 * drawn[block] * gather->wins[block * cells + i];
        }
    }
}

static int bootstrap(struct gather *gather, double *sum, double *samples, struct err *err)
{
    struct report *report = gather->report;
    size_t count = report->model_count;
    double strengths[MEASURE_MODELS_MAX];
    for (size_t round = 0; round < REPORT_BOOTSTRAPS; round++) {
        int drawn[BLOCKS] = {0};
        for (size_t i = 0; i < BLOCKS; i++) {
            drawn[random_u64(BOOTSTRAP_SEED, RANDOM_SAMPLE, round, i) % BLOCKS]++;
        }
        sum_wins(sum, gather, drawn);
        if (measure_bradley_terry(strengths, sum, count, PRIOR_GAMES, err) != 0) {
            return -1;
        }
        for (size_t m = 0; m < count; m++) {
            samples[m * REPORT_BOOTSTRAPS + round] = strengths[m];
        }
    }
    for (size_t m = 0; m < count; m++) {
        double *own = samples + m * REPORT_BOOTSTRAPS;
        qsort(own, REPORT_BOOTSTRAPS, sizeof *own, by_double);
        report->models[m].low = own[REPORT_BOOTSTRAPS / 40];
        report->models[m].high = own[REPORT_BOOTSTRAPS - 1 - REPORT_BOOTSTRAPS / 40];
    }
    return 0;
}

/* Strengths, and their intervals from resampled blocks of items. */
static int rate_models(struct gather *gather, struct err *err)
{
    struct report *report = gather->report;
    size_t count = report->model_count;
    if (count == 0) {
        return 0;
    }
    double *sum = mem_alloc(count * count, sizeof *sum, err);
    double *samples = sum == NULL ? NULL : mem_alloc(count * REPORT_BOOTSTRAPS, sizeof *samples, err);
    int once[BLOCKS], result = samples == NULL ? -1 : 0;
    double strengths[MEASURE_MODELS_MAX];
    for (size_t i = 0; i < BLOCKS; i++) {
        once[i] = 1;
    }
    if (result == 0) {
        sum_wins(sum, gather, once);
        result = measure_bradley_terry(strengths, sum, count, PRIOR_GAMES, err);
    }
    for (size_t m = 0; result == 0 && m < count; m++) {
        report->models[m].strength = strengths[m];
        for (size_t other = 0; other < count; other++) {
            report->models[m].wins += sum[m * count + other];
            report->models[m].comparisons += sum[m * count + other] + sum[other * count + m];
        }
    }
    if (result == 0) {
        result = bootstrap(gather, sum, samples, err);
    }
    mem_free(samples);
    mem_free(sum);
    count = 0;
    for (size_t m = 0; m < report->model_count; m++) {
        if (report->models[m].comparisons > 0) {
            report->models[count++] = report->models[m];
        }
    }
    report->model_count = count;
    qsort(report->models, count, sizeof report->models[0], by_strength);
    return result;
}

static void finish_figures(struct gather *gather)
{
    struct report *report = gather->report;
    report->alpha = measure_alpha_value(&gather->alpha);
    for (size_t i = 0; i < report->annotator_count; i++) {
        struct times *times = &gather->times[i];
        report->annotators[i].median_seconds = NAN;
        if (times->count > 0) {
            qsort(times->milliseconds, times->count, sizeof *times->milliseconds, by_number);
            report->annotators[i].median_seconds = times->milliseconds[times->count / 2] / 1000.0;
        }
    }
    if (gather->table_count > 0) {
        qsort(gather->tables, gather->table_count, sizeof *gather->tables, by_units);
    }
    for (size_t i = 0; i < gather->table_count && i < REPORT_KAPPAS_MAX; i++) {
        const struct outcome_table *table = &gather->tables[i];
        report->kappas[report->kappa_count++] = (struct report_kappa){table->first, table->second, table->units,
                                                                      measure_cohen_kappa(table->cells, OUTCOMES)};
    }
}

int report_make(struct report **out, struct prefs *store, int64_t project, struct err *err)
{
    struct report *report = mem_alloc(1, sizeof *report, err);
    struct gather gather = {.store = store, .report = report, .alpha = {.categories = OUTCOMES}};
    int result = report == NULL ? -1 : report_read_counts(report, store, project, err);
    if (result == 0) {
        gather.times = mem_alloc(report->annotator_count + 1, sizeof *gather.times, err);
        gather.votes = mem_alloc(VOTES_MAX, sizeof *gather.votes, err);
        gather.wins = mem_alloc(BLOCKS * (report->model_count * report->model_count + 1), sizeof *gather.wins, err);
        result = gather.times == NULL || gather.votes == NULL || gather.wins == NULL ? -1 : walk(&gather, project, err);
    }
    if (result == 0) {
        finish_figures(&gather);
        result = rate_models(&gather, err);
    }
    for (size_t i = 0; gather.times != NULL && i < report->annotator_count; i++) {
        mem_free(gather.times[i].milliseconds);
    }
    mem_free(gather.times);
    mem_free(gather.tables);
    mem_free(gather.wins);
    mem_free(gather.votes);
    if (result != 0) {
        report_free(report);
        return -1;
    }
    *out = report;
    return 0;
}

void report_free(struct report *report)
{
    if (report != NULL) {
        mem_free(report->annotators);
        mem_free(report);
    }
}
