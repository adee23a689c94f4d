/* What Python's operators and protocols do to values: truth, equality, order, length, iteration, membership,
 * arithmetic. */
#include "base/minmax.h"
#include "text/jinja/string.h"
#include <math.h>
#include <string.h>

bool jinja_is_number(struct jinja_value value)
{
    return value.kind == JINJA_BOOL || value.kind == JINJA_INT || value.kind == JINJA_FLOAT;
}

static bool is_integer(struct jinja_value value)
{
    return value.kind == JINJA_BOOL || value.kind == JINJA_INT;
}

static int64_t integer_of(struct jinja_value value)
{
    return value.kind == JINJA_BOOL ? value.boolean : value.integer;
}

static double real_of(struct jinja_value value)
{
    return value.kind == JINJA_FLOAT ? value.real : (double)integer_of(value);
}

int64_t jinja_need_int(struct jinja_arena *arena, struct jinja_value value, const char *what)
{
    if (value.kind == JINJA_UNDEFINED) {
        jinja_fail_undefined(arena, value.undefined);
    }
    if (!is_integer(value)) {
        jinja_fail(arena, "%s must be an integer, not a %s", what, jinja_kind_name(value));
    }
    return integer_of(value);
}

bool jinja_truth(struct jinja_value value)
{
    switch (value.kind) {
    case JINJA_MISSING:
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOL:
        return value.boolean;
    case JINJA_INT:
        return value.integer != 0;
    case JINJA_FLOAT:
        return value.real != 0;
    case JINJA_STRING:
        return value.string->length > 0;
    case JINJA_LIST:
    case JINJA_TUPLE:
        return value.list->count > 0;
    case JINJA_RANGE:
        return value.range->count > 0;
    case JINJA_DICT:
        return value.dict->count > 0;
    case JINJA_VIEW:
        return value.view->dict->count > 0;
    case JINJA_ITERATOR:
    case JINJA_NAMESPACE:
    case JINJA_LOOP:
    case JINJA_FUNCTION:
    case JINJA_METHOD:
    case JINJA_MACRO:
        break;
    }
    return true;
}

/* ---- equality and order */

static bool equal_lists(struct jinja_arena *arena, const struct jinja_list *a, const struct jinja_list *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; a != b && i < a->count; i++) {
        if (!jinja_equal(arena, a->items[i], b->items[i])) {
            return false;
        }
    }
    return true;
}

static bool equal_dicts(struct jinja_arena *arena, const struct jinja_dict *a, const struct jinja_dict *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; a != b && i < a->count; i++) {
        const struct jinja_value *other = jinja_dict_get(arena, b, a->entries[i].key);
        if (!other || !jinja_equal(arena, a->entries[i].value, *other)) {
            return false;
        }
    }
    return true;
}

/* Exact for every int64 where long double has 64 bits of mantissa; a double elsewhere. */
static int compare_numbers(struct jinja_value a, struct jinja_value b)
{
    if (is_integer(a) && is_integer(b)) {
        int64_t left = integer_of(a), right = integer_of(b);
        return (left > right) - (left < right);
    }
    long double left = a.kind == JINJA_FLOAT ? (long double)a.real : (long double)integer_of(a);
    long double right = b.kind == JINJA_FLOAT ? (long double)b.real : (long double)integer_of(b);
    return (left > right) - (left < right);
}

static bool is_nan(struct jinja_value value)
{
    return value.kind == JINJA_FLOAT && isnan(value.real);
}

static bool equal_of_a_kind(struct jinja_arena *arena, struct jinja_value a, struct jinja_value b)
{
    switch (a.kind) {
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return true;
    case JINJA_STRING:
        jinja_charge_bytes(arena, a.string->length);
        return jinja_string_equal(a.string, b.string);
    case JINJA_LIST:
    case JINJA_TUPLE:
        return equal_lists(arena, a.list, b.list);
    case JINJA_DICT:
        return equal_dicts(arena, a.dict, b.dict);
    case JINJA_RANGE:
        return a.range->count == b.range->count &&
               (a.range->count == 0 ||
                (a.range->start == b.range->start && (a.range->count == 1 || a.range->step == b.range->step)));
    default:
        return a.list == b.list; /* the same object: every one of these is a pointer */
    }
}

