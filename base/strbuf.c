#include "base/strbuf.h"

#include "base/mem.h"
#include "base/utf8.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Room for `more` bytes and the closing zero. */
static bool make_room(struct strbuf *buf, size_t more)
{
    if (buf->failed) {
        return false;
    }
    struct err ignored; /* strbuf_check() makes the sentence, once, at the end */
    char *data = NULL;
    if (more < STRBUF_MAX && buf->length < STRBUF_MAX - more) {
        data = mem_grow(buf->data, &buf->capacity, buf->length + more + 1, 1, &ignored);
    }
    if (!data) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    return true;
}

void strbuf_append(struct strbuf *buf, const char *bytes, size_t length)
{
    assert(bytes || length == 0);
    if (!make_room(buf, length)) {
        return;
    }
    if (length > 0) {
        memcpy(buf->data + buf->length, bytes, length);
    }
    buf->length += length;
    buf->data[buf->length] = '\0';
}

void strbuf_puts(struct strbuf *buf, const char *text)
{
    strbuf_append(buf, text, strlen(text));
}

void strbuf_putc(struct strbuf *buf, char byte)
{
    strbuf_append(buf, &byte, 1);
}

void strbuf_printf(struct strbuf *buf, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    if (make_room(buf, (size_t)length)) {
        vsnprintf(buf->data + buf->length, (size_t)length + 1, format, again);
        buf->length += (size_t)length;
    }
    va_end(again);
}

void strbuf_put_utf8(struct strbuf *buf, unsigned code_point)
{
    char bytes[4];
    strbuf_append(buf, bytes, utf8_write(bytes, code_point));
}

/* The escape of a byte that may not stand in a JSON string as it is, or NULL. */
static const char *json_escape(unsigned char byte, char out[8])
{
    switch (byte) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        if (byte >= 0x20 && byte != 0x7F) {
            return NULL;
        }
        snprintf(out, 8, "\\u%04x", byte);
        return out;
    }
}

void strbuf_put_json(struct strbuf *buf, const char *text, size_t length)
{
    assert(text || length == 0);
    strbuf_putc(buf, '"');
    size_t plain = 0; /* text[plain .. at-1] can go out unchanged */
    for (size_t at = 0; at < length;) {
        char space[8];
        int code_point;
        size_t size = utf8_read(text + at, length - at, &code_point);
        const char *escape = code_point < 0 ? "\xEF\xBF\xBD" : json_escape((unsigned char)text[at], space);
        if (escape) {
            strbuf_append(buf, text + plain, at - plain);
            strbuf_puts(buf, escape);
            plain = at + size;
        }
        at += size;
    }
    strbuf_append(buf, length > 0 ? text + plain : "", length - plain);
    strbuf_putc(buf, '"');
}

void strbuf_clear(struct strbuf *buf)
{
    buf->length = 0;
    buf->failed = false;
    if (buf->data) {
        buf->data[0] = '\0';
    }
}

int strbuf_check(const struct strbuf *buf, struct err *err)
{
    if (buf->failed) {
        return err_set(err, "out of memory: a text of %zu bytes could not grow", buf->length);
    }
    return 0;
}

const char *strbuf_text(const struct strbuf *buf)
{
    return buf->data ? buf->data : "";
}

void strbuf_free(struct strbuf *buf)
{
    mem_free(buf->data);
    *buf = (struct strbuf){0};
}
