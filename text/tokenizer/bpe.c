#include "text/tokenizer/bpe.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "text/tokenizer/bytes.h"
#include "text/unicode/unicode.h"
#include <assert.h>
#include <string.h>

size_t bpe_merge_slot(const struct bpe *bpe, uint32_t left, uint32_t right)
{
    uint64_t hash = ((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u;
    size_t slot = (size_t)(hash >> 32) & bpe->merge_mask;
    while (bpe->merges[slot].id != 0 && (bpe->merges[slot].left != left || bpe->merges[slot].right != right)) {
        slot = (slot + 1) & bpe->merge_mask;
    }
    return slot;
}

static uint64_t queue_key(const struct bpe_symbol *symbols, uint32_t at)
{
    return (uint64_t)symbols[at].rank << 32 | at;
}

static void queue_sink(uint64_t *queue, size_t count, size_t at)
{
    uint64_t key = queue[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && queue[child + 1] < queue[child]) {
            child++;
        }
        if (key <= queue[child]) {
            break;
        }
        queue[at] = queue[child];
    }
    queue[at] = key;
}

/* The queue has room for three entries a symbol: one from the start, and at most two for each merge. */
static void queue_push(struct bpe_scratch *scratch, uint64_t key)
{
    assert(scratch->queued < scratch->queue_capacity);
    size_t at = scratch->queued++;
    while (at > 0 && key < scratch->queue[(at - 1) / 2]) {
        scratch->queue[at] = scratch->queue[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    scratch->queue[at] = key;
}

static const struct bpe_merge *find_merge(const struct bpe *bpe, int32_t left, int32_t right)
{
    return &bpe->merges[bpe_merge_slot(bpe, (uint32_t)left, (uint32_t)right)];
}

/* Words up to this many symbols are merged by looking through all pairs each time, which is the faster way for them. */
#define FEW 24

/* The symbols of a short word without gaps between: what merges at `i` merges with `i + 1`. */
struct few {
    uint32_t count;
    int32_t ids[FEW], merged[FEW];
    uint32_t ranks[FEW];
    struct span parts[FEW];
};

static void rank_few(const struct bpe *bpe, struct few *few, uint32_t at)
{
    few->ranks[at] = BPE_NONE;
    if (at + 1 < few->count) {
        const struct bpe_merge *merge = find_merge(bpe, few->ids[at], few->ids[at + 1]);
        if (merge->id != 0) {
            few->ranks[at] = merge->rank;
            few->merged[at] = (int32_t)merge->id - 1;
        }
    }
}

static void merge_few(const struct bpe *bpe, struct bpe_scratch *scratch)
{
    struct few few = {.count = (uint32_t)scratch->count};
    for (uint32_t i = 0; i < few.count; i++) {
        few.ids[i] = scratch->symbols[i].id;
        few.parts[i] = scratch->symbols[i].part;
    }
    for (uint32_t i = 0; i < few.count; i++) {
        rank_few(bpe, &few, i);
    }
    while (few.count > 1) {
        uint32_t best = 0;
        for (uint32_t i = 1; i < few.count; i++) {
            best = few.ranks[i] < few.ranks[best] ? i : best;
        }
        if (few.ranks[best] == BPE_NONE) {
            break;
        }
        few.ids[best] = few.merged[best];
        few.parts[best].end = few.parts[best + 1].end;
        few.count--;
        for (uint32_t i = best + 1; i < few.count; i++) {
            few.ids[i] = few.ids[i + 1];
            few.merged[i] = few.merged[i + 1];
            few.ranks[i] = few.ranks[i + 1];
            few.parts[i] = few.parts[i + 1];
        }
        rank_few(bpe, &few, best);
        if (best > 0) {
            rank_few(bpe, &few, best - 1);
        }
    }
    for (uint32_t i = 0; i < few.count; i++) {
        scratch->symbols[i].id = few.ids[i];
        scratch->symbols[i].part = few.parts[i];
    }
    scratch->symbols[few.count - 1].next = BPE_NONE;
    scratch->count = few.count;
}

/* Looks up how `at` merges with the symbol after it. */
static bool rank_symbol(const struct bpe *bpe, struct bpe_symbol *symbols, uint32_t at)
{
    struct bpe_symbol *symbol = &symbols[at];
    symbol->rank = BPE_NONE;
    if (symbol->next == BPE_NONE) {
        return false;
    }
    const struct bpe_merge *merge = find_merge(bpe, symbol->id, symbols[symbol->next].id);
    if (merge->id == 0) {
        return false;
    }
    symbol->rank = merge->rank;
    symbol->merged = (int32_t)merge->id - 1;
    return true;
}

/* The least rank goes first, the leftmost of one rank: a heap holds them, and entries that have gone stale are skipped.
 */
static void merge_many(const struct bpe *bpe, struct bpe_scratch *scratch)
{
    struct bpe_symbol *symbols = scratch->symbols;
    scratch->queued = 0;
    for (uint32_t i = 0; i < scratch->count; i++) {
        if (rank_symbol(bpe, symbols, i)) {
            scratch->queue[scratch->queued++] = queue_key(symbols, i);
        }
    }
    for (size_t i = scratch->queued / 2; i > 0; i--) {
        queue_sink(scratch->queue, scratch->queued, i - 1);
    }
    while (scratch->queued > 0) {
        uint64_t key = scratch->queue[0];
        scratch->queue[0] = scratch->queue[--scratch->queued];
        queue_sink(scratch->queue, scratch->queued, 0);
        uint32_t at = (uint32_t)key;
        struct bpe_symbol *left = &symbols[at];
        if (left->rank != key >> 32) {
            continue; /* one of the pair has been merged otherwise since */
        }
        struct bpe_symbol *right = &symbols[left->next];
        left->id = left->merged;
        left->part.end = right->part.end;
        right->rank = BPE_NONE;
        left->next = right->next;
        if (left->next != BPE_NONE) {
            symbols[left->next].previous = at;
        }
        if (rank_symbol(bpe, symbols, at)) {
            queue_push(scratch, queue_key(symbols, at));
        }
        if (left->previous != BPE_NONE && rank_symbol(bpe, symbols, left->previous)) {
            queue_push(scratch, queue_key(symbols, left->previous));
        }
    }
}

static void add_symbol(struct bpe_scratch *scratch, int32_t id, struct span part)
{
    uint32_t at = (uint32_t)scratch->count++;
    scratch->symbols[at] =
        (struct bpe_symbol){.id = id, .part = part, .next = BPE_NONE, .previous = at > 0 ? at - 1 : BPE_NONE};
    if (at > 0) {
        scratch->symbols[at - 1].next = at;
    }
}

/*
 * A character has at most one symbol, or by byte fallback one for each byte of its spelling, which a prefix or suffix
 * and the printable form of a byte (two bytes) make longer than it is in the word.
 */
static int reserve(const struct bpe *bpe, struct bpe_scratch *scratch, size_t length, struct err *err)
{
    size_t each = 1;
    if (bpe->byte_fallback && (bpe->byte_level || bpe->prefix || bpe->suffix)) {
        each = 2 + (bpe->prefix ? strlen(bpe->prefix) : 0) + (bpe->suffix ? strlen(bpe->suffix) : 0);
    }
    size_t symbols, queued;
    if (__builtin_mul_overflow(length, each, &symbols) || __builtin_mul_overflow(symbols, 3, &queued) ||
        symbols >= BPE_NONE) {
        return err_set(err, "a word of %zu bytes is too long for the tokenizer; split the text", length);
    }
    if (symbols > scratch->symbols_capacity) {
        struct bpe_symbol *more = mem_grow(scratch->symbols, &scratch->symbols_capacity, symbols, sizeof(*more), err);
        if (!more) {
            return -1;
        }
        scratch->symbols = more;
    }
    if (queued > scratch->queue_capacity) {
        uint64_t *more = mem_grow(scratch->queue, &scratch->queue_capacity, queued, sizeof(*more), err);
        if (!more) {
            return -1;
        }
        scratch->queue = more;
    }
    return 0;
}

/* How the vocabulary spells the character word[start .. end) of a word of `length` bytes. */
static int spell(const struct bpe *bpe, struct bpe_scratch *scratch, const char *word, size_t length, struct span at,
                 struct err *err)
{
    struct strbuf *text = &scratch->spelled;
    strbuf_clear(text);
    if (bpe->prefix && at.start > 0) {
        strbuf_puts(text, bpe->prefix);
    }
    if (bpe->byte_level) {
        strbuf_put_utf8(text, byte_character((unsigned char)word[at.start]));
    } else {
        strbuf_append(text, word + at.start, at.end - at.start);
    }
    if (bpe->suffix && at.end == length) {
        strbuf_puts(text, bpe->suffix);
    }
    return strbuf_check(text, err);
}

/* Adds the tokens <0xHH> of the spelled character where all of them are there. */
static bool add_fallback(const struct bpe *bpe, struct bpe_scratch *scratch, struct span at)
{
    const struct strbuf *text = &scratch->spelled;
    for (size_t i = 0; i < text->length; i++) {
        if (bpe->fallback[(unsigned char)text->data[i]] < 0) {
            return false;
        }
    }
    bool as_it_stands = text->length == at.end - at.start;
    for (uint32_t i = 0; i < text->length; i++) {
        struct span part = as_it_stands ? (struct span){at.start + i, at.start + i + 1} : at;
        add_symbol(scratch, bpe->fallback[(unsigned char)text->data[i]], part);
    }
    return true;
}

/* Characters without a token, kept back until the next that has one: together they are one unknown where fuse_unk says
 * so. */
struct unknown {
    bool waiting;
    struct span at;
};

static void flush_unknown(const struct bpe *bpe, struct bpe_scratch *scratch, struct unknown *unknown)
{
    if (unknown->waiting) {
        add_symbol(scratch, bpe->unk_id, unknown->at);
        unknown->waiting = false;
    }
}

static int add_unknown(const struct bpe *bpe, struct bpe_scratch *scratch, struct unknown *unknown, struct span at,
                       struct err *err)
{
    if (bpe->unk_id < 0) {
        return err_set(err, "no token spells '%s', and unk_token '%s' is not in the vocabulary of the tokenizer",
                       strbuf_text(&scratch->spelled), bpe->unk_token);
    }
    if (unknown->waiting && bpe->fuse_unk) {
        unknown->at.end = at.end;
        return 0;
    }
    flush_unknown(bpe, scratch, unknown);
    *unknown = (struct unknown){true, at};
    return 0;
}

static int add_character(const struct bpe *bpe, struct bpe_scratch *scratch, const char *word, size_t length,
                         struct span at, struct unknown *unknown, struct err *err)
{
    unsigned char byte = (unsigned char)word[at.start];
    bool affixed = (bpe->prefix && at.start > 0) || (bpe->suffix && at.end == length);
    int32_t id = -1;
    if (!affixed && (bpe->byte_level || byte < 0x80)) {
        id = bpe->character[byte];
    } else if (!affixed) {
        id = vocabulary_find(&bpe->vocabulary, word + at.start, at.end - at.start);
    }
    if (id < 0) {
        if (spell(bpe, scratch, word, length, at, err) != 0) {
            return -1;
        }
        if (affixed) {
            id = vocabulary_find(&bpe->vocabulary, scratch->spelled.data, scratch->spelled.length);
        }
    }
    if (id >= 0) {
        flush_unknown(bpe, scratch, unknown);
        add_symbol(scratch, id, at);
        return 0;
    }
    if (bpe->byte_fallback && add_fallback(bpe, scratch, at)) {
        return 0; /* an unknown stays waiting, and so ends up after these bytes: as the library has it */
    }
    return bpe->unk_token ? add_unknown(bpe, scratch, unknown, at, err) : 0;
}

/* The id of the whole word as a token; -1: it is none, -2: failure. */
static int32_t whole_word(const struct bpe *bpe, struct bpe_scratch *scratch, const char *word, size_t length,
                          struct err *err)
{
    if (!bpe->byte_level) {
        return vocabulary_find(&bpe->vocabulary, word, length);
    }
    strbuf_clear(&scratch->spelled);
    for (size_t i = 0; i < length; i++) {
        strbuf_put_utf8(&scratch->spelled, byte_character((unsigned char)word[i]));
    }
    if (strbuf_check(&scratch->spelled, err) != 0) {
        return -2;
    }
    return vocabulary_find(&bpe->vocabulary, scratch->spelled.data, scratch->spelled.length);
}

int bpe_encode(const struct bpe *bpe, struct bpe_scratch *scratch, const char *word, size_t length, struct err *err)
{
    assert(length > 0);
    scratch->count = 0;
    if (reserve(bpe, scratch, length, err) != 0) {
        return -1;
    }
    if (bpe->ignore_merges) {
        int32_t id = whole_word(bpe, scratch, word, length, err);
        if (id >= 0) {
            add_symbol(scratch, id, (struct span){0, (uint32_t)length});
        }
        if (id != -1) {
            return id < 0 ? -1 : 0;
        }
    }
    struct unknown unknown = {0};
    for (size_t start = 0, end; start < length; start = end) {
        end = bpe->byte_level ? start + 1 : start + utf8_size(word[start]);
        struct span at = {(uint32_t)start, (uint32_t)end};
        if (add_character(bpe, scratch, word, length, at, &unknown, err) != 0) {
            return -1;
        }
    }
    flush_unknown(bpe, scratch, &unknown);
    if (scratch->count > FEW) {
        merge_many(bpe, scratch);
    } else if (scratch->count > 1) {
        merge_few(bpe, scratch);
    }
    return 0;
}

void bpe_scratch_free(struct bpe_scratch *scratch)
{
    mem_free(scratch->symbols);
    mem_free(scratch->queue);
    strbuf_free(&scratch->spelled);
    *scratch = (struct bpe_scratch){0};
}
