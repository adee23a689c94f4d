/* Filters of single values: text, numbers, JSON. Those of sequences are in filters_list.c. */
#include "text/jinja/internal.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- text */

static struct jinja_value filter_trim(struct jinja_call *call)
{
    const struct jinja_string *string = jinja_subject_text(call);
    enum jinja_kind kind = call->values[0].kind;
    bool plain = kind == JINJA_MISSING || kind == JINJA_NONE;
    return jinja_strip(call->arena, string, plain ? NULL : jinja_text_argument(call, 0, "chars"), JINJA_BOTH);
}

static struct jinja_value filter_upper(struct jinja_call *call)
{
    return jinja_upper(call->arena, jinja_subject_text(call));
}

static struct jinja_value filter_lower(struct jinja_call *call)
{
    return jinja_lower(call->arena, jinja_subject_text(call));
}

static struct jinja_value filter_capitalize(struct jinja_call *call)
{
    return jinja_capitalize(call->arena, jinja_subject_text(call));
}

/* Words start at the beginning and after any of - ( { [ < and white space. */
static const struct jinja_unicode_case_table *word_table(uint32_t before, uint32_t c)
{
    (void)c;
    bool starts = before == 0 || jinja_unicode_is(&jinja_unicode_space, before) ||
                  (before < 0x80 && strchr("-({[<", (int)before));
    return starts ? &jinja_unicode_upper : &jinja_unicode_lower;
}

static struct jinja_value filter_title(struct jinja_call *call)
{
    return jinja_map_case(call->arena, jinja_subject_text(call), word_table);
}

static struct jinja_value filter_replace(struct jinja_call *call)
{
    struct jinja_origin here = jinja_here(call->machine);
    const struct jinja_string *old = jinja_to_string(call->arena, call->values[0], here).string;
    const struct jinja_string *with = jinja_to_string(call->arena, call->values[1], here).string;
    int64_t most = call->values[2].kind == JINJA_NONE ? -1 : jinja_int_argument(call, 2, "count", -1);
    return jinja_replace(call->arena, jinja_subject_text(call), old, with, most);
}

static struct jinja_value filter_string(struct jinja_call *call)
{
    return jinja_to_string(call->arena, call->subject, jinja_here(call->machine));
}

static struct jinja_value filter_escape(struct jinja_call *call)
{
    const struct jinja_string *string = jinja_subject_text(call);
    bool again = call->subject.kind == JINJA_STRING && string->markup;
    return again ? call->subject : jinja_escape(call->arena, string);
}

static struct jinja_value filter_forceescape(struct jinja_call *call)
{
    return jinja_escape(call->arena, jinja_subject_text(call));
}

static struct jinja_value filter_center(struct jinja_call *call)
{
    return jinja_pad(call, jinja_subject_text(call), jinja_int_argument(call, 0, "width", 80), JINJA_BOTH, ' ');
}

static struct jinja_value filter_indent(struct jinja_call *call)
{
    struct jinja_origin here = jinja_here(call->machine);
    struct jinja_text text = jinja_text_new(call->arena), indent = jinja_text_new(call->arena);
    const struct jinja_string *width = NULL;
    if (call->subject.kind == JINJA_UNDEFINED) {
        jinja_fail_undefined(call->arena, call->subject.undefined);
    }
    if (call->subject.kind != JINJA_STRING) {
        jinja_fail(call->arena, "indent takes text, not a %s", jinja_kind_name(call->subject));
    }
    if (call->values[0].kind == JINJA_STRING) {
        width = call->values[0].string;
    } else {
        for (int64_t i = jinja_int_argument(call, 0, "width", 4); i > 0; i--) {
            jinja_text_put(&indent, " ", 1, here);
        }
        width = jinja_text_finish(&indent).string;
    }
    bool blank = jinja_bool_argument(call, 2);
    jinja_text_add(&text, call->subject.string);
    jinja_text_put(&text, "\n", 1, here);
    const struct jinja_list *lines = jinja_split_lines(call->arena, jinja_text_finish(&text).string, false);
    if (jinja_bool_argument(call, 1)) {
        jinja_text_add(&text, width);
    }
    for (size_t i = 0; i < lines->count; i++) {
        const struct jinja_string *line = lines->items[i].string;
        if (i > 0) {
            jinja_text_put(&text, "\n", 1, here);
        }
        if (i > 0 && (blank || line->length > 0)) {
            jinja_text_add(&text, width);
        }
        jinja_text_add(&text, line);
    }
    return jinja_text_finish(&text);
}

