/*
 * ppo/ppo.h - policy optimisation against a reward (PPO, Schulman et al. 2017; for language models Ziegler et al.
 * 2019), with a critic, or with the answers to a prompt compared to each other (grpo, rloo).
 *
 *     ppo.c        ppo_run(): from the recipe to the result, the memory plan in between
 *     data.c       prompts, and which of them an iteration answers
 *     roles.c      policy, reference, critic, reward model
 *     rollout.c    answers, and what every role makes of them
 *     scoring.c    their scores: from a reward model (reward_model.c) or a program (command.c)
 *     advantage.c  rewards, advantages and returns
 *     update.c     the optimizer steps; loss.c what they minimise; batches.c how answers go through the model
 *     loop.c       what an iteration and an evaluation are; sums.c their metrics
 *     main.c       the command line
 *
 * Log-probabilities are those at the recipe's temperature everywhere: where tokens are drawn, of the policy before and
 * in the update, of the reference. A row depends on itself alone (ARCHITECTURE.md), so in the first mini-batch of an
 * iteration the ratio of old and new probabilities is exactly 1.
 */
#ifndef ATTUNE_PPO_PPO_H
#define ATTUNE_PPO_PPO_H

#include "train/stage.h"

/* Runs the stage on `backend`. */
enum loop_outcome ppo_run(const struct recipe *recipe, struct backend *backend, const struct stage_options *options,
                          struct err *err);

#endif
