/* Methods of strings, dictionaries, lists and the loop variable. */
#include "base/minmax.h"
#include "base/utf8.h"
#include "text/jinja/internal.h"
#include <string.h>

/* ---- strings: cutting */

static const struct jinja_string *optional_text(struct jinja_call *call, size_t index, const char *name)
{
    enum jinja_kind kind = call->values[index].kind;
    return kind == JINJA_MISSING || kind == JINJA_NONE ? NULL : jinja_text_argument(call, index, name);
}

static struct jinja_value str_strip(struct jinja_call *call)
{
    return jinja_strip(call->arena, call->subject.string, optional_text(call, 0, "chars"), JINJA_BOTH);
}

static struct jinja_value str_lstrip(struct jinja_call *call)
{
    return jinja_strip(call->arena, call->subject.string, optional_text(call, 0, "chars"), JINJA_LEFT);
}

static struct jinja_value str_rstrip(struct jinja_call *call)
{
    return jinja_strip(call->arena, call->subject.string, optional_text(call, 0, "chars"), JINJA_RIGHT);
}

static bool has_prefix(const struct jinja_string *string, const struct jinja_string *prefix)
{
    return prefix->length <= string->length && memcmp(string->bytes, prefix->bytes, prefix->length) == 0;
}

static bool has_suffix(const struct jinja_string *string, const struct jinja_string *suffix)
{
    return suffix->length <= string->length &&
           memcmp(string->bytes + string->length - suffix->length, suffix->bytes, suffix->length) == 0;
}

static struct jinja_value str_removeprefix(struct jinja_call *call)
{
    const struct jinja_string *string = call->subject.string, *prefix = jinja_text_argument(call, 0, "prefix");
    return jinja_string_part(call->arena, string, has_prefix(string, prefix) ? prefix->length : 0, string->length);
}

static struct jinja_value str_removesuffix(struct jinja_call *call)
{
    const struct jinja_string *string = call->subject.string, *suffix = jinja_text_argument(call, 0, "suffix");
    size_t cut = has_suffix(string, suffix) ? suffix->length : 0;
    return jinja_string_part(call->arena, string, 0, string->length - cut);
}

static void add_part(struct jinja_call *call, struct jinja_list *parts, size_t from, size_t to)
{
    jinja_list_add(call->arena, parts, jinja_string_part(call->arena, call->subject.string, from, to));
}

/* split() without a separator: words between white space. */
static struct jinja_list *split_words(struct jinja_call *call, int64_t most)
{
    const struct jinja_string *string = call->subject.string;
    struct jinja_list *parts = jinja_list_new(call->arena, 0);
    size_t at = 0, next = 0;
    for (;;) {
        while (at < string->length && jinja_unicode_is(&jinja_unicode_space, jinja_next_character(string, &next))) {
            at = next;
        }
        if (at == string->length) {
            return parts;
        }
        if (most-- == 0) {
            break;
        }
        size_t start = at;
        for (next = at; at < string->length; at = next) {
            if (jinja_unicode_is(&jinja_unicode_space, jinja_next_character(string, &next))) {
                break;
            }
        }
        add_part(call, parts, start, at);
        next = at;
    }
    add_part(call, parts, at, string->length);
    return parts;
}

static void reverse(struct jinja_list *list)
{
    for (size_t i = 0; i < list->count / 2; i++) {
        struct jinja_value item = list->items[i];
        list->items[i] = list->items[list->count - 1 - i];
        list->items[list->count - 1 - i] = item;
    }
}

static bool space_before(const struct jinja_string *string, size_t end)
{
    size_t at = utf8_before(string->bytes, end);
    return jinja_unicode_is(&jinja_unicode_space, jinja_next_character(string, &at));
}

static struct jinja_list *split_words_from_right(struct jinja_call *call, int64_t most)
{
    const struct jinja_string *string = call->subject.string;
    struct jinja_list *parts = jinja_list_new(call->arena, 0);
    size_t at = string->length;
    for (;;) {
        while (at > 0 && space_before(string, at)) {
            at = utf8_before(string->bytes, at);
        }
        if (at == 0) {
            break;
        }
        if (most-- == 0) {
            add_part(call, parts, 0, at);
            break;
        }
        size_t end = at;
        while (at > 0 && !space_before(string, at)) {
            at = utf8_before(string->bytes, at);
        }
        add_part(call, parts, at, end);
    }
    reverse(parts);
    return parts;
}

