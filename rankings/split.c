/* Which rankings of a set are for what: the split by prompts, prompts of another set, weights; see set.h. */
#include "base/hash.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "base/random.h"
#include "rankings/internal.h"
#include "text/data/dataset_arena.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

static int compare_u64(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* ---- The split ---- */

static uint64_t split_key(const struct ranking *ranking, uint64_t seed)
{
    return hash_u64(&ranking->opening_hash, sizeof ranking->opening_hash, seed);
}

/* Openings with a key up to *last go to the other side: `share` of the different ones. */
static int find_last_key(uint64_t *last, const struct ranking_set *set, double share, uint64_t seed, struct err *err)
{
    uint64_t *keys = mem_alloc(set->count + 1, sizeof *keys, err);
    if (!keys) {
        return -1;
    }
    for (size_t i = 0; i < set->count; i++) {
        keys[i] = split_key(&set->rankings[i], seed);
    }
    qsort(keys, set->count, sizeof *keys, compare_u64);
    size_t distinct = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (i == 0 || keys[i] != keys[distinct - 1]) {
            keys[distinct++] = keys[i];
        }
    }
    int result = 0;
    if (distinct < 2) {
        result = err_set(err,
                         "the rankings cannot be split: all %zu of them are of one conversation; give an eval_dataset "
                         "of its own",
                         set->count);
    } else {
        size_t chosen = (size_t)llround(share * (double)distinct);
        chosen = clamp(chosen, 1, distinct - 1);
        *last = keys[chosen - 1];
    }
    mem_free(keys);
    return result;
}

int ranking_set_split(struct ranking_set *set, struct ranking_set **eval, double share, uint64_t seed, struct err *err)
{
    assert(share > 0 && share < 1);
    uint64_t last = 0;
    if (find_last_key(&last, set, share, seed, err) != 0) {
        return -1;
    }
    struct ranking_set *other = mem_alloc(1, sizeof *other, err);
    bool *keep = other ? mem_alloc(set->count, sizeof *keep, err) : NULL;
    if (keep) {
        other->rankings = mem_alloc(set->count, sizeof *other->rankings, err);
    }
    if (!other || !other->rankings) {
        mem_free(keep);
        mem_free(other);
        return -1;
    }
    for (size_t i = 0; i < set->count; i++) {
        assert(set->rankings[i].copy == 0);
        keep[i] = split_key(&set->rankings[i], seed) > last;
        if (!keep[i]) {
            other->rankings[other->count++] = set->rankings[i];
        }
    }
    ranking_set_keep(set, keep);
    mem_free(keep);
    other->arena = arena_share(set->arena);
    other->bytes = other->count * sizeof *other->rankings;
    if (ranking_set_sum_up(set, err) != 0 || ranking_set_sum_up(other, err) != 0) {
        ranking_set_free(other);
        return -1;
    }
    *eval = other;
    return 0;
}

/* ---- Prompts of another set ---- */

int ranking_set_remove_prompts(struct ranking_set *set, const struct ranking_set *other, int64_t *prompts,
                               struct err *err)
{
    int64_t before = set->prompts;
    uint64_t *theirs = mem_alloc(other->count + 1, sizeof *theirs, err);
    bool *keep = theirs ? mem_alloc(set->count + 1, sizeof *keep, err) : NULL;
    if (!keep) {
        mem_free(theirs);
        return -1;
    }
    for (size_t i = 0; i < other->count; i++) {
        theirs[i] = other->rankings[i].prompt_hash;
    }
    qsort(theirs, other->count, sizeof *theirs, compare_u64);
    for (size_t i = 0; i < set->count; i++) {
        keep[i] = !bsearch(&set->rankings[i].prompt_hash, theirs, other->count, sizeof *theirs, compare_u64);
    }
    ranking_set_keep(set, keep);
    mem_free(theirs);
    mem_free(keep);
    if (set->count == 0) {
        return err_set(err, "every prompt of dataset is in eval_dataset too, so nothing is left to train on; name "
                            "different files or splits, or use eval_split");
    }
    int result = ranking_set_sum_up(set, err);
    *prompts = before - set->prompts;
    return result;
}

