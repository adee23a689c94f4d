/* Values as text: Python's str() and repr(), and json.dumps(). */
#include "text/jinja/string.h"
#include "text/jinja/unicode.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The origin of a value, or that of its surroundings where it has none. */
static struct jinja_origin origin_or(struct jinja_value value, struct jinja_origin origin)
{
    return value.origin.source == JINJA_MADE ? origin : value.origin;
}

void jinja_format_real(char out[JINJA_REAL_SIZE], double value)
{
    if (isnan(value) || isinf(value)) {
        strcpy(out, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return;
    }
    /* The fewest digits that read back as the same double: d.ddde+xx */
    char digits[JINJA_REAL_SIZE];
    int precision = 0;
    do {
        snprintf(digits, sizeof digits, "%.*e", precision, value);
    } while (strtod(digits, NULL) != value && ++precision < 17);
    int exponent = atoi(strchr(digits, 'e') + 1);
    if (exponent < -4 || exponent >= 16) {
        strcpy(out, digits);
    } else if (precision > exponent) {
        snprintf(out, JINJA_REAL_SIZE, "%.*f", precision - exponent, value);
    } else {
        snprintf(out, JINJA_REAL_SIZE, "%.1f", value);
    }
}

/* ---- repr() */

static void write_string_repr(struct jinja_text *text, const struct jinja_string *string, struct jinja_origin origin)
{
    bool double_quotes =
        memchr(string->bytes, '\'', string->length) != NULL && memchr(string->bytes, '"', string->length) == NULL;
    char quote = double_quotes ? '"' : '\'';
    struct jinja_origin around = string->run_count ? string->runs[0].origin : origin;
    jinja_text_put(text, &quote, 1, around);
    struct jinja_piece piece = jinja_pieces(string, 0, string->length);
    size_t at = 0;
    while (jinja_next_piece(&piece)) {
        while (at < piece.to) {
            uint32_t c = jinja_next_character(string, &at);
            char escape[12];
            if (c == '\n' || c == '\r' || c == '\t') {
                snprintf(escape, sizeof escape, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
            } else if (c == '\\' || c == (uint32_t)quote) {
                snprintf(escape, sizeof escape, "\\%c", (char)c);
            } else if (jinja_unicode_is(&jinja_unicode_unprintable, c)) {
                snprintf(escape, sizeof escape, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
            } else {
                escape[0] = '\0';
            }
            if (escape[0]) {
                jinja_text_puts(text, escape, piece.origin);
            } else {
                jinja_text_put_character(text, c, piece.origin);
            }
        }
    }
    if (string->run_count) {
        around = string->runs[string->run_count - 1].origin;
    }
    jinja_text_put(text, &quote, 1, around);
}

static void write_items(struct jinja_text *text, const struct jinja_list *list, const char *open, const char *close,
                        struct jinja_origin origin)
{
    jinja_text_puts(text, open, origin);
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0) {
            jinja_text_puts(text, ", ", origin);
        }
        jinja_write_repr(text, list->items[i], origin);
    }
    jinja_text_puts(text, close, origin);
}

static void write_dict(struct jinja_text *text, const struct jinja_dict *dict, struct jinja_origin origin)
{
    jinja_text_puts(text, "{", origin);
    for (size_t i = 0; i < dict->count; i++) {
        if (i > 0) {
            jinja_text_puts(text, ", ", origin);
        }
        jinja_write_repr(text, dict->entries[i].key, origin);
        jinja_text_puts(text, ": ", origin);
        jinja_write_repr(text, dict->entries[i].value, origin);
    }
    jinja_text_puts(text, "}", origin);
}

static void write_range(struct jinja_text *text, const struct jinja_range *range, struct jinja_origin origin)
{
    char line[96];
    if (range->step == 1) {
        snprintf(line, sizeof line, "range(%lld, %lld)", (long long)range->start, (long long)range->stop);
    } else {
        snprintf(line, sizeof line, "range(%lld, %lld, %lld)", (long long)range->start, (long long)range->stop,
                 (long long)range->step);
    }
    jinja_text_puts(text, line, origin);
}

static void write_number(struct jinja_text *text, struct jinja_value value, struct jinja_origin origin)
{
    char digits[JINJA_REAL_SIZE];
    if (value.kind == JINJA_BOOL) {
        strcpy(digits, value.boolean ? "True" : "False");
    } else if (value.kind == JINJA_INT) {
        snprintf(digits, sizeof digits, "%lld", (long long)value.integer);
    } else {
        jinja_format_real(digits, value.real);
    }
    jinja_text_puts(text, digits, origin);
}

static void write_by_kind(struct jinja_text *text, struct jinja_value value, struct jinja_origin origin)
{
    static const char *const views[] = {"dict_keys([", "dict_values([", "dict_items(["};
    switch (value.kind) {
    case JINJA_MISSING:
    case JINJA_UNDEFINED:
        jinja_text_puts(text, "Undefined", origin);
        break;
    case JINJA_NONE:
        jinja_text_puts(text, "None", origin);
        break;
    case JINJA_BOOL:
    case JINJA_INT:
    case JINJA_FLOAT:
        write_number(text, value, origin);
        break;
    case JINJA_STRING:
        write_string_repr(text, value.string, origin);
        break;
    case JINJA_LIST:
        write_items(text, value.list, "[", "]", origin);
        break;
    case JINJA_TUPLE:
        write_items(text, value.list, "(", value.list->count == 1 ? ",)" : ")", origin);
        break;
    case JINJA_RANGE:
        write_range(text, value.range, origin);
        break;
    case JINJA_DICT:
        write_dict(text, value.dict, origin);
        break;
    case JINJA_VIEW:
        write_items(text, jinja_elements(text->arena, value), views[value.view->what], "])", origin);
        break;
    case JINJA_NAMESPACE:
        jinja_text_puts(text, "<Namespace ", origin);
        write_dict(text, value.dict, origin);
        jinja_text_puts(text, ">", origin);
        break;
    case JINJA_ITERATOR:
    case JINJA_LOOP:
    case JINJA_FUNCTION:
    case JINJA_METHOD:
    case JINJA_MACRO:
        jinja_fail(text->arena, "a %s cannot be written as text (Python would write an address)",
                   jinja_kind_name(value));
    }
}

void jinja_write_repr(struct jinja_text *text, struct jinja_value value, struct jinja_origin origin)
{
    jinja_enter(text->arena);
    jinja_charge(text->arena, 1);
    write_by_kind(text, value, origin_or(value, origin));
    jinja_leave(text->arena);
}

void jinja_write(struct jinja_text *text, struct jinja_value value, struct jinja_origin origin)
{
    if (value.kind == JINJA_STRING) {
        jinja_text_add(text, value.string);
    } else if (value.kind != JINJA_UNDEFINED) {
        jinja_write_repr(text, value, origin);
    }
}

struct jinja_value jinja_to_string(struct jinja_arena *arena, struct jinja_value value, struct jinja_origin origin)
{
    if (value.kind == JINJA_STRING) {
        return value;
    }
    struct jinja_text text = jinja_text_new(arena);
    jinja_write(&text, value, origin);
    return jinja_text_finish(&text);
}

void jinja_fail_undefined(struct jinja_arena *arena, const struct jinja_undefined *why)
{
    if (why->hint) {
        jinja_fail(arena, "%s", why->hint);
    }
    struct jinja_text text = jinja_text_new(arena);
    jinja_write_repr(&text, why->name, why->name.origin);
    const struct jinja_string *name = jinja_text_finish(&text).string;
    if (!why->owner) {
        jinja_fail(arena, "%.*s is undefined", (int)name->length, name->bytes);
    }
    jinja_fail(arena, "'%s' has no member %.*s", why->owner, (int)name->length, name->bytes);
}

/* ---- json.dumps() */

static void write_json_character(struct jinja_text *text, uint32_t c, bool ascii_only, struct jinja_origin origin)
{
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char escape[16];
    if (c == '"' || c == '\\') {
        snprintf(escape, sizeof escape, "\\%c", (char)c);
    } else if (c < sizeof letters && letters[c]) {
        snprintf(escape, sizeof escape, "\\%c", letters[c]);
    } else if (c < 0x20 || (ascii_only && c >= 0x7F && c < 0x10000)) {
        snprintf(escape, sizeof escape, "\\u%04x", c);
    } else if (ascii_only && c >= 0x10000) {
        snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xD800 + ((c - 0x10000) >> 10),
                 0xDC00 + ((c - 0x10000) & 0x3FF));
    } else {
        escape[0] = '\0';
    }
    if (escape[0]) {
        jinja_text_puts(text, escape, origin);
    } else {
        jinja_text_put_character(text, c, origin);
    }
}

