/*
 * text/tokenizer/decoder.h - the section "decoder" of a tokenizer.json: steps from the texts of tokens to the text they
 * stand for. Internal to this room.
 */
#ifndef ATTUNE_TEXT_TOKENIZER_DECODER_H
#define ATTUNE_TEXT_TOKENIZER_DECODER_H

#include "base/strbuf.h"
#include "text/tokenizer/pattern.h"
#include "text/tokenizer/span.h"

enum decoder_kind {
    DECODER_BYTE_LEVEL,
    DECODER_METASPACE,
    DECODER_BYTE_FALLBACK,
    DECODER_FUSE,
    DECODER_REPLACE,
    DECODER_STRIP,
};

struct decoder {
    enum decoder_kind kind;
    struct pattern pattern; /* REPLACE; METASPACE: its replacement */
    char *text;             /* REPLACE: what is put in its place; STRIP: the character that is taken off */
    size_t text_length;
    size_t start, stop; /* STRIP: how many at most, at the start and at the end */
    bool strips_first;  /* METASPACE: the first token loses its replacement */
    bool whole;         /* the texts have been put together by a step before */
};

/* A "Sequence" is flattened. */
struct decoders {
    struct decoder *steps;
    size_t count, capacity;
    bool fused;             /* some step puts all texts together */
    bool joins_with_spaces; /* there is no decoder: tokens are written with a space between */
};

/* Texts end to end. */
struct texts {
    struct strbuf bytes;
    struct span_list parts; /* text i is bytes[parts.items[i]]; an empty text has start == end */
};

/* One thread's memory; all zeros at first. */
struct decoder_scratch {
    struct texts texts, spare;
    struct pattern_scratch pattern;
};

int decoders_from_json(struct decoders *decoders, const json_t *json, const char *where, struct err *err);
void decoders_free(struct decoders *decoders);

/* How a piece of a longer text is decoded. */
struct decoder_place {
    bool continues; /* text was decoded before: the piece does not begin the whole */
    bool open;      /* out: the text may still change when tokens follow */
};

/* Puts a text after the others. */
int texts_add(struct texts *texts, const char *text, size_t length, struct err *err);
/* Decodes scratch->texts and appends the result to *out. */
int decoders_apply(const struct decoders *decoders, struct decoder_scratch *scratch, struct decoder_place *place,
                   struct strbuf *out, struct err *err);
void decoder_scratch_free(struct decoder_scratch *scratch);

#endif
