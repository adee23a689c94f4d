/*
 * model/padding.h - the pad token in the folder of a reward model.
 *
 * transformers' classes ...ForSequenceClassification read the score at the last token that is not pad_token_id of
 * config.json. Many chat models pad with the very token that ends an answer (SmolLM2 with <|im_end|>): then the score
 * would be read one token too early. So the folder gets a pad token that no scored text ends with:
 *
 *     the one of config.json, the tokenizer's, a special token with "pad" in its name, the unknown token, and then any
 *     special token that a conversation does not hold
 *
 * whichever comes first that is none of the tokens that end an answer: those of config.json and generation_config.json,
 * the tokenizer's end of text, and what the chat template closes a turn with.
 */
#ifndef ATTUNE_MODEL_PADDING_H
#define ATTUNE_MODEL_PADDING_H

#include "base/strbuf.h"
#include "model/model.h"

struct padding {
    int32_t id;          /* -1: no token is free, so transformers takes one text at a time */
    struct strbuf token; /* its text; empty where the folder has no tokenizer */
};

/* For the files in the model's folder; chat_template as model_text_open() takes it. Free with padding_free(), also
 * after a failure. */
int padding_choose(struct padding *padding, const struct model *model, const char *chat_template, struct err *err);
void padding_free(struct padding *padding);

/* Names the token in tokenizer_config.json (made where there is none) and special_tokens_map.json of `folder`; not
 * another byte of them is changed. */
int padding_write(const struct padding *padding, const char *folder, struct err *err);

#endif