static void write_json_string(struct jinja_text *text, const struct jinja_string *string, bool ascii_only,
                              struct jinja_origin origin)
{
    jinja_text_puts(text, "\"", string->run_count ? string->runs[0].origin : origin);
    struct jinja_piece piece = jinja_pieces(string, 0, string->length);
    size_t at = 0;
    while (jinja_next_piece(&piece)) {
        while (at < piece.to) {
            write_json_character(text, jinja_next_character(string, &at), ascii_only, piece.origin);
        }
    }
    jinja_text_puts(text, "\"", string->run_count ? string->runs[string->run_count - 1].origin : origin);
}

static void write_json_scalar(struct jinja_text *text, struct jinja_value value, struct jinja_origin origin)
{
    if (value.kind == JINJA_NONE) {
        jinja_text_puts(text, "null", origin);
    } else if (value.kind == JINJA_BOOL) {
        jinja_text_puts(text, value.boolean ? "true" : "false", origin);
    } else if (value.kind == JINJA_FLOAT && isnan(value.real)) {
        jinja_text_puts(text, "NaN", origin);
    } else if (value.kind == JINJA_FLOAT && isinf(value.real)) {
        jinja_text_puts(text, value.real < 0 ? "-Infinity" : "Infinity", origin);
    } else if (jinja_is_number(value)) {
        write_number(text, value, origin);
    } else {
        jinja_fail(text->arena, "tojson cannot write a %s", jinja_kind_name(value));
    }
}