/* NULL where none is given, if that is allowed. */
static const struct jinja_string *separator_of(struct jinja_call *call, bool optional)
{
    const struct jinja_string *separator =
        optional ? optional_text(call, 0, "sep") : jinja_text_argument(call, 0, "sep");
    if (separator && separator->length == 0) {
        jinja_fail(call->arena, "the separator to split at is empty");
    }
    return separator;
}

static struct jinja_value str_split(struct jinja_call *call)
{
    const struct jinja_string *string = call->subject.string, *separator = separator_of(call, true);
    int64_t most = jinja_int_argument(call, 1, "maxsplit", -1);
    if (!separator) {
        return jinja_list_value(JINJA_LIST, split_words(call, most));
    }
    struct jinja_list *parts = jinja_list_new(call->arena, 0);
    size_t from = 0, at;
    while (most-- != 0 && (at = jinja_find(call->arena, string, separator, from, string->length)) != SIZE_MAX) {
        add_part(call, parts, from, at);
        from = at + separator->length;
    }
    add_part(call, parts, from, string->length);
    return jinja_list_value(JINJA_LIST, parts);
}

static struct jinja_value str_rsplit(struct jinja_call *call)
{
    const struct jinja_string *string = call->subject.string, *separator = separator_of(call, true);
    int64_t most = jinja_int_argument(call, 1, "maxsplit", -1);
    if (!separator) {
        return jinja_list_value(JINJA_LIST, split_words_from_right(call, most));
    }
    struct jinja_list *parts = jinja_list_new(call->arena, 0);
    size_t to = string->length, at;
    while (most-- != 0 && (at = jinja_find_last(call->arena, string, separator, 0, to)) != SIZE_MAX) {
        add_part(call, parts, at + separator->length, to);
        to = at;
    }
    add_part(call, parts, 0, to);
    reverse(parts);
    return jinja_list_value(JINJA_LIST, parts);
}

static struct jinja_value str_splitlines(struct jinja_call *call)
{
    return jinja_list_value(JINJA_LIST,
                            jinja_split_lines(call->arena, call->subject.string, jinja_bool_argument(call, 0)));
}

static struct jinja_value three_parts(struct jinja_call *call, size_t at, size_t after)
{
    struct jinja_list *parts = jinja_list_new(call->arena, 3);
    add_part(call, parts, 0, at);
    add_part(call, parts, at, after);
    add_part(call, parts, after, call->subject.string->length);
    return jinja_list_value(JINJA_TUPLE, parts);
}

static struct jinja_value str_partition(struct jinja_call *call)
{
    const struct jinja_string *string = call->subject.string, *separator = separator_of(call, false);
    size_t at = jinja_find(call->arena, string, separator, 0, string->length);
    return at == SIZE_MAX ? three_parts(call, string->length, string->length)
                          : three_parts(call, at, at + separator->length);
}

static struct jinja_value str_rpartition(struct jinja_call *call)
{
    const struct jinja_string *string = call->subject.string, *separator = separator_of(call, false);
    size_t at = jinja_find_last(call->arena, string, separator, 0, string->length);
    return at == SIZE_MAX ? three_parts(call, 0, 0) : three_parts(call, at, at + separator->length);
}

/* ---- strings: searching */

/* The bytes of [start:end] that a search is limited to. An empty range has *from > *to where the start is after the
 * end. */
static void search_range(struct jinja_call *call, size_t *from, size_t *to)
{
    struct jinja_string *string = call->subject.string;
    int64_t length = (int64_t)jinja_characters(call->arena, string);
    int64_t start = call->values[1].kind == JINJA_NONE ? 0 : jinja_int_argument(call, 1, "start", 0);
    int64_t end = call->values[2].kind == JINJA_NONE ? length : jinja_int_argument(call, 2, "end", length);
    if (start < 0) {
        start = max(start + length, 0);
    }
    if (end < 0) {
        end = max(end + length, 0);
    }
    *to = jinja_byte_offset(call->arena, string, (size_t)min(end, length));
    *from = start > length ? SIZE_MAX : jinja_byte_offset(call->arena, string, (size_t)start);
}

