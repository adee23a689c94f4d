/*
 * model/generate/sample.h - one token from one row of logits.
 *
 * The filters are applied in transformers' order: repetition penalty (Keskar et al. 2019, section 4.1), temperature,
 * top-k, top-p (Holtzman et al. 2020). The draw is one uniform number by inverse transform in the order of token ids,
 * so the same logits and number give the same token.
 */
#ifndef ATTUNE_MODEL_GENERATE_SAMPLE_H
#define ATTUNE_MODEL_GENERATE_SAMPLE_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

struct sample_options {
    float temperature;        /* 0: the most likely token, always */
    int32_t top_k;            /* 0: all */
    float top_p;              /* 1: all */
    float repetition_penalty; /* 1: none */
};

struct sampler {
    int32_t vocabulary;
    float *scaled;  /* [vocabulary] logits after penalty and temperature */
    float *weights; /* [vocabulary] exp(scaled - the largest) */
    double *sums;   /* of weights, by blocks */
    int32_t *order; /* [vocabulary] candidates */
    uint8_t *seen;  /* [vocabulary] marks for the repetition penalty */
};

int sampler_create(struct sampler *sampler, int32_t vocabulary, struct err *err);
/* Bytes that sampler_create() takes. */
size_t sampler_size(int32_t vocabulary);
void sampler_free(struct sampler *sampler);

/*
 * A token for `logits` [vocabulary]; history: the ids so far, for the repetition penalty; uniform in [0, 1). *logprob
 * (or NULL) is its log-probability at this temperature (1 where it is 0), before top-k and top-p.
 */
int32_t sampler_draw(struct sampler *sampler, const float *logits, const struct sample_options *options,
                     const int32_t *history, int32_t history_length, double uniform, float *logprob);

#endif
