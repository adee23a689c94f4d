/*
 * text/chat_template_spans.h - from a rendered text and its origins to the bytes that train.
 *
 * The span of a message is its turn as the model has to write it:
 *
 *     ...<|im_end|>\n<|im_start|>assistant\n<tool_call>\n{"name": "get_weather"}\n</tool_call><|im_end|>\n
 *                    [ what asks for an answer ][ lead ][        core        ][ through the end of the turn ]
 *
 * core: from the first to the last byte that came out of the message's members. It ends where bytes of another message,
 * or literal text written in another message's turn, come between; then the message has several spans. What asks for an
 * answer is learned from two renderings of a probe, with and without add_generation_prompt; lead is the literal text
 * behind it. Where a template has no generation prompt, the model has to write all of its turn, but text with words
 * that stands before any answer ("ASSISTANT: ") is taken for a heading that is not trained. The end of the turn is the
 * first special token in the literal text behind the core, in the message's turn or after it; special tokens that
 * directly follow it in the same turn belong to it.
 */
#ifndef ATTUNE_TEXT_CHAT_TEMPLATE_SPANS_H
#define ATTUNE_TEXT_CHAT_TEMPLATE_SPANS_H

#include "text/chat_template.h"
#include "text/jinja.h"

/* How a template asks for an answer. */
struct chat_prompt {
    struct jinja_output asked; /* a user's message, with add_generation_prompt */
    size_t start;  /* in its text: where what asks for the answer begins; at the end where there is nothing */
    char *heading; /* without a generation prompt: the words before an answer, NULL: none */
    size_t heading_length;
    bool refused; /* the template does not take the probe, so nothing is known */
};

/* Renders messages with the options of the caller but its own add_generation_prompt. */
struct chat_renderer {
    int (*render)(const struct chat_renderer *renderer, const json_t *messages, bool add_generation_prompt,
                  struct jinja_output *out, struct err *err);
    const struct jinja_template *template;
    const struct chat_options *options;
};

/* Sets out->spans from the rendered text of `messages`. */
int chat_find_spans(struct chat_text *out, const struct jinja_output *rendered, const struct chat_renderer *renderer,
                    const json_t *messages, struct err *err);

#endif
