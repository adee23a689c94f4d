/*
 * Text to tokens: added tokens are cut out, what lies between is normalized, cut into words, and each word encoded.
 */
#include "base/mem.h"
#include "base/minmax.h"
#include "base/utf8.h"
#include "text/tokenizer/internal.h"
#include <assert.h>
#include <string.h>

/* One call's memory. */
struct encoder {
    const struct tokenizer *tokenizer;
    bool offsets; /* starts and ends are wanted */
    bool tracked; /* sources are kept through changes of the text */
    struct token_list *out;
    struct normalizer_scratch normalizer;
    struct splitter_scratch splitter;
    struct bpe_scratch model;
};

/* Room for so many tokens more. The arrays have one capacity, which is noted when all three have grown. */
static int reserve(struct token_list *list, size_t more, bool offsets, struct err *err)
{
    size_t need = list->count + more, capacity = list->capacity;
    if (need <= capacity && list->ids && (list->starts || !offsets)) {
        return 0;
    }
    int32_t *ids = mem_grow(list->ids, &capacity, need, sizeof(*ids), err);
    if (!ids) {
        return -1;
    }
    list->ids = ids;
    uint32_t **arrays[] = {&list->starts, &list->ends};
    for (size_t i = 0; offsets && i < 2; i++) {
        size_t old = *arrays[i] ? list->capacity : 0;
        uint32_t *array = mem_grow(*arrays[i], &old, max(need, list->capacity), sizeof(*array), err);
        if (!array) {
            return -1;
        }
        *arrays[i] = array;
        capacity = min(capacity, old);
    }
    list->capacity = capacity;
    return 0;
}

static inline void push(struct encoder *encoder, int32_t id, struct span source)
{
    struct token_list *out = encoder->out;
    out->ids[out->count] = id;
    if (encoder->offsets) {
        out->starts[out->count] = source.start;
        out->ends[out->count] = source.end;
    }
    out->count++;
}

static int push_one(struct encoder *encoder, int32_t id, struct span source, struct err *err)
{
    if (reserve(encoder->out, 1, encoder->offsets, err) != 0) {
        return -1;
    }
    push(encoder, id, source);
    return 0;
}

static void push_cached(struct encoder *encoder, const struct aligned_text *text, size_t start,
                        const struct cached_tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++) {
        size_t end = start + tokens->lengths[i];
        push(encoder, tokens->ids[i], text_source(text, start, end));
        start = end;
    }
}

/* Notes what a word became, where it is short and its tokens are all of it, end to end. */
static void remember(struct encoder *encoder, const struct cached_key *key)
{
    const struct bpe_symbol *symbols = encoder->model.symbols;
    struct cached_tokens tokens = {0};
    uint32_t done = 0;
    for (uint32_t at = 0; at != BPE_NONE; at = symbols[at].next) {
        struct span part = symbols[at].part;
        if (tokens.count == CACHED_TOKENS_MAX || part.start != done) {
            return;
        }
        tokens.ids[tokens.count] = symbols[at].id;
        tokens.lengths[tokens.count++] = (unsigned char)(part.end - part.start);
        done = part.end;
    }
    if (done == key->length) {
        word_cache_store(encoder->tokenizer->cache, key, &tokens);
    }
}

static int encode_word(struct encoder *encoder, const struct aligned_text *text, struct span word, struct err *err)
{
    const struct tokenizer *tokenizer = encoder->tokenizer;
    size_t length = word.end - word.start;
    bool short_word = length <= CACHED_WORD_MAX;
    struct cached_key key;
    if (short_word) {
        struct cached_tokens tokens;
        key = cached_key_of(text->bytes + word.start, length, text->length - word.start);
        if (word_cache_find(tokenizer->cache, &key, &tokens)) {
            if (reserve(encoder->out, CACHED_TOKENS_MAX, encoder->offsets, err) != 0) {
                return -1;
            }
            push_cached(encoder, text, word.start, &tokens);
            return 0;
        }
    }
    if (bpe_encode(&tokenizer->model, &encoder->model, text->bytes + word.start, length, err) != 0 ||
        reserve(encoder->out, encoder->model.count, encoder->offsets, err) != 0) {
        return -1;
    }
    if (encoder->model.count == 0) {
        return 0;
    }
    for (uint32_t at = 0; at != BPE_NONE; at = encoder->model.symbols[at].next) {
        struct span part = encoder->model.symbols[at].part;
        push(encoder, encoder->model.symbols[at].id, text_source(text, word.start + part.start, word.start + part.end));
    }
    if (short_word) {
        remember(encoder, &key);
    }
    return 0;
}

static const char blank[] = BPE_BLANK;

static bool blank_at(const char *text, size_t at, size_t end)
{
    return end - at >= 3 && memcmp(text + at, blank, 3) == 0;
}

/* The next place after `at` where a "▁" follows something else; `end` where there is none. */
static size_t next_blank(const char *text, size_t at, size_t end)
{
    while (blank_at(text, at, end)) {
        at += 3;
    }
    while (at < end) {
        const char *found = memchr(text + at, blank[0], end - at);
        if (!found) {
            return end;
        }
        at = (size_t)(found - text);
        if (blank_at(text, at, end)) {
            return at;
        }
        at++;
    }
    return end;
}

