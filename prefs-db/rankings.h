/*
 * prefs-db/rankings.h - reading labels back: whole rankings, or their pairs.
 *
 *     struct prefs_rankings *rankings;
 *     prefs_rankings_open(&rankings, store, &query, err);
 *     while ((got = prefs_rankings_next(rankings, &ranking, err)) == 1) ...
 *     prefs_rankings_close(rankings);
 *
 * Rankings come in the order of their items, all judgments of an item together. Only what counts is given: submitted
 * judgments that were not undone, no repeats, and no gold items unless asked for. Rows are read in short chunks, so
 * that a long read never blocks a labeler; a judgment made meanwhile may or may not be seen.
 *
 * Errors as in store.h. What a struct points to is valid until the next call on the same iterator.
 */
#ifndef ATTUNE_PREFS_DB_RANKINGS_H
#define ATTUNE_PREFS_DB_RANKINGS_H

#include "prefs-db/store.h"

struct prefs_query {
    int64_t project;
    const char *split;             /* "train", "valid", "test"; NULL: all */
    const char *const *annotators; /* handles; NULL: all */
    size_t annotator_count;
    double min_agreement; /* 0..1: items of several judgments whose raw agreement is lower are left out */
    bool without_text; /* messages, texts and handles stay NULL, split and lang unless a split was asked for: faster */
    bool with_gold;    /* gold items too */
    bool with_repeats; /* second looks of the same annotator too */
};

struct prefs_ranked_answer {
    int64_t answer;
    int64_t model; /* 0: unknown */
    int rank;      /* 1 is best, equal is a tie, 0 unranked */
    int position;  /* where it was shown, 0 first; -1: not recorded */
    int64_t characters;
    const char *text;
    size_t length;
};
struct prefs_ranking {
    int64_t judgment, item, prompt, annotator;
    const char *handle; /* the annotator's name */
    const char *split;
    const char *lang;     /* NULL: unknown */
    const char *messages; /* the prompt as JSON */
    bool imported, repeat, gold;
    int strength;      /* pairs: 0 tie, 1.. how much better; -1 not said */
    int thumb;         /* one answer: +1 or -1; 0 otherwise */
    int64_t active_ms; /* -1: unknown */
    size_t count;
    struct prefs_ranked_answer answers[PREFS_ANSWERS_MAX]; /* in the order of the slots */
};

struct prefs_rankings;
int prefs_rankings_open(struct prefs_rankings **out, struct prefs *store, const struct prefs_query *query,
                        struct err *err);
int prefs_rankings_next(struct prefs_rankings *rankings, const struct prefs_ranking **ranking, struct err *err);
void prefs_rankings_close(struct prefs_rankings *rankings);

struct prefs_pair {
    const struct prefs_ranking *ranking;
    const struct prefs_ranked_answer *chosen, *rejected;
    bool tie;     /* then it does not matter which one is called chosen */
    int rank_gap; /* ranks between them */
};
/* The pairs of the same rankings, K choose 2 each, best first; rankings of one answer have none. */
int prefs_rankings_next_pair(struct prefs_rankings *rankings, struct prefs_pair *pair, struct err *err);

/* An item with its answers, judged or not. Zeroed before the first use; free it after the last. */
struct prefs_item_view {
    int64_t item;
    const char *state;
    size_t count;
    int64_t answers[PREFS_ANSWERS_MAX];
    struct strbuf messages;
    struct strbuf texts; /* end to end, each with a zero after it */
    size_t starts[PREFS_ANSWERS_MAX];
};
/* The first item with an id above `after`: 1, 0 none. */
int prefs_next_item(struct prefs *store, int64_t project, int64_t after, struct prefs_item_view *view, struct err *err);
/* The same, of the items with an answer that the scorer has not scored (prefs_add_score()); and how many they are. */
int prefs_next_unscored(struct prefs *store, int64_t project, int64_t after, const char *scorer,
                        struct prefs_item_view *view, struct err *err);
int prefs_count_unscored(struct prefs *store, int64_t project, const char *scorer, int64_t *items, struct err *err);
void prefs_item_view_free(struct prefs_item_view *view);

#endif
