/* What filters and methods of strings share. Each carries the origins of the bytes along. */
#include "base/utf8.h"
#include "text/jinja/internal.h"
#include <string.h>

/* ---- arguments */

struct jinja_string *jinja_subject_text(struct jinja_call *call)
{
    return jinja_to_string(call->arena, call->subject, jinja_here(call->machine)).string;
}

struct jinja_string *jinja_text_argument(struct jinja_call *call, size_t index, const char *name)
{
    struct jinja_value value = call->values[index];
    if (value.kind == JINJA_UNDEFINED) {
        jinja_fail_undefined(call->arena, value.undefined);
    }
    if (value.kind != JINJA_STRING) {
        jinja_fail(call->arena, "'%s' must be a string, not a %s", name, jinja_kind_name(value));
    }
    return value.string;
}

int64_t jinja_int_argument(struct jinja_call *call, size_t index, const char *name, int64_t otherwise)
{
    return call->values[index].kind == JINJA_MISSING ? otherwise
                                                     : jinja_need_int(call->arena, call->values[index], name);
}

bool jinja_bool_argument(const struct jinja_call *call, size_t index)
{
    return jinja_truth(call->values[index]);
}

/* ---- strip */

static bool is_stripped(const struct jinja_string *characters, uint32_t c)
{
    if (!characters) {
        return jinja_unicode_is(&jinja_unicode_space, c);
    }
    for (size_t at = 0; at < characters->length;) {
        if (jinja_next_character(characters, &at) == c) {
            return true;
        }
    }
    return false;
}

struct jinja_value jinja_strip(struct jinja_arena *arena, const struct jinja_string *string,
                               const struct jinja_string *characters, enum jinja_side side)
{
    size_t from = 0, to = string->length, price = characters ? characters->length : 0;
    while ((side & JINJA_LEFT) && from < to) {
        size_t next = from;
        jinja_charge_bytes(arena, price);
        if (!is_stripped(characters, jinja_next_character(string, &next))) {
            break;
        }
        from = next;
    }
    while ((side & JINJA_RIGHT) && from < to) {
        size_t start = utf8_before(string->bytes, to), next = start;
        jinja_charge_bytes(arena, price);
        if (!is_stripped(characters, jinja_next_character(string, &next))) {
            break;
        }
        to = start;
    }
    return jinja_string_part(arena, string, from, to);
}

/* ---- replace */

struct jinja_value jinja_replace(struct jinja_arena *arena, const struct jinja_string *string,
                                 const struct jinja_string *old, const struct jinja_string *with, int64_t most)
{
    struct jinja_text text = jinja_text_new(arena);
    size_t done = 0, from = 0;
    for (int64_t left = most; left != 0; left--) {
        jinja_charge(arena, 1);
        size_t at = jinja_find(arena, string, old, from, string->length);
        if (at == SIZE_MAX) {
            break;
        }
        jinja_text_add_part(&text, string, done, at);
        jinja_text_add(&text, with);
        done = from = at + old->length;
        if (old->length > 0) {
            continue; /* an empty `old` stands before every character and at the end */
        }
        if (at == string->length) {
            break;
        }
        jinja_next_character(string, &from);
    }
    jinja_text_add_part(&text, string, done, string->length);
    return jinja_text_finish(&text);
}

/* ---- escape */

struct jinja_value jinja_escape(struct jinja_arena *arena, const struct jinja_string *string)
{
    static const char *const entities[] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&#34;", ['\''] = "&#39;"};
    struct jinja_text text = jinja_text_new(arena);
    struct jinja_piece piece = jinja_pieces(string, 0, string->length);
    while (jinja_next_piece(&piece)) {
        for (size_t i = piece.from; i < piece.to; i++) {
            unsigned char c = (unsigned char)string->bytes[i];
            if (c < sizeof entities / sizeof *entities && entities[c]) {
                jinja_text_puts(&text, entities[c], piece.origin);
            } else {
                jinja_text_put(&text, &string->bytes[i], 1, piece.origin);
            }
        }
    }
    struct jinja_value escaped = jinja_text_finish(&text);
    escaped.string->markup = true;
    return escaped;
}

/* ---- case */

/* A capital sigma is ς at the end of a word: after a cased letter and not before one, ignorable characters aside. */
static bool is_final_sigma(const struct jinja_string *string, size_t at, size_t after)
{
    bool letter_before = false;
    while (at > 0) {
        at = utf8_before(string->bytes, at);
        size_t next = at;
        uint32_t c = jinja_next_character(string, &next);
        if (jinja_unicode_is(&jinja_unicode_ignorable, c)) {
            continue;
        }
        letter_before = jinja_unicode_is(&jinja_unicode_cased, c);
        break;
    }
    while (letter_before && after < string->length) {
        uint32_t c = jinja_next_character(string, &after);
        if (!jinja_unicode_is(&jinja_unicode_ignorable, c)) {
            return !jinja_unicode_is(&jinja_unicode_cased, c);
        }
    }
    return letter_before;
}

