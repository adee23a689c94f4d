/*
 * ppo/recipe.h - the PPO stage as the rest of the house knows it: its recipe, and what it measures.
 */
#ifndef ATTUNE_PPO_RECIPE_H
#define ATTUNE_PPO_RECIPE_H

#include "recipe/stage.h"
#include "report/metrics.h"
#include <assert.h>

enum ppo_advantage { PPO_ADVANTAGE_GAE, PPO_ADVANTAGE_GRPO, PPO_ADVANTAGE_RLOO };
enum ppo_scale_rewards { PPO_SCALE_GROUP, PPO_SCALE_BATCH, PPO_SCALE_NONE };
enum ppo_policy_loss { PPO_LOSS_DAPO, PPO_LOSS_GRPO, PPO_LOSS_DR_GRPO };
enum ppo_kl_estimator { PPO_KL_K1, PPO_KL_K2, PPO_KL_K3 };
enum ppo_critic { PPO_CRITIC_AUTO, PPO_CRITIC_REWARD, PPO_CRITIC_FRESH };

struct ppo_recipe {
    struct recipe common;

    /* Scores and rewards */
    char *reward_model;
    char *reward_command;
    double reward_timeout; /* seconds */
    double missing_eos_penalty;
    double score_clip; /* 0: off */
    bool use_score_norm;
    bool whiten_rewards;

    /* Rollouts */
    int64_t response_length;
    int64_t num_generations;
    int64_t rollout_batch_size;
    double temperature;
    int64_t top_k; /* 0: off */
    double top_p;

    /* The update */
    enum ppo_advantage advantage_estimator;
    enum ppo_scale_rewards scale_rewards;
    enum ppo_policy_loss loss_type;
    int64_t num_ppo_epochs;
    int64_t num_mini_batches;
    double cliprange;
    double epsilon_high; /* 0: the same as cliprange */
    double cliprange_value;
    double vf_coef;
    double gamma;
    double lam;
    double entropy_coef;
    double target_kl;       /* 0: off */
    double ratio_threshold; /* 0: off */
    enum ppo_critic critic_init;
    int64_t critic_warmup_steps;
    double ptx_coef;
    struct recipe_datasets ptx_dataset;

    /* Distance to the reference */
    double kl_coef;
    enum ppo_kl_estimator kl_estimator;
    bool adaptive_kl;
    double kl_target;
    double kl_horizon; /* episodes */
};

extern const struct recipe_stage ppo_stage;
extern const struct metric_panel ppo_panels[];

/* The keys of this stage in a recipe that was loaded for it. */
static inline const struct ppo_recipe *ppo_keys(const struct recipe *recipe)
{
    assert(recipe->stage == &ppo_stage);
    return (const struct ppo_recipe *)recipe;
}

#endif
