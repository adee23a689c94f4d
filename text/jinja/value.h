/*
 * text/jinja/value.h - the values of the Jinja interpreter: Python's, as far as templates see them.
 *
 * A value is 24 bytes, passed by copy; what it points to lies in the arena and, but for namespaces, the cursor of an
 * iterator and the values of a loop, does not change once it is made. Functions leave through jinja_fail() on failure.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_TEXT_JINJA_VALUE_H
#define ATTUNE_TEXT_JINJA_VALUE_H

#include "text/jinja/arena.h"
#include "text/jinja/jinja.h"

enum jinja_kind {
    JINJA_MISSING, /* no value at all: an argument that was not given, a variable that is not there */
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_FLOAT,
    JINJA_STRING,
    JINJA_LIST,
    JINJA_TUPLE,
    JINJA_RANGE,
    JINJA_ITERATOR, /* what map(), select(), reversed() and similar functions give: read once, front to back */
    JINJA_DICT,
    JINJA_VIEW, /* what keys(), values() and items() give */
    JINJA_NAMESPACE,
    JINJA_LOOP,
    JINJA_FUNCTION,
    JINJA_METHOD,
    JINJA_MACRO,
};

struct jinja_value {
    enum jinja_kind kind;
    struct jinja_origin
        origin; /* of what is written for the value itself; a string's bytes have their own in its runs */
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct jinja_string *string;
        struct jinja_list *list; /* list, tuple, iterator */
        struct jinja_range *range;
        struct jinja_dict *dict; /* dict, namespace */
        struct jinja_view *view;
        const struct jinja_undefined *undefined;
        struct jinja_loop *loop;
        const struct jinja_builtin *function;
        struct jinja_method *method;
        struct jinja_macro *macro;
    };
};

/* UTF-8. `runs` cover it exactly; an empty string has none. */
struct jinja_string {
    const char *bytes;
    size_t length;
    size_t characters; /* code points; JINJA_UNCOUNTED until jinja_characters() counted them */
    const struct jinja_run *runs;
    size_t run_count;
    bool markup;           /* marked by `safe` or made by `escape`: joined by + with plain text, that is escaped */
    struct jinja_run only; /* where `runs` points when there is just one */
};
#define JINJA_UNCOUNTED SIZE_MAX

struct jinja_list {
    struct jinja_value *items;
    size_t count, capacity;
    size_t cursor; /* of an iterator: elements already read */
};

struct jinja_range {
    int64_t start, stop, step;
    size_t count;
};

struct jinja_entry {
    struct jinja_value key, value;
};

struct jinja_dict {
    struct jinja_entry *entries; /* in order of insertion, keys distinct */
    size_t count, capacity;
};

enum jinja_view_kind { JINJA_KEYS, JINJA_VALUES, JINJA_ITEMS };

struct jinja_view {
    enum jinja_view_kind what;
    struct jinja_dict *dict;
};

/* Why a value is undefined: a variable `name`, or the member `name` of `owner`; or `hint`, a whole sentence. */
struct jinja_undefined {
    const char *hint;
    const char *owner; /* NULL: a variable */
    struct jinja_value name;
};

struct jinja_method {
    struct jinja_value receiver;
    const struct jinja_builtin *builtin;
};

/* ---- making values (value.c) */

struct jinja_value jinja_none(void);
struct jinja_value jinja_bool(bool value);
struct jinja_value jinja_int(int64_t value);
struct jinja_value jinja_real(double value);
struct jinja_value jinja_list_value(enum jinja_kind kind, struct jinja_list *list);
struct jinja_value jinja_dict_value(struct jinja_dict *dict);
/* An undefined value with a sentence of its own (which outlives the value). */
struct jinja_value jinja_undefined_hint(struct jinja_arena *arena, const char *hint);
/* The variable `name` (owner NULL), or the member `name` of an `owner`, is not there. */
struct jinja_value jinja_undefined_name(struct jinja_arena *arena, const char *owner, struct jinja_value name);
/* Fails with the name of what is not there (print.c). */
_Noreturn void jinja_fail_undefined(struct jinja_arena *arena, const struct jinja_undefined *why);

struct jinja_list *jinja_list_new(struct jinja_arena *arena, size_t capacity);
void jinja_list_add(struct jinja_arena *arena, struct jinja_list *list, struct jinja_value item);
struct jinja_value jinja_pair(struct jinja_arena *arena, struct jinja_value first, struct jinja_value second);

struct jinja_dict *jinja_dict_new(struct jinja_arena *arena, size_t capacity);
/* Adds a key that is known not to be there. */
void jinja_dict_append(struct jinja_arena *arena, struct jinja_dict *dict, struct jinja_value key,
                       struct jinja_value value);

/* What a JSON value is to a template (import.c); every part of it gets `origin`. Strings are borrowed. */
struct jinja_value jinja_import(struct jinja_arena *arena, const json_t *json, struct jinja_origin origin);
/* The same for an object, whose members' origins `member` chooses by key (NULL: as above). */
struct jinja_value jinja_import_object(struct jinja_arena *arena, const json_t *json, struct jinja_origin origin,
                                       struct jinja_origin (*member)(struct jinja_origin, const char *key));

/* "dict object", "None", "list object", as Jinja names them in errors. */
const char *jinja_kind_name(struct jinja_value value);

/* ---- what values do (operate.c) */

/* Python's truth. */
bool jinja_truth(struct jinja_value value);
/* a == b; values of different kinds are unequal, except among bool, int and float. */
bool jinja_equal(struct jinja_arena *arena, struct jinja_value a, struct jinja_value b);
/* Negative, zero, positive; fails where Python has no order between the two. */
int jinja_compare(struct jinja_arena *arena, struct jinja_value a, struct jinja_value b);
bool jinja_is_number(struct jinja_value value);
/* An int or bool as int64; anything else fails, saying that `what` must be an integer. */
int64_t jinja_need_int(struct jinja_arena *arena, struct jinja_value value, const char *what);

/* len(value) */
size_t jinja_length(struct jinja_arena *arena, struct jinja_value value);
bool jinja_is_iterable(struct jinja_value value);
/* The elements; a list's own (do not change them). An iterator is used up. */
struct jinja_list *jinja_elements(struct jinja_arena *arena, struct jinja_value value);
/* needle in haystack */
bool jinja_contains(struct jinja_arena *arena, struct jinja_value haystack, struct jinja_value needle);

/* The value of a key, or NULL. */
struct jinja_value *jinja_dict_get(struct jinja_arena *arena, const struct jinja_dict *dict, struct jinja_value key);
struct jinja_value *jinja_dict_get_text(const struct jinja_dict *dict, const char *key);
void jinja_dict_set(struct jinja_arena *arena, struct jinja_dict *dict, struct jinja_value key,
                    struct jinja_value value);

/* value[start:stop:step], each bound JINJA_NONE or JINJA_MISSING where it is left out. */
struct jinja_value jinja_slice(struct jinja_arena *arena, struct jinja_value value, struct jinja_value start,
                               struct jinja_value stop, struct jinja_value step);

enum jinja_operator {
    JINJA_ADD,
    JINJA_SUBTRACT,
    JINJA_MULTIPLY,
    JINJA_DIVIDE,
    JINJA_FLOOR_DIVIDE,
    JINJA_MODULO,
    JINJA_POWER
};
/* Everything but % on strings, which is jinja_format_percent(). */
struct jinja_value jinja_arithmetic(struct jinja_arena *arena, enum jinja_operator operation, struct jinja_value a,
                                    struct jinja_value b);

#endif