/* ---- Weights ---- */

static int weigh_by_agreement(struct ranking_set *set, struct err *err)
{
    bool *keep = mem_alloc(set->count + 1, sizeof *keep, err);
    if (!keep) {
        return -1;
    }
    for (size_t i = 0; i < set->count; i++) {
        struct ranking *ranking = &set->rankings[i];
        ranking->weight = isnan(ranking->agreement) ? 1 : ranking->agreement;
        keep[i] = ranking->weight > 0;
        set->sources[ranking->source].counts.weightless += !keep[i];
        set->counts.weightless += !keep[i];
    }
    ranking_set_keep(set, keep);
    mem_free(keep);
    return set->count > 0 ? 0
                          : err_set(err, "no ranking is left: the annotators agree on none of them; leave out "
                                         "weight_by_agreement, or have more answers labelled");
}

static int compare_places(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Rankings being written into a larger array. */
struct weighing {
    const struct ranking *from;
    struct ranking *to;
    size_t count, capacity;
};

static int add_copy(struct weighing *weighing, size_t index, int32_t copy, struct err *err)
{
    struct ranking *to = mem_grow(weighing->to, &weighing->capacity, weighing->count + 1, sizeof *weighing->to, err);
    if (!to) {
        return -1;
    }
    weighing->to = to;
    if (weighing->count >= RANKING_SET_MAX) {
        return err_set(err, "the dataset has more than %d rankings with its weights; lower them", RANKING_SET_MAX);
    }
    struct ranking ranking = weighing->from[index];
    const uint64_t key[] = {ranking.record, (uint64_t)copy};
    ranking.record = copy > 0 ? hash_u64(key, sizeof key, 0) : ranking.record;
    ranking.copy = copy;
    to[weighing->count++] = ranking;
    return 0;
}

/* The rankings first .. first + count - 1 are those of one entry. */
static int weigh_entry(struct weighing *weighing, size_t first, size_t count, double weight, uint64_t seed,
                       uint64_t number, struct err *err)
{
    double whole = floor(weight);
    size_t drawn = (size_t)llround((weight - whole) * (double)count);
    drawn = weight < 1 && drawn == 0 ? 1 : drawn;
    for (int32_t copy = 0; copy < (int32_t)whole; copy++) {
        for (size_t i = 0; i < count; i++) {
            if (add_copy(weighing, first + i, copy, err) != 0) {
                return -1;
            }
        }
    }
    int64_t *places = mem_alloc(count, sizeof *places, err);
    if (!places) {
        return -1;
    }
    random_permutation(places, count, seed, RANDOM_MIX, number);
    qsort(places, drawn, sizeof *places, compare_places);
    int result = 0;
    for (size_t i = 0; i < drawn && result == 0; i++) {
        result = add_copy(weighing, first + (size_t)places[i], (int32_t)whole, err);
    }
    mem_free(places);
    return result;
}

static int weigh_entries(struct ranking_set *set, uint64_t seed, struct err *err)
{
    struct weighing weighing = {.from = set->rankings};
    for (size_t first = 0, end; first < set->count; first = end) {
        int32_t source = set->rankings[first].source;
        for (end = first; end < set->count && set->rankings[end].source == source; end++) {
        }
        if (weigh_entry(&weighing, first, end - first, set->sources[source].weight, seed, (uint64_t)source, err) != 0) {
            mem_free(weighing.to);
            return -1;
        }
    }
    mem_free(set->rankings);
    set->rankings = weighing.to;
    set->count = weighing.count;
    set->bytes = arena_bytes(set->arena) + weighing.capacity * sizeof *set->rankings;
    return 0;
}

int ranking_set_apply_weights(struct ranking_set *set, bool by_agreement, uint64_t seed, struct err *err)
{
    bool weighted = false;
    for (size_t i = 0; i < set->source_count; i++) {
        weighted = weighted || set->sources[i].weight != 1;
    }
    if ((by_agreement && weigh_by_agreement(set, err) != 0) || (weighted && weigh_entries(set, seed, err) != 0)) {
        return -1;
    }
    return ranking_set_sum_up(set, err);
}
