/*
 * ppo/loss.h - what an update minimises, and its slope by token.
 *
 * Policy, for a token with advantage A and ratio rho = exp(log p - log p_old), its exponent clamped:
 *     loss = max(-A rho, -A clip(rho, 1 - cliprange, 1 + epsilon_high))
 *            + kl_coef * kl (grpo only, by kl_estimator, against the reference)
 *            - entropy_coef * entropy
 * times the token's weight, by loss_type:
 *     dapo      1 / tokens of the mini-batch: the masked mean of PPO
 *     grpo      1 / (answers of the mini-batch * tokens of its answer)
 *     dr_grpo   1 / (answers of the mini-batch * response_length)
 *
 * Value (gae only):
 *     loss = vf_coef * 0.5 * max((V - R)^2, (clip(V, V_old - cliprange_value, V_old + cliprange_value) - R)^2)
 * averaged over the tokens of the mini-batch.
 *
 * The denominators are those of the whole mini-batch and known before its first micro-batch, so how it is cut into
 * pieces does not matter:
 *
 *     policy_loss_begin(&loss, &options, episodes, answers, count);
 *     for each answer: policy_loss_add(&loss, answer, logprobs, entropies, dlogprobs, dentropies);
 *     switch (policy_loss_verdict(&loss)) ...
 *
 * rloo in TRL takes one ratio for a whole answer; here every token has its own, as in the other estimators. At ratio 1
 * its gradient is that of dr_grpo up to a constant factor.
 */
#ifndef ATTUNE_PPO_LOSS_H
#define ATTUNE_PPO_LOSS_H

#include "ppo/episode.h"
#include "ppo/recipe.h"

struct policy_loss_options {
    enum ppo_policy_loss loss_type;
    int64_t response_length; /* dr_grpo */
    double cliprange;        /* > 0 */
    double epsilon_high;     /* 0: as cliprange */
    enum ppo_kl_estimator kl_estimator;
    double kl_coef; /* inside the loss; 0: there is none */
    double entropy_coef;
    double target_kl, ratio_threshold; /* 0: there is none */
};

/* Of a mini-batch; sums grow as answers are added. Read it through policy_loss_statistics(). */
struct policy_loss {
    struct policy_loss_options options;
    const struct episodes *episodes;
    int64_t answers, tokens; /* of the whole mini-batch */
    int64_t answers_added, tokens_added;
    double objective, entropy_term, kl_term; /* weighted */
    double ratios, log_ratio_squares, entropies;
    int64_t clipped;
};

/* `answers`: numbers of the mini-batch's answers in `episodes`. */
void policy_loss_begin(struct policy_loss *loss, const struct policy_loss_options *options,
                       const struct episodes *episodes, const int64_t *answers, int64_t count);
/*
 * One answer, with log-probabilities and entropies of the policy as it is now, [length] each. Sets dlogprobs and
 * dentropies to d loss / d of them. Without entropy_coef dentropies is all zeros; entropies (the statistic is then 0)
 * and dentropies may be NULL.
 */
void policy_loss_add(struct policy_loss *loss, int64_t answer, const float *logprobs, const float *entropies,
                     float *dlogprobs, float *dentropies);

/* Means over the tokens that were added. */
struct policy_statistics {
    double loss;      /* the whole of it, weighted */
    double objective; /* without entropy and KL: loss/policy_avg */
    double approx_kl; /* 0.5 (log p - log p_old)^2: policy/approxkl_avg */
    double clip_fraction;
    double ratio;
    double entropy;
};
struct policy_statistics policy_loss_statistics(const struct policy_loss *loss);

/*
 * What to do with the mini-batch's gradient once all of its answers were added: step, leave it out (mean ratio above
 * ratio_threshold), or leave it out and end the iteration's updates (approx_kl above target_kl).
 */
enum update_verdict { UPDATE_STEP, UPDATE_SKIP, UPDATE_STOP };
enum update_verdict policy_loss_verdict(const struct policy_loss *loss);

struct value_loss_options {
    double vf_coef, cliprange_value;
};

struct value_loss {
    struct value_loss_options options;
    const struct episodes *episodes;
    int64_t tokens; /* of the whole mini-batch */
    int64_t tokens_added, clipped;
    double squares; /* sum of the max of squares */
};
void value_loss_begin(struct value_loss *loss, const struct value_loss_options *options,
                      const struct episodes *episodes, const int64_t *answers, int64_t count);
/* Sets dvalues to d loss / d value, vf_coef included; [length] each. */
void value_loss_add(struct value_loss *loss, int64_t answer, const float *values, float *dvalues);
/* 0.5 * mean of the max of squares, without vf_coef: loss/value_avg. */
double value_loss_mean(const struct value_loss *loss);
double value_loss_clip_fraction(const struct value_loss *loss);

/*
 * PPO-ptx (Ouyang et al. 2022): ptx_coef times the mean negative log-likelihood of text. `trained` counts the trained
 * tokens of all the text of the mini-batch. Answers with the part of the loss that these `count` tokens make, and sets
 * dlogprobs.
 */
double ptx_loss_add(double ptx_coef, int64_t trained, const float *logprobs, int64_t count, float *dlogprobs);

#endif