static struct jinja_value position(struct jinja_call *call, size_t at, bool fails)
{
    if (at == SIZE_MAX && fails) {
        jinja_fail(call->arena, "index() does not find the text it looks for");
    }
    return jinja_int(at == SIZE_MAX ? -1 : (int64_t)jinja_character_at(call->arena, call->subject.string, at));
}

static struct jinja_value find_first(struct jinja_call *call, bool fails)
{
    size_t from, to;
    search_range(call, &from, &to);
    const struct jinja_string *needle = jinja_text_argument(call, 0, "sub");
    return position(call, jinja_find(call->arena, call->subject.string, needle, from, to), fails);
}

static struct jinja_value find_last(struct jinja_call *call, bool fails)
{
    size_t from, to;
    search_range(call, &from, &to);
    const struct jinja_string *needle = jinja_text_argument(call, 0, "sub");
    return position(call, jinja_find_last(call->arena, call->subject.string, needle, from, to), fails);
}

static struct jinja_value str_find(struct jinja_call *call)
{
    return find_first(call, false);
}

static struct jinja_value str_index(struct jinja_call *call)
{
    return find_first(call, true);
}

static struct jinja_value str_rfind(struct jinja_call *call)
{
    return find_last(call, false);
}

static struct jinja_value str_rindex(struct jinja_call *call)
{
    return find_last(call, true);
}

static struct jinja_value str_count(struct jinja_call *call)
{
    size_t from, to;
    struct jinja_string *string = call->subject.string;
    const struct jinja_string *needle = jinja_text_argument(call, 0, "sub");
    search_range(call, &from, &to);
    if (from > to) {
        return jinja_int(0);
    }
    if (needle->length == 0) {
        return jinja_int(
            (int64_t)(jinja_character_at(call->arena, string, to) - jinja_character_at(call->arena, string, from)) + 1);
    }
    int64_t count = 0;
    for (size_t at; (at = jinja_find(call->arena, string, needle, from, to)) != SIZE_MAX; count++) {
        from = at + needle->length;
    }
    return jinja_int(count);
}

/* startswith() and endswith() take one string or a tuple of them. */
static struct jinja_value has_affix(struct jinja_call *call,
                                    bool (*test)(const struct jinja_string *string, const struct jinja_string *affix))
{
    size_t from, to;
    search_range(call, &from, &to);
    if (from > to) {
        return jinja_bool(false);
    }
    const struct jinja_string *part = jinja_string_part(call->arena, call->subject.string, from, to).string;
    struct jinja_value affix = call->values[0];
    if (affix.kind != JINJA_TUPLE) {
        return jinja_bool(test(part, jinja_text_argument(call, 0, "prefix")));
    }
    for (size_t i = 0; i < affix.list->count; i++) {
        if (affix.list->items[i].kind != JINJA_STRING) {
            jinja_fail(call->arena, "startswith() and endswith() take a string or a tuple of strings");
        }
        if (test(part, affix.list->items[i].string)) {
            return jinja_bool(true);
        }
    }
    return jinja_bool(false);
}

static struct jinja_value str_startswith(struct jinja_call *call)
{
    return has_affix(call, has_prefix);
}

static struct jinja_value str_endswith(struct jinja_call *call)
{
    return has_affix(call, has_suffix);
}

/* ---- strings: changing */

static struct jinja_value str_replace(struct jinja_call *call)
{
    return jinja_replace(call->arena, call->subject.string, jinja_text_argument(call, 0, "old"),
                         jinja_text_argument(call, 1, "new"), jinja_int_argument(call, 2, "count", -1));
}

static struct jinja_value str_upper(struct jinja_call *call)
{
    return jinja_upper(call->arena, call->subject.string);
}

static struct jinja_value str_lower(struct jinja_call *call)
{
    return jinja_lower(call->arena, call->subject.string);
}

static struct jinja_value str_capitalize(struct jinja_call *call)
{
    return jinja_capitalize(call->arena, call->subject.string);
}

