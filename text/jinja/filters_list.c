/* Filters of sequences and dictionaries. */
#include "text/jinja/internal.h"
#include <string.h>

static struct jinja_value iterator(struct jinja_list *list)
{
    return jinja_list_value(JINJA_ITERATOR, list);
}

static struct jinja_list *subject_elements(struct jinja_call *call)
{
    return jinja_elements(call->arena, call->subject);
}

/* ---- keys of elements: attribute="a.b.0" */

struct key_getter {
    struct jinja_list *parts; /* names and numbers; NULL: the element itself */
    bool ignore_case;
};

static struct jinja_value attribute_part(struct jinja_arena *arena, const struct jinja_string *name, size_t from,
                                         size_t to)
{
    int64_t number = 0;
    bool digits = to > from;
    for (size_t i = from; i < to && digits; i++) {
        digits = name->bytes[i] >= '0' && name->bytes[i] <= '9' && number < JINJA_RANGE_MAX;
        number = number * 10 + (name->bytes[i] - '0');
    }
    return digits ? jinja_int(number) : jinja_string_part(arena, name, from, to);
}

/* The parts of an attribute between `from` and `to` of its text, or the one part of a number. */
static struct jinja_list *attribute_parts(struct jinja_arena *arena, const struct jinja_string *name, size_t from,
                                          size_t to)
{
    struct jinja_list *parts = jinja_list_new(arena, 1);
    for (size_t at = from;; at++) {
        if (at < to && name->bytes[at] != '.') {
            continue;
        }
        jinja_list_add(arena, parts, attribute_part(arena, name, from, at));
        if (at == to) {
            return parts;
        }
        from = at + 1;
    }
}

static struct key_getter make_getter(struct jinja_arena *arena, struct jinja_value attribute, bool ignore_case)
{
    struct key_getter getter = {.ignore_case = ignore_case};
    if (attribute.kind == JINJA_STRING) {
        getter.parts = attribute_parts(arena, attribute.string, 0, attribute.string->length);
    } else if (attribute.kind != JINJA_MISSING && attribute.kind != JINJA_NONE) {
        getter.parts = jinja_list_new(arena, 1);
        jinja_list_add(arena, getter.parts, attribute);
    }
    return getter;
}

static struct jinja_value get_key(struct jinja_machine *machine, const struct key_getter *getter,
                                  struct jinja_value item)
{
    for (size_t i = 0; getter->parts && i < getter->parts->count; i++) {
        item = jinja_get_item(machine, item, getter->parts->items[i]);
    }
    if (getter->ignore_case && item.kind == JINJA_STRING) {
        item = jinja_lower(&machine->arena, item.string);
    }
    return item;
}

/* ---- map, select, reject */

/* The arguments after the first `used` without names. */
static struct jinja_arguments rest_of(const struct jinja_arguments *arguments, size_t used)
{
    struct jinja_arguments rest = *arguments;
    if (used > 0) {
        rest.values += used;
    }
    rest.count -= used;
    return rest;
}

static const char *builtin_name(struct jinja_call *call, size_t index)
{
    struct jinja_value value = call->arguments.values[index];
    if (value.kind != JINJA_STRING) {
        jinja_fail(call->arena, "the name of a filter or test must be a string, not a %s", jinja_kind_name(value));
    }
    char *name = jinja_new(call->arena, value.string->length + 1, 1);
    return memcpy(name, value.string->bytes, value.string->length);
}

static struct jinja_value map_attribute(struct jinja_call *call)
{
    struct jinja_list *result = jinja_list_new(call->arena, 0), *items;
    struct jinja_value attribute = {.kind = JINJA_MISSING}, otherwise = {.kind = JINJA_MISSING};
    for (size_t i = 0; i < call->arguments.named_count; i++) {
        if (strcmp(call->arguments.named[i].name, "attribute") == 0) {
            attribute = call->arguments.named[i].value;
        } else if (strcmp(call->arguments.named[i].name, "default") == 0) {
            otherwise = call->arguments.named[i].value;
        } else {
            jinja_fail(call->arena, "map has no parameter '%s'", call->arguments.named[i].name);
        }
    }
    if (attribute.kind == JINJA_MISSING) {
        jinja_fail(call->arena, "map needs the name of a filter, or attribute=");
    }
    struct key_getter getter = make_getter(call->arena, attribute, false);
    items = subject_elements(call);
    for (size_t i = 0; i < items->count; i++) {
        struct jinja_value item = items->items[i];
        for (size_t k = 0; k < getter.parts->count; k++) {
            item = jinja_get_item(call->machine, item, getter.parts->items[k]);
            if (item.kind == JINJA_UNDEFINED && otherwise.kind != JINJA_MISSING && otherwise.kind != JINJA_NONE) {
                item = otherwise;
            }
        }
        jinja_list_add(call->arena, result, item);
    }
    return iterator(result);
}

