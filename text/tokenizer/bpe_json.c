/* The member "model" of a tokenizer.json. */
#include "base/json.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "base/utf8.h"
#include "text/tokenizer/bpe.h"
#include "text/tokenizer/bytes.h"
#include <stdio.h>
#include <string.h>

/* Merges cost 16 bytes each twice over; the largest list in use has 514 thousand. */
#define MERGES_MAX ((size_t)1 << 23)
#define AFFIX_MAX  64

static const char blank[] = BPE_BLANK;

static int read_type(const json_t *model, const char *where, struct err *err)
{
    const char *type = NULL;
    if (!json_is_object(model)) {
        return err_set(err, "%s: has no \"model\"; a tokenizer.json of Hugging Face's tokenizers is needed", where);
    }
    if (json_get_string(model, "type", &type, where, err) != 0) {
        return -1;
    }
    bool looks_like_bpe = json_object_get(model, "merges") != NULL; /* files before version 0.6 name no type */
    if (type ? strcmp(type, "BPE") != 0 : !looks_like_bpe) {
        return err_set(err,
                       "%s: the tokenizer model is of type %s; only BPE is supported (Llama, Mistral, Qwen, GPT-2 and "
                       "GPT-NeoX have it), so take a model whose tokenizer.json says \"type\": \"BPE\"",
                       where, type ? type : "unknown");
    }
    const json_t *dropout = json_object_get(model, "dropout");
    if (dropout && !json_is_null(dropout) && !(json_is_number(dropout) && json_number_value(dropout) == 0)) {
        return err_set(err, "%s: model.dropout is set, which makes tokens random; set it to null", where);
    }
    return 0;
}

