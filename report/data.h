/*
 * report/data.h - the folder of a run, read for its report: recipe and metrics.
 *
 * A file that is not there leaves its part empty; a broken one is an error that names it and the line.
 */
#ifndef ATTUNE_REPORT_DATA_H
#define ATTUNE_REPORT_DATA_H

#include "base/err.h"
#include "base/json.h"
#include "recipe/stage.h"
#include "report/curve.h"
#include "report/metric_names.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- recipe.resolved.yaml ---- */

struct report_key {
    char *name;
    char *value;           /* a scalar as it is meant, lists and mappings as YAML on one line */
    const struct key *row; /* what it means; NULL: this version knows no such key */
};

struct report_recipe {
    struct report_key *keys; /* in the order of the file; count 0: there is no recipe */
    size_t count, capacity;
    const struct recipe_stage *stage; /* the one of the given stages that has these keys; NULL: not one alone */
    char *datasets;                   /* names of the dataset's files, "" where there are none */
};
int report_recipe_read(struct report_recipe *recipe, const char *path, const struct recipe_stages *stages,
                       struct err *err);
bool report_recipe_has(const struct report_recipe *recipe, const char *name);
/* The value of a key; NULL where it is not there or null. */
const char *report_recipe_value(const struct report_recipe *recipe, const char *name);
void report_recipe_free(struct report_recipe *recipe);

/* ---- metrics.jsonl ---- */

#define REPORT_SERIES_MAX ((size_t)1024)

/* One number over the steps; x is the step, y NaN where it was null. */
struct report_series {
    char *name;
    struct curve curve;
};

struct report_data {
    char *folder, *name; /* `name` is the last part of the folder's path */
    bool finished;
    struct report_recipe recipe;
    struct metric_table metrics;  /* of its stage; of all stages where that is not known */
    struct report_series *series; /* in the order in which they first came */
    size_t series_count, series_capacity;
    int64_t last_step;
    double last_epoch; /* NaN: not known */
};
int report_data_read(struct report_data *data, const char *folder, const struct recipe_stages *stages, struct err *err);
void report_data_free(struct report_data *data);
const struct report_series *report_data_series(const struct report_data *data, const char *name);
/* The last finite value of a series, NaN where there is none. */
double report_data_last(const struct report_data *data, const char *name);

/* ---- readers ---- */

/*
 * Calls `each` with every record of a .jsonl, an object with a whole "step", and with what messages call the line. A
 * file that is not there has no records; a torn last line is none.
 */
typedef int report_record(void *context, json_t *record, int64_t step, const char *where, struct err *err);
int report_read_records(const char *path, report_record *each, void *context, struct err *err);

/* The last part of a path or of a model's name, as a copy. */
char *report_base_name(const char *path, struct err *err);

#endif
