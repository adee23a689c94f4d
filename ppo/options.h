/*
 * ppo/options.h - what the algorithms of PPO take from the recipe. They know nothing of recipes themselves.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_PPO_OPTIONS_H
#define ATTUNE_PPO_OPTIONS_H

#include "ppo/advantage.h"
#include "ppo/kl.h"
#include "ppo/loss.h"

struct kl_controller ppo_kl_controller(const struct ppo_recipe *recipe);
struct advantage_options ppo_advantage_options(const struct ppo_recipe *recipe);
/* `kl_coef` is the controller's: grpo has its KL in the loss, the others in the rewards. */
struct policy_loss_options ppo_policy_loss_options(const struct ppo_recipe *recipe, double kl_coef);
struct value_loss_options ppo_value_loss_options(const struct ppo_recipe *recipe);

#endif