bool jinja_equal(struct jinja_arena *arena, struct jinja_value a, struct jinja_value b)
{
    jinja_charge(arena, 1);
    if (jinja_is_number(a) && jinja_is_number(b)) {
        return compare_numbers(a, b) == 0 && !is_nan(a) && !is_nan(b);
    }
    if (a.kind != b.kind) {
        return false;
    }
    jinja_enter(arena);
    bool equal = equal_of_a_kind(arena, a, b);
    jinja_leave(arena);
    return equal;
}

static int compare_strings(const struct jinja_string *a, const struct jinja_string *b)
{
    /* Bytes of UTF-8 have the order of the code points. */
    size_t shorter = min(a->length, b->length);
    int order = memcmp(a->bytes, b->bytes, shorter);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

static int compare_lists(struct jinja_arena *arena, const struct jinja_list *a, const struct jinja_list *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        if (!jinja_equal(arena, a->items[i], b->items[i])) {
            return jinja_compare(arena, a->items[i], b->items[i]);
        }
    }
    return (a->count > b->count) - (a->count < b->count);
}

int jinja_compare(struct jinja_arena *arena, struct jinja_value a, struct jinja_value b)
{
    jinja_charge(arena, 1);
    if (a.kind == JINJA_UNDEFINED || b.kind == JINJA_UNDEFINED) {
        jinja_fail_undefined(arena, a.kind == JINJA_UNDEFINED ? a.undefined : b.undefined);
    }
    if (jinja_is_number(a) && jinja_is_number(b)) {
        return compare_numbers(a, b);
    }
    if (a.kind == JINJA_STRING && b.kind == JINJA_STRING) {
        jinja_charge_bytes(arena, a.string->length);
        return compare_strings(a.string, b.string);
    }
    if (a.kind != b.kind || (a.kind != JINJA_LIST && a.kind != JINJA_TUPLE)) {
        jinja_fail(arena, "a %s and a %s have no order (<, >, sort)", jinja_kind_name(a), jinja_kind_name(b));
    }
    jinja_enter(arena);
    int order = compare_lists(arena, a.list, b.list);
    jinja_leave(arena);
    return order;
}

/* ---- containers */

size_t jinja_length(struct jinja_arena *arena, struct jinja_value value)
{
    switch (value.kind) {
    case JINJA_UNDEFINED:
        return 0;
    case JINJA_STRING:
        return jinja_characters(arena, value.string);
    case JINJA_LIST:
    case JINJA_TUPLE:
        return value.list->count;
    case JINJA_RANGE:
        return value.range->count;
    case JINJA_DICT:
        return value.dict->count;
    case JINJA_VIEW:
        return value.view->dict->count;
    default:
        jinja_fail(arena, "a %s has no length", jinja_kind_name(value));
    }
}

bool jinja_is_iterable(struct jinja_value value)
{
    switch (value.kind) {
    case JINJA_UNDEFINED:
    case JINJA_STRING:
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_RANGE:
    case JINJA_ITERATOR:
    case JINJA_DICT:
    case JINJA_VIEW:
        return true;
    default:
        return false;
    }
}

static struct jinja_list *view_elements(struct jinja_arena *arena, const struct jinja_dict *dict,
                                        enum jinja_view_kind what)
{
    struct jinja_list *list = jinja_list_new(arena, dict->count);
    for (size_t i = 0; i < dict->count; i++) {
        const struct jinja_entry *entry = &dict->entries[i];
        struct jinja_value item = what == JINJA_KEYS ? entry->key : entry->value;
        if (what == JINJA_ITEMS) {
            item = jinja_pair(arena, entry->key, entry->value);
            item.origin = entry->value.origin;
        }
        jinja_list_add(arena, list, item);
    }
    return list;
}

