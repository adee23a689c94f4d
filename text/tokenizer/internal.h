/*
 * text/tokenizer/internal.h - what a tokenizer is made of: the parts, each with a header of its own, put together.
 */
#ifndef ATTUNE_TEXT_TOKENIZER_INTERNAL_H
#define ATTUNE_TEXT_TOKENIZER_INTERNAL_H

#include "text/tokenizer/added.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/cache.h"
#include "text/tokenizer/decoder.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/splitter.h"
#include "text/tokenizer/tokenizer.h"

/* Ids that the post-processor puts in front of a text and after it. */
struct frame {
    int32_t *ids;
    size_t count, capacity;
};

/* The tokens that transformers knows by role. */
enum special_role {
    ROLE_BOS,
    ROLE_EOS,
    ROLE_PAD,
    ROLE_UNK,
    ROLE_COUNT,
};

struct tokenizer {
    char *folder; /* where its files lie; NULL: it came from memory */
    char *file;   /* tokenizer.json by its name there */
    struct added_tokens added;
    struct normalizers normalizers;
    struct splitters splitters;
    struct bpe model;
    struct stand_ins stand_ins; /* found where there is a regex that PCRE2 runs */
    struct word_cache *cache;
    struct frame front, back;
    struct decoders decoders;
    char *roles[ROLE_COUNT]; /* NULL: not named */
    char *chat_template;
};

/* The largest tokenizer.json that is read; those in use have up to 33 MB. */
#define TOKENIZER_FILE_MAX ((size_t)1 << 28)

/* The section "post_processor" (frame.c). */
int frames_from_json(struct tokenizer *tokenizer, const json_t *json, const char *where, struct err *err);
/* Sets folder and file from what tokenizer_open() was given (files.c). */
int tokenizer_find_files(struct tokenizer *tokenizer, const char *path, struct err *err);
/* The files beside a tokenizer.json: roles, added tokens, chat template. */
int tokenizer_read_config(struct tokenizer *tokenizer, struct err *err);

#endif
