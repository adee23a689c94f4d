/*
 * base/strbuf.h - a growing byte string.
 *
 *     struct strbuf text = {0};
 *     strbuf_printf(&text, "%d", 7);
 *     if (strbuf_check(&text, err) != 0) ...      once, at the end: a failed append sticks and later ones do nothing
 *     strbuf_free(&text);
 *
 * `data` is always zero-terminated once anything was appended; it may hold zero bytes inside (`length` decides).
 */
#ifndef ATTUNE_BASE_STRBUF_H
#define ATTUNE_BASE_STRBUF_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

/* A text may not grow beyond this; readers of outside bytes set much smaller limits of their own. */
#define STRBUF_MAX ((size_t)1 << 36)

struct strbuf {
    char *data; /* NULL while nothing was appended */
    size_t length;
    size_t capacity;
    bool failed;
};

void strbuf_append(struct strbuf *buf, const char *bytes, size_t length);
void strbuf_puts(struct strbuf *buf, const char *text);
void strbuf_putc(struct strbuf *buf, char byte);
void strbuf_printf(struct strbuf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends one code point as UTF-8. */
void strbuf_put_utf8(struct strbuf *buf, unsigned code_point);
/* Appends `text` as a JSON string, quotes included; bytes that are not UTF-8 become U+FFFD. */
void strbuf_put_json(struct strbuf *buf, const char *text, size_t length);
/* Length 0, memory kept. */
void strbuf_clear(struct strbuf *buf);
/* -1 with *err when an append since the last clear failed because memory ran out. */
int strbuf_check(const struct strbuf *buf, struct err *err);
/* The text, or "" where nothing was appended. */
const char *strbuf_text(const struct strbuf *buf);
void strbuf_free(struct strbuf *buf);

#endif
