#include "base/random.h"

#include <assert.h>
#include <math.h>

__extension__ typedef unsigned __int128 uint128;

/* The multipliers and Weyl constants of Philox4x32 (SC 2011, table 2 and section 4.3; Random123 philox.h). */
#define PHILOX_MULTIPLIER_0 0xD2511F53u
#define PHILOX_MULTIPLIER_1 0xCD9E8D57u
#define PHILOX_WEYL_0       0x9E3779B9u
#define PHILOX_WEYL_1       0xBB67AE85u
#define PHILOX_ROUNDS       10

void random_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t x0 = counter[0], x1 = counter[1], x2 = counter[2], x3 = counter[3];
    uint32_t key0 = key[0], key1 = key[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t product0 = (uint64_t)PHILOX_MULTIPLIER_0 * x0;
        uint64_t product1 = (uint64_t)PHILOX_MULTIPLIER_1 * x2;
        x0 = (uint32_t)(product1 >> 32) ^ x1 ^ key0;
        x2 = (uint32_t)(product0 >> 32) ^ x3 ^ key1;
        x1 = (uint32_t)product1;
        x3 = (uint32_t)product0;
        key0 += PHILOX_WEYL_0;
        key1 += PHILOX_WEYL_1;
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

void random_key(uint32_t key[2], uint64_t seed, uint32_t purpose)
{
    /* The finaliser of SplitMix64: one to one for a given purpose, so two seeds never share a key. */
    uint64_t mixed = seed + (uint64_t)purpose * 0x9E3779B97F4A7C15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
    mixed ^= mixed >> 31;
    key[0] = (uint32_t)mixed;
    key[1] = (uint32_t)(mixed >> 32);
}

void random_block(uint32_t out[4], uint64_t seed, uint32_t purpose, uint64_t a, uint64_t b)
{
    uint32_t key[2];
    random_key(key, seed, purpose);
    const uint32_t counter[4] = {(uint32_t)a, (uint32_t)(a >> 32), (uint32_t)b, (uint32_t)(b >> 32)};
    random_philox(out, counter, key);
}

static uint64_t join_words(uint32_t low, uint32_t high)
{
    return (uint64_t)high << 32 | low;
}

/* The upper 53 bits as a multiple of 2^-53. */
static double unit_interval(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

uint64_t random_u64(uint64_t seed, uint32_t purpose, uint64_t a, uint64_t b)
{
    uint32_t words[4];
    random_block(words, seed, purpose, a, b);
    return join_words(words[0], words[1]);
}

double random_uniform(uint64_t seed, uint32_t purpose, uint64_t a, uint64_t b)
{
    return unit_interval(random_u64(seed, purpose, a, b));
}

double random_normal(uint64_t seed, uint32_t purpose, uint64_t a, uint64_t b)
{
    const double two_pi = 6.283185307179586476925;
    uint32_t words[4];
    random_block(words, seed, purpose, a, b);
    double radius = 1.0 - unit_interval(join_words(words[0], words[1])); /* in (0, 1], where the logarithm is finite */
    double angle = unit_interval(join_words(words[2], words[3]));
    return sqrt(-2.0 * log(radius)) * cos(two_pi * angle);
}

void random_permutation(int64_t *order, size_t count, uint64_t seed, uint32_t purpose, uint64_t a)
{
    assert(order || count == 0);
    for (size_t i = 0; i < count; i++) {
        order[i] = (int64_t)i;
    }
    for (size_t i = count; i > 1; i--) {
        /* The upper half of the product is uniform over 0..i-1, but for a bias below i / 2^64. */
        size_t chosen = (size_t)(((uint128)random_u64(seed, purpose, a, i - 1) * i) >> 64);
        int64_t moved = order[i - 1];
        order[i - 1] = order[chosen];
        order[chosen] = moved;
    }
}