static struct jinja_value filter_truncate(struct jinja_call *call)
{
    struct jinja_origin here = jinja_here(call->machine);
    struct jinja_string *string, *end;
    int64_t length = jinja_int_argument(call, 0, "length", 255);
    int64_t leeway = call->values[3].kind == JINJA_NONE ? 5 : jinja_int_argument(call, 3, "leeway", 5);
    end = call->values[2].kind == JINJA_MISSING ? jinja_string_of(call->arena, "...", 3, here).string
                                                : jinja_text_argument(call, 2, "end");
    if (length < (int64_t)jinja_characters(call->arena, end) || leeway < 0) {
        jinja_fail(call->arena, "truncate() needs a length of at least that of the end, and a leeway of at least 0");
    }
    int64_t count = (int64_t)jinja_length(call->arena, call->subject);
    if (count <= length || count - length <= leeway) {
        return call->subject;
    }
    if (call->subject.kind != JINJA_STRING) {
        jinja_fail(call->arena, "truncate takes text, not a %s", jinja_kind_name(call->subject));
    }
    string = call->subject.string;
    size_t cut = jinja_byte_offset(call->arena, string, (size_t)length - jinja_characters(call->arena, end));
    if (!jinja_bool_argument(call, 1)) {
        struct jinja_value blank = jinja_string_of(call->arena, " ", 1, here);
        size_t word = jinja_find_last(call->arena, string, blank.string, 0, cut);
        cut = word == SIZE_MAX ? cut : word;
    }
    struct jinja_text text = jinja_text_new(call->arena);
    jinja_text_add_part(&text, string, 0, cut);
    jinja_text_add(&text, end);
    return jinja_text_finish(&text);
}

static bool is_word_character(uint32_t c)
{
    return c == '_' || jinja_unicode_is(&jinja_unicode_alpha, c) || jinja_unicode_is(&jinja_unicode_decimal, c) ||
           jinja_unicode_is(&jinja_unicode_digit, c) || jinja_unicode_is(&jinja_unicode_numeric, c);
}

static struct jinja_value filter_wordcount(struct jinja_call *call)
{
    const struct jinja_string *string = jinja_subject_text(call);
    int64_t count = 0;
    bool inside = false;
    for (size_t at = 0; at < string->length;) {
        bool word = is_word_character(jinja_next_character(string, &at));
        count += word && !inside;
        inside = word;
    }
    return jinja_int(count);
}

static struct jinja_value filter_urlencode(struct jinja_call *call)
{
    const struct jinja_string *string = jinja_subject_text(call);
    struct jinja_text text = jinja_text_new(call->arena);
    struct jinja_piece piece = jinja_pieces(string, 0, string->length);
    if (call->subject.kind != JINJA_STRING && jinja_is_iterable(call->subject)) {
        jinja_fail(call->arena, "urlencode takes text, not a %s", jinja_kind_name(call->subject));
    }
    while (jinja_next_piece(&piece)) {
        for (size_t i = piece.from; i < piece.to; i++) {
            unsigned char c = (unsigned char)string->bytes[i];
            bool safe = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c != 0 && strchr("_.-~/", c));
            char code[3] = {'%', "0123456789ABCDEF"[c >> 4], "0123456789ABCDEF"[c & 15]};
            jinja_text_put(&text, safe ? &string->bytes[i] : code, safe ? 1 : 3, piece.origin);
        }
    }
    return jinja_text_finish(&text);
}

