#include "train/metrics.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/strbuf.h"

#include <assert.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

struct metrics {
    int file;
    char *path;
    struct strbuf record;
    struct strbuf timings;
    metrics_sink *sink; /* NULL: none */
    void *sink_context;
};

int metrics_open(struct metrics **out, const char *path, struct err *err)
{
    struct metrics *metrics = mem_alloc(1, sizeof *metrics, err);
    if (!metrics) {
        return -1;
    }
    metrics->file = -1;
    metrics->path = mem_copy_string(path, strlen(path), err);
    if (!metrics->path) {
        metrics_close(metrics);
        return -1;
    }
    metrics->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (metrics->file < 0) {
        err_set_errno(err, "cannot open '%s' to append metrics", path);
        metrics_close(metrics);
        return -1;
    }
    *out = metrics;
    return 0;
}

void metrics_close(struct metrics *metrics)
{
    if (!metrics) {
        return;
    }
    if (metrics->file >= 0) {
        close(metrics->file);
    }
    strbuf_free(&metrics->record);
    strbuf_free(&metrics->timings);
    mem_free(metrics->path);
    mem_free(metrics);
}

static void put_name(struct strbuf *out, const char *name)
{
    strbuf_puts(out, ", ");
    strbuf_put_json(out, name, strlen(name));
    strbuf_puts(out, ": ");
}

static void put_real(struct strbuf *out, const char *name, double value)
{
    char text[NUMBER_TEXT_SIZE] = "null";
    if (isfinite(value)) {
        number_format(text, value);
    }
    put_name(out, name);
    strbuf_puts(out, text);
}

void metrics_begin(struct metrics *metrics, int64_t step, double epoch)
{
    strbuf_clear(&metrics->record);
    strbuf_clear(&metrics->timings);
    strbuf_printf(&metrics->record, "{\"step\": %lld", (long long)step);
    put_real(&metrics->record, "epoch", epoch);
}

void metrics_real(struct metrics *metrics, const char *name, double value)
{
    put_real(&metrics->record, name, value);
}

void metrics_whole(struct metrics *metrics, const char *name, int64_t value)
{
    put_name(&metrics->record, name);
    strbuf_printf(&metrics->record, "%lld", (long long)value);
}

void metrics_text(struct metrics *metrics, const char *name, const char *value)
{
    put_name(&metrics->record, name);
    strbuf_put_json(&metrics->record, value, strlen(value));
}

void metrics_timing(struct metrics *metrics, const char *name, double value)
{
    put_real(&metrics->timings, name, value);
}

int metrics_end(struct metrics *metrics, struct err *err)
{
    struct strbuf *record = &metrics->record;
    assert(record->failed || record->length > 0); /* metrics_begin() came before */
    strbuf_append(record, strbuf_text(&metrics->timings), metrics->timings.length);
    strbuf_puts(record, "}\n");
    if (strbuf_check(&metrics->timings, err) != 0 || strbuf_check(record, err) != 0) {
        return -1;
    }
    if (file_append(metrics->file, metrics->path, record->data, record->length, err) != 0) {
        return -1;
    }
    int status = metrics->sink ? metrics->sink(metrics->sink_context, record->data, record->length, err) : 0;
    strbuf_clear(record);
    return status;
}

void metrics_set_sink(struct metrics *metrics, metrics_sink *sink, void *context)
{
    metrics->sink = sink;
    metrics->sink_context = context;
}

int metrics_sync(struct metrics *metrics, struct err *err)
{
    return file_sync(metrics->file, metrics->path, err);
}

/* The step of one line; 1 when the line is no record. */
static int step_of(const char *line, size_t length, const char *where, int64_t *step, struct err *err)
{
    json_t *record = json_read_text(line, length, where, err);
    if (!record) {
        return 1;
    }
    int status = json_is_object(record) ? json_need_int(record, "step", step, 0, INT64_MAX, where, err)
                                        : err_set(err, "%s: this is no metrics record", where);
    json_decref(record);
    return status == 0 ? 0 : 1;
}

/* Hands the lines to keep to *writer. */
static int write_kept(struct file_writer *writer, const struct file_map *map, const char *path, int64_t step,
                      struct err *err)
{
    const char *text = (const char *)map->data;
    int64_t number = 1;
    for (size_t start = 0, length; start < map->size; start += length, number++) {
        const char *newline = memchr(text + start, '\n', map->size - start);
        length = newline ? (size_t)(newline - (text + start)) + 1 : map->size - start;
        if (!newline) {
            break; /* torn: the process was killed while it wrote */
        }
        char where[512];
        int64_t at;
        snprintf(where, sizeof where, "%.480s:%lld", path, (long long)number);
        if (step_of(text + start, length, where, &at, err) != 0) {
            err_prefix(err, "cannot go on with the metrics of this run; mend the line or remove the file");
            return -1;
        }
        if (at <= step && file_write(writer, text + start, length, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int metrics_cut(const char *path, int64_t step, struct err *err)
{
    if (!file_exists(path)) {
        return 0;
    }
    struct file_map map;
    struct file_writer writer;
    if (file_map_open(&map, path, err) != 0) {
        return -1;
    }
    int status = file_write_begin(&writer, path, err);
    if (status == 0) {
        status = write_kept(&writer, &map, path, step, err);
        if (status == 0) {
            status = file_write_commit(&writer, err);
        }
        if (status != 0) {
            file_write_abort(&writer);
        }
    }
    file_map_close(&map);
    return status;
}
