/* Binding arguments to parameters, and the functions that every template can call. */
#include "text/jinja/internal.h"
#include <limits.h>
#include <string.h>
#include <time.h>

const struct jinja_builtin *jinja_find_builtin(const struct jinja_builtin *table, const char *name)
{
    while (table->name && strcmp(table->name, name) != 0) {
        table++;
    }
    return table->name ? table : NULL;
}

/* ---- arguments */

/* The next name of a list with blanks between them; false at its end. */
static bool next_name(const char **list, const char **name, size_t *length)
{
    *list += strspn(*list, " ");
    *name = *list;
    *length = strcspn(*list, " ");
    *list += *length;
    return *length > 0;
}

static void bind(struct jinja_call *call, const struct jinja_builtin *builtin, const char *what)
{
    const struct jinja_arguments *arguments = &call->arguments;
    const char *list = builtin->parameters, *name;
    size_t length, index = 0, named_used = 0;
    bool optional = false;
    while (next_name(&list, &name, &length)) {
        if (name[0] == '?') {
            optional = true;
            continue;
        }
        struct jinja_value *value = &call->values[index];
        if (index < arguments->count) {
            *value = arguments->values[index];
        }
        for (size_t i = 0; i < arguments->named_count; i++) {
            if (strncmp(arguments->named[i].name, name, length) != 0 || arguments->named[i].name[length] != '\0') {
                continue;
            }
            if (value->kind != JINJA_MISSING) {
                jinja_fail(call->arena, "the %s '%s' gets '%.*s' twice", what, builtin->name, (int)length, name);
            }
            *value = arguments->named[i].value;
            named_used++;
        }
        if (value->kind == JINJA_MISSING && !optional) {
            jinja_fail(call->arena, "the %s '%s' needs an argument '%.*s'", what, builtin->name, (int)length, name);
        }
        index++;
    }
    if (arguments->count > index) {
        jinja_fail(call->arena, "the %s '%s' takes not more than %zu arguments", what, builtin->name, index);
    }
    if (named_used < arguments->named_count) {
        jinja_fail(call->arena, "the %s '%s' does not have all the named arguments it is given", what, builtin->name);
    }
}

struct jinja_value jinja_invoke(struct jinja_machine *machine, const struct jinja_builtin *builtin, const char *what,
                                struct jinja_value subject, const struct jinja_arguments *arguments)
{
    struct jinja_call call = {
        .machine = machine, .arena = &machine->arena, .subject = subject, .arguments = *arguments};
    if (!builtin->run) {
        jinja_fail(call.arena, "the %s '%s' is not supported", what, builtin->name);
    }
    if (subject.kind == JINJA_STRING) {
        jinja_charge_bytes(call.arena, subject.string->length);
    }
    if (strcmp(builtin->parameters, "...") != 0) {
        bind(&call, builtin, what);
    }
    jinja_enter(call.arena);
    struct jinja_value result = builtin->run(&call);
    jinja_leave(call.arena);
    return result;
}

/* ---- functions */

static struct jinja_value call_range(struct jinja_call *call)
{
    struct jinja_arena *arena = call->arena;
    struct jinja_range *range = jinja_new(arena, 1, sizeof *range);
    int64_t first = jinja_need_int(arena, call->values[0], "a bound of range()");
    bool two = call->values[1].kind != JINJA_MISSING;
    range->start = two ? first : 0;
    range->stop = two ? jinja_need_int(arena, call->values[1], "a bound of range()") : first;
    range->step =
        call->values[2].kind == JINJA_MISSING ? 1 : jinja_need_int(arena, call->values[2], "the step of range()");
    if (range->step == 0 || range->step == INT64_MIN) {
        jinja_fail(arena, "the step of range() cannot be %s", range->step ? "that low" : "zero");
    }
    bool up = range->step > 0;
    int64_t distance, step = up ? range->step : -range->step;
    if (__builtin_sub_overflow(up ? range->stop : range->start, up ? range->start : range->stop, &distance)) {
        distance = INT64_MAX;
    }
    int64_t count = distance > 0 ? (distance - 1) / step + 1 : 0;
    if (count > JINJA_RANGE_MAX) {
        jinja_fail(arena, "range() gives more than %d numbers", JINJA_RANGE_MAX);
    }
    range->count = (size_t)count;
    return (struct jinja_value){.kind = JINJA_RANGE, .origin = JINJA_NO_ORIGIN, .range = range};
}

