/*
 * base/random.h - counter-based random numbers: a value is a function of its key, never of what was drawn before.
 *
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). The key is (seed, purpose),
 * the counter is (a, b), for example (record, position): so a sample does not depend on its batch mates, and a resumed
 * run draws what the unbroken one would have drawn.
 */
#ifndef ATTUNE_BASE_RANDOM_H
#define ATTUNE_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

enum random_purpose {
    RANDOM_INIT = 1,    /* fresh weights: a = tensor number, b = element */
    RANDOM_SHUFFLE = 2, /* order of the examples: a = epoch */
    RANDOM_DROPOUT = 3,
    RANDOM_SAMPLE = 4, /* tokens drawn in generation: a = record and answer, b = position */
    RANDOM_SPLIT = 5,
    RANDOM_MIX = 6,
    RANDOM_LABEL = 7, /* order of answers shown to labelers */
};

/* The generator itself: ten rounds of Philox4x32 on a counter and a key, least significant words first. */
void random_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);
/* The key of (seed, purpose); with the counter {a low, a high, b low, b high} a device draws what the functions below
 * draw. */
void random_key(uint32_t key[2], uint64_t seed, uint32_t purpose);

/* Four independent 32-bit words for the counter (a, b). */
void random_block(uint32_t out[4], uint64_t seed, uint32_t purpose, uint64_t a, uint64_t b);
uint64_t random_u64(uint64_t seed, uint32_t purpose, uint64_t a, uint64_t b);
/* Uniform in [0, 1), 53 bits. */
double random_uniform(uint64_t seed, uint32_t purpose, uint64_t a, uint64_t b);
/* Standard normal (Box-Muller). */
double random_normal(uint64_t seed, uint32_t purpose, uint64_t a, uint64_t b);
/* A permutation of 0..count-1 (Fisher-Yates), for (seed, purpose, a). */
void random_permutation(int64_t *order, size_t count, uint64_t seed, uint32_t purpose, uint64_t a);

#endif
