/*
 * text/data/preference_parse.h - what the parsers of the preference formats share. Private to text/preference*.c.
 *
 * A parser turns one JSON value into records: preference_emit() gives a fresh one, and the parser fills it. It answers
 * 0, PREFERENCE_REJECTED with the reason in *err (the record it was filling is dropped, earlier ones stay), or -1 for
 * want of memory. A record that is being filled is the last one of the queue.
 */
#ifndef ATTUNE_TEXT_DATA_PREFERENCE_PARSE_H
#define ATTUNE_TEXT_DATA_PREFERENCE_PARSE_H

#include "text/data/preference.h"
#include <stdbool.h>

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
/* Whether the text is "Human: ..." turns, and the same appended as messages. */
bool preference_is_transcript(const char *text);
int preference_add_transcript(json_t *messages, const char *text, size_t length, struct err *err);
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
