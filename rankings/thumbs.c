/* Thumbs up and down to the same prompt, put side by side; see internal.h. */
#include "base/hash.h"
#include "base/mem.h"
#include "rankings/internal.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

void ranking_thumbs_free(struct ranking_thumbs *thumbs)
{
    for (size_t i = 0; i < thumbs->count; i++) {
        json_decref(thumbs->votes[i].messages);
        mem_free(thumbs->votes[i].text.text);
    }
    mem_free(thumbs->votes);
    *thumbs = (struct ranking_thumbs){0};
}

int ranking_thumbs_add(struct ranking_thumbs *thumbs, struct ranking_judgment *judgment, struct err *err)
{
    assert(judgment->count == 1 && judgment->thumb != 0);
    struct ranking_answer *answer = &judgment->answers[0];
    struct ranking_vote *votes = mem_grow(thumbs->votes, &thumbs->capacity, thumbs->count + 1, sizeof *votes, err);
    if (!votes) {
        return -1;
    }
    thumbs->votes = votes;
    struct ranking_vote vote = {
        .answer = hash_u64(answer->text, answer->length, 0),
        .number = judgment->number,
        .place = judgment->place,
        .thumbs = 1,
        .balance = judgment->thumb > 0 ? 1 : -1,
        .messages = judgment->messages,
        .text = *answer,
    };
    if (ranking_hash_messages(&vote.prompt, vote.messages, json_array_size(vote.messages), err) != 0) {
        return -1;
    }
    votes[thumbs->count++] = vote;
    judgment->messages = NULL; /* the rest stays to be freed */
    answer->text = NULL;
    return 0;
}

/* By prompt, and in it by answer, then in the order of the judgments. */
static int compare_votes(const void *left, const void *right)
{
    const struct ranking_vote *a = left, *b = right;
    if (a->prompt != b->prompt) {
        return a->prompt < b->prompt ? -1 : 1;
    }
    if (a->answer != b->answer) {
        return a->answer < b->answer ? -1 : 1;
    }
    return (a->number > b->number) - (a->number < b->number);
}

void ranking_thumbs_add_up(struct ranking_thumbs *thumbs)
{
    struct ranking_vote *votes = thumbs->votes;
    size_t kept = 0;
    if (thumbs->count > 0) {
        qsort(votes, thumbs->count, sizeof *votes, compare_votes);
    }
    for (size_t i = 0; i < thumbs->count; i++) {
        struct ranking_vote *last = kept > 0 ? &votes[kept - 1] : NULL;
        if (last && last->prompt == votes[i].prompt && last->answer == votes[i].answer) {
            last->thumbs += votes[i].thumbs;
            last->balance += votes[i].balance;
            json_decref(votes[i].messages);
            mem_free(votes[i].text.text);
        } else {
            votes[kept++] = votes[i];
        }
    }
    thumbs->count = kept;
}

/* The next vote from `at` on of the prompt for a good (or bad) answer; `end` where there is none. */
static size_t find(const struct ranking_thumbs *thumbs, size_t at, bool good)
{
    while (at < thumbs->end && (good ? thumbs->votes[at].balance <= 0 : thumbs->votes[at].balance >= 0)) {
        at++;
    }
    return at;
}

static int64_t count_thumbs(const struct ranking_thumbs *thumbs, size_t at, bool good)
{
    int64_t count = 0;
    for (; (at = find(thumbs, at, good)) < thumbs->end; at++) {
        count += thumbs->votes[at].thumbs;
    }
    return count;
}

/* Goes on to the next prompt that has both good and bad answers left; false: there is none. */
static bool next_prompt(struct ranking_thumbs *thumbs)
{
    while (thumbs->up == thumbs->end || thumbs->down == thumbs->end) {
        thumbs->unpaired += count_thumbs(thumbs, thumbs->up, true) + count_thumbs(thumbs, thumbs->down, false);
        if (thumbs->next == thumbs->count) {
            thumbs->up = thumbs->down = thumbs->end;
            return false;
        }
        size_t first = thumbs->next;
        for (; thumbs->next < thumbs->count && thumbs->votes[thumbs->next].prompt == thumbs->votes[first].prompt;
             thumbs->next++) {
            const struct ranking_vote *vote = &thumbs->votes[thumbs->next];
            thumbs->unpaired += vote->balance == 0 ? vote->thumbs : 0;
        }
        thumbs->end = thumbs->next;
        thumbs->up = find(thumbs, first, true);
        thumbs->down = find(thumbs, first, false);
    }
    return true;
}

static int add_answer(struct ranking_judgment *judgment, const struct ranking_vote *vote, int32_t rank, struct err *err)
{
    if (judgment->count == 0) {
        judgment->messages = json_incref(vote->messages);
        judgment->place = vote->place;
        judgment->number = vote->number;
    }
    return ranking_judgment_add(judgment, vote->text.text, vote->text.length, rank, err);
}

/* One good and one bad answer by turns, until one kind is used up or the ranking is full. */
int ranking_thumbs_next(struct ranking_thumbs *thumbs, struct ranking_judgment *judgment, struct err *err)
{
    if (!next_prompt(thumbs)) {
        return 0;
    }
    judgment->strength = -1;
    judgment->margin = NAN;
    while (judgment->count < RANKING_ANSWERS_MAX && (thumbs->up < thumbs->end || thumbs->down < thumbs->end)) {
        bool good = thumbs->up < thumbs->end && (judgment->count % 2 == 0 || thumbs->down == thumbs->end);
        size_t *at = good ? &thumbs->up : &thumbs->down;
        if (add_answer(judgment, &thumbs->votes[*at], good ? 1 : 2, err) != 0) {
            ranking_judgment_free(judgment);
            return -1;
        }
        *at = find(thumbs, *at + 1, good);
    }
    return 1;
}
