/*
 * tests/reward/helper_reward.h - reward runs of the tiny-text model: made from a few lines of YAML, and looked at
 * afterwards (support/run_files.h).
 *
 * Everything here fails the running test with a sentence where it cannot do what it is for.
 */
#ifndef ATTUNE_TESTS_REWARD_HELPER_REWARD_H
#define ATTUNE_TESTS_REWARD_HELPER_REWARD_H

#include "model/safetensors.h"
#include "reward/reward.h"
#include "support/run_files.h"

/*
 * Group setup of cmocka: a temporary folder (support/temporary.h) with `model` (tiny-text with random weights),
 * train.jsonl (32 pairs) and eval.jsonl (12 pairs of other prompts), and trees.jsonl (conversation trees with rankings
 * of two to five answers).
 */
int reward_setup(void **state);

/* Pairs whose preferred answer is the one with the word "whale"; prompts first .. first + count - 1. */
void reward_write_pairs(const char *path, int first, int count);

/* The CPU's backend in f32. */
struct backend *reward_cpu(int threads);

/*
 * A recipe for the temporary folder's model, with `name` in that folder as output_dir; `lines` are the other keys, in
 * YAML, with @ for that folder where they name files in it. Free with recipe_free().
 */
struct recipe *reward_recipe(const char *name, const char *lines);

/* Runs it to its end; frees the backend where it is not NULL, and takes the CPU's with two threads where it is. */
void reward_finish(const char *name, const char *lines, struct backend *backend);
/* The same for a run that must fail: its sentence. */
void reward_refuse(const char *name, const char *lines, struct err *err);

/*
 * The gradient that the run's first step took, of `count` numbers: its first moment in checkpoint-1 (adam_beta1 0.9),
 * so the recipe wants save_steps: 1, max_grad_norm: 0. `tensor` as the checkpoint's own file names it. Free with
 * mem_free().
 */
float *reward_first_gradient(const char *name, const char *tensor, int64_t *count);

#endif
