/* Tests: what may stand after "is". */
#include "text/jinja/internal.h"
#include "text/jinja/unicode.h"
#include <string.h>

static struct jinja_value test_defined(struct jinja_call *call)
{
    return jinja_bool(call->subject.kind != JINJA_UNDEFINED);
}

static struct jinja_value test_undefined(struct jinja_call *call)
{
    return jinja_bool(call->subject.kind == JINJA_UNDEFINED);
}

static struct jinja_value test_none(struct jinja_call *call)
{
    return jinja_bool(call->subject.kind == JINJA_NONE);
}

static struct jinja_value test_boolean(struct jinja_call *call)
{
    return jinja_bool(call->subject.kind == JINJA_BOOL);
}

static struct jinja_value test_true(struct jinja_call *call)
{
    return jinja_bool(call->subject.kind == JINJA_BOOL && call->subject.boolean);
}

static struct jinja_value test_false(struct jinja_call *call)
{
    return jinja_bool(call->subject.kind == JINJA_BOOL && !call->subject.boolean);
}

static struct jinja_value test_integer(struct jinja_call *call)
{
    return jinja_bool(call->subject.kind == JINJA_INT);
}

static struct jinja_value test_float(struct jinja_call *call)
{
    return jinja_bool(call->subject.kind == JINJA_FLOAT);
}

static struct jinja_value test_number(struct jinja_call *call)
{
    return jinja_bool(jinja_is_number(call->subject));
}

static struct jinja_value test_string(struct jinja_call *call)
{
    return jinja_bool(call->subject.kind == JINJA_STRING);
}

static struct jinja_value test_mapping(struct jinja_call *call)
{
    return jinja_bool(call->subject.kind == JINJA_DICT);
}

static struct jinja_value test_sequence(struct jinja_call *call)
{
    switch (call->subject.kind) {
    case JINJA_UNDEFINED:
    case JINJA_STRING:
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_RANGE:
    case JINJA_DICT:
        return jinja_bool(true);
    default:
        return jinja_bool(false);
    }
}

static struct jinja_value test_iterable(struct jinja_call *call)
{
    return jinja_bool(jinja_is_iterable(call->subject) || call->subject.kind == JINJA_LOOP);
}

static struct jinja_value test_callable(struct jinja_call *call)
{
    enum jinja_kind kind = call->subject.kind;
    return jinja_bool(kind == JINJA_FUNCTION || kind == JINJA_METHOD || kind == JINJA_MACRO || kind == JINJA_UNDEFINED);
}

/* str.islower(), str.isupper(): some cased letters, and none of the other case. */
static bool has_only_case(const struct jinja_string *string, const struct jinja_unicode_case_table *to_case)
{
    bool cased = false;
    for (size_t at = 0; at < string->length;) {
        uint32_t c = jinja_next_character(string, &at), mapped[3];
        size_t count = jinja_unicode_map(to_case, c, mapped);
        if (count != 1 || mapped[0] != c) {
            return false;
        }
        cased |= jinja_unicode_is(&jinja_unicode_cased, c);
    }
    return cased;
}

static struct jinja_value test_lower(struct jinja_call *call)
{
    return jinja_bool(has_only_case(jinja_subject_text(call), &jinja_unicode_lower));
}

static struct jinja_value test_upper(struct jinja_call *call)
{
    return jinja_bool(has_only_case(jinja_subject_text(call), &jinja_unicode_upper));
}

static bool divides(struct jinja_call *call, struct jinja_value by)
{
    struct jinja_value rest = jinja_arithmetic(call->arena, JINJA_MODULO, call->subject, by);
    return jinja_equal(call->arena, rest, jinja_int(0));
}

static struct jinja_value test_even(struct jinja_call *call)
{
    return jinja_bool(divides(call, jinja_int(2)));
}

static struct jinja_value test_odd(struct jinja_call *call)
{
    struct jinja_value rest = jinja_arithmetic(call->arena, JINJA_MODULO, call->subject, jinja_int(2));
    return jinja_bool(jinja_equal(call->arena, rest, jinja_int(1)));
}

