/* model/sample.c - see sample.h. */
#include "model/sample.h"
#include "base/mem.h"
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int sampler_create(struct sampler *sampler, int32_t vocabulary, struct err *err)
{
    assert(vocabulary > 0);
    size_t count = (size_t)vocabulary;
    *sampler = (struct sampler){.vocabulary = vocabulary};
    sampler->scaled = mem_alloc(count, sizeof *sampler->scaled, err);
    sampler->order = mem_alloc(count, sizeof *sampler->order, err);
    sampler->seen = mem_alloc(count, sizeof *sampler->seen, err);
    if (!sampler->scaled || !sampler->order || !sampler->seen) {
        sampler_free(sampler);
        return -1;
    }
    return 0;
}

void sampler_free(struct sampler *sampler)
{
    mem_free(sampler->scaled);
    mem_free(sampler->order);
    mem_free(sampler->seen);
    *sampler = (struct sampler){0};
}

static void penalise(struct sampler *sampler, float penalty, const int32_t *history, int32_t length)
{
    for (int32_t i = 0; i < length; i++) {
        int32_t id = history[i];
        if (sampler->seen[id])
            continue;
        sampler->seen[id] = 1;
        sampler->scaled[id] *= sampler->scaled[id] > 0 ? 1 / penalty : penalty;
    }
    for (int32_t i = 0; i < length; i++)
        sampler->seen[history[i]] = 0;
}

static int32_t largest(const float *values, int32_t count)
{
    int32_t best = 0;
    for (int32_t i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

/* log of the sum of exp(scaled), about the largest value. */
static double log_sum(const struct sampler *sampler, float top)
{
    double sum = 0;
    for (int32_t i = 0; i < sampler->vocabulary; i++)
        sum += (double)expf(sampler->scaled[i] - top);
    return (double)top + log(sum);
}

/* Larger logit first, then smaller id. */
static int compare_candidates(const void *a, const void *b, void *scaled)
{
    const float *values = scaled;
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    if (values[x] != values[y])
        return values[x] > values[y] ? -1 : 1;
    return x < y ? -1 : 1;
}

static int compare_ids(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

/* Candidates that top-k and top-p leave, in order[0 .. count - 1], sorted by id. */
static int32_t filter(struct sampler *sampler, const struct sample_options *options, float top)
{
    int32_t count = sampler->vocabulary;
    for (int32_t i = 0; i < count; i++)
        sampler->order[i] = i;
    qsort_r(sampler->order, (size_t)count, sizeof *sampler->order, compare_candidates, sampler->scaled);
    if (options->top_k > 0 && options->top_k < count) {
        float least =
            sampler->scaled[sampler->order[options->top_k - 1]]; /* equals of the k-th stay, as in transformers */
        int32_t kept = options->top_k;
        while (kept < count && sampler->scaled[sampler->order[kept]] == least)
            kept++;
        count = kept;
    }
    if (options->top_p < 1) {
        double total = 0, sum = 0;
        for (int32_t i = 0; i < count; i++)
            total += (double)expf(sampler->scaled[sampler->order[i]] - top);
        int32_t kept = 0;
        while (kept < count && sum < (double)options->top_p * total)
            sum += (double)expf(sampler->scaled[sampler->order[kept++]] - top);
        count = kept > 0 ? kept : 1;
    }
    qsort(sampler->order, (size_t)count, sizeof *sampler->order, compare_ids);
    return count;
}

static int32_t draw_all(const struct sampler *sampler, double uniform, float top, double log_total)
{
    double target = uniform * exp(log_total - (double)top), sum = 0;
    int32_t last = 0;
    for (int32_t i = 0; i < sampler->vocabulary; i++) {
        float weight = expf(sampler->scaled[i] - top);
        if (weight > 0)
            last = i;
        sum += (double)weight;
        if (sum > target)
            return i;
    }
    return last; /* rounding at the very end */
}

static int32_t draw_filtered(struct sampler *sampler, const struct sample_options *options, double uniform, float top)
{
    int32_t count = filter(sampler, options, top);
    double total = 0, sum = 0;
    for (int32_t i = 0; i < count; i++)
        total += (double)expf(sampler->scaled[sampler->order[i]] - top);
    for (int32_t i = 0; i < count; i++) {
        sum += (double)expf(sampler->scaled[sampler->order[i]] - top);
        if (sum > uniform * total)
            return sampler->order[i];
    }
    return sampler->order[count - 1];
}

int32_t sampler_draw(struct sampler *sampler, const float *logits, const struct sample_options *options,
                     const int32_t *history, int32_t history_length, double uniform, float *logprob)
{
    bool greedy = options->temperature <= 0;
    float inverse = greedy ? 1 : 1 / options->temperature;
    memcpy(sampler->scaled, logits, (size_t)sampler->vocabulary * sizeof *logits);
    if (options->repetition_penalty != 1)
        penalise(sampler, options->repetition_penalty, history, history_length);
    for (int32_t i = 0; inverse != 1 && i < sampler->vocabulary; i++)
        sampler->scaled[i] *= inverse;
    int32_t best = largest(sampler->scaled, sampler->vocabulary), token = best;
    float top = sampler->scaled[best];
    bool filtered = options->top_k > 0 || options->top_p < 1;
    double log_total = logprob || (!greedy && !filtered) ? log_sum(sampler, top) : 0;
    if (!greedy)
        token = filtered ? draw_filtered(sampler, options, uniform, top) : draw_all(sampler, uniform, top, log_total);
    if (logprob)
        *logprob = (float)((double)sampler->scaled[token] - log_total);
    return token;
}
