/* Statements, macros, and the two doors of the interpreter: jinja_compile() and jinja_render(). */
#include "base/mem.h"
#include "text/jinja/internal.h"
#include <string.h>

/* How a statement ended: the next one follows, or a loop is left or goes on with its next pass. */
enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

static enum flow execute(struct jinja_machine *machine, const struct jinja_node *statements);

/* ---- variables */

static struct jinja_scope *push_scope(struct jinja_machine *machine, struct jinja_scope *parent)
{
    struct jinja_scope *scope = jinja_new(&machine->arena, 1, sizeof *scope);
    scope->parent = parent;
    return scope;
}

static void set_name(struct jinja_machine *machine, struct jinja_scope *scope, int name, struct jinja_value value)
{
    jinja_charge(&machine->arena, scope->count / 16 + 1);
    for (size_t i = 0; i < scope->count; i++) {
        if (scope->bindings[i].name == name) {
            scope->bindings[i].value = value;
            return;
        }
    }
    JINJA_PUSH(&machine->arena, scope->bindings, scope->count, scope->capacity);
    scope->bindings[scope->count++] = (struct jinja_binding){name, value};
}

static void set_attribute(struct jinja_machine *machine, const struct jinja_node *target, struct jinja_value value)
{
    struct jinja_node name = {.kind = JINJA_NODE_NAME, .line = target->line, .name = target->attribute.name};
    struct jinja_value owner = jinja_evaluate(machine, &name);
    if (owner.kind == JINJA_UNDEFINED) {
        jinja_fail_undefined(&machine->arena, owner.undefined);
    }
    if (owner.kind != JINJA_NAMESPACE) {
        jinja_fail(&machine->arena, "only a namespace's attributes can be set, not those of a %s",
                   jinja_kind_name(owner));
    }
    if (target->attribute.member.string->bytes[0] == '_') {
        jinja_fail(&machine->arena, "an attribute of a namespace cannot start with an underscore");
    }
    jinja_dict_set(&machine->arena, owner.dict, target->attribute.member, value);
}

static void assign(struct jinja_machine *machine, const struct jinja_node *target, struct jinja_value value)
{
    if (target->kind == JINJA_NODE_NAME) {
        set_name(machine, machine->scope, target->name, value);
    } else if (target->kind == JINJA_NODE_ATTRIBUTE_TARGET) {
        set_attribute(machine, target, value);
    } else {
        if (value.kind == JINJA_UNDEFINED) {
            jinja_fail_undefined(&machine->arena, value.undefined);
        }
        const struct jinja_list *items = jinja_elements(&machine->arena, value);
        if (items->count != target->items.count) {
            jinja_fail(&machine->arena, "%zu values cannot be assigned to %zu names", items->count,
                       target->items.count);
        }
        jinja_enter(&machine->arena);
        const struct jinja_node *item = target->items.first;
        for (size_t i = 0; i < items->count; i++, item = item->next) {
            assign(machine, item, items->items[i]);
        }
        jinja_leave(&machine->arena);
    }
}

/* The message that a value is, or a part of it is; -1: none. */
static int32_t message_of(struct jinja_value value)
{
    return value.kind == JINJA_DICT && value.origin.source == JINJA_CONTENT ? value.origin.message : -1;
}

/* ---- text that is not printed at once */

/* Runs statements in a scope of their own and gives their text. */
static struct jinja_value capture(struct jinja_machine *machine, const struct jinja_node *statements,
                                  struct jinja_scope *scope)
{
    struct jinja_text text = jinja_text_new(&machine->arena);
    struct jinja_text *out = machine->out;
    struct jinja_scope *around = machine->scope;
    machine->out = &text;
    machine->scope = scope;
    machine->captures++;
    execute(machine, statements);
    machine->captures--;
    machine->scope = around;
    machine->out = out;
    return jinja_text_finish(&text);
}

static void execute_set_block(struct jinja_machine *machine, const struct jinja_node *node)
{
    struct jinja_value text = capture(machine, node->set.body, push_scope(machine, machine->scope));
    if (node->set.value) {
        text = jinja_apply_filters(machine, node->set.value, text);
    }
    if (node->kind == JINJA_NODE_SET_BLOCK) {
        assign(machine, node->set.target, text);
    } else {
        jinja_write(machine->out, text, jinja_here(machine));
    }
}

/* ---- macros */

