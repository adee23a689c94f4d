/*
 * text/tokenizer/splitter.h - the section "pre_tokenizer" of a tokenizer.json: steps that cut a text into words. No
 * token reaches over the end of a word. Internal to this room.
 */
#ifndef ATTUNE_TEXT_TOKENIZER_SPLITTER_H
#define ATTUNE_TEXT_TOKENIZER_SPLITTER_H

#include "text/tokenizer/pattern.h"
#include "text/tokenizer/scan.h"
#include "text/tokenizer/text.h"

enum splitter_kind {
    SPLITTER_BYTE_LEVEL,
    SPLITTER_SPLIT,
    SPLITTER_METASPACE,
    SPLITTER_DIGITS,
    SPLITTER_PUNCTUATION,
    SPLITTER_WHITESPACE,
    SPLITTER_WHITESPACE_SPLIT,
    SPLITTER_BERT,
};

/* What becomes of a match when a text is split at it. */
enum split_behavior {
    SPLIT_REMOVED,
    SPLIT_ISOLATED,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
    SPLIT_CONTIGUOUS, /* neighbouring matches are one word */
};

enum prepend_scheme {
    PREPEND_NEVER,
    PREPEND_FIRST, /* at the start of the input only */
    PREPEND_ALWAYS,
};

struct splitter {
    enum splitter_kind kind;
    struct pattern pattern;       /* SPLIT; METASPACE: its replacement */
    enum scan_kind scan;          /* SPLIT, BYTE_LEVEL: the loop that gives the words in place of the pattern */
    enum split_behavior behavior; /* SPLIT, DIGITS, PUNCTUATION */
    bool invert;                  /* SPLIT: what does not match is the match */
    bool add_prefix;              /* BYTE_LEVEL: a space before words without one */
    bool cuts;                    /* BYTE_LEVEL: use_regex, METASPACE: split */
    enum prepend_scheme prepend;  /* METASPACE */
};

/* A "Sequence" is flattened. */
struct splitters {
    struct splitter *steps;
    size_t count, capacity;
    bool byte_level;   /* the last step is ByteLevel: the model takes the bytes as they are, unspelled */
    bool wants_origin; /* some step asks where in the input a word begins */
};

/* Memory that one thread's calls share; all zeros at first. */
struct splitter_scratch {
    struct span_list words, spare;
    struct text_buffer buffers[2];
    struct pattern_scratch pattern;
};

/* `json` may be NULL or null: no steps. */
int splitters_from_json(struct splitters *splitters, const json_t *json, const char *where, struct err *err);
void splitters_free(struct splitters *splitters);

/*
 * Cuts *text into scratch->words. Steps that write in it make *text another one, which lies in the scratch memory until
 * the next call.
 */
int splitters_apply(const struct splitters *splitters, struct aligned_text *text, bool tracked,
                    struct splitter_scratch *scratch, struct err *err);
void splitter_scratch_free(struct splitter_scratch *scratch);

/*
 * Matches and what lies between them, put together by a behavior into words (split.c): split_begin(), then
 * split_match() for each match in order, then split_end().
 */
struct split {
    enum split_behavior behavior;
    bool invert;
    struct span_list *out;
    struct span held; /* a word that the next piece may still join */
    bool holding, held_match;
    size_t done; /* the text before it is accounted for */
};
void split_begin(struct split *split, enum split_behavior behavior, bool invert, struct span_list *out, size_t start);
int split_match(struct split *split, size_t start, size_t end, struct err *err);
int split_end(struct split *split, size_t end, struct err *err);

#endif
