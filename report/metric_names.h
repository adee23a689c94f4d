/*
 * report/metric_names.h - what the numbers of metrics.jsonl mean: one table of names and one of the panels they are
 * drawn in. The report is made from both, in their order. A name that is not in the table is drawn too, in a panel of
 * its own at the end; to explain it, add its row to metric_names.c.
 */
#ifndef ATTUNE_REPORT_METRIC_NAMES_H
#define ATTUNE_REPORT_METRIC_NAMES_H

#include <stddef.h>

enum metric_scale {
    METRIC_LINEAR,    /* as far as the values go */
    METRIC_FROM_ZERO, /* and down to zero: amounts and shares */
    METRIC_LOG,       /* logarithmic where the values span orders of magnitude */
};

struct metric_panel {
    const char *section; /* panels of one section stand together */
    const char *title;
    const char *unit; /* "" where there is none */
    enum metric_scale scale;
};
extern const struct metric_panel metric_panels[];
extern const size_t metric_panel_count;

enum metric_role {
    METRIC_CURVE,
    METRIC_LOW, /* with METRIC_HIGH the bounds of another metric: a band around its curve */
    METRIC_HIGH,
};

/* Whether the last value stands at the top of the page, and what beside it. */
enum metric_headline { METRIC_NO_HEADLINE, METRIC_BESIDE_FIRST, METRIC_BESIDE_UNIT };

struct metric_name {
    const char *name;
    size_t panel; /* in metric_panels */
    enum metric_role role;
    const char *of; /* METRIC_LOW and METRIC_HIGH: the metric they are the bounds of */
    enum metric_headline headline;
    const char *sentence; /* what it is, and what to make of it */
};
extern const struct metric_name metric_names[];
extern const size_t metric_name_count;

/* The row of a name, or NULL. */
const struct metric_name *metric_find(const char *name);

/* Seconds spent in a phase since the last record ("time/rollout"): the phase, or NULL for other names. */
const char *metric_phase(const char *name);

#endif
