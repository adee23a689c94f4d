/* report/figures.c - the figures of internal.h, from figures.json (report/report.h has its form). */
#include "base/file.h"
#include "base/mem.h"
#include "report/internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FIGURES_FILE_MAX ((size_t)64 << 20)
#define SERIES_MAX       ((size_t)24)
#define CATEGORIES_MAX   ((size_t)200)
#define BARS_MAX         ((size_t)2000)
#define CELL_MAX         ((size_t)400)
#define BODY_MAX         ((size_t)20000)
#define WHERE_MAX        600

struct figure {
    const json_t *root;
    const char *where; /* "runs/x/figures.json: figure 2 ('Calibration')" */
    struct chart_series series[SERIES_MAX];
    struct curve curves[SERIES_MAX];
    size_t count;
    const char *categories[CATEGORIES_MAX];
    size_t category_count;
    bool by_category;
};

/* ---- charts ---- */

/* The place of a text on the axis, a new one at its end. */
static int category_of(struct figure *figure, const char *name, double *x, struct err *err)
{
    size_t i = 0;
    while (i < figure->category_count && strcmp(figure->categories[i], name) != 0) {
        i++;
    }
    if (i == CATEGORIES_MAX) {
        return err_set(err, "%s: more than %zu different texts as x; give numbers", figure->where, CATEGORIES_MAX);
    }
    if (i == figure->category_count) {
        figure->categories[figure->category_count++] = name;
    }
    *x = (double)i;
    return 0;
}

static int read_x(struct figure *figure, const json_t *value, bool very_first, double *x, struct err *err)
{
    if (very_first) {
        figure->by_category = json_is_string(value);
    }
    if (figure->by_category != json_is_string(value) || !(json_is_string(value) || json_is_number(value))) {
        return err_set(err, "%s: x must be a number in all points, or a text in all of them", figure->where);
    }
    if (figure->by_category) {
        return category_of(figure, json_string_value(value), x, err);
    }
    *x = json_number_value(value);
    return 0;
}

/* The number at `index` of a list that may be absent; NaN for null. */
static int read_bound(const struct figure *figure, const json_t *series, const char *name, size_t index, double *out,
                      struct err *err)
{
    const json_t *list = json_object_get(series, name);
    if (!list || json_is_null(list)) {
        return 0;
    }
    if (!json_is_array(list) || json_array_size(list) != json_array_size(json_object_get(series, "points"))) {
        return err_set(err, "%s: \"%s\" must be a list with as many numbers as there are points", figure->where, name);
    }
    const json_t *value = json_array_get(list, index);
    if (!json_is_number(value) && !json_is_null(value)) {
        return err_set(err, "%s: \"%s\" holds something that is no number", figure->where, name);
    }
    *out = json_is_null(value) ? NAN : json_number_value(value);
    return 0;
}

