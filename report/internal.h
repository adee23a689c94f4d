/*
 * report/internal.h - what the files of this room share: the folder of a run, read for its report, and the parts of the
 * page. A file that is not there leaves its part empty; a broken one is an error that names it and the line. Each part
 * adds its sections where the run has something for them, and nothing elsewhere.
 *
 * axis.h, chart.h, curve.h and html.h are this room's as well; other rooms see report.h, metrics.h and tensorboard.h.
 */
#ifndef ATTUNE_REPORT_INTERNAL_H
#define ATTUNE_REPORT_INTERNAL_H

#include "base/err.h"
#include "base/json.h"
#include "recipe/stage.h"
#include "report/chart.h"
#include "report/curve.h"
#include "report/html.h"
#include "report/metrics.h"
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

/* ---- parts of the page ---- */

/* The numbers at the top: what the headline metrics came to. */
int report_add_tiles(struct html_page *page, const struct report_data *data, struct err *err);
/* A panel for every metric, or group of them, with what they mean. */
int report_add_panels(struct html_page *page, const struct report_data *data, struct err *err);
/* What figures.json holds. */
int report_add_figures(struct html_page *page, const struct report_data *data, struct err *err);
/* The answers in samples.jsonl, first and last. */
int report_add_samples(struct html_page *page, const struct report_data *data, struct err *err);
/* Seconds by phase, and the memory plan beside the peak. */
int report_add_time(struct html_page *page, const struct report_data *data, struct err *err);
int report_add_memory(struct html_page *page, const struct report_data *data, struct err *err);
/* Every key with what it means. */
void report_add_recipe(struct html_page *page, const struct report_data *data);

/* ---- shared by the pages ---- */

/* How the axes of a panel are fitted (report/axis.h). */
unsigned report_axis_how(enum metric_scale scale);

/* The table above a chart's drawing: a row a curve, with the last, the lowest and the highest value. */
void report_put_legend(struct strbuf *out, const struct chart *chart);

/* report/report.css and report/report.js, compiled in (cmake/embed.cmake); zero-terminated. */
extern const char report_style[], report_script[];

#endif