static const struct jinja_unicode_case_table *title_table(uint32_t before, uint32_t c)
{
    (void)c;
    return jinja_unicode_is(&jinja_unicode_cased, before) ? &jinja_unicode_lower : &jinja_unicode_title;
}

static struct jinja_value str_title(struct jinja_call *call)
{
    return jinja_map_case(call->arena, call->subject.string, title_table);
}

static const struct jinja_unicode_case_table *swap_table(uint32_t before, uint32_t c)
{
    uint32_t mapped[3];
    (void)before;
    return jinja_unicode_map(&jinja_unicode_lower, c, mapped) == 1 && mapped[0] == c ? &jinja_unicode_upper
                                                                                     : &jinja_unicode_lower;
}

static struct jinja_value str_swapcase(struct jinja_call *call)
{
    return jinja_map_case(call->arena, call->subject.string, swap_table);
}

static struct jinja_value str_join(struct jinja_call *call)
{
    const struct jinja_list *items = jinja_elements(call->arena, call->values[0]);
    for (size_t i = 0; i < items->count; i++) {
        if (items->items[i].kind != JINJA_STRING) {
            jinja_fail(call->arena, "join() takes strings, and item %zu is a %s", i, jinja_kind_name(items->items[i]));
        }
    }
    return jinja_join(call->machine, call->subject.string, items);
}

static struct jinja_value str_format(struct jinja_call *call)
{
    return jinja_format_braces(call->machine, call->subject.string, &call->arguments);
}

static struct jinja_value pad(struct jinja_call *call, enum jinja_side side)
{
    uint32_t fill = ' ';
    if (call->values[1].kind != JINJA_MISSING) {
        struct jinja_string *text = jinja_text_argument(call, 1, "fillchar");
        size_t at = 0;
        if (jinja_characters(call->arena, text) != 1) {
            jinja_fail(call->arena, "the fill character must be one character");
        }
        fill = jinja_next_character(text, &at);
    }
    return jinja_pad(call, call->subject.string, jinja_int_argument(call, 0, "width", 0), side, fill);
}

static struct jinja_value str_ljust(struct jinja_call *call)
{
    return pad(call, JINJA_RIGHT);
}

static struct jinja_value str_rjust(struct jinja_call *call)
{
    return pad(call, JINJA_LEFT);
}

static struct jinja_value str_center(struct jinja_call *call)
{
    return pad(call, JINJA_BOTH);
}

static struct jinja_value str_zfill(struct jinja_call *call)
{
    struct jinja_string *string = call->subject.string;
    int64_t width = jinja_int_argument(call, 0, "width", 0);
    bool sign = string->length > 0 && (string->bytes[0] == '+' || string->bytes[0] == '-');
    if (!sign) {
        return jinja_pad(call, string, width, JINJA_LEFT, '0');
    }
    struct jinja_value rest = jinja_string_part(call->arena, string, 1, string->length);
    rest = jinja_pad(call, rest.string, width > 0 ? width - 1 : 0, JINJA_LEFT, '0');
    return jinja_arithmetic(call->arena, JINJA_ADD, jinja_string_part(call->arena, string, 0, 1), rest);
}

/* ---- strings: classes of characters */

/* Whether the string is not empty and each character is in one of the tables. */
static struct jinja_value all_in(struct jinja_call *call, const struct jinja_unicode_class_table *const *tables)
{
    const struct jinja_string *string = call->subject.string;
    for (size_t at = 0; at < string->length;) {
        uint32_t c = jinja_next_character(string, &at);
        bool here = false;
        for (size_t i = 0; tables[i] && !here; i++) {
            here = jinja_unicode_is(tables[i], c);
        }
        if (!here) {
            return jinja_bool(false);
        }
    }
    jinja_charge_bytes(call->arena, string->length);
    return jinja_bool(string->length > 0);
}

static struct jinja_value str_isspace(struct jinja_call *call)
{
    return all_in(call, (const struct jinja_unicode_class_table *const[]){&jinja_unicode_space, NULL});
}

static struct jinja_value str_isalpha(struct jinja_call *call)
{
    return all_in(call, (const struct jinja_unicode_class_table *const[]){&jinja_unicode_alpha, NULL});
}

