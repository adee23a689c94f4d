#include "text/tokenizer/vocabulary.h"

#include "base/hash.h"
#include "base/mem.h"
#include <string.h>

/* All tokens together: 64 bytes for each of the most tokens there can be. */
#define TEXT_MAX ((size_t)VOCABULARY_IDS_MAX * 64)

static size_t slot_of(const struct vocabulary *vocabulary, const char *text, size_t length)
{
    size_t slot = (size_t)hash_u64(text, length, 0) & vocabulary->slot_mask;
    while (vocabulary->slots[slot] != 0) {
        const struct vocabulary_token *token = &vocabulary->tokens[vocabulary->slots[slot] - 1];
        if (token->length == length && memcmp(vocabulary->text + token->offset, text, length) == 0) {
            break;
        }
        slot = (slot + 1) & vocabulary->slot_mask;
    }
    return slot;
}

/* Slots are at most half full. */
static int grow_slots(struct vocabulary *vocabulary, size_t count, struct err *err)
{
    size_t size = 64;
    while (size < 2 * count) {
        size *= 2;
    }
    if (vocabulary->slots && size <= vocabulary->slot_mask + 1) {
        return 0;
    }
    int32_t *slots = mem_alloc(size, sizeof(*slots), err);
    if (!slots) {
        return -1;
    }
    mem_free(vocabulary->slots);
    vocabulary->slots = slots;
    vocabulary->slot_mask = size - 1;
    for (size_t id = 0; id < vocabulary->size; id++) {
        const struct vocabulary_token *token = &vocabulary->tokens[id];
        if (token->offset != 0) {
            slots[slot_of(vocabulary, vocabulary->text + token->offset, token->length)] = (int32_t)id + 1;
        }
    }
    return 0;
}

int vocabulary_reserve(struct vocabulary *vocabulary, size_t count, struct err *err)
{
    if (count > VOCABULARY_IDS_MAX) {
        return err_set(err, "a vocabulary of %zu tokens is more than the %d that are supported", count,
                       VOCABULARY_IDS_MAX);
    }
    return grow_slots(vocabulary, count, err);
}

static int append_text(struct vocabulary *vocabulary, const char *text, size_t length, uint32_t *offset,
                       struct err *err)
{
    size_t start = vocabulary->text_length > 0 ? vocabulary->text_length : 1;
    if (length > TEXT_MAX - start - 1) {
        return err_set(err, "the texts of the tokens are longer than %zu bytes together", TEXT_MAX);
    }
    char *bytes = mem_grow(vocabulary->text, &vocabulary->text_capacity, start + length + 1, 1, err);
    if (!bytes) {
        return -1;
    }
    vocabulary->text = bytes;
    memcpy(bytes + start, text, length);
    bytes[start + length] = '\0';
    vocabulary->text_length = start + length + 1;
    *offset = (uint32_t)start;
    return 0;
}

int vocabulary_add(struct vocabulary *vocabulary, const char *text, size_t length, int64_t id, const char *where,
                   struct err *err)
{
    if (id < 0 || id >= VOCABULARY_IDS_MAX) {
        return err_set(err, "%s: token '%s' has the id %lld; ids run from 0 to %d", where, text, (long long)id,
                       VOCABULARY_IDS_MAX - 1);
    }
    if ((size_t)id < vocabulary->size && vocabulary->tokens[id].offset != 0) {
        return err_set(err, "%s: tokens '%s' and '%s' have the same id %lld; give each its own", where,
                       vocabulary->text + vocabulary->tokens[id].offset, text, (long long)id);
    }
    if (grow_slots(vocabulary, vocabulary->count + 1, err) != 0) {
        return -1;
    }
    size_t slot = slot_of(vocabulary, text, length);
    if (vocabulary->slots[slot] != 0) {
        return err_set(err, "%s: token '%s' is there twice, with the ids %d and %lld", where, text,
                       vocabulary->slots[slot] - 1, (long long)id);
    }
    struct vocabulary_token token = {.length = (uint32_t)length};
    struct vocabulary_token *tokens =
        mem_grow(vocabulary->tokens, &vocabulary->tokens_capacity, (size_t)id + 1, sizeof(*tokens), err);
    if (!tokens) {
        return -1;
    }
    vocabulary->tokens = tokens;
    if (append_text(vocabulary, text, length, &token.offset, err) != 0) {
        return -1;
    }
    tokens[id] = token;
    if ((size_t)id >= vocabulary->size) {
        vocabulary->size = (size_t)id + 1;
    }
    vocabulary->slots[slot] = (int32_t)id + 1;
    vocabulary->count++;
    return 0;
}

int32_t vocabulary_find(const struct vocabulary *vocabulary, const char *text, size_t length)
{
    return vocabulary->slots ? vocabulary->slots[slot_of(vocabulary, text, length)] - 1 : -1;
}

const char *vocabulary_text(const struct vocabulary *vocabulary, int32_t id, size_t *length)
{
    if (id < 0 || (size_t)id >= vocabulary->size || vocabulary->tokens[id].offset == 0) {
        return NULL;
    }
    if (length) {
        *length = vocabulary->tokens[id].length;
    }
    return vocabulary->text + vocabulary->tokens[id].offset;
}

void vocabulary_free(struct vocabulary *vocabulary)
{
    mem_free(vocabulary->text);
    mem_free(vocabulary->tokens);
    mem_free(vocabulary->slots);
    *vocabulary = (struct vocabulary){0};
}
