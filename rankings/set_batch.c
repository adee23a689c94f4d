/* rankings/set_batch.c - rankings on their way into batches; see set.h. */
#include "base/minmax.h"
#include "base/random.h"
#include "rankings/set.h"

#include <assert.h>

int64_t ranking_set_pass(const struct ranking_set *set, const int64_t *indices, int64_t count, int64_t most,
                         int32_t pass_tokens)
{
    assert(count >= 1 && most >= 1);
    int64_t taken = 0, tokens = 0;
    while (taken < most && taken < count &&
           batch_takes(&tokens, family_tokens(&set->rankings[indices[taken]].family), pass_tokens)) {
        taken++;
    }
    return taken;
}

void ranking_set_fill(const struct ranking_set *set, struct batch *batch, const int64_t *indices, int64_t count,
                      int64_t epoch)
{
    batch_clear(batch);
    for (int64_t i = 0; i < count; i++) {
        const struct ranking *ranking = &set->rankings[indices[i]];
        /* Dropout must differ between epochs, and nothing else may matter. */
        family_append(batch, &ranking->family, random_u64(ranking->record, RANDOM_MIX, (uint64_t)epoch, 0));
    }
}

/*
 * A pass of one ranking has what that ranking has; one of several has at most pass_tokens tokens, of which every
 * segment and every reading takes one.
 */
void ranking_set_widen(const struct ranking_set *set, int64_t most, int32_t pass_tokens, struct batch_limits *limits)
{
    int64_t tokens = 0, segments = 0, answers = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct family *family = &set->rankings[i].family;
        tokens = max(tokens, family_tokens(family));
        segments = max(segments, family_segments(family));
        answers = max(answers, family->count);
    }
    int64_t rankings = min(most, (int64_t)set->count), several = min(rankings * tokens, pass_tokens);
    tokens = max(tokens, several);
    segments = max(segments, min(rankings * segments, several));
    answers = max(answers, min(rankings * answers, several));
    limits->tokens = (int32_t)max(limits->tokens, tokens);
    limits->segments = (int32_t)max(limits->segments, segments);
    limits->predictions = (int32_t)max(limits->predictions, answers);
}

int32_t ranking_set_highest_id(const struct ranking_set *set)
{
    int32_t highest = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct family *family = &set->rankings[i].family;
        for (int32_t t = 0; t < family_tokens(family); t++) {
            highest = family->ids[t] > highest ? family->ids[t] : highest;
        }
    }
    return highest;
}

struct hash ranking_set_fingerprint(const struct ranking_set *set)
{
    struct hash sum = {0};
    for (size_t i = 0; i < set->count; i++) {
        const struct ranking *ranking = &set->rankings[i];
        const struct family *family = &ranking->family;
        size_t answers = (size_t)family->count;
        struct hash link[] = {
            sum,
            hash_bytes(family->ids, (size_t)family_tokens(family) * sizeof *family->ids),
            hash_bytes(family->starts, (answers + 1) * sizeof *family->starts),
            hash_bytes(ranking->ranks, answers * sizeof *ranking->ranks),
            ranking->levels ? hash_bytes(ranking->levels, answers * sizeof *ranking->levels) : (struct hash){0},
            hash_bytes(&ranking->weight, sizeof ranking->weight),
            {ranking->record, (uint64_t)(int64_t)ranking->strength},
        };
        sum = hash_bytes(link, sizeof link);
    }
    return sum;
}
