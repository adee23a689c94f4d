/*
 * text/tokenizer/pattern.h - what a tokenizer.json searches for: {"String": "..."} or {"Regex": "..."}.
 * Internal to this room.
 *
 * The library's patterns are Oniguruma's with Ruby's syntax; here PCRE2 runs them. What the two read differently is
 * written anew for PCRE2 (\w, \h) or refused by name (nested classes and intersections).
 */
#ifndef ATTUNE_TEXT_TOKENIZER_PATTERN_H
#define ATTUNE_TEXT_TOKENIZER_PATTERN_H

#include "base/err.h"
#include "base/strbuf.h"
#include "text/tokenizer/standin.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct pattern {
    char *text;
    size_t length;
    pcre2_code *code; /* NULL: `text` is searched for as it is */
};

/* One thread's memory for matching; all zeros at first, but for the stand-ins. */
struct pattern_scratch {
    const struct stand_ins *stand_ins; /* the tokenizer's; NULL where it has no regex */
    pcre2_match_data *data;
    struct strbuf shown; /* the text with stand-ins */
};

int pattern_from_json(struct pattern *pattern, const json_t *value, const char *where, struct err *err);
int pattern_from_regex(struct pattern *pattern, const char *regex, const char *where, struct err *err);
int pattern_from_string(struct pattern *pattern, const char *string, size_t length, struct err *err);
void pattern_free(struct pattern *pattern);
void pattern_scratch_free(struct pattern_scratch *scratch);

/*
 * A walk over the matches of a pattern in a text of its own (nothing around it is looked at). The text must stay, and
 * the scratch memory is not to be used for another walk, until this one is done.
 */
struct pattern_walk {
    const struct pattern *pattern;
    struct pattern_scratch *scratch;
    const char *text;
    size_t length;
    size_t next;    /* where to search on; beyond `length`: the end */
    size_t matched; /* end of the last match; an empty match there is left out. SIZE_MAX: none yet */
};
int pattern_begin(struct pattern_walk *walk, const struct pattern *pattern, const char *text, size_t length,
                  struct pattern_scratch *scratch, struct err *err);
/* 1: the next match is text[*start .. *end), which may be empty; 0: there is none; -1: failure. */
int pattern_next(struct pattern_walk *walk, size_t *start, size_t *end, struct err *err);

#endif
