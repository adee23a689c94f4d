/*
 * text/tokenizer/added.h - the section "added_tokens" of a tokenizer.json: texts that are tokens wherever they stand,
 * found before anything else is done to a text. Internal to this room.
 *
 * Those with "normalized": false are looked for in the text as it came, the others in its normalized form, being
 * normalized themselves. The leftmost is taken, of those that begin there the longest.
 */
#ifndef ATTUNE_TEXT_TOKENIZER_ADDED_H
#define ATTUNE_TEXT_TOKENIZER_ADDED_H

#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/vocabulary.h"

struct added_token {
    char *text;
    size_t length;
    char *decoded; /* what it decodes to: of a normalized one the normalized text; NULL: its text */
    size_t decoded_length;
    int32_t id;
    bool special;
    bool normalized;
    bool single_word;    /* not beside a letter or digit */
    bool lstrip, rstrip; /* takes the white space beside it along */
};

/* Nodes of a tree by bytes; the children of a node are a list, sorted by nothing. */
struct added_node {
    unsigned char byte;
    int32_t token;           /* that ends here; -1: none */
    uint32_t child, sibling; /* 0: none */
};

struct added_tree {
    struct added_node *nodes; /* nodes[0] is the root */
    size_t count, capacity;
    bool first[256]; /* bytes that tokens begin with */
    int only;        /* the one byte that all begin with; -1: there are several, or no tokens */
};

struct added_tokens {
    struct added_token *tokens;
    size_t count, capacity;
    struct vocabulary indices; /* of the tokens in `tokens`, by text */
    int32_t *by_id;            /* index of the token with an id, sorted by id */
    struct added_tree raw, normalized;
};

/* For added_tokens_add(): no file says which id it should be. */
#define ADDED_ANY_ID (-1)

/*
 * A member of "added_tokens", or of tokenizer_config.json's "added_tokens_decoder". One whose text was added before is
 * left as it is, but may become special. A text that the model's vocabulary has keeps that id, another gets the next
 * free one, as the library does; where that is not the id the file says it is an error.
 */
int added_tokens_add(struct added_tokens *added, const struct vocabulary *vocabulary, const json_t *json, int64_t id,
                     const char *where, struct err *err);
/* Makes ready for searching, once all have been added. */
int added_tokens_finish(struct added_tokens *added, const struct normalizers *normalizers,
                        const struct stand_ins *stand_ins, struct err *err);
void added_tokens_free(struct added_tokens *added);

/* NULL: none. */
const struct added_token *added_by_text(const struct added_tokens *added, const char *text, size_t length);
const struct added_token *added_by_id(const struct added_tokens *added, int32_t id);

/* A walk over the tokens in a text. */
struct added_walk {
    const struct added_tokens *added;
    const struct added_tree *tree;
    const char *text;
    size_t length;
    size_t next; /* where to search on */
    size_t done; /* end of the last token found, with the space it took along */
};
/* The next token and its range; false: there is none. */
bool added_next(struct added_walk *walk, size_t *start, size_t *end, int32_t *id);

#endif
