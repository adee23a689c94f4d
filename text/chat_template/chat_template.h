/*
 * text/chat_template/chat_template.h - a conversation rendered to the text a model was made for, and which bytes of it
 * train.
 *
 * A template is the Jinja text of tokenizer_config.json, or one of the built-in ones by name; it is rendered with
 * Hugging Face's settings (trim_blocks, lstrip_blocks, its own tojson, raise_exception, strftime_now, break and
 * continue, generation blocks), byte for byte what apply_chat_template gives.
 *
 * The trained bytes of a message are what the model has to write itself: from after the text that asks for an answer
 * (the generation prompt) through the end-of-turn token, inclusive; white space after that token is not part of it.
 *
 *     <|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi there<|im_end|>\n
 *                                                             [===================)   one chat_span
 *
 * Where the template has {% generation %} blocks, those are the spans of the assistant's messages. Otherwise each byte
 * of the text knows what it came from (text/jinja/jinja.h), whatever the template did to it on the way: bytes of the
 * message's members (content, tool_calls, reasoning_content, ...; not role, name and tool_call_id) are its core, and
 * literal text between them belongs to it. A turn that the template writes without an end-of-turn token has closed ==
 * false.
 *
 * Errors:    0, or -1 with a sentence that names the template and the line. What a template raises by raise_exception()
 *            is quoted in it. A failed call leaves *out empty.
 * Limits:    of source, output, memory, steps and nesting: text/jinja/jinja.h. A hostile template ends in an error.
 * Threads:   a compiled template is never written to; any number of threads may render it.
 */
#ifndef ATTUNE_TEXT_CHAT_TEMPLATE_CHAT_TEMPLATE_H
#define ATTUNE_TEXT_CHAT_TEMPLATE_CHAT_TEMPLATE_H

#include "base/err.h"
#include "base/strbuf.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chat_template;

/* `name` is what errors call the template ("tokenizer_config.json: chat_template"). */
int chat_template_compile(struct chat_template **out, const char *source, size_t length, const char *name,
                          struct err *err);

/* A built-in template: alpaca, chatml, gemma, llama3, mistral, phi3 or plain; an unknown name is an error that suggests
 * the nearest known one. */
int chat_template_builtin(struct chat_template **out, const char *name, struct err *err);

/* The Jinja source of a built-in template, for tokenizer_config.json of an exported model; NULL for an unknown name. */
const char *chat_template_builtin_source(const char *name);

void chat_template_free(struct chat_template *chat);

/* Everything is borrowed during the call. Zeroed, with now = -1, is a good default. */
struct chat_options {
    bool add_generation_prompt;
    const char *bos_token; /* the template's bos_token; NULL leaves the variable undefined */
    const char *eos_token;

    /* Roles whose messages train; NULL: {"assistant"}. */
    const char *const *roles;
    size_t role_count;

    /*
     * Tokens that the tokenizer marks as special: these (and eos_token) may end a turn. NULL: whatever looks like one,
     * which is a word in angle brackets or in <| |>.
     */
    const char *const *special_tokens;
    size_t special_token_count;

    const json_t *tools;     /* array, or NULL */
    const json_t *variables; /* object of further template variables (enable_thinking, date_string, ...), or NULL */
    int64_t now;             /* for strftime_now(), seconds since 1970 in UTC; -1: the present moment */
};

/* Bytes start..end-1 of the text train; they belong to messages[message]. */
struct chat_span {
    size_t start, end;
    int32_t message;
    bool closed; /* the span ends with an end-of-turn token (always true of a generation block) */
};

struct chat_text {
    struct strbuf text;
    struct chat_span *spans; /* in order, disjoint, none empty */
    size_t span_count;
};

/* Renders a JSON array of messages, {"role": ..., "content": ..., ...}. *out is overwritten; free it with
 * chat_text_free(). */
int chat_template_render(const struct chat_template *chat, const json_t *messages, const struct chat_options *options,
                         struct chat_text *out, struct err *err);

void chat_text_free(struct chat_text *text);

#endif
