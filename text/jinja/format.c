/*
 * Putting values into text: "%s: %5.1f" % (a, b) and "{}: {:>5.1f}".format(a, b).
 *
 * Both read a piece of the format into one description of a field and write the value by that.
 */
#include "base/minmax.h"
#include "text/jinja/internal.h"
#include <stdio.h>
#include <string.h>

#define WIDTH_MAX     10000 /* characters of a field, and digits of a number */
#define PRECISION_MAX 300

struct field {
    char type; /* of %x or {:x}; '\0': none given */
    uint32_t fill;
    char align; /* < > ^, '\0': by the type */
    char sign;  /* + or blank before positive numbers, '\0': nothing */
    bool zeros, alternate, commas;
    int64_t width, precision; /* precision < 0: none given */
};

struct format_reader {
    struct jinja_machine *machine;
    struct jinja_arena *arena;
    const struct jinja_string *format;
    size_t at;
};

static char peek(const struct format_reader *reader)
{
    return reader->at < reader->format->length ? reader->format->bytes[reader->at] : '\0';
}

static bool skip(struct format_reader *reader, char c)
{
    bool there = reader->at < reader->format->length && reader->format->bytes[reader->at] == c;
    reader->at += there;
    return there;
}

static struct jinja_origin origin_at(const struct format_reader *reader, size_t at)
{
    struct jinja_piece piece = jinja_pieces(reader->format, at, reader->format->length);
    return jinja_next_piece(&piece) ? piece.origin : jinja_here(reader->machine);
}

/* Digits as a number, -1 where there are none. */
static int64_t read_number(struct format_reader *reader, int64_t most, const char *what)
{
    int64_t number = -1;
    while (peek(reader) >= '0' && peek(reader) <= '9') {
        number = max(number, 0) * 10 + (peek(reader) - '0');
        reader->at++;
        if (number > most) {
            jinja_fail(reader->arena, "the %s of a formatted value is more than %lld", what, (long long)most);
        }
    }
    return number;
}

/* ---- writing a field */

static void pad(struct jinja_text *text, const struct field *field, struct jinja_string *body,
                struct jinja_origin origin)
{
    int64_t more = field->width - (int64_t)jinja_characters(text->arena, body);
    int64_t left = more <= 0 ? 0 : field->align == '>' ? more : field->align == '^' ? more / 2 : 0;
    for (int64_t i = 0; i < left; i++) {
        jinja_text_put_character(text, field->fill, origin);
    }
    jinja_text_add(text, body);
    for (int64_t i = left; i < more; i++) {
        jinja_text_put_character(text, field->fill, origin);
    }
}

/* Commas between every three digits of the whole part of a number without a sign. */
static char *with_commas(struct jinja_arena *arena, const char *digits)
{
    size_t whole = strspn(digits, "0123456789"), count = 0;
    char *result = jinja_new(arena, strlen(digits) + whole / 3 + 1, 1);
    for (size_t i = 0; i < whole; i++) {
        if (i > 0 && (whole - i) % 3 == 0) {
            result[count++] = ',';
        }
        result[count++] = digits[i];
    }
    return strcpy(result + count, digits + whole) - count;
}

static char *integer_digits(struct jinja_arena *arena, const struct field *field, uint64_t magnitude)
{
    char *digits = jinja_new(arena, 80, 1), prefix[3] = {0};
    if (field->alternate && strchr("xXob", field->type)) {
        prefix[0] = '0';
        prefix[1] = field->type;
    }
    if (field->type == 'b') {
        char *end = digits + 79;
        do {
            *--end = (char)('0' + (magnitude & 1));
        } while (magnitude >>= 1);
        for (size_t i = strlen(prefix); i-- > 0;) {
            *--end = prefix[i];
        }
        return end;
    }
    const char *format = field->type == 'x'   ? "%s%llx"
                         : field->type == 'X' ? "%s%llX"
                         : field->type == 'o' ? "%s%llo"
                                              : "%s%llu";
    snprintf(digits, 80, format, prefix, (unsigned long long)magnitude);
    return digits;
}

static char *real_digits(struct jinja_arena *arena, const struct field *field, double magnitude)
{
    char *digits = jinja_new(arena, PRECISION_MAX + 400, 1), format[8] = "%.*f";
    size_t size = PRECISION_MAX + 400;
    int precision = field->precision < 0 ? 6 : (int)field->precision;
    if (field->type == '\0' && field->precision < 0) {
        jinja_format_real(digits, magnitude);
        return digits;
    }
    if (field->type == '\0') {
        jinja_fail(arena, "a precision needs a type: {:.2f}");
    }
    format[3] = field->type == '%' ? 'f' : field->type;
    if (field->alternate) {
        memcpy(format, "%#.*", 4), format[4] = field->type;
    }
    snprintf(digits, size, format, precision, field->type == '%' ? magnitude * 100 : magnitude);
    if (field->type == '%') {
        strcat(digits, "%");
    }
    return digits;
}

