/* Making values: the plain ones, lists and pairs. */
#include "text/jinja/value.h"

static struct jinja_value made(enum jinja_kind kind)
{
    return (struct jinja_value){.kind = kind, .origin = JINJA_NO_ORIGIN};
}

struct jinja_value jinja_none(void)
{
    return made(JINJA_NONE);
}

struct jinja_value jinja_bool(bool value)
{
    struct jinja_value result = made(JINJA_BOOL);
    result.boolean = value;
    return result;
}

struct jinja_value jinja_int(int64_t value)
{
    struct jinja_value result = made(JINJA_INT);
    result.integer = value;
    return result;
}

struct jinja_value jinja_real(double value)
{
    struct jinja_value result = made(JINJA_FLOAT);
    result.real = value;
    return result;
}

struct jinja_value jinja_list_value(enum jinja_kind kind, struct jinja_list *list)
{
    struct jinja_value result = made(kind);
    result.list = list;
    return result;
}

struct jinja_value jinja_dict_value(struct jinja_dict *dict)
{
    struct jinja_value result = made(JINJA_DICT);
    result.dict = dict;
    return result;
}

struct jinja_value jinja_undefined_hint(struct jinja_arena *arena, const char *hint)
{
    struct jinja_undefined *why = jinja_new(arena, 1, sizeof *why);
    struct jinja_value result = made(JINJA_UNDEFINED);
    why->hint = hint;
    result.undefined = why;
    return result;
}

struct jinja_value jinja_undefined_name(struct jinja_arena *arena, const char *owner, struct jinja_value name)
{
    struct jinja_undefined *why = jinja_new(arena, 1, sizeof *why);
    struct jinja_value result = made(JINJA_UNDEFINED);
    why->owner = owner;
    why->name = name;
    result.undefined = why;
    return result;
}

const char *jinja_kind_name(struct jinja_value value)
{
    switch (value.kind) {
    case JINJA_MISSING:
    case JINJA_UNDEFINED:
        return "Undefined";
    case JINJA_NONE:
        return "None";
    case JINJA_BOOL:
        return "bool object";
    case JINJA_INT:
        return "int object";
    case JINJA_FLOAT:
        return "float object";
    case JINJA_STRING:
        return "str object";
    case JINJA_LIST:
        return "list object";
    case JINJA_TUPLE:
        return "tuple object";
    case JINJA_RANGE:
        return "range object";
    case JINJA_ITERATOR:
        return "generator object";
    case JINJA_DICT:
        return "dict object";
    case JINJA_VIEW:
        return "dict view object";
    case JINJA_NAMESPACE:
        return "namespace object";
    case JINJA_LOOP:
        return "loop object";
    case JINJA_FUNCTION:
    case JINJA_METHOD:
        return "function object";
    case JINJA_MACRO:
        return "macro object";
    }
    return "object";
}

struct jinja_list *jinja_list_new(struct jinja_arena *arena, size_t capacity)
{
    struct jinja_list *list = jinja_new(arena, 1, sizeof *list);
    if (capacity > 0) {
        list->items = jinja_new(arena, capacity, sizeof *list->items);
    }
    list->capacity = capacity;
    return list;
}

void jinja_list_add(struct jinja_arena *arena, struct jinja_list *list, struct jinja_value item)
{
    jinja_charge(arena, 1);
    JINJA_PUSH(arena, list->items, list->count, list->capacity);
    list->items[list->count++] = item;
}

struct jinja_value jinja_pair(struct jinja_arena *arena, struct jinja_value first, struct jinja_value second)
{
    struct jinja_list *list = jinja_list_new(arena, 2);
    jinja_list_add(arena, list, first);
    jinja_list_add(arena, list, second);
    return jinja_list_value(JINJA_TUPLE, list);
}

struct jinja_dict *jinja_dict_new(struct jinja_arena *arena, size_t capacity)
{
    struct jinja_dict *dict = jinja_new(arena, 1, sizeof *dict);
    if (capacity > 0) {
        dict->entries = jinja_new(arena, capacity, sizeof *dict->entries);
    }
    dict->capacity = capacity;
    return dict;
}

void jinja_dict_append(struct jinja_arena *arena, struct jinja_dict *dict, struct jinja_value key,
                       struct jinja_value value)
{
    JINJA_PUSH(arena, dict->entries, dict->count, dict->capacity);
    dict->entries[dict->count++] = (struct jinja_entry){key, value};
}