static struct jinja_value test_divisibleby(struct jinja_call *call)
{
    return jinja_bool(divides(call, call->values[0]));
}

static struct jinja_value test_eq(struct jinja_call *call)
{
    return jinja_bool(jinja_equal(call->arena, call->subject, call->values[0]));
}

static struct jinja_value test_ne(struct jinja_call *call)
{
    return jinja_bool(!jinja_equal(call->arena, call->subject, call->values[0]));
}

static struct jinja_value test_lt(struct jinja_call *call)
{
    return jinja_bool(jinja_compare(call->arena, call->subject, call->values[0]) < 0);
}

static struct jinja_value test_le(struct jinja_call *call)
{
    return jinja_bool(jinja_compare(call->arena, call->subject, call->values[0]) <= 0);
}

static struct jinja_value test_gt(struct jinja_call *call)
{
    return jinja_bool(jinja_compare(call->arena, call->subject, call->values[0]) > 0);
}

static struct jinja_value test_ge(struct jinja_call *call)
{
    return jinja_bool(jinja_compare(call->arena, call->subject, call->values[0]) >= 0);
}

static struct jinja_value test_in(struct jinja_call *call)
{
    return jinja_bool(jinja_contains(call->arena, call->values[0], call->subject));
}

/* Python's `is`. Small integers and strings are one object there when they are equal, mostly; so they are here. */
static struct jinja_value test_sameas(struct jinja_call *call)
{
    struct jinja_value a = call->subject, b = call->values[0];
    if (a.kind != b.kind) {
        return jinja_bool(false);
    }
    if (a.kind == JINJA_LIST || a.kind == JINJA_TUPLE || a.kind == JINJA_DICT) {
        return jinja_bool(a.list == b.list);
    }
    return jinja_bool(jinja_equal(call->arena, a, b));
}

static struct jinja_value test_escaped(struct jinja_call *call)
{
    (void)call;
    return jinja_bool(false);
}

static const char *subject_name(struct jinja_call *call)
{
    const struct jinja_string *name = jinja_subject_text(call);
    char *copy = jinja_new(call->arena, name->length + 1, 1);
    return memcpy(copy, name->bytes, name->length);
}

static struct jinja_value test_filter(struct jinja_call *call)
{
    return jinja_bool(jinja_find_filter(subject_name(call)) != NULL);
}

static struct jinja_value test_test(struct jinja_call *call)
{
    return jinja_bool(jinja_find_test(subject_name(call)) != NULL);
}

const struct jinja_builtin *jinja_find_test(const char *name)
{
    static const struct jinja_builtin tests[] = {
        {"defined", "", test_defined},
        {"undefined", "", test_undefined},
        {"none", "", test_none},
        {"boolean", "", test_boolean},
        {"true", "", test_true},
        {"false", "", test_false},
        {"integer", "", test_integer},
        {"float", "", test_float},
        {"number", "", test_number},
        {"string", "", test_string},
        {"mapping", "", test_mapping},
        {"sequence", "", test_sequence},
        {"iterable", "", test_iterable},
        {"callable", "", test_callable},
        {"lower", "", test_lower},
        {"upper", "", test_upper},
        {"even", "", test_even},
        {"odd", "", test_odd},
        {"divisibleby", "num", test_divisibleby},
        {"eq", "other", test_eq},
        {"equalto", "other", test_eq},
        {"==", "other", test_eq},
        {"ne", "other", test_ne},
        {"!=", "other", test_ne},
        {"lt", "other", test_lt},
        {"lessthan", "other", test_lt},
        {"<", "other", test_lt},
        {"le", "other", test_le},
        {"<=", "other", test_le},
        {"gt", "other", test_gt},
        {"greaterthan", "other", test_gt},
        {">", "other", test_gt},
        {"ge", "other", test_ge},
        {">=", "other", test_ge},
        {"in", "seq", test_in},
        {"sameas", "other", test_sameas},
        {"escaped", "", test_escaped},
        {"filter", "", test_filter},
        {"test", "", test_test},
        {NULL, NULL, NULL},
    };
    return jinja_find_builtin(tests, name);
}