static void write_number(struct jinja_text *text, struct jinja_arena *arena, const struct field *field,
                         struct jinja_value value, struct jinja_origin origin)
{
    struct jinja_text body = jinja_text_new(arena);
    bool real = value.kind == JINJA_FLOAT || (field->type && strchr("fFeEgG%", field->type));
    double number = value.kind == JINJA_FLOAT ? value.real : (double)jinja_need_int(arena, value, "a number");
    bool minus = __builtin_signbit(number) != 0;
    char *digits;
    if (real) {
        digits = real_digits(arena, field, minus ? -number : number);
    } else {
        int64_t integer = jinja_need_int(arena, value, "a formatted number");
        digits = integer_digits(arena, field, minus ? 0 - (uint64_t)integer : (uint64_t)integer);
    }
    if (field->commas) {
        digits = with_commas(arena, digits);
    }
    char sign = minus ? '-' : field->sign;
    size_t width = strlen(digits) + (sign != '\0');
    if (sign) {
        jinja_text_put(&body, &sign, 1, origin);
    }
    for (; field->zeros && (int64_t)width < field->width; width++) {
        jinja_text_put(&body, "0", 1, origin);
    }
    jinja_text_puts(&body, digits, origin);
    struct field padded = *field;
    if (!padded.align) {
        padded.align = '>';
    }
    pad(text, &padded, jinja_text_finish(&body).string, origin);
}

static void write_string(struct jinja_text *text, struct jinja_arena *arena, const struct field *field,
                         struct jinja_string *string, struct jinja_origin origin)
{
    if (field->precision >= 0 && (int64_t)jinja_characters(arena, string) > field->precision) {
        string = jinja_string_part(arena, string, 0, jinja_byte_offset(arena, string, (size_t)field->precision)).string;
    }
    pad(text, field, string, origin);
}

static struct jinja_string *repr_of(struct jinja_arena *arena, struct jinja_value value, struct jinja_origin origin)
{
    struct jinja_text text = jinja_text_new(arena);
    jinja_write_repr(&text, value, origin);
    return jinja_text_finish(&text).string;
}

/* ---- "..." % values */

static struct field read_percent_field(struct format_reader *reader)
{
    struct field field = {.fill = ' ', .align = '>', .precision = -1};
    bool left = false;
    for (;; reader->at++) {
        char c = peek(reader);
        if (c == '-') {
            left = true;
        } else if (c == '0') {
            field.zeros = true;
        } else if (c == '#') {
            field.alternate = true;
        } else if (c == '+' || (c == ' ' && !field.sign)) {
            field.sign = c;
        } else {
            break;
        }
    }
    int64_t width = read_number(reader, WIDTH_MAX, "width");
    field.width = max(width, 0);
    if (skip(reader, '.')) {
        field.precision = read_number(reader, PRECISION_MAX, "precision");
        field.precision = max(field.precision, 0);
    }
    if (left) {
        field.align = '<';
        field.zeros = false;
    }
    field.type = peek(reader);
    reader->at++;
    return field;
}

/* The value for the next field: by name from a dictionary, else the next one. */
static struct jinja_value percent_value(struct format_reader *reader, struct jinja_value values, size_t *used)
{
    if (skip(reader, '(')) {
        size_t from = reader->at;
        while (reader->at < reader->format->length && peek(reader) != ')') {
            reader->at++;
        }
        struct jinja_value name = jinja_string_part(reader->arena, reader->format, from, reader->at);
        if (!skip(reader, ')') || values.kind != JINJA_DICT) {
            jinja_fail(reader->arena, "%%(name) needs a ')' and a dictionary after the %%");
        }
        const struct jinja_value *found = jinja_dict_get(reader->arena, values.dict, name);
        if (!found) {
            jinja_fail(reader->arena, "the dictionary after %% has no key '%.*s'", (int)name.string->length,
                       name.string->bytes);
        }
        return *found;
    }
    return (struct jinja_value){.kind = JINJA_MISSING, .integer = (int64_t)*used};
}

static struct jinja_value next_percent_value(struct format_reader *reader, struct jinja_value values, size_t *used)
{
    size_t count = values.kind == JINJA_TUPLE ? values.list->count : 1;
    if (*used >= count) {
        jinja_fail(reader->arena, "the format needs more values than are after the %%");
    }
    size_t index = (*used)++;
    return values.kind == JINJA_TUPLE ? values.list->items[index] : values;
}

