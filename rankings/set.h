/*
 * rankings/set.h - rankings: prompts with answers in the order in which people put them, as tokens.
 *
 *     prefs.db or file -> judgments (rankings/source.h) -> text/data/family.h -> struct ranking
 *
 * One judgment is one ranking of two answers or more (InstructGPT: the pairs of a ranking stay together), so several
 * annotators of an item give several rankings. An entry is a prefs.db (told by its content), or a file in any format of
 * text/data/preference.h, or a folder of files by splits.
 *
 * What becomes of the rest, all of it counted:
 *   - An answer that nobody ranked is left out of its ranking, and so is one that is too long (text/data/family.h).
 *   - A judgment with fewer than two ranked answers teaches nothing and is left out; one whose answers all have the
 *     same rank is left out too, unless ties count (ties: half).
 *   - A thumb is a judgment of one answer. Votes for the same answer are added up; the answers of a prompt with more
 *     thumbs up rank 1, those with more thumbs down rank 2, in rankings of at most RANKING_ANSWERS_MAX answers. An
 *     answer without a counterpart, or with as many votes up as down, is left out.
 *   - A duplicate says the same of the same answers to the same prompt by the same annotator (or nobody's name) as an
 *     earlier judgment of the entry: only the first one stays, as in an import into a prefs.db.
 *   - Contradictions stay, being what people think: two judgments that put the same two answers into opposite order.
 *     They bound the accuracy that any scorer can reach; the bound is reported.
 *
 * Agreement is that of an item, a prompt with these ranked answers: over its pairs of answers and its pairs of
 * judgments, the share with the same outcome. It is unknown for an item with a single judgment.
 *
 * Errors:    0, or -1 with a sentence that names file, place and remedy.
 * Ownership: sets share the memory of their rankings; each is freed for itself. Options are borrowed during the call.
 */
#ifndef ATTUNE_RANKINGS_SET_H
#define ATTUNE_RANKINGS_SET_H

#include "base/hash.h"
#include "base/threads.h"
#include "recipe/recipe.h"
#include "text/data/family.h"
#include "text/model_text.h"

#define RANKING_ANSWERS_MAX 16
/* Bytes of a text that is kept to be shown; the rest is cut off with "...". */
#define RANKING_SHOWN_MAX 2000
#define RANKING_SET_MAX   INT32_MAX

struct ranking {
    struct family family; /* best answer first, equals in the order of the source; all are ranked; borrows its arrays */

    /* By answer, [family.count]. */
    const int32_t *ranks;      /* as given: smaller is better, equal is a tie; the gap of a pair is their difference */
    const float *levels;       /* margin of a pair: levels[better] - levels[worse]; NULL: no margins */
    const int32_t *positions;  /* where it was shown, 0 first; -1 unknown */
    const int32_t *characters; /* code points of the whole text */
    const uint64_t *hashes;    /* of the text */
    const char *const *texts;  /* to show, zero-terminated */

    const char *prompt;    /* to show: the words of the last user turn */
    const char *annotator; /* NULL: unknown */
    int32_t pairs;         /* of different rank */
    int32_t ties;          /* pairs of equal rank */
    int32_t strength;      /* of two answers: 0 tie, 1 slightly better, ..; -1 not said */
    double agreement;      /* of its item, 0 .. 1; NaN unknown */
    double weight;         /* > 0, in the mean of a step's loss; 1 unless weight_by_agreement */

    uint64_t record;       /* names it for random numbers, the same in every run */
    uint64_t prompt_hash;  /* of the conversation up to the answers */
    uint64_t opening_hash; /* of the conversation up to its first answer: splits keep these together */
    int64_t place;         /* line of the file, or id of the judgment in the prefs.db; of thumbs the first one's */
    int32_t source;        /* number of the entry */
    int32_t copy;          /* 0, or which repetition through the entry's weight */
};

struct ranking_counts {
    int64_t read;             /* judgments and records, bad ones included */
    int64_t bad;              /* could not be read or rendered, and were skipped */
    int64_t one_answer;       /* judgments with fewer than two ranked answers that are no thumbs */
    int64_t thumbs;           /* thumbs read */
    int64_t unpaired_thumbs;  /* of those: no counterpart, or as many up as down */
    int64_t unranked_answers; /* answers nobody ranked, left out of their rankings */
    int64_t truncated;        /* rankings whose prompt lost its beginning */
    int64_t too_long_answers; /* answers left out for max_length */
    int64_t too_long;         /* rankings left out, with fewer than two answers left */
    int64_t all_ties;         /* rankings left out */
    int64_t duplicates;       /* rankings left out */
    int64_t weightless;       /* rankings left out: agreement 0 under weight_by_agreement */
    int64_t without_margin;   /* rankings that have none although the recipe asks for margins */
};