static struct jinja_value str_isdecimal(struct jinja_call *call)
{
    return all_in(call, (const struct jinja_unicode_class_table *const[]){&jinja_unicode_decimal, NULL});
}

static struct jinja_value str_isdigit(struct jinja_call *call)
{
    return all_in(
        call, (const struct jinja_unicode_class_table *const[]){&jinja_unicode_decimal, &jinja_unicode_digit, NULL});
}

static struct jinja_value str_isnumeric(struct jinja_call *call)
{
    return all_in(call, (const struct jinja_unicode_class_table *const[]){&jinja_unicode_decimal, &jinja_unicode_digit,
                                                                          &jinja_unicode_numeric, NULL});
}

static struct jinja_value str_isalnum(struct jinja_call *call)
{
    return all_in(call, (const struct jinja_unicode_class_table *const[]){&jinja_unicode_alpha, &jinja_unicode_decimal,
                                                                          &jinja_unicode_digit, &jinja_unicode_numeric,
                                                                          NULL});
}

static struct jinja_value is_of_case(struct jinja_call *call, const char *test)
{
    return jinja_invoke(call->machine, jinja_find_test(test), "test", call->subject, &(struct jinja_arguments){0});
}

static struct jinja_value str_islower(struct jinja_call *call)
{
    return is_of_case(call, "lower");
}

static struct jinja_value str_isupper(struct jinja_call *call)
{
    return is_of_case(call, "upper");
}

/* ---- dictionaries */

static struct jinja_value view_of(struct jinja_call *call, enum jinja_view_kind what)
{
    struct jinja_view *view = jinja_new(call->arena, 1, sizeof *view);
    struct jinja_value value = {.kind = JINJA_VIEW, .origin = call->subject.origin, .view = view};
    view->what = what;
    view->dict = call->subject.dict;
    return value;
}

static struct jinja_value dict_keys(struct jinja_call *call)
{
    return view_of(call, JINJA_KEYS);
}

static struct jinja_value dict_values(struct jinja_call *call)
{
    return view_of(call, JINJA_VALUES);
}

static struct jinja_value dict_items(struct jinja_call *call)
{
    return view_of(call, JINJA_ITEMS);
}

static struct jinja_value dict_get(struct jinja_call *call)
{
    const struct jinja_value *found = jinja_dict_get(call->arena, call->subject.dict, call->values[0]);
    if (found) {
        return *found;
    }
    return call->values[1].kind == JINJA_MISSING ? jinja_none() : call->values[1];
}

/* copy() of what templates cannot change. */
static struct jinja_value same(struct jinja_call *call)
{
    return call->subject;
}

/* ---- lists, tuples and ranges */

static struct jinja_value list_count(struct jinja_call *call)
{
    const struct jinja_list *items = jinja_elements(call->arena, call->subject);
    int64_t count = 0;
    for (size_t i = 0; i < items->count; i++) {
        count += jinja_equal(call->arena, items->items[i], call->values[0]);
    }
    return jinja_int(count);
}

static struct jinja_value list_index(struct jinja_call *call)
{
    const struct jinja_list *items = jinja_elements(call->arena, call->subject);
    for (size_t i = 0; i < items->count; i++) {
        if (jinja_equal(call->arena, items->items[i], call->values[0])) {
            return jinja_int((int64_t)i);
        }
    }
    jinja_fail(call->arena, "index() does not find the item it looks for");
}

/* ---- the loop variable */

static struct jinja_value loop_cycle(struct jinja_call *call)
{
    if (call->arguments.count == 0) {
        jinja_fail(call->arena, "loop.cycle() needs values to choose from");
    }
    return call->arguments.values[call->subject.loop->index % call->arguments.count];
}

static struct jinja_value loop_changed(struct jinja_call *call)
{
    struct jinja_list *values = jinja_list_new(call->arena, call->arguments.count);
    for (size_t i = 0; i < call->arguments.count; i++) {
        jinja_list_add(call->arena, values, call->arguments.values[i]);
    }
    struct jinja_value now = jinja_list_value(JINJA_TUPLE, values), *last = &call->subject.loop->last_changed;
    bool changed = last->kind == JINJA_MISSING || !jinja_equal(call->arena, *last, now);
    *last = now;
    return jinja_bool(changed);
}

