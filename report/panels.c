/* report/panels.c - the metrics of internal.h. */
#include "base/minmax.h"
#include "report/axis.h"
#include "report/internal.h"
#include <assert.h>
#include <math.h>
#include <string.h>

#define PANEL_CURVES_MAX 8
#define TILES_MAX        6

unsigned report_axis_how(enum metric_scale scale)
{
    return scale == METRIC_FROM_ZERO ? AXIS_ZERO : scale == METRIC_LOG ? AXIS_LOG : 0;
}

/* ---- legends ---- */

static void put_extreme(struct strbuf *out, const struct curve_point *point)
{
    strbuf_puts(out, "<td");
    if (point) {
        strbuf_printf(out, " title=\"at step %.0f\"", point->x);
    }
    strbuf_putc(out, '>');
    html_number(out, point ? point->y : NAN);
    strbuf_puts(out, "</td>");
}

static void put_legend_row(struct strbuf *out, const struct chart_series *series)
{
    const struct curve_point *last = curve_last(series->curve);
    strbuf_puts(out, "<tr><td><i class=\"key ");
    chart_colour_class(out, series->colour);
    strbuf_puts(out, "\"></i>");
    html_puts(out, series->name);
    strbuf_puts(out, "</td><td>");
    html_number(out, last ? last->y : NAN);
    strbuf_puts(out, "</td>");
    put_extreme(out, curve_lowest(series->curve));
    put_extreme(out, curve_highest(series->curve));
    strbuf_puts(out, "</tr>\n");
}

void report_put_legend(struct strbuf *out, const struct chart *chart)
{
    size_t window = 0;
    for (size_t i = 0; i < chart->count; i++) {
        size_t own = chart->series[i].smooth ? chart_window(chart->series[i].curve->count) : 0;
        window = max(window, own);
    }
    strbuf_puts(out, "<table class=\"legend\"><tr><th>");
    if (window) {
        strbuf_printf(out, "means of %zu records", window);
    }
    strbuf_puts(out, "</th><th>last</th><th>lowest</th><th>highest</th></tr>\n");
    for (size_t i = 0; i < chart->count; i++) {
        put_legend_row(out, &chart->series[i]);
    }
    strbuf_puts(out, "</table>\n");
}

/* ---- panels ---- */

/* The curve of a metric with its bounds, where those are measured. */
struct bounded {
    const struct metric *metric; /* NULL: not in the table */
    const char *name;
    struct curve curve;
    bool has_bounds;
};

/* The series that is the lower or upper bound of `name`, or NULL. */
static const struct report_series *find_bound(const struct report_data *data, const char *name, enum metric_role role)
{
    for (size_t i = 0; i < data->metrics.count; i++) {
        const struct metric_name *bound = data->metrics.metrics[i].name;
        if (bound->role == role && strcmp(bound->of, name) == 0) {
            return report_data_series(data, bound->name);
        }
    }
    return NULL;
}

/* Whether a series has a curve of its own; a bound whose metric is not there has one, too. */
static bool has_curve(const struct report_data *data, const struct metric_name *metric)
{
    return metric->role == METRIC_CURVE || !report_data_series(data, metric->of);
}

/* Fills in `low` or `high` from a series that has values at the same steps. */
static void join_bound(struct curve *curve, const struct report_series *bound, bool high)
{
    size_t at = 0;
    for (size_t i = 0; i < curve->count; i++) {
        while (at < bound->curve.count && bound->curve.points[at].x < curve->points[i].x) {
            at++;
        }
        if (at == bound->curve.count) {
            return;
        }
        if (bound->curve.points[at].x != curve->points[i].x) {
            continue;
        }
        *(high ? &curve->points[i].high : &curve->points[i].low) = bound->curve.points[at].y;
    }
}

static int make_bounded(struct bounded *out, const struct report_data *data, const struct report_series *series,
                        struct err *err)
{
    const struct report_series *low = find_bound(data, series->name, METRIC_LOW);
    const struct report_series *high = find_bound(data, series->name, METRIC_HIGH);
    *out = (struct bounded){.metric = metric_find(&data->metrics, series->name), .name = series->name};
    for (size_t i = 0; i < series->curve.count; i++) {
        if (curve_add(&out->curve, series->curve.points[i], err) != 0) {
            return -1;
        }
    }
    out->has_bounds = low && high;
    if (out->has_bounds) {
        join_bound(&out->curve, low, false);
        join_bound(&out->curve, high, true);
    }
    return 0;
}

static void put_panel_head(struct strbuf *out, const char *title, const char *unit)
{
    strbuf_puts(out, "<figure>\n<figcaption><h3>");
    html_puts(out, title);
    if (*unit) {
        strbuf_printf(out, " <span class=\"unit\">%s</span>", unit);
    }
    strbuf_puts(out, "</h3></figcaption>\n");
}