static struct jinja_value filter_map(struct jinja_call *call)
{
    if (!jinja_truth(call->subject)) {
        return iterator(jinja_list_new(call->arena, 0));
    }
    if (call->arguments.count == 0) {
        return map_attribute(call);
    }
    const char *name = builtin_name(call, 0);
    const struct jinja_builtin *filter = jinja_find_filter(name);
    if (!filter) {
        jinja_fail(call->arena, "the filter '%s' is not supported", name);
    }
    struct jinja_arguments arguments = rest_of(&call->arguments, 1);
    const struct jinja_list *items = subject_elements(call);
    struct jinja_list *result = jinja_list_new(call->arena, 0);
    for (size_t i = 0; i < items->count; i++) {
        jinja_list_add(call->arena, result, jinja_invoke(call->machine, filter, "filter", items->items[i], &arguments));
    }
    return iterator(result);
}

/* The elements for which the test (truth where none is named) of the element, or of its attribute, is `wanted`. */
static struct jinja_value choose(struct jinja_call *call, bool by_attribute, bool wanted)
{
    struct jinja_list *result = jinja_list_new(call->arena, 0);
    if (!jinja_truth(call->subject)) {
        return iterator(result);
    }
    size_t used = by_attribute;
    struct key_getter getter = {0};
    if (by_attribute && call->arguments.count == 0) {
        jinja_fail(call->arena, "selectattr and rejectattr need the name of an attribute");
    }
    if (by_attribute) {
        getter = make_getter(call->arena, call->arguments.values[0], false);
    }
    const struct jinja_builtin *test = NULL;
    if (call->arguments.count > used) {
        const char *name = builtin_name(call, used++);
        test = jinja_find_test(name);
        if (!test) {
            jinja_fail(call->arena, "the test '%s' is not supported", name);
        }
    }
    struct jinja_arguments arguments = rest_of(&call->arguments, used);
    const struct jinja_list *items = subject_elements(call);
    for (size_t i = 0; i < items->count; i++) {
        struct jinja_value value = get_key(call->machine, &getter, items->items[i]);
        if (test) {
            value = jinja_invoke(call->machine, test, "test", value, &arguments);
        }
        if (jinja_truth(value) == wanted) {
            jinja_list_add(call->arena, result, items->items[i]);
        }
    }
    return iterator(result);
}

static struct jinja_value filter_select(struct jinja_call *call)
{
    return choose(call, false, true);
}

static struct jinja_value filter_reject(struct jinja_call *call)
{
    return choose(call, false, false);
}

static struct jinja_value filter_selectattr(struct jinja_call *call)
{
    return choose(call, true, true);
}

static struct jinja_value filter_rejectattr(struct jinja_call *call)
{
    return choose(call, true, false);
}

/* ---- order */

struct keyed_item {
    struct jinja_value key, item;
};

/* Merges the sorted halves of from..to. Stable also where `descending`, as Python's sort is. */
static void merge_sort(struct jinja_arena *arena, struct keyed_item *items, struct keyed_item *scratch, size_t from,
                       size_t to, bool descending)
{
    if (to - from < 2) {
        return;
    }
    size_t middle = from + (to - from) / 2, left = from, right = middle;
    merge_sort(arena, items, scratch, from, middle, descending);
    merge_sort(arena, items, scratch, middle, to, descending);
    for (size_t i = from; i < to; i++) {
        bool take_right = left == middle;
        if (!take_right && right < to) {
            int order = jinja_compare(arena, items[right].key, items[left].key);
            take_right = descending ? order > 0 : order < 0;
        }
        scratch[i] = take_right ? items[right++] : items[left++];
    }
    memcpy(items + from, scratch + from, (to - from) * sizeof *items);
}

