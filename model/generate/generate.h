/*
 * model/generate/generate.h - answers from a model: batched decoding against a KV cache.
 *
 * A request is a prompt and a number of samples; the prompt is computed once for all of them. As many sequences as the
 * cache has room for decode together, and the next request takes the place of a finished one at once. A row depends on
 * itself alone, and random numbers are keyed by (seed, request key, sample, position): what comes out does not depend
 * on what else was in the batch.
 */
#ifndef ATTUNE_MODEL_GENERATE_GENERATE_H
#define ATTUNE_MODEL_GENERATE_GENERATE_H

#include "model/generate/sample.h"
#include "model/pass.h"

struct generator_limits {
    int32_t sequences;  /* decoded at once */
    int32_t samples;    /* the most of one request */
    int32_t max_prompt; /* tokens of the longest prompt */
    int32_t max_new;    /* tokens of the longest answer, the stop token included */
    int32_t max_rank;   /* of overlays; 0: none */
};

struct generate_options {
    struct sample_options sampling;
    int32_t max_new_tokens;     /* 1 .. max_new */
    const int32_t *stop_tokens; /* ended by -1; NULL: none */
    uint64_t seed;
};

struct generate_request {
    const int32_t *prompt;
    int32_t length;  /* 1 .. max_prompt */
    int32_t samples; /* 1 .. samples */
    uint64_t key;    /* names the prompt for random numbers */
};

/* A finished answer; valid during the call. */
struct generated {
    size_t request; /* index in requests */
    int32_t sample;
    const int32_t *ids;    /* with the stop token, where it ended with one */
    const float *logprobs; /* of each token at the sampling temperature */
    int32_t length;
    bool stopped; /* by a stop token, not by max_new_tokens */
};

struct generate_events {
    void *context;
    /* Either may be NULL. Returning other than 0 from `token` ends that answer; from `finished` it ends the run with -1
     * and *err set by it. */
    int (*token)(void *context, size_t request, int32_t sample, int32_t id);
    int (*finished)(void *context, const struct generated *answer, struct err *err);
};

struct generator;

/* Adds what generator_create() will take. */
int generator_plan(struct model *model, const struct generator_limits *limits, struct backend *backend,
                   struct memory_plan *plan, struct err *err);
int generator_create(struct generator **out, struct model *model, const struct generator_limits *limits,
                     struct err *err);
void generator_free(struct generator *generator);
int generator_run(struct generator *generator, const struct overlay *overlay, const struct generate_request *requests,
                  size_t count, const struct generate_options *options, const struct generate_events *events,
                  struct err *err);

#endif
