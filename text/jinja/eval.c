/* Expressions. */
#include "text/jinja/internal.h"
#include <string.h>

struct jinja_origin jinja_here(const struct jinja_machine *machine)
{
    return (struct jinja_origin){JINJA_LITERAL, -1, machine->arena.turn, machine->place};
}

/* ---- names, lists, dictionaries */

static struct jinja_value evaluate_name(struct jinja_machine *machine, const struct jinja_node *node)
{
    for (const struct jinja_scope *scope = machine->scope; scope; scope = scope->parent) {
        jinja_charge(&machine->arena, scope->count / 16 + 1);
        for (size_t i = scope->count; i-- > 0;) {
            if (scope->bindings[i].name == node->name && scope->bindings[i].value.kind != JINJA_MISSING) {
                return scope->bindings[i].value;
            }
        }
    }
    if (machine->globals[node->name].kind != JINJA_MISSING) {
        return machine->globals[node->name];
    }
    return jinja_undefined_name(&machine->arena, NULL,
                                jinja_string_made(&machine->arena, machine->template->names[node->name]));
}

static struct jinja_value evaluate_items(struct jinja_machine *machine, const struct jinja_node *node)
{
    struct jinja_list *list = jinja_list_new(&machine->arena, node->items.count);
    for (const struct jinja_node *item = node->items.first; item; item = item->next) {
        jinja_list_add(&machine->arena, list, jinja_evaluate(machine, item));
    }
    return jinja_list_value(node->kind == JINJA_NODE_LIST ? JINJA_LIST : JINJA_TUPLE, list);
}

static struct jinja_value evaluate_dict(struct jinja_machine *machine, const struct jinja_node *node)
{
    struct jinja_dict *dict = jinja_dict_new(&machine->arena, node->items.count);
    for (const struct jinja_node *item = node->items.first; item; item = item->next->next) {
        struct jinja_value key = jinja_evaluate(machine, item);
        jinja_dict_set(&machine->arena, dict, key, jinja_evaluate(machine, item->next));
    }
    return jinja_dict_value(dict);
}

/* ---- operators */

static struct jinja_value evaluate_concat(struct jinja_machine *machine, const struct jinja_node *node)
{
    struct jinja_text text = jinja_text_new(&machine->arena);
    for (const struct jinja_node *item = node->items.first; item; item = item->next) {
        struct jinja_value value = jinja_evaluate(machine, item);
        machine->place = item->place;
        jinja_write(&text, value, jinja_here(machine));
    }
    return jinja_text_finish(&text);
}

static struct jinja_value evaluate_sign(struct jinja_machine *machine, const struct jinja_node *node)
{
    struct jinja_value value = jinja_evaluate(machine, node->binary.left);
    if (value.kind == JINJA_UNDEFINED) {
        jinja_fail_undefined(&machine->arena, value.undefined);
    }
    if (!jinja_is_number(value)) {
        jinja_fail(&machine->arena, "a %s has no sign", jinja_kind_name(value));
    }
    if (node->kind == JINJA_NODE_POSITIVE) {
        return value.kind == JINJA_FLOAT ? value : jinja_arithmetic(&machine->arena, JINJA_ADD, jinja_int(0), value);
    }
    if (value.kind == JINJA_FLOAT) {
        return jinja_real(-value.real);
    }
    return jinja_arithmetic(&machine->arena, JINJA_SUBTRACT, jinja_int(0), value);
}

static struct jinja_value evaluate_arithmetic(struct jinja_machine *machine, const struct jinja_node *node)
{
    struct jinja_value left = jinja_evaluate(machine, node->binary.left);
    struct jinja_value right = jinja_evaluate(machine, node->binary.right);
    machine->arena.line = node->line;
    machine->place = node->place;
    if (node->binary.sign == JINJA_MODULO && left.kind == JINJA_STRING) {
        return jinja_format_percent(machine, left.string, right);
    }
    return jinja_arithmetic(&machine->arena, (enum jinja_operator)node->binary.sign, left, right);
}