static struct jinja_list *characters_of(struct jinja_arena *arena, struct jinja_string *string)
{
    struct jinja_list *list = jinja_list_new(arena, jinja_characters(arena, string));
    for (size_t at = 0, next = 0; at < string->length; at = next) {
        jinja_next_character(string, &next);
        jinja_list_add(arena, list, jinja_string_part(arena, string, at, next));
    }
    return list;
}

struct jinja_list *jinja_elements(struct jinja_arena *arena, struct jinja_value value)
{
    struct jinja_list *list;
    switch (value.kind) {
    case JINJA_UNDEFINED:
        return jinja_list_new(arena, 0);
    case JINJA_STRING:
        return characters_of(arena, value.string);
    case JINJA_LIST:
    case JINJA_TUPLE:
        return value.list;
    case JINJA_RANGE:
        list = jinja_list_new(arena, value.range->count);
        for (size_t i = 0; i < value.range->count; i++) {
            jinja_list_add(arena, list, jinja_int(value.range->start + (int64_t)i * value.range->step));
        }
        return list;
    case JINJA_ITERATOR:
        list = jinja_list_new(arena, 0);
        while (value.list->cursor < value.list->count) {
            jinja_list_add(arena, list, value.list->items[value.list->cursor++]);
        }
        return list;
    case JINJA_DICT:
        return view_elements(arena, value.dict, JINJA_KEYS);
    case JINJA_VIEW:
        return view_elements(arena, value.view->dict, value.view->what);
    default:
        jinja_fail(arena, "a %s cannot be iterated over", jinja_kind_name(value));
    }
}

bool jinja_contains(struct jinja_arena *arena, struct jinja_value haystack, struct jinja_value needle)
{
    if (haystack.kind == JINJA_STRING) {
        if (needle.kind != JINJA_STRING) {
            jinja_fail(arena, "'in' a string asks for a string on its left, not a %s", jinja_kind_name(needle));
        }
        return jinja_find(arena, haystack.string, needle.string, 0, haystack.string->length) != SIZE_MAX;
    }
    if (haystack.kind == JINJA_DICT) {
        return jinja_dict_get(arena, haystack.dict, needle) != NULL;
    }
    if (haystack.kind == JINJA_VIEW && haystack.view->what == JINJA_KEYS) {
        return jinja_dict_get(arena, haystack.view->dict, needle) != NULL;
    }
    const struct jinja_list *list = jinja_elements(arena, haystack);
    for (size_t i = 0; i < list->count; i++) {
        if (jinja_equal(arena, list->items[i], needle)) {
            return true;
        }
    }
    return false;
}

static void need_hashable(struct jinja_arena *arena, struct jinja_value key)
{
    if (key.kind == JINJA_LIST || key.kind == JINJA_DICT || key.kind == JINJA_VIEW) {
        jinja_fail(arena, "a %s cannot be a key of a dictionary", jinja_kind_name(key));
    }
    for (size_t i = 0; key.kind == JINJA_TUPLE && i < key.list->count; i++) {
        jinja_enter(arena);
        need_hashable(arena, key.list->items[i]);
        jinja_leave(arena);
    }
}

struct jinja_value *jinja_dict_get(struct jinja_arena *arena, const struct jinja_dict *dict, struct jinja_value key)
{
    need_hashable(arena, key);
    for (size_t i = 0; i < dict->count; i++) {
        if (jinja_equal(arena, dict->entries[i].key, key)) {
            return &dict->entries[i].value;
        }
    }
    return NULL;
}

struct jinja_value *jinja_dict_get_text(const struct jinja_dict *dict, const char *key)
{
    for (size_t i = 0; i < dict->count; i++) {
        if (dict->entries[i].key.kind == JINJA_STRING && jinja_string_is(dict->entries[i].key.string, key)) {
            return &dict->entries[i].value;
        }
    }
    return NULL;
}

void jinja_dict_set(struct jinja_arena *arena, struct jinja_dict *dict, struct jinja_value key,
                    struct jinja_value value)
{
    struct jinja_value *old = jinja_dict_get(arena, dict, key);
    if (old) {
        *old = value;
    } else {
        jinja_dict_append(arena, dict, key, value);
    }
}

