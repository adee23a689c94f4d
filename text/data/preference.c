/* The reader: values of a file one by one, the format of the first, a queue of the records each gives. */
#include "text/data/preference.h"
#include "base/file.h"
#include "base/mem.h"
#include "text/data/internal.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

static const struct {
    const char *name;
    int (*parse)(const json_t *value, struct preference_queue *queue, struct err *err);
} formats[PREFERENCE_FORMATS] = {
    [PREFERENCE_AUTO] = {"auto", NULL},
    [PREFERENCE_TRL] = {"trl", preference_parse_trl},
    [PREFERENCE_TRL_IMPLICIT] = {"trl-implicit", preference_parse_trl},
    [PREFERENCE_SHAREGPT] = {"sharegpt", preference_parse_sharegpt},
    [PREFERENCE_HH] = {"hh", preference_parse_hh},
    [PREFERENCE_OASST] = {"oasst", preference_parse_oasst},
    [PREFERENCE_TLDR] = {"tldr", preference_parse_tldr},
    [PREFERENCE_ULTRAFEEDBACK] = {"ultrafeedback", preference_parse_ultrafeedback},
    [PREFERENCE_KTO] = {"kto", preference_parse_kto},
    [PREFERENCE_PAIRS] = {"pairs", preference_parse_pairs},
};

struct preference_reader {
    char *path;
    enum preference_format format;
    struct file_lines *lines; /* a .jsonl */
    struct strbuf array;      /* or the text of a JSON array, and how far it was read */
    size_t at;
    int64_t element;
    struct preference_queue queue;
    size_t next;   /* in the queue */
    bool rejected; /* the value after the queue's records was, for the reason kept here */
    struct err reason;
};

const char *preference_format_name(enum preference_format format)
{
    return formats[format].name;
}

int preference_format_find(enum preference_format *format, const char *name, struct err *err)
{
    struct strbuf names = {0};
    for (size_t i = 0; i < PREFERENCE_FORMATS; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            *format = (enum preference_format)i;
            strbuf_free(&names);
            return 0;
        }
        strbuf_printf(&names, "%s%s", i > 0 ? ", " : "", formats[i].name);
    }
    err_set(err, "unknown format '%s'; known are %s", name, strbuf_text(&names));
    strbuf_free(&names);
    return -1;
}

enum preference_format preference_reader_format(const struct preference_reader *reader)
{
    return reader->format;
}

static void clear_queue(struct preference_queue *queue)
{
    while (queue->count > 0) {
        preference_discard(queue);
    }
}

void preference_close(struct preference_reader *reader)
{
    if (reader != NULL) {
        clear_queue(&reader->queue);
        mem_free(reader->queue.records);
        file_lines_close(reader->lines);
        strbuf_free(&reader->array);
        mem_free(reader->path);
        mem_free(reader);
    }
}

/* Whether the first byte that is not white space opens an array. A file is opened twice, which a pipe would not
 * survive. */
static int starts_as_array(const char *path, bool *array, struct err *err)
{
    struct stat about;
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode)) {
        return err_set(err, "%s is a pipe or a device; save it to a file first", path);
    }
    struct file_lines *lines = NULL; /* says best what is wrong with a file that cannot be read */
    if (file_lines_open(&lines, path, err) != 0) {
        return -1;
    }
    file_lines_close(lines);
    gzFile file = gzopen(path, "rb");
    if (file == NULL) {
        return err_set_errno(err, "cannot open %s", path);
    }
    int byte;
    while ((byte = gzgetc(file)) >= 0 && isspace(byte)) {
    }
    *array = byte == '[';
    gzclose(file);
    return 0;
}

static void skip_space(struct preference_reader *reader)
{
    while (reader->at < reader->array.length && isspace((unsigned char)reader->array.data[reader->at])) {
        reader->at++;
    }
}

int preference_open(struct preference_reader **out, const char *path, enum preference_format format, struct err *err)
{
    bool array = false;
    if (starts_as_array(path, &array, err) != 0) {
        return -1;
    }
    struct preference_reader *reader = mem_alloc(1, sizeof *reader, err);
    if (reader == NULL) {
        return -1;
    }
    reader->format = format;
    reader->path = mem_copy_string(path, strlen(path), err);
    int result = reader->path == NULL ? -1
                 : array              ? file_read_gz(&reader->array, path, PREFERENCE_ARRAY_MAX, err)
                                      : file_lines_open(&reader->lines, path, err);
    if (result != 0) {
        preference_close(reader);
        return -1;
    }
    if (array) {
        skip_space(reader);
        reader->at++; /* the bracket */
    }
    *out = reader;
    return 0;
}

/* The next line that is not blank. */
static int next_line(struct preference_reader *reader, json_t **value, int64_t *line, struct err *err)
{
    const char *text = NULL;
    size_t length = 0;
    int got;
    while ((got = file_lines_next(reader->lines, &text, &length, err)) == 1) {
        size_t start = 0;
        while (start < length && isspace((unsigned char)text[start])) {
            start++;
        }
        if (start == length) {
            continue;
        }
        *line = file_lines_number(reader->lines);
        char where[32];
        snprintf(where, sizeof where, "line %lld", (long long)*line);
        *value = json_read_text(text, length, where, err);
        return *value == NULL ? PREFERENCE_REJECTED : 1;
    }
    return got;
}

