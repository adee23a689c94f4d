/*
 * prefs-db/internal.h - the open database and the few functions around SQLite that this room's files share.
 *
 * SQL text is always a string literal: every value is bound. Statements are prepared once per store and kept by the
 * address of their text.
 *
 *     sqlite3_stmt *row = sql_query(store, err, "SELECT k FROM item WHERE id=?1", "i", item);
 *     int got = row == NULL ? -1 : sql_step(store, row, err);           1 a row, 0 the end, -1 failure
 *     ... sqlite3_column_int64(row, 0) ...
 *     sql_end(row);
 */
#ifndef ATTUNE_PREFS_DB_INTERNAL_H
#define ATTUNE_PREFS_DB_INTERNAL_H

#include "prefs-db/store.h"
#include <sqlite3.h>

#define SQL_STATEMENTS_MAX 128

struct prefs {
    sqlite3 *db;
    char *path;
    int64_t fixed_clock; /* milliseconds; 0: the real one */
    int depth;           /* open sql_begin() calls; only the outermost is a transaction */
    struct {
        const char *text;
        sqlite3_stmt *statement;
    } cache[SQL_STATEMENTS_MAX];
};

/* For type o: a number that no column of ours takes stands for NULL. */
#define SQL_NULL INT64_MIN

/* Binds by `types`: i int64_t, o int64_t or SQL_NULL, d double, t text or NULL, n bytes of text with its size_t length,
 * b blob with its size_t length, 0 NULL (no argument). */
sqlite3_stmt *sql_query(struct prefs *store, struct err *err, const char *text, const char *types, ...);
int sql_step(struct prefs *store, sqlite3_stmt *statement, struct err *err);
void sql_end(sqlite3_stmt *statement);
/* A statement without rows: 0 or -1. */
int sql_run(struct prefs *store, struct err *err, const char *text, const char *types, ...);
/* The first column of the first row as a number: 1, 0 where there is no row (*value stays), -1. */
int sql_number(struct prefs *store, struct err *err, int64_t *value, const char *text, const char *types, ...);
/* Several statements of literal SQL, for the schema and pragmas. */
int sql_script(struct prefs *store, const char *text, struct err *err);
/* The sentence for what SQLite just answered: names the file, and the remedy where there is one. Always -1. */
int sql_failed(struct prefs *store, struct err *err, const char *what);

/* BEGIN IMMEDIATE: a transaction that reads first and writes later would fail at once beside another writer. They nest.
 */
int sql_begin(struct prefs *store, struct err *err);
int sql_commit(struct prefs *store, struct err *err);
void sql_rollback(struct prefs *store);
/* Commits when `result` is 0 or more, else rolls back; returns `result`, or -1 when the commit failed. */
int sql_finish(struct prefs *store, int result, struct err *err);

int64_t prefs_now(const struct prefs *store);
/* Bytes from the system's random source. */
int prefs_random(void *bytes, size_t size, struct err *err);

#define PREFS_KEY_SIZE 32
/* SHA-256. */
void prefs_key(unsigned char key[PREFS_KEY_SIZE], const void *bytes, size_t size);

/* The step from schema n to n + 1 is steps[n]. */
struct prefs_migration {
    const char *sql;
};
/* What prefs_open() runs; tests hand in steps of their own. */
int prefs_migrate(struct prefs *store, const struct prefs_migration *steps, int64_t target, struct err *err);

/* The rank written as one character of judgment.ranks, 0 for unranked, and back. */
char prefs_rank_character(int rank);
int prefs_rank_value(char character);

/* Sets item.state from the votes it has and its overlap; a closed item stays closed. */
int prefs_refresh_item(struct prefs *store, int64_t item, struct err *err);

struct report;
/* Sets the counts of items, the annotators with their counts, and the models with name and id (report_counts.c). */
int report_read_counts(struct report *report, struct prefs *store, int64_t project, struct err *err);

#endif
