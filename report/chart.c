/* report/chart.c - see chart.h. */
#include "report/chart.h"
#include "base/minmax.h"
#include "base/utf8.h"
#include "report/axis.h"
#include "report/html.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The drawing and the plot in it, in units of the drawing; the page's script knows the plot from the <rect>. */
enum { WIDTH = 480, HEIGHT = 224, LEFT = 48, RIGHT = 470, TOP = 10, BOTTOM = 182 };
#define Y_TICKS       5
#define X_TICKS       6
#define COLOURS       8
#define LETTER        6.2 /* width of a letter of a label, roughly */
#define LABEL_MAX     18  /* letters of a category */
#define SMOOTHED_FROM ((size_t)80)
#define DOTTED_TO     ((size_t)40) /* points of a line that are drawn as dots as well */
#define SMOOTHED_PART ((size_t)40) /* of the curve, in the running mean */

struct drawing {
    struct strbuf *out;
    const struct chart *chart;
    struct axis x, y;
    double bar_width; /* of all bars of one x together */
    size_t bar_series;
};

size_t chart_window(size_t count)
{
    return count < SMOOTHED_FROM ? 0 : count / SMOOTHED_PART;
}

void chart_colour_class(struct strbuf *out, size_t colour)
{
    strbuf_printf(out, "c%zu%s", colour % COLOURS, colour >= COLOURS ? " dashed" : "");
}

static double place_x(const struct drawing *drawing, double value)
{
    return LEFT + axis_place(&drawing->x, value) * (RIGHT - LEFT);
}

static double place_y(const struct drawing *drawing, double value)
{
    return BOTTOM - axis_place(&drawing->y, value) * (BOTTOM - TOP);
}

/* A coordinate: fine enough for the script to tell half a million steps apart, and short. */
static void put_coordinate(struct strbuf *out, double value)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%.3f", value);
    while (text[length - 1] == '0') {
        length--;
    }
    if (text[length - 1] == '.') {
        length--;
    }
    strbuf_append(out, text, (size_t)length);
}

static void put_point(struct strbuf *out, const char *command, double x, double y)
{
    strbuf_puts(out, command);
    put_coordinate(out, x);
    strbuf_putc(out, ',');
    put_coordinate(out, y);
}

/* ---- axes ---- */

struct range {
    double low, high; /* low > high: nothing yet */
};

static void widen(struct range *range, double value)
{
    if (!isfinite(value)) {
        return;
    }
    range->low = fmin(range->low, value);
    range->high = fmax(range->high, value);
}

static bool is_empty(const struct range *range)
{
    return range->low > range->high;
}

/* The height of the stack at each x; `x` counts categories. */
static double stack_height(const struct chart *chart, size_t series_count, double x)
{
    double height = 0;
    for (size_t s = 0; s < series_count; s++) {
        for (size_t i = 0; i < chart->series[s].curve->count; i++) {
            if (chart->series[s].curve->points[i].x == x && isfinite(chart->series[s].curve->points[i].y)) {
                height += chart->series[s].curve->points[i].y;
            }
        }
    }
    return height;
}

static void find_ranges(const struct chart *chart, struct range *x, struct range *y)
{
    for (size_t s = 0; s < chart->count; s++) {
        const struct curve *curve = chart->series[s].curve;
        for (size_t i = 0; i < curve->count; i++) {
            const struct curve_point *point = &curve->points[i];
            widen(x, point->x);
            if (!isfinite(point->y)) {
                continue;
            }
            widen(y, point->y);
            widen(y, point->low);
            widen(y, point->high);
            if (chart->stacked) {
                widen(y, stack_height(chart, chart->count, point->x));
            }
        }
    }
}

/* The least distance between two neighbouring x of bars; 1 where there is one only. */
static double bar_distance(const struct chart *chart)
{
    double least = INFINITY;
    for (size_t s = 0; s < chart->count; s++) {
        const struct curve *curve = chart->series[s].curve;
        for (size_t i = 1; chart->series[s].mark == CHART_BARS && i < curve->count; i++) {
            double distance = fabs(curve->points[i].x - curve->points[i - 1].x);
            if (distance > 0) {
                least = fmin(least, distance);
            }
        }
    }
    return isfinite(least) ? least : 1;
}

