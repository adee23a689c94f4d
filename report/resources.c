/* report/resources.c - time, memory and recipe of internal.h. */
#include "base/file.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "report/internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PHASES_MAX 16 /* drawn; the others are in the table */
#define BARS_MAX   ((size_t)80)
#define LABEL_SIZE 24

#define MEMORY_FILE_MAX  ((size_t)1 << 20)
#define MEMORY_KINDS_MAX 32
#define MIB              (1024.0 * 1024.0)

/* ---- time ---- */

struct phases {
    const struct report_series *items[REPORT_SERIES_MAX]; /* "time/..." */
    size_t count;
    double total;  /* seconds of all of them */
    double *steps; /* [step_count] the steps of their records, ascending, each once */
    size_t step_count;
};

static int compare_reals(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int find_phases(struct phases *phases, const struct report_data *data, struct err *err)
{
    size_t points = 0, kept = 0;
    for (size_t i = 0; i < data->series_count; i++) {
        if (!metric_phase(data->series[i].name)) {
            continue;
        }
        phases->items[phases->count++] = &data->series[i];
        phases->total += curve_sum(&data->series[i].curve);
        points += data->series[i].curve.count;
    }
    if (points == 0) {
        return 0;
    }
    phases->steps = mem_alloc(points, sizeof *phases->steps, err);
    if (!phases->steps) {
        return -1;
    }
    for (size_t p = 0; p < phases->count; p++) {
        for (size_t i = 0; i < phases->items[p]->curve.count; i++) {
            phases->steps[phases->step_count++] = phases->items[p]->curve.points[i].x;
        }
    }
    qsort(phases->steps, phases->step_count, sizeof *phases->steps, compare_reals);
    for (size_t i = 0; i < phases->step_count; i++) {
        if (i == 0 || phases->steps[i] != phases->steps[i - 1]) {
            phases->steps[kept++] = phases->steps[i];
        }
    }
    phases->step_count = kept;
    return 0;
}

/* Makes the bars of one phase: each the mean over its records' steps. */
static int make_bars(struct curve *out, const struct phases *phases, const struct curve *curve, size_t bars,
                     struct err *err)
{
    size_t point = 0;
    for (size_t bar = 0; bar < bars; bar++) {
        size_t from = phases->step_count * bar / bars, to = phases->step_count * (bar + 1) / bars;
        double seconds = 0;
        for (; point < curve->count && curve->points[point].x <= phases->steps[to - 1]; point++) {
            seconds += isfinite(curve->points[point].y) ? curve->points[point].y : 0;
        }
        struct curve_point mean = {(double)bar, seconds / (double)(to - from), NAN, NAN};
        if (curve_add(out, mean, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int put_time_chart(struct strbuf *out, const struct phases *phases, struct err *err)
{
    struct curve curves[PHASES_MAX] = {{0}};
    struct chart_series series[PHASES_MAX];
    char labels[BARS_MAX][LABEL_SIZE];
    const char *categories[BARS_MAX];
    size_t drawn = min(phases->count, PHASES_MAX);
    size_t bars = min(phases->step_count, BARS_MAX);
    int result = 0;
    for (size_t bar = 0; bar < bars; bar++) {
        snprintf(labels[bar], LABEL_SIZE, "%.0f", phases->steps[phases->step_count * bar / bars]);
        categories[bar] = labels[bar];
    }
    for (size_t i = 0; result == 0 && i < drawn; i++) {
        series[i] = (struct chart_series){
            .name = metric_phase(phases->items[i]->name), .mark = CHART_BARS, .curve = &curves[i], .colour = i};
        result = make_bars(&curves[i], phases, &phases->items[i]->curve, bars, err);
    }
    struct chart chart = {.title = "Seconds of each record by phase",
                          .x_label = "step",
                          .categories = categories,
                          .category_count = bars,
                          .series = series,
                          .count = drawn,
                          .stacked = true};
    strbuf_puts(out, "<figure>\n<figcaption><h3>Each record <span class=\"unit\">seconds</span></h3>");
    if (phases->step_count > bars) {
        strbuf_printf(out, "<p>A bar is the mean of about %.0f records.</p>",
                      round((double)phases->step_count / (double)bars));
    }
    strbuf_puts(out, "</figcaption>\n");
    if (result == 0) {
        result = chart_draw(out, &chart, err);
    }
    strbuf_puts(out, "</figure>\n");
    for (size_t i = 0; i < drawn; i++) {
        curve_free(&curves[i]);
    }
    return result;
}

/* A bar as wide as the share. */
static void put_share(struct strbuf *out, double share, size_t colour)
{
    strbuf_printf(out, "<td class=\"number\">%.1f %%</td><td class=\"share\"><i class=\"", 100 * share);
    chart_colour_class(out, colour);
    strbuf_printf(out, "\" style=\"width: %.1f%%\"></i></td>", 100 * share);
}

static void put_time_table(struct strbuf *out, const struct phases *phases)
{
    strbuf_puts(out, "<div class=\"card\">\n<h3>The whole run</h3>\n<table class=\"wide\"><tr><th>phase</th><th "
                     "class=\"number\">total</th><th class=\"number\">share</th><th></th></tr>\n");
    for (size_t i = 0; i < phases->count; i++) {
        double sum = curve_sum(&phases->items[i]->curve);
        strbuf_puts(out, "<tr><td>");
        html_puts(out, metric_phase(phases->items[i]->name));
        strbuf_puts(out, "</td><td class=\"number\">");
        html_seconds(out, sum);
        strbuf_puts(out, "</td>");
        put_share(out, phases->total > 0 ? sum / phases->total : 0, i);
        strbuf_puts(out, "</tr>\n");
    }
    strbuf_puts(out, "<tr><td>all</td><td class=\"number\">");
    html_seconds(out, phases->total);
    strbuf_puts(out, "</td><td></td><td></td></tr>\n</table>\n</div>\n");
}

int report_add_time(struct html_page *page, const struct report_data *data, struct err *err)
{
    struct phases *phases = mem_alloc(1, sizeof *phases, err);
    int result = phases ? find_phases(phases, data, err) : -1;
    if (result == 0 && phases->step_count > 0) {
        html_begin_section(page, "Where the time went");
        strbuf_puts(&page->body, "<div class=\"grid\">\n");
        result = put_time_chart(&page->body, phases, err);
        put_time_table(&page->body, phases);
        strbuf_puts(&page->body, "</div>\n");
        html_end_section(page);
    }
    if (phases) {
        mem_free(phases->steps);
    }
    mem_free(phases);
    return result;
}

/* ---- memory ---- */

struct planned_memory {
    const char *names[MEMORY_KINDS_MAX];
    double bytes[MEMORY_KINDS_MAX];
    size_t count;
    double backward, total; /* backward: of the prepared weights; 0: none, or not known */
};

/* Borrows the names from `root`. */
static int parse_plan(struct planned_memory *plan, json_t *root, const char *where, struct err *err)
{
    const char *name;
    json_t *value, *kinds = json_is_object(root) ? json_object_get(root, "plan") : NULL;
    if (!json_is_object(kinds) || !json_is_number(json_object_get(root, "total"))) {
        return err_set(err, "%s: expected {\"plan\": {...}, \"total\": bytes}", where);
    }
    plan->total = json_number_value(json_object_get(root, "total"));
    plan->backward = json_number_value(json_object_get(root, "prepared_backward"));
    json_object_foreach(kinds, name, value)
    {
        if (!json_is_number(value) || json_number_value(value) < 0) {
            return err_set(err, "%s: \"%s\" of the plan must be a number of bytes", where, name);
        }
        if (json_number_value(value) == 0) {
            continue;
        }
        if (plan->count == MEMORY_KINDS_MAX) {
            return err_set(err, "%s: the plan has more than %d kinds of memory", where, MEMORY_KINDS_MAX);
        }
        plan->names[plan->count] = name;
        plan->bytes[plan->count++] = json_number_value(value);
    }
    return 0;
}

static void put_plan_bar(struct strbuf *out, const char *label, double bytes, double most)
{
    strbuf_printf(out, "<span>%s ", label);
    html_bytes(out, bytes);
    strbuf_printf(out, "</span><div class=\"plan%s\" style=\"width: %.1f%%\">", *label == 'p' ? "" : " measured",
                  100 * bytes / most);
}

static void put_plan(struct strbuf *out, const struct planned_memory *plan, double peak)
{
    double most = fmax(plan->total, isnan(peak) ? 0 : peak);
    most = most > 0 ? most : 1;
    strbuf_puts(out,
                "<div class=\"card\">\n<p class=\"why\">The plan is the most that the process will hold, made before "
                "its first step: what it holds by then (examples and program) and all that it will take. The peak is "
                "the most it has held.</p>\n<div class=\"against\">\n");
    put_plan_bar(out, "planned", plan->total, most);
    for (size_t i = 0; i < plan->count; i++) {
        strbuf_puts(out, "<i class=\"");
        chart_colour_class(out, i);
        strbuf_printf(out, "\" style=\"width: %.2f%%\" title=\"", 100 * plan->bytes[i] / plan->total);
        html_puts(out, plan->names[i]);
        strbuf_puts(out, ": ");
        html_bytes(out, plan->bytes[i]);
        strbuf_puts(out, "\"></i>");
    }
    strbuf_puts(out, "</div>\n");
    if (!isnan(peak)) {
        put_plan_bar(out, "measured", peak, most);
        strbuf_puts(out, "<i style=\"width: 100%\"></i></div>\n");
    }
    strbuf_puts(out, "</div>\n<table class=\"wide\"><tr><th>kind</th><th class=\"number\">planned</th><th "
                     "class=\"number\">share</th><th></th></tr>\n");
    for (size_t i = 0; i < plan->count; i++) {
        strbuf_puts(out, "<tr><td>");
        html_puts(out, plan->names[i]);
        strbuf_puts(out, "</td><td class=\"number\">");
        html_bytes(out, plan->bytes[i]);
        strbuf_puts(out, "</td>");
        put_share(out, plan->bytes[i] / plan->total, i);
        strbuf_puts(out, "</tr>\n");
    }
    strbuf_puts(out, "</table>\n");
    if (plan->backward > 0) {
        strbuf_puts(out, "<p class=\"why\">Of the prepared weights ");
        html_bytes(out, plan->backward);
        strbuf_puts(out, " are their second form, which the backward pass reads.</p>\n");
    }
    strbuf_puts(out, "</div>\n");
}

int report_add_memory(struct html_page *page, const struct report_data *data, struct err *err)
{
    char *path = file_join(data->folder, "memory.json", err);
    int result = path ? 0 : -1;
    if (path && file_exists(path)) {
        struct planned_memory plan = {0};
        json_t *root = json_read_file(path, MEMORY_FILE_MAX, err);
        result = root ? parse_plan(&plan, root, path, err) : -1;
        if (result == 0 && plan.count > 0) {
            html_begin_section(page, "Memory");
            put_plan(&page->body, &plan, report_data_last(data, "peak_memory_mib") * MIB);
            html_end_section(page);
        }
        json_decref(root);
    }
    mem_free(path);
    return result;
}

/* ---- recipe ---- */

static void put_key(struct strbuf *out, const struct report_key *key)
{
    strbuf_puts(out, "<tr><td><code>");
    html_puts(out, key->name);
    strbuf_puts(out, "</code></td><td><code>");
    html_puts(out, key->value);
    strbuf_puts(out, "</code></td><td class=\"quiet\">");
    html_puts(out, key->row ? key->row->help : "");
    strbuf_puts(out, "</td></tr>\n");
}

void report_add_recipe(struct html_page *page, const struct report_data *data)
{
    const struct report_recipe *recipe = &data->recipe;
    struct strbuf *out = &page->body;
    const char *title = NULL;
    if (recipe->count == 0) {
        return;
    }
    html_begin_section(page, "Recipe");
    strbuf_printf(out,
                  "<div class=\"card recipe scroll\"><details><summary>All %zu keys, as this run used them</summary>\n"
                  "<table>\n",
                  recipe->count);
    for (size_t i = 0; i < recipe->count; i++) {
        const char *group = recipe->keys[i].row ? recipe->keys[i].row->group : "Of another version";
        if (!title || strcmp(title, group) != 0) {
            strbuf_puts(out, "<tr><td colspan=\"3\"><h3>");
            html_puts(out, group);
            strbuf_puts(out, "</h3></td></tr>\n");
        }
        title = group;
        put_key(out, &recipe->keys[i]);
    }
    strbuf_puts(out, "</table></details></div>\n");
    html_end_section(page);
}
