/*
 * text/tokenizer/vocabulary.h - the tokens of a tokenizer, by id and by text. Internal to this room.
 */
#ifndef ATTUNE_TEXT_TOKENIZER_VOCABULARY_H
#define ATTUNE_TEXT_TOKENIZER_VOCABULARY_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ids are below this; the largest vocabularies in use have about 262 thousand tokens. */
#define VOCABULARY_IDS_MAX (1 << 22)

struct vocabulary_token {
    uint32_t offset; /* of its text in `text`, from 1; 0: no token has this id */
    uint32_t length;
};

struct vocabulary {
    char *text; /* all tokens end to end, each with a zero after it */
    size_t text_length, text_capacity;
    struct vocabulary_token *tokens; /* by id */
    size_t size, tokens_capacity;
    size_t count;   /* tokens there are: less than size where ids have holes */
    int32_t *slots; /* open addressing by hash of the text: id + 1, 0 is free */
    size_t slot_mask;
};

/* Room for `count` tokens, so that adding them moves nothing. */
int vocabulary_reserve(struct vocabulary *vocabulary, size_t count, struct err *err);
/* An id that is taken, out of range, or a text that is there already is an error; `where` begins it. */
int vocabulary_add(struct vocabulary *vocabulary, const char *text, size_t length, int64_t id, const char *where,
                   struct err *err);
/* -1: no such token. */
int32_t vocabulary_find(const struct vocabulary *vocabulary, const char *text, size_t length);
/* Zero-terminated (a token may hold zeros too); NULL: no such token. */
const char *vocabulary_text(const struct vocabulary *vocabulary, int32_t id, size_t *length);
void vocabulary_free(struct vocabulary *vocabulary);

#endif
