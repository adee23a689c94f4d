/* The parts of text/data/dataset.h that work on loaded examples: sums, and the split by prompts. */
#include "base/hash.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "text/data/dataset.h"
#include "text/data/dataset_arena.h"
#include "text/data/internal.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

void dataset_sum_up(struct dataset *dataset)
{
    dataset->longest = 0;
    dataset->tokens = dataset->trained_tokens = 0;
    for (size_t i = 0; i < dataset->count; i++) {
        const struct example *example = &dataset->examples[i];
        dataset->tokens += example->length;
        dataset->trained_tokens += example->trained_count;
        dataset->longest = max(dataset->longest, example->length);
    }
}

static uint64_t split_key(const struct example *example, uint64_t seed)
{
    return hash_u64(&example->prompt_hash, sizeof example->prompt_hash, seed);
}

static int compare_keys(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Prompts with a key up to *last go to the other side: `share` of the distinct ones. */
static int find_last_key(uint64_t *last, const struct dataset *dataset, double share, uint64_t seed, struct err *err)
{
    uint64_t *keys = mem_alloc(dataset->count, sizeof *keys, err);
    if (!keys) {
        return -1;
    }
    for (size_t i = 0; i < dataset->count; i++) {
        keys[i] = split_key(&dataset->examples[i], seed);
    }
    qsort(keys, dataset->count, sizeof *keys, compare_keys);
    size_t distinct = 0;
    for (size_t i = 0; i < dataset->count; i++) {
        if (i == 0 || keys[i] != keys[i - 1]) {
            keys[distinct++] = keys[i];
        }
    }
    int result = 0;
    if (distinct < 2) {
        result = err_set(err,
                         "the dataset cannot be split: all of its %zu examples have the same prompt; give an "
                         "eval_dataset of its own",
                         dataset->count);
    } else {
        size_t chosen = (size_t)llround(share * (double)distinct);
        chosen = clamp(chosen, 1, distinct - 1);
        *last = keys[chosen - 1];
    }
    mem_free(keys);
    return result;
}

int dataset_split(struct dataset *train, struct dataset **eval, double share, uint64_t seed, struct err *err)
{
    assert(share > 0 && share < 1);
    uint64_t last = 0;
    if (find_last_key(&last, train, share, seed, err) != 0) {
        return -1;
    }
    size_t moved = 0, kept = 0;
    for (size_t i = 0; i < train->count; i++) {
        moved += split_key(&train->examples[i], seed) <= last && train->examples[i].copy == 0;
    }
    struct dataset *other = mem_alloc(1, sizeof *other, err);
    if (!other) {
        return -1;
    }
    other->examples = mem_alloc(moved, sizeof *other->examples, err);
    if (!other->examples) {
        mem_free(other);
        return -1;
    }
    for (size_t i = 0; i < train->source_count; i++) {
        train->sources[i].examples = 0;
    }
    for (size_t i = 0; i < train->count; i++) {
        const struct example *example = &train->examples[i];
        if (split_key(example, seed) > last) {
            train->sources[example->source].examples++;
            train->examples[kept++] = *example;
        } else if (example->copy == 0) {
            other->examples[other->count++] = *example;
        }
    }
    train->count = kept;
    other->arena = arena_share(train->arena);
    other->alpaca_template = train->alpaca_template;
    other->bytes = other->count * sizeof *other->examples;
    dataset_sum_up(train);
    dataset_sum_up(other);
    *eval = other;
    return 0;
}