static int encode_words(struct encoder *encoder, const struct aligned_text *text, struct err *err)
{
    const struct span_list *words = &encoder->splitter.words;
    bool breaks = encoder->tokenizer->model.breaks_at_blank;
    for (size_t i = 0; i < words->count; i++) {
        struct span word = words->items[i];
        while (word.start < word.end) {
            size_t end = breaks ? next_blank(text->bytes, word.start, word.end) : word.end;
            if (encode_word(encoder, text, (struct span){word.start, (uint32_t)end}, err) != 0) {
                return -1;
            }
            word.start = (uint32_t)end;
        }
    }
    return 0;
}

static int encode_normalized(struct encoder *encoder, const struct aligned_text *text, size_t start, size_t end,
                             struct err *err)
{
    if (start >= end) {
        return 0;
    }
    struct aligned_text part = text_part(text, start, end);
    if (splitters_apply(&encoder->tokenizer->splitters, &part, encoder->tracked, &encoder->splitter, err) != 0) {
        return -1;
    }
    return encode_words(encoder, &part, err);
}

/* A text without raw added tokens. */
static int encode_plain(struct encoder *encoder, const char *bytes, size_t start, size_t end, struct err *err)
{
    if (start >= end) {
        return 0;
    }
    const struct tokenizer *tokenizer = encoder->tokenizer;
    struct aligned_text text = {bytes + start, end - start, NULL, (uint32_t)start};
    if (normalizers_apply(&tokenizer->normalizers, &text, encoder->tracked, &encoder->normalizer, err) != 0) {
        return -1;
    }
    struct added_walk walk = {&tokenizer->added, &tokenizer->added.normalized, text.bytes, text.length, 0, 0};
    size_t done = 0, from, to;
    int32_t id;
    while (added_next(&walk, &from, &to, &id)) {
        if (encode_normalized(encoder, &text, done, from, err) != 0 ||
            push_one(encoder, id, text_source(&text, from, to), err) != 0) {
            return -1;
        }
        done = to;
    }
    return encode_normalized(encoder, &text, done, text.length, err);
}

static int encode_all(struct encoder *encoder, const char *text, size_t length, bool framed, struct err *err)
{
    const struct tokenizer *tokenizer = encoder->tokenizer;
    for (size_t i = 0; framed && i < tokenizer->front.count; i++) {
        if (push_one(encoder, tokenizer->front.ids[i], (struct span){0, 0}, err) != 0) {
            return -1;
        }
    }
    struct added_walk walk = {&tokenizer->added, &tokenizer->added.raw, text, length, 0, 0};
    size_t done = 0, from, to;
    int32_t id;
    while (added_next(&walk, &from, &to, &id)) {
        if (encode_plain(encoder, text, done, from, err) != 0 ||
            push_one(encoder, id, (struct span){(uint32_t)from, (uint32_t)to}, err) != 0) {
            return -1;
        }
        done = to;
    }
    if (encode_plain(encoder, text, done, length, err) != 0) {
        return -1;
    }
    for (size_t i = 0; framed && i < tokenizer->back.count; i++) {
        if (push_one(encoder, tokenizer->back.ids[i], (struct span){(uint32_t)length, (uint32_t)length}, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* The first byte that is not UTF-8; `length` where all is. */
static size_t first_invalid(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        uint64_t eight;
        while (length - at >= sizeof(eight)) {
            memcpy(&eight, text + at, sizeof(eight));
            if (eight & 0x8080808080808080u) {
                break;
            }
            at += sizeof(eight);
        }
        int code_point = 0;
        size_t size = at < length ? utf8_read(text + at, length - at, &code_point) : 0;
        if (code_point < 0) {
            return at;
        }
        at += size;
    }
    return length;
}

int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length, unsigned flags,
                     struct token_list *out, struct err *err)
{
    assert(tokenizer && out && (text || length == 0));
    bool offsets = flags & TOKENIZER_OFFSETS;
    assert(!offsets || out->count == 0 || out->starts);
    if (length > TOKENIZER_TEXT_MAX) {
        return err_set(err, "a text of %zu bytes is too long for the tokenizer, which takes %zu; split the text",
                       length, TOKENIZER_TEXT_MAX);
    }
    size_t invalid = first_invalid(text, length);
    if (invalid < length) {
        return err_set(err, "the text is not UTF-8: byte %zu is 0x%02X; convert it, or leave the record out", invalid,
                       (unsigned)(unsigned char)text[invalid]);
    }
    struct encoder encoder = {.tokenizer = tokenizer,
                              .offsets = offsets,
                              .tracked = offsets || tokenizer->splitters.wants_origin,
                              .out = out,
                              .normalizer.pattern.stand_ins = &tokenizer->stand_ins,
                              .splitter.pattern.stand_ins = &tokenizer->stand_ins};
    size_t count = out->count;
    int result = encode_all(&encoder, text, length, flags & TOKENIZER_ADD_SPECIAL, err);
    if (result != 0) {
        out->count = count;
    }
    normalizer_scratch_free(&encoder.normalizer);
    splitter_scratch_free(&encoder.splitter);
    bpe_scratch_free(&encoder.model);
    return result;
}

void token_list_free(struct token_list *list)
{
    mem_free(list->ids);
    mem_free(list->starts);
    mem_free(list->ends);
    *list = (struct token_list){0};
}
