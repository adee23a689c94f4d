/* Projects: their rules and guidelines. */
#include "prefs-db/internal.h"

#include <string.h>

static int refuse_unless(bool fine, struct err *err, const char *sentence)
{
    if (!fine) {
        err_set(err, "%s", sentence);
        return PREFS_REFUSED;
    }
    return 0;
}

int prefs_add_project(struct prefs *store, const char *name, int64_t *project, struct err *err)
{
    size_t length = strlen(name);
    if (refuse_unless(length > 0 && length <= 64, err, "a project's name has 1 to 64 characters") != 0) {
        return PREFS_REFUSED;
    }
    if (sql_begin(store, err) != 0) {
        return -1;
    }
    int64_t there = 0;
    int found = sql_number(store, err, &there, "SELECT id FROM project WHERE name=?1", "t", name);
    if (found == 1) {
        err_set(err, "%s has a project '%s' already", store->path, name);
        return sql_finish(store, PREFS_REFUSED, err);
    }
    if (found == 0) {
        found =
            sql_run(store, err, "INSERT INTO project (name, created_ms) VALUES (?1, ?2)", "ti", name, prefs_now(store));
        *project = sqlite3_last_insert_rowid(store->db);
    }
    return sql_finish(store, found, err);
}

/* "'a', 'b'" */
static int list_projects(struct prefs *store, struct strbuf *names, int64_t *count, int64_t *last, struct err *err)
{
    sqlite3_stmt *row = sql_query(store, err, "SELECT id, name FROM project ORDER BY id", "");
    int got = -1;
    while (row != NULL && (got = sql_step(store, row, err)) == 1) {
        strbuf_printf(names, "%s'%s'", *count > 0 ? ", " : "", (const char *)sqlite3_column_text(row, 1));
        *last = sqlite3_column_int64(row, 0);
        ++*count;
    }
    sql_end(row);
    return got == 0 ? strbuf_check(names, err) : -1;
}

int prefs_find_project(struct prefs *store, const char *name, int64_t *project, struct err *err)
{
    if (name != NULL) {
        int found = sql_number(store, err, project, "SELECT id FROM project WHERE name=?1", "t", name);
        if (found != 0) {
            return found < 0 ? -1 : 0;
        }
    }
    struct strbuf names = {0};
    int64_t count = 0, last = 0;
    int result = list_projects(store, &names, &count, &last, err);
    if (result == 0 && name == NULL && count == 1) {
        *project = last;
    } else if (result == 0) {
        result = PREFS_REFUSED;
        if (name != NULL) {
            err_set(err, "%s has no project '%s'; it has %s", store->path, name, strbuf_text(&names));
        } else {
            err_set(err, "%s has %lld projects, say which with --project: %s", store->path, (long long)count,
                    strbuf_text(&names));
        }
    }
    strbuf_free(&names);
    return result;
}

int prefs_project_name(struct prefs *store, int64_t project, struct strbuf *name, struct err *err)
{
    sqlite3_stmt *row = sql_query(store, err, "SELECT name FROM project WHERE id=?1", "i", project);
    int got = row == NULL ? -1 : sql_step(store, row, err);
    if (got == 1) {
        strbuf_puts(name, (const char *)sqlite3_column_text(row, 0));
    }
    sql_end(row);
    return got < 0 ? -1 : strbuf_check(name, err);
}

int prefs_next_project(struct prefs *store, int64_t after, int64_t *project, struct err *err)
{
    return sql_number(store, err, project, "SELECT id FROM project WHERE id>?1 ORDER BY id LIMIT 1", "i", after);
}

int prefs_get_settings(struct prefs *store, int64_t project, struct prefs_settings *settings, struct err *err)
{
    sqlite3_stmt *row =
        sql_query(store, err,
                  "SELECT overlap, strength_levels, allow_ties, allow_skip, gold_permille, repeat_permille, lease_s "
                  "FROM project WHERE id=?1",
                  "i", project);
    int got = row == NULL ? -1 : sql_step(store, row, err);
    if (got == 1) {
        *settings = (struct prefs_settings){
            .overlap = sqlite3_column_int64(row, 0),
            .strength_levels = sqlite3_column_int64(row, 1),
            .allow_ties = sqlite3_column_int64(row, 2) != 0,
            .allow_skip = sqlite3_column_int64(row, 3) != 0,
            .gold_permille = sqlite3_column_int64(row, 4),
            .repeat_permille = sqlite3_column_int64(row, 5),
            .lease_seconds = sqlite3_column_int64(row, 6),
        };
    } else if (got == 0) {
        got = err_set(err, "%s has no project number %lld", store->path, (long long)project);
    }
    sql_end(row);
    return got < 0 ? -1 : 0;
}

