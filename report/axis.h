/*
 * report/axis.h - the axes of the report's charts: from where to where, and which numbers stand beside them.
 */
#ifndef ATTUNE_REPORT_AXIS_H
#define ATTUNE_REPORT_AXIS_H

#include <stdbool.h>

#define AXIS_TICKS_MAX  12
#define AXIS_LABEL_SIZE 32

struct axis {
    double low, high;
    bool log;
    int tick_count;
    double ticks[AXIS_TICKS_MAX];
};

/* What axis_fit() is asked for. */
enum {
    AXIS_ZERO = 1,  /* 0 is on it */
    AXIS_LOG = 2,   /* logarithmic where all values are positive and span a factor of 30 */
    AXIS_EXACT = 4, /* it ends where the values end, not at a tick */
    AXIS_WHOLE = 8, /* ticks are whole numbers */
};

/*
 * An axis for values in [low, high], both finite, with about `wanted` ticks at most, 1, 2 or 5 times a power of ten
 * apart.
 */
struct axis axis_fit(double low, double high, int wanted, unsigned how);

/* Where a value lies: 0 at the low end, 1 at the high end. */
double axis_place(const struct axis *axis, double value);

/* The text at a tick, with as many digits as tell it from its neighbours: "0.25", "20k", "5e-5". */
void axis_label(char out[AXIS_LABEL_SIZE], const struct axis *axis, double tick);

/* A number that stands by itself, with four digits that count: "0.2143", "172,812", "2e-5"; NaN is a dash. */
void axis_number(char out[AXIS_LABEL_SIZE], double number);

#endif