static struct jinja_value filter_format(struct jinja_call *call)
{
    struct jinja_value values;
    if (call->arguments.named_count > 0 && call->arguments.count > 0) {
        jinja_fail(call->arena, "format takes arguments with names or without, not both");
    }
    if (call->arguments.named_count > 0) {
        values = jinja_dict_value(jinja_dict_new(call->arena, call->arguments.named_count));
        for (size_t i = 0; i < call->arguments.named_count; i++) {
            jinja_dict_set(call->arena, values.dict, jinja_string_made(call->arena, call->arguments.named[i].name),
                           call->arguments.named[i].value);
        }
    } else {
        struct jinja_list *list = jinja_list_new(call->arena, call->arguments.count);
        for (size_t i = 0; i < call->arguments.count; i++) {
            jinja_list_add(call->arena, list, call->arguments.values[i]);
        }
        values = jinja_list_value(JINJA_TUPLE, list);
    }
    return jinja_format_percent(call->machine, jinja_subject_text(call), values);
}

/* ---- any value */

static struct jinja_value filter_default(struct jinja_call *call)
{
    bool absent =
        call->subject.kind == JINJA_UNDEFINED || (jinja_bool_argument(call, 1) && !jinja_truth(call->subject));
    if (!absent) {
        return call->subject;
    }
    return call->values[0].kind == JINJA_MISSING ? jinja_string_made(call->arena, "") : call->values[0];
}

static struct jinja_value filter_safe(struct jinja_call *call)
{
    const struct jinja_string *string = jinja_subject_text(call);
    struct jinja_value safe = jinja_string_part(call->arena, string, 0, string->length);
    safe.string->markup = true;
    return safe;
}

static struct jinja_value filter_attr(struct jinja_call *call)
{
    struct jinja_string *name = jinja_text_argument(call, 0, "name");
    if (call->subject.kind == JINJA_DICT && !jinja_find_method(JINJA_DICT, name->bytes)) {
        return jinja_undefined_name(call->arena, jinja_kind_name(call->subject), call->values[0]);
    }
    return jinja_get_member(call->machine, call->subject, call->values[0]);
}

static struct jinja_value filter_tojson(struct jinja_call *call)
{
    struct jinja_arena *arena = call->arena;
    struct jinja_json_style style = {.ascii_only = jinja_bool_argument(call, 0),
                                     .sort_keys = jinja_bool_argument(call, 3)};
    struct jinja_value indent = call->values[1], separators = call->values[2];
    if (indent.kind == JINJA_STRING) {
        style.indent = indent.string;
    } else if (indent.kind != JINJA_MISSING && indent.kind != JINJA_NONE) {
        struct jinja_text spaces = jinja_text_new(arena);
        for (int64_t i = jinja_need_int(arena, indent, "indent"); i > 0; i--) {
            jinja_text_put(&spaces, " ", 1, jinja_here(call->machine));
        }
        style.indent = jinja_text_finish(&spaces).string;
    }
    style.item_separator = jinja_string_made(arena, style.indent ? "," : ", ").string;
    style.key_separator = jinja_string_made(arena, ": ").string;
    if (separators.kind != JINJA_MISSING && separators.kind != JINJA_NONE) {
        const struct jinja_list *pair = jinja_elements(arena, separators);
        if (pair->count != 2 || pair->items[0].kind != JINJA_STRING || pair->items[1].kind != JINJA_STRING) {
            jinja_fail(arena, "the separators of tojson must be two strings");
        }
        style.item_separator = pair->items[0].string;
        style.key_separator = pair->items[1].string;
    }
    struct jinja_text text = jinja_text_new(arena);
    jinja_write_json(&text, call->subject, &style, jinja_here(call->machine));
    return jinja_text_finish(&text);
}

/* ---- numbers */

