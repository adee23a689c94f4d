/* report/axis.c - see axis.h. */
#include "report/axis.h"
#include "base/minmax.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* From this ratio of the ends on, a logarithmic axis shows more than a linear one. */
#define LOG_RATIO 30.0

/* The least of 1, 2, 5 times a power of ten that is no smaller than `size`. */
static double nice_step(double size)
{
    double power = pow(10, floor(log10(size)));
    const double steps[] = {1, 2, 5};
    for (int i = 0; i < 3; i++) {
        if (steps[i] * power >= size * (1 - 1e-9)) {
            return steps[i] * power;
        }
    }
    return 10 * power;
}

static double step_of(const struct axis *axis)
{
    return axis->tick_count > 1 ? axis->ticks[1] - axis->ticks[0] : fmax(fabs(axis->high), fabs(axis->low)) / 10;
}

/* count * step, and never -0. */
static double times(double count, double step)
{
    return count == 0 ? 0 : count * step;
}

static void linear_ticks(struct axis *axis, int wanted, unsigned how)
{
    double step = nice_step((axis->high - axis->low) / wanted);
    if ((how & AXIS_WHOLE) && step < 1) {
        step = 1;
    }
    double first = floor(axis->low / step + 1e-9), last = ceil(axis->high / step - 1e-9);
    if (how & AXIS_EXACT) {
        first = ceil(axis->low / step - 1e-9);
        last = floor(axis->high / step + 1e-9);
    } else {
        axis->low = times(first, step);
        axis->high = times(last, step);
    }
    for (double tick = first; tick <= last && axis->tick_count < AXIS_TICKS_MAX; tick++) {
        axis->ticks[axis->tick_count++] = times(tick, step);
    }
}

/* Powers of ten, or where those are few, 2 and 5 times them as well. */
static void log_ticks(struct axis *axis, int wanted)
{
    const double within[] = {1, 2, 5};
    double decades = log10(axis->high / axis->low);
    int parts = 3 * decades <= wanted + 3 ? 3 : 1, every = (int)ceil(decades / (wanted + 3));
    for (int power = (int)floor(log10(axis->low)); pow(10, power) <= axis->high; power += max(every, 1)) {
        for (int i = 0; i < parts; i++) {
            double tick = within[i] * pow(10, power);
            if (tick >= axis->low * (1 - 1e-9) && tick <= axis->high * (1 + 1e-9) &&
                axis->tick_count < AXIS_TICKS_MAX) {
                axis->ticks[axis->tick_count++] = tick;
            }
        }
    }
}

struct axis axis_fit(double low, double high, int wanted, unsigned how)
{
    assert(isfinite(low) && isfinite(high) && low <= high && wanted > 0 && wanted < AXIS_TICKS_MAX - 2);
    struct axis axis = {.low = low, .high = high};
    if ((how & AXIS_LOG) && low > 0 && high / low >= LOG_RATIO) {
        axis.log = true;
        log_ticks(&axis, wanted);
        return axis;
    }
    if (how & AXIS_ZERO) {
        axis.low = fmin(low, 0);
        axis.high = fmax(high, 0);
    }
    /* Values that are all but equal get some room, or rounding would be drawn as mountains. */
    double size = fmax(fabs(axis.low), fabs(axis.high));
    if (axis.high - axis.low <= 1e-9 * size || size == 0) {
        double space = size == 0 ? 1 : how & AXIS_WHOLE ? 1 : size / 10;
        axis.low = how & AXIS_ZERO && axis.low >= 0 ? axis.low : axis.low - space;
        axis.high += space;
    }
    linear_ticks(&axis, wanted, how);
    return axis;
}

double axis_place(const struct axis *axis, double value)
{
    if (axis->log) {
        return log(value / axis->low) / log(axis->high / axis->low);
    }
    return (value - axis->low) / (axis->high - axis->low);
}

/* "2.0e-05" becomes "2e-5". */
static void tidy_exponent(char *text)
{
    char *exponent = strchr(text, 'e');
    if (!exponent) {
        return;
    }
    char *to = exponent + 1, *from = exponent + 1;
    if (*from == '+') {
        from++;
    } else if (*from == '-') {
        *to++ = *from++;
    }
    while (from[0] == '0' && from[1]) {
        from++;
    }
    memmove(to, from, strlen(from) + 1);
}

/* Digits behind the point that a multiple of `step` needs. */
static int decimals_of(double step)
{
    int decimals = (int)ceil(-log10(step) - 1e-9);
    return clamp(decimals, 0, 9);
}

void axis_label(char out[AXIS_LABEL_SIZE], const struct axis *axis, double tick)
{
    static const struct {
        double size;
        const char *letter;
    } units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    double size = axis->log ? fabs(tick) : fmax(fabs(axis->low), fabs(axis->high));
    double step = axis->log ? fabs(tick) : step_of(axis);
    if (tick == 0) {
        strcpy(out, "0");
    } else if (size < 1e-3 || size >= 1e15) {
        int digits = (int)(floor(log10(fabs(tick)) + 1e-9) - floor(log10(step) + 1e-9)); /* behind the first */
        snprintf(out, AXIS_LABEL_SIZE, "%.*e", max(digits, 0), tick);
        tidy_exponent(out);
    } else if (size >= 1e4) {
        size_t i = 0;
        while (units[i].size > size) {
            i++;
        }
        snprintf(out, AXIS_LABEL_SIZE, "%.*f%s", decimals_of(step / units[i].size), tick / units[i].size,
                 units[i].letter);
    } else {
        snprintf(out, AXIS_LABEL_SIZE, "%.*f", decimals_of(step), tick);
    }
}

/* "1234567" becomes "1,234,567". */
static void group_thousands(char *digits)
{
    size_t length = strlen(digits);
    for (size_t from_end = 3; from_end + (digits[0] == '-') < length; from_end += 3) {
        char *place = digits + length - from_end;
        memmove(place + 1, place, strlen(place) + 1);
        *place = ',';
    }
}

void axis_number(char out[AXIS_LABEL_SIZE], double number)
{
    double size = fabs(number);
    if (isnan(number)) {
        strcpy(out, "–");
    } else if (size == 0) {
        strcpy(out, "0"); /* no -0 */
    } else if (size < 1e-3 || size >= 1e15) {
        snprintf(out, AXIS_LABEL_SIZE, "%.3g", number);
        tidy_exponent(out);
    } else if (size >= 9999.5) {
        snprintf(out, AXIS_LABEL_SIZE, "%.0f", number);
        group_thousands(out);
    } else {
        snprintf(out, AXIS_LABEL_SIZE, "%.4g", number);
    }
}
