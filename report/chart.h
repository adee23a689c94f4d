/*
 * report/chart.h - charts as SVG: lines, bars and points over one pair of axes.
 *
 * Colours are classes (c0 .. c7) that the page's style gives values to, for light and dark. Lines and points carry what
 * the page's script reads to show values under the pointer; bars carry theirs as a title.
 */
#ifndef ATTUNE_REPORT_CHART_H
#define ATTUNE_REPORT_CHART_H

#include "base/err.h"
#include "base/strbuf.h"
#include "report/curve.h"
#include <stdbool.h>
#include <stddef.h>

enum chart_mark { CHART_LINE, CHART_BARS, CHART_POINTS };

struct chart_series {
    const char *name;
    enum chart_mark mark;
    const struct curve *curve; /* bounds are drawn as a band around a line, and as whiskers elsewhere */
    size_t colour;             /* any number; there are eight, then they come again dashed */
    bool smooth;               /* CHART_LINE: many points are drawn faint, with their running mean over them */
};

struct chart {
    const char *title;             /* for those who do not see it */
    const char *x_label;           /* at the end of the axis; "" for none */
    const char *const *categories; /* NULL, or what the x values 0, 1, ... stand for */
    size_t category_count;
    const struct chart_series *series;
    size_t count;
    unsigned y_how; /* AXIS_ZERO, AXIS_LOG (report/axis.h) */
    bool stacked;   /* bars of one x stand on each other; they have no bounds then */
};

/* Appends the chart; one without a finite point says so. */
int chart_draw(struct strbuf *out, const struct chart *chart, struct err *err);

/* Appends a curve without axes, for beside a number. */
int chart_spark(struct strbuf *out, const struct curve *curve, struct err *err);

/* Appends the class of a colour: "c3", "c3 dashed". */
void chart_colour_class(struct strbuf *out, size_t colour);

/* Points in the running mean of a curve of `count` points; 0: too few to smooth. */
size_t chart_window(size_t count);

#endif
