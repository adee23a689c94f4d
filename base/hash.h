/*
 * base/hash.h - fingerprints of bytes (XXH3, 128 bits, through xxhash): for telling whether two things are the same,
 * not for secrets.
 */
#ifndef ATTUNE_BASE_HASH_H
#define ATTUNE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash {
    uint64_t high, low;
};
#define HASH_TEXT_SIZE 33

struct hash hash_bytes(const void *bytes, size_t size);
/* 64 bits of the same, with a seed: for tables, and for splits by text. */
uint64_t hash_u64(const void *bytes, size_t size, uint64_t seed);
/* 32 hexadecimal digits and a zero. */
void hash_text(char out[HASH_TEXT_SIZE], struct hash hash);

#endif