static int read_vocabulary(struct bpe *bpe, const json_t *model, const char *where, struct err *err)
{
    json_t *vocab = json_object_get(model, "vocab");
    if (!json_is_object(vocab)) {
        return err_set(err, "%s: model.vocab must be an object of tokens and their ids", where);
    }
    if (vocabulary_reserve(&bpe->vocabulary, json_object_size(vocab), err) != 0) {
        return err_prefix(err, "%s", where);
    }
    for (void *at = json_object_iter(vocab); at; at = json_object_iter_next(vocab, at)) {
        const json_t *id = json_object_iter_value(at);
        if (!json_is_integer(id)) {
            return err_set(err, "%s: the id of token '%s' in model.vocab is not an integer", where,
                           json_object_iter_key(at));
        }
        const char *token = json_object_iter_key(at);
        if (vocabulary_add(&bpe->vocabulary, token, strlen(token), json_integer_value(id), where, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* The two tokens of a merge: "a b", or ["a", "b"], which allows spaces inside. */
struct pair {
    const char *left, *right;
    size_t left_length, right_length;
};

static int read_pair(struct pair *pair, const json_t *merge, size_t index, const char *where, struct err *err)
{
    if (json_is_string(merge)) {
        const char *text = json_string_value(merge), *end = text + json_string_length(merge);
        const char *space = memchr(text, ' ', (size_t)(end - text));
        if (space && !memchr(space + 1, ' ', (size_t)(end - space - 1))) {
            *pair = (struct pair){text, space + 1, (size_t)(space - text), (size_t)(end - space - 1)};
            return 0;
        }
    } else if (json_is_array(merge) && json_array_size(merge) == 2) {
        const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
        if (json_is_string(left) && json_is_string(right)) {
            *pair = (struct pair){json_string_value(left), json_string_value(right), json_string_length(left),
                                  json_string_length(right)};
            return 0;
        }
    }
    return err_set(err, "%s: model.merges[%zu] is neither two tokens with one space between nor a list of two tokens",
                   where, index);
}

static int32_t need_token(const struct bpe *bpe, const char *text, size_t length, size_t index, const char *where,
                          struct err *err)
{
    int32_t id = vocabulary_find(&bpe->vocabulary, text, length);
    if (id < 0) {
        err_set(err, "%s: model.merges[%zu] needs the token '%.*s', which is not in model.vocab", where, index,
                (int)(min(length, 100)), text);
    }
    return id;
}

static int add_merge(struct bpe *bpe, const struct pair *pair, size_t index, uint32_t rank, struct strbuf *joined,
                     const char *where, struct err *err)
{
    size_t skipped = bpe->prefix ? strlen(bpe->prefix) : 0;
    if (skipped > pair->right_length) {
        return err_set(err,
                       "%s: the right side of model.merges[%zu] does not begin with continuing_subword_prefix '%s'",
                       where, index, bpe->prefix);
    }
    strbuf_clear(joined);
    strbuf_append(joined, pair->left, pair->left_length);
    strbuf_append(joined, pair->right + skipped, pair->right_length - skipped);
    if (strbuf_check(joined, err) != 0) {
        return -1;
    }
    int32_t left = need_token(bpe, pair->left, pair->left_length, index, where, err);
    int32_t right = left < 0 ? -1 : need_token(bpe, pair->right, pair->right_length, index, where, err);
    int32_t merged = right < 0 ? -1 : need_token(bpe, strbuf_text(joined), joined->length, index, where, err);
    if (merged < 0) {
        return -1;
    }
    /* Of a pair that is listed twice the last one counts. */
    bpe->merges[bpe_merge_slot(bpe, (uint32_t)left, (uint32_t)right)] =
        (struct bpe_merge){(uint32_t)left, (uint32_t)right, rank, (uint32_t)merged + 1};
    size_t size = sizeof(blank) - 1;
    if (pair->right_length >= size && memcmp(pair->right, blank, size) == 0 &&
        (pair->left_length < size || memcmp(pair->left + pair->left_length - size, blank, size) != 0)) {
        bpe->breaks_at_blank = false;
    }
    return 0;
}

static int read_merges(struct bpe *bpe, const json_t *model, const char *where, struct err *err)
{
    const json_t *merges = json_object_get(model, "merges");
    size_t count = json_array_size(merges), slots = 16;
    if (!json_is_array(merges) || count > MERGES_MAX) {
        return err_set(err, "%s: model.merges must be a list of at most %zu merges", where, MERGES_MAX);
    }
    while (slots < count + count / 2) {
        slots *= 2;
    }
    bpe->merges = mem_alloc(slots, sizeof(*bpe->merges), err);
    if (!bpe->merges) {
        return -1;
    }
    bpe->merge_mask = slots - 1;
    struct strbuf joined = {0};
    int result = 0;
    uint32_t rank = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        const json_t *merge = json_array_get(merges, i);
        if (json_is_string(merge) && strncmp(json_string_value(merge), "#version", 8) == 0) {
            continue; /* the first line of a merges.txt, kept by some converters */
        }
        struct pair pair = {0};
        result = read_pair(&pair, merge, i, where, err);
        if (result == 0) {
            result = add_merge(bpe, &pair, i, rank++, &joined, where, err);
        }
    }
    strbuf_free(&joined);
    return result;
}

static int read_affix(char **out, const json_t *model, const char *key, const char *where, struct err *err)
{
    const char *text = NULL;
    if (json_get_string(model, key, &text, where, err) != 0) {
        return -1;
    }
    if (!text || !*text) {
        return 0;
    }
    if (strlen(text) > AFFIX_MAX) {
        return err_set(err, "%s: model.%s is longer than %d bytes", where, key, AFFIX_MAX);
    }
    *out = mem_copy_string(text, strlen(text), err);
    return *out ? 0 : -1;
}

static int read_options(struct bpe *bpe, const json_t *model, const char *where, struct err *err)
{
    const char *unk = NULL;
    if (json_get_bool(model, "ignore_merges", &bpe->ignore_merges, where, err) != 0 ||
        json_get_bool(model, "fuse_unk", &bpe->fuse_unk, where, err) != 0 ||
        json_get_bool(model, "byte_fallback", &bpe->byte_fallback, where, err) != 0 ||
        json_get_string(model, "unk_token", &unk, where, err) != 0 ||
        read_affix(&bpe->prefix, model, "continuing_subword_prefix", where, err) != 0 ||
        read_affix(&bpe->suffix, model, "end_of_word_suffix", where, err) != 0) {
        return err_prefix(err, "in \"model\"");
    }
    bpe->unk_id = -1;
    if (unk) {
        bpe->unk_token = mem_copy_string(unk, strlen(unk), err);
        bpe->unk_id = vocabulary_find(&bpe->vocabulary, unk, strlen(unk));
        return bpe->unk_token ? 0 : -1;
    }
    return 0;
}

int bpe_from_json(struct bpe *bpe, const json_t *model, const char *where, struct err *err)
{
    if (read_type(model, where, err) != 0 || read_vocabulary(bpe, model, where, err) != 0 ||
        read_options(bpe, model, where, err) != 0) {
        return -1;
    }
    bool all_bytes = true;
    for (int byte = 0; byte < 256; byte++) {
        char name[8], character = (char)byte;
        snprintf(name, sizeof(name), "<0x%02X>", (unsigned)byte);
        bpe->fallback[byte] = vocabulary_find(&bpe->vocabulary, name, strlen(name));
        bpe->character[byte] = byte < 0x80 ? vocabulary_find(&bpe->vocabulary, &character, 1) : -1;
        all_bytes = all_bytes && bpe->fallback[byte] >= 0;
    }
    /* A character that is left out lets those beside it merge, so every one must leave something. */
    bool none_left_out = bpe->unk_token || (bpe->byte_fallback && all_bytes);
    bpe->breaks_at_blank = none_left_out && !bpe->ignore_merges && !bpe->prefix && !bpe->suffix &&
                           vocabulary_find(&bpe->vocabulary, blank, sizeof(blank) - 1) >= 0;
    return read_merges(bpe, model, where, err);
}

void bpe_set_byte_level(struct bpe *bpe)
{
    bpe->byte_level = true;
    bpe->breaks_at_blank = false;
    for (int byte = 0; byte < 256; byte++) {
        char spelled[4];
        size_t length = utf8_write(spelled, byte_character((unsigned char)byte));
        bpe->character[byte] = vocabulary_find(&bpe->vocabulary, spelled, length);
    }
}

void bpe_free(struct bpe *bpe)
{
    vocabulary_free(&bpe->vocabulary);
    mem_free(bpe->merges);
    mem_free(bpe->unk_token);
    mem_free(bpe->prefix);
    mem_free(bpe->suffix);
    *bpe = (struct bpe){0};
}