static struct jinja_value macro_value(struct jinja_machine *machine, const struct jinja_macro_parts *parts)
{
    struct jinja_macro *macro = jinja_new(&machine->arena, 1, sizeof *macro);
    struct jinja_value value = {.kind = JINJA_MACRO, .origin = JINJA_NO_ORIGIN, .macro = macro};
    macro->parts = parts;
    macro->scope = machine->scope;
    return value;
}

static const struct jinja_named_value *find_named(const struct jinja_arguments *arguments, const char *name)
{
    for (size_t i = 0; i < arguments->named_count; i++) {
        if (strcmp(arguments->named[i].name, name) == 0) {
            return &arguments->named[i];
        }
    }
    return NULL;
}

static bool is_parameter(const struct jinja_machine *machine, const struct jinja_macro_parts *parts, const char *name)
{
    for (size_t i = 0; i < parts->parameter_count; i++) {
        if (strcmp(machine->template->names[parts->parameters[i].name], name) == 0) {
            return true;
        }
    }
    return false;
}

/* What is left of the arguments: varargs, kwargs and the caller, where the macro's body names them. */
static void bind_rest(struct jinja_machine *machine, const struct jinja_macro_parts *parts,
                      const struct jinja_arguments *arguments, struct jinja_scope *scope)
{
    struct jinja_arena *arena = &machine->arena;
    struct jinja_list *more = jinja_list_new(arena, 0);
    struct jinja_dict *others = jinja_dict_new(arena, 0);
    for (size_t i = parts->parameter_count; i < arguments->count; i++) {
        jinja_list_add(arena, more, arguments->values[i]);
    }
    if (more->count > 0 && !parts->uses_varargs) {
        jinja_fail(arena, "the macro '%s' takes not more than %zu arguments", parts->title, parts->parameter_count);
    }
    for (size_t i = 0; i < arguments->named_count; i++) {
        const struct jinja_named_value *named = &arguments->named[i];
        if (is_parameter(machine, parts, named->name)) {
            continue;
        }
        if (strcmp(named->name, "caller") == 0 && parts->uses_caller) {
            set_name(machine, scope, JINJA_NAME_CALLER, named->value);
        } else if (parts->uses_kwargs) {
            jinja_dict_set(arena, others, jinja_string_made(arena, named->name), named->value);
        } else {
            jinja_fail(arena, "the macro '%s' has no parameter '%s'", parts->title, named->name);
        }
    }
    if (parts->uses_varargs) {
        set_name(machine, scope, JINJA_NAME_VARARGS, jinja_list_value(JINJA_TUPLE, more));
    }
    if (parts->uses_kwargs) {
        set_name(machine, scope, JINJA_NAME_KWARGS, jinja_dict_value(others));
    }
}

static void bind_parameters(struct jinja_machine *machine, const struct jinja_macro_parts *parts,
                            const struct jinja_arguments *arguments, struct jinja_scope *scope)
{
    for (size_t i = 0; i < parts->parameter_count; i++) {
        const struct jinja_parameter *parameter = &parts->parameters[i];
        const struct jinja_named_value *named = find_named(arguments, machine->template->names[parameter->name]);
        struct jinja_value value = {.kind = JINJA_MISSING};
        if (i < arguments->count && named) {
            jinja_fail(&machine->arena, "the macro '%s' gets '%s' twice", parts->title, named->name);
        }
        if (i < arguments->count) {
            value = arguments->values[i];
        } else if (named) {
            value = named->value;
        } else if (parameter->otherwise) {
            value = jinja_evaluate(machine, parameter->otherwise); /* sees the parameters before it */
        } else {
            value = jinja_undefined_hint(&machine->arena, "a parameter of a macro was not given");
        }
        set_name(machine, scope, parameter->name, value);
        if (machine->arena.turn < 0) {
            machine->arena.turn = message_of(value);
        }
    }
}

struct jinja_value jinja_call_macro(struct jinja_machine *machine, const struct jinja_macro *macro,
                                    const struct jinja_arguments *arguments)
{
    struct jinja_scope *around = machine->scope, *scope = push_scope(machine, macro->scope);
    int32_t turn = machine->arena.turn;
    jinja_enter(&machine->arena);
    machine->scope = scope;
    bind_parameters(machine, macro->parts, arguments, scope);
    bind_rest(machine, macro->parts, arguments, scope);
    struct jinja_value text = capture(machine, macro->parts->body, scope);
    machine->scope = around;
    machine->arena.turn = turn;
    jinja_leave(&machine->arena);
    return text;
}

