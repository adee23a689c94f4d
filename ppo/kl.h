/*
 * ppo/kl.h - the distance between the policy and its reference: estimates by token, and the price of a nat.
 *
 * With d = log p(token) - log p_reference(token), of tokens drawn from p (Schulman, "Approximating KL divergence",
 * 2020):
 *     k1 = d                    unbiased, negative for many tokens
 *     k2 = d^2 / 2              biased, low variance
 *     k3 = exp(-d) - 1 + d      unbiased, never negative
 * In k3 the exponent is clamped to +-LOG_RATIO_MAX, where its slope is 0.
 */
#ifndef ATTUNE_PPO_KL_H
#define ATTUNE_PPO_KL_H

#include "ppo/recipe.h"

/* No ratio of probabilities is taken beyond exp(+-this). */
#define LOG_RATIO_MAX 20.0

/* Within +-LOG_RATIO_MAX; a NaN stays one. */
double log_ratio_clamp(double log_ratio);

/* k1, k2 or k3 of d. */
double kl_estimate(enum ppo_kl_estimator estimator, double d);
/* d kl_estimate / d d, which is also d / d log p. */
double kl_slope(enum ppo_kl_estimator estimator, double d);

/*
 * The price of a nat, kl_coef. Adaptive (Ziegler et al. 2019, section 2.2): after a batch of n episodes with mean KL
 * `kl` an episode,
 *     error = clip(kl / kl_target - 1, -0.2, 0.2),   kl_coef *= 1 + error * n / kl_horizon
 * kl_coef is part of the run's state. A factor below 0 (n far above kl_horizon) is taken as 0.
 */
struct kl_controller {
    double kl_coef;
    bool adaptive;
    double target;  /* nats an episode */
    double horizon; /* episodes */
};

/* Does nothing where it is not adaptive, or the KL is not finite. */
void kl_controller_update(struct kl_controller *controller, double kl, int64_t episodes);

#endif