/* The digits of a string as int() and float() read them: no white space around, no underscores between; NULL: none. */
static char *number_text(struct jinja_call *call)
{
    const struct jinja_string *text = jinja_strip(call->arena, call->subject.string, NULL, JINJA_BOTH).string;
    char *digits = jinja_new(call->arena, text->length + 1, 1);
    size_t count = 0;
    for (size_t i = 0; i < text->length; i++) {
        bool between = i > 0 && i + 1 < text->length && text->bytes[i - 1] != '_' && text->bytes[i + 1] != '_';
        if (text->bytes[i] == '\0' || (text->bytes[i] == '_' && !between)) {
            return NULL;
        }
        if (text->bytes[i] != '_') {
            digits[count++] = text->bytes[i];
        }
    }
    return count > 0 ? digits : NULL;
}

/* strtod() reads hexadecimal numbers and "nan(...)", Python does not. */
static bool parse_real(struct jinja_call *call, double *out)
{
    char *end, *digits = number_text(call);
    if (!digits || strpbrk(digits, "xX(") || jinja_unicode_is(&jinja_unicode_space, (unsigned char)digits[0])) {
        return false;
    }
    *out = strtod(digits, &end);
    return *end == '\0';
}

static bool parse_int(struct jinja_call *call, int64_t base, int64_t *out)
{
    char *end, *digits = number_text(call);
    if (!digits || base < 0 || base == 1 || base > 36 ||
        jinja_unicode_is(&jinja_unicode_space, (unsigned char)digits[0])) {
        return false;
    }
    char *number = digits + (digits[0] == '-' || digits[0] == '+');
    char letter = number[0] == '0' ? (char)(number[1] | 0x20) : '\0';
    int prefix = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    bool minus = digits[0] == '-';
    if (prefix && (base == prefix || base == 0)) {
        base = prefix;
        number += 2;
    } else if (base == 0) {
        base = 10;
    }
    if (number[0] == '\0' || strchr("+- \t\n\v\f\r", number[0])) { /* strtoull() takes a sign and blanks here, too */
        return false;
    }
    errno = 0;
    unsigned long long value = strtoull(number, &end, (int)base);
    if (errno == ERANGE || value > (unsigned long long)INT64_MAX + minus) {
        jinja_fail(call->arena, "the number %.40s does not fit 64 bits", digits);
    }
    *out = (int64_t)(minus ? 0 - value : value);
    return *end == '\0' && (letter != 'x' || prefix == base || base > 33);
}

static struct jinja_value int_of_real(struct jinja_call *call, double value)
{
    if (!(value > -9.2e18 && value < 9.2e18)) {
        jinja_fail(call->arena, "the number %g does not fit 64 bits", value);
    }
    return jinja_int((int64_t)value);
}

static struct jinja_value filter_int(struct jinja_call *call)
{
    struct jinja_value otherwise = call->values[0].kind == JINJA_MISSING ? jinja_int(0) : call->values[0];
    int64_t integer;
    double real;
    switch (call->subject.kind) {
    case JINJA_UNDEFINED:
        jinja_fail_undefined(call->arena, call->subject.undefined);
    case JINJA_BOOL:
    case JINJA_INT:
        return jinja_int(jinja_need_int(call->arena, call->subject, "int"));
    case JINJA_FLOAT:
        if (isnan(call->subject.real) || isinf(call->subject.real)) {
            return otherwise;
        }
        return int_of_real(call, call->subject.real);
    case JINJA_STRING:
        if (parse_int(call, jinja_int_argument(call, 1, "base", 10), &integer)) {
            return jinja_int(integer);
        }
        if (!parse_real(call, &real) || isnan(real) || isinf(real)) {
            return otherwise;
        }
        return int_of_real(call, real);
    default:
        return otherwise;
    }
}

static struct jinja_value filter_float(struct jinja_call *call)
{
    struct jinja_value otherwise = call->values[0].kind == JINJA_MISSING ? jinja_real(0) : call->values[0];
    double real;
    switch (call->subject.kind) {
    case JINJA_UNDEFINED:
        jinja_fail_undefined(call->arena, call->subject.undefined);
    case JINJA_BOOL:
    case JINJA_INT:
        return jinja_real((double)jinja_need_int(call->arena, call->subject, "float"));
    case JINJA_FLOAT:
        return call->subject;
    case JINJA_STRING:
        return parse_real(call, &real) ? jinja_real(real) : otherwise;
    default:
        return otherwise;
    }
}