/* Maps bytes from..to-1 of the string and appends them. */
static void add_mapped(struct jinja_text *text, const struct jinja_string *string, size_t from, size_t to,
                       const struct jinja_unicode_case_table *table)
{
    struct jinja_piece piece = jinja_pieces(string, from, to);
    size_t at = from;
    while (jinja_next_piece(&piece)) {
        while (at < piece.to) {
            size_t start = at;
            uint32_t c = jinja_next_character(string, &at), mapped[3];
            size_t count = jinja_unicode_map(table, c, mapped);
            if (c == 0x3A3 && table == &jinja_unicode_lower && is_final_sigma(string, start, at)) {
                mapped[0] = 0x3C2;
            }
            for (size_t i = 0; i < count; i++) {
                jinja_text_put_character(text, mapped[i], piece.origin);
            }
        }
    }
}

static struct jinja_value mapped(struct jinja_arena *arena, const struct jinja_string *string,
                                 const struct jinja_unicode_case_table *table)
{
    struct jinja_text text = jinja_text_new(arena);
    add_mapped(&text, string, 0, string->length, table);
    return jinja_text_finish(&text);
}

struct jinja_value jinja_upper(struct jinja_arena *arena, const struct jinja_string *string)
{
    return mapped(arena, string, &jinja_unicode_upper);
}

struct jinja_value jinja_lower(struct jinja_arena *arena, const struct jinja_string *string)
{
    return mapped(arena, string, &jinja_unicode_lower);
}

struct jinja_value jinja_capitalize(struct jinja_arena *arena, const struct jinja_string *string)
{
    struct jinja_text text = jinja_text_new(arena);
    size_t rest = 0;
    if (string->length > 0) {
        jinja_next_character(string, &rest);
        add_mapped(&text, string, 0, rest, &jinja_unicode_title);
        add_mapped(&text, string, rest, string->length, &jinja_unicode_lower);
    }
    return jinja_text_finish(&text);
}

struct jinja_value jinja_map_case(struct jinja_arena *arena, const struct jinja_string *string,
                                  const struct jinja_unicode_case_table *(*choose)(uint32_t before, uint32_t c))
{
    struct jinja_text text = jinja_text_new(arena);
    uint32_t before = 0;
    for (size_t at = 0, next = 0; at < string->length; at = next) {
        uint32_t c = jinja_next_character(string, &next);
        add_mapped(&text, string, at, next, choose(before, c));
        before = c;
    }
    return jinja_text_finish(&text);
}

/* ---- padding, lines, joining */

struct jinja_value jinja_pad(struct jinja_call *call, struct jinja_string *string, int64_t width, enum jinja_side side,
                             uint32_t fill)
{
    struct jinja_origin here = jinja_here(call->machine);
    struct jinja_text text = jinja_text_new(call->arena);
    int64_t more = width - (int64_t)jinja_characters(call->arena, string);
    if (more < 0) {
        more = 0;
    }
    /* CPython's center() gives the odd one to the left where the width is odd. */
    int64_t left = side == JINJA_LEFT ? more : side == JINJA_RIGHT ? 0 : more / 2 + (more & width & 1);
    for (int64_t i = 0; i < left; i++) {
        jinja_text_put_character(&text, fill, here);
    }
    jinja_text_add(&text, string);
    for (int64_t i = left; i < more; i++) {
        jinja_text_put_character(&text, fill, here);
    }
    return jinja_text_finish(&text);
}

static bool ends_line(uint32_t c)
{
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

struct jinja_list *jinja_split_lines(struct jinja_arena *arena, const struct jinja_string *string, bool keep_ends)
{
    struct jinja_list *lines = jinja_list_new(arena, 0);
    size_t start = 0;
    for (size_t at = 0, next = 0; at < string->length; at = next) {
        uint32_t c = jinja_next_character(string, &next);
        if (!ends_line(c)) {
            continue;
        }
        if (c == '\r' && next < string->length && string->bytes[next] == '\n') {
            next++;
        }
        jinja_list_add(arena, lines, jinja_string_part(arena, string, start, keep_ends ? next : at));
        start = next;
    }
    if (start < string->length) {
        jinja_list_add(arena, lines, jinja_string_part(arena, string, start, string->length));
    }
    return lines;
}

struct jinja_value jinja_join(struct jinja_machine *machine, const struct jinja_string *between,
                              const struct jinja_list *items)
{
    struct jinja_text text = jinja_text_new(&machine->arena);
    for (size_t i = 0; i < items->count; i++) {
        jinja_charge(&machine->arena, 1);
        if (i > 0) {
            jinja_text_add(&text, between);
        }
        jinja_write(&text, items->items[i], jinja_here(machine));
    }
    return jinja_text_finish(&text);
}
