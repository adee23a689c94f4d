/* report/data.c - see internal.h. */
#include "base/file.h"
#include "base/mem.h"
#include "report/internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* How messages call a line: "folder/metrics.jsonl:12". */
#define WHERE_MAX 600

static int read_record(const char *line, size_t length, const char *where, report_record *each, void *context,
                       struct err *err)
{
    json_t *record = json_read_text(line, length, where, err);
    int64_t step;
    if (!record) {
        return -1;
    }
    int result = json_is_object(record) ? json_need_int(record, "step", &step, 0, INT64_MAX, where, err)
                                        : err_set(err, "%s: this is no record of a run", where);
    if (result == 0) {
        result = each(context, record, step, where, err);
    }
    json_decref(record);
    return result;
}

int report_read_records(const char *path, report_record *each, void *context, struct err *err)
{
    struct file_map map;
    if (!file_exists(path)) {
        return 0;
    }
    if (file_map_open(&map, path, err) != 0) {
        return -1;
    }
    const char *text = (const char *)map.data;
    int result = 0;
    long long number = 1;
    for (size_t start = 0, length; result == 0 && start < map.size; start += length, number++) {
        const char *newline = memchr(text + start, '\n', map.size - start);
        if (!newline) {
            break; /* torn: the process was killed while it wrote */
        }
        length = (size_t)(newline - (text + start)) + 1;
        char where[WHERE_MAX];
        snprintf(where, sizeof where, "%.560s:%lld", path, number);
        result = read_record(text + start, length, where, each, context, err);
    }
    file_map_close(&map);
    return result;
}

char *report_base_name(const char *path, struct err *err)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') {
        end--;
    }
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    return mem_copy_string(path + start, end - start, err);
}

/* ---- metrics.jsonl ---- */

/* The index of a series; `guess` is where it stands if records are alike, as they mostly are. */
static size_t find_series(const struct report_data *data, const char *name, size_t guess)
{
    if (guess < data->series_count && strcmp(data->series[guess].name, name) == 0) {
        return guess;
    }
    size_t i = 0;
    while (i < data->series_count && strcmp(data->series[i].name, name) != 0) {
        i++;
    }
    return i;
}

static int add_series(struct report_data *data, const char *name, const char *where, struct err *err)
{
    if (data->series_count >= REPORT_SERIES_MAX) {
        return err_set(err, "%s: there are more than %zu names of metrics; is this a file of attune?", where,
                       REPORT_SERIES_MAX);
    }
    struct report_series *series =
        mem_grow(data->series, &data->series_capacity, data->series_count + 1, sizeof *series, err);
    if (!series) {
        return -1;
    }
    data->series = series;
    series[data->series_count].name = mem_copy_string(name, strlen(name), err);
    if (!series[data->series_count].name) {
        return -1;
    }
    data->series_count++;
    return 0;
}

static int add_metrics(void *context, json_t *record, int64_t step, const char *where, struct err *err)
{
    struct report_data *data = context;
    const char *name;
    json_t *value;
    size_t next = 0;
    data->last_step = step;
    json_object_foreach(record, name, value)
    {
        bool number = json_is_number(value);
        if (strcmp(name, "step") == 0 || !(number || json_is_null(value))) {
            continue;
        }
        if (strcmp(name, "epoch") == 0) {
            data->last_epoch = number ? json_number_value(value) : NAN;
            continue;
        }
        size_t i = find_series(data, name, next);
        if (i == data->series_count && add_series(data, name, where, err) != 0) {
            return -1;
        }
        struct curve_point point = {(double)step, number ? json_number_value(value) : NAN, NAN, NAN};
        if (curve_add(&data->series[i].curve, point, err) != 0) {
            return err_prefix(err, "%s: '%s'", where, name);
        }
        next = i + 1;
    }
    return 0;
}

const struct report_series *report_data_series(const struct report_data *data, const char *name)
{
    size_t i = find_series(data, name, 0);
    return i < data->series_count ? &data->series[i] : NULL;
}

double report_data_last(const struct report_data *data, const char *name)
{
    const struct report_series *series = report_data_series(data, name);
    const struct curve_point *last = series ? curve_last(&series->curve) : NULL;
    return last ? last->y : NAN;
}

/* ---- the folder ---- */

static int read_parts(struct report_data *data, const struct recipe_stages *stages, struct err *err)
{
    char *metrics = file_join(data->folder, "metrics.jsonl", err), *state = file_join(data->folder, "state.json", err);
    char *recipe = file_join(data->folder, "recipe.resolved.yaml", err);
    int result = metrics && state && recipe ? 0 : -1;
    if (result == 0 && !file_exists(metrics) && !file_exists(recipe)) {
        result =
            err_set(err,
                    "'%s' holds neither metrics.jsonl nor recipe.resolved.yaml, so it is no folder of a run; give the "
                    "output_dir of one",
                    data->folder);
    }
    if (result == 0) {
        data->finished = file_exists(state);
        result = report_recipe_read(&data->recipe, recipe, stages, err);
    }
    const struct recipe_stages own = {.items = &data->recipe.stage, .count = 1};
    metric_table_make(&data->metrics, data->recipe.stage ? &own : stages);
    if (result == 0) {
        result = report_read_records(metrics, add_metrics, data, err);
    }
    mem_free(metrics);
    mem_free(state);
    mem_free(recipe);
    return result;
}

int report_data_read(struct report_data *data, const char *folder, const struct recipe_stages *stages, struct err *err)
{
    *data = (struct report_data){.last_epoch = NAN};
    if (!file_is_dir(folder)) {
        return err_set(err, "there is no folder '%s'; give the output_dir of a run", folder);
    }
    data->folder = mem_copy_string(folder, strlen(folder), err);
    data->name = data->folder ? report_base_name(folder, err) : NULL;
    if (data->name && read_parts(data, stages, err) == 0) {
        return 0;
    }
    report_data_free(data);
    return -1;
}

void report_data_free(struct report_data *data)
{
    for (size_t i = 0; i < data->series_count; i++) {
        mem_free(data->series[i].name);
        curve_free(&data->series[i].curve);
    }
    mem_free(data->series);
    report_recipe_free(&data->recipe);
    mem_free(data->folder);
    mem_free(data->name);
    *data = (struct report_data){0};
}