static void write_percent_field(struct format_reader *reader, struct jinja_text *text, struct field *field,
                                struct jinja_value value, struct jinja_origin origin)
{
    static const char numbers[] = "diuxXofFeEgG";
    if (value.kind == JINJA_UNDEFINED && field->type != 's' && field->type != 'r') {
        jinja_fail_undefined(reader->arena, value.undefined);
    }
    if (field->type == 's') {
        field->zeros = false;
        write_string(text, reader->arena, field, jinja_to_string(reader->arena, value, origin).string, origin);
    } else if (field->type == 'r') {
        write_string(text, reader->arena, field, repr_of(reader->arena, value, origin), origin);
    } else if (field->type != '\0' && strchr(numbers, field->type)) {
        bool decimal = strchr("diu", field->type) != NULL;
        if (!jinja_is_number(value)) {
            jinja_fail(reader->arena, "%%%c needs a number, not a %s", field->type, jinja_kind_name(value));
        }
        if (decimal && value.kind == JINJA_FLOAT) {
            if (!(value.real > -9.2e18 && value.real < 9.2e18)) {
                jinja_fail(reader->arena, "the number %g does not fit 64 bits", value.real);
            }
            value = jinja_int((int64_t)value.real);
        }
        if (decimal) {
            field->type = 'd';
        }
        if (field->precision >= 0 && strchr("dxXo", field->type)) {
            jinja_fail(reader->arena, "a precision of whole numbers is not supported");
        }
        write_number(text, reader->arena, field, value, origin);
    } else {
        jinja_fail(reader->arena, "the format '%%%c' is not supported", field->type ? field->type : ' ');
    }
}

struct jinja_value jinja_format_percent(struct jinja_machine *machine, const struct jinja_string *format,
                                        struct jinja_value values)
{
    struct format_reader reader = {machine, &machine->arena, format, 0};
    struct jinja_text text = jinja_text_new(&machine->arena);
    size_t used = 0;
    while (reader.at < format->length) {
        size_t from = reader.at;
        while (reader.at < format->length && format->bytes[reader.at] != '%') {
            reader.at++;
        }
        jinja_text_add_part(&text, format, from, reader.at);
        if (!skip(&reader, '%')) {
            break;
        }
        struct jinja_origin origin = origin_at(&reader, reader.at - 1);
        if (skip(&reader, '%')) {
            jinja_text_put(&text, "%", 1, origin);
            continue;
        }
        struct jinja_value value = percent_value(&reader, values, &used);
        struct field field = read_percent_field(&reader);
        if (value.kind == JINJA_MISSING) {
            value = next_percent_value(&reader, values, &used);
        }
        write_percent_field(&reader, &text, &field, value, origin);
    }
    size_t count = values.kind == JINJA_TUPLE ? values.list->count : 1;
    /* Python lets anything pass that has items. */
    bool has_items = values.kind == JINJA_DICT || values.kind == JINJA_LIST || values.kind == JINJA_RANGE ||
                     values.kind == JINJA_UNDEFINED;
    if (used < count && !has_items) {
        jinja_fail(&machine->arena, "the format uses %zu of %zu values after the %%", used, count);
    }
    return jinja_text_finish(&text);
}

/* ---- "...".format(values) */

/* The name or number up to one of the characters in `ends`. */
static struct jinja_value read_part(struct format_reader *reader, const char *ends)
{
    size_t from = reader->at;
    while (reader->at < reader->format->length && (peek(reader) == '\0' || !strchr(ends, peek(reader)))) {
        reader->at++;
    }
    return jinja_string_part(reader->arena, reader->format, from, reader->at);
}

static bool is_number_text(const struct jinja_string *text, int64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text->length; i++) {
        if (text->bytes[i] < '0' || text->bytes[i] > '9' || *number > WIDTH_MAX) {
            return false;
        }
        *number = *number * 10 + (text->bytes[i] - '0');
    }
    return text->length > 0;
}

static struct jinja_value braces_value(struct format_reader *reader, const struct jinja_arguments *arguments,
                                       int64_t *next)
{
    struct jinja_value name = read_part(reader, ".[!:}{"), value = {.kind = JINJA_MISSING};
    int64_t index;
    bool numbered = is_number_text(name.string, &index);
    if (name.string->length == 0) {
        index = (*next)++;
        numbered = true;
    }
    if (numbered && index < (int64_t)arguments->count) {
        value = arguments->values[index];
    }
    for (size_t i = 0; i < arguments->named_count && !numbered; i++) {
        if (jinja_string_is(name.string, arguments->named[i].name)) {
            value = arguments->named[i].value;
        }
    }
    if (value.kind == JINJA_MISSING) {
        jinja_fail(reader->arena, "format() has no value for '{%.*s}'", (int)name.string->length, name.string->bytes);
    }
    for (;;) {
        if (skip(reader, '.')) {
            struct jinja_value member = read_part(reader, ".[!:}{");
            value = jinja_get_item(reader->machine, value, member);
        } else if (skip(reader, '[')) {
            struct jinja_value key = read_part(reader, "]");
            value = jinja_get_item(reader->machine, value, is_number_text(key.string, &index) ? jinja_int(index) : key);
            if (!skip(reader, ']')) {
                jinja_fail(reader->arena, "format() misses a ']'");
            }
        } else {
            return value;
        }
    }
}

