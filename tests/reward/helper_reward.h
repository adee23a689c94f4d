/*
 * tests/reward/helper_reward.h - reward runs of the tiny-text model (support/stage_runs.h), and what their first step
 * did.
 *
 * Everything here fails the running test with a sentence where it cannot do what it is for.
 */
#ifndef ATTUNE_TESTS_REWARD_HELPER_REWARD_H
#define ATTUNE_TESTS_REWARD_HELPER_REWARD_H

#include "reward/reward.h"
#include "support/run_files.h"
#include "support/stage_runs.h"
#include "weights/safetensors.h"

/*
 * Group setup of cmocka: a temporary folder (support/temporary.h) with `model` (tiny-text with random weights),
 * train.jsonl (32 pairs) and eval.jsonl (12 pairs of other prompts), and trees.jsonl (conversation trees with rankings
 * of two to five answers).
 */
int reward_setup(void **state);

/* Pairs whose preferred answer is the one with the word "whale"; prompts first .. first + count - 1. */
void reward_write_pairs(const char *path, int first, int count);

extern const struct tested_stage tested_reward;

/* stage_recipe(), stage_finish() and stage_fail() of it. */
struct recipe *reward_recipe(const char *name, const char *lines);
void reward_finish(const char *name, const char *lines, struct backend *backend);
void reward_refuse(const char *name, const char *lines, struct err *err);

/*
 * The gradient that the run's first step took, of `count` numbers: its first moment in checkpoint-1 (adam_beta1 0.9),
 * so the recipe wants save_steps: 1, max_grad_norm: 0. `tensor` as the checkpoint's own file names it. Free with
 * mem_free().
 */
float *reward_first_gradient(const char *name, const char *tensor, int64_t *count);

#endif
