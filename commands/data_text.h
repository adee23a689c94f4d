/*
 * commands/data_text.h - tokens printed for a person to check, some of them marked: what is learned, or where a score
 * is read.
 *
 * Text comes from outside: control characters are printed as \xNN, so that no data set can steer a terminal.
 */
#ifndef ATTUNE_COMMANDS_DATA_TEXT_H
#define ATTUNE_COMMANDS_DATA_TEXT_H

#include "base/strbuf.h"
#include "recipe/recipe.h"
#include "text/model_text.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What attune data was asked for. */
struct data_options {
    const char *recipe;
    int stage;     /* index in all_stages, or -1: to be told from the recipe */
    int64_t show;  /* examples, rankings or prompts to print; 0: the summary instead */
    int64_t first; /* from 1; 0 is 1 */
    bool tokens, eval, json;
};

/* Which chat template the recipe's conversations are rendered by. */
const char *data_template_name(const struct recipe *recipe, const struct model_text *text);

/* Tokens and their marks; `first` is the place of the first one in what is shown. */
struct data_tokens {
    const int32_t *ids;   /* [count] */
    const uint8_t *marks; /* [count], or NULL: none is marked */
    int32_t count, first;
};

/* The text of the tokens with the marked ones in brackets, or in colour on a terminal, and a line's end; with `lines` a
 * token a line: its place, id and text. */
int data_put_tokens(struct strbuf *out, const struct tokenizer *tokenizer, const struct data_tokens *tokens, bool lines,
                    struct err *err);
/* As a JSON string. */
int data_put_json_text(struct strbuf *out, const struct tokenizer *tokenizer, const int32_t *ids, int32_t count,
                       struct err *err);
/* As a JSON list. */
void data_put_json_ids(struct strbuf *out, const int32_t *ids, int32_t count);

/* Prints `first` .. of `count` things by `put`, as many as options say. `what` they are called, in plural. */
int data_show_each(const struct data_options *options, size_t count, const char *what, const void *context,
                   int (*put)(const void *context, size_t number, struct strbuf *out, struct err *err),
                   struct err *err);

#endif
