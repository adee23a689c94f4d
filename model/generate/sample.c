/* model/generate/sample.c - see sample.h. */
#include "model/generate/sample.h"
#include "base/mem.h"
#include "base/minmax.h"
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 64 /* weights that are summed by themselves, so that drawing walks the sums */
#define LANES 16

static int32_t block_end(const struct sampler *sampler, int32_t first)
{
    return sampler->vocabulary - first < BLOCK ? sampler->vocabulary : first + BLOCK;
}

int sampler_create(struct sampler *sampler, int32_t vocabulary, struct err *err)
{
    assert(vocabulary > 0);
    size_t count = (size_t)vocabulary;
    *sampler = (struct sampler){.vocabulary = vocabulary};
    sampler->scaled = mem_alloc(count, sizeof *sampler->scaled, err);
    sampler->weights = mem_alloc(count, sizeof *sampler->weights, err);
    sampler->sums = mem_alloc(count / BLOCK + 1, sizeof *sampler->sums, err);
    sampler->order = mem_alloc(count, sizeof *sampler->order, err);
    sampler->seen = mem_alloc(count, sizeof *sampler->seen, err);
    if (!sampler->scaled || !sampler->weights || !sampler->sums || !sampler->order || !sampler->seen) {
        sampler_free(sampler);
        return -1;
    }
    return 0;
}

size_t sampler_size(int32_t vocabulary)
{
    const struct sampler *sampler = NULL;
    size_t by_token =
        sizeof *sampler->scaled + sizeof *sampler->weights + sizeof *sampler->order + sizeof *sampler->seen;
    return (size_t)vocabulary * by_token + ((size_t)vocabulary / BLOCK + 1) * sizeof *sampler->sums;
}

void sampler_free(struct sampler *sampler)
{
    mem_free(sampler->scaled);
    mem_free(sampler->weights);
    mem_free(sampler->sums);
    mem_free(sampler->order);
    mem_free(sampler->seen);
    *sampler = (struct sampler){0};
}

static void penalise(struct sampler *sampler, float penalty, const int32_t *history, int32_t length)
{
    for (int32_t i = 0; i < length; i++) {
        int32_t id = history[i];
        if (sampler->seen[id]) {
            continue;
        }
        sampler->seen[id] = 1;
        sampler->scaled[id] *= sampler->scaled[id] > 0 ? 1 / penalty : penalty;
    }
    for (int32_t i = 0; i < length; i++) {
        sampler->seen[history[i]] = 0;
    }
}

/* The first of the largest. By lanes, so that it is one instruction for many of them. */
static int32_t largest(const float *values, int32_t count)
{
    float most[LANES];
    int32_t whole = count - count % LANES, index = 0;
    for (int lane = 0; lane < LANES; lane++) {
        most[lane] = -INFINITY;
    }
    for (int32_t i = 0; i < whole; i += LANES) {
        for (int lane = 0; lane < LANES; lane++) {
            most[lane] = values[i + lane] > most[lane] ? values[i + lane] : most[lane];
        }
    }
    float top = -INFINITY;
    for (int lane = 0; lane < LANES; lane++) {
        top = most[lane] > top ? most[lane] : top;
    }
    for (int32_t i = whole; i < count; i++) {
        top = values[i] > top ? values[i] : top;
    }
    while (index < count && values[index] != top) {
        index++;
    }
    return index < count ? index : 0; /* no number at all: any will do */
}

/* Sets the weights and their sums; returns the sum of all. */
static double weigh(struct sampler *sampler, float top)
{
    double total = 0;
    for (int32_t first = 0; first < sampler->vocabulary; first += BLOCK) {
        double sums[2] = {0};
        for (int32_t i = first; i < block_end(sampler, first); i++) {
            sampler->weights[i] = expf(sampler->scaled[i] - top);
            sums[i % 2] += (double)sampler->weights[i];
        }
        sampler->sums[first / BLOCK] = sums[0] + sums[1];
        total += sums[0] + sums[1];
    }
    return total;
}

/* Larger logit first, then smaller id. */
static int compare_candidates(const void *a, const void *b, void *scaled)
{
    const float *values = scaled;
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    if (values[x] != values[y]) {
        return values[x] > values[y] ? -1 : 1;
    }
    return x < y ? -1 : 1;
}