static int check_settings(const struct prefs_settings *settings, struct err *err)
{
    const struct {
        int64_t value, least, most;
        const char *name;
    } ranges[] = {
        {settings->overlap, 1, 99, "overlap"},         {settings->strength_levels, 1, 4, "strength-levels"},
        {settings->gold_permille, 0, 1000, "gold"},    {settings->repeat_permille, 0, 1000, "repeat"},
        {settings->lease_seconds, 1, 604800, "lease"},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (ranges[i].value < ranges[i].least || ranges[i].value > ranges[i].most) {
            err_set(err, "%s is %lld; it may be %lld to %lld", ranges[i].name, (long long)ranges[i].value,
                    (long long)ranges[i].least, (long long)ranges[i].most);
            return PREFS_REFUSED;
        }
    }
    return 0;
}

/* The votes that count towards overlap are those of people; a label that came with a data set is not one. */
int prefs_refresh_item(struct prefs *store, int64_t item, struct err *err)
{
    return sql_run(
        store, err,
        "UPDATE item SET state=CASE WHEN (SELECT count(*) FROM assignment a JOIN annotator w ON w.id=a.annotator_id "
        "WHERE a.item_id=item.id AND a.state='submitted' AND a.repeat=0 AND w.role<>'import')"
        ">=coalesce(item.overlap,(SELECT overlap FROM project WHERE id=item.project_id)) THEN 'done' ELSE 'open' END "
        "WHERE id=?1 AND state<>'closed'",
        "i", item);
}

static int refresh_items(struct prefs *store, int64_t project, struct err *err)
{
    return sql_run(store, err,
                   "UPDATE item SET state=CASE state WHEN 'open' THEN 'done' ELSE 'open' END WHERE project_id=?1 AND "
                   "state<>'closed' "
                   "AND (state='done')<>((SELECT count(*) FROM assignment a JOIN annotator w ON w.id=a.annotator_id "
                   "WHERE a.item_id=item.id AND a.state='submitted' AND a.repeat=0 AND w.role<>'import')"
                   ">=coalesce(item.overlap,(SELECT overlap FROM project WHERE id=item.project_id)))",
                   "i", project);
}

int prefs_set_settings(struct prefs *store, int64_t project, const struct prefs_settings *settings, struct err *err)
{
    int result = check_settings(settings, err);
    if (result != 0 || sql_begin(store, err) != 0) {
        return result != 0 ? result : -1;
    }
    result = sql_run(
        store, err,
        "UPDATE project SET overlap=?2, strength_levels=?3, allow_ties=?4, allow_skip=?5, gold_permille=?6, "
        "repeat_permille=?7, lease_s=?8 WHERE id=?1",
        "iiiiiiii", project, settings->overlap, settings->strength_levels, (int64_t)settings->allow_ties,
        (int64_t)settings->allow_skip, settings->gold_permille, settings->repeat_permille, settings->lease_seconds);
    if (result == 0) {
        result = refresh_items(store, project, err);
    }
    return sql_finish(store, result, err);
}

int prefs_set_guidelines(struct prefs *store, int64_t project, const char *text, struct err *err)
{
    if (strlen(text) > PREFS_TEXT_MAX) {
        err_set(err, "guidelines have at most %zu bytes", PREFS_TEXT_MAX);
        return PREFS_REFUSED;
    }
    return sql_run(store, err,
                   "INSERT INTO guideline (project_id, version, body, created_ms) "
                   "SELECT ?1, 1+coalesce(max(version),0), ?2, ?3 FROM guideline WHERE project_id=?1",
                   "iti", project, text, prefs_now(store));
}

int prefs_get_guidelines(struct prefs *store, int64_t project, struct strbuf *text, int64_t *version, struct err *err)
{
    sqlite3_stmt *row =
        sql_query(store, err, "SELECT version, body FROM guideline WHERE project_id=?1 ORDER BY version DESC LIMIT 1",
                  "i", project);
    int got = row == NULL ? -1 : sql_step(store, row, err);
    *version = 0;
    if (got == 1) {
        *version = sqlite3_column_int64(row, 0);
        strbuf_append(text, (const char *)sqlite3_column_text(row, 1), (size_t)sqlite3_column_bytes(row, 1));
    }
    sql_end(row);
    return got < 0 ? -1 : strbuf_check(text, err);
}
