#include "base/err.h"
#include "base/minmax.h"
#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/*
 * Puts the text in place, cut with "..." between two characters of UTF-8 where it is longer. `written` is what
 * vsnprintf() reported for `text`, a buffer of ERR_TEXT_MAX bytes.
 */
static void err_store(struct err *err, const char *text, size_t written)
{
    static const char ellipsis[] = "...";
    if (written < ERR_TEXT_MAX) {
        memcpy(err->text, text, written + 1);
        return;
    }
    size_t kept = utf8_cut(text, ERR_TEXT_MAX - 1, ERR_TEXT_MAX - sizeof ellipsis);
    memcpy(err->text, text, kept);
    memcpy(err->text + kept, ellipsis, sizeof ellipsis);
}

/* The arguments may point into err->text, so the sentence is made beside it. */
static size_t err_format(char text[ERR_TEXT_MAX], size_t offset, const char *format, va_list arguments)
{
    if (offset >= ERR_TEXT_MAX) {
        return offset;
    }
    int written = vsnprintf(text + offset, ERR_TEXT_MAX - offset, format, arguments);
    assert(written >= 0);
    return offset + (size_t)written;
}

static size_t err_append(char text[ERR_TEXT_MAX], size_t offset, const char *more)
{
    size_t length = strlen(more);
    if (offset < ERR_TEXT_MAX) {
        size_t capacity = ERR_TEXT_MAX - offset;
        size_t copied = min(length, capacity - 1);
        memcpy(text + offset, more, copied);
        text[offset + copied] = '\0';
    }
    return offset + length;
}

int err_set(struct err *err, const char *format, ...)
{
    assert(err && format);
    char text[ERR_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    size_t written = err_format(text, 0, format, arguments);
    va_end(arguments);
    err_store(err, text, written);
    return -1;
}

int err_set_errno(struct err *err, const char *format, ...)
{
    assert(err && format);
    int cause = errno;
    char text[ERR_TEXT_MAX];
    char reason[256];
    va_list arguments;
    va_start(arguments, format);
    size_t written = err_format(text, 0, format, arguments);
    va_end(arguments);
    written = err_append(text, written, ": ");
    written = err_append(text, written, strerror_r(cause, reason, sizeof reason));
    err_store(err, text, written);
    errno = cause;
    return -1;
}

int err_prefix(struct err *err, const char *format, ...)
{
    assert(err && format);
    char text[ERR_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    size_t written = err_format(text, 0, format, arguments);
    va_end(arguments);
    written = err_append(text, written, ": ");
    written = err_append(text, written, err->text);
    err_store(err, text, written);
    return -1;
}
