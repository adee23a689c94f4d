/* What a set of rankings says about itself: duplicates, agreement, contradictions, sums; see internal.h. */
#include "base/hash.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "rankings/internal.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int ranking_hash_messages(uint64_t *hash, const json_t *messages, size_t count, struct err *err)
{
    uint64_t state = count;
    for (size_t i = 0; i < count; i++) {
        char *text = json_dumps(json_array_get(messages, i), JSON_COMPACT | JSON_SORT_KEYS);
        if (!text) {
            return err_set(err, "out of memory while reading a prompt");
        }
        state = hash_u64(text, strlen(text), state);
        mem_free(text);
    }
    *hash = state;
    return 0;
}

void ranking_set_keep(struct ranking_set *set, const bool *keep)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (keep[i]) {
            set->rankings[kept++] = set->rankings[i];
        }
    }
    set->count = kept;
}

/* ---- Groups of rankings with the same key ---- */

struct keyed_ranking {
    struct hash key;
    int64_t number; /* of the ranking */
};

static int compare_keyed(const void *left, const void *right)
{
    const struct keyed_ranking *a = left, *b = right;
    if (a->key.high != b->key.high) {
        return a->key.high < b->key.high ? -1 : 1;
    }
    if (a->key.low != b->key.low) {
        return a->key.low < b->key.low ? -1 : 1;
    }
    return (a->number > b->number) - (a->number < b->number);
}

static bool same_key(const struct keyed_ranking *a, const struct keyed_ranking *b)
{
    return a->key.high == b->key.high && a->key.low == b->key.low;
}

