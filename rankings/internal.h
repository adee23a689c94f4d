/*
 * rankings/internal.h - what the files of a set of rankings share.
 */
#ifndef ATTUNE_RANKINGS_INTERNAL_H
#define ATTUNE_RANKINGS_INTERNAL_H

#include "rankings/source.h"

/* ---- rankings/thumbs.c: judgments of one answer become rankings of two levels ---- */

struct ranking_vote {
    uint64_t prompt, answer; /* hashes */
    int64_t number, place;   /* of the judgment */
    int32_t thumbs, balance; /* how many, and those up less those down */
    json_t *messages;
    struct ranking_answer text;
};

/* Zeroed at first. */
struct ranking_thumbs {
    struct ranking_vote *votes;
    size_t count, capacity;
    size_t next;      /* where ranking_thumbs_next() stands */
    size_t up, down;  /* in votes: the next of its prompt's answers of either kind */
    size_t end;       /* of the prompt */
    int64_t unpaired; /* thumbs that are in no ranking */
};
void ranking_thumbs_free(struct ranking_thumbs *thumbs);
/* Takes what the judgment holds. */
int ranking_thumbs_add(struct ranking_thumbs *thumbs, struct ranking_judgment *judgment, struct err *err);
/* After the last one was added: adds up the votes. */
void ranking_thumbs_add_up(struct ranking_thumbs *thumbs);
/* The next ranking: 1, 0 at the end, -1. *judgment was empty and is the caller's to free. */
int ranking_thumbs_next(struct ranking_thumbs *thumbs, struct ranking_judgment *judgment, struct err *err);

/* ---- rankings/checks.c ---- */

/* Of the first `count` messages: the same for the same roles and contents. */
int ranking_hash_messages(uint64_t *hash, const json_t *messages, size_t count, struct err *err);

/* Keeps the rankings with keep[i], in their order. */
void ranking_set_keep(struct ranking_set *set, const bool *keep);
/* Sets the sums over the rankings, and what is said of contradictions. */
int ranking_set_sum_up(struct ranking_set *set, struct err *err);
/* Leaves out what is there twice in an entry, and counts it there. */
int ranking_set_drop_duplicates(struct ranking_set *set, struct err *err);
/* Sets agreement. */
int ranking_set_agree(struct ranking_set *set, struct err *err);

#endif
