/* Annotators and their tokens. */
#include "base/utf8.h"
#include "prefs-db/internal.h"

#include <assert.h>
#include <string.h>

#define LISTED_ANNOTATORS 20 /* in an error */

#define TOKEN_BYTES 32
#define DAY_MS      ((int64_t)24 * 60 * 60 * 1000)

static const char *const role_names[] = {"annotator", "admin", "import"};

static enum prefs_role role_of(const char *name)
{
    for (size_t i = 0; i < sizeof role_names / sizeof role_names[0]; i++) {
        if (strcmp(name, role_names[i]) == 0) {
            return (enum prefs_role)i;
        }
    }
    assert(false && "a role the schema does not know");
    return PREFS_ROLE_ANNOTATOR;
}

static int check_handle(const char *handle, struct err *err)
{
    size_t length = strlen(handle), characters = 0;
    for (size_t i = 0; i < length; characters++) {
        int code_point = 0;
        i += utf8_read(handle + i, length - i, &code_point);
        if (code_point < ' ' || code_point == 0x7f) {
            err_set(err, "an annotator's name may hold no control characters and must be UTF-8");
            return PREFS_REFUSED;
        }
    }
    if (characters == 0 || characters > PREFS_HANDLE_MAX) {
        err_set(err, "an annotator's name has 1 to %d characters, this one has %zu", PREFS_HANDLE_MAX, characters);
        return PREFS_REFUSED;
    }
    return 0;
}

/* 1 found, 0 not, -1. */
static int read_annotator(struct prefs *store, sqlite3_stmt *row, struct prefs_annotator *annotator, struct err *err)
{
    int got = row == NULL ? -1 : sql_step(store, row, err);
    if (got == 1) {
        annotator->id = sqlite3_column_int64(row, 0);
        annotator->role = role_of((const char *)sqlite3_column_text(row, 1));
        const char *handle = (const char *)sqlite3_column_text(row, 2);
        size_t length = strlen(handle);
        assert(length < sizeof annotator->handle);
        memcpy(annotator->handle, handle, length + 1);
    }
    sql_end(row);
    return got;
}

static int find_handle(struct prefs *store, const char *handle, struct prefs_annotator *annotator, struct err *err)
{
    return read_annotator(store,
                          sql_query(store, err, "SELECT id, role, handle FROM annotator WHERE handle=?1", "t", handle),
                          annotator, err);
}

static int add_annotator(struct prefs *store, const char *handle, enum prefs_role role, int64_t *id, struct err *err)
{
    struct prefs_annotator there;
    int found = find_handle(store, handle, &there, err);
    if (found < 0) {
        return -1;
    }
    if (found == 1) {
        if (there.role != role) {
            err_set(err, "%s is there already with the role '%s'; choose another name", handle, role_names[there.role]);
            return PREFS_REFUSED;
        }
        *id = there.id;
        return 0;
    }
    if (sql_run(store, err, "INSERT INTO annotator (handle, role, created_ms) VALUES (?1, ?2, ?3)", "tti", handle,
                role_names[role], prefs_now(store)) != 0) {
        return -1;
    }
    *id = sqlite3_last_insert_rowid(store->db);
    return 0;
}

int prefs_add_annotator(struct prefs *store, const char *handle, enum prefs_role role, int64_t *id, struct err *err)
{
    int result = check_handle(handle, err);
    if (result != 0 || sql_begin(store, err) != 0) {
        return result != 0 ? result : -1;
    }
    return sql_finish(store, add_annotator(store, handle, role, id, err), err);
}

/* "; it has 'ann', 'ben', ..." */
static int list_annotators(struct prefs *store, struct strbuf *names, struct err *err)
{
    sqlite3_stmt *row =
        sql_query(store, err, "SELECT handle FROM annotator ORDER BY id LIMIT ?1", "i", (int64_t)LISTED_ANNOTATORS + 1);
    int got = -1;
    for (int count = 0; row != NULL && (got = sql_step(store, row, err)) == 1; count++) {
        strbuf_puts(names, count == 0 ? "; it has " : ", ");
        if (count == LISTED_ANNOTATORS) {
            strbuf_puts(names, "...");
        } else {
            strbuf_printf(names, "'%s'", (const char *)sqlite3_column_text(row, 0));
        }
    }
    sql_end(row);
    return got == 0 ? strbuf_check(names, err) : -1;
}

int prefs_find_annotator(struct prefs *store, const char *handle, struct prefs_annotator *annotator, struct err *err)
{
    int found = find_handle(store, handle, annotator, err);
    if (found != 0) {
        return found < 0 ? -1 : 0;
    }
    struct strbuf names = {0};
    int result = list_annotators(store, &names, err);
    if (result == 0) {
        err_set(err, "%s has no annotator '%s'%s; 'attune prefs annotator add' makes one", store->path, handle,
                strbuf_text(&names));
    }
    strbuf_free(&names);
    return result == 0 ? PREFS_REFUSED : -1;
}

int prefs_new_token(struct prefs *store, int64_t annotator, int days, char token[PREFS_TOKEN_SIZE], struct err *err)
{
    assert(days > 0);
    unsigned char secret[TOKEN_BYTES], key[PREFS_KEY_SIZE];
    if (prefs_random(secret, sizeof secret, err) != 0) {
        return -1;
    }
    char text[PREFS_TOKEN_SIZE];
    for (size_t i = 0; i < sizeof secret; i++) {
        static const char digits[] = "0123456789abcdef";
        text[2 * i] = digits[secret[i] >> 4];
        text[2 * i + 1] = digits[secret[i] & 15];
    }
    text[PREFS_TOKEN_SIZE - 1] = '\0';
    prefs_key(key, text, PREFS_TOKEN_SIZE - 1);
    int64_t now = prefs_now(store);
    if (sql_run(store, err, "INSERT INTO token (hash, annotator_id, created_ms, expires_ms) VALUES (?1, ?2, ?3, ?4)",
                "biii", key, sizeof key, annotator, now, now + days * DAY_MS) != 0) {
        return -1;
    }
    memcpy(token, text, sizeof text);
    return 0;
}

int prefs_revoke(struct prefs *store, int64_t annotator, int64_t *revoked, struct err *err)
{
    int64_t now = prefs_now(store);
    if (sql_run(store, err,
                "UPDATE token SET revoked_ms=?2 WHERE annotator_id=?1 AND revoked_ms IS NULL AND (expires_ms IS NULL "
                "OR expires_ms>?2)",
                "ii", annotator, now) != 0) {
        return -1;
    }
    *revoked = sqlite3_changes64(store->db);
    return 0;
}

int prefs_authenticate(struct prefs *store, const char *token, struct prefs_annotator *annotator, struct err *err)
{
    unsigned char key[PREFS_KEY_SIZE];
    prefs_key(key, token, strlen(token));
    sqlite3_stmt *row =
        sql_query(store, err,
                  "SELECT w.id, w.role, w.handle FROM token t JOIN annotator w ON w.id=t.annotator_id WHERE t.hash=?1 "
                  "AND t.revoked_ms IS NULL AND (t.expires_ms IS NULL OR t.expires_ms>?2)",
                  "bi", key, sizeof key, prefs_now(store));
    int found = read_annotator(store, row, annotator, err);
    if (found == 0) {
        err_set(err, "this token is not valid; ask for a new one ('attune prefs annotator add')");
        return PREFS_REFUSED;
    }
    return found < 0 ? -1 : 0;
}
