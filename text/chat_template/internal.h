/*
 * text/chat_template/internal.h - what the files of this room share.
 */
#ifndef ATTUNE_TEXT_CHAT_TEMPLATE_INTERNAL_H
#define ATTUNE_TEXT_CHAT_TEMPLATE_INTERNAL_H

#include "text/chat_template/chat_template.h"
#include "text/jinja/jinja.h"

/* The error for a name that is not built in, with the nearest one that is (builtin.c). Always returns -1. */
int chat_template_unknown(const char *name, struct err *err);

/*
 * From a rendered text and its origins to the bytes that train (spans.c).
 *
 * The span of a message is its turn as the model has to write it:
 *
 *     ...<|im_end|>\n<|im_start|>assistant\n<tool_call>\n{"name": "get_weather"}\n</tool_call><|im_end|>\n
 *                    [ what asks for an answer ][ lead ][       core      ][ through the end of the turn ]
 *
 * core   From the first to the last byte that came out of the message's members and was written in its own turn (quoted
 *        in another's it is not what the model writes there). It ends where bytes of another message, or literal text
 *        of another turn, come between; then the message has several spans.
 * lead   The literal text after what asks for an answer, which is learned from renderings of a probe with and without
 *        add_generation_prompt. Where a template has no generation prompt, the model has to write all of its turn; but
 *        text with words that stands before any answer ("ASSISTANT: ") is taken for a heading, which does not train.
 * end    The first special token in the literal text after the core, with special tokens of the same turn that follow
 *        it at once. A token that closes a tag of the span (</tool_call>) is none. Without one, the rest of the turn.
 *
 * A turn without any text of its message trains its end-of-turn token.
 */

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
