/*
 * ppo/episode.h - what an iteration samples: an episode is one answer to one prompt, and its numbers by token.
 *
 * Answers lie in order of prompt, then sample: group_size answers to a prompt are neighbours. Their numbers by token
 * lie end to end without padding, so an answer's length is its mask, and answer `i` has elements first .. first +
 * length - 1 of every array by token. The end token of an answer that stopped is its last token.
 *
 * Who sets what: the rollout makes answers with tokens and log-probabilities, the scorer the scores, the critic the
 * values, ppo/advantage.h the rest.
 */
#ifndef ATTUNE_PPO_EPISODE_H
#define ATTUNE_PPO_EPISODE_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct episode {
    int64_t prompt; /* number within the iteration */
    int64_t sample; /* 0 .. group_size - 1 */
    int64_t first;  /* of its numbers by token */
    int64_t length; /* tokens, >= 1 */
    bool stopped;   /* it ended with an end token, and was not cut at response_length */
    double score;   /* as the reward model or program gave it */
};

struct episodes {
    struct episode *items; /* [capacity] */
    int64_t count, capacity;
    int64_t group_size;                  /* answers to one prompt; count is a multiple of it */
    int64_t token_count, token_capacity; /* of every array below */

    int32_t *tokens;
    float *sampled_logprobs;                  /* kept from decoding */
    float *old_logprobs, *reference_logprobs; /* of training-path forwards, at the recipe's temperature */
    float *values;                            /* of the critic where the token is chosen; zeros without one */
    double *rewards;                          /* -kl_coef * KL, the last one plus the score */
    double *advantages, *returns;
};

/* Host memory for so many answers and tokens. Free with episodes_free(). */
int episodes_create(struct episodes *episodes, int64_t answers, int64_t tokens, int64_t group_size, struct err *err);
void episodes_free(struct episodes *episodes);
/* The bytes that episodes_create() takes, for the memory plan. */
int64_t episodes_size(int64_t answers, int64_t tokens);

/* Forgets all answers. */
void episodes_clear(struct episodes *episodes);
/*
 * The next answer: its tokens are copied, its other numbers are zeros. More than there is room for is a bug.
 */
struct episode *episodes_append(struct episodes *episodes, const int32_t *tokens, int64_t length, bool stopped);

#endif
