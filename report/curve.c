/* report/curve.c - see curve.h. */
#include "report/curve.h"
#include "base/mem.h"
#include "base/minmax.h"
#include <assert.h>
#include <math.h>

int curve_add(struct curve *curve, struct curve_point point, struct err *err)
{
    if (curve->count >= CURVE_POINTS_MAX) {
        return err_set(err,
                       "a curve has more than the %zu points that a report is made from; log less often "
                       "(logging_steps)",
                       CURVE_POINTS_MAX);
    }
    struct curve_point *points =
        mem_grow(curve->points, &curve->capacity, curve->count + 1, sizeof *curve->points, err);
    if (!points) {
        return -1;
    }
    curve->points = points;
    points[curve->count++] = point;
    return 0;
}

void curve_free(struct curve *curve)
{
    mem_free(curve->points);
    *curve = (struct curve){0};
}

const struct curve_point *curve_last(const struct curve *curve)
{
    for (size_t i = curve->count; i-- > 0;) {
        if (isfinite(curve->points[i].y)) {
            return &curve->points[i];
        }
    }
    return NULL;
}

/* The lowest of sign * y. */
static const struct curve_point *extreme(const struct curve *curve, double sign)
{
    const struct curve_point *found = NULL;
    for (size_t i = 0; i < curve->count; i++) {
        if (isfinite(curve->points[i].y) && (!found || sign * curve->points[i].y < sign * found->y)) {
            found = &curve->points[i];
        }
    }
    return found;
}

const struct curve_point *curve_lowest(const struct curve *curve)
{
    return extreme(curve, 1);
}

const struct curve_point *curve_highest(const struct curve *curve)
{
    return extreme(curve, -1);
}

double curve_sum(const struct curve *curve)
{
    double sum = 0;
    for (size_t i = 0; i < curve->count; i++) {
        sum += isfinite(curve->points[i].y) ? curve->points[i].y : 0;
    }
    return sum;
}

/* ---- thinning ---- */

/* Points [from, to) of a curve. */
struct stretch {
    const struct curve_point *points;
    size_t from, to;
    size_t lowest, highest; /* `to`: all are gaps */
    double low, high;       /* of the bounds */
};

static struct stretch survey(const struct curve *curve, size_t from, size_t to)
{
    struct stretch stretch = {curve->points, from, to, to, to, NAN, NAN};
    for (size_t i = from; i < to; i++) {
        const struct curve_point *point = &curve->points[i];
        if (isnan(point->y)) {
            continue;
        }
        if (stretch.lowest == to || point->y < curve->points[stretch.lowest].y) {
            stretch.lowest = i;
        }
        if (stretch.highest == to || point->y > curve->points[stretch.highest].y) {
            stretch.highest = i;
        }
        stretch.low = fmin(stretch.low, point->low); /* fmin() and fmax() pass over NaN */
        stretch.high = fmax(stretch.high, point->high);
    }
    return stretch;
}

/* The index of the first gap in [from, to), `to` where there is none. */
static size_t next_gap(const struct stretch *stretch, size_t from, size_t to)
{
    while (from < to && !isnan(stretch->points[from].y)) {
        from++;
    }
    return from;
}

/* Adds the point `index`, with the stretch's bounds, and before it a gap where there is one since `*done`. */
static int keep(struct curve *out, const struct stretch *stretch, size_t *done, size_t index, struct err *err)
{
    size_t gap = next_gap(stretch, *done, index);
    if (gap < index && curve_add(out, stretch->points[gap], err) != 0) {
        return -1;
    }
    struct curve_point point = stretch->points[index];
    point.low = stretch->low;
    point.high = stretch->high;
    *done = index + 1;
    return curve_add(out, point, err);
}

/* What is kept of one stretch. */
static int thin_stretch(struct curve *out, const struct stretch *stretch, struct err *err)
{
    size_t done = stretch->from;
    if (stretch->lowest < stretch->to) {
        size_t first = min(stretch->lowest, stretch->highest);
        size_t second = max(stretch->lowest, stretch->highest);
        if (keep(out, stretch, &done, first, err) != 0 ||
            (second != first && keep(out, stretch, &done, second, err) != 0)) {
            return -1;
        }
    }
    size_t gap = next_gap(stretch, done, stretch->to);
    return gap < stretch->to ? curve_add(out, stretch->points[gap], err) : 0;
}

int curve_thin(struct curve *out, const struct curve *curve, size_t most, struct err *err)
{
    assert(out->count == 0 && most >= 4);
    if (curve->count <= most) {
        for (size_t i = 0; i < curve->count; i++) {
            if (curve_add(out, curve->points[i], err) != 0) {
                return -1;
            }
        }
        return 0;
    }
    /* The first and the last point are stretches of their own; two points are kept of each of the others. */
    size_t inner = curve->count - 2, stretches = most / 2 - 1, from = 0;
    for (size_t i = 0; i <= stretches + 1; i++) {
        size_t to = i > stretches ? curve->count : 1 + inner * i / stretches;
        struct stretch stretch = survey(curve, from, to);
        if (thin_stretch(out, &stretch, err) != 0) {
            return -1;
        }
        from = to;
    }
    return 0;
}

/* ---- smoothing ---- */

static double mean_around(const struct curve *curve, size_t index, size_t window)
{
    size_t from = index < window / 2 ? 0 : index - window / 2, count = 0;
    double sum = 0;
    for (size_t i = from; i <= index + window / 2 && i < curve->count; i++) {
        if (isnan(curve->points[i].y)) {
            continue;
        }
        sum += curve->points[i].y;
        count++;
    }
    return sum / (double)count;
}

int curve_smooth(struct curve *out, const struct curve *curve, size_t window, size_t most, struct err *err)
{
    assert(out->count == 0 && window > 0 && most > 0);
    size_t stride = (curve->count + most - 1) / most;
    for (size_t i = 0; i < curve->count; i += stride) {
        if (i + stride >= curve->count) {
            i = curve->count - 1; /* the last place is the curve's end */
        }
        struct curve_point point = {curve->points[i].x, NAN, NAN, NAN};
        if (!isnan(curve->points[i].y)) {
            point.y = mean_around(curve, i, window);
        }
        if (curve_add(out, point, err) != 0) {
            return -1;
        }
    }
    return 0;
}
