/*
 * report/sections.h - the parts of the report's page. Each adds its sections where the run has something for
 * them, and nothing elsewhere.
 */
#ifndef ATTUNE_REPORT_SECTIONS_H
#define ATTUNE_REPORT_SECTIONS_H

#include "report/chart.h"
#include "report/data.h"
#include "report/html.h"
#include "report/metric_names.h"

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

#endif