struct ranking_source {
    char *path;      /* the file */
    char *sentence;  /* "prefs.db: project 'default', split train: judgments of 3 annotators" */
    char *first_bad; /* the first one that was skipped, with place and reason; NULL: none */
    double weight;   /* of the entry */
    struct ranking_counts counts;
};

struct ranking_set {
    struct ranking *rankings; /* in the order of the entries and their judgments; thumbs behind the rest */
    size_t count;
    struct ranking_source *sources; /* NULL in a set that was split off */
    size_t source_count;
    struct ranking_counts counts; /* sums over the sources */

    /* Sums over the rankings, copies included. */
    int64_t answers, pairs, ties;
    int64_t tokens, unshared_tokens; /* as families, and as a sequence an answer */
    int32_t longest;                 /* tokens of the longest conversation */

    /* Over the rankings without copies. */
    int64_t prompts;            /* different ones */
    int64_t contradicted_pairs; /* different pairs of answers that were put into both orders */
    int64_t contradicted;       /* rankings that hold such a pair */
    double best_accuracy;       /* no scorer can reach more on these pairs; 1 without contradictions */

    size_t bytes;                /* host memory */
    struct dataset_arena *arena; /* private */
};

/* What the margin asked for between two scores is taken from: the label's strength, or the file. */
enum ranking_margin { RANKING_MARGIN_NONE, RANKING_MARGIN_STRENGTH, RANKING_MARGIN_COLUMN };

struct ranking_set_options {
    struct family_options text;
    bool skip_bad_records;
    enum ranking_margin margin;
    double margin_scale;
    bool ties;          /* rankings of ties alone are kept */
    struct pool *pool;  /* NULL: the calling thread alone. Results are the same. */
    bool show_progress; /* a bar on standard error while reading takes long */
};
struct ranking_set_options ranking_set_options(const struct recipe *recipe, const struct model_text *text,
                                               struct pool *pool);

/*
 * Makes *out from the entries; their weights are not applied yet. An entry without a usable ranking is an error that
 * says what was in it. Free with ranking_set_free().
 */
int ranking_set_load(struct ranking_set **out, const struct recipe_datasets *entries,
                     const struct ranking_set_options *options, struct err *err);
void ranking_set_free(struct ranking_set *set);

/*
 * Moves the rankings of `share` of the different openings (rounded, one at least, never all) to *eval, chosen by a hash
 * of the opening: no prompt, and no two turns of one conversation, are on both sides, and the choice does not depend on
 * the order of the judgments. 0 < share < 1.
 */
int ranking_set_split(struct ranking_set *set, struct ranking_set **eval, double share, uint64_t seed, struct err *err);
/* Removes the rankings whose prompt is in `other` too: *prompts of them. Removing all is an error. */
int ranking_set_remove_prompts(struct ranking_set *set, const struct ranking_set *other, int64_t *prompts,
                               struct err *err);
/*
 * For training, last of all. by_agreement: a ranking weighs what its item's annotators agree; one of agreement 0 is
 * left out. Then the entries' weights: one of 2.5 is there twice whole and once by half, drawn by `seed`.
 */
int ranking_set_apply_weights(struct ranking_set *set, bool by_agreement, uint64_t seed, struct err *err);

/* The margin asked for between two answers of a ranking, `better` of a smaller rank than `worse`. */
static inline float ranking_margin_between(const struct ranking *ranking, int32_t better, int32_t worse)
{
    return ranking->levels ? ranking->levels[better] - ranking->levels[worse] : 0;
}

/* Tells the user what the set holds, by log_info() and log_warn(). `what` is the recipe's key. */
void ranking_set_report(const struct ranking_set *set, const char *what);

/* ---- Batches ---- */

/*
 * Rankings go through the model in passes, one after the other, whole: as many of the next ones as
 * batch_takes() allows, and no more than `most`: rankings indices[0], indices[1], ...
 */
int64_t ranking_set_pass(const struct ranking_set *set, const int64_t *indices, int64_t count, int64_t most,
                         int32_t pass_tokens);

/*
 * Puts rankings indices[0 .. count-1] into an empty batch: the batch's predictions are readings, ranking by ranking and
 * in it answer by answer, in the order of struct ranking. The epoch decides dropout, and nothing else does.
 */
void ranking_set_fill(const struct ranking_set *set, struct batch *batch, const int64_t *indices, int64_t count,
                      int64_t epoch);

/* Widens *limits to any pass of up to `most` rankings of the set. */
void ranking_set_widen(const struct ranking_set *set, int64_t most, int32_t pass_tokens, struct batch_limits *limits);

int32_t ranking_set_highest_id(const struct ranking_set *set);
/* Everything that decides what is learned from the set. */
struct hash ranking_set_fingerprint(const struct ranking_set *set);

#endif