/* False where there is nothing to draw. */
static bool fit_axes(struct drawing *drawing)
{
    const struct chart *chart = drawing->chart;
    struct range x = {INFINITY, -INFINITY}, y = x;
    bool bars = false, points = false, whole = true;
    find_ranges(chart, &x, &y);
    if (is_empty(&x) || is_empty(&y)) {
        return false;
    }
    for (size_t s = 0; s < chart->count; s++) {
        bars |= chart->series[s].mark == CHART_BARS;
        points |= chart->series[s].mark == CHART_POINTS;
        drawing->bar_series += chart->series[s].mark == CHART_BARS;
        for (size_t i = 0; whole && i < chart->series[s].curve->count; i++) {
            whole = chart->series[s].curve->points[i].x == trunc(chart->series[s].curve->points[i].x);
        }
    }
    double distance = bars ? bar_distance(chart) : 1;
    if (chart->categories) {
        x = (struct range){-0.5, (double)chart->category_count - 0.5};
    } else if (bars) {
        x = (struct range){x.low - distance / 2, x.high + distance / 2};
    } else if (points) {
        double space = (x.high - x.low) / 25; /* the dots at the ends are to be whole */
        x = (struct range){x.low - space, x.high + space};
    }
    drawing->x = axis_fit(x.low, x.high, X_TICKS, AXIS_EXACT | (whole ? AXIS_WHOLE : 0));
    drawing->y = axis_fit(y.low, y.high, Y_TICKS, bars ? AXIS_ZERO : chart->y_how);
    drawing->bar_width = 0.8 * distance / (drawing->x.high - drawing->x.low) * (RIGHT - LEFT);
    return true;
}

static void draw_y_axis(struct drawing *drawing)
{
    char label[AXIS_LABEL_SIZE];
    for (int i = 0; i < drawing->y.tick_count; i++) {
        double y = place_y(drawing, drawing->y.ticks[i]);
        axis_label(label, &drawing->y, drawing->y.ticks[i]);
        strbuf_printf(drawing->out,
                      "<path class=\"%s\" d=\"M%d,%.1fH%d\"/><text class=\"end\" x=\"%d\" y=\"%.1f\">%s</text>\n",
                      drawing->y.ticks[i] == 0 ? "zero" : "grid", LEFT, y, RIGHT, LEFT - 6, y + 4, label);
    }
}

static void draw_x_axis(struct drawing *drawing)
{
    char label[AXIS_LABEL_SIZE];
    for (int i = 0; i < drawing->x.tick_count; i++) {
        double x = place_x(drawing, drawing->x.ticks[i]);
        axis_label(label, &drawing->x, drawing->x.ticks[i]);
        strbuf_printf(drawing->out,
                      "<path class=\"tick\" d=\"M%.1f,%dv4\"/><text class=\"middle\" x=\"%.1f\" y=\"%d\">%s</text>\n",
                      x, BOTTOM, x, BOTTOM + 17, label);
    }
}

/* As many names as fit, each cut to the room it has. */
static void draw_categories(struct drawing *drawing)
{
    const struct chart *chart = drawing->chart;
    double space = (double)(RIGHT - LEFT) / (double)chart->category_count / LETTER;
    size_t longest = 1, every = 1;
    for (size_t i = 0; i < chart->category_count; i++) {
        longest = max(longest, strlen(chart->categories[i]));
    }
    longest = min(longest, LABEL_MAX);
    if (space < (double)longest + 1 && space < 8) {
        every = (size_t)ceil((double)(longest + 1) / space);
    }
    for (size_t i = 0; i < chart->category_count; i += every) {
        const char *name = chart->categories[i];
        size_t fits = (size_t)(space * (double)every), length = strlen(name);
        bool cut = length > fits;
        strbuf_printf(drawing->out, "<text class=\"middle\" x=\"%.1f\" y=\"%d\"><title>", place_x(drawing, (double)i),
                      BOTTOM + 17);
        html_puts(drawing->out, name);
        strbuf_puts(drawing->out, "</title>");
        html_text(drawing->out, name, cut ? utf8_cut(name, length, fits - 1) : length, length);
        strbuf_puts(drawing->out, cut ? "…</text>\n" : "</text>\n");
    }
}

/* ---- marks ---- */

static void draw_whiskers(struct drawing *drawing, const struct curve *curve, double shift)
{
    strbuf_puts(drawing->out, "<path class=\"whisker\" d=\"");
    for (size_t i = 0; i < curve->count; i++) {
        const struct curve_point *point = &curve->points[i];
        if (!isfinite(point->y) || !isfinite(point->low) || !isfinite(point->high)) {
            continue;
        }
        double x = place_x(drawing, point->x) + shift;
        put_point(drawing->out, "M", x, place_y(drawing, point->low));
        strbuf_puts(drawing->out, "V");
        put_coordinate(drawing->out, place_y(drawing, point->high));
    }
    strbuf_puts(drawing->out, "\"/>\n");
}

