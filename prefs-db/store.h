/*
 * prefs-db/store.h - one SQLite file of prompts, answers, who labels them and what they said.
 *
 *     struct prefs *store;
 *     prefs_open(&store, "prefs.db", PREFS_WRITE, err);
 *     prefs_add_prompt(store, "[{\"role\":\"user\",\"content\":\"Hi\"}]", NULL, 0, &prompt, err);
 *     prefs_add_answer(store, prompt, text, length, &answer, err);  ...
 *     prefs_add_item(store, project, &item, err);
 *
 * The schema is prefs-db/schema.sql. Labelling is in labelling.h, reading labels back in rankings.h.
 *
 * One file at rest (journal mode TRUNCATE), every commit on the disk before a call returns (synchronous FULL), any
 * number of processes at once: a writer waits up to PREFS_BUSY_MS for another.
 *
 * Errors:    0 on success; PREFS_FAILED (-1): the file, the disk or another writer, the same call may succeed later;
 *            PREFS_REFUSED (-2): the request itself is wrong and stays wrong. *err has a full sentence for both. A
 *            failed call changes nothing in the file.
 * Ownership: a store belongs to one thread at a time. Strings given are read during the call only.
 */
#ifndef ATTUNE_PREFS_DB_STORE_H
#define ATTUNE_PREFS_DB_STORE_H

#include "base/err.h"
#include "base/strbuf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PREFS_FAILED         (-1)
#define PREFS_REFUSED        (-2)
#define PREFS_BUSY_MS        10000
#define PREFS_ANSWERS_MAX    16
#define PREFS_HANDLE_MAX     64
#define PREFS_COMMENT_MAX    20000              /* characters */
#define PREFS_TEXT_MAX       ((size_t)16 << 20) /* bytes of a prompt or of one answer */
#define PREFS_TOKEN_SIZE     65                 /* 256 bits in hexadecimal and a zero */
#define PREFS_SCHEMA_VERSION 1

struct prefs;

enum prefs_mode { PREFS_READ, PREFS_WRITE };

/* Makes a new file; one that exists is refused and left alone. The file is not left open. */
int prefs_create(const char *path, struct err *err);
/* Removes a file that was made a moment ago and could not be begun, and its journal. */
void prefs_discard(const char *path);
/*
 * Opens a file that prefs_create() made. A foreign, truncated or newer file, and in PREFS_WRITE a read-only one, is
 * refused untouched; an older one is copied to "<path>.schema-<n>" and then migrated (PREFS_WRITE), or refused
 * (PREFS_READ).
 */
int prefs_open(struct prefs **out, const char *path, enum prefs_mode mode, struct err *err);
void prefs_close(struct prefs *store);
/* For tests: the clock stands at this time; 0 lets it run. */
void prefs_set_clock(struct prefs *store, int64_t milliseconds);

/* Many additions in one commit. Calls outside a batch commit one by one. After PREFS_FAILED the batch must be rolled
 * back. */
int prefs_batch_begin(struct prefs *store, struct err *err);
int prefs_batch_commit(struct prefs *store, struct err *err);
void prefs_batch_rollback(struct prefs *store);

/* Copies the database to a new file while others may be writing. */
int prefs_backup(struct prefs *store, const char *path, struct err *err);
/* SQLite's integrity check, foreign keys, and the rules no constraint holds. Appends a line per fault; *faults counts
 * them. */
int prefs_check(struct prefs *store, struct strbuf *report, int64_t *faults, struct err *err);

/* ---- Projects: a set of items with its rules ---- */

struct prefs_settings {
    int64_t overlap;         /* 1..99 annotators per item */
    int64_t strength_levels; /* 1..4 steps from "slightly" to "much" better, pairs only */
    bool allow_ties;
    bool allow_skip;
    int64_t gold_permille;   /* 0..1000 of the tasks are gold items while there are any */
    int64_t repeat_permille; /* 0..1000 of the tasks are the annotator's own earlier ones */
    int64_t lease_seconds;   /* an item handed out comes back after this */
};
int prefs_add_project(struct prefs *store, const char *name, int64_t *project, struct err *err);
/* NULL takes the only project. An unknown name is refused, naming those there are. */
int prefs_find_project(struct prefs *store, const char *name, int64_t *project, struct err *err);
int prefs_project_name(struct prefs *store, int64_t project, struct strbuf *name, struct err *err);
/* The first project with an id above `after`: 1 found, 0 none. */
int prefs_next_project(struct prefs *store, int64_t after, int64_t *project, struct err *err);
int prefs_get_settings(struct prefs *store, int64_t project, struct prefs_settings *settings, struct err *err);
/* A new overlap reopens or closes the items it concerns. */
int prefs_set_settings(struct prefs *store, int64_t project, const struct prefs_settings *settings, struct err *err);
/* Adds a version; older ones stay. */
int prefs_set_guidelines(struct prefs *store, int64_t project, const char *text, struct err *err);
/* The newest; an empty text and version 0 where there are none. */
int prefs_get_guidelines(struct prefs *store, int64_t project, struct strbuf *text, int64_t *version, struct err *err);