static bool is_align(char c)
{
    return c == '<' || c == '>' || c == '^';
}

static struct field read_braces_field(struct format_reader *reader)
{
    struct field field = {.fill = ' ', .precision = -1};
    size_t after = reader->at;
    if (peek(reader) != '\0') {
        jinja_next_character(reader->format, &after);
    }
    if (is_align(after < reader->format->length ? reader->format->bytes[after] : '\0')) {
        field.fill = jinja_next_character(reader->format, &reader->at);
        field.align = reader->format->bytes[reader->at++];
    } else if (is_align(peek(reader))) {
        field.align = reader->format->bytes[reader->at++];
    }
    if (skip(reader, '+')) {
        field.sign = '+';
    } else if (skip(reader, ' ')) {
        field.sign = ' ';
    } else {
        skip(reader, '-');
    }
    field.alternate = skip(reader, '#');
    field.zeros = skip(reader, '0') && !field.align;
    field.width = read_number(reader, WIDTH_MAX, "width");
    field.width = max(field.width, 0);
    field.commas = skip(reader, ',');
    if (skip(reader, '.')) {
        field.precision = read_number(reader, PRECISION_MAX, "precision");
    }
    if (peek(reader) != '\0' && strchr("sdxXobfFeEgG%", peek(reader))) {
        field.type = reader->format->bytes[reader->at++];
    }
    if (field.zeros && field.commas) {
        jinja_fail(reader->arena, "zeros and commas together are not supported in format()");
    }
    return field;
}

static void write_braces_field(struct format_reader *reader, struct jinja_text *text, const struct field *field,
                               bool plain, struct jinja_value value, struct jinja_origin origin)
{
    bool number = jinja_is_number(value) && value.kind != JINJA_BOOL;
    if (plain) {
        jinja_write(text, value, origin);
    } else if (number && field->type != 's') {
        if (value.kind == JINJA_FLOAT && field->type && strchr("dxXob", field->type)) {
            jinja_fail(reader->arena, "format() cannot write a float as '%c'", field->type);
        }
        write_number(text, reader->arena, field, value, origin);
    } else if (value.kind == JINJA_STRING && (field->type == 's' || !field->type) && !field->zeros) {
        write_string(text, reader->arena, field, value.string, origin);
    } else {
        jinja_fail(reader->arena, "format() cannot write a %s in that way", jinja_kind_name(value));
    }
}

/* One {...}, after its opening brace. */
static void write_braces(struct format_reader *reader, struct jinja_text *text, const struct jinja_arguments *arguments,
                         int64_t *next)
{
    struct jinja_origin origin = origin_at(reader, reader->at - 1);
    struct jinja_value value = braces_value(reader, arguments, next);
    struct field field = {.fill = ' ', .precision = -1};
    bool plain = true;
    if (skip(reader, '!')) {
        if (skip(reader, 'r')) {
            struct jinja_text repr = jinja_text_new(reader->arena);
            jinja_write_repr(&repr, value, origin);
            value = jinja_text_finish(&repr);
        } else if (skip(reader, 's')) {
            value = jinja_to_string(reader->arena, value, origin);
        }
    }
    if (skip(reader, ':') && peek(reader) != '}') {
        plain = false;
        field = read_braces_field(reader);
    }
    if (!skip(reader, '}')) {
        jinja_fail(reader->arena, "format() cannot read the braces at character %zu of its text", reader->at);
    }
    write_braces_field(reader, text, &field, plain, value, origin);
}

struct jinja_value jinja_format_braces(struct jinja_machine *machine, const struct jinja_string *format,
                                       const struct jinja_arguments *arguments)
{
    struct format_reader reader = {machine, &machine->arena, format, 0};
    struct jinja_text text = jinja_text_new(&machine->arena);
    int64_t next = 0;
    while (reader.at < format->length) {
        size_t from = reader.at;
        while (reader.at < format->length && peek(&reader) != '{' && peek(&reader) != '}') {
            reader.at++;
        }
        jinja_text_add_part(&text, format, from, reader.at);
        char brace = peek(&reader);
        if (reader.at == format->length) {
            break;
        }
        reader.at++;
        if (skip(&reader, brace)) {
            jinja_text_put(&text, &brace, 1, origin_at(&reader, reader.at - 1));
        } else if (brace == '}') {
            jinja_fail(&machine->arena, "format() finds a '}' that closes nothing; write '}}' for one");
        } else {
            write_braces(&reader, &text, arguments, &next);
        }
    }
    return jinja_text_finish(&text);
}
