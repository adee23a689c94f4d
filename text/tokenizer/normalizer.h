/*
 * text/tokenizer/normalizer.h - the section "normalizer" of a tokenizer.json: steps that rewrite a text before it is
 * split. Internal to this room.
 */
#ifndef ATTUNE_TEXT_TOKENIZER_NORMALIZER_H
#define ATTUNE_TEXT_TOKENIZER_NORMALIZER_H

#include "text/tokenizer/pattern.h"
#include "text/tokenizer/text.h"

enum normalizer_kind {
    NORMALIZER_NFC,
    NORMALIZER_NFD,
    NORMALIZER_NFKC,
    NORMALIZER_NFKD,
    NORMALIZER_PREPEND,
    NORMALIZER_REPLACE,
    NORMALIZER_LOWERCASE,
    NORMALIZER_STRIP,
    NORMALIZER_STRIP_ACCENTS,
    NORMALIZER_BYTE_LEVEL,
};

struct normalizer {
    enum normalizer_kind kind;
    char *text; /* what PREPEND puts in front, and REPLACE in place */
    size_t text_length;
    struct pattern pattern; /* REPLACE */
    bool left, right;       /* STRIP */
};

/* A "Sequence" is flattened. */
struct normalizers {
    struct normalizer *steps;
    size_t count, capacity;
};

/* Memory that one thread's calls share; all zeros at first. */
struct normalizer_scratch {
    struct text_buffer buffers[2];
    struct pattern_scratch pattern;
    struct composed *points; /* of the normal forms */
    size_t points_capacity;
};

/* `json` may be NULL or null: no steps. */
int normalizers_from_json(struct normalizers *normalizers, const json_t *json, const char *where, struct err *err);
void normalizers_free(struct normalizers *normalizers);

/* *text becomes its normalized form, which lies in the scratch memory until the next call; `tracked` keeps sources. */
int normalizers_apply(const struct normalizers *normalizers, struct aligned_text *text, bool tracked,
                      struct normalizer_scratch *scratch, struct err *err);
void normalizer_scratch_free(struct normalizer_scratch *scratch);

/* Appends the normal form of a text (normal_form.c). */
int normal_form(struct text_buffer *out, const struct aligned_text *text, bool compose, bool compatible,
                struct normalizer_scratch *scratch, struct err *err);

#endif
