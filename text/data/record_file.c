#include "text/data/record_file.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define PEEK_SIZE 4096

struct record_file {
    char *path;
    struct file_lines *lines; /* a value a line; NULL for an array */
    struct strbuf array;      /* or the whole text, and how far it was read */
    size_t at;
    bool ended;
    int64_t line, number;
    int64_t newlines; /* before `at` */
};

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static bool is_blank(const char *text, size_t length)
{
    size_t start = 0;
    while (start < length && is_space(text[start])) {
        start++;
    }
    return start == length;
}

static size_t byte_order_mark(const char *text, size_t length)
{
    return length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

/* The first byte that is not white space, of the first PEEK_SIZE; 0 where there is none. What cannot be read is found
 * out later. */
static int first_byte(char *first, const char *path, struct err *err)
{
    int fd = file_open_read(path, err);
    if (fd < 0) {
        return -1;
    }
    gzFile stream = gzdopen(fd, "rb");
    if (!stream) {
        close(fd);
        return err_set(err, "out of memory while opening '%s'", path);
    }
    char bytes[PEEK_SIZE];
    int got = gzread(stream, bytes, sizeof bytes);
    size_t length = got > 0 ? (size_t)got : 0;
    size_t at = byte_order_mark(bytes, length);
    while (at < length && is_space(bytes[at])) {
        at++;
    }
    *first = at < length ? bytes[at] : '\0';
    gzclose_r(stream);
    return 0;
}

/* Moves on to the next byte that is not white space, which is returned; 0 at the end. */
static char next_byte(struct record_file *file)
{
    const struct strbuf *text = &file->array;
    while (file->at < text->length && is_space(text->data[file->at])) {
        file->newlines += text->data[file->at++] == '\n';
    }
    return file->at < text->length ? text->data[file->at] : '\0';
}

static int open_array(struct record_file *file, struct err *err)
{
    if (!file->array.data && file_read_gz(&file->array, file->path, RECORD_FILE_ARRAY_MAX, err) != 0) {
        return -1;
    }
    file->at = byte_order_mark(file->array.data, file->array.length);
    if (next_byte(file) != '[') {
        return err_set(err, "'%s' has changed while it was being opened; try again", file->path);
    }
    file->at++;
    return 0;
}

int record_file_open(struct record_file **out, const char *path, enum record_file_form form, struct err *err)
{
    struct record_file *file = mem_alloc(1, sizeof *file, err);
    if (!file) {
        return -1;
    }
    char first = '\0';
    file->path = mem_copy_string(path, strlen(path), err);
    int result = file->path ? 0 : -1;
    if (result == 0 && form == RECORD_FILE_DETECT) {
        result = first_byte(&first, path, err);
    }
    if (result == 0) {
        result = first == '[' ? open_array(file, err) : file_lines_open(&file->lines, path, err);
    }
    if (result != 0) {
        record_file_close(file);
        return -1;
    }
    *out = file;
    return 0;
}

void record_file_close(struct record_file *file)
{
    if (file) {
        file_lines_close(file->lines);
        strbuf_free(&file->array);
        mem_free(file->path);
        mem_free(file);
    }
}

int record_file_rewind(struct record_file *file, struct err *err)
{
    file->line = file->number = file->newlines = 0;
    file->ended = false;
    if (!file->lines) {
        return open_array(file, err);
    }
    file_lines_close(file->lines);
    file->lines = NULL;
    return file_lines_open(&file->lines, file->path, err);
}

static int next_line(struct record_file *file, json_t **value, struct err *err)
{
    const char *line;
    size_t length;
    int got;
    while ((got = file_lines_next(file->lines, &line, &length, err)) == 1) {
        size_t mark = file_lines_number(file->lines) == 1 ? byte_order_mark(line, length) : 0;
        if (is_blank(line + mark, length - mark)) {
            continue;
        }
        file->number++;
        file->line = file_lines_number(file->lines);
        long failures = mem_failures();
        *value = json_read_text(line, length, "the line", err);
        if (*value) {
            return RECORD_FILE_VALUE;
        }
        return mem_failures() == failures
                   ? RECORD_FILE_BAD
                   : err_set(err, "%s:%lld: out of memory while reading the record; close other programs", file->path,
                             (long long)file->line);
    }
    return got;
}

static int broken_array(struct record_file *file, const char *what, struct err *err)
{
    return err_set(err, "'%s', line %lld: %s, so the array cannot be read on; mend the file, or write it as .jsonl",
                   file->path, (long long)(file->newlines + 1), what);
}

static int next_element(struct record_file *file, json_t **value, struct err *err)
{
    char byte = next_byte(file);
    if (file->number > 0 && byte == ',') {
        file->at++;
        byte = next_byte(file);
    } else if (file->number > 0 && byte != ']' && byte != '\0') {
        return broken_array(file, "a comma or a bracket is expected after the record before", err);
    }
    if (byte == '\0') {
        return broken_array(file, "the file ends before the array does", err);
    }
    if (byte == ']') {
        file->at++;
        file->ended = true;
        return next_byte(file) == '\0' ? RECORD_FILE_END
                                       : broken_array(file, "something stands after the closing bracket", err);
    }
    file->number++;
    file->line = file->newlines + 1;
    const char *text = file->array.data + file->at;
    size_t used;
    struct err cause;
    long failures = mem_failures();
    *value = json_read_first(text, file->array.length - file->at, &used, &cause);
    if (!*value) {
        char reason[JSON_ERROR_TEXT_LENGTH + 64];
        if (mem_failures() != failures) {
            return err_set(err, "'%s', record %lld: %s", file->path, (long long)file->number, cause.text);
        }
        snprintf(reason, sizeof reason, "record %lld is not valid JSON (%.*s)", (long long)file->number,
                 JSON_ERROR_TEXT_LENGTH, cause.text);
        return broken_array(file, reason, err);
    }
    for (size_t i = 0; i < used; i++) {
        file->newlines += text[i] == '\n';
    }
    file->at += used;
    return RECORD_FILE_VALUE;
}

int record_file_next(struct record_file *file, json_t **value, struct err *err)
{
    if (file->ended) {
        return RECORD_FILE_END;
    }
    return file->lines ? next_line(file, value, err) : next_element(file, value, err);
}

int64_t record_file_line(const struct record_file *file)
{
    return file->line;
}

int64_t record_file_number(const struct record_file *file)
{
    return file->number;
}

bool record_file_is_array(const struct record_file *file)
{
    return !file->lines;
}
