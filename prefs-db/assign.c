/* Which task an annotator gets next. */
#include "base/mem.h"
#include "base/random.h"
#include "prefs-db/internal.h"
#include "prefs-db/labelling.h"

#include <assert.h>
#include <string.h>

static const char slot_digits[] = "0123456789abcdef";

const char *prefs_task_answer(const struct prefs_task *task, size_t position)
{
    assert(position < task->count);
    return task->texts.data + task->starts[position];
}

void prefs_task_free(struct prefs_task *task)
{
    strbuf_free(&task->messages);
    strbuf_free(&task->texts);
    strbuf_free(&task->previous_comment);
    strbuf_free(&task->previous_reason);
}

static int expire_leases(struct prefs *store, int64_t now, struct err *err)
{
    return sql_run(
        store, err,
        "UPDATE assignment SET state='expired', lease_until_ms=NULL WHERE state='leased' AND lease_until_ms<=?1", "i",
        now);
}

/* The task that the annotator has already, the one taken or undone last. */
static int find_own(struct prefs *store, int64_t project, int64_t annotator, int64_t *assignment, struct err *err)
{
    return sql_number(store, err, assignment,
                      "SELECT a.id FROM assignment a CROSS JOIN item i ON i.id=a.item_id WHERE a.annotator_id=?1 AND "
                      "a.state='leased' "
                      "AND i.project_id=?2 ORDER BY a.leased_ms DESC, a.id DESC LIMIT 1",
                      "ii", annotator, project);
}

/*
 * CROSS JOIN is SQLite's way to fix the order: without statistics it may else walk all items of the project and look
 * for each in the small table.
 */
static int find_gold(struct prefs *store, int64_t project, int64_t annotator, int64_t *item, struct err *err)
{
    return sql_number(
        store, err, item,
        "SELECT g.item_id FROM gold g CROSS JOIN item i ON i.id=g.item_id WHERE i.project_id=?1 AND NOT EXISTS "
        "(SELECT 1 FROM assignment a WHERE a.item_id=g.item_id AND a.annotator_id=?2 AND a.state<>'expired') "
        "ORDER BY random() LIMIT 1",
        "ii", project, annotator);
}

static int find_repeat(struct prefs *store, int64_t project, int64_t annotator, int64_t *item, struct err *err)
{
    return sql_number(
        store, err, item,
        "SELECT a.item_id FROM assignment a CROSS JOIN item i ON i.id=a.item_id WHERE a.annotator_id=?2 AND "
        "i.project_id=?1 "
        "AND a.state='submitted' AND a.repeat=0 AND NOT EXISTS (SELECT 1 FROM gold g WHERE g.item_id=a.item_id) "
        "AND NOT EXISTS (SELECT 1 FROM assignment r WHERE r.item_id=a.item_id "
        "AND r.annotator_id=?2 AND r.attempt>a.attempt AND r.state<>'expired') AND (SELECT count(*) FROM (SELECT 1 "
        "FROM "
        "assignment b WHERE b.annotator_id=?2 AND b.judgment_id>a.judgment_id LIMIT ?3))=?3 ORDER BY a.judgment_id "
        "LIMIT 1",
        "iii", project, annotator, (int64_t)PREFS_REPEAT_AFTER);
}

static int find_open(struct prefs *store, int64_t project, int64_t annotator, int64_t overlap, int64_t *item,
                     struct err *err)
{
    return sql_number(
        store, err, item,
        "SELECT i.id FROM item i WHERE i.project_id=?1 AND i.state='open' "
        "AND NOT EXISTS (SELECT 1 FROM gold g WHERE g.item_id=i.id) "
        "AND NOT EXISTS (SELECT 1 FROM assignment a WHERE a.item_id=i.id AND a.annotator_id=?2 AND a.state<>'expired') "
        "AND (SELECT count(*) FROM assignment a JOIN annotator w ON w.id=a.annotator_id WHERE a.item_id=i.id "
        "AND a.state IN ('leased','submitted') AND a.repeat=0 AND w.role<>'import')<coalesce(i.overlap,?3) "
        "ORDER BY i.priority DESC, i.id LIMIT 1",
        "iii", project, annotator, overlap);
}