/* ---- slices */

/* A bound of a slice brought into low..high, as CPython's PySlice_AdjustIndices does. */
static int64_t slice_bound(struct jinja_arena *arena, struct jinja_value bound, int64_t otherwise, int64_t length,
                           int64_t low, int64_t high)
{
    if (bound.kind == JINJA_NONE || bound.kind == JINJA_MISSING) {
        return otherwise;
    }
    int64_t index = jinja_need_int(arena, bound, "the bound of a slice");
    if (index < 0 && index + length >= low) {
        index += length;
    } else if (index < 0) {
        return low;
    }
    return min(index, high);
}

static struct jinja_value slice_string(struct jinja_arena *arena, struct jinja_string *string, int64_t start,
                                       int64_t count, int64_t step)
{
    if (step == 1 || count <= 1) {
        size_t from = jinja_byte_offset(arena, string, (size_t)start);
        size_t to = jinja_byte_offset(arena, string, (size_t)(start + count));
        return jinja_string_part(arena, string, count ? from : 0, count ? to : 0);
    }
    const struct jinja_list *characters = characters_of(arena, string);
    struct jinja_text text = jinja_text_new(arena);
    for (int64_t i = 0; i < count; i++) {
        jinja_text_add(&text, characters->items[start + i * step].string);
    }
    return jinja_text_finish(&text);
}

static struct jinja_value slice_range(struct jinja_arena *arena, const struct jinja_range *range, int64_t start,
                                      int64_t stop, int64_t count, int64_t step)
{
    struct jinja_range *part = jinja_new(arena, 1, sizeof *part);
    part->start = range->start + start * range->step;
    part->stop = range->start + stop * range->step;
    part->step = range->step * step;
    part->count = (size_t)count;
    return (struct jinja_value){.kind = JINJA_RANGE, .origin = JINJA_NO_ORIGIN, .range = part};
}

struct jinja_value jinja_slice(struct jinja_arena *arena, struct jinja_value value, struct jinja_value start,
                               struct jinja_value stop, struct jinja_value step)
{
    if (value.kind == JINJA_UNDEFINED) {
        jinja_fail_undefined(arena, value.undefined);
    }
    if (value.kind != JINJA_STRING && value.kind != JINJA_LIST && value.kind != JINJA_TUPLE &&
        value.kind != JINJA_RANGE) {
        jinja_fail(arena, "a %s has no slices", jinja_kind_name(value));
    }
    int64_t length = (int64_t)jinja_length(arena, value), by = 1;
    if (step.kind != JINJA_NONE && step.kind != JINJA_MISSING) {
        by = jinja_need_int(arena, step, "the step of a slice");
    }
    if (by == 0) {
        jinja_fail(arena, "the step of a slice cannot be zero");
    }
    if (by < -length - 1 || by > length + 1) {
        by = by < 0 ? -length - 1 : length + 1; /* the same elements, without overflow */
    }
    int64_t low = by > 0 ? 0 : -1, high = by > 0 ? length : length - 1;
    int64_t from = slice_bound(arena, start, by > 0 ? low : high, length, low, high);
    int64_t until = slice_bound(arena, stop, by > 0 ? high : low, length, low, high);
    int64_t count = by > 0 ? (until - from + by - 1) / by : (from - until - by - 1) / -by;
    if ((by > 0 && until <= from) || (by < 0 && until >= from)) {
        count = 0;
    }
    if (value.kind == JINJA_STRING) {
        return slice_string(arena, value.string, from, count, by);
    }
    if (value.kind == JINJA_RANGE) {
        return slice_range(arena, value.range, from, until, count, by);
    }
    const struct jinja_list *items = jinja_elements(arena, value);
    struct jinja_list *part = jinja_list_new(arena, (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        jinja_list_add(arena, part, items->items[from + i * by]);
    }
    struct jinja_value result = jinja_list_value(value.kind == JINJA_TUPLE ? JINJA_TUPLE : JINJA_LIST, part);
    result.origin = value.origin;
    return result;
}

/* ---- arithmetic */

static const char *const operator_signs[] = {"+", "-", "*", "/", "//", "%", "**"};

static _Noreturn void fail_operands(struct jinja_arena *arena, enum jinja_operator operation, struct jinja_value a,
                                    struct jinja_value b)
{
    jinja_fail(arena, "'%s' cannot take a %s and a %s", operator_signs[operation], jinja_kind_name(a),
               jinja_kind_name(b));
}

static _Noreturn void fail_overflow(struct jinja_arena *arena)
{
    jinja_fail(arena, "an integer does not fit 64 bits");
}

/* Also the sign of the divisor, as Python has it. */
static int64_t floor_modulo(int64_t a, int64_t b)
{
    int64_t rest = b == -1 ? 0 : a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static int64_t integer_power(struct jinja_arena *arena, int64_t base, int64_t exponent)
{
    int64_t result = 1;
    for (;;) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) {
            fail_overflow(arena);
        }
        exponent >>= 1;
        if (exponent == 0) {
            return result;
        }
        if (__builtin_mul_overflow(base, base, &base)) {
            fail_overflow(arena);
        }
    }
}