/* ---- Content; adding what is there already returns its id and sets *added (which may be NULL) to false ---- */

/* `messages` is a JSON array of {"role","content"}; it is stored in one canonical spelling. `lang` may be NULL. batch
 * 0: none. */
int prefs_add_prompt(struct prefs *store, const char *messages, const char *lang, int64_t batch, int64_t *prompt,
                     struct err *err);
int prefs_add_answer(struct prefs *store, int64_t prompt, const char *text, size_t length, int64_t *answer,
                     struct err *err);
/* 0 for a NULL or empty name. */
int prefs_add_model(struct prefs *store, const char *name, int64_t *model, struct err *err);

enum prefs_state { PREFS_OPEN, PREFS_DONE, PREFS_CLOSED };
struct prefs_new_item {
    int64_t project, prompt;
    size_t count;                       /* 1..PREFS_ANSWERS_MAX answers of the prompt, no two the same */
    int64_t answers[PREFS_ANSWERS_MAX]; /* slot s holds answers[s] */
    int64_t models[PREFS_ANSWERS_MAX];  /* who wrote it, 0 unknown */
    enum prefs_state state;             /* PREFS_OPEN to be labelled, PREFS_CLOSED when it comes with its labels */
};
/* The same answers in another order are the same item; slots[s] (may be NULL) gets the slot where answers[s] stands. */
int prefs_add_item(struct prefs *store, const struct prefs_new_item *item, int64_t *id, int slots[PREFS_ANSWERS_MAX],
                   bool *added, struct err *err);

/* Gold: slot `better` beats slot `worse`, or for one answer its thumb (+1 or -1; then both slots are -1). */
int prefs_add_gold(struct prefs *store, int64_t item, int better, int worse, int thumb, const char *note,
                   struct err *err);
struct prefs_gold {
    int64_t item;
    int better, worse, thumb; /* -1, -1, +-1 for one answer; thumb 0 otherwise */
    char prompt[81];          /* the beginning of the last message */
};
/* The first gold item with an id above `after`: 1 found, 0 none. */
int prefs_next_gold(struct prefs *store, int64_t project, int64_t after, struct prefs_gold *gold, struct err *err);

/* What a reward model says of an answer; the last word counts. */
int prefs_add_score(struct prefs *store, const char *scorer, int64_t answer, double value, struct err *err);
/*
 * Priorities of the open items from a scorer: the mean over the pairs of an item of 4 p (1 - p), p = sigmoid(difference
 * of scores); for one answer p = sigmoid(score). 1 is a coin flip, 0 is certain. Items with an unscored answer keep
 * theirs. *changed counts the items.
 */
int prefs_prioritise(struct prefs *store, int64_t project, const char *scorer, int64_t *changed, struct err *err);

/* Begins the record of an import; prefs_import_done() completes it, or removes it when nothing was added. */
int prefs_import_begin(struct prefs *store, const char *path, int64_t *batch, struct err *err);
int prefs_import_done(struct prefs *store, int64_t batch, const char *format, int64_t records, int64_t added,
                      int64_t rejected, struct err *err);

/* ---- People ---- */

enum prefs_role { PREFS_ROLE_ANNOTATOR, PREFS_ROLE_ADMIN, PREFS_ROLE_IMPORT };
struct prefs_annotator {
    int64_t id;
    enum prefs_role role;
    char handle[4 * PREFS_HANDLE_MAX + 1];
};
/* Finds or adds; a handle with another role is refused, and so is one of control characters or over PREFS_HANDLE_MAX
 * characters. */
int prefs_add_annotator(struct prefs *store, const char *handle, enum prefs_role role, int64_t *id, struct err *err);
int prefs_find_annotator(struct prefs *store, const char *handle, struct prefs_annotator *annotator, struct err *err);
/* A fresh token that lasts `days`; its text is nowhere stored. */
int prefs_new_token(struct prefs *store, int64_t annotator, int days, char token[PREFS_TOKEN_SIZE], struct err *err);
/* All tokens of the annotator; *revoked counts those that still worked. */
int prefs_revoke(struct prefs *store, int64_t annotator, int64_t *revoked, struct err *err);
/* Refused: unknown, expired or revoked, without saying which. */
int prefs_authenticate(struct prefs *store, const char *token, struct prefs_annotator *annotator, struct err *err);

#endif
