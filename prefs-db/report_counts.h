/*
 * prefs-db/report_counts.h - the part of a report that SQL can count by itself.
 */
#ifndef ATTUNE_PREFS_DB_REPORT_COUNTS_H
#define ATTUNE_PREFS_DB_REPORT_COUNTS_H

#include "prefs-db/report.h"

/* Sets the counts of items, the annotators with their counts, and the models with name and id. */
int report_read_counts(struct report *report, struct prefs *store, int64_t project, struct err *err);

#endif