/* {% call name(...) %} body {% endcall %}: calls name(..., caller = body as a macro). */
static void execute_call_block(struct jinja_machine *machine, const struct jinja_node *node)
{
    const struct jinja_node *call = node->macro.call;
    struct jinja_value callee = jinja_evaluate(machine, call->call.subject);
    struct jinja_arguments arguments = jinja_evaluate_arguments(machine, call);
    struct jinja_named_value *named = jinja_new(&machine->arena, arguments.named_count + 1, sizeof *named);
    if (arguments.named_count > 0) {
        memcpy(named, arguments.named, arguments.named_count * sizeof *named);
    }
    named[arguments.named_count++] = (struct jinja_named_value){"caller", macro_value(machine, node->macro.parts)};
    arguments.named = named;
    struct jinja_value result = jinja_call_value(machine, callee, &arguments);
    machine->place = node->place;
    jinja_write(machine->out, result, jinja_here(machine));
}

/* ---- loops */

/* The elements for which the loop's condition holds; it sees the target, not the loop. */
static const struct jinja_list *loop_elements(struct jinja_machine *machine, const struct jinja_node *node)
{
    struct jinja_arena *arena = &machine->arena;
    const struct jinja_list *items = jinja_elements(arena, jinja_evaluate(machine, node->loop.iterable));
    if (!node->loop.condition) {
        return items;
    }
    struct jinja_scope *around = machine->scope;
    struct jinja_list *chosen = jinja_list_new(arena, 0);
    machine->scope = push_scope(machine, around);
    for (size_t i = 0; i < items->count; i++) {
        assign(machine, node->loop.target, items->items[i]);
        if (jinja_truth(jinja_evaluate(machine, node->loop.condition))) {
            jinja_list_add(arena, chosen, items->items[i]);
        }
    }
    machine->scope = around;
    return chosen;
}

static void execute_for(struct jinja_machine *machine, const struct jinja_node *node)
{
    struct jinja_scope *around = machine->scope;
    int32_t turn = machine->arena.turn;
    const struct jinja_list *items = loop_elements(machine, node);
    struct jinja_loop *loop = jinja_new(&machine->arena, 1, sizeof *loop);
    struct jinja_value itself = {.kind = JINJA_LOOP, .origin = JINJA_NO_ORIGIN, .loop = loop};
    loop->items = items;
    machine->loops++;
    machine->scope = push_scope(machine, around);
    for (enum flow flow = FLOW_ON; loop->index < items->count && flow != FLOW_BREAK; loop->index++) {
        struct jinja_value item = items->items[loop->index];
        machine->scope->count = 0; /* each pass starts with no variables of its own */
        machine->arena.turn = message_of(item) >= 0 ? message_of(item) : turn;
        set_name(machine, machine->scope, JINJA_NAME_LOOP, itself);
        assign(machine, node->loop.target, item);
        flow = execute(machine, node->loop.body);
    }
    machine->loops--;
    machine->arena.turn = turn;
    if (items->count == 0) {
        machine->scope->count = 0;
        execute(machine, node->loop.otherwise);
    }
    machine->scope = around;
}

/* ---- statements */

static enum flow execute_if(struct jinja_machine *machine, const struct jinja_node *node)
{
    for (;;) {
        machine->arena.line = node->line;
        if (jinja_truth(jinja_evaluate(machine, node->choice.test))) {
            return execute(machine, node->choice.yes);
        }
        const struct jinja_node *no = node->choice.no;
        if (!no || no->kind != JINJA_NODE_IF || no->next) {
            return execute(machine, no);
        }
        node = no; /* elif */
    }
}

static enum flow execute_with(struct jinja_machine *machine, const struct jinja_node *node)
{
    struct jinja_scope *around = machine->scope, *scope = push_scope(machine, around);
    for (const struct jinja_node *target = node->set.value; target; target = target->next->next) {
        struct jinja_value value = jinja_evaluate(machine, target->next); /* none sees another */
        machine->scope = scope;
        assign(machine, target, value);
        machine->scope = around;
    }
    machine->scope = scope;
    enum flow flow = execute(machine, node->set.body);
    machine->scope = around;
    return flow;
}

