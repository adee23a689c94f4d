/*
 * ppo/rollout.h - answers from the policy as it is, and what every role makes of them.
 *
 * Random numbers are keyed by (seed, prompt's key, sample, position): the same seed gives the same answers whatever is
 * decoded beside them. Answers are cut after the first stop token, which is kept.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_PPO_ROLLOUT_H
#define ATTUNE_PPO_ROLLOUT_H

#include "ppo/internal.h"

/* What the generator must have room for. */
struct generator_limits rollout_limits(const struct ppo_data *data, int32_t max_rank);

/* Host memory that rollout_sample() takes beside the episodes. */
size_t rollout_size(int64_t answers, int64_t max_new_tokens);

/* group_size answers to each prompt, in their order, with the log-probabilities of decoding. */
int rollout_sample(struct ppo_parts *parts, const struct ppo_asked *asked, int32_t max_new_tokens,
                   struct episodes *episodes, struct err *err);

/* What the answers look like before the update; means over answers. */
struct rollout_summary {
    double entropy;              /* nats an answer: -sum of log-probabilities */
    double reference_perplexity; /* exp of the mean negative log-probability of a token */
    double decode_drift;         /* largest difference between decoding's log-probability and the forward's */
    double token_kl;             /* mean of log p - log p_reference over tokens */
    int64_t tokens;              /* that went through the model */
};

/* Log-probabilities of policy and reference, and the critic's values, by training-path forwards. */
int rollout_measure(struct ppo_parts *parts, const struct prompt *const *prompts, struct episodes *episodes,
                    struct rollout_summary *summary, struct err *err);

#endif