static int compare_ids(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

static double weight_of(const struct sampler *sampler, int32_t count)
{
    double sum = 0;
    for (int32_t i = 0; i < count; i++) {
        sum += (double)sampler->weights[sampler->order[i]];
    }
    return sum;
}

/*
 * As many of the likeliest candidates as top-k and top-p may ask for, into order[0 .. count - 1], sorted: those within
 * some distance of the largest, a distance that grows until they are enough. Mostly few of the vocabulary are.
 */
static int32_t likeliest(struct sampler *sampler, const struct sample_options *options, float top, double total)
{
    int32_t count;
    bool enough;
    float width = 4;
    do {
        bool all = width > 1000;
        count = 0;
        for (int32_t i = 0; i < sampler->vocabulary; i++) {
            if (all || sampler->scaled[i] >= top - width) {
                sampler->order[count++] = i;
            }
        }
        enough =
            options->top_k > 0 ? count >= options->top_k : weight_of(sampler, count) >= (double)options->top_p * total;
        enough = enough || all;
        width *= 2;
    } while (!enough);
    qsort_r(sampler->order, (size_t)count, sizeof *sampler->order, compare_candidates, sampler->scaled);
    return count;
}

/* Candidates that top-k and top-p leave, in order[0 .. count - 1], sorted by id. */
static int32_t filter(struct sampler *sampler, const struct sample_options *options, float top, double total)
{
    int32_t count = likeliest(sampler, options, top, total);
    if (options->top_k > 0 && options->top_k < count) {
        float least =
            sampler->scaled[sampler->order[options->top_k - 1]]; /* equals of the k-th stay, as in transformers */
        int32_t kept = options->top_k;
        while (kept < count && sampler->scaled[sampler->order[kept]] == least) {
            kept++;
        }
        count = kept;
    }
    if (options->top_p < 1) {
        double all = options->top_k > 0 ? weight_of(sampler, count) : total, sum = 0;
        int32_t kept = 0;
        while (kept < count && sum < (double)options->top_p * all) {
            sum += (double)sampler->weights[sampler->order[kept++]];
        }
        count = max(kept, 1);
    }
    qsort(sampler->order, (size_t)count, sizeof *sampler->order, compare_ids);
    return count;
}

static int32_t draw_all(const struct sampler *sampler, double uniform, double total)
{
    double target = uniform * total, sum = 0;
    int32_t first = 0, last = sampler->vocabulary - 1;
    while (block_end(sampler, first) < sampler->vocabulary && sum + sampler->sums[first / BLOCK] <= target) {
        sum += sampler->sums[first / BLOCK];
        first += BLOCK;
    }
    for (int32_t i = first; i < sampler->vocabulary; i++) {
        sum += (double)sampler->weights[i];
        if (sum > target) {
            return i;
        }
    }
    while (last > 0 && !(sampler->weights[last] > 0)) {
        last--;
    }
    return last; /* rounding at the very end */
}

static int32_t draw_filtered(struct sampler *sampler, const struct sample_options *options, double uniform, float top,
                             double total)
{
    int32_t count = filter(sampler, options, top, total);
    double target = uniform * weight_of(sampler, count), sum = 0;
    for (int32_t i = 0; i < count; i++) {
        sum += (double)sampler->weights[sampler->order[i]];
        if (sum > target) {
            return sampler->order[i];
        }
    }
    return sampler->order[count - 1];
}

int32_t sampler_draw(struct sampler *sampler, const float *logits, const struct sample_options *options,
                     const int32_t *history, int32_t history_length, double uniform, float *logprob)
{
    bool greedy = options->temperature <= 0;
    float inverse = greedy ? 1 : 1 / options->temperature;
    memcpy(sampler->scaled, logits, (size_t)sampler->vocabulary * sizeof *logits);
    if (options->repetition_penalty != 1) {
        penalise(sampler, options->repetition_penalty, history, history_length);
    }
    for (int32_t i = 0; inverse != 1 && i < sampler->vocabulary; i++) {
        sampler->scaled[i] *= inverse;
    }
    int32_t best = largest(sampler->scaled, sampler->vocabulary), token = best;
    float top = sampler->scaled[best];
    bool filtered = options->top_k > 0 || options->top_p < 1;
    double total = logprob || !greedy ? weigh(sampler, top) : 0;
    if (!greedy) {
        token = filtered ? draw_filtered(sampler, options, uniform, top, total) : draw_all(sampler, uniform, total);
    }
    if (logprob) {
        *logprob = (float)((double)(sampler->scaled[token] - top) - log(total));
    }
    return token;
}