/* A random order of the item's answers, one digit per position. */
static int draw_order(struct prefs *store, int64_t item, char shown[PREFS_ANSWERS_MAX + 1], struct err *err)
{
    int64_t k = 0, order[PREFS_ANSWERS_MAX];
    uint64_t seed = 0;
    int found = sql_number(store, err, &k, "SELECT k FROM item WHERE id=?1", "i", item);
    if (found < 0 || prefs_random(&seed, sizeof seed, err) != 0) {
        return -1;
    }
    assert(found == 1 && k >= 1 && k <= PREFS_ANSWERS_MAX);
    random_permutation(order, (size_t)k, seed, RANDOM_LABEL, (uint64_t)item);
    for (int64_t i = 0; i < k; i++) {
        shown[i] = slot_digits[order[i]];
    }
    shown[k] = '\0';
    return 0;
}

static int lease_item(struct prefs *store, int64_t project, int64_t item, int64_t annotator, bool repeat, int64_t now,
                      int64_t until, int64_t *assignment, struct err *err)
{
    char shown[PREFS_ANSWERS_MAX + 1];
    if (draw_order(store, item, shown, err) != 0) {
        return -1;
    }
    /* An expired lease of the same annotator is taken up again: same row, same order. */
    if (sql_run(
            store, err,
            "INSERT INTO assignment (item_id, annotator_id, attempt, repeat, guideline_id, state, shown, leased_ms, "
            "lease_until_ms) "
            "SELECT ?1, ?2, CASE WHEN ?3 THEN (SELECT 1+max(attempt) FROM assignment WHERE item_id=?1 AND "
            "annotator_id=?2 "
            "AND state<>'expired') ELSE 1 END, ?3, (SELECT id FROM guideline WHERE project_id=?4 ORDER BY version DESC "
            "LIMIT 1), "
            "'leased', ?5, ?6, ?7 WHERE true ON CONFLICT (item_id, annotator_id, attempt) DO UPDATE SET "
            "state='leased', "
            "leased_ms=excluded.leased_ms, lease_until_ms=excluded.lease_until_ms, guideline_id=excluded.guideline_id",
            "iiiitii", item, annotator, (int64_t)repeat, project, shown, now, until) != 0) {
        return -1;
    }
    return sql_number(store, err, assignment,
                      "SELECT id FROM assignment WHERE item_id=?1 AND annotator_id=?2 AND state='leased' ORDER BY "
                      "attempt DESC LIMIT 1",
                      "ii", item, annotator);
}

static int drawn(int64_t permille, bool *hit, struct err *err)
{
    uint32_t number = 0;
    *hit = false;
    if (permille > 0) {
        if (prefs_random(&number, sizeof number, err) != 0) {
            return -1;
        }
        *hit = number % 1000 < (uint64_t)permille; /* 2^32 is so many thousands that the rest does not show */
    }
    return 0;
}

/* 1: *assignment is leased, 0: nothing is left. */
static int choose(struct prefs *store, int64_t project, int64_t annotator, int64_t *assignment, struct err *err)
{
    struct prefs_settings settings;
    int64_t now = prefs_now(store), item = 0;
    bool gold = false, repeat = false;
    if (prefs_get_settings(store, project, &settings, err) != 0 || expire_leases(store, now, err) != 0 ||
        drawn(settings.gold_permille, &gold, err) != 0 || drawn(settings.repeat_permille, &repeat, err) != 0) {
        return -1;
    }
    int64_t until = now + settings.lease_seconds * 1000;
    int found = find_own(store, project, annotator, assignment, err);
    if (found != 0) {
        return found < 0 || sql_run(store, err, "UPDATE assignment SET lease_until_ms=?2 WHERE id=?1", "ii",
                                    *assignment, until) != 0
                   ? -1
                   : 1;
    }
    if (gold) {
        found = find_gold(store, project, annotator, &item, err);
    }
    bool again = found == 0 && repeat;
    if (again) {
        found = find_repeat(store, project, annotator, &item, err);
        again = found == 1;
    }
    if (found == 0) {
        found = find_open(store, project, annotator, settings.overlap, &item, err);
    }
    return found != 1 ? found : lease_item(store, project, item, annotator, again, now, until, assignment, err);
}

