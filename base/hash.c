#include "base/hash.h"

#include <stdio.h>
#include <xxhash.h>

struct hash hash_bytes(const void *bytes, size_t size)
{
    XXH128_hash_t value = XXH3_128bits(bytes, size);
    return (struct hash){.high = value.high64, .low = value.low64};
}

uint64_t hash_u64(const void *bytes, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, size, seed);
}

void hash_text(char out[HASH_TEXT_SIZE], struct hash hash)
{
    snprintf(out, HASH_TEXT_SIZE, "%016llx%016llx", (unsigned long long)hash.high, (unsigned long long)hash.low);
}