static void write_json(struct jinja_text *text, struct jinja_value value, const struct jinja_json_style *style,
                       size_t level, struct jinja_origin origin);

static void write_json_key(struct jinja_text *text, struct jinja_value key, const struct jinja_json_style *style,
                           struct jinja_origin origin)
{
    if (key.kind == JINJA_STRING) {
        write_json_string(text, key.string, style->ascii_only, origin);
        return;
    }
    if (key.kind != JINJA_NONE && !jinja_is_number(key)) {
        jinja_fail(text->arena, "tojson cannot write a %s as a key", jinja_kind_name(key));
    }
    jinja_text_puts(text, "\"", origin);
    write_json_scalar(text, key, origin_or(key, origin));
    jinja_text_puts(text, "\"", origin);
}

static void write_line_start(struct jinja_text *text, const struct jinja_json_style *style, size_t level,
                             struct jinja_origin origin)
{
    if (!style->indent) {
        return;
    }
    jinja_text_puts(text, "\n", origin);
    for (size_t i = 0; i < level; i++) {
        jinja_text_put(text, style->indent->bytes, style->indent->length, origin);
    }
}

/* The entries in the order they are written in. */
static const struct jinja_entry *json_entries(struct jinja_text *text, const struct jinja_dict *dict, bool sorted)
{
    if (!sorted) {
        return dict->entries;
    }
    struct jinja_entry *entries = jinja_new(text->arena, dict->count, sizeof *entries);
    for (size_t i = 0; i < dict->count; i++) {
        size_t at = i;
        for (; at > 0 && jinja_compare(text->arena, dict->entries[i].key, entries[at - 1].key) < 0; at--) {
            entries[at] = entries[at - 1];
        }
        entries[at] = dict->entries[i];
    }
    return entries;
}

static void write_json_object(struct jinja_text *text, const struct jinja_dict *dict,
                              const struct jinja_json_style *style, size_t level, struct jinja_origin origin)
{
    const struct jinja_entry *entries = json_entries(text, dict, style->sort_keys);
    jinja_text_puts(text, "{", origin);
    for (size_t i = 0; i < dict->count; i++) {
        if (i > 0) {
            jinja_text_put(text, style->item_separator->bytes, style->item_separator->length, origin);
        }
        write_line_start(text, style, level + 1, origin);
        write_json_key(text, entries[i].key, style, origin);
        jinja_text_put(text, style->key_separator->bytes, style->key_separator->length, origin);
        write_json(text, entries[i].value, style, level + 1, origin);
    }
    if (dict->count > 0) {
        write_line_start(text, style, level, origin);
    }
    jinja_text_puts(text, "}", origin);
}

static void write_json_array(struct jinja_text *text, const struct jinja_list *list,
                             const struct jinja_json_style *style, size_t level, struct jinja_origin origin)
{
    jinja_text_puts(text, "[", origin);
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0) {
            jinja_text_put(text, style->item_separator->bytes, style->item_separator->length, origin);
        }
        write_line_start(text, style, level + 1, origin);
        write_json(text, list->items[i], style, level + 1, origin);
    }
    if (list->count > 0) {
        write_line_start(text, style, level, origin);
    }
    jinja_text_puts(text, "]", origin);
}

static void write_json(struct jinja_text *text, struct jinja_value value, const struct jinja_json_style *style,
                       size_t level, struct jinja_origin origin)
{
    jinja_enter(text->arena);
    jinja_charge(text->arena, 1);
    origin = origin_or(value, origin);
    if (value.kind == JINJA_STRING) {
        write_json_string(text, value.string, style->ascii_only, origin);
    } else if (value.kind == JINJA_DICT) {
        write_json_object(text, value.dict, style, level, origin);
    } else if (value.kind == JINJA_LIST || value.kind == JINJA_TUPLE) {
        write_json_array(text, value.list, style, level, origin);
    } else {
        write_json_scalar(text, value, origin);
    }
    jinja_leave(text->arena);
}

void jinja_write_json(struct jinja_text *text, struct jinja_value value, const struct jinja_json_style *style,
                      struct jinja_origin origin)
{
    write_json(text, value, style, 0, origin);
}