static bool compare(struct jinja_machine *machine, enum jinja_comparison which, struct jinja_value left,
                    struct jinja_value right)
{
    struct jinja_arena *arena = &machine->arena;
    bool nan =
        (left.kind == JINJA_FLOAT && left.real != left.real) || (right.kind == JINJA_FLOAT && right.real != right.real);
    switch (which) {
    case JINJA_EQUAL:
        return jinja_equal(arena, left, right);
    case JINJA_UNEQUAL:
        return !jinja_equal(arena, left, right);
    case JINJA_LESS:
        return jinja_compare(arena, left, right) < 0;
    case JINJA_LESS_EQUAL:
        return jinja_compare(arena, left, right) <= 0 && !nan;
    case JINJA_GREATER:
        return jinja_compare(arena, left, right) > 0;
    case JINJA_GREATER_EQUAL:
        return jinja_compare(arena, left, right) >= 0 && !nan;
    case JINJA_IN:
        return jinja_contains(arena, right, left);
    case JINJA_NOT_IN:
        return !jinja_contains(arena, right, left);
    }
    return false;
}

/* a < b < c is a < b and b < c, each evaluated once. */
static struct jinja_value evaluate_compare(struct jinja_machine *machine, const struct jinja_node *node)
{
    struct jinja_value left = jinja_evaluate(machine, node->binary.left);
    for (const struct jinja_node *next = node->binary.right; next; next = next->next) {
        struct jinja_value right = jinja_evaluate(machine, next->binary.right);
        machine->arena.line = next->line;
        if (!compare(machine, (enum jinja_comparison)next->binary.sign, left, right)) {
            return jinja_bool(false);
        }
        left = right;
    }
    return jinja_bool(true);
}

static struct jinja_value evaluate_conditional(struct jinja_machine *machine, const struct jinja_node *node)
{
    if (jinja_truth(jinja_evaluate(machine, node->choice.test))) {
        return jinja_evaluate(machine, node->choice.yes);
    }
    if (node->choice.no) {
        return jinja_evaluate(machine, node->choice.no);
    }
    return jinja_undefined_hint(&machine->arena, "the inline if-expression has no 'else' and its condition is false");
}

/* ---- members and items */

static struct jinja_value evaluate_item(struct jinja_machine *machine, const struct jinja_node *node)
{
    struct jinja_value object = jinja_evaluate(machine, node->item.object);
    const struct jinja_node *index = node->item.index;
    if (index->kind != JINJA_NODE_SLICE) {
        return jinja_get_item(machine, object, jinja_evaluate(machine, index));
    }
    struct jinja_value start = index->slice.start ? jinja_evaluate(machine, index->slice.start) : jinja_none();
    struct jinja_value stop = index->slice.stop ? jinja_evaluate(machine, index->slice.stop) : jinja_none();
    struct jinja_value step = index->slice.step ? jinja_evaluate(machine, index->slice.step) : jinja_none();
    machine->arena.line = node->line;
    return jinja_slice(&machine->arena, object, start, stop, step);
}

static struct jinja_value method_value(struct jinja_arena *arena, struct jinja_value receiver,
                                       const struct jinja_builtin *builtin)
{
    struct jinja_method *method = jinja_new(arena, 1, sizeof *method);
    struct jinja_value value = {.kind = JINJA_METHOD, .origin = JINJA_NO_ORIGIN, .method = method};
    method->receiver = receiver;
    method->builtin = builtin;
    return value;
}

static struct jinja_value loop_member(struct jinja_machine *machine, const struct jinja_loop *loop,
                                      const struct jinja_string *name)
{
    int64_t index = (int64_t)loop->index, count = (int64_t)loop->items->count;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"index", index + 1},
                   {"index0", index},
                   {"revindex", count - index},
                   {"revindex0", count - index - 1},
                   {"length", count},
                   {"depth", 1},
                   {"depth0", 0}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (jinja_string_is(name, numbers[i].name)) {
            return jinja_int(numbers[i].value);
        }
    }
    if (jinja_string_is(name, "first")) {
        return jinja_bool(index == 0);
    }
    if (jinja_string_is(name, "last")) {
        return jinja_bool(index == count - 1);
    }
    if (jinja_string_is(name, "previtem")) {
        return index > 0 ? loop->items->items[index - 1]
                         : jinja_undefined_hint(&machine->arena, "there is no previous item");
    }
    if (jinja_string_is(name, "nextitem")) {
        return index + 1 < count ? loop->items->items[index + 1]
                                 : jinja_undefined_hint(&machine->arena, "there is no next item");
    }
    return (struct jinja_value){.kind = JINJA_MISSING};
}

