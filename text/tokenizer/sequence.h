/*
 * text/tokenizer/sequence.h - reading a section of a tokenizer.json that is one step or a "Sequence" of steps, which
 * may hold sequences again. Internal to this room.
 */
#ifndef ATTUNE_TEXT_TOKENIZER_SEQUENCE_H
#define ATTUNE_TEXT_TOKENIZER_SEQUENCE_H

#include "base/err.h"
#include <jansson.h>

struct sequence {
    const char *section; /* "normalizer" */
    const char *list;    /* what its Sequence calls the list of steps: "normalizers" */
    /* Adds the step of a type; an unknown type is sequence_unknown(). */
    int (*add)(void *context, const json_t *json, const char *type, const char *where, struct err *err);
};

/* Adds all steps of a section in order. `json` may be NULL or null: there are none. */
int sequence_read(const struct sequence *sequence, void *context, const json_t *json, const char *where,
                  struct err *err);

/* The error for a type that is not known. */
int sequence_unknown(const struct sequence *sequence, const char *type, const char *where, struct err *err);

#endif