/* One panel from `count` curves. */
static int put_panel(struct strbuf *out, const char *title, const char *unit, enum metric_scale scale,
                     const struct bounded *curves, size_t count, struct err *err)
{
    struct chart_series series[PANEL_CURVES_MAX];
    struct chart chart = {
        .title = title, .x_label = "step", .series = series, .count = count, .y_how = report_axis_how(scale)};
    for (size_t i = 0; i < count; i++) {
        series[i] = (struct chart_series){
            .name = curves[i].name, .curve = &curves[i].curve, .colour = i, .smooth = !curves[i].has_bounds};
    }
    put_panel_head(out, title, unit);
    report_put_legend(out, &chart);
    if (chart_draw(out, &chart, err) != 0) {
        return -1;
    }
    strbuf_puts(out, "<div>\n");
    for (size_t i = 0; i < count; i++) {
        if (curves[i].metric && curves[i].metric->name->sentence) {
            strbuf_printf(out, "<p class=\"why\"><b>%s</b> %s</p>\n", curves[i].name, curves[i].metric->name->sentence);
        }
    }
    strbuf_puts(out, "</div>\n</figure>\n");
    return 0;
}

static int add_known_panel(struct html_page *page, const struct report_data *data, size_t panel, bool *any,
                           struct err *err)
{
    struct bounded curves[PANEL_CURVES_MAX];
    size_t count = 0;
    int result = 0;
    for (size_t i = 0; result == 0 && i < data->metrics.count; i++) {
        const struct metric *metric = &data->metrics.metrics[i];
        const struct report_series *series =
            metric->number == panel ? report_data_series(data, metric->name->name) : NULL;
        if (!series || !has_curve(data, metric->name)) {
            continue;
        }
        assert(count < PANEL_CURVES_MAX);
        result = make_bounded(&curves[count++], data, series, err);
    }
    const struct metric_panel *about = data->metrics.panels[panel];
    if (result == 0 && count > 0) {
        if (!*any) {
            html_begin_section(page, about->section);
            strbuf_puts(&page->body, "<div class=\"grid panels\">\n");
        }
        *any = true;
        result = put_panel(&page->body, about->title, about->unit, about->scale, curves, count, err);
    }
    for (size_t i = 0; i < count; i++) {
        curve_free(&curves[i].curve);
    }
    return result;
}

static void end_grid(struct html_page *page)
{
    strbuf_puts(&page->body, "</div>\n");
    html_end_section(page);
}

/* Names that the table does not know. */
static int add_other_panels(struct html_page *page, const struct report_data *data, struct err *err)
{
    bool any = false;
    for (size_t i = 0; i < data->series_count; i++) {
        const struct report_series *series = &data->series[i];
        if (metric_find(&data->metrics, series->name) || metric_phase(series->name)) {
            continue;
        }
        if (!any) {
            html_begin_section(page, "Other numbers");
            strbuf_puts(&page->body, "<div class=\"grid panels\">\n");
        }
        any = true;
        const struct bounded curve = {.name = series->name, .curve = series->curve};
        if (put_panel(&page->body, series->name, "", METRIC_LINEAR, &curve, 1, err) != 0) {
            return -1;
        }
    }
    if (any) {
        end_grid(page);
    }
    return 0;
}

int report_add_panels(struct html_page *page, const struct report_data *data, struct err *err)
{
    const struct metric_table *table = &data->metrics;
    for (size_t panel = 0, next; panel < table->panel_count; panel = next) {
        const char *section = table->panels[panel]->section;
        bool any = false;
        for (next = panel; next < table->panel_count && strcmp(table->panels[next]->section, section) == 0; next++) {
            if (add_known_panel(page, data, next, &any, err) != 0) {
                return -1;
            }
        }
        if (any) {
            end_grid(page);
        }
    }
    return add_other_panels(page, data, err);
}

/* ---- tiles ---- */

static int put_tile(struct strbuf *out, const struct report_data *data, const struct metric *metric,
                    const struct report_series *series, struct err *err)
{
    const struct report_series *low = find_bound(data, series->name, METRIC_LOW);
    const struct report_series *high = find_bound(data, series->name, METRIC_HIGH);
    const struct curve_point *first = series->curve.points, *last = curve_last(&series->curve);
    strbuf_printf(out, "<div class=\"card\"><span class=\"name\">%s</span><b>", metric->name->name);
    html_number(out, last->y);
    strbuf_puts(out, "</b><span class=\"name\">");
    if (metric->name->headline == METRIC_BESIDE_UNIT) {
        strbuf_puts(out, metric->panel->unit);
    } else if (low && high) {
        html_number(out, report_data_last(data, low->name));
        strbuf_puts(out, " to ");
        html_number(out, report_data_last(data, high->name));
    } else if (first != last && isfinite(first->y)) {
        html_number(out, first->y);
        strbuf_printf(out, " at step %.0f", first->x);
    }
    strbuf_puts(out, "</span>");
    if (chart_spark(out, &series->curve, err) != 0) {
        return -1;
    }
    strbuf_puts(out, "</div>\n");
    return 0;
}

int report_add_tiles(struct html_page *page, const struct report_data *data, struct err *err)
{
    int count = 0;
    for (size_t i = 0; i < data->metrics.count && count < TILES_MAX; i++) {
        const struct metric *metric = &data->metrics.metrics[i];
        const struct report_series *series = report_data_series(data, metric->name->name);
        if (metric->name->headline == METRIC_NO_HEADLINE || !series || !curve_last(&series->curve)) {
            continue;
        }
        strbuf_puts(&page->body, count++ == 0 ? "<div class=\"tiles\">\n" : "");
        if (put_tile(&page->body, data, metric, series, err) != 0) {
            return -1;
        }
    }
    strbuf_puts(&page->body, count ? "</div>\n" : "");
    return 0;
}
