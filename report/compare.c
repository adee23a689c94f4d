/* report/compare.c - several runs on one page; see report.h. */
#include "base/mem.h"
#include "report/internal.h"
#include "report/report.h"
#include <string.h>

struct run_comparison {
    struct report_data *runs; /* [count] */
    size_t count, read;
    const char **names;        /* [count] what the page calls them: the last part of the folder, or all of it */
    struct metric_table table; /* of all stages */
    const char **metrics;      /* what any of them measured: in the order of the table, then the others as they come */
    size_t metric_count;
    const char **keys; /* of any of their recipes, as they come */
    size_t key_count;
};

/* ---- reading ---- */

static int read_runs(struct run_comparison *comparison, const char *const *folders, size_t count,
                     const struct recipe_stages *stages, struct err *err)
{
    comparison->count = count;
    comparison->runs = mem_alloc(count, sizeof *comparison->runs, err);
    comparison->names = comparison->runs ? mem_alloc(count, sizeof *comparison->names, err) : NULL;
    if (!comparison->names) {
        return -1;
    }
    for (; comparison->read < count; comparison->read++) {
        if (report_data_read(&comparison->runs[comparison->read], folders[comparison->read], stages, err) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < count; i++) {
        comparison->names[i] = comparison->runs[i].name;
        for (size_t j = 0; j < count; j++) {
            if (j != i && strcmp(comparison->runs[i].name, comparison->runs[j].name) == 0) {
                comparison->names[i] = comparison->runs[i].folder;
            }
        }
    }
    return 0;
}

/* Whether a run before the n-th one measured `name`. */
static bool measured_before(const struct run_comparison *comparison, size_t n, const char *name)
{
    for (size_t r = 0; r < n; r++) {
        if (report_data_series(&comparison->runs[r], name)) {
            return true;
        }
    }
    return false;
}

static int list_metrics(struct run_comparison *comparison, struct err *err)
{
    size_t most = comparison->table.count;
    for (size_t r = 0; r < comparison->count; r++) {
        most += comparison->runs[r].series_count;
    }
    comparison->metrics = mem_alloc(most, sizeof *comparison->metrics, err);
    if (!comparison->metrics) {
        return -1;
    }
    for (size_t i = 0; i < comparison->table.count; i++) {
        const char *name = comparison->table.metrics[i].name->name;
        if (measured_before(comparison, comparison->count, name)) {
            comparison->metrics[comparison->metric_count++] = name;
        }
    }
    for (size_t r = 0; r < comparison->count; r++) {
        for (size_t i = 0; i < comparison->runs[r].series_count; i++) {
            const char *name = comparison->runs[r].series[i].name;
            if (!metric_find(&comparison->table, name) && !measured_before(comparison, r, name)) {
                comparison->metrics[comparison->metric_count++] = name;
            }
        }
    }
    return 0;
}

static int list_keys(struct run_comparison *comparison, struct err *err)
{
    size_t most = 1;
    for (size_t r = 0; r < comparison->count; r++) {
        most += comparison->runs[r].recipe.count;
    }
    comparison->keys = mem_alloc(most, sizeof *comparison->keys, err);
    if (!comparison->keys) {
        return -1;
    }
    for (size_t r = 0; r < comparison->count; r++) {
        for (size_t i = 0; i < comparison->runs[r].recipe.count; i++) {
            const char *name = comparison->runs[r].recipe.keys[i].name;
            bool known = false;
            for (size_t before = 0; !known && before < r; before++) {
                known = report_recipe_has(&comparison->runs[before].recipe, name);
            }
            if (!known) {
                comparison->keys[comparison->key_count++] = name;
            }
        }
    }
    return 0;
}

static void free_comparison(struct run_comparison *comparison)
{
    for (size_t i = 0; i < comparison->read; i++) {
        report_data_free(&comparison->runs[i]);
    }
    mem_free(comparison->runs);
    mem_free(comparison->names);
    mem_free(comparison->metrics);
    mem_free(comparison->keys);
}

static void put_run_heads(struct strbuf *out, const struct run_comparison *comparison, const char *class)
{
    for (size_t i = 0; i < comparison->count; i++) {
        strbuf_printf(out, "<th%s><i class=\"key ", class);
        chart_colour_class(out, i);
        strbuf_puts(out, "\"></i>");
        html_puts(out, comparison->names[i]);
        strbuf_puts(out, "</th>");
    }
}

/* ---- sections ---- */

/* The last value; of seconds by phase, their sum. */
static void put_result(struct strbuf *out, const struct report_data *run, const char *name)
{
    const struct report_series *series = report_data_series(run, name);
    if (metric_phase(name) && series) {
        html_seconds(out, curve_sum(&series->curve));
    } else {
        html_number(out, report_data_last(run, name));
    }
}

static void add_results(struct html_page *page, const struct run_comparison *comparison)
{
    struct strbuf *out = &page->body;
    html_begin_section(page, "What they ended with");
    strbuf_puts(out, "<div class=\"card scroll\"><table class=\"wide\">\n<tr><th>last value</th>");
    put_run_heads(out, comparison, " class=\"number\"");
    strbuf_puts(out, "</tr>\n<tr><td>step</td>");
    for (size_t r = 0; r < comparison->count; r++) {
        strbuf_puts(out, "<td class=\"number\">");
        html_number(out, (double)comparison->runs[r].last_step);
        strbuf_printf(out, "%s</td>", comparison->runs[r].finished ? "" : ", not finished");
    }
    strbuf_puts(out, "</tr>\n");
    for (size_t i = 0; i < comparison->metric_count; i++) {
        const char *name = comparison->metrics[i];
        strbuf_puts(out, "<tr><td>");
        html_puts(out, name);
        strbuf_puts(out, "</td>");
        for (size_t r = 0; r < comparison->count; r++) {
            strbuf_puts(out, "<td class=\"number\">");
            put_result(out, &comparison->runs[r], name);
            strbuf_puts(out, "</td>");
        }
        strbuf_puts(out, "</tr>\n");
    }
    strbuf_puts(out, "</table></div>\n");
    html_end_section(page);
}

static const char *value_of(const struct run_comparison *comparison, size_t run, const char *key)
{
    const char *value = report_recipe_value(&comparison->runs[run].recipe, key);
    return value ? value : "–";
}

static void add_differences(struct html_page *page, const struct run_comparison *comparison)
{
    struct strbuf *out = &page->body;
    bool any = false;
    html_begin_section(page, "How their recipes differ");
    strbuf_puts(out, "<div class=\"card scroll\">\n");
    for (size_t i = 0; i < comparison->key_count; i++) {
        const char *key = comparison->keys[i];
        bool differs = false;
        for (size_t a = 0, b = 1; b < comparison->count; b++) {
            if (comparison->runs[b].recipe.count == 0) {
                continue; /* its recipe is not there: nothing is known */
            }
            if (comparison->runs[a].recipe.count > 0) {
                differs |= strcmp(value_of(comparison, a, key), value_of(comparison, b, key)) != 0;
            }
            a = b;
        }
        if (!differs) {
            continue;
        }
        if (!any) {
            strbuf_puts(out, "<table class=\"wide\"><tr><th>key</th>");
            put_run_heads(out, comparison, "");
            strbuf_puts(out, "</tr>\n");
        }
        any = true;
        strbuf_puts(out, "<tr><td><code>");
        html_puts(out, key);
        strbuf_puts(out, "</code></td>");
        for (size_t r = 0; r < comparison->count; r++) {
            strbuf_puts(out, "<td><code>");
            html_puts(out, value_of(comparison, r, key));
            strbuf_puts(out, "</code></td>");
        }
        strbuf_puts(out, "</tr>\n");
    }
    strbuf_puts(out, any ? "</table></div>\n" : "<p>In no key.</p></div>\n");
    html_end_section(page);
}

static int put_curves(struct strbuf *out, const struct run_comparison *comparison, const char *name, struct err *err)
{
    struct chart_series series[REPORT_RUNS_MAX];
    const struct metric *metric = metric_find(&comparison->table, name);
    const struct metric_panel *panel = metric ? metric->panel : NULL;
    struct chart chart = {.title = name,
                          .x_label = "step",
                          .series = series,
                          .y_how = report_axis_how(panel ? panel->scale : METRIC_LINEAR)};
    for (size_t r = 0; r < comparison->count; r++) {
        const struct report_series *found = report_data_series(&comparison->runs[r], name);
        if (found) {
            series[chart.count++] = (struct chart_series){
                .name = comparison->names[r], .curve = &found->curve, .colour = r, .smooth = true};
        }
    }
    strbuf_puts(out, "<figure>\n<figcaption><h3>");
    html_puts(out, name);
    strbuf_printf(out, " <span class=\"unit\">%s</span></h3></figcaption>\n", panel ? panel->unit : "");
    report_put_legend(out, &chart);
    int result = chart_draw(out, &chart, err);
    strbuf_printf(out, "<p class=\"why\">%s</p>\n</figure>\n",
                  metric && metric->name->sentence ? metric->name->sentence : "");
    return result;
}

static int add_curves(struct html_page *page, const struct run_comparison *comparison, struct err *err)
{
    int result = 0;
    html_begin_section(page, "Curves");
    strbuf_puts(&page->body, "<div class=\"grid panels\">\n");
    for (size_t i = 0; result == 0 && i < comparison->metric_count; i++) {
        const struct metric *metric = metric_find(&comparison->table, comparison->metrics[i]);
        if (!metric || metric->name->role == METRIC_CURVE) { /* bounds are in the table */
            result = put_curves(&page->body, comparison, comparison->metrics[i], err);
        }
    }
    strbuf_puts(&page->body, "</div>\n");
    html_end_section(page);
    return result;
}

static void put_head(struct strbuf *out, const struct run_comparison *comparison, const char *title)
{
    strbuf_printf(out, "<h1>%s</h1>\n<div class=\"keys\">", title);
    for (size_t i = 0; i < comparison->count; i++) {
        strbuf_puts(out, "<span><i class=\"key ");
        chart_colour_class(out, i);
        strbuf_puts(out, "\"></i>");
        html_puts(out, comparison->names[i]);
        strbuf_puts(out, "</span>");
    }
    strbuf_puts(out, "</div>\n");
}

int report_compare(const char *const *folders, size_t count, const char *path, const struct recipe_stages *stages,
                   struct err *err)
{
    struct run_comparison comparison = {0};
    struct html_page page = {0};
    if (count < 2 || count > REPORT_RUNS_MAX) {
        return err_set(err, "a comparison is made of 2 to %zu runs, not of %zu", REPORT_RUNS_MAX, count);
    }
    metric_table_make(&comparison.table, stages);
    int result = read_runs(&comparison, folders, count, stages, err);
    if (result == 0) {
        result = list_metrics(&comparison, err) == 0 ? list_keys(&comparison, err) : -1;
    }
    if (result == 0) {
        put_head(&page.head, &comparison, "Runs compared");
        add_differences(&page, &comparison);
        add_results(&page, &comparison);
        result = add_curves(&page, &comparison, err);
    }
    if (result == 0) {
        result = html_write_page(path, "Runs compared", &page, err);
    }
    if (result != 0) {
        err_prefix(err, "cannot compare the runs");
    }
    html_free_page(&page);
    free_comparison(&comparison);
    return result;
}