/* What Python's getattr() finds: a method, or a member of a loop or namespace. */
static struct jinja_value find_attribute(struct jinja_machine *machine, struct jinja_value object,
                                         const struct jinja_string *name)
{
    const struct jinja_value *found = NULL;
    if (object.kind == JINJA_NAMESPACE) {
        found = jinja_dict_get_text(object.dict, name->bytes);
    }
    if (found) {
        return *found;
    }
    if (object.kind == JINJA_LOOP) {
        struct jinja_value value = loop_member(machine, object.loop, name);
        if (value.kind != JINJA_MISSING) {
            return value;
        }
    }
    const struct jinja_builtin *method = jinja_find_method(object.kind, name->bytes);
    if (method && !method->parameters) {
        return jinja_undefined_hint(&machine->arena, "a template cannot change a list or a dictionary (append, update, "
                                                     "pop, ...); use + or a namespace");
    }
    if (method) {
        return method_value(&machine->arena, object, method);
    }
    return (struct jinja_value){.kind = JINJA_MISSING};
}

/* What Python's object[index] finds. */
static struct jinja_value find_item(struct jinja_machine *machine, struct jinja_value object, struct jinja_value index)
{
    const struct jinja_value missing = {.kind = JINJA_MISSING};
    struct jinja_arena *arena = &machine->arena;
    if (object.kind == JINJA_DICT) {
        if (index.kind == JINJA_LIST || index.kind == JINJA_DICT) {
            return missing;
        }
        const struct jinja_value *found = jinja_dict_get(arena, object.dict, index);
        return found ? *found : missing;
    }
    bool sequence = object.kind == JINJA_STRING || object.kind == JINJA_LIST || object.kind == JINJA_TUPLE ||
                    object.kind == JINJA_RANGE;
    if (!sequence || (index.kind != JINJA_INT && index.kind != JINJA_BOOL)) {
        return missing;
    }
    int64_t at = jinja_need_int(arena, index, "an index"), length = (int64_t)jinja_length(arena, object);
    if (at < 0) {
        at += length;
    }
    if (at < 0 || at >= length) {
        return missing;
    }
    if (object.kind == JINJA_RANGE) {
        return jinja_int(object.range->start + at * object.range->step);
    }
    if (object.kind != JINJA_STRING) {
        return object.list->items[at];
    }
    jinja_charge_bytes(arena, object.string->length);
    size_t from = jinja_byte_offset(arena, object.string, (size_t)at), to = from;
    jinja_next_character(object.string, &to);
    return jinja_string_part(arena, object.string, from, to);
}

/* Attributes that look like Python's own insides stay out of reach, as in Jinja's sandbox. */
static bool is_private(const struct jinja_string *name)
{
    return name->length > 0 && name->bytes[0] == '_';
}

struct jinja_value jinja_get_member(struct jinja_machine *machine, struct jinja_value object, struct jinja_value name)
{
    if (object.kind == JINJA_UNDEFINED) {
        jinja_fail_undefined(&machine->arena, object.undefined);
    }
    struct jinja_value found = {.kind = JINJA_MISSING};
    if (!is_private(name.string)) {
        found = find_attribute(machine, object, name.string);
    }
    if (found.kind == JINJA_MISSING) {
        found = find_item(machine, object, name);
    }
    return found.kind != JINJA_MISSING ? found : jinja_undefined_name(&machine->arena, jinja_kind_name(object), name);
}