/* What the annotator said before an undo, turned back into positions. */
static int read_previous(struct prefs *store, struct prefs_task *task, const char *shown, struct err *err)
{
    struct prefs_judgment *previous = &task->previous;
    sqlite3_stmt *row =
        sql_query(store, err,
                  "SELECT id, verdict='skip', ranks, coalesce(strength,-1), coalesce(thumb,0), skip_reason, comment, "
                  "coalesce(active_ms,-1), coalesce(wall_ms,-1) FROM judgment WHERE assignment_id=?1 AND "
                  "verdict<>'withdrawn' ORDER BY revision DESC LIMIT 1",
                  "i", task->assignment);
    int got = row == NULL ? -1 : sql_step(store, row, err);
    int64_t id = 0;
    if (got == 1) {
        task->revised = true;
        id = sqlite3_column_int64(row, 0);
        previous->assignment = task->assignment;
        previous->verdict = sqlite3_column_int(row, 1) != 0 ? PREFS_SKIP : PREFS_RANKED;
        const char *ranks = (const char *)sqlite3_column_text(row, 2);
        for (size_t p = 0; ranks != NULL && p < task->count; p++) {
            previous->ranks[p] = prefs_rank_value(ranks[strchr(slot_digits, shown[p]) - slot_digits]);
        }
        previous->strength = sqlite3_column_int(row, 3);
        previous->thumb = sqlite3_column_int(row, 4);
        const char *reason = (const char *)sqlite3_column_text(row, 5);
        strbuf_puts(&task->previous_reason, reason == NULL ? "" : reason);
        strbuf_puts(&task->previous_comment, (const char *)sqlite3_column_text(row, 6));
        previous->active_ms = sqlite3_column_int64(row, 7);
        previous->wall_ms = sqlite3_column_int64(row, 8);
    }
    sql_end(row);
    if (got <= 0) {
        return got;
    }
    row = sql_query(store, err, "SELECT slot, code FROM flag WHERE judgment_id=?1", "i", id);
    while (row != NULL && (got = sql_step(store, row, err)) == 1) {
        const char *position = strchr(shown, slot_digits[sqlite3_column_int(row, 0)]);
        for (unsigned f = 0; position != NULL && f < PREFS_FLAG_COUNT; f++) {
            if (strcmp((const char *)sqlite3_column_text(row, 1), prefs_flag_names[f]) == 0) {
                previous->flags[position - shown] |= 1u << f;
            }
        }
    }
    sql_end(row);
    if (row == NULL || got < 0 || strbuf_check(&task->previous_reason, err) != 0 ||
        strbuf_check(&task->previous_comment, err) != 0) {
        return -1;
    }
    previous->skip_reason = strbuf_text(&task->previous_reason);
    previous->comment = strbuf_text(&task->previous_comment);
    return 0;
}

