/* Creating, opening, migrating, backing up and checking the file. */
#include "prefs-db/schema.h"
#include "base/file.h"
#include "base/mem.h"
#include "prefs-db/internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID   1347569988 /* 0x50524944 */
#define SQLITE_HEADER    100        /* https://www.sqlite.org/fileformat.html#the_database_header */
#define SQLITE_SIGNATURE "SQLite format 3"
#define BUSY_SLEEP_MS    5

static const struct prefs_migration migrations[PREFS_SCHEMA_VERSION] = {{prefs_schema_sql}};

static int64_t big_endian(const unsigned char *bytes, int count)
{
    int64_t value = 0;
    for (int i = 0; i < count; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static int journal_name(struct strbuf *name, const char *path, struct err *err)
{
    *name = (struct strbuf){0};
    strbuf_printf(name, "%s-journal", path);
    if (strbuf_check(name, err) != 0) {
        strbuf_free(name);
        return -1;
    }
    return 0;
}

/* A journal that SQLite will play back first: then the file's own length says nothing yet. */
static int has_journal(const char *path, bool *found, struct err *err)
{
    struct strbuf name;
    struct stat about;
    if (journal_name(&name, path, err) != 0) {
        return -1;
    }
    *found = stat(name.data, &about) == 0 && about.st_size > 0;
    strbuf_free(&name);
    return 0;
}

/* sqlite3_open_v2(), for which names like ":memory:" or "file:x" are not those of files: no path that begins with a dot
 * or a slash is. */
static int open_path(const char *path, sqlite3 **db, int flags)
{
    struct strbuf name = {0};
    struct err err;
    strbuf_printf(&name, "%s%s", path[0] == '/' ? "" : "./", path);
    int result = strbuf_check(&name, &err) != 0 ? SQLITE_NOMEM : sqlite3_open_v2(name.data, db, flags, NULL);
    strbuf_free(&name);
    return result;
}

/*
 * Reads the header and the length through a read-only connection that runs no statement, so that a file which is not
 * ours is not touched in any way. Not by open() and close(): closing any descriptor of a file drops the POSIX locks
 * that other connections of this process hold on it.
 */
static int read_header(const char *path, unsigned char header[SQLITE_HEADER], int64_t *size, struct err *err)
{
    if (!file_exists(path)) {
        return err_set(err, "%s: no such file; 'attune prefs init %s' makes one", path, path);
    }
    sqlite3 *db = NULL;
    sqlite3_file *file = NULL;
    sqlite3_int64 length = 0;
    int result = open_path(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX);
    if (result == SQLITE_OK) {
        result = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    }
    if (result == SQLITE_OK) {
        result = file->pMethods->xFileSize(file, &length);
    }
    if (result == SQLITE_OK && length >= SQLITE_HEADER) {
        result = file->pMethods->xRead(file, header, SQLITE_HEADER, 0);
    }
    sqlite3_close(db);
    *size = length;
    return result == SQLITE_OK ? 0 : err_set(err, "cannot read %s: %s", path, sqlite3_errstr(result));
}

static int check_header(const char *path, struct err *err)
{
    unsigned char header[SQLITE_HEADER];
    int64_t size = 0;
    if (read_header(path, header, &size, err) != 0) {
        return -1;
    }
    if (size < SQLITE_HEADER || memcmp(header, SQLITE_SIGNATURE, sizeof SQLITE_SIGNATURE) != 0) {
        return err_set(err, "%s is not a SQLite file; a preference database is made by 'attune prefs init'", path);
    }
    if (big_endian(header + 68, 4) != APPLICATION_ID) {
        return err_set(err, "%s is a SQLite file of another program, not a preference database", path);
    }
    int64_t version = big_endian(header + 60, 4);
    if (version > PREFS_SCHEMA_VERSION) {
        return err_set(err, "%s has schema %lld, this program knows up to %d; use a newer attune", path,
                       (long long)version, PREFS_SCHEMA_VERSION);
    }
    bool journal = false;
    if (has_journal(path, &journal, err) != 0) {
        return -1;
    }
    int64_t page = big_endian(header + 16, 2);
    int64_t whole = (page == 1 ? 65536 : page) * big_endian(header + 28, 4);
    bool counted = big_endian(header + 24, 4) == big_endian(header + 92, 4); /* else the page count may be stale */
    if (!journal && counted && size < whole) {
        return err_set(err, "%s is truncated: %lld of %lld bytes are there; go back to a backup", path, (long long)size,
                       (long long)whole);
    }
    return 0;
}

static int connect_file(struct prefs **out, const char *path, int flags, struct err *err)
{
    struct prefs *store = mem_alloc(1, sizeof *store, err);
    if (store == NULL) {
        return -1;
    }
    store->path = mem_copy_string(path, strlen(path), err);
    if (store->path == NULL) {
        mem_free(store);
        return -1;
    }
    if (open_path(path, &store->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE) != SQLITE_OK) {
        sql_failed(store, err, "open");
        prefs_close(store);
        return -1;
    }
    sqlite3_busy_timeout(store->db, PREFS_BUSY_MS);
    /* All of these belong to the connection and are off or otherwise by default. */
    if (sql_script(store,
                   "PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA "
                   "recursive_triggers=ON;"
                   "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA cache_size=-65536;",
                   err) != 0) {
        if (sqlite3_extended_errcode(store->db) == SQLITE_READONLY_ROLLBACK) {
            err_set(err,
                    "%s holds a change that a killed program left unfinished, and only who may write the file and its "
                    "folder can undo it; run 'attune prefs check %s' as such a user",
                    path, path);
        }
        prefs_close(store);
        return -1;
    }
    *out = store;
    return 0;
}

static int open_file(struct prefs **out, const char *path, enum prefs_mode mode, struct err *err)
{
    if (connect_file(out, path, mode == PREFS_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE, err) != 0) {
        return -1;
    }
    struct prefs *store = *out;
    /* SQLite opens a file that it may not write as read-only without a word. */
    if (mode == PREFS_WRITE && sqlite3_db_readonly(store->db, "main") != 0) {
        err_set(err, "%s is read-only; make the file and its folder writable", path);
        prefs_close(store);
        return -1;
    }
    return 0;
}

/*
 * Undoes what a killed writer left unfinished, where we may write: a connection that only reads cannot. The journal of
 * a writer that lives is its own, and stays. Whether it went well the next connection says.
 */
static int undo_unfinished(const char *path, struct err *err)
{
    bool journal = false;
    if (has_journal(path, &journal, err) != 0) {
        return -1;
    }
    if (journal) {
        sqlite3 *db = NULL;
        if (open_path(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX) == SQLITE_OK) {
            sqlite3_busy_timeout(db, PREFS_BUSY_MS);
            sqlite3_exec(db, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
        }
        sqlite3_close(db);
    }
    return 0;
}

int prefs_open(struct prefs **out, const char *path, enum prefs_mode mode, struct err *err)
{
    *out = NULL;
    struct prefs *store = NULL;
    if (check_header(path, err) != 0 || (mode == PREFS_READ && undo_unfinished(path, err) != 0) ||
        open_file(&store, path, mode, err) != 0) {
        return -1;
    }
    int64_t version = 0;
    int result = sql_number(store, err, &version, "PRAGMA user_version", "") == 1 ? 0 : -1;
    if (result == 0 && version < PREFS_SCHEMA_VERSION) {
        result = mode == PREFS_WRITE
                     ? prefs_migrate(store, migrations, PREFS_SCHEMA_VERSION, err)
                     : err_set(err, "%s has the older schema %lld; open it once for writing ('attune prefs set %s')",
                               path, (long long)version, path);
    }
    if (result != 0) {
        prefs_close(store);
        return -1;
    }
    *out = store;
    return 0;
}

int prefs_create(const char *path, struct err *err)
{
    int file = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (file < 0) {
        return errno == EEXIST ? err_set(err, "%s exists already; it was left as it is", path)
                               : err_set_errno(err, "cannot create %s", path);
    }
    close(file);
    struct prefs *store = NULL;
    int result = connect_file(&store, path, SQLITE_OPEN_READWRITE, err);
    if (result == 0) {
        result = prefs_migrate(store, migrations, PREFS_SCHEMA_VERSION, err);
        prefs_close(store);
    }
    if (result != 0) {
        prefs_discard(path);
    }
    return result;
}

void prefs_discard(const char *path)
{
    struct err err;
    struct strbuf journal;
    if (journal_name(&journal, path, &err) == 0) { /* where memory is short an empty one stays, which harms nothing */
        unlink(journal.data);
        strbuf_free(&journal);
    }
    unlink(path);
}

void prefs_close(struct prefs *store)
{
    if (store == NULL) {
        return;
    }
    while (store->depth > 0) {
        sql_rollback(store);
    }
    for (size_t i = 0; i < SQL_STATEMENTS_MAX; i++) {
        sqlite3_finalize(store->cache[i].statement);
    }
    sqlite3_close(store->db);
    mem_free(store->path);
    mem_free(store);
}

void prefs_set_clock(struct prefs *store, int64_t milliseconds)
{
    store->fixed_clock = milliseconds;
}

int prefs_batch_begin(struct prefs *store, struct err *err)
{
    assert(store->depth == 0);
    return sql_begin(store, err);
}

int prefs_batch_commit(struct prefs *store, struct err *err)
{
    return sql_commit(store, err);
}

void prefs_batch_rollback(struct prefs *store)
{
    sql_rollback(store);
}

/* Foreign keys of the whole file: -1 with the first fault in *err. */
static int check_foreign_keys(struct prefs *store, struct err *err)
{
    sqlite3_stmt *row = sql_query(store, err, "PRAGMA foreign_key_check", "");
    int got = row == NULL ? -1 : sql_step(store, row, err);
    if (got == 1) {
        err_set(err, "%s: a row of %s points to a row of %s that is not there", store->path,
                (const char *)sqlite3_column_text(row, 0), (const char *)sqlite3_column_text(row, 2));
    }
    sql_end(row);
    return got == 0 ? 0 : -1;
}

static int migrate_steps(struct prefs *store, const struct prefs_migration *steps, int64_t version, int64_t target,
                         struct err *err)
{
    for (; version < target; version++) {
        if (sql_script(store, steps[version].sql, err) != 0) {
            return err_prefix(err, "migrating from schema %lld", (long long)version);
        }
    }
    if (check_foreign_keys(store, err) != 0) {
        return -1;
    }
    /* PRAGMA takes no bound values; the number is ours. */
    char text[96];
    snprintf(text, sizeof text, "PRAGMA application_id=%d; PRAGMA user_version=%lld;", APPLICATION_ID,
             (long long)target);
    return sql_script(store, text, err);
}

static int backup_pages(struct prefs *store, struct prefs *copy, struct err *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(copy->db, "main", store->db, "main");
    if (backup == NULL) {
        return sql_failed(copy, err, "begin the backup");
    }
    int result, waited = 0;
    /* All pages in one step: with smaller ones every commit of a labeler would start the copy anew. */
    while ((result = sqlite3_backup_step(backup, -1)) == SQLITE_BUSY || result == SQLITE_LOCKED) {
        if (waited >= PREFS_BUSY_MS) {
            break;
        }
        sqlite3_sleep(BUSY_SLEEP_MS);
        waited += BUSY_SLEEP_MS;
    }
    int finished = sqlite3_backup_finish(backup);
    return result == SQLITE_DONE && finished == SQLITE_OK ? 0 : sql_failed(copy, err, "write the backup");
}

int prefs_backup(struct prefs *store, const char *path, struct err *err)
{
    if (file_exists(path)) {
        return err_set(err, "%s exists already; name a new file for the backup", path);
    }
    struct prefs *copy = NULL;
    int result = connect_file(&copy, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (result == 0) {
        result = backup_pages(store, copy, err);
        prefs_close(copy);
    }
    if (result != 0) {
        prefs_discard(path);
    }
    return result;
}

/* The file as it was, beside it. A copy that an earlier try left is kept: it is the older one. */
static int backup_before_migration(struct prefs *store, int64_t version, struct err *err)
{
    struct strbuf copy = {0};
    strbuf_printf(&copy, "%s.schema-%lld", store->path, (long long)version);
    int result = strbuf_check(&copy, err);
    if (result == 0 && !file_exists(copy.data)) {
        result = prefs_backup(store, copy.data, err);
    }
    strbuf_free(&copy);
    return result;
}

int prefs_migrate(struct prefs *store, const struct prefs_migration *steps, int64_t target, struct err *err)
{
    int64_t version = 0;
    if (sql_number(store, err, &version, "PRAGMA user_version", "") != 1 ||
        (version > 0 && version < target && backup_before_migration(store, version, err) != 0) ||
        sql_begin(store, err) != 0) {
        return -1;
    }
    /* Read again inside the transaction: another process may have migrated in the meantime. */
    int result = sql_number(store, err, &version, "PRAGMA user_version", "") == 1 ? 0 : -1;
    if (result == 0 && version < target) {
        result = migrate_steps(store, steps, version, target, err);
    }
    return sql_finish(store, result, err);
}

/* Rules that no constraint holds: each query gives one row per fault, an id and nothing else. */
static const struct {
    const char *sentence, *sql;
} rules[] = {
    {"item %lld has not as many answers as it says",
     "SELECT id FROM item i WHERE k<>(SELECT count(*) FROM item_slot s WHERE s.item_id=i.id)"},
    {"item %lld has an answer of another prompt, or the same answer twice",
     "SELECT s.item_id FROM item_slot s JOIN item i ON i.id=s.item_id JOIN answer a ON a.id=s.answer_id "
     "WHERE a.prompt_id<>i.prompt_id OR EXISTS (SELECT 1 FROM item_slot o WHERE o.item_id=s.item_id AND o.slot<s.slot "
     "AND o.answer_id=s.answer_id)"},
    {"assignment %lld does not point to its newest judgment",
     "SELECT a.id FROM assignment a LEFT JOIN judgment j ON j.assignment_id=a.id AND j.revision="
     "(SELECT max(revision) FROM judgment x WHERE x.assignment_id=a.id) WHERE a.judgment_id IS NOT CASE "
     "WHEN j.verdict IN ('ranked','skip') THEN j.id END"},
    {"assignment %lld has a state that its judgment does not give",
     "SELECT a.id FROM assignment a JOIN judgment j ON j.id=a.judgment_id WHERE j.assignment_id<>a.id "
     "OR (a.state='skipped')<>(j.verdict='skip')"},
    {"assignment %lld shows not every answer of its item once",
     "SELECT a.id FROM assignment a JOIN item i ON i.id=a.item_id WHERE a.shown IS NOT NULL AND (length(a.shown)<>i.k "
     "OR EXISTS "
     "(SELECT 1 FROM item_slot s WHERE s.item_id=i.id AND instr(a.shown,substr('0123456789abcdef',s.slot+1,1))=0))"},
    {"judgment %lld has gaps in its ranks",
     "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r WHERE n<15) SELECT j.id FROM judgment j, r "
     "WHERE j.ranks IS NOT NULL AND length(j.ranks)>1 AND instr(j.ranks,substr('123456789abcdefg',n+1,1))>0 "
     "AND instr(j.ranks,substr('123456789abcdefg',n,1))=0"},
    {"judgment %lld has revisions missing before it",
     "SELECT j.id FROM judgment j WHERE j.revision>1 AND NOT EXISTS (SELECT 1 FROM judgment o WHERE "
     "o.assignment_id=j.assignment_id AND o.revision=j.revision-1)"},
    {"item %lld is open or done against the votes it has",
     "SELECT i.id FROM item i JOIN project p ON p.id=i.project_id WHERE i.state<>'closed' AND (i.state='done')<>("
     "(SELECT count(*) FROM assignment a JOIN annotator w ON w.id=a.annotator_id WHERE a.item_id=i.id AND "
     "a.state='submitted' "
     "AND a.repeat=0 AND w.role<>'import')>=coalesce(i.overlap,p.overlap))"},
};

static int check_rule(struct prefs *store, size_t rule, struct strbuf *report, int64_t *faults, struct err *err)
{
    sqlite3_stmt *row = sql_query(store, err, rules[rule].sql, "");
    int got = -1;
    while (row != NULL && (got = sql_step(store, row, err)) == 1) {
        const char *place = strstr(rules[rule].sentence, "%lld");
        strbuf_append(report, rules[rule].sentence, (size_t)(place - rules[rule].sentence));
        strbuf_printf(report, "%lld%s\n", (long long)sqlite3_column_int64(row, 0), place + strlen("%lld"));
        ++*faults;
    }
    sql_end(row);
    return got;
}

int prefs_check(struct prefs *store, struct strbuf *report, int64_t *faults, struct err *err)
{
    *faults = 0;
    sqlite3_stmt *row = sql_query(store, err, "PRAGMA integrity_check", "");
    int got = -1;
    while (row != NULL && (got = sql_step(store, row, err)) == 1) {
        const char *line = (const char *)sqlite3_column_text(row, 0);
        if (line != NULL && strcmp(line, "ok") != 0) {
            strbuf_printf(report, "SQLite: %s\n", line);
            ++*faults;
        }
    }
    sql_end(row);
    struct err broken;
    if (got == 0 && check_foreign_keys(store, &broken) != 0) {
        strbuf_printf(report, "%s\n", broken.text);
        ++*faults;
    }
    for (size_t i = 0; got == 0 && i < sizeof rules / sizeof rules[0]; i++) {
        got = check_rule(store, i, report, faults, err);
    }
    return got == 0 ? strbuf_check(report, err) : -1;
}