/* The places of an answer in the order of the hashes: the same for all rankings of the same answers. */
static void sort_answers(const struct ranking *ranking, int32_t order[RANKING_ANSWERS_MAX])
{
    for (int32_t i = 0; i < ranking->family.count; i++) {
        int32_t at = i;
        for (; at > 0 && ranking->hashes[order[at - 1]] > ranking->hashes[i]; at--) {
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
}

/* Of the prompt with its answers; with `verdict` also of who says what about them. */
static struct hash key_of(const struct ranking *ranking, bool verdict)
{
    uint64_t parts[2 * RANKING_ANSWERS_MAX + 4] = {ranking->prompt_hash};
    int32_t order[RANKING_ANSWERS_MAX];
    size_t count = 1;
    sort_answers(ranking, order);
    for (int32_t i = 0; i < ranking->family.count; i++) {
        parts[count++] = ranking->hashes[order[i]];
        if (verdict) {
            parts[count++] = (uint64_t)ranking->ranks[order[i]];
        }
    }
    if (verdict) {
        const char *who = ranking->annotator;
        parts[count++] = (uint64_t)ranking->source;
        parts[count++] = (uint64_t)(int64_t)ranking->strength;
        parts[count++] = who ? hash_u64(who, strlen(who), 1) : 0;
    }
    return hash_bytes(parts, count * sizeof *parts);
}

static struct keyed_ranking *sort_by_key(const struct ranking_set *set, bool verdict, struct err *err)
{
    struct keyed_ranking *keyed = mem_alloc(set->count + 1, sizeof *keyed, err);
    for (size_t i = 0; keyed && i < set->count; i++) {
        keyed[i] = (struct keyed_ranking){key_of(&set->rankings[i], verdict), (int64_t)i};
    }
    if (keyed) {
        qsort(keyed, set->count, sizeof *keyed, compare_keyed);
    }
    return keyed;
}

int ranking_set_drop_duplicates(struct ranking_set *set, struct err *err)
{
    struct keyed_ranking *keyed = sort_by_key(set, true, err);
    bool *keep = keyed ? mem_alloc(set->count + 1, sizeof *keep, err) : NULL;
    for (size_t i = 0; keep && i < set->count; i++) {
        bool first = i == 0 || !same_key(&keyed[i], &keyed[i - 1]);
        keep[keyed[i].number] = first;
        set->sources[set->rankings[keyed[i].number].source].counts.duplicates += !first;
    }
    if (keep) {
        ranking_set_keep(set, keep);
    }
    mem_free(keyed);
    mem_free(keep);
    return keep ? 0 : -1;
}

/* ---- Agreement ---- */

static int64_t two_of(int64_t count)
{
    return count * (count - 1) / 2;
}

/* Over the pairs of answers and of judgments of one item: the share with the same outcome. */
static double agreement_of(const struct ranking_set *set, const struct keyed_ranking *group, size_t count)
{
    int64_t same = 0, all = 0;
    int32_t answers = set->rankings[group->number].family.count;
    for (int32_t a = 0; a < answers; a++) {
        for (int32_t b = a + 1; b < answers; b++) {
            int64_t outcomes[3] = {0}; /* a before b, a tie, a behind b */
            for (size_t i = 0; i < count; i++) {
                const struct ranking *ranking = &set->rankings[group[i].number];
                int32_t order[RANKING_ANSWERS_MAX];
                sort_answers(ranking, order);
                int32_t first = ranking->ranks[order[a]], second = ranking->ranks[order[b]];
                outcomes[(first > second) - (first < second) + 1]++;
            }
            same += two_of(outcomes[0]) + two_of(outcomes[1]) + two_of(outcomes[2]);
            all += two_of((int64_t)count);
        }
    }
    return (double)same / (double)all;
}

int ranking_set_agree(struct ranking_set *set, struct err *err)
{
    struct keyed_ranking *keyed = sort_by_key(set, false, err);
    if (!keyed) {
        return -1;
    }
    for (size_t first = 0, end; first < set->count; first = end) {
        for (end = first + 1; end < set->count && same_key(&keyed[first], &keyed[end]); end++) {
        }
        double agreement = end - first > 1 ? agreement_of(set, keyed + first, end - first) : NAN;
        for (size_t i = first; i < end; i++) {
            set->rankings[keyed[i].number].agreement = agreement;
        }
    }
    mem_free(keyed);
    return 0;
}

/* ---- Contradictions and sums ---- */

/* Two answers that a ranking put into an order. */
struct verdict {
    uint64_t prompt, first, second; /* hashes, first < second */
    int64_t ranking;
    bool first_better;
};

static int compare_verdicts(const void *left, const void *right)
{
    const struct verdict *a = left, *b = right;
    const uint64_t x[] = {a->prompt, a->first, a->second, (uint64_t)a->ranking};
    const uint64_t y[] = {b->prompt, b->first, b->second, (uint64_t)b->ranking};
    for (int i = 0; i < 4; i++) {
        if (x[i] != y[i]) {
            return x[i] < y[i] ? -1 : 1;
        }
    }
    return 0;
}

static void add_verdicts(struct verdict *verdicts, size_t *count, const struct ranking *ranking, int64_t number)
{
    for (int32_t a = 0; a < ranking->family.count; a++) {
        for (int32_t b = a + 1; b < ranking->family.count; b++) {
            bool swapped = ranking->hashes[a] > ranking->hashes[b];
            if (ranking->ranks[a] != ranking->ranks[b]) { /* the best answer stands first */
                verdicts[(*count)++] = (struct verdict){.prompt = ranking->prompt_hash,
                                                        .first = ranking->hashes[swapped ? b : a],
                                                        .second = ranking->hashes[swapped ? a : b],
                                                        .ranking = number,
                                                        .first_better = !swapped};
            }
        }
    }
}

/* What the sorted verdicts say; `contradicted` marks rankings. */
static void judge_verdicts(struct ranking_set *set, const struct verdict *verdicts, size_t count, bool *contradicted)
{
    int64_t reachable = 0;
    set->contradicted_pairs = 0;
    for (size_t first = 0, end; first < count; first = end) {
        int64_t better = 0;
        for (end = first;
             end < count && verdicts[end].prompt == verdicts[first].prompt &&
             verdicts[end].first == verdicts[first].first && verdicts[end].second == verdicts[first].second;
             end++) {
            better += verdicts[end].first_better;
        }
        int64_t worse = (int64_t)(end - first) - better;
        reachable += max(better, worse);
        if (better > 0 && worse > 0) {
            set->contradicted_pairs++;
            for (size_t i = first; i < end; i++) {
                contradicted[verdicts[i].ranking] = true;
            }
        }
    }
    set->best_accuracy = count > 0 ? (double)reachable / (double)count : 1;
}

static int find_contradictions(struct ranking_set *set, int64_t pairs, struct err *err)
{
    size_t count = 0;
    struct verdict *verdicts = mem_alloc((size_t)pairs + 1, sizeof *verdicts, err);
    bool *contradicted = verdicts ? mem_alloc(set->count + 1, sizeof *contradicted, err) : NULL;
    if (!contradicted) {
        mem_free(verdicts);
        return -1;
    }
    for (size_t i = 0; i < set->count; i++) {
        if (set->rankings[i].copy == 0) {
            add_verdicts(verdicts, &count, &set->rankings[i], (int64_t)i);
        }
    }
    assert((int64_t)count <= pairs);
    qsort(verdicts, count, sizeof *verdicts, compare_verdicts);
    judge_verdicts(set, verdicts, count, contradicted);
    set->contradicted = 0;
    for (size_t i = 0; i < set->count; i++) {
        set->contradicted += contradicted[i];
    }
    mem_free(verdicts);
    mem_free(contradicted);
    return 0;
}

static int compare_hashes(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static int count_prompts(struct ranking_set *set, struct err *err)
{
    uint64_t *hashes = mem_alloc(set->count + 1, sizeof *hashes, err);
    if (!hashes) {
        return -1;
    }
    for (size_t i = 0; i < set->count; i++) {
        hashes[i] = set->rankings[i].prompt_hash;
    }
    qsort(hashes, set->count, sizeof *hashes, compare_hashes);
    set->prompts = 0;
    for (size_t i = 0; i < set->count; i++) {
        set->prompts += i == 0 || hashes[i] != hashes[i - 1];
    }
    mem_free(hashes);
    return 0;
}

int ranking_set_sum_up(struct ranking_set *set, struct err *err)
{
    set->answers = set->pairs = set->ties = set->tokens = set->unshared_tokens = 0;
    set->longest = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct ranking *ranking = &set->rankings[i];
        int32_t longest = family_longest(&ranking->family);
        set->answers += ranking->family.count;
        set->pairs += ranking->pairs;
        set->ties += ranking->ties;
        set->tokens += family_tokens(&ranking->family);
        set->unshared_tokens += family_unshared_tokens(&ranking->family);
        set->longest = max(set->longest, longest);
    }
    return count_prompts(set, err) != 0 || find_contradictions(set, set->pairs, err) != 0 ? -1 : 0;
}
