/*
 * text/data/internal.h - what the files of this room share: a record to its tokens, and the parsers of preferences.
 */
#ifndef ATTUNE_TEXT_DATA_INTERNAL_H
#define ATTUNE_TEXT_DATA_INTERNAL_H

#include "text/data/dataset.h"
#include "text/data/preference.h"
#include "text/data/record.h"
#include <stdbool.h>

/*
 * ---- a record to its tokens (dataset_encode.c), by the rules of text/data/dataset.h ----
 *
 * Threads: a record encoder does not change after record_encoder_open(); each thread has its own struct encoding.
 */

struct record_encoder {
    const struct dataset_options *options;
    struct chat_template *alpaca; /* for Alpaca records of a model without a chat template; else NULL */
    const char **special_tokens;
    struct chat_options chat;
};

int record_encoder_open(struct record_encoder *encoder, const struct dataset_options *options, struct err *err);
void record_encoder_close(struct record_encoder *encoder);

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
int encode_example(const struct record_encoder *encoder, const struct record *record, struct encoding *out,
                   struct err *err);
/* Plain text that stands alone, trained as a whole. */
int encode_plain(const struct record_encoder *encoder, const char *text, size_t length, struct encoding *out,
                 struct err *err);
/* What is to be answered: up to the last answer, with the generation prompt; trained and prompt_hash are not set. */
int encode_prompt(const struct record_encoder *encoder, const struct record *record, struct encoding *out,
                  struct err *err);

/* Sets the sums over the examples: tokens, trained_tokens, longest. */
void dataset_sum_up(struct dataset *dataset);

/* The messages that encode_prompt() renders, as a new array. */
json_t *prompt_messages(const struct record *record, struct err *err);

/*
 * ---- the parsers of the preference formats (preference_parse.c, preference_pairs.c, preference_ranked.c) ----
 *
 * A parser turns one JSON value into records: preference_emit() gives a fresh one, and the parser fills it. It answers
 * 0, PREFERENCE_REJECTED with the reason in *err (the record it was filling is dropped, earlier ones stay), or -1 when
 * memory runs out. A record that is being filled is the last one of the queue.
 */

struct preference_queue {
    struct preference *records;
    size_t count, capacity;
    bool filling; /* the last record is not complete; an error drops it */
};
struct preference *preference_emit(struct preference_queue *queue, struct err *err);
/* Drops the last record. */
void preference_discard(struct preference_queue *queue);
int preference_reject(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends {"role","content"}. */
int preference_add_message(json_t *messages, const char *role, const char *text, size_t length, struct err *err);
/* Appends a list of {"role","content"} or {"from","value"}, or a string as one message of `role`; an hh transcript is
 * taken apart. */
int preference_add_messages(json_t *messages, const json_t *value, const char *role, struct err *err);
/* Adds an answer with a rank; `model` may be NULL. Refused: empty, the same text as another, more than there may be. */
int preference_add_answer(struct preference *record, const char *text, size_t length, int rank, const char *model,
                          struct err *err);
/* Whether the text is "Human: ..." turns. */
bool preference_is_transcript(const char *text);
/* Copies a string member into *out where it is one; other types are left out. */
int preference_copy_string(char **out, const json_t *object, const char *key, struct err *err);

int preference_parse_trl(const json_t *value, struct preference_queue *queue, struct err *err);
int preference_parse_sharegpt(const json_t *value, struct preference_queue *queue, struct err *err);
int preference_parse_hh(const json_t *value, struct preference_queue *queue, struct err *err);
int preference_parse_kto(const json_t *value, struct preference_queue *queue, struct err *err);
int preference_parse_pairs(const json_t *value, struct preference_queue *queue, struct err *err);
int preference_parse_oasst(const json_t *value, struct preference_queue *queue, struct err *err);
int preference_parse_tldr(const json_t *value, struct preference_queue *queue, struct err *err);
int preference_parse_ultrafeedback(const json_t *value, struct preference_queue *queue, struct err *err);

#endif