static int read_task(struct prefs *store, int64_t assignment, struct prefs_task *task, struct err *err)
{
    char shown[PREFS_ANSWERS_MAX + 1] = "";
    sqlite3_stmt *row = sql_query(store, err,
                                  "SELECT a.item_id, i.k, a.shown, a.lease_until_ms, p.messages FROM assignment a "
                                  "JOIN item i ON i.id=a.item_id JOIN prompt p ON p.id=i.prompt_id WHERE a.id=?1",
                                  "i", assignment);
    int got = row == NULL ? -1 : sql_step(store, row, err);
    if (got == 1) {
        task->assignment = assignment;
        task->item = sqlite3_column_int64(row, 0);
        task->count = (size_t)sqlite3_column_int64(row, 1);
        memcpy(shown, sqlite3_column_text(row, 2), task->count);
        task->lease_until_ms = sqlite3_column_int64(row, 3);
        strbuf_append(&task->messages, (const char *)sqlite3_column_text(row, 4), (size_t)sqlite3_column_bytes(row, 4));
    }
    sql_end(row);
    for (size_t p = 0; got == 1 && p < task->count; p++) {
        row = sql_query(
            store, err,
            "SELECT a.content FROM item_slot s JOIN answer a ON a.id=s.answer_id WHERE s.item_id=?1 AND s.slot=?2",
            "ii", task->item, (int64_t)(strchr(slot_digits, shown[p]) - slot_digits));
        got = row == NULL ? -1 : sql_step(store, row, err);
        task->starts[p] = task->texts.length;
        if (got == 1) {
            strbuf_append(&task->texts, (const char *)sqlite3_column_text(row, 0),
                          (size_t)sqlite3_column_bytes(row, 0) + 1);
        }
        sql_end(row);
    }
    if (got != 1) {
        return got < 0 ? -1
                       : err_set(err, "%s: assignment %lld has lost its item; run 'attune prefs check'", store->path,
                                 (long long)assignment);
    }
    task->starts[task->count] = task->texts.length;
    if (read_previous(store, task, shown, err) != 0 || strbuf_check(&task->messages, err) != 0 ||
        strbuf_check(&task->texts, err) != 0) {
        return -1;
    }
    return 1;
}

int prefs_next_task(struct prefs *store, int64_t project, int64_t annotator, struct prefs_task *task, struct err *err)
{
    int64_t assignment = 0;
    if (sql_begin(store, err) != 0) {
        return -1;
    }
    int result = sql_finish(store, choose(store, project, annotator, &assignment, err), err);
    if (result != 1) {
        return result;
    }
    result = read_task(store, assignment, task, err);
    if (result < 0) {
        prefs_task_free(task);
        memset(task, 0, sizeof *task);
    }
    return result;
}

int prefs_get_progress(struct prefs *store, int64_t project, int64_t annotator, struct prefs_progress *progress,
                       struct err *err)
{
    sqlite3_stmt *row =
        sql_query(store, err,
                  "SELECT coalesce(sum(a.state='submitted'),0), coalesce(sum(a.state='skipped'),0), "
                  "coalesce(sum(i.state='open' AND NOT EXISTS (SELECT 1 FROM gold g WHERE g.item_id=i.id)),0) "
                  "FROM assignment a CROSS JOIN item i ON i.id=a.item_id WHERE a.annotator_id=?1 AND i.project_id=?2 "
                  "AND a.judgment_id IS NOT NULL",
                  "ii", annotator, project);
    int got = row == NULL ? -1 : sql_step(store, row, err);
    int64_t had = 0;
    if (got == 1) {
        progress->judged = sqlite3_column_int64(row, 0);
        progress->skipped = sqlite3_column_int64(row, 1);
        had = sqlite3_column_int64(row, 2);
    }
    sql_end(row);
    int64_t open = 0, gold = 0;
    if (got < 0 ||
        sql_number(store, err, &open, "SELECT count(*) FROM item WHERE project_id=?1 AND state='open'", "i", project) <
            0 ||
        sql_number(
            store, err, &gold,
            "SELECT count(*) FROM gold g CROSS JOIN item i ON i.id=g.item_id WHERE i.project_id=?1 AND i.state='open'",
            "i", project) < 0) {
        return -1;
    }
    progress->remaining = open > had + gold ? open - had - gold : 0;
    return 0;
}