struct jinja_value jinja_get_item(struct jinja_machine *machine, struct jinja_value object, struct jinja_value index)
{
    if (object.kind == JINJA_UNDEFINED) {
        jinja_fail_undefined(&machine->arena, object.undefined);
    }
    struct jinja_value found = find_item(machine, object, index);
    if (found.kind == JINJA_MISSING && index.kind == JINJA_STRING && !is_private(index.string)) {
        /* Parts of longer strings have no zero after them. */
        const char *name = index.string->bytes;
        struct jinja_string copy = *index.string;
        char *zero = jinja_new(&machine->arena, copy.length + 1, 1);
        copy.bytes = memcpy(zero, name, copy.length);
        found = find_attribute(machine, object, &copy);
    }
    return found.kind != JINJA_MISSING ? found : jinja_undefined_name(&machine->arena, jinja_kind_name(object), index);
}

/* ---- calls */

static void add_more_keywords(struct jinja_machine *machine, struct jinja_arguments *arguments, struct jinja_value more)
{
    struct jinja_arena *arena = &machine->arena;
    if (more.kind != JINJA_DICT) {
        jinja_fail(arena, "after ** a call needs a dictionary, not a %s", jinja_kind_name(more));
    }
    struct jinja_named_value *named =
        jinja_new(arena, arguments->named_count + more.dict->count, sizeof *arguments->named);
    if (arguments->named_count > 0) {
        memcpy(named, arguments->named, arguments->named_count * sizeof *named);
    }
    for (size_t i = 0; i < more.dict->count; i++) {
        struct jinja_value key = more.dict->entries[i].key;
        if (key.kind != JINJA_STRING) {
            jinja_fail(arena, "after ** the keys must be strings");
        }
        for (size_t k = 0; k < arguments->named_count; k++) {
            if (jinja_string_is(key.string, named[k].name)) {
                jinja_fail(arena, "a call gets '%s' twice", named[k].name);
            }
        }
        char *name = jinja_new(arena, key.string->length + 1, 1);
        memcpy(name, key.string->bytes, key.string->length);
        named[arguments->named_count++] = (struct jinja_named_value){name, more.dict->entries[i].value};
    }
    arguments->named = named;
}

struct jinja_arguments jinja_evaluate_arguments(struct jinja_machine *machine, const struct jinja_node *call)
{
    struct jinja_arena *arena = &machine->arena;
    struct jinja_arguments arguments = {0};
    if (call->call.positional_count > 0) {
        arguments.values = jinja_new(arena, call->call.positional_count, sizeof *arguments.values);
    }
    for (const struct jinja_node *value = call->call.positional; value; value = value->next) {
        arguments.values[arguments.count++] = jinja_evaluate(machine, value);
    }
    if (call->call.keyword_count > 0) {
        arguments.named = jinja_new(arena, call->call.keyword_count, sizeof *arguments.named);
    }
    for (const struct jinja_keyword *keyword = call->call.keywords; keyword; keyword = keyword->next) {
        arguments.named[arguments.named_count++] =
            (struct jinja_named_value){keyword->name, jinja_evaluate(machine, keyword->value)};
    }
    if (call->call.more_positional) {
        const struct jinja_list *more = jinja_elements(arena, jinja_evaluate(machine, call->call.more_positional));
        struct jinja_value *all = jinja_new(arena, arguments.count + more->count, sizeof *all);
        for (size_t i = 0; i < arguments.count + more->count; i++) {
            all[i] = i < arguments.count ? arguments.values[i] : more->items[i - arguments.count];
        }
        arguments.values = all;
        arguments.count += more->count;
    }
    if (call->call.more_keywords) {
        add_more_keywords(machine, &arguments, jinja_evaluate(machine, call->call.more_keywords));
    }
    return arguments;
}

struct jinja_value jinja_call_value(struct jinja_machine *machine, struct jinja_value callee,
                                    const struct jinja_arguments *arguments)
{
    if (callee.kind == JINJA_FUNCTION) {
        return jinja_invoke(machine, callee.function, "function", jinja_none(), arguments);
    }
    if (callee.kind == JINJA_METHOD) {
        return jinja_invoke(machine, callee.method->builtin, "method", callee.method->receiver, arguments);
    }
    if (callee.kind == JINJA_MACRO) {
        return jinja_call_macro(machine, callee.macro, arguments);
    }
    if (callee.kind == JINJA_UNDEFINED) {
        jinja_fail_undefined(&machine->arena, callee.undefined);
    }
    jinja_fail(&machine->arena, "a %s cannot be called", jinja_kind_name(callee));
}

