/*
 * text/jinja/internal.h - what runs a template: its state, its scopes, and the functions that templates can call.
 */
#ifndef ATTUNE_TEXT_JINJA_INTERNAL_H
#define ATTUNE_TEXT_JINJA_INTERNAL_H

#include "text/jinja/string.h"
#include "text/jinja/syntax.h"
#include "text/jinja/unicode.h"

struct jinja_binding {
    int name;
    struct jinja_value value;
};

/* Variables of one loop pass, macro call or block; a name that is not here is looked for in the parent. */
struct jinja_scope {
    struct jinja_scope *parent;
    struct jinja_binding *bindings;
    size_t count, capacity;
};

struct jinja_machine {
    struct jinja_arena arena;
    const struct jinja_template *template;
    struct jinja_value *globals; /* by name; JINJA_MISSING where there is none */
    struct jinja_scope *scope;
    struct jinja_text *out;
    int captures;   /* > 0: `out` is not the rendered text but a macro's, a set block's, ... */
    int loops;      /* passes of `for` around */
    uint32_t place; /* of the expression that runs */
    int64_t now;
    struct jinja_generation *generations;
    size_t generation_count, generation_capacity;
};

struct jinja_macro {
    const struct jinja_macro_parts *parts;
    struct jinja_scope *scope; /* where it was defined */
};

struct jinja_loop {
    const struct jinja_list *items;
    size_t index;
    struct jinja_value last_changed; /* what changed() got last, JINJA_MISSING at first */
};

/* ---- calls */

struct jinja_named_value {
    const char *name;
    struct jinja_value value;
};

struct jinja_arguments {
    struct jinja_value *values;
    size_t count;
    struct jinja_named_value *named;
    size_t named_count;
};

#define JINJA_PARAMETERS_MAX 6

struct jinja_call {
    struct jinja_machine *machine;
    struct jinja_arena *arena;                       /* the machine's */
    struct jinja_value subject;                      /* what stands before the | or "is", or the method's object */
    struct jinja_value values[JINJA_PARAMETERS_MAX]; /* by parameter; JINJA_MISSING where not given */
    struct jinja_arguments arguments;                /* as they were given, for "..." */
};

/*
 * A filter, test, method or function. `parameters` are names with blanks between, those from "?" on optional
 * ("old new ? count"), "..." for a function that reads call->arguments itself, or NULL for what Jinja's sandbox
 * forbids. `run` is NULL for what Python knows but this interpreter does not.
 */
struct jinja_builtin {
    const char *name;
    const char *parameters;
    struct jinja_value (*run)(struct jinja_call *call);
};

/* NULL for an unknown name. */
const struct jinja_builtin *jinja_find_filter(const char *name);
/* Of these, the filters of sequences and dictionaries (filters_list.c). */
const struct jinja_builtin *jinja_find_list_filter(const char *name);
const struct jinja_builtin *jinja_find_test(const char *name);
const struct jinja_builtin *jinja_find_method(enum jinja_kind kind, const char *name);
const struct jinja_builtin *jinja_find_function(const char *name);

/* The end of a table has no name. */
const struct jinja_builtin *jinja_find_builtin(const struct jinja_builtin *table, const char *name);

/* Binds the arguments to the parameters and runs the function; `what` is "filter", "test", "method" or "function". */
struct jinja_value jinja_invoke(struct jinja_machine *machine, const struct jinja_builtin *builtin, const char *what,
                                struct jinja_value subject, const struct jinja_arguments *arguments);
/* Calls a function, method or macro value. */
struct jinja_value jinja_call_value(struct jinja_machine *machine, struct jinja_value callee,
                                    const struct jinja_arguments *arguments);

/* ---- running (exec.c: statements, eval.c: expressions) */

struct jinja_value jinja_evaluate(struct jinja_machine *machine, const struct jinja_node *node);
struct jinja_value jinja_call_macro(struct jinja_machine *machine, const struct jinja_macro *macro,
                                    const struct jinja_arguments *arguments);
/* The filters of a filter or set block, run on the block's text. */
struct jinja_value jinja_apply_filters(struct jinja_machine *machine, const struct jinja_node *filters,
                                       struct jinja_value subject);
struct jinja_arguments jinja_evaluate_arguments(struct jinja_machine *machine, const struct jinja_node *call);

/* The origin of text that the running expression writes itself. */
struct jinja_origin jinja_here(const struct jinja_machine *machine);

/* object.name: methods first, then items. */
struct jinja_value jinja_get_member(struct jinja_machine *machine, struct jinja_value object, struct jinja_value name);
/* object[index]: items first, then methods. */
struct jinja_value jinja_get_item(struct jinja_machine *machine, struct jinja_value object, struct jinja_value index);

/* ---- shared by filters and methods (text_functions.c) */

/* str(value) of the subject; undefined gives "". */
struct jinja_string *jinja_subject_text(struct jinja_call *call);
/* An argument that must be a string. `name` is the parameter's. */
struct jinja_string *jinja_text_argument(struct jinja_call *call, size_t index, const char *name);
int64_t jinja_int_argument(struct jinja_call *call, size_t index, const char *name, int64_t otherwise);
bool jinja_bool_argument(const struct jinja_call *call, size_t index);

enum jinja_side { JINJA_LEFT = 1, JINJA_RIGHT = 2, JINJA_BOTH = 3 };
/* strip(): `characters` NULL drops white space. */
struct jinja_value jinja_strip(struct jinja_arena *arena, const struct jinja_string *string,
                               const struct jinja_string *characters, enum jinja_side side);
/* Replaces `most` occurrences at most; < 0: all. */
struct jinja_value jinja_replace(struct jinja_arena *arena, const struct jinja_string *string,
                                 const struct jinja_string *old, const struct jinja_string *with, int64_t most);
struct jinja_value jinja_upper(struct jinja_arena *arena, const struct jinja_string *string);
struct jinja_value jinja_lower(struct jinja_arena *arena, const struct jinja_string *string);
struct jinja_value jinja_capitalize(struct jinja_arena *arena, const struct jinja_string *string);
/* Each character mapped by the table that `choose` gives for it and the one before (0 at the start). */
struct jinja_value jinja_map_case(struct jinja_arena *arena, const struct jinja_string *string,
                                  const struct jinja_unicode_case_table *(*choose)(uint32_t before, uint32_t c));
/* Pads with `fill` characters to a width: `side` is where the padding goes. */
struct jinja_value jinja_pad(struct jinja_call *call, struct jinja_string *string, int64_t width, enum jinja_side side,
                             uint32_t fill);
struct jinja_list *jinja_split_lines(struct jinja_arena *arena, const struct jinja_string *string, bool keep_ends);
struct jinja_value jinja_join(struct jinja_machine *machine, const struct jinja_string *between,
                              const struct jinja_list *items);

/* "%s and %d" % values (format.c) */
struct jinja_value jinja_format_percent(struct jinja_machine *machine, const struct jinja_string *format,
                                        struct jinja_value values);
/* "{} and {name}".format(...) */
struct jinja_value jinja_format_braces(struct jinja_machine *machine, const struct jinja_string *format,
                                       const struct jinja_arguments *arguments);

#endif