static struct jinja_value sorted(struct jinja_call *call, const struct jinja_list *items, struct keyed_item *keyed,
                                 bool descending)
{
    struct keyed_item *scratch = jinja_new(call->arena, items->count, sizeof *scratch);
    merge_sort(call->arena, keyed, scratch, 0, items->count, descending);
    struct jinja_list *result = jinja_list_new(call->arena, items->count);
    for (size_t i = 0; i < items->count; i++) {
        jinja_list_add(call->arena, result, keyed[i].item);
    }
    return jinja_list_value(JINJA_LIST, result);
}

static struct jinja_value filter_sort(struct jinja_call *call)
{
    bool ignore_case = !jinja_bool_argument(call, 1);
    struct jinja_value attribute = call->values[2];
    struct jinja_list *getters = jinja_list_new(call->arena, 0); /* "a,b" sorts by a, then by b */
    if (attribute.kind == JINJA_STRING) {
        for (size_t from = 0, at = 0; at <= attribute.string->length; at++) {
            if (at < attribute.string->length && attribute.string->bytes[at] != ',') {
                continue;
            }
            struct jinja_list *parts = attribute_parts(call->arena, attribute.string, from, at);
            jinja_list_add(call->arena, getters, jinja_list_value(JINJA_LIST, parts));
            from = at + 1;
        }
    } else {
        struct key_getter whole = make_getter(call->arena, attribute, false);
        struct jinja_list *parts = whole.parts ? whole.parts : jinja_list_new(call->arena, 0);
        jinja_list_add(call->arena, getters, jinja_list_value(JINJA_LIST, parts));
    }
    const struct jinja_list *items = subject_elements(call);
    struct keyed_item *keyed = jinja_new(call->arena, items->count, sizeof *keyed);
    for (size_t i = 0; i < items->count; i++) {
        struct jinja_list *key = jinja_list_new(call->arena, getters->count);
        for (size_t k = 0; k < getters->count; k++) {
            struct key_getter getter = {getters->items[k].list, ignore_case};
            jinja_list_add(call->arena, key, get_key(call->machine, &getter, items->items[i]));
        }
        keyed[i] = (struct keyed_item){jinja_list_value(JINJA_LIST, key), items->items[i]};
    }
    return sorted(call, items, keyed, jinja_bool_argument(call, 0));
}

static struct jinja_value filter_dictsort(struct jinja_call *call)
{
    size_t by = 0;
    if (call->subject.kind != JINJA_DICT) {
        jinja_fail(call->arena, "dictsort takes a dictionary, not a %s", jinja_kind_name(call->subject));
    }
    if (call->values[1].kind != JINJA_MISSING) {
        const struct jinja_string *name = jinja_text_argument(call, 1, "by");
        by = jinja_string_is(name, "value");
        if (!by && !jinja_string_is(name, "key")) {
            jinja_fail(call->arena, "dictsort sorts by 'key' or 'value'");
        }
    }
    struct jinja_view view = {JINJA_ITEMS, call->subject.dict};
    struct jinja_value pairs = {.kind = JINJA_VIEW, .view = &view};
    const struct jinja_list *items = jinja_elements(call->arena, pairs);
    struct keyed_item *keyed = jinja_new(call->arena, items->count, sizeof *keyed);
    struct key_getter plain = {.ignore_case = !jinja_bool_argument(call, 0)};
    for (size_t i = 0; i < items->count; i++) {
        keyed[i] =
            (struct keyed_item){get_key(call->machine, &plain, items->items[i].list->items[by]), items->items[i]};
    }
    return sorted(call, items, keyed, jinja_bool_argument(call, 2));
}

static struct jinja_value filter_reverse(struct jinja_call *call)
{
    struct jinja_value step = jinja_int(-1);
    if (call->subject.kind == JINJA_STRING) {
        return jinja_slice(call->arena, call->subject, jinja_none(), jinja_none(), step);
    }
    struct jinja_value list = jinja_list_value(JINJA_LIST, subject_elements(call));
    list = jinja_slice(call->arena, list, jinja_none(), jinja_none(), step);
    if (call->subject.kind != JINJA_ITERATOR) {
        list.kind = JINJA_ITERATOR;
    }
    return list;
}