static struct jinja_value filter_abs(struct jinja_call *call)
{
    struct jinja_value value = call->subject;
    if (value.kind == JINJA_FLOAT) {
        return jinja_real(fabs(value.real));
    }
    int64_t integer = jinja_need_int(call->arena, value, "what abs takes");
    return integer < 0 ? jinja_arithmetic(call->arena, JINJA_SUBTRACT, jinja_int(0), value) : jinja_int(integer);
}

/* Python's round(value, digits) of a float: correctly rounded decimal digits, half to even. */
static double round_half_even(double value, int64_t digits)
{
    char text[400];
    if (!isfinite(value) || digits > 300 || value == 0) {
        return value;
    }
    if (digits >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)digits, value);
        return strtod(text, NULL);
    }
    if (digits < -308) {
        return copysign(0.0, value);
    }
    double unit = pow(10.0, (double)-digits);
    return nearbyint(value / unit) * unit;
}

static struct jinja_value filter_round(struct jinja_call *call)
{
    struct jinja_value value = call->subject;
    int64_t digits = jinja_int_argument(call, 0, "precision", 0);
    const char *method = "common";
    if (call->values[1].kind != JINJA_MISSING) {
        method = jinja_text_argument(call, 1, "method")->bytes;
    }
    if (value.kind == JINJA_UNDEFINED) {
        jinja_fail_undefined(call->arena, value.undefined);
    }
    if (!jinja_is_number(value)) {
        jinja_fail(call->arena, "round takes a number, not a %s", jinja_kind_name(value));
    }
    if (digits > 300 || digits < -300) {
        jinja_fail(call->arena, "the precision of round must lie between -300 and 300");
    }
    bool common = strncmp(method, "common", 6) == 0, ceiling = strncmp(method, "ceil", 4) == 0;
    if (!common && !ceiling && strncmp(method, "floor", 5) != 0) {
        jinja_fail(call->arena, "the method of round must be common, ceil or floor");
    }
    if (common && value.kind != JINJA_FLOAT && digits >= 0) {
        return jinja_int(jinja_need_int(call->arena, value, "round"));
    }
    double real = value.kind == JINJA_FLOAT ? value.real : (double)jinja_need_int(call->arena, value, "round");
    if (common) {
        real = round_half_even(real, digits);
        return value.kind == JINJA_FLOAT ? jinja_real(real) : int_of_real(call, real);
    }
    double unit = pow(10.0, (double)digits);
    real = ceiling ? ceil(real * unit) : floor(real * unit);
    return jinja_real(real / unit + 0.0); /* no -0.0 */
}

/* ---- the table */

const struct jinja_builtin *jinja_find_filter(const char *name)
{
    static const struct jinja_builtin filters[] = {
        {"trim", "? chars", filter_trim},
        {"upper", "", filter_upper},
        {"lower", "", filter_lower},
        {"capitalize", "", filter_capitalize},
        {"title", "", filter_title},
        {"replace", "old new ? count", filter_replace},
        {"string", "", filter_string},
        {"safe", "", filter_safe},
        {"escape", "", filter_escape},
        {"e", "", filter_escape},
        {"forceescape", "", filter_forceescape},
        {"center", "? width", filter_center},
        {"indent", "? width first blank", filter_indent},
        {"truncate", "? length killwords end leeway", filter_truncate},
        {"wordcount", "", filter_wordcount},
        {"urlencode", "", filter_urlencode},
        {"format", "...", filter_format},
        {"default", "? default_value boolean", filter_default},
        {"d", "? default_value boolean", filter_default},
        {"attr", "name", filter_attr},
        {"tojson", "? ensure_ascii indent separators sort_keys", filter_tojson},
        {"int", "? default base", filter_int},
        {"float", "? default", filter_float},
        {"abs", "", filter_abs},
        {"round", "? precision method", filter_round},
        {NULL, NULL, NULL},
    };
    const struct jinja_builtin *found = jinja_find_builtin(filters, name);
    return found ? found : jinja_find_list_filter(name);
}
