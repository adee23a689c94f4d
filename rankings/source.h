/*
 * rankings/source.h - the judgments of one entry of the recipe, one by one, whether it is a prefs.db (told by SQLite's
 * header) or a preference file.
 *
 * Errors: 0, or -1 with a sentence that names the file and the remedy.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_RANKINGS_SOURCE_H
#define ATTUNE_RANKINGS_SOURCE_H

#include "base/json.h"
#include "rankings/set.h"

struct ranking_answer {
    char *text;
    size_t length;
    int32_t rank;       /* smaller is better, equal is a tie; 0 unranked */
    int32_t position;   /* where it was shown, 0 first; -1 unknown */
    int32_t characters; /* code points */
    double score;       /* a rating; NaN: none */
};

struct ranking_judgment {
    json_t *messages; /* the prompt */
    struct ranking_answer answers[RANKING_ANSWERS_MAX];
    int32_t count;
    int32_t thumb;    /* of one answer: +1 or -1; else 0 */
    int32_t strength; /* of two: 0 tie, 1 slightly better ..; -1 not said */
    double margin;    /* of two: from the file; NaN: none */
    char *annotator;  /* NULL: unknown */
    int64_t place;    /* line of the file, or id of the judgment */
    int64_t number;   /* names it within the entry, the same at every reading */
};
/* What it holds; the struct becomes empty. */
void ranking_judgment_free(struct ranking_judgment *judgment);
/* Appends a copy of the text as the judgment's last answer. */
int ranking_judgment_add(struct ranking_judgment *judgment, const char *text, size_t length, int32_t rank,
                         struct err *err);

enum { RANKING_END = 0, RANKING_JUDGMENT = 1, RANKING_BAD = 2 };

struct ranking_reader;
int ranking_reader_open(struct ranking_reader **out, const struct recipe_dataset *entry, struct err *err);
void ranking_reader_close(struct ranking_reader *reader);
/*
 * RANKING_JUDGMENT: *judgment, which was empty, is the caller's to free. RANKING_BAD: *err says what and where, and
 * reading may go on. -1: it cannot be read on.
 */
int ranking_reader_next(struct ranking_reader *reader, struct ranking_judgment *judgment, struct err *err);
/* Puts "data.jsonl:17: " or "prefs.db, judgment 17: " in front of the sentence. Always returns -1. */
int ranking_reader_blame(const struct ranking_reader *reader, int64_t place, struct err *err);

const char *ranking_reader_path(const struct ranking_reader *reader);
/* Appends what was read: "prefs.db: project 'default', split train: judgments of 2 annotators". After the last one. */
void ranking_reader_describe(const struct ranking_reader *reader, struct strbuf *sentence);
/* Why nothing was found, and how that is mended; what was read is 0 judgments. Always returns -1. */
int ranking_reader_empty(const struct ranking_reader *reader, struct err *err);

/* ---- The prefs.db: rankings/source_prefs.c ---- */

struct ranking_prefs;
int ranking_prefs_open(struct ranking_prefs **out, const struct recipe_dataset *entry, struct err *err);
void ranking_prefs_close(struct ranking_prefs *prefs);
int ranking_prefs_next(struct ranking_prefs *prefs, struct ranking_judgment *judgment, struct err *err);
void ranking_prefs_describe(const struct ranking_prefs *prefs, struct strbuf *sentence);
int ranking_prefs_empty(const struct ranking_prefs *prefs, struct err *err);

#endif
