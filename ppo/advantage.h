/*
 * ppo/advantage.h - from scores and log-probabilities to rewards, advantages and returns.
 *
 * Everything is summed in double, answer by answer and token by token, so it depends on the episodes' order only.
 * Recipe keys have the names of the recipe.
 *
 * Score of an answer: as given, then use_score_norm, then score_clip, then missing_eos_penalty off where it did not
 * stop - so the penalty is felt in full whatever clipping does.
 *
 * Reward of token t:  r_t = -kl_coef * kl_t, and the score is added to the last one. grpo has its KL in the loss
 * (ppo/loss.h), so there the reward is the score alone.
 *
 * gae (Schulman et al. 2016), with V the critic's values and 0 after the last token:
 *     delta_t = r_t + gamma V_{t+1} - V_t,   A_t = delta_t + gamma lam A_{t+1},   R_t = A_t + V_t
 * whiten_rewards brings the rewards to deviation 1 first and leaves their mean; advantages are brought to mean 0 and
 * deviation 1. Both over all tokens of the rollout, with the biased variance: (x - mean) / sqrt(variance + 1e-8).
 *
 * grpo and rloo compare the K answers to a prompt; R is the sum of an answer's rewards, and all its tokens get
 *     grpo   A = (R - mean) / (deviation + 1e-4), mean of the group; deviation of the group or the whole batch, with
 *            Bessel's correction, or no division at all (scale_rewards)
 *     rloo   A = R - mean of the other K - 1
 * as in TRL 1.16. With K = 1 there is nothing to compare: A = 0. Returns are R, and no reward is whitened.
 */
#ifndef ATTUNE_PPO_ADVANTAGE_H
#define ATTUNE_PPO_ADVANTAGE_H

#include "ppo/episode.h"
#include "ppo/recipe.h"

struct advantage_options {
    enum ppo_advantage estimator;
    enum ppo_kl_estimator kl_estimator;
    enum ppo_scale_rewards scale_rewards; /* grpo */
    double gamma, lam;                    /* gae */
    bool whiten_rewards;                  /* gae */
    bool use_score_norm;
    double score_clip; /* 0: none */
    double missing_eos_penalty;
};

/*
 * Mean and deviation of all scores so far (use_score_norm): Chan's update, each batch counted before its own scores are
 * normalised. All of it is part of the run's state. Starts as zeros.
 */
struct score_statistics {
    double count, mean;
    double squares; /* sum of squared distances from the mean */
};

/* What an iteration's answers came to; means over answers. */
struct advantage_summary {
    double score, score_deviation; /* as given (objective/scores) */
    double kl;                     /* sum of the estimates of an answer's tokens, by kl_estimator (objective/kl) */
    double non_score_reward;       /* sum of -kl_coef * kl */
    double rlhf_reward;            /* sum of rewards before whitening */
    double length;                 /* tokens */
    int64_t stopped;               /* answers that ended (val/num_eos_tokens) */
    int64_t groups, equal_groups;  /* prompts, and those whose answers all got the same reward: they teach nothing */
    double advantage_deviation;    /* before whitening */
};

/*
 * Sets rewards, advantages and returns of all episodes, which must be there. `kl_coef` is the controller's.
 * `statistics` is brought up to date with use_score_norm and not looked at otherwise.
 */
void advantage_compute(struct episodes *episodes, const struct advantage_options *options, double kl_coef,
                       struct score_statistics *statistics, struct advantage_summary *summary);

/* Mean of the answers' scores as they will be rewarded in a run's first iteration: what a critic expects that knows
 * nothing else. */
double advantage_mean_score(const struct episodes *episodes, const struct advantage_options *options);

/* 1 - variance(returns - values) / variance(returns): 1 is a perfect critic, 0 one as good as a constant; NaN where the
 * returns are all equal. */
double explained_variance(const struct episodes *episodes);

#endif
