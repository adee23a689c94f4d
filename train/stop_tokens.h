/*
 * train/stop_tokens.h - the tokens that end an answer, of a model together with its text side.
 *
 * What config.json, generation_config.json and the tokenizer call an end is not always what a tuned model writes: one
 * that was trained with a chat template ends its answers with the token that the template closes a turn with, which a
 * base model's files do not know as an end (<|im_end|> where the end of text is <|endoftext|>). All of them end an
 * answer.
 */
#ifndef ATTUNE_TRAIN_STOP_TOKENS_H
#define ATTUNE_TRAIN_STOP_TOKENS_H

#include "model/model.h"
#include "text/model_text.h"

/* Those of the model, the tokenizer's end of text, the template's closing token; ended by -1. */
struct stop_tokens {
    int32_t ids[STOP_TOKENS_MAX + 3];
};

struct stop_tokens stop_tokens_of(const struct model_config *config, const struct model_text *text);

#endif