static bool has_bounds(const struct curve *curve)
{
    for (size_t i = 0; i < curve->count; i++) {
        if (isfinite(curve->points[i].low) && isfinite(curve->points[i].high)) {
            return true;
        }
    }
    return false;
}

/* The area between the bounds, a piece for each stretch of points that have them. */
static void draw_band(struct drawing *drawing, const struct curve *curve)
{
    strbuf_puts(drawing->out, "<path class=\"band\" d=\"");
    for (size_t from = 0, to; from < curve->count; from = to + 1) {
        for (to = from; to < curve->count && isfinite(curve->points[to].low) && isfinite(curve->points[to].high);
             to++) {
            put_point(drawing->out, to == from ? "M" : "L", place_x(drawing, curve->points[to].x),
                      place_y(drawing, curve->points[to].high));
        }
        for (size_t i = to; i-- > from;) {
            put_point(drawing->out, "L", place_x(drawing, curve->points[i].x), place_y(drawing, curve->points[i].low));
        }
        strbuf_puts(drawing->out, to > from ? "Z" : "");
    }
    strbuf_puts(drawing->out, "\"/>\n");
}

static bool is_gap(const struct curve *curve, size_t i)
{
    return i >= curve->count || isnan(curve->points[i].y);
}

/* A point between two gaps is drawn as a dot: a line of no length, with round ends. */
static void put_path(struct drawing *drawing, const struct curve *curve, enum chart_mark mark)
{
    for (size_t i = 0; i < curve->count; i++) {
        if (is_gap(curve, i)) {
            continue;
        }
        bool first = mark == CHART_POINTS || i == 0 || is_gap(curve, i - 1);
        put_point(drawing->out, first ? "M" : "L", place_x(drawing, curve->points[i].x),
                  place_y(drawing, curve->points[i].y));
        if (first && (mark == CHART_POINTS || is_gap(curve, i + 1))) {
            strbuf_puts(drawing->out, "h0");
        }
    }
}

static void begin_path(struct drawing *drawing, const struct chart_series *series, const char *classes)
{
    strbuf_printf(drawing->out, "<path class=\"%s\" data-name=\"", classes);
    html_puts(drawing->out, series->name);
    strbuf_puts(drawing->out, "\" d=\"");
}

static void draw_bars(struct drawing *drawing, size_t index, size_t bar_index)
{
    const struct chart *chart = drawing->chart;
    const struct chart_series *series = &chart->series[index];
    double width = chart->stacked ? drawing->bar_width : drawing->bar_width / (double)drawing->bar_series;
    double shift = chart->stacked ? 0 : ((double)bar_index + 0.5) * width - drawing->bar_width / 2;
    for (size_t i = 0; i < series->curve->count; i++) {
        const struct curve_point *point = &series->curve->points[i];
        if (!isfinite(point->y)) {
            continue;
        }
        double base = chart->stacked ? stack_height(chart, index, point->x) : 0;
        double one = place_y(drawing, base), other = place_y(drawing, base + point->y);
        char value[AXIS_LABEL_SIZE];
        axis_number(value, point->y);
        strbuf_puts(drawing->out, "<rect class=\"bar\" x=\"");
        put_coordinate(drawing->out, place_x(drawing, point->x) + shift - width / 2);
        strbuf_puts(drawing->out, "\" y=\"");
        put_coordinate(drawing->out, fmin(one, other));
        strbuf_puts(drawing->out, "\" width=\"");
        put_coordinate(drawing->out, width);
        strbuf_puts(drawing->out, "\" height=\"");
        put_coordinate(drawing->out, fabs(one - other));
        strbuf_puts(drawing->out, "\"><title>");
        html_puts(drawing->out, series->name);
        strbuf_printf(drawing->out, ": %s</title></rect>\n", value);
    }
    if (!chart->stacked && has_bounds(series->curve)) {
        draw_whiskers(drawing, series->curve, shift);
    }
}