static struct jinja_value filter_unique(struct jinja_call *call)
{
    struct key_getter getter = make_getter(call->arena, call->values[1], !jinja_bool_argument(call, 0));
    const struct jinja_list *items = subject_elements(call);
    struct jinja_list *result = jinja_list_new(call->arena, 0);
    struct jinja_dict *seen = jinja_dict_new(call->arena, 0);
    for (size_t i = 0; i < items->count; i++) {
        struct jinja_value key = get_key(call->machine, &getter, items->items[i]);
        if (jinja_dict_get(call->arena, seen, key)) {
            continue;
        }
        jinja_dict_append(call->arena, seen, key, key);
        jinja_list_add(call->arena, result, items->items[i]);
    }
    return iterator(result);
}

static struct jinja_value extreme(struct jinja_call *call, int sign)
{
    struct key_getter getter = make_getter(call->arena, call->values[1], !jinja_bool_argument(call, 0));
    const struct jinja_list *items = subject_elements(call);
    if (items->count == 0) {
        return jinja_undefined_hint(call->arena, "there is no smallest or largest item of an empty sequence");
    }
    struct jinja_value best = items->items[0], best_key = get_key(call->machine, &getter, best);
    for (size_t i = 1; i < items->count; i++) {
        struct jinja_value key = get_key(call->machine, &getter, items->items[i]);
        if (jinja_compare(call->arena, key, best_key) * sign > 0) {
            best = items->items[i];
            best_key = key;
        }
    }
    return best;
}

static struct jinja_value filter_min(struct jinja_call *call)
{
    return extreme(call, -1);
}

static struct jinja_value filter_max(struct jinja_call *call)
{
    return extreme(call, 1);
}

/* ---- the whole, its ends, its parts */

static struct jinja_value filter_length(struct jinja_call *call)
{
    return jinja_int((int64_t)jinja_length(call->arena, call->subject));
}

static struct jinja_value filter_first(struct jinja_call *call)
{
    if (call->subject.kind == JINJA_ITERATOR) {
        struct jinja_list *list = call->subject.list;
        if (list->cursor < list->count) {
            return list->items[list->cursor++];
        }
    } else {
        const struct jinja_list *items = subject_elements(call);
        if (items->count > 0) {
            return items->items[0];
        }
    }
    return jinja_undefined_hint(call->arena, "there is no first item of an empty sequence");
}

static struct jinja_value filter_last(struct jinja_call *call)
{
    if (call->subject.kind == JINJA_ITERATOR) {
        jinja_fail(call->arena, "a generator has no last item; make a list of it first: ... | list | last");
    }
    const struct jinja_list *items = subject_elements(call);
    if (items->count > 0) {
        return items->items[items->count - 1];
    }
    return jinja_undefined_hint(call->arena, "there is no last item of an empty sequence");
}

static struct jinja_value filter_list(struct jinja_call *call)
{
    struct jinja_value list = jinja_list_value(JINJA_LIST, subject_elements(call));
    list.origin = call->subject.origin;
    return list;
}

static struct jinja_value filter_items(struct jinja_call *call)
{
    if (call->subject.kind == JINJA_UNDEFINED) {
        return iterator(jinja_list_new(call->arena, 0));
    }
    if (call->subject.kind != JINJA_DICT) {
        jinja_fail(call->arena, "items takes a dictionary, not a %s", jinja_kind_name(call->subject));
    }
    struct jinja_view view = {JINJA_ITEMS, call->subject.dict};
    return iterator(jinja_elements(call->arena, (struct jinja_value){.kind = JINJA_VIEW, .view = &view}));
}

static struct jinja_value filter_join(struct jinja_call *call)
{
    struct jinja_value between =
        call->values[0].kind == JINJA_MISSING ? jinja_string_made(call->arena, "") : call->values[0];
    between = jinja_to_string(call->arena, between, jinja_here(call->machine));
    struct jinja_list *items = subject_elements(call);
    if (call->values[1].kind != JINJA_MISSING && call->values[1].kind != JINJA_NONE) {
        struct key_getter getter = make_getter(call->arena, call->values[1], false);
        struct jinja_list *keys = jinja_list_new(call->arena, items->count);
        for (size_t i = 0; i < items->count; i++) {
            jinja_list_add(call->arena, keys, get_key(call->machine, &getter, items->items[i]));
        }
        items = keys;
    }
    return jinja_join(call->machine, between.string, items);
}

