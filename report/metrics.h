/*
 * report/metrics.h - what the numbers of metrics.jsonl mean: the panels they are drawn in, and the names in each.
 *
 * Metrics of all stages stand in metrics.c, a stage's own in its folder (recipe/stage.h). A table is put together
 * from both: first the sections that only stages have, then the common ones. A name that is in no panel is drawn too,
 * in a panel of its own at the end; to explain it, add it to one.
 */
#ifndef ATTUNE_REPORT_METRICS_H
#define ATTUNE_REPORT_METRICS_H

#include "recipe/stage.h"
#include <stddef.h>

enum metric_scale {
    METRIC_LINEAR,    /* as far as the values go */
    METRIC_FROM_ZERO, /* and down to zero: amounts and shares */
    METRIC_LOG,       /* logarithmic where the values span orders of magnitude */
};

enum metric_role {
    METRIC_CURVE,
    METRIC_LOW, /* with METRIC_HIGH the bounds of another metric: a band around its curve */
    METRIC_HIGH,
};

/* Whether the last value stands at the top of the page, and what beside it. */
enum metric_headline { METRIC_NO_HEADLINE, METRIC_BESIDE_FIRST, METRIC_BESIDE_UNIT };

struct metric_name {
    const char *name;
    enum metric_role role;
    const char *of; /* METRIC_LOW and METRIC_HIGH: the metric they are the bounds of */
    enum metric_headline headline;
    const char *sentence; /* what it is, and what to make of it */
};
#define METRIC_NAMES_MAX 8

/* Sections that the common panels are in. */
#define METRICS_LEARNING "Learning"
#define METRICS_CHECKS   "Checks"
#define METRICS_PACE     "Optimizer and pace"

struct metric_panel {
    const char *title;   /* NULL ends a list of panels; the title of another panel adds the names to that one */
    const char *section; /* panels of one section stand together */
    const char *unit;    /* "" where there is none */
    enum metric_scale scale;
    const char *before; /* the title of the panel that it stands in front of; NULL: it ends its section */
    struct metric_name names[METRIC_NAMES_MAX];
};

/* A name and the panel it is drawn in. */
struct metric {
    const struct metric_name *name;
    const struct metric_panel *panel;
    size_t number; /* of the panel, in the table */
};

#define METRIC_PANELS_MAX 128
#define METRICS_MAX       256
struct metric_table {
    const struct metric_panel *panels[METRIC_PANELS_MAX]; /* as they stand on the page */
    size_t panel_count;
    struct metric metrics[METRICS_MAX]; /* by panel */
    size_t count;
};
/* What any of the stages measures. */
void metric_table_make(struct metric_table *table, const struct recipe_stages *stages);

/* The metric of a name, or NULL. */
const struct metric *metric_find(const struct metric_table *table, const char *name);

/* Seconds spent in a phase since the last record ("time/rollout"): the phase, or NULL for other names. */
const char *metric_phase(const char *name);

#endif
