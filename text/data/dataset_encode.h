/*
 * text/data/dataset_encode.h - a record to its tokens, and what else the parts of a dataset share. Private to
 * text/dataset*.c and text/data/family.c; the rules are those of text/data/dataset.h.
 *
 * Threads: an encoder does not change after encoder_open(); each thread has its own struct encoding.
 */
#ifndef ATTUNE_TEXT_DATA_DATASET_ENCODE_H
#define ATTUNE_TEXT_DATA_DATASET_ENCODE_H

#include "text/data/dataset.h"
#include "text/data/record.h"

struct encoder {
    const struct dataset_options *options;
    struct chat_template *alpaca; /* for Alpaca records of a model without a chat template; else NULL */
    const char **special_tokens;
    struct chat_options chat;
};

int encoder_open(struct encoder *encoder, const struct dataset_options *options, struct err *err);
void encoder_close(struct encoder *encoder);

/* Zeroed at first, reused from record to record; what it holds is set by encode_*(). Free with encoding_free(). */
struct encoding {
    struct token_list tokens; /* not cut to any length */
    uint8_t *trained;         /* [tokens.count] */
    uint64_t prompt_hash;
    struct strbuf text; /* that was encoded */
    /* Scratch. */
    struct token_list prompt;
    struct chat_text chat;
    size_t trained_capacity;
};
void encoding_free(struct encoding *encoding);

/* The whole record, and what of it is trained. */
int encode_example(const struct encoder *encoder, const struct record *record, struct encoding *out, struct err *err);
/* Plain text that stands alone, trained as a whole. */
int encode_plain(const struct encoder *encoder, const char *text, size_t length, struct encoding *out, struct err *err);
/* What is to be answered: up to the last answer, with the generation prompt; trained and prompt_hash are not set. */
int encode_prompt(const struct encoder *encoder, const struct record *record, struct encoding *out, struct err *err);

/* Sets the sums over the examples: tokens, trained_tokens, longest. */
void dataset_sum_up(struct dataset *dataset);

/* The messages that encode_prompt() renders, as a new array. */
json_t *prompt_messages(const struct record *record, struct err *err);

#endif