static struct jinja_value evaluate_call(struct jinja_machine *machine, const struct jinja_node *node)
{
    struct jinja_value callee = jinja_evaluate(machine, node->call.subject);
    struct jinja_arguments arguments = jinja_evaluate_arguments(machine, node);
    machine->arena.line = node->line;
    machine->place = node->place;
    return jinja_call_value(machine, callee, &arguments);
}

static struct jinja_value run_builtin(struct jinja_machine *machine, const struct jinja_node *node, const char *what,
                                      struct jinja_value subject)
{
    struct jinja_arguments arguments = jinja_evaluate_arguments(machine, node);
    machine->arena.line = node->line;
    machine->place = node->place;
    if (!node->call.builtin) {
        jinja_fail(&machine->arena, "the %s '%s' is not supported", what, node->call.name);
    }
    return jinja_invoke(machine, node->call.builtin, what, subject, &arguments);
}

struct jinja_value jinja_apply_filters(struct jinja_machine *machine, const struct jinja_node *filters,
                                       struct jinja_value subject)
{
    jinja_enter(&machine->arena);
    if (filters->call.subject) {
        subject = jinja_apply_filters(machine, filters->call.subject, subject);
    }
    subject = run_builtin(machine, filters, "filter", subject);
    jinja_leave(&machine->arena);
    return subject;
}

/* ---- all together */

static struct jinja_value evaluate(struct jinja_machine *machine, const struct jinja_node *node)
{
    struct jinja_value value;
    switch (node->kind) {
    case JINJA_NODE_LIST:
    case JINJA_NODE_TUPLE:
        return evaluate_items(machine, node);
    case JINJA_NODE_DICT:
        return evaluate_dict(machine, node);
    case JINJA_NODE_CONCAT:
        return evaluate_concat(machine, node);
    case JINJA_NODE_NOT:
        return jinja_bool(!jinja_truth(jinja_evaluate(machine, node->binary.left)));
    case JINJA_NODE_NEGATIVE:
    case JINJA_NODE_POSITIVE:
        return evaluate_sign(machine, node);
    case JINJA_NODE_AND:
        value = jinja_evaluate(machine, node->binary.left);
        return jinja_truth(value) ? jinja_evaluate(machine, node->binary.right) : value;
    case JINJA_NODE_OR:
        value = jinja_evaluate(machine, node->binary.left);
        return jinja_truth(value) ? value : jinja_evaluate(machine, node->binary.right);
    case JINJA_NODE_ARITHMETIC:
        return evaluate_arithmetic(machine, node);
    case JINJA_NODE_COMPARE:
        return evaluate_compare(machine, node);
    case JINJA_NODE_CONDITIONAL:
        return evaluate_conditional(machine, node);
    case JINJA_NODE_MEMBER:
        value = jinja_evaluate(machine, node->member.object);
        machine->arena.line = node->line;
        return jinja_get_member(machine, value, node->member.name);
    case JINJA_NODE_ITEM:
        return evaluate_item(machine, node);
    case JINJA_NODE_CALL:
        return evaluate_call(machine, node);
    case JINJA_NODE_FILTER:
        return run_builtin(machine, node, "filter", jinja_evaluate(machine, node->call.subject));
    case JINJA_NODE_TEST:
        return run_builtin(machine, node, "test", jinja_evaluate(machine, node->call.subject));
    default:
        jinja_fail(&machine->arena, "a slice can only be the whole index of a list, tuple or string");
    }
}

struct jinja_value jinja_evaluate(struct jinja_machine *machine, const struct jinja_node *node)
{
    jinja_charge(&machine->arena, 1);
    machine->arena.line = node->line;
    if (node->kind == JINJA_NODE_CONSTANT) {
        return node->constant;
    }
    if (node->kind == JINJA_NODE_NAME) {
        return evaluate_name(machine, node);
    }
    jinja_enter(&machine->arena);
    struct jinja_value value = evaluate(machine, node);
    jinja_leave(&machine->arena);
    return value;
}
