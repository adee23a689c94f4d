#include "prefs-db/internal.h"

#include <assert.h>
#include <errno.h>
#include <nettle/sha2.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

int sql_failed(struct prefs *store, struct err *err, const char *what)
{
    int code = sqlite3_errcode(store->db);
    const char *remedy = "";
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        remedy = "; another program kept it locked, try again";
        break;
    case SQLITE_FULL:
        remedy = "; free some disk space and try again, nothing was changed";
        break;
    case SQLITE_READONLY:
        remedy = "; make the file and its folder writable";
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        remedy = "; the file is damaged, go back to a backup";
        break;
    default:
        break;
    }
    return err_set(err, "%s: cannot %s: %s%s", store->path, what, sqlite3_errmsg(store->db), remedy);
}

/* The prepared statement of a literal, found by its address. */
static sqlite3_stmt *sql_prepared(struct prefs *store, const char *text, struct err *err)
{
    size_t start = (size_t)(((uintptr_t)text >> 3) % SQL_STATEMENTS_MAX);
    for (size_t probe = 0; probe < SQL_STATEMENTS_MAX; probe++) {
        size_t place = (start + probe) % SQL_STATEMENTS_MAX;
        if (store->cache[place].text == text) {
            return store->cache[place].statement;
        }
        if (store->cache[place].text != NULL) {
            continue;
        }
        sqlite3_stmt *statement = NULL;
        if (sqlite3_prepare_v3(store->db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK) {
            sql_failed(store, err, "prepare a statement");
            return NULL;
        }
        store->cache[place].text = text;
        store->cache[place].statement = statement;
        return statement;
    }
    assert(false && "more statements than SQL_STATEMENTS_MAX");
    return NULL;
}

static int sql_bind(sqlite3_stmt *statement, const char *types, va_list values)
{
    int result = SQLITE_OK;
    for (int i = 0; types[i] != '\0' && result == SQLITE_OK; i++) {
        switch (types[i]) {
        case 'i':
            result = sqlite3_bind_int64(statement, i + 1, va_arg(values, int64_t));
            break;
        case 'o': {
            int64_t value = va_arg(values, int64_t);
            result =
                value == SQL_NULL ? sqlite3_bind_null(statement, i + 1) : sqlite3_bind_int64(statement, i + 1, value);
            break;
        }
        case 'd':
            result = sqlite3_bind_double(statement, i + 1, va_arg(values, double));
            break;
        case 't':
            result = sqlite3_bind_text(statement, i + 1, va_arg(values, const char *), -1, SQLITE_STATIC);
            break;
        case 'n': {
            const char *text = va_arg(values, const char *);
            result = sqlite3_bind_text64(statement, i + 1, text, va_arg(values, size_t), SQLITE_STATIC, SQLITE_UTF8);
            break;
        }
        case 'b': {
            const void *bytes = va_arg(values, const void *);
            result = sqlite3_bind_blob64(statement, i + 1, bytes, va_arg(values, size_t), SQLITE_STATIC);
            break;
        }
        case '0':
            result = sqlite3_bind_null(statement, i + 1);
            break;
        default:
            assert(false && "unknown bind type");
        }
    }
    return result;
}

static sqlite3_stmt *sql_query_list(struct prefs *store, struct err *err, const char *text, const char *types,
                                    va_list values)
{
    sqlite3_stmt *statement = sql_prepared(store, text, err);
    if (statement == NULL) {
        return NULL;
    }
    assert(!sqlite3_stmt_busy(statement));
    assert(sqlite3_bind_parameter_count(statement) == (int)strlen(types));
    if (sql_bind(statement, types, values) != SQLITE_OK) {
        sql_failed(store, err, "bind a value");
        sql_end(statement);
        return NULL;
    }
    return statement;
}

sqlite3_stmt *sql_query(struct prefs *store, struct err *err, const char *text, const char *types, ...)
{
    va_list values;
    va_start(values, types);
    sqlite3_stmt *statement = sql_query_list(store, err, text, types, values);
    va_end(values);
    return statement;
}

int sql_step(struct prefs *store, sqlite3_stmt *statement, struct err *err)
{
    switch (sqlite3_step(statement)) {
    case SQLITE_ROW:
        return 1;
    case SQLITE_DONE:
        return 0;
    default:
        return sql_failed(store, err, sqlite3_stmt_readonly(statement) ? "read" : "write");
    }
}

void sql_end(sqlite3_stmt *statement)
{
    if (statement != NULL) {
        sqlite3_reset(statement);
        sqlite3_clear_bindings(statement);
    }
}

int sql_run(struct prefs *store, struct err *err, const char *text, const char *types, ...)
{
    va_list values;
    va_start(values, types);
    sqlite3_stmt *statement = sql_query_list(store, err, text, types, values);
    va_end(values);
    if (statement == NULL) {
        return -1;
    }
    int result = sql_step(store, statement, err);
    sql_end(statement);
    return result < 0 ? -1 : 0;
}

int sql_number(struct prefs *store, struct err *err, int64_t *value, const char *text, const char *types, ...)
{
    va_list values;
    va_start(values, types);
    sqlite3_stmt *statement = sql_query_list(store, err, text, types, values);
    va_end(values);
    if (statement == NULL) {
        return -1;
    }
    int result = sql_step(store, statement, err);
    if (result == 1) {
        *value = sqlite3_column_int64(statement, 0);
    }
    sql_end(statement);
    return result;
}

int sql_script(struct prefs *store, const char *text, struct err *err)
{
    if (sqlite3_exec(store->db, text, NULL, NULL, NULL) != SQLITE_OK) {
        return sql_failed(store, err, "set up");
    }
    return 0;
}

int sql_begin(struct prefs *store, struct err *err)
{
    if (store->depth == 0 && sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
        return sql_failed(store, err, "begin to write");
    }
    store->depth++;
    return 0;
}

int sql_commit(struct prefs *store, struct err *err)
{
    assert(store->depth > 0);
    if (store->depth > 1) {
        store->depth--;
        return 0;
    }
    if (sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        sql_failed(store, err, "commit");
        sql_rollback(store);
        return -1;
    }
    store->depth = 0;
    return 0;
}

/* Inside another transaction only the count goes down: the outer owner sees the error and rolls back all of it. */
void sql_rollback(struct prefs *store)
{
    assert(store->depth > 0);
    store->depth--;
    /* SQLite rolls some failures (a full disk) back by itself. */
    if (store->depth == 0 && !sqlite3_get_autocommit(store->db)) {
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    }
}

int sql_finish(struct prefs *store, int result, struct err *err)
{
    if (result < 0) {
        sql_rollback(store);
        return result;
    }
    return sql_commit(store, err) == 0 ? result : -1;
}

int64_t prefs_now(const struct prefs *store)
{
    if (store->fixed_clock != 0) {
        return store->fixed_clock;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int prefs_random(void *bytes, size_t size, struct err *err)
{
    unsigned char *next = bytes;
    while (size > 0) {
        ssize_t got = getrandom(next, size, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return err_set_errno(err, "cannot read random numbers from the system");
        }
        next += got;
        size -= (size_t)got;
    }
    return 0;
}

void prefs_key(unsigned char key[PREFS_KEY_SIZE], const void *bytes, size_t size)
{
    struct sha256_ctx state;
    sha256_init(&state);
    sha256_update(&state, size, bytes);
    sha256_digest(&state, PREFS_KEY_SIZE, key);
}

static const char rank_characters[] = "-123456789abcdefg";

char prefs_rank_character(int rank)
{
    assert(rank >= 0 && rank <= PREFS_ANSWERS_MAX);
    return rank_characters[rank];
}

int prefs_rank_value(char character)
{
    if (character >= '1' && character <= '9') {
        return character - '0';
    }
    return character >= 'a' && character <= 'g' ? character - 'a' + 10 : 0;
}