static struct jinja_value integer_arithmetic(struct jinja_arena *arena, enum jinja_operator operation, int64_t a,
                                             int64_t b)
{
    int64_t result = 0;
    bool overflow = false;
    switch (operation) {
    case JINJA_ADD:
        overflow = __builtin_add_overflow(a, b, &result);
        break;
    case JINJA_SUBTRACT:
        overflow = __builtin_sub_overflow(a, b, &result);
        break;
    case JINJA_MULTIPLY:
        overflow = __builtin_mul_overflow(a, b, &result);
        break;
    case JINJA_FLOOR_DIVIDE:
        overflow = a == INT64_MIN && b == -1;
        if (!overflow) {
            result = a / b - (a % b != 0 && (a < 0) != (b < 0));
        }
        break;
    case JINJA_MODULO:
        result = floor_modulo(a, b);
        break;
    case JINJA_POWER:
        result = integer_power(arena, a, b);
        break;
    case JINJA_DIVIDE:
        return jinja_real((double)a / (double)b);
    }
    if (overflow) {
        fail_overflow(arena);
    }
    return jinja_int(result);
}

/* CPython's float_divmod(). */
static double floor_divide(double a, double b, double *modulo)
{
    double rest = fmod(a, b), quotient = (a - rest) / b;
    if (rest == 0) {
        rest = copysign(0.0, b);
    } else if ((rest < 0) != (b < 0)) {
        rest += b;
        quotient -= 1;
    }
    *modulo = rest;
    if (quotient == 0) {
        return copysign(0.0, a / b);
    }
    double whole = floor(quotient);
    return quotient - whole > 0.5 ? whole + 1 : whole;
}

static struct jinja_value real_arithmetic(struct jinja_arena *arena, enum jinja_operator operation, double a, double b)
{
    double rest;
    switch (operation) {
    case JINJA_ADD:
        return jinja_real(a + b);
    case JINJA_SUBTRACT:
        return jinja_real(a - b);
    case JINJA_MULTIPLY:
        return jinja_real(a * b);
    case JINJA_DIVIDE:
        return jinja_real(a / b);
    case JINJA_FLOOR_DIVIDE:
        return jinja_real(floor_divide(a, b, &rest));
    case JINJA_MODULO:
        floor_divide(a, b, &rest);
        return jinja_real(rest);
    case JINJA_POWER:
        if (a == 0 && b < 0) {
            jinja_fail(arena, "zero cannot be raised to a negative power");
        }
        if (a < 0 && b != floor(b)) {
            jinja_fail(arena, "a negative number to a fractional power is not a real number");
        }
        if (isinf(pow(a, b)) && isfinite(a) && isfinite(b)) {
            jinja_fail(arena, "the result of '**' is too large");
        }
        return jinja_real(pow(a, b));
    }
    return jinja_none();
}

