/*
 * report/curve.h - curves of the report as points, and what is done to them before they are drawn.
 */
#ifndef ATTUNE_REPORT_CURVE_H
#define ATTUNE_REPORT_CURVE_H

#include "base/err.h"
#include <stddef.h>

/* A curve with more points is an error: the most that a page is made from. */
#define CURVE_POINTS_MAX ((size_t)1 << 24)
/* What a drawn curve has at most, roughly: gaps add to it. */
#define CURVE_DRAWN_POINTS ((size_t)1000)

struct curve_point {
    double x;
    double y;         /* NaN: a gap */
    double low, high; /* bounds of y; NaN: none */
};

struct curve {
    struct curve_point *points; /* x ascends, for what is thinned or smoothed */
    size_t count, capacity;
};

int curve_add(struct curve *curve, struct curve_point point, struct err *err);
void curve_free(struct curve *curve);
/* The last point that is no gap, or NULL. */
const struct curve_point *curve_last(const struct curve *curve);
/* The lowest and the highest such point, or NULL. */
const struct curve_point *curve_lowest(const struct curve *curve);
const struct curve_point *curve_highest(const struct curve *curve);
/* Of all y that are no gaps. */
double curve_sum(const struct curve *curve);

/*
 * Makes *out (empty before) from `curve` with about `most` points. Of each stretch of points the lowest and the highest
 * are kept, with the bounds of the whole stretch, so no peak is lost; the first and the last point stay, and so do
 * gaps.
 */
int curve_thin(struct curve *out, const struct curve *curve, size_t most, struct err *err);

/*
 * Makes *out (empty before) from the mean of the `window` points around a point, at about `most` places evenly over the
 * curve; gaps stay where a place falls on one, bounds go.
 */
int curve_smooth(struct curve *out, const struct curve *curve, size_t window, size_t most, struct err *err);

#endif
