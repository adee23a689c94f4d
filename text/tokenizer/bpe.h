/*
 * text/tokenizer/bpe.h - byte-pair encoding: a word becomes the tokens of its characters, and neighbours are merged,
 * the pair that was learned first first, until none can be (Sennrich et al., "Neural machine translation of rare words
 * with subword units", ACL 2016). Internal to this room.
 *
 * A byte-level model has a printable character for each byte in its vocabulary ("Ġ" is the space); words come here as
 * the bytes themselves and each byte is a character. In other models the characters of the word are looked up as they
 * are.
 */
#ifndef ATTUNE_TEXT_TOKENIZER_BPE_H
#define ATTUNE_TEXT_TOKENIZER_BPE_H

#include "base/strbuf.h"
#include "text/tokenizer/span.h"
#include "text/tokenizer/vocabulary.h"
#include <jansson.h>

/* "▁", SentencePiece's space. */
#define BPE_BLANK "\xE2\x96\x81"

struct bpe_merge {
    uint32_t left, right;
    uint32_t rank;
    uint32_t id; /* of the token that left and right make, + 1; 0: a free slot */
};

struct bpe {
    struct vocabulary vocabulary;
    struct bpe_merge *merges; /* open addressing by (left, right) */
    size_t merge_mask;
    bool byte_level;
    bool ignore_merges; /* a word that is a token is that token */
    bool fuse_unk;
    char *unk_token; /* NULL: characters that no token spells are left out */
    int32_t unk_id;  /* -1: unk_token is not in the vocabulary */
    char *prefix;    /* of characters after a word's first (continuing_subword_prefix); NULL: none */
    char *suffix;    /* of a word's last character (end_of_word_suffix); NULL: none */
    bool byte_fallback;
    int32_t fallback[256];  /* the tokens <0x00>..<0xFF>, -1: not there */
    int32_t character[256]; /* tokens of single bytes (byte-level) or ASCII characters; -1: not there */
    bool breaks_at_blank;   /* no merge reaches over the front of a "▁": bpe_encode() may be called word by word */
};

/* The member "model" of a tokenizer.json; `where` is the file. */
int bpe_from_json(struct bpe *bpe, const json_t *model, const char *where, struct err *err);
/* Words come as bytes from now on. */
void bpe_set_byte_level(struct bpe *bpe);
void bpe_free(struct bpe *bpe);

struct bpe_symbol {
    int32_t id;
    struct span part;        /* bytes of the word */
    uint32_t next, previous; /* symbols beside it; BPE_NONE: none */
    uint32_t rank;           /* of the merge with the next one; BPE_NONE: they do not merge */
    int32_t merged;          /* the token it would make */
};
#define BPE_NONE UINT32_MAX

/* Memory that one thread's calls share; all zeros at first. */
struct bpe_scratch {
    struct bpe_symbol *symbols;
    size_t count, symbols_capacity;
    uint64_t *queue; /* binary heap of rank << 32 | symbol */
    size_t queued, queue_capacity;
    struct strbuf spelled;
};

/*
 * The tokens of a word, 0 < length bytes of UTF-8 (of any bytes where byte_level): scratch->symbols[0] and what follows
 * it by `next`; none when scratch->count is 0.
 */
int bpe_encode(const struct bpe *bpe, struct bpe_scratch *scratch, const char *word, size_t length, struct err *err);
void bpe_scratch_free(struct bpe_scratch *scratch);

/* For bpe_json.c: the slot of a pair, or the free one where it belongs. */
size_t bpe_merge_slot(const struct bpe *bpe, uint32_t left, uint32_t right);

#endif
