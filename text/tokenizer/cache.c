#include "text/tokenizer/cache.h"

#include "base/mem.h"
#include <stdatomic.h>
#include <string.h>

/* Four megabytes: nine tenths of the words of a long text are found again. */
#define SLOTS ((size_t)1 << 16)

struct cache_slot {
    _Atomic uint64_t head; /* sequence << 32 | bytes of the word; 0 bytes: empty */
    _Atomic uint64_t key[3];
    _Atomic uint64_t ids[3];  /* two in each */
    _Atomic uint64_t lengths; /* byte i: of token i; byte 6: count */
};

struct word_cache {
    struct cache_slot *slots; /* at a multiple of their size in `memory` */
    void *memory;
};

int word_cache_create(struct word_cache **out, struct err *err)
{
    struct word_cache *cache = mem_alloc(1, sizeof(*cache), err);
    if (!cache) {
        return -1;
    }
    cache->memory = mem_alloc(SLOTS + 1, sizeof(struct cache_slot), err);
    if (!cache->memory) {
        mem_free(cache);
        return -1;
    }
    uintptr_t address = (uintptr_t)cache->memory;
    size_t skipped = (sizeof(struct cache_slot) - address % sizeof(struct cache_slot)) % sizeof(struct cache_slot);
    cache->slots = (struct cache_slot *)(void *)((char *)cache->memory + skipped);
    *out = cache;
    return 0;
}

void word_cache_free(struct word_cache *cache)
{
    if (cache) {
        mem_free(cache->memory);
        mem_free(cache);
    }
}

/* Bytes 8 * part .. of a word in a register, zeros after its end. */
static inline uint64_t load_part(const char *word, size_t length, unsigned part)
{
    uint64_t bytes;
    memcpy(&bytes, word + 8 * part, sizeof(bytes));
    size_t kept = length > 8 * part ? length - 8 * part : 0;
    uint64_t mask = kept >= 8 ? UINT64_MAX : ((uint64_t)1 << (8 * kept)) - 1;
    return bytes & mask;
}

struct cached_key cached_key_of(const char *word, size_t length, size_t readable)
{
    char padded[CACHED_WORD_MAX] = {0};
    if (readable < CACHED_WORD_MAX) {
        memcpy(padded, word, length);
        word = padded;
    }
    struct cached_key key = {load_part(word, length, 0), load_part(word, length, 1), load_part(word, length, 2), 0,
                             (uint32_t)length};
    uint64_t hash = (key.first ^ key.second * 0xC2B2AE3D27D4EB4Fu ^ key.third * 0x165667B19E3779F9u);
    hash = (hash ^ hash >> 32) * 0x9E3779B97F4A7C15u;
    key.hash = hash ^ hash >> 29;
    return key;
}

/* The two slots of a word are neighbours. */
static struct cache_slot *slot_of(const struct word_cache *cache, const struct cached_key *key, unsigned which)
{
    return &cache->slots[(key->hash ^ which) % SLOTS];
}

/*
 * Everything is read with acquire and written with release order: a reader that got anything of a later write sees,
 * when it looks at the head again, at least the head that this write began with.
 */
static bool read_slot(struct cache_slot *slot, const struct cached_key *key, struct cached_tokens *out)
{
    uint64_t head = atomic_load_explicit(&slot->head, memory_order_acquire);
    if ((uint32_t)head != key->length || (head >> 32 & 1) ||
        atomic_load_explicit(&slot->key[0], memory_order_acquire) != key->first ||
        atomic_load_explicit(&slot->key[1], memory_order_acquire) != key->second ||
        atomic_load_explicit(&slot->key[2], memory_order_acquire) != key->third) {
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        uint64_t pair = atomic_load_explicit(&slot->ids[i], memory_order_acquire);
        out->ids[2 * i] = (int32_t)(uint32_t)pair;
        out->ids[2 * i + 1] = (int32_t)(pair >> 32);
    }
    uint64_t lengths = atomic_load_explicit(&slot->lengths, memory_order_acquire);
    for (size_t i = 0; i < CACHED_TOKENS_MAX; i++) {
        out->lengths[i] = (unsigned char)(lengths >> (8 * i));
    }
    out->count = (unsigned char)(lengths >> 48);
    return atomic_load_explicit(&slot->head, memory_order_relaxed) == head;
}

bool word_cache_find(const struct word_cache *cache, const struct cached_key *key, struct cached_tokens *out)
{
    return read_slot(slot_of(cache, key, 0), key, out) || read_slot(slot_of(cache, key, 1), key, out);
}

static void write_slot(struct cache_slot *slot, const struct cached_key *key, const struct cached_tokens *tokens)
{
    uint64_t head = atomic_load_explicit(&slot->head, memory_order_relaxed);
    uint64_t sequence = head >> 32;
    if ((sequence & 1) || !atomic_compare_exchange_strong_explicit(&slot->head, &head, (sequence + 1) << 32,
                                                                   memory_order_acquire, memory_order_relaxed)) {
        return; /* another thread writes here; the word is found next time */
    }
    atomic_store_explicit(&slot->key[0], key->first, memory_order_release);
    atomic_store_explicit(&slot->key[1], key->second, memory_order_release);
    atomic_store_explicit(&slot->key[2], key->third, memory_order_release);
    for (size_t i = 0; i < 3; i++) {
        uint64_t pair = (uint32_t)tokens->ids[2 * i] | (uint64_t)(uint32_t)tokens->ids[2 * i + 1] << 32;
        atomic_store_explicit(&slot->ids[i], pair, memory_order_release);
    }
    uint64_t lengths = (uint64_t)tokens->count << 48;
    for (size_t i = 0; i < CACHED_TOKENS_MAX; i++) {
        lengths |= (uint64_t)tokens->lengths[i] << (8 * i);
    }
    atomic_store_explicit(&slot->lengths, lengths, memory_order_release);
    atomic_store_explicit(&slot->head, (sequence + 2) << 32 | key->length, memory_order_release);
}

void word_cache_store(struct word_cache *cache, const struct cached_key *key, const struct cached_tokens *tokens)
{
    /* An empty one of the two, else one that a bit of the hash picks. */
    unsigned which = (unsigned)(key->hash >> 63);
    for (unsigned i = 0; i < 2; i++) {
        if ((uint32_t)atomic_load_explicit(&slot_of(cache, key, i)->head, memory_order_relaxed) == 0) {
            which = i;
            break;
        }
    }
    write_slot(slot_of(cache, key, which), key, tokens);
}