static void execute_generation(struct jinja_machine *machine, const struct jinja_node *node)
{
    struct jinja_scope *around = machine->scope;
    size_t start = machine->out->length;
    machine->scope = push_scope(machine, around);
    execute(machine, node->set.body);
    machine->scope = around;
    if (machine->captures > 0) {
        return;
    }
    JINJA_PUSH(&machine->arena, machine->generations, machine->generation_count, machine->generation_capacity);
    machine->generations[machine->generation_count++] =
        (struct jinja_generation){start, machine->out->length, machine->arena.turn};
}

static void execute_set(struct jinja_machine *machine, const struct jinja_node *node)
{
    struct jinja_value value = jinja_evaluate(machine, node->set.value);
    assign(machine, node->set.target, value);
    /* {% for i in range(messages | length) %}{% set message = messages[i] %} makes it that message's turn. */
    if (machine->loops > 0 && machine->arena.turn < 0) {
        machine->arena.turn = message_of(value);
    }
}

static void execute_data(struct jinja_machine *machine, const struct jinja_node *node)
{
    machine->place = node->place;
    jinja_text_put(machine->out, node->constant.string->bytes, node->constant.string->length, jinja_here(machine));
}

static void execute_print(struct jinja_machine *machine, const struct jinja_node *node)
{
    for (const struct jinja_node *item = node->items.first; item; item = item->next) {
        struct jinja_value value = jinja_evaluate(machine, item);
        machine->arena.line = node->line;
        machine->place = item->place;
        jinja_write(machine->out, value, jinja_here(machine));
    }
}

static enum flow execute_one(struct jinja_machine *machine, const struct jinja_node *node)
{
    machine->arena.line = node->line;
    switch (node->kind) {
    case JINJA_NODE_DATA:
        execute_data(machine, node);
        break;
    case JINJA_NODE_PRINT:
        execute_print(machine, node);
        break;
    case JINJA_NODE_IF:
        return execute_if(machine, node);
    case JINJA_NODE_FOR:
        execute_for(machine, node);
        break;
    case JINJA_NODE_SET:
        execute_set(machine, node);
        break;
    case JINJA_NODE_SET_BLOCK:
    case JINJA_NODE_FILTER_BLOCK:
        execute_set_block(machine, node);
        break;
    case JINJA_NODE_MACRO:
        set_name(machine, machine->scope, node->macro.parts->name, macro_value(machine, node->macro.parts));
        break;
    case JINJA_NODE_CALL_BLOCK:
        execute_call_block(machine, node);
        break;
    case JINJA_NODE_WITH:
        return execute_with(machine, node);
    case JINJA_NODE_GENERATION:
        execute_generation(machine, node);
        break;
    case JINJA_NODE_BREAK:
        return FLOW_BREAK;
    case JINJA_NODE_CONTINUE:
        return FLOW_CONTINUE;
    default:
        jinja_fail(&machine->arena, "an expression stands where a statement should");
    }
    return FLOW_ON;
}

static enum flow execute(struct jinja_machine *machine, const struct jinja_node *statements)
{
    enum flow flow = FLOW_ON;
    jinja_enter(&machine->arena);
    for (const struct jinja_node *node = statements; node && flow == FLOW_ON; node = node->next) {
        jinja_charge(&machine->arena, 1);
        flow = execute_one(machine, node);
    }
    jinja_leave(&machine->arena);
    return flow;
}

/* ---- the two doors */

static void arena_start(struct jinja_arena *arena, const char *name, struct err *err)
{
    arena->limit = JINJA_MEMORY_MAX;
    arena->steps = JINJA_STEPS_MAX;
    arena->turn = -1;
    arena->name = name;
    arena->err = err;
}

int jinja_compile(struct jinja_template **out, const char *source, size_t length, const char *name, struct err *err)
{
    struct jinja_template *template = mem_alloc(1, sizeof *template, err);
    if (!template) {
        return -1;
    }
    arena_start(&template->arena, name, err);
    if (setjmp(template->arena.escape) != 0) {
        jinja_free(template);
        return -1;
    }
    char *copy = jinja_new(&template->arena, strlen(name) + 1, 1);
    template->arena.name = strcpy(copy, name);
    jinja_parse(template, jinja_lex(&template->arena, source, length));
    *out = template;
    return 0;
}