static int read_points(struct figure *figure, const json_t *series, struct curve *curve, struct err *err)
{
    const json_t *points = json_object_get(series, "points");
    if (!json_is_array(points)) {
        return err_set(err, "%s: a series needs \"points\": [[x, y], ...]", figure->where);
    }
    for (size_t i = 0; i < json_array_size(points); i++) {
        const json_t *pair = json_array_get(points, i), *y = json_array_get(pair, 1);
        struct curve_point point = {.y = NAN, .low = NAN, .high = NAN};
        if (json_array_size(pair) != 2 || !(json_is_number(y) || json_is_null(y))) {
            return err_set(err, "%s: a point must be [x, y] with a number or null as y", figure->where);
        }
        if (json_is_number(y)) {
            point.y = json_number_value(y);
        }
        if (read_x(figure, json_array_get(pair, 0), figure->count == 0 && i == 0, &point.x, err) != 0 ||
            read_bound(figure, series, "low", i, &point.low, err) != 0 ||
            read_bound(figure, series, "high", i, &point.high, err) != 0 || curve_add(curve, point, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_mark(const struct figure *figure, const json_t *series, enum chart_mark *mark, struct err *err)
{
    static const char *const names[] = {[CHART_LINE] = "line", [CHART_BARS] = "bars", [CHART_POINTS] = "points"};
    const char *text = "line";
    if (json_get_string(series, "mark", &text, figure->where, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], text) == 0) {
            *mark = (enum chart_mark)i;
            return 0;
        }
    }
    return err_set(err, "%s: \"mark\" must be line, bars or points, not '%s'", figure->where, text);
}

static int read_series(struct figure *figure, const json_t *series, struct err *err)
{
    if (figure->count == SERIES_MAX) {
        return err_set(err, "%s: more than %zu series", figure->where, SERIES_MAX);
    }
    struct chart_series *drawn = &figure->series[figure->count];
    struct curve *curve = &figure->curves[figure->count];
    *drawn = (struct chart_series){.name = "", .curve = curve, .colour = figure->count};
    if (json_get_string(series, "name", &drawn->name, figure->where, err) != 0 ||
        read_mark(figure, series, &drawn->mark, err) != 0 || read_points(figure, series, curve, err) != 0) {
        return -1;
    }
    if (drawn->mark != CHART_LINE && curve->count > BARS_MAX) {
        return err_set(err, "%s: more than %zu bars or points; draw fewer, or a line", figure->where, BARS_MAX);
    }
    figure->count++;
    return 0;
}

static void put_keys(struct strbuf *out, const struct figure *figure)
{
    strbuf_puts(out, "<div class=\"keys\">");
    for (size_t i = 0; i < figure->count; i++) {
        strbuf_puts(out, "<span><i class=\"key ");
        chart_colour_class(out, i);
        strbuf_puts(out, "\"></i>");
        html_puts(out, figure->series[i].name);
        strbuf_puts(out, "</span>");
    }
    strbuf_puts(out, "</div>\n");
}

static int put_chart(struct strbuf *out, struct figure *figure, const char *title, struct err *err)
{
    struct chart chart = {.title = title, .x_label = "", .series = figure->series};
    const char *y_label = "";
    const json_t *series = json_object_get(figure->root, "series");
    if (!json_is_array(series)) {
        return err_set(err, "%s: a chart needs \"series\": [...]", figure->where);
    }
    if (json_get_string(figure->root, "x", &chart.x_label, figure->where, err) != 0 ||
        json_get_string(figure->root, "y", &y_label, figure->where, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < json_array_size(series); i++) {
        if (read_series(figure, json_array_get(series, i), err) != 0) {
            return -1;
        }
    }
    chart.count = figure->count;
    if (figure->by_category) {
        chart.categories = figure->categories;
        chart.category_count = figure->category_count;
    }
    if (figure->count > 1) {
        put_keys(out, figure);
    }
    if (*y_label) {
        strbuf_puts(out, "<p class=\"axis\">");
        html_puts(out, y_label);
        strbuf_puts(out, "</p>\n");
    }
    return chart_draw(out, &chart, err);
}

/* ---- tables and texts ---- */

/* A row. Cells stand to the right where those of `like`, a row of the table, are numbers. */
static int put_cells(struct strbuf *out, const struct figure *figure, const char *tag, const json_t *cells,
                     const json_t *like, struct err *err)
{
    strbuf_puts(out, "<tr>");
    for (size_t i = 0; i < json_array_size(cells); i++) {
        const json_t *cell = json_array_get(cells, i);
        bool plain = json_is_string(cell) || json_is_number(cell) || json_is_null(cell);
        if (!plain) {
            return err_set(err, "%s: a cell must be a text, a number or null", figure->where);
        }
        bool number = json_is_number(json_array_get(like, i));
        strbuf_printf(out, "<%s%s>", tag, number ? " class=\"number\"" : "");
        if (!json_is_null(cell) && html_json(out, cell, CELL_MAX, err) != 0) {
            return -1;
        }
        strbuf_printf(out, "</%s>", tag);
    }
    strbuf_puts(out, "</tr>\n");
    return 0;
}

static int put_table(struct strbuf *out, const struct figure *figure, struct err *err)
{
    const json_t *columns = json_object_get(figure->root, "columns"), *rows = json_object_get(figure->root, "rows");
    if (!json_is_array(columns) || !json_is_array(rows)) {
        return err_set(err, "%s: a table needs \"columns\": [...] and \"rows\": [[...], ...]", figure->where);
    }
    strbuf_puts(out, "<div class=\"scroll\"><table>\n");
    if (put_cells(out, figure, "th", columns, json_array_get(rows, 0), err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (!json_is_array(row) || json_array_size(row) != json_array_size(columns)) {
            return err_set(err, "%s: row %zu must be a list with as many cells as there are columns", figure->where,
                           i + 1);
        }
        if (put_cells(out, figure, "td", row, row, err) != 0) {
            return -1;
        }
    }
    strbuf_puts(out, "</table></div>\n");
    return 0;
}

static int put_texts(struct strbuf *out, const struct figure *figure, struct err *err)
{
    const json_t *items = json_object_get(figure->root, "items");
    if (!json_is_array(items)) {
        return err_set(err, "%s: texts need \"items\": [...]", figure->where);
    }
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        const char *heading = NULL, *body = NULL;
        if (json_need_string(item, "heading", &heading, figure->where, err) != 0 ||
            json_need_string(item, "body", &body, figure->where, err) != 0) {
            return -1;
        }
        strbuf_puts(out, "<details><summary>");
        html_puts(out, heading);
        strbuf_puts(out, "</summary><div class=\"answer\"><div class=\"text\">");
        html_text(out, body, json_string_length(json_object_get(item, "body")), BODY_MAX);
        strbuf_puts(out, "</div></div></details>\n");
    }
    return 0;
}

/* ---- the figures ---- */

static int put_figure(struct strbuf *out, struct figure *figure, struct err *err)
{
    const char *kind = NULL, *title = NULL, *text = "";
    int result;
    if (json_need_string(figure->root, "kind", &kind, figure->where, err) != 0 ||
        json_need_string(figure->root, "title", &title, figure->where, err) != 0 ||
        json_get_string(figure->root, "text", &text, figure->where, err) != 0) {
        return -1;
    }
    strbuf_printf(out, "<figure%s>\n<figcaption><h3>", strcmp(kind, "chart") == 0 ? "" : " class=\"whole\"");
    html_puts(out, title);
    strbuf_puts(out, "</h3><p class=\"why\">");
    html_puts(out, text);
    strbuf_puts(out, "</p></figcaption>\n");
    if (strcmp(kind, "chart") == 0) {
        result = put_chart(out, figure, title, err);
    } else if (strcmp(kind, "table") == 0) {
        result = put_table(out, figure, err);
    } else if (strcmp(kind, "texts") == 0) {
        result = put_texts(out, figure, err);
    } else {
        result = err_set(err, "%s: \"kind\" must be chart, table or texts, not '%s'", figure->where, kind);
    }
    strbuf_puts(out, "</figure>\n");
    return result;
}

static int put_figures(struct html_page *page, const json_t *figures, const char *path, struct err *err)
{
    struct figure *figure = mem_alloc(1, sizeof *figure, err);
    int result = figure ? 0 : -1;
    html_begin_section(page, "Figures");
    strbuf_puts(&page->body, "<div class=\"grid\">\n");
    for (size_t i = 0; result == 0 && i < json_array_size(figures); i++) {
        char where[WHERE_MAX];
        snprintf(where, sizeof where, "%.540s: figure %zu", path, i + 1);
        *figure = (struct figure){.root = json_array_get(figures, i), .where = where};
        result = put_figure(&page->body, figure, err);
        for (size_t s = 0; s < SERIES_MAX; s++) {
            curve_free(&figure->curves[s]);
        }
    }
    strbuf_puts(&page->body, "</div>\n");
    html_end_section(page);
    mem_free(figure);
    return result;
}

int report_add_figures(struct html_page *page, const struct report_data *data, struct err *err)
{
    char *path = file_join(data->folder, "figures.json", err);
    int result = path ? 0 : -1;
    if (path && file_exists(path)) {
        json_t *root = json_read_file(path, FIGURES_FILE_MAX, err);
        const json_t *figures = json_is_object(root) ? json_object_get(root, "figures") : NULL;
        if (!root) {
            result = -1;
        } else if (!json_is_array(figures)) {
            result = err_set(err, "%s: expected {\"figures\": [...]}", path);
        } else if (json_array_size(figures) > 0) {
            result = put_figures(page, figures, path, err);
        }
        json_decref(root);
    }
    mem_free(path);
    return result;
}
