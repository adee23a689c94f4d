/* Curves of the report: what thinning and smoothing keep, and the numbers on the axes. */
#include "report/axis.h"
#include "report/curve.h"
#include "support/cmocka.h"
#include "support/recipe_texts.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(struct curve *curve, double x, double y)
{
    struct err err;
    struct curve_point point = {x, y, y - 1, y + 2};
    assert_int_equal(curve_add(curve, point, &err), 0);
}

static bool is_ascending(const struct curve *curve)
{
    for (size_t i = 1; i < curve->count; i++) {
        if (curve->points[i].x <= curve->points[i - 1].x) {
            return false;
        }
    }
    return true;
}

static void thinning_keeps_extremes(void **state)
{
    (void)state;
    static const size_t counts[] = {999, 1000, 1001, 1017, 5000, 100000};
    struct err err;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        struct curve curve = {0}, thin = {0};
        size_t count = counts[c];
        for (size_t i = 0; i < count; i++) {
            double y = sin((double)i / 100);
            y = i == count / 3 ? 17.25 : i == count / 3 + 1 ? -9.5 : i == count - 2 ? 33 : y;
            put(&curve, (double)i * 5, y);
        }
        assert_int_equal(curve_thin(&thin, &curve, 1000, &err), 0);
        assert_in_range(thin.count, count < 1000 ? count : 900, 1000);
        assert_true(is_ascending(&thin));
        assert_true(curve_highest(&thin)->y == 33 && curve_highest(&thin)->x == (double)(count - 2) * 5);
        assert_true(curve_lowest(&thin)->y == -9.5);
        bool spike = false;
        for (size_t i = 0; i < thin.count; i++) {
            spike |= thin.points[i].y == 17.25;
        }
        assert_true(spike);
        assert_true(thin.points[0].x == 0 && thin.points[0].y == curve.points[0].y);
        assert_true(thin.points[thin.count - 1].x == curve.points[count - 1].x);
        curve_free(&curve);
        curve_free(&thin);
    }
}

/* The bounds of a thinned point hold those of all points it stands for. */
static void thinning_keeps_bounds(void **state)
{
    (void)state;
    struct curve curve = {0}, thin = {0};
    struct err err;
    for (int i = 0; i < 20000; i++) {
        put(&curve, i, i % 7);
    }
    curve.points[12345].low = -50;
    curve.points[6789].high = 60;
    assert_int_equal(curve_thin(&thin, &curve, 100, &err), 0);
    double low = 0, high = 0;
    for (size_t i = 0; i < thin.count; i++) {
        low = fmin(low, thin.points[i].low);
        high = fmax(high, thin.points[i].high);
    }
    assert_true(low == -50 && high == 60);
    curve_free(&curve);
    curve_free(&thin);
}

/* A gap stays a gap, whether it is long, a single point, at an end, or one of very many. */
static void thinning_keeps_gaps(void **state)
{
    (void)state;
    struct curve curve = {0}, thin = {0};
    struct err err;
    for (int i = 0; i < 10000; i++) {
        put(&curve, i, i < 3 || i == 4321 || (i >= 6000 && i < 7000) || i == 9999 ? NAN : (double)i);
    }
    assert_int_equal(curve_thin(&thin, &curve, 1000, &err), 0);
    assert_true(isnan(thin.points[0].y) && isnan(thin.points[thin.count - 1].y));
    assert_true(is_ascending(&thin));
    int gaps = 0;
    for (size_t i = 1; i < thin.count; i++) {
        gaps += isnan(thin.points[i].y) && !isnan(thin.points[i - 1].y);
        if (!isnan(thin.points[i].y) && !isnan(thin.points[i - 1].y)) { /* no line over a gap */
            double from = thin.points[i - 1].x, to = thin.points[i].x;
            assert_false((from < 4321 && to > 4321) || (from < 6000 && to >= 7000));
        }
    }
    assert_int_equal(gaps, 3);
    curve_free(&thin);
    for (size_t i = 0; i < curve.count; i++) {
        curve.points[i].y = i % 2 ? NAN : (double)i;
    }
    assert_int_equal(curve_thin(&thin, &curve, 1000, &err), 0);
    assert_true(thin.count < 3000);
    curve_free(&thin);
    for (size_t i = 0; i < curve.count; i++) {
        curve.points[i].y = NAN;
    }
    assert_int_equal(curve_thin(&thin, &curve, 1000, &err), 0);
    assert_true(thin.count <= 1000 && !curve_last(&thin) && !curve_lowest(&thin) && !curve_highest(&thin));
    curve_free(&thin);
    curve_free(&curve);
}

static void smoothing(void **state)
{
    (void)state;
    struct curve curve = {0}, mean = {0};
    struct err err;
    for (int i = 0; i < 101; i++) {
        put(&curve, i, i % 2 ? 10 : 0);
    }
    curve.points[50].y = NAN;
    assert_int_equal(curve_smooth(&mean, &curve, 11, 1000, &err), 0);
    assert_int_equal(mean.count, 101);
    assert_true(isnan(mean.points[50].y));
    assert_true(fabs(mean.points[20].y - 60.0 / 11) < 1e-12); /* 15 .. 25: six odd ones, ten each, and five zeros */
    assert_true(fabs(mean.points[0].y - 5) < 1e-12);          /* 0 .. 5 */
    assert_true(fabs(mean.points[45].y - 5) < 1e-12);         /* 40 .. 50, without the gap */
    curve_free(&mean);
    assert_int_equal(curve_smooth(&mean, &curve, 3, 10, &err), 0);
    assert_in_range(mean.count, 9, 12);
    assert_true(mean.points[0].x == 0 && mean.points[mean.count - 1].x == 100);
    assert_true(is_ascending(&mean));
    curve_free(&mean);
    curve_free(&curve);
}

