/* ppo/options.c - see options.h. */
#include "ppo/options.h"

struct kl_controller ppo_kl_controller(const struct ppo_recipe *recipe)
{
    return (struct kl_controller){.kl_coef = recipe->kl_coef,
                                  .adaptive = recipe->adaptive_kl,
                                  .target = recipe->kl_target,
                                  .horizon = recipe->kl_horizon};
}

struct advantage_options ppo_advantage_options(const struct ppo_recipe *recipe)
{
    return (struct advantage_options){.estimator = recipe->advantage_estimator,
                                      .kl_estimator = recipe->kl_estimator,
                                      .scale_rewards = recipe->scale_rewards,
                                      .gamma = recipe->gamma,
                                      .lam = recipe->lam,
                                      .whiten_rewards = recipe->whiten_rewards,
                                      .use_score_norm = recipe->use_score_norm,
                                      .score_clip = recipe->score_clip,
                                      .missing_eos_penalty = recipe->missing_eos_penalty};
}

struct policy_loss_options ppo_policy_loss_options(const struct ppo_recipe *recipe, double kl_coef)
{
    return (struct policy_loss_options){.loss_type = recipe->loss_type,
                                        .response_length = recipe->response_length,
                                        .cliprange = recipe->cliprange,
                                        .epsilon_high = recipe->epsilon_high,
                                        .kl_estimator = recipe->kl_estimator,
                                        .kl_coef = recipe->advantage_estimator == PPO_ADVANTAGE_GRPO ? kl_coef : 0,
                                        .entropy_coef = recipe->entropy_coef,
                                        .target_kl = recipe->target_kl,
                                        .ratio_threshold = recipe->ratio_threshold};
}

struct value_loss_options ppo_value_loss_options(const struct ppo_recipe *recipe)
{
    return (struct value_loss_options){.vf_coef = recipe->vf_coef, .cliprange_value = recipe->cliprange_value};
}
