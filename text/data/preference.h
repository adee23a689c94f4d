/*
 * text/data/preference.h - human preferences as they lie in data sets, one record at a time.
 *
 *     struct preference_reader *reader;
 *     preference_open(&reader, "hh.jsonl.gz", PREFERENCE_AUTO, err);
 *     while ((got = preference_next(reader, &record, err)) != PREFERENCE_END) {
 *         if (got == PREFERENCE_REJECTED) ... err says "hh.jsonl.gz:17: ..." and reading may go on
 *         if (got < 0) ...                 the file itself cannot be read
 *     }
 *     preference_close(reader);
 *
 * A record is a prompt (messages), K answers and what is known of their order: ranks, or a thumb for one answer, or
 * nothing. Files are .jsonl or one JSON array, plain or gzip. A .jsonl is read line by line; of an array only the text
 * is held, not its values. Formats are those of docs/prefs.md; the first record tells which one a file has.
 */
#ifndef ATTUNE_TEXT_DATA_PREFERENCE_H
#define ATTUNE_TEXT_DATA_PREFERENCE_H

#include "base/err.h"
#include "base/json.h"
#include <stddef.h>
#include <stdint.h>

#define PREFERENCE_ANSWERS_MAX 16
#define PREFERENCE_ARRAY_MAX   ((size_t)1 << 30) /* bytes of a JSON array file, decompressed */

enum preference_format {
    PREFERENCE_AUTO,
    PREFERENCE_TRL,           /* {"prompt","chosen","rejected"}: strings or message lists */
    PREFERENCE_TRL_IMPLICIT,  /* {"chosen","rejected"}: message lists that share their beginning */
    PREFERENCE_SHAREGPT,      /* {"conversations":[{"from","value"}],"chosen":{..},"rejected":{..}} */
    PREFERENCE_HH,            /* {"chosen":"\n\nHuman: ..\n\nAssistant: ..","rejected":..} */
    PREFERENCE_OASST,         /* conversation trees with ranked replies: several records a line */
    PREFERENCE_TLDR,          /* {"info","summaries":[{"text","policy"}],"choice","worker"} */
    PREFERENCE_ULTRAFEEDBACK, /* {"instruction","completions":[{"response","model","annotations"}]} */
    PREFERENCE_KTO,           /* {"prompt","completion","label"} */
    PREFERENCE_PAIRS,         /* {"prompt","chosen","rejected","tie","strength","annotator"}: what prefs-db writes */
    PREFERENCE_FORMATS
};
/* "trl", "trl-implicit", ...; "auto" for PREFERENCE_AUTO. */
const char *preference_format_name(enum preference_format format);
/* Fails on an unknown name, listing those there are. */
int preference_format_find(enum preference_format *format, const char *name, struct err *err);

struct preference_answer {
    char *text;
    size_t length;
    int rank;     /* 1 is best, equal is a tie, without gaps; 0 unranked */
    double score; /* a rating that came with it, larger is better; NaN: none */
    char *model;  /* who wrote it; NULL: unknown */
};
struct preference {
    json_t *messages; /* [{"role":"system|user|assistant|tool","content":"..."}] */
    size_t count;     /* 1 or more answers, no two with the same text */
    struct preference_answer answers[PREFERENCE_ANSWERS_MAX];
    int thumb;       /* one answer: +1, -1, or 0 unknown */
    int strength;    /* two answers: 0 tie, 1 slightly .. 4 much better; -1 unknown */
    double margin;   /* two answers: a number "margin", how much better the first is; NaN: none */
    char *annotator; /* NULL: unknown */
    char *lang;      /* NULL: unknown */
    char *split;     /* a member "split"; NULL: none */
    int64_t line;    /* of the file, or number of the element, from 1 */
};

#define PREFERENCE_END      0
#define PREFERENCE_RECORD   1
#define PREFERENCE_REJECTED 2

struct preference_reader;
int preference_open(struct preference_reader **out, const char *path, enum preference_format format, struct err *err);
/* *record is valid until the next call. */
int preference_next(struct preference_reader *reader, const struct preference **record, struct err *err);
/* What the file holds; PREFERENCE_AUTO before the first record. */
enum preference_format preference_reader_format(const struct preference_reader *reader);
void preference_close(struct preference_reader *reader);

#endif