static int next_element(struct preference_reader *reader, json_t **value, int64_t *line, struct err *err)
{
    skip_space(reader);
    if (reader->at < reader->array.length && reader->array.data[reader->at] == ',' && reader->element > 0) {
        reader->at++;
        skip_space(reader);
    }
    if (reader->at < reader->array.length && reader->array.data[reader->at] == ']') {
        return PREFERENCE_END;
    }
    *line = ++reader->element;
    size_t used;
    *value = json_read_first(reader->array.data + reader->at, reader->array.length - reader->at, &used, err);
    if (*value == NULL) {
        /* After broken JSON nobody can tell where the next element begins. */
        return err_prefix(err, "%s: element %lld of the array is no JSON", reader->path, (long long)reader->element);
    }
    reader->at += used;
    return 1;
}

static enum preference_format detect(const json_t *value)
{
    const json_t *prompt = json_object_get(value, "prompt"), *chosen = json_object_get(value, "chosen");
    if (json_object_get(value, "message_tree_id") != NULL || json_object_get(prompt, "replies") != NULL) {
        return PREFERENCE_OASST;
    }
    if (json_object_get(value, "summaries") != NULL) {
        return PREFERENCE_TLDR;
    }
    if (json_object_get(value, "completions") != NULL) {
        return PREFERENCE_ULTRAFEEDBACK;
    }
    if (json_object_get(value, "completion") != NULL && json_object_get(value, "label") != NULL) {
        return PREFERENCE_KTO;
    }
    if (chosen == NULL || json_object_get(value, "rejected") == NULL) {
        return PREFERENCE_AUTO;
    }
    if (json_object_get(value, "conversations") != NULL) {
        return PREFERENCE_SHAREGPT;
    }
    if (prompt != NULL) {
        return json_object_get(value, "tie") != NULL || json_object_get(value, "judgment") != NULL ? PREFERENCE_PAIRS
                                                                                                   : PREFERENCE_TRL;
    }
    return json_is_string(chosen) ? PREFERENCE_HH : PREFERENCE_TRL_IMPLICIT;
}

static double number_member(const json_t *value, const char *key)
{
    const json_t *number = json_object_get(value, key);
    return json_is_number(number) ? json_number_value(number) : NAN;
}

/* What a record of any format may have beside it. Ratings are those of UltraFeedback's binarized form. */
static int add_common(struct preference *record, const json_t *value, int64_t line, struct err *err)
{
    record->line = line;
    if (record->count == 2 && json_object_get(value, "chosen") != NULL) {
        record->margin = number_member(value, "margin");
        record->answers[0].score = number_member(value, "score_chosen");
        record->answers[1].score = number_member(value, "score_rejected");
    }
    return preference_copy_string(&record->split, value, "split", err);
}

static int parse_value(struct preference_reader *reader, const json_t *value, int64_t line, struct err *err)
{
    if (!json_is_object(value)) {
        return preference_reject(err, "a record is a JSON object");
    }
    if (reader->format == PREFERENCE_AUTO) {
        reader->format = detect(value);
    }
    if (reader->format == PREFERENCE_AUTO) {
        return preference_reject(
            err, "this looks like no preference format; name its format, one of those in docs/prefs.md");
    }
    int result = formats[reader->format].parse(value, &reader->queue, err);
    if (result != 0 && reader->queue.filling) {
        preference_discard(&reader->queue);
    }
    reader->queue.filling = false;
    for (size_t i = 0; i < reader->queue.count; i++) {
        if (add_common(&reader->queue.records[i], value, line, err) != 0) {
            return -1;
        }
    }
    return result;
}

/* Fills the queue from the next value: 1, 0 at the end, -1. A rejection is kept until the records before it are given
 * out. Want of memory is no fault of the record, whatever it made of it. */
static int refill(struct preference_reader *reader, struct err *err)
{
    json_t *value = NULL;
    int64_t line = 0;
    long failures = mem_failures();
    struct err reason;
    clear_queue(&reader->queue);
    reader->next = 0;
    int got = reader->lines != NULL ? next_line(reader, &value, &line, &reason)
                                    : next_element(reader, &value, &line, &reason);
    if (got == 1) {
        int result = parse_value(reader, value, line, &reason);
        json_decref(value);
        got = result == 0 ? 1 : result;
    }
    if (mem_failures() != failures) {
        return err_set(err, "%s: out of memory while reading its records; close other programs", reader->path);
    }
    if (got == PREFERENCE_REJECTED) {
        reader->rejected = true;
        err_set(&reader->reason, "%s:%lld: %s", reader->path, (long long)line, reason.text);
        return 1;
    }
    if (got < 0) {
        *err = reason;
    }
    return got;
}

int preference_next(struct preference_reader *reader, const struct preference **record, struct err *err)
{
    for (;;) {
        if (reader->next < reader->queue.count) {
            *record = &reader->queue.records[reader->next++];
            return PREFERENCE_RECORD;
        }
        if (reader->rejected) {
            reader->rejected = false;
            *err = reader->reason;
            return PREFERENCE_REJECTED;
        }
        int got = refill(reader, err);
        if (got != 1) {
            return got;
        }
    }
}
