/* Chat templates: the variables they are given, rendering, and the list of built-in ones. */
#include "text/chat_template/chat_template.h"
#include "base/mem.h"
#include "text/chat_template/internal.h"
#include "text/jinja/jinja.h"
#include <string.h>

struct chat_template {
    struct jinja_template *jinja;
};

int chat_template_compile(struct chat_template **out, const char *source, size_t length, const char *name,
                          struct err *err)
{
    struct chat_template *chat = mem_alloc(1, sizeof *chat, err);
    if (!chat) {
        return -1;
    }
    if (jinja_compile(&chat->jinja, source, length, name, err) != 0) {
        mem_free(chat);
        return -1;
    }
    *out = chat;
    return 0;
}

int chat_template_builtin(struct chat_template **out, const char *name, struct err *err)
{
    const char *source = chat_template_builtin_source(name);
    if (!source) {
        return chat_template_unknown(name, err);
    }
    return chat_template_compile(out, source, strlen(source), name, err);
}

void chat_template_free(struct chat_template *chat)
{
    if (!chat) {
        return;
    }
    jinja_free(chat->jinja);
    mem_free(chat);
}

/* ---- messages as templates expect them */

/*
 * transformers gives what a model thought before its answer under both names in use, "thinking" and
 * "reasoning_content", whichever of the three known ones the message has.
 */
static json_t *reasoning_of(const json_t *message)
{
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *value = json_object_get(message, names[i]);
        if (value && !json_is_null(value)) {
            return value;
        }
    }
    return NULL;
}

static json_t *with_reasoning_names(const json_t *message, json_t *reasoning)
{
    json_t *copy = json_object();
    if (json_object_set(copy, "thinking", reasoning) != 0 ||
        json_object_update(copy, (json_t *)(uintptr_t)message) != 0 ||
        json_object_set(copy, "reasoning_content", reasoning) != 0) {
        json_decref(copy);
        return NULL;
    }
    return copy;
}

/* The messages, a new reference: themselves where none holds a reasoning. */
static json_t *prepare_messages(const json_t *messages, struct err *err)
{
    bool any = false;
    for (size_t i = 0; i < json_array_size(messages); i++) {
        any |= reasoning_of(json_array_get(messages, i)) != NULL;
    }
    if (!any) {
        return json_incref((json_t *)(uintptr_t)messages);
    }
    json_t *copy = json_array();
    for (size_t i = 0; copy && i < json_array_size(messages); i++) {
        json_t *message = json_array_get(messages, i), *reasoning = reasoning_of(message);
        json_t *item = reasoning ? with_reasoning_names(message, reasoning) : json_incref(message);
        if (json_array_append_new(copy, item) != 0) {
            json_decref(copy);
            copy = NULL;
        }
    }
    if (!copy) {
        err_set(err, "out of memory while preparing the messages of a chat");
    }
    return copy;
}

/* ---- rendering */

#define FIXED_VARIABLES 6

static void add_variable(struct jinja_input *input, struct jinja_variable *variables, const char *name,
                         const json_t *value, enum jinja_role role)
{
    if (value) {
        variables[input->variable_count++] = (struct jinja_variable){name, value, role};
    }
}

static int render(const struct chat_renderer *renderer, const json_t *messages, bool add_generation_prompt,
                  struct jinja_output *out, struct err *err)
{
    const struct chat_options *options = renderer->options;
    json_t *more = (json_t *)(uintptr_t)options->variables;
    json_t *bos = options->bos_token ? json_string(options->bos_token) : NULL;
    json_t *eos = options->eos_token ? json_string(options->eos_token) : NULL;
    struct jinja_variable *variables = mem_alloc(FIXED_VARIABLES + json_object_size(more), sizeof *variables, err);
    struct jinja_input input = {.variables = variables, .now = options->now};
    int result = -1;
    if (variables && ((options->bos_token && !bos) || (options->eos_token && !eos))) {
        err_set(err, "bos_token or eos_token is not UTF-8, or there is no memory for it");
    } else if (variables) {
        add_variable(&input, variables, "messages", messages, JINJA_MESSAGES);
        add_variable(&input, variables, "tools", options->tools ? options->tools : json_null(), JINJA_PLAIN);
        add_variable(&input, variables, "documents", json_null(), JINJA_PLAIN);
        add_variable(&input, variables, "add_generation_prompt", json_boolean(add_generation_prompt), JINJA_PLAIN);
        add_variable(&input, variables, "bos_token", bos, JINJA_PLAIN);
        add_variable(&input, variables, "eos_token", eos, JINJA_END_TOKEN);
        for (void *at = json_object_iter(more); at; at = json_object_iter_next(more, at)) {
            add_variable(&input, variables, json_object_iter_key(at), json_object_iter_value(at), JINJA_PLAIN);
        }
        result = jinja_render(renderer->template, &input, out, err);
    }
    mem_free(variables);
    json_decref(bos);
    json_decref(eos);
    return result;
}

static int check_input(const json_t *messages, const struct chat_options *options, struct err *err)
{
    if (!json_is_array(messages)) {
        return err_set(err, "the messages of a chat must be an array of {\"role\", \"content\"} objects");
    }
    if (json_array_size(messages) > INT32_MAX) {
        return err_set(err, "a chat has more than %d messages", INT32_MAX);
    }
    if (options->variables && !json_is_object(options->variables)) {
        return err_set(err, "the variables of a chat template must be an object of names and values");
    }
    return 0;
}

int chat_template_render(const struct chat_template *chat, const json_t *messages, const struct chat_options *options,
                         struct chat_text *out, struct err *err)
{
    struct chat_renderer renderer = {render, chat->jinja, options};
    struct jinja_output rendered = {0};
    *out = (struct chat_text){0};
    if (check_input(messages, options, err) != 0) {
        return -1;
    }
    json_t *prepared = prepare_messages(messages, err);
    if (!prepared) {
        return -1;
    }
    int result = render(&renderer, prepared, options->add_generation_prompt, &rendered, err);
    if (result == 0) {
        result = chat_find_spans(out, &rendered, &renderer, prepared, err);
    }
    json_decref(prepared);
    if (result == 0) {
        out->text = rendered.text;
        rendered.text = (struct strbuf){0};
    } else {
        chat_text_free(out);
    }
    jinja_output_free(&rendered);
    return result;
}

void chat_text_free(struct chat_text *text)
{
    strbuf_free(&text->text);
    mem_free(text->spans);
    *text = (struct chat_text){0};
}