/* dict(mapping or pairs, name = value, ...) */
static struct jinja_dict *build_dict(struct jinja_call *call)
{
    struct jinja_arena *arena = call->arena;
    struct jinja_dict *dict = jinja_dict_new(arena, 0);
    if (call->arguments.count > 1) {
        jinja_fail(arena, "dict() and namespace() take one argument without a name at most");
    }
    if (call->arguments.count == 1 && call->arguments.values[0].kind == JINJA_DICT) {
        const struct jinja_dict *from = call->arguments.values[0].dict;
        for (size_t i = 0; i < from->count; i++) {
            jinja_dict_append(arena, dict, from->entries[i].key, from->entries[i].value);
        }
    } else if (call->arguments.count == 1) {
        const struct jinja_list *pairs = jinja_elements(arena, call->arguments.values[0]);
        for (size_t i = 0; i < pairs->count; i++) {
            const struct jinja_list *pair = jinja_elements(arena, pairs->items[i]);
            if (pair->count != 2) {
                jinja_fail(arena, "dict() needs pairs of a key and a value");
            }
            jinja_dict_set(arena, dict, pair->items[0], pair->items[1]);
        }
    }
    for (size_t i = 0; i < call->arguments.named_count; i++) {
        jinja_dict_set(arena, dict, jinja_string_made(arena, call->arguments.named[i].name),
                       call->arguments.named[i].value);
    }
    return dict;
}

static struct jinja_value call_dict(struct jinja_call *call)
{
    return jinja_dict_value(build_dict(call));
}

static struct jinja_value call_namespace(struct jinja_call *call)
{
    struct jinja_value value = jinja_dict_value(build_dict(call));
    for (size_t i = 0; i < value.dict->count; i++) {
        struct jinja_value key = value.dict->entries[i].key;
        if (key.kind == JINJA_STRING && key.string->length > 0 && key.string->bytes[0] == '_') {
            jinja_fail(call->arena, "an attribute of a namespace cannot start with an underscore");
        }
    }
    value.kind = JINJA_NAMESPACE;
    return value;
}

static struct jinja_value call_raise_exception(struct jinja_call *call)
{
    const struct jinja_string *message =
        jinja_to_string(call->arena, call->values[0], jinja_here(call->machine)).string;
    jinja_fail(call->arena, "%.*s", message->length < INT_MAX ? (int)message->length : INT_MAX, message->bytes);
}

static struct jinja_value call_strftime_now(struct jinja_call *call)
{
    const struct jinja_string *format = jinja_text_argument(call, 0, "format");
    time_t now = call->machine->now < 0 ? time(NULL) : (time_t)call->machine->now;
    char *zero = jinja_new(call->arena, format->length + 2, 1), text[1024];
    struct tm parts;
    if (!gmtime_r(&now, &parts)) {
        jinja_fail(call->arena, "strftime_now() cannot tell the date of %lld seconds since 1970",
                   (long long)call->machine->now);
    }
    /* The blank at the end distinguishes an empty result from one that is too long: strftime() gives 0 for both. */
    memcpy(zero, format->bytes, format->length);
    zero[format->length] = ' ';
    size_t length = strftime(text, sizeof text, zero, &parts);
    if (length == 0) {
        jinja_fail(call->arena, "strftime_now() gives more than %zu bytes", sizeof text);
    }
    char *copy = jinja_new(call->arena, length, 1);
    memcpy(copy, text, length - 1);
    return jinja_string_of(call->arena, copy, length - 1, (struct jinja_origin){JINJA_VARIABLE, -1, -1, 0});
}

const struct jinja_builtin *jinja_find_function(const char *name)
{
    static const struct jinja_builtin functions[] = {
        {"range", "first ? second step", call_range},
        {"dict", "...", call_dict},
        {"namespace", "...", call_namespace},
        {"raise_exception", "message", call_raise_exception},
        {"strftime_now", "format", call_strftime_now},
        {"cycler", "...", NULL},
        {"joiner", "...", NULL},
        {"lipsum", "...", NULL},
        {NULL, NULL, NULL},
    };
    return jinja_find_builtin(functions, name);
}
