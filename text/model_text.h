/*
 * text/model_text.h - the text side of a model folder: its tokenizer and its chat template.
 */
#ifndef ATTUNE_TEXT_MODEL_TEXT_H
#define ATTUNE_TEXT_MODEL_TEXT_H

#include "base/hash.h"
#include "text/chat_template/chat_template.h"
#include "text/tokenizer/tokenizer.h"

struct model_text {
    struct tokenizer *tokenizer;
    struct chat_template *chat; /* NULL: the model has none, and none was asked for */
    /*
     * What the template closes an answer with, and a model that was trained on it ends its answers with, whatever else
     * its files call an end; -1: no template, or one that closes an answer with no special token.
     */
    int32_t closing_token;
    /* Of tokenizer.json, the template and the special tokens it is given: equal where two text sides make the same
     * tokens of the same conversation. */
    struct hash fingerprint;
};

/*
 * `folder`: a model folder or a tokenizer.json. chat_template: NULL for the model's own; else a file of Jinja text, or
 * the name of a built-in template.
 */
int model_text_open(struct model_text *text, const char *folder, const char *chat_template, struct err *err);
void model_text_close(struct model_text *text);

#endif
