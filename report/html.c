/* report/html.c - see html.h. */
#include "report/html.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "report/axis.h"
#include "report/internal.h"
#include <math.h>
#include <string.h>

/* ---- texts and numbers ---- */

/* Characters that show nothing, or turn the direction of what follows: a text with them would not be what it looks
 * like. */
static bool is_hidden(int code)
{
    return (code < 0x20 && code != '\n' && code != '\t') || (code >= 0x7f && code < 0xa0) || code == 0xad ||
           code == 0x61c || (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x206f) || code == 0xfeff || (code >= 0xe0000 && code <= 0xe007f);
}

static const char *entity_of(int code)
{
    switch (code) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void html_text(struct strbuf *out, const char *text, size_t length, size_t most)
{
    size_t at = 0;
    while (at < length && at < most) {
        int code;
        size_t size = utf8_read(text + at, length - at, &code);
        const char *entity = entity_of(code);
        if (entity) {
            strbuf_puts(out, entity);
        } else if (code < 0) {
            strbuf_put_utf8(out, UTF8_REPLACEMENT);
        } else if (is_hidden(code)) {
            strbuf_printf(out, "‹U+%04X›", (unsigned)code);
        } else {
            strbuf_append(out, text + at, size);
        }
        at += size;
    }
    if (at < length) {
        strbuf_printf(out, " … (%zu bytes more)", length - at);
    }
}

void html_puts(struct strbuf *out, const char *text)
{
    html_text(out, text, strlen(text), SIZE_MAX);
}

void html_number(struct strbuf *out, double number)
{
    char text[AXIS_LABEL_SIZE];
    axis_number(text, number);
    strbuf_puts(out, text);
}

int html_json(struct strbuf *out, const json_t *value, size_t most, struct err *err)
{
    if (json_is_string(value)) {
        html_text(out, json_string_value(value), json_string_length(value), most);
    } else if (json_is_number(value)) {
        html_number(out, json_number_value(value));
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        if (!text) {
            return err_set(err, "out of memory while writing JSON");
        }
        html_text(out, text, strlen(text), most);
        mem_free(text);
    }
    return 0;
}

void html_bytes(struct strbuf *out, double bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1024;
        unit++;
    }
    strbuf_printf(out, unit == 0 || bytes >= 100 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

void html_seconds(struct strbuf *out, double seconds)
{
    long long whole = llround(seconds);
    if (seconds < 60) {
        strbuf_printf(out, seconds < 10 ? "%.2f s" : "%.1f s", seconds);
    } else if (whole < 3600) {
        strbuf_printf(out, "%lld min %02lld s", whole / 60, whole % 60);
    } else {
        strbuf_printf(out, "%lld h %02lld min", whole / 3600, whole / 60 % 60);
    }
}

/* ---- the page ---- */

void html_begin_section(struct html_page *page, const char *title)
{
    page->sections++;
    strbuf_printf(&page->nav, "<a href=\"#s%d\">", page->sections);
    html_puts(&page->nav, title);
    strbuf_puts(&page->nav, "</a>\n");
    strbuf_printf(&page->body, "<section id=\"s%d\">\n<h2>", page->sections);
    html_puts(&page->body, title);
    strbuf_puts(&page->body, "</h2>\n");
}

void html_end_section(struct html_page *page)
{
    strbuf_puts(&page->body, "</section>\n");
}

static void put_content(struct strbuf *out, const struct html_page *page)
{
    strbuf_append(out, strbuf_text(&page->head), page->head.length);
    strbuf_puts(out, "<nav>\n");
    strbuf_append(out, strbuf_text(&page->nav), page->nav.length);
    strbuf_puts(out, "</nav>\n");
    strbuf_append(out, strbuf_text(&page->body), page->body.length);
}

/* Only a script that carries the nonce runs. It depends on every byte of the content, so no text in it can hold it. */
static void put_frame(struct strbuf *out, const char *title, const struct strbuf *content)
{
    char nonce[HASH_TEXT_SIZE];
    hash_text(nonce, hash_bytes(strbuf_text(content), content->length));
    strbuf_printf(out,
                  "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                  "'unsafe-inline'; script-src 'nonce-%s'; base-uri 'none'; form-action 'none'\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width\">\n<title>",
                  nonce);
    html_puts(out, title);
    strbuf_printf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n", report_style);
    strbuf_append(out, strbuf_text(content), content->length);
    strbuf_printf(out, "<script nonce=\"%s\">\n%s</script>\n</body>\n</html>\n", nonce, report_script);
}

int html_write_page(const char *path, const char *title, const struct html_page *page, struct err *err)
{
    struct strbuf content = {0}, whole = {0};
    int result =
        strbuf_check(&page->head, err) != 0 || strbuf_check(&page->nav, err) != 0 ? -1 : strbuf_check(&page->body, err);
    if (result == 0) {
        put_content(&content, page);
        result = strbuf_check(&content, err);
    }
    if (result == 0) {
        put_frame(&whole, title, &content);
        result = strbuf_check(&whole, err);
    }
    if (result == 0) {
        result = file_write_whole(path, whole.data, whole.length, err);
    }
    strbuf_free(&content);
    strbuf_free(&whole);
    return result;
}

void html_free_page(struct html_page *page)
{
    strbuf_free(&page->head);
    strbuf_free(&page->nav);
    strbuf_free(&page->body);
}