static struct jinja_value filter_sum(struct jinja_call *call)
{
    struct key_getter getter = make_getter(call->arena, call->values[0], false);
    const struct jinja_list *items = subject_elements(call);
    struct jinja_value total = call->values[1].kind == JINJA_MISSING ? jinja_int(0) : call->values[1];
    if (total.kind == JINJA_STRING) {
        jinja_fail(call->arena, "sum does not add strings; use join");
    }
    for (size_t i = 0; i < items->count; i++) {
        total = jinja_arithmetic(call->arena, JINJA_ADD, total, get_key(call->machine, &getter, items->items[i]));
    }
    return total;
}

/* batch(3): rows of 3, the last one filled up. */
static struct jinja_value filter_batch(struct jinja_call *call)
{
    int64_t size = jinja_int_argument(call, 0, "linecount", 0);
    bool fills = call->values[1].kind != JINJA_MISSING && call->values[1].kind != JINJA_NONE;
    const struct jinja_list *items = subject_elements(call);
    struct jinja_list *rows = jinja_list_new(call->arena, 0), *row = NULL;
    for (size_t i = 0; i < items->count; i++) {
        if (!row || (int64_t)row->count == size) {
            row = jinja_list_new(call->arena, 0);
            jinja_list_add(call->arena, rows, jinja_list_value(JINJA_LIST, row));
        }
        jinja_list_add(call->arena, row, items->items[i]);
    }
    while (fills && row && (int64_t)row->count < size) {
        jinja_list_add(call->arena, row, call->values[1]);
    }
    return iterator(rows);
}

/* slice(3): 3 columns, the first ones longer by one where it does not come out even, the others filled up. */
static struct jinja_value filter_slice(struct jinja_call *call)
{
    int64_t slices = jinja_int_argument(call, 0, "slices", 0);
    bool fills = call->values[1].kind != JINJA_MISSING && call->values[1].kind != JINJA_NONE;
    const struct jinja_list *items = subject_elements(call);
    struct jinja_list *columns = jinja_list_new(call->arena, 0);
    if (slices <= 0) {
        jinja_fail(call->arena, "slice needs a number of slices above zero");
    }
    size_t each = items->count / (size_t)slices, longer = items->count % (size_t)slices, at = 0;
    for (size_t k = 0; k < (size_t)slices; k++) {
        size_t count = each + (k < longer);
        struct jinja_list *column = jinja_list_new(call->arena, count + 1);
        for (size_t i = 0; i < count; i++) {
            jinja_list_add(call->arena, column, items->items[at++]);
        }
        if (fills && k >= longer) {
            jinja_list_add(call->arena, column, call->values[1]);
        }
        jinja_list_add(call->arena, columns, jinja_list_value(JINJA_LIST, column));
    }
    return iterator(columns);
}

const struct jinja_builtin *jinja_find_list_filter(const char *name)
{
    static const struct jinja_builtin filters[] = {
        {"map", "...", filter_map},
        {"select", "...", filter_select},
        {"reject", "...", filter_reject},
        {"selectattr", "...", filter_selectattr},
        {"rejectattr", "...", filter_rejectattr},
        {"sort", "? reverse case_sensitive attribute", filter_sort},
        {"dictsort", "? case_sensitive by reverse", filter_dictsort},
        {"reverse", "", filter_reverse},
        {"unique", "? case_sensitive attribute", filter_unique},
        {"min", "? case_sensitive attribute", filter_min},
        {"max", "? case_sensitive attribute", filter_max},
        {"length", "", filter_length},
        {"count", "", filter_length},
        {"first", "", filter_first},
        {"last", "", filter_last},
        {"list", "", filter_list},
        {"items", "", filter_items},
        {"join", "? d attribute", filter_join},
        {"sum", "? attribute start", filter_sum},
        {"batch", "linecount ? fill_with", filter_batch},
        {"slice", "slices ? fill_with", filter_slice},
        {NULL, NULL, NULL},
    };
    return jinja_find_builtin(filters, name);
}