void jinja_free(struct jinja_template *template)
{
    if (!template) {
        return;
    }
    jinja_arena_free(&template->arena);
    mem_free(template);
}

bool jinja_has_generation(const struct jinja_template *template)
{
    return template->has_generation;
}

static struct jinja_origin message_member(struct jinja_origin message, const char *key)
{
    bool header = strcmp(key, "role") == 0 || strcmp(key, "name") == 0 || strcmp(key, "tool_call_id") == 0;
    message.source = header ? JINJA_HEADER : JINJA_CONTENT;
    return message;
}

static struct jinja_value import_messages(struct jinja_arena *arena, const json_t *messages)
{
    struct jinja_list *list = jinja_list_new(arena, json_array_size(messages));
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i);
        struct jinja_origin origin = {JINJA_CONTENT, (int32_t)i, -1, 0};
        jinja_list_add(arena, list,
                       json_is_object(message) ? jinja_import_object(arena, message, origin, message_member)
                                               : jinja_import(arena, message, origin));
    }
    return jinja_list_value(JINJA_LIST, list);
}

static void set_globals(struct jinja_machine *machine, const struct jinja_input *input)
{
    const struct jinja_template *template = machine->template;
    machine->globals = jinja_new(&machine->arena, template->name_count, sizeof *machine->globals);
    for (size_t name = 0; name < template->name_count; name++) {
        struct jinja_value *global = &machine->globals[name];
        const struct jinja_builtin *function = jinja_find_function(template->names[name]);
        const struct jinja_variable *variable = NULL;
        for (size_t i = input->variable_count; i-- > 0 && !variable;) {
            if (strcmp(input->variables[i].name, template->names[name]) == 0) {
                variable = &input->variables[i];
            }
        }
        if (variable && variable->role == JINJA_MESSAGES) {
            *global = import_messages(&machine->arena, variable->value);
        } else if (variable) {
            *global = jinja_import(
                &machine->arena, variable->value,
                (struct jinja_origin){variable->role == JINJA_END_TOKEN ? JINJA_END : JINJA_VARIABLE, -1, -1, 0});
        } else if (function) {
            *global = (struct jinja_value){.kind = JINJA_FUNCTION, .origin = JINJA_NO_ORIGIN, .function = function};
        }
    }
}

/* Copies what was rendered out of the arena. */
static int fill_output(struct jinja_output *out, const struct jinja_machine *machine, struct err *err)
{
    const struct jinja_text *text = machine->out;
    strbuf_append(&out->text, text->bytes ? text->bytes : "", text->length);
    if (strbuf_check(&out->text, err) != 0) {
        return -1;
    }
    out->runs = mem_alloc(text->run_count + 1, sizeof *out->runs, err);
    out->generations = mem_alloc(machine->generation_count + 1, sizeof *out->generations, err);
    if (!out->runs || !out->generations) {
        return -1;
    }
    out->run_count = text->run_count;
    out->generation_count = machine->generation_count;
    if (out->run_count > 0) {
        memcpy(out->runs, text->runs, out->run_count * sizeof *out->runs);
    }
    if (out->generation_count > 0) {
        memcpy(out->generations, machine->generations, out->generation_count * sizeof *out->generations);
    }
    return 0;
}

int jinja_render(const struct jinja_template *template, const struct jinja_input *input, struct jinja_output *out,
                 struct err *err)
{
    struct jinja_machine *machine = mem_alloc(1, sizeof *machine, err);
    struct jinja_text text;
    *out = (struct jinja_output){0};
    if (!machine) {
        return -1;
    }
    arena_start(&machine->arena, template->arena.name, err);
    if (setjmp(machine->arena.escape) != 0) {
        jinja_arena_free(&machine->arena);
        mem_free(machine);
        return -1;
    }
    text = jinja_text_new(&machine->arena);
    machine->template = template;
    machine->now = input->now;
    machine->out = &text;
    machine->scope = push_scope(machine, NULL);
    set_globals(machine, input);
    execute(machine, template->body);
    int result = fill_output(out, machine, err);
    jinja_arena_free(&machine->arena);
    mem_free(machine);
    if (result != 0) {
        jinja_output_free(out);
    }
    return result;
}

void jinja_output_free(struct jinja_output *output)
{
    strbuf_free(&output->text);
    mem_free(output->runs);
    mem_free(output->generations);
    *output = (struct jinja_output){0};
}