static int draw_line(struct drawing *drawing, const struct chart_series *series, struct err *err)
{
    struct curve thin = {0}, mean = {0};
    size_t window = series->smooth ? chart_window(series->curve->count) : 0;
    int result = curve_thin(&thin, series->curve, CURVE_DRAWN_POINTS, err);
    if (result == 0 && window) {
        result = curve_smooth(&mean, series->curve, window, CURVE_DRAWN_POINTS / 4, err);
    }
    if (result == 0) {
        if (has_bounds(&thin)) {
            draw_band(drawing, &thin);
        }
        begin_path(drawing, series, window ? "line faint" : "line");
        put_path(drawing, &thin, CHART_LINE);
        strbuf_puts(drawing->out, "\"/>\n");
        if (window || thin.count <= DOTTED_TO) {
            strbuf_printf(drawing->out, "<path class=\"%s\" d=\"", window ? "line" : "dots small");
            put_path(drawing, window ? &mean : &thin, window ? CHART_LINE : CHART_POINTS);
            strbuf_puts(drawing->out, "\"/>\n");
        }
    }
    curve_free(&thin);
    curve_free(&mean);
    return result;
}

static void draw_points(struct drawing *drawing, const struct chart_series *series)
{
    if (has_bounds(series->curve)) {
        draw_whiskers(drawing, series->curve, 0);
    }
    begin_path(drawing, series, "dots");
    put_path(drawing, series->curve, CHART_POINTS);
    strbuf_puts(drawing->out, "\"/>\n");
}

static int draw_series(struct drawing *drawing, struct err *err)
{
    size_t bar_index = 0;
    int result = 0;
    for (size_t s = 0; result == 0 && s < drawing->chart->count; s++) {
        const struct chart_series *series = &drawing->chart->series[s];
        strbuf_puts(drawing->out, "<g class=\"");
        chart_colour_class(drawing->out, series->colour);
        strbuf_puts(drawing->out, "\">\n");
        if (series->mark == CHART_BARS) {
            draw_bars(drawing, s, bar_index++);
        } else if (series->mark == CHART_POINTS) {
            draw_points(drawing, series);
        } else {
            result = draw_line(drawing, series, err);
        }
        strbuf_puts(drawing->out, "</g>\n");
    }
    return result;
}

/* ---- the whole ---- */

static void begin_svg(struct drawing *drawing)
{
    const struct axis *x = &drawing->x, *y = &drawing->y;
    strbuf_printf(drawing->out, "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    html_puts(drawing->out, drawing->chart->title);
    strbuf_printf(drawing->out, "\" data-x=\"%.17g %.17g\" data-y=\"%.17g %.17g\"%s data-label=\"", x->low, x->high,
                  y->low, y->high, y->log ? " data-log=\"\"" : "");
    html_puts(drawing->out, drawing->chart->x_label);
    strbuf_printf(drawing->out, "\">\n<rect class=\"plot\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n", LEFT, TOP,
                  RIGHT - LEFT, BOTTOM - TOP);
}

int chart_draw(struct strbuf *out, const struct chart *chart, struct err *err)
{
    struct drawing drawing = {.out = out, .chart = chart};
    if (!fit_axes(&drawing)) {
        strbuf_puts(out, "<p class=\"nothing\">There is no finite value to draw.</p>\n");
        return 0;
    }
    begin_svg(&drawing);
    draw_y_axis(&drawing);
    if (chart->categories) {
        draw_categories(&drawing);
    } else {
        draw_x_axis(&drawing);
    }
    strbuf_printf(out, "<text class=\"end name\" x=\"%d\" y=\"%d\">", RIGHT, BOTTOM + 32);
    html_puts(out, chart->x_label);
    strbuf_puts(out, "</text>\n");
    int result = draw_series(&drawing, err);
    strbuf_puts(out, "</svg>\n");
    return result;
}

int chart_spark(struct strbuf *out, const struct curve *curve, struct err *err)
{
    struct curve thin = {0};
    struct range x = {INFINITY, -INFINITY}, y = x;
    int result = curve_thin(&thin, curve, 100, err);
    for (size_t i = 0; i < thin.count; i++) {
        widen(&x, thin.points[i].x);
        widen(&y, thin.points[i].y);
    }
    if (result == 0 && !is_empty(&y) && x.high > x.low) {
        double height = y.high > y.low ? y.high - y.low : 1;
        bool first = true;
        strbuf_puts(out,
                    "<svg class=\"spark\" viewBox=\"0 0 100 24\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
                    "<path d=\"");
        for (size_t i = 0; i < thin.count; i++) {
            if (isnan(thin.points[i].y)) {
                continue;
            }
            put_point(out, first ? "M" : "L", 100 * (thin.points[i].x - x.low) / (x.high - x.low),
                      22 - 20 * (thin.points[i].y - y.low) / height);
            first = false;
        }
        strbuf_puts(out, "\"/></svg>");
    }
    curve_free(&thin);
    return result;
}
