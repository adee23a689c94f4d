/* The part of a report that SQL can count by itself. */
#include "base/mem.h"
#include "prefs-db/internal.h"
#include "prefs-db/report.h"

#include <math.h>
#include <string.h>

static void copy_name(char *out, size_t size, sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    size_t length = text == NULL ? 0 : strlen(text);
    length = length < size ? length : size - 1;
    memcpy(out, text == NULL ? "" : text, length);
    out[length] = '\0';
}

static int read_items(struct report *report, struct prefs *store, int64_t project, struct err *err)
{
    sqlite3_stmt *row =
        sql_query(store, err, "SELECT state, count(*) FROM item WHERE project_id=?1 GROUP BY state", "i", project);
    int got = -1;
    while (row != NULL && (got = sql_step(store, row, err)) == 1) {
        const char *state = (const char *)sqlite3_column_text(row, 0);
        int64_t *count = state[0] == 'o'   ? &report->items_open
                         : state[0] == 'd' ? &report->items_done
                                           : &report->items_closed;
        *count = sqlite3_column_int64(row, 1);
    }
    sql_end(row);
    return got < 0 ||
                   sql_number(store, err, &report->gold_items,
                              "SELECT count(*) FROM gold g CROSS JOIN item i ON i.id=g.item_id WHERE i.project_id=?1",
                              "i", project) < 0 ||
                   sql_number(store, err, &report->imports, "SELECT count(*) FROM import_batch", "") < 0
               ? -1
               : 0;
}

/* One pass over the assignments, in the order of the annotators' index. */
static int read_annotators(struct report *report, struct prefs *store, int64_t project, struct err *err)
{
    size_t capacity = 0;
    int64_t projects = 0;
    if (sql_number(store, err, &projects, "SELECT count(*) FROM project", "") < 0) {
        return -1;
    }
    /* Where there is one project only, a million items need not be asked for theirs. */
    sqlite3_stmt *row = sql_query(
        store, err,
        "SELECT w.id, w.handle, w.role='import', sum(a.state='submitted'), sum(a.state='skipped'), "
        "sum(a.state='leased') FROM assignment a JOIN annotator w ON w.id=a.annotator_id "
        "WHERE ?3=1 OR (SELECT project_id FROM item WHERE id=a.item_id)=?1 GROUP BY w.id ORDER BY count(*) DESC "
        "LIMIT ?2",
        "iii", project, (int64_t)REPORT_ANNOTATORS_MAX, projects);
    int got = -1;
    while (row != NULL && (got = sql_step(store, row, err)) == 1) {
        struct report_annotator *people =
            mem_grow(report->annotators, &capacity, report->annotator_count + 1, sizeof *people, err);
        if (people == NULL) {
            got = -1;
            break;
        }
        report->annotators = people;
        struct report_annotator *person = &people[report->annotator_count++];
        *person = (struct report_annotator){
            .id = sqlite3_column_int64(row, 0),
            .imported = sqlite3_column_int(row, 2) != 0,
            .judged = sqlite3_column_int64(row, 3),
            .skipped = sqlite3_column_int64(row, 4),
            .leased = sqlite3_column_int64(row, 5),
            .median_seconds = NAN,
        };
        copy_name(person->handle, sizeof person->handle, row, 1);
    }
    sql_end(row);
    return got;
}

/* Gold and flags are few; the annotator of each is looked up here. */
static int read_gold_and_flags(struct report *report, struct prefs *store, int64_t project, struct err *err)
{
    sqlite3_stmt *row =
        sql_query(store, err,
                  "SELECT a.annotator_id, CASE WHEN g.thumb IS NOT NULL THEN j.thumb=g.thumb ELSE "
                  "substr(j.ranks,g.better_slot+1,1)<>'-' AND "
                  "(substr(j.ranks,g.worse_slot+1,1)='-' OR "
                  "substr(j.ranks,g.better_slot+1,1)<substr(j.ranks,g.worse_slot+1,1)) END "
                  "FROM gold g CROSS JOIN item i ON i.id=g.item_id JOIN assignment a ON a.item_id=g.item_id "
                  "AND a.state='submitted' AND a.repeat=0 "
                  "JOIN judgment j ON j.id=a.judgment_id WHERE i.project_id=?1",
                  "i", project);
    int got = -1;
    while (row != NULL && (got = sql_step(store, row, err)) == 1) {
        for (size_t i = 0; i < report->annotator_count; i++) {
            if (report->annotators[i].id == sqlite3_column_int64(row, 0)) {
                report->annotators[i].gold.trials++;
                report->annotators[i].gold.hits += sqlite3_column_int(row, 1);
            }
        }
    }
    sql_end(row);
    row =
        got < 0
            ? NULL
            : sql_query(
                  store, err,
                  "SELECT a.annotator_id, count(DISTINCT j.id) FROM flag f CROSS JOIN judgment j ON j.id=f.judgment_id "
                  "CROSS JOIN assignment a ON a.id=j.assignment_id AND a.judgment_id=j.id CROSS JOIN item i ON "
                  "i.id=a.item_id "
                  "WHERE i.project_id=?1 GROUP BY a.annotator_id",
                  "i", project);
    got = -1;
    while (row != NULL && (got = sql_step(store, row, err)) == 1) {
        for (size_t i = 0; i < report->annotator_count; i++) {
            if (report->annotators[i].id == sqlite3_column_int64(row, 0)) {
                report->annotators[i].flagged = sqlite3_column_int64(row, 1);
            }
        }
    }
    sql_end(row);
    return got;
}

static int read_models(struct report *report, struct prefs *store, struct err *err)
{
    sqlite3_stmt *row = sql_query(store, err, "SELECT id, name FROM model ORDER BY id", "");
    int got = -1;
    while (row != NULL && (got = sql_step(store, row, err)) == 1) {
        if (report->model_count == MEASURE_MODELS_MAX) {
            report->models_left_out++;
            continue;
        }
        struct report_model *model = &report->models[report->model_count++];
        model->id = sqlite3_column_int64(row, 0);
        copy_name(model->name, sizeof model->name, row, 1);
    }
    sql_end(row);
    return got;
}

int report_read_counts(struct report *report, struct prefs *store, int64_t project, struct err *err)
{
    return read_items(report, store, project, err) < 0 || read_annotators(report, store, project, err) < 0 ||
                   read_gold_and_flags(report, store, project, err) < 0 || read_models(report, store, err) < 0
               ? -1
               : 0;
}
