/*
 * model/arch/config.h - what config.json says about a model, in one struct that steers the one transformer.
 *
 * Both dialects are read: `rope_theta` + `rope_scaling` (with `type` or `rope_type`), and the newer `rope_parameters`.
 * What the transformer here cannot do is an error that names the key, never a silent difference.
 */
#ifndef ATTUNE_MODEL_ARCH_CONFIG_H
#define ATTUNE_MODEL_ARCH_CONFIG_H

#include "backend/backend.h"
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

#define STOP_TOKENS_MAX 16

/* The key of config.json under which a reward model has what its scores are raised by (model/score_head.h). */
#define SCORE_OFFSET_KEY "attune.score_offset"

struct architecture;

enum rope_type { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3 };

struct rope_config {
    enum rope_type type;
    double theta;
    double factor;                            /* linear, llama3 */
    double low_freq_factor, high_freq_factor; /* llama3 */
    double original_max_positions;            /* llama3 */
};

struct model_config {
    char model_type[32];                     /* "llama" */
    const struct architecture *architecture; /* the family of that type (model/arch/arch.h) */
    int32_t vocabulary, hidden, intermediate, layers, heads, kv_heads, head_size;
    int32_t max_positions;
    float norm_epsilon;
    bool tied;           /* the head is the embedding */
    bool attention_bias; /* q, k, v and o have biases */
    bool mlp_bias;
    struct rope_config rope;
    enum dtype dtype; /* of the weights as config.json states it; DTYPE_F32 where it is silent */
    /* Tokens that end an answer: eos of config.json and generation_config.json together; -1 ends the list. */
    int32_t stop_tokens[STOP_TOKENS_MAX + 1];
    int32_t bos_token;   /* -1: none */
    int32_t pad_token;   /* -1: none */
    double score_offset; /* of a reward model's head (model/score_head.h); 0 where the key is missing */
};

/* Reads `folder`/config.json, and generation_config.json where it is there. */
int model_config_read(struct model_config *config, const char *folder, struct err *err);

/* Whether `id` is in a list that -1 ends; NULL: an empty one. */
bool stop_tokens_have(const int32_t *stop_tokens, int32_t id);

/* Whether what stands between embedding and head has the same sizes in both. */
bool model_config_same_shape(const struct model_config *a, const struct model_config *b);

/* frequencies [head_size / 2] for the rope operation: theta^(-2i / head_size), scaled as the type says. In f32 as
 * transformers does. */
void rope_frequencies(const struct model_config *config, float *frequencies);

#endif