static struct jinja_value repeat(struct jinja_arena *arena, struct jinja_value value, int64_t times)
{
    size_t count = times > 0 ? (size_t)times : 0;
    if (value.kind == JINJA_STRING) {
        struct jinja_text text = jinja_text_new(arena);
        if (value.string->length > 0 && count > JINJA_OUTPUT_MAX / value.string->length) {
            jinja_fail(arena, "the template makes a text of more than %zu MiB", JINJA_OUTPUT_MAX >> 20);
        }
        for (size_t i = 0; i < count && value.string->length > 0; i++) {
            jinja_text_add(&text, value.string);
        }
        return jinja_text_finish(&text);
    }
    size_t each = value.list->count;
    if (each > 0 && count > JINJA_MEMORY_MAX / sizeof value / each) {
        jinja_fail(arena, "the template makes a list of more than %zu MiB", JINJA_MEMORY_MAX >> 20);
    }
    struct jinja_list *list = jinja_list_new(arena, count * each);
    for (size_t i = 0; i < count * each; i++) {
        jinja_list_add(arena, list, value.list->items[i % each]);
    }
    struct jinja_value result = jinja_list_value(value.kind, list);
    result.origin = value.origin;
    return result;
}

static bool is_repeatable(struct jinja_value value)
{
    return value.kind == JINJA_STRING || value.kind == JINJA_LIST || value.kind == JINJA_TUPLE;
}

static struct jinja_value concatenate(struct jinja_arena *arena, struct jinja_value a, struct jinja_value b)
{
    if (a.kind == JINJA_STRING) {
        struct jinja_text text = jinja_text_new(arena);
        bool markup = a.string->markup || b.string->markup;
        jinja_text_add(&text, markup && !a.string->markup ? jinja_escape(arena, a.string).string : a.string);
        jinja_text_add(&text, markup && !b.string->markup ? jinja_escape(arena, b.string).string : b.string);
        struct jinja_value both = jinja_text_finish(&text);
        both.string->markup = markup;
        return both;
    }
    struct jinja_list *list = jinja_list_new(arena, a.list->count + b.list->count);
    for (size_t i = 0; i < a.list->count; i++) {
        jinja_list_add(arena, list, a.list->items[i]);
    }
    for (size_t i = 0; i < b.list->count; i++) {
        jinja_list_add(arena, list, b.list->items[i]);
    }
    return jinja_list_value(a.kind, list);
}

struct jinja_value jinja_arithmetic(struct jinja_arena *arena, enum jinja_operator operation, struct jinja_value a,
                                    struct jinja_value b)
{
    if (a.kind == JINJA_UNDEFINED || b.kind == JINJA_UNDEFINED) {
        jinja_fail_undefined(arena, a.kind == JINJA_UNDEFINED ? a.undefined : b.undefined);
    }
    if (jinja_is_number(a) && jinja_is_number(b)) {
        bool divides = operation == JINJA_DIVIDE || operation == JINJA_FLOOR_DIVIDE || operation == JINJA_MODULO;
        if (divides && real_of(b) == 0) {
            jinja_fail(arena, "'%s' divides by zero", operator_signs[operation]);
        }
        bool fraction = operation == JINJA_POWER && is_integer(b) && integer_of(b) < 0;
        if (is_integer(a) && is_integer(b) && !fraction) {
            return integer_arithmetic(arena, operation, integer_of(a), integer_of(b));
        }
        return real_arithmetic(arena, operation, real_of(a), real_of(b));
    }
    if (operation == JINJA_ADD && a.kind == b.kind && is_repeatable(a)) {
        return concatenate(arena, a, b);
    }
    if (operation == JINJA_MULTIPLY && is_repeatable(a) && is_integer(b)) {
        return repeat(arena, a, integer_of(b));
    }
    if (operation == JINJA_MULTIPLY && is_integer(a) && is_repeatable(b)) {
        return repeat(arena, b, integer_of(a));
    }
    fail_operands(arena, operation, a, b);
}
