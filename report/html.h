/*
 * report/html.h - pieces of the report's page: texts made safe, numbers made readable, the frame around it all.
 */
#ifndef ATTUNE_REPORT_HTML_H
#define ATTUNE_REPORT_HTML_H

#include "base/err.h"
#include "base/json.h"
#include "base/strbuf.h"
#include <stddef.h>

/*
 * Appends a text of the outside so that it is nothing but text, between tags and in a quoted attribute alike: <, >, &
 * and quotes become entities; control characters, those that turn the direction of writing around and those that show
 * nothing are shown as what they are; bytes that are no UTF-8 become U+FFFD. At most `most` bytes are taken, and what
 * was left out is said.
 */
void html_text(struct strbuf *out, const char *text, size_t length, size_t most);
/* The same for a zero-terminated text, whole. */
void html_puts(struct strbuf *out, const char *text);
/* The same for a JSON value: a string's text, a number, or JSON. */
int html_json(struct strbuf *out, const json_t *value, size_t most, struct err *err);

/* axis_number(). */
void html_number(struct strbuf *out, double number);
/* Bytes with a unit: "1.4 GiB". */
void html_bytes(struct strbuf *out, double bytes);
/* Seconds with a unit: "2 h 05 min". */
void html_seconds(struct strbuf *out, double seconds);

/* A page while it is made. Free with html_free_page(). */
struct html_page {
    struct strbuf head; /* heading, and what stands above the links */
    struct strbuf nav;  /* a link to each section */
    struct strbuf body;
    int sections;
};
/* A section with a heading. */
void html_begin_section(struct html_page *page, const char *title);
void html_end_section(struct html_page *page);

/*
 * Writes the page in its frame of style and script. It may load nothing and run nothing but its own script, whatever a
 * text in it contains.
 */
int html_write_page(const char *path, const char *title, const struct html_page *page, struct err *err);
void html_free_page(struct html_page *page);

#endif
