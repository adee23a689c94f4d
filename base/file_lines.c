/* The part of base/file.h that reads plain and gzip files as a stream. zlib tells the two apart by their first bytes.
 */
#include "base/file.h"

#include "base/mem.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define CHUNK_SIZE ((size_t)1 << 16)

struct file_lines {
    char *path;
    gzFile stream;
    char *buffer; /* buffer[start .. end-1] was read and not yet returned */
    size_t capacity;
    size_t start, end;
    size_t searched; /* buffer[start .. searched-1] holds no newline */
    int64_t number;
    bool ended;
};

static gzFile open_stream(const char *path, struct err *err)
{
    int fd = file_open_read(path, err);
    if (fd < 0) {
        return NULL;
    }
    gzFile stream = gzdopen(fd, "rb");
    if (!stream) {
        err_set(err, "out of memory while opening '%s'", path);
        close(fd);
    }
    return stream;
}

/* Bytes read, 0 at the end of the file, -1 on failure; a gzip file that was cut off is a failure, at its end. */
static int read_stream(gzFile stream, char *bytes, size_t size, const char *path, struct err *err)
{
    int got = gzread(stream, bytes, (unsigned)size);
    if (got > 0) {
        return got;
    }
    int code;
    const char *reason = gzerror(stream, &code);
    if (code == Z_ERRNO) {
        return err_set_errno(err, "cannot read '%s'", path);
    }
    if (code == Z_BUF_ERROR) {
        return err_set(err, "cannot read '%s': its gzip data ends too early; get the file again", path);
    }
    if (got < 0 || code != Z_OK) {
        return err_set(err, "cannot read '%s': its gzip data is damaged (%s); get the file again", path, reason);
    }
    return 0;
}

int file_read_gz(struct strbuf *out, const char *path, size_t max, struct err *err)
{
    gzFile stream = open_stream(path, err);
    if (!stream) {
        return -1;
    }
    char chunk[CHUNK_SIZE];
    size_t total = 0;
    int got;
    while ((got = read_stream(stream, chunk, sizeof chunk, path, err)) > 0) {
        if ((size_t)got > max - total) {
            got = err_set(err, "cannot read '%s': it is longer than the %zu bytes that are allowed here", path, max);
            break;
        }
        total += (size_t)got;
        strbuf_append(out, chunk, (size_t)got);
    }
    gzclose_r(stream);
    return got < 0 ? -1 : strbuf_check(out, err);
}

int file_lines_open(struct file_lines **out, const char *path, struct err *err)
{
    struct file_lines *lines = mem_alloc(1, sizeof *lines, err);
    if (!lines) {
        return -1;
    }
    lines->path = mem_copy_string(path, strlen(path), err);
    if (lines->path) {
        lines->stream = open_stream(path, err);
    }
    if (!lines->stream) {
        file_lines_close(lines);
        return -1;
    }
    *out = lines;
    return 0;
}

/* Reads more after what is there, moving that to the front first. */
static int fill(struct file_lines *lines, struct err *err)
{
    if (lines->start > 0) {
        memmove(lines->buffer, lines->buffer + lines->start, lines->end - lines->start);
        lines->end -= lines->start;
        lines->searched -= lines->start;
        lines->start = 0;
    }
    /* One byte more than is read: the zero after a last line that no newline ends. */
    char *buffer = mem_grow(lines->buffer, &lines->capacity, lines->end + CHUNK_SIZE + 1, 1, err);
    if (!buffer) {
        return -1;
    }
    lines->buffer = buffer;
    int got = read_stream(lines->stream, buffer + lines->end, CHUNK_SIZE, lines->path, err);
    if (got < 0) {
        return -1;
    }
    lines->ended = got == 0;
    lines->end += (size_t)got;
    return 0;
}

/* Hands out buffer[start .. stop-1] and goes on at `next`. */
static int take_line(struct file_lines *lines, size_t stop, size_t next, const char **line, size_t *length,
                     struct err *err)
{
    lines->number++;
    char *text = lines->buffer + lines->start;
    size_t size = stop - lines->start;
    if (size > 0 && next > stop && text[size - 1] == '\r') {
        size--;
    }
    lines->start = next;
    lines->searched = next;
    if (size > FILE_LINE_MAX) {
        return err_set(err, "'%s', line %lld: longer than the %zu bytes that are allowed", lines->path,
                       (long long)lines->number, FILE_LINE_MAX);
    }
    text[size] = '\0';
    *line = text;
    *length = size;
    return 1;
}

int file_lines_next(struct file_lines *lines, const char **line, size_t *length, struct err *err)
{
    for (;;) {
        if (lines->searched < lines->end) {
            char *newline = memchr(lines->buffer + lines->searched, '\n', lines->end - lines->searched);
            if (newline) {
                size_t stop = (size_t)(newline - lines->buffer);
                return take_line(lines, stop, stop + 1, line, length, err);
            }
        }
        lines->searched = lines->end;
        if (lines->ended && lines->start == lines->end) {
            return 0;
        }
        if (lines->ended || lines->end - lines->start > FILE_LINE_MAX + 1) {
            return take_line(lines, lines->end, lines->end, line, length, err);
        }
        if (fill(lines, err) != 0) {
            return -1;
        }
    }
}

int64_t file_lines_number(const struct file_lines *lines)
{
    return lines->number;
}

void file_lines_close(struct file_lines *lines)
{
    if (!lines) {
        return;
    }
    if (lines->stream) {
        gzclose_r(lines->stream);
    }
    mem_free(lines->buffer);
    mem_free(lines->path);
    mem_free(lines);
}
