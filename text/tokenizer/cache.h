/*
 * text/tokenizer/cache.h - the tokens of words seen before, shared by all threads that use a tokenizer.
 * Internal to this room.
 *
 * A table of fixed size: a word has two slots, by its hash, and what was written there last stays. Each slot is one
 * cache line under a sequence lock: its sequence is odd while it is written, and a reader that sees it change, or finds
 * another word, has not found its own. What a word becomes depends on the word alone, so hits and misses never change a
 * result.
 */
#ifndef ATTUNE_TEXT_TOKENIZER_CACHE_H
#define ATTUNE_TEXT_TOKENIZER_CACHE_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHED_WORD_MAX   24 /* bytes of a word */
#define CACHED_TOKENS_MAX 6

struct word_cache;

/* A word of 1 .. CACHED_WORD_MAX bytes, padded with zeros. */
struct cached_key {
    uint64_t first, second, third;
    uint64_t hash;
    uint32_t length;
};

struct cached_tokens {
    int32_t ids[CACHED_TOKENS_MAX];
    unsigned char lengths[CACHED_TOKENS_MAX]; /* bytes of the word for each token; together they are all of it */
    unsigned char count;                      /* 1 .. CACHED_TOKENS_MAX */
};

int word_cache_create(struct word_cache **out, struct err *err);
void word_cache_free(struct word_cache *cache);

/* `readable` is how many bytes may be read from `word` on, at least `length`. */
struct cached_key cached_key_of(const char *word, size_t length, size_t readable);
bool word_cache_find(const struct word_cache *cache, const struct cached_key *key, struct cached_tokens *out);
void word_cache_store(struct word_cache *cache, const struct cached_key *key, const struct cached_tokens *tokens);

#endif