/* ---- tables; parameters are NULL for what would change the object, which Hugging Face's sandbox forbids */

static const struct jinja_builtin str_methods[] = {
    {"strip", "? chars", str_strip},
    {"lstrip", "? chars", str_lstrip},
    {"rstrip", "? chars", str_rstrip},
    {"removeprefix", "prefix", str_removeprefix},
    {"removesuffix", "suffix", str_removesuffix},
    {"split", "? sep maxsplit", str_split},
    {"rsplit", "? sep maxsplit", str_rsplit},
    {"splitlines", "? keepends", str_splitlines},
    {"partition", "sep", str_partition},
    {"rpartition", "sep", str_rpartition},
    {"find", "sub ? start end", str_find},
    {"index", "sub ? start end", str_index},
    {"rfind", "sub ? start end", str_rfind},
    {"rindex", "sub ? start end", str_rindex},
    {"count", "sub ? start end", str_count},
    {"startswith", "prefix ? start end", str_startswith},
    {"endswith", "suffix ? start end", str_endswith},
    {"replace", "old new ? count", str_replace},
    {"upper", "", str_upper},
    {"lower", "", str_lower},
    {"capitalize", "", str_capitalize},
    {"title", "", str_title},
    {"swapcase", "", str_swapcase},
    {"join", "iterable", str_join},
    {"format", "...", str_format},
    {"ljust", "width ? fillchar", str_ljust},
    {"rjust", "width ? fillchar", str_rjust},
    {"center", "width ? fillchar", str_center},
    {"zfill", "width", str_zfill},
    {"isspace", "", str_isspace},
    {"isalpha", "", str_isalpha},
    {"isdecimal", "", str_isdecimal},
    {"isdigit", "", str_isdigit},
    {"isnumeric", "", str_isnumeric},
    {"isalnum", "", str_isalnum},
    {"islower", "", str_islower},
    {"isupper", "", str_isupper},
    {"casefold", "", NULL},
    {"encode", "...", NULL},
    {"expandtabs", "...", NULL},
    {"format_map", "...", NULL},
    {"isascii", "", NULL},
    {"isidentifier", "", NULL},
    {"isprintable", "", NULL},
    {"istitle", "", NULL},
    {"maketrans", "...", NULL},
    {"translate", "...", NULL},
    {NULL, NULL, NULL},
};

static const struct jinja_builtin dict_methods[] = {
    {"keys", "", dict_keys}, {"values", "", dict_values}, {"items", "", dict_items}, {"get", "key ? default", dict_get},
    {"copy", "", same},      {"fromkeys", "...", NULL},   {"clear", NULL, NULL},     {"pop", NULL, NULL},
    {"popitem", NULL, NULL}, {"setdefault", NULL, NULL},  {"update", NULL, NULL},    {NULL, NULL, NULL},
};

static const struct jinja_builtin list_methods[] = {
    {"count", "value", list_count}, {"index", "value", list_index}, {"copy", "", same},     {"append", NULL, NULL},
    {"clear", NULL, NULL},          {"extend", NULL, NULL},         {"insert", NULL, NULL}, {"pop", NULL, NULL},
    {"remove", NULL, NULL},         {"reverse", NULL, NULL},        {"sort", NULL, NULL},   {NULL, NULL, NULL},
};

static const struct jinja_builtin tuple_methods[] = {
    {"count", "value", list_count}, {"index", "value", list_index}, {NULL, NULL, NULL}};

static const struct jinja_builtin loop_methods[] = {
    {"cycle", "...", loop_cycle}, {"changed", "...", loop_changed}, {NULL, NULL, NULL}};

const struct jinja_builtin *jinja_find_method(enum jinja_kind kind, const char *name)
{
    switch (kind) {
    case JINJA_STRING:
        return jinja_find_builtin(str_methods, name);
    case JINJA_DICT:
        return jinja_find_builtin(dict_methods, name);
    case JINJA_LIST:
        return jinja_find_builtin(list_methods, name);
    case JINJA_TUPLE:
    case JINJA_RANGE:
        return jinja_find_builtin(tuple_methods, name);
    case JINJA_LOOP:
        return jinja_find_builtin(loop_methods, name);
    default:
        return NULL;
    }
}