/* "low label|label|...|high" of an axis. */
static const char *axis_text(double low, double high, unsigned how)
{
    static char text[512];
    struct axis axis = axis_fit(low, high, 5, how);
    size_t length = (size_t)snprintf(text, sizeof text, "%g:", axis.low);
    for (int i = 0; i < axis.tick_count; i++) {
        char label[AXIS_LABEL_SIZE];
        axis_label(label, &axis, axis.ticks[i]);
        length += (size_t)snprintf(text + length, sizeof text - length, " %s", label);
    }
    snprintf(text + length, sizeof text - length, " :%g", axis.high);
    return text;
}

static void axes(void **state)
{
    (void)state;
    assert_string_equal(axis_text(0.13, 9.9, 0), "0: 0 2 4 6 8 10 :10");
    assert_string_equal(axis_text(0.45, 0.69, 0), "0.45: 0.45 0.50 0.55 0.60 0.65 0.70 :0.7");
    assert_string_equal(axis_text(0.45, 0.69, AXIS_ZERO), "0: 0 0.2 0.4 0.6 0.8 :0.8");
    assert_string_equal(axis_text(-3, -1, AXIS_ZERO), "-3: -3 -2 -1 0 :0");
    assert_string_equal(axis_text(-0.3, 1.2, 0), "-0.5: -0.5 0 0.5 1.0 1.5 :1.5");
    assert_string_equal(axis_text(1, 378, AXIS_EXACT | AXIS_WHOLE), "1: 100 200 300 :378");
    assert_string_equal(axis_text(1, 3, AXIS_EXACT | AXIS_WHOLE), "1: 1 2 3 :3");
    assert_string_equal(axis_text(5, 5, AXIS_EXACT | AXIS_WHOLE), "4: 4 5 6 :6");
    assert_string_equal(axis_text(0, 144210, 0), "0: 0 50k 100k 150k :150000");
    assert_string_equal(axis_text(0, 4.1e9, 0), "0: 0 1G 2G 3G 4G 5G :5e+09");
    assert_string_equal(axis_text(0, 2e-5, 0), "0: 0 5e-6 1.0e-5 1.5e-5 2.0e-5 :2e-05");
    assert_string_equal(axis_text(0, 3e-12, 0), "0: 0 1e-12 2e-12 3e-12 :3e-12");
    assert_string_equal(axis_text(7, 7, 0), "6: 6.0 6.5 7.0 7.5 8.0 :8");
    assert_string_equal(axis_text(0, 0, AXIS_ZERO), "0: 0 0.2 0.4 0.6 0.8 1.0 :1");
    assert_string_equal(axis_text(0.5, 0.5, AXIS_ZERO), "0: 0 0.1 0.2 0.3 0.4 0.5 :0.5");
    assert_string_equal(axis_text(1.6, 172812, AXIS_LOG), "1.6: 10 100 1000 10k 100k :172812");
    assert_string_equal(axis_text(0.2, 11, AXIS_LOG), "0.2: 0.2 0.5 1 2 5 10 :11");
    assert_string_equal(axis_text(2, 4, AXIS_LOG), "2: 2.0 2.5 3.0 3.5 4.0 :4");
    assert_string_equal(axis_text(0, 1000, AXIS_LOG), "0: 0 200 400 600 800 1000 :1000");
    struct axis log = axis_fit(1, 1e4, 5, AXIS_LOG);
    assert_true(fabs(axis_place(&log, 100) - 0.5) < 1e-12);
    for (double size = 1e-280; size < 1e280; size *= 7.3) { /* any range has ticks inside, in order */
        struct axis axis = axis_fit(-size / 3, size, 5, 0);
        assert_in_range(axis.tick_count, 3, AXIS_TICKS_MAX);
        for (int i = 0; i < axis.tick_count; i++) {
            assert_true(axis_place(&axis, axis.ticks[i]) > -1e-9 && axis_place(&axis, axis.ticks[i]) < 1 + 1e-9);
        }
    }
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        double number;
        const char *text;
    } cases[] = {{0, "0"},
                 {-0.0, "0"},
                 {0.21434, "0.2143"},
                 {1, "1"},
                 {-0.001, "-0.001"},
                 {0.000023456, "2.35e-5"},
                 {9999.4, "9999"},
                 {9999.5, "10,000"},
                 {172812.4, "172,812"},
                 {-1234567, "-1,234,567"},
                 {-123456, "-123,456"},
                 {1e15, "1e15"},
                 {NAN, "–"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[AXIS_LABEL_SIZE];
        axis_number(text, cases[i].number);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thinning_keeps_extremes),
        cmocka_unit_test(thinning_keeps_bounds),
        cmocka_unit_test(thinning_keeps_gaps),
        cmocka_unit_test(smoothing),
        cmocka_unit_test(axes),
        cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
