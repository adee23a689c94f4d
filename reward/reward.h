/*
 * reward/reward.h - reward models: a model learns to give a score to an answer, from rankings by people.
 *
 *     reward.c        reward_run(): from the recipe to the result, the memory plan in between
 *     data.c          which rankings a step takes (rankings/ reads them, and makes batches of them)
 *     loss.c          the loss of a ranking
 *     loop.c          what a step and an evaluation are
 *     evaluation*.c   how far scores agree with people, in numbers and figures
 *     main.c          the command line
 *
 * The score is read at the token that closes the answer. A ranking of K answers is one family (text/data/family.h): its
 * prompt is computed once, its answers each once, and all its pairs are one element of the batch. The loss of an
 * optimizer step is the weighted mean over its rankings, all micro-batches together: the weights are known before the
 * first backward pass, so batch size 8 and 2 x 4 accumulated are the same number.
 *
 * The result is a model or an adapter with a score head (model/score_head.h). With normalize_scores the head is scaled
 * at the very end, so that the scores of the eval set's answers (those of a sample of the training rankings where there
 * is no eval set; each answer of each ranking once) have mean 0 and deviation 1; checkpoints hold it as it is trained.
 */
#ifndef ATTUNE_REWARD_REWARD_H
#define ATTUNE_REWARD_REWARD_H

#include "train/stage.h"

/* Training rankings that are scored at the end of a run, to compare with what was held out. */
#define REWARD_SAMPLE_MAX 256

/* Runs the stage on `backend`. */
enum loop_outcome reward_run(const struct recipe *recipe, struct backend *backend, const struct stage_options *options,
                             struct err *err);

#endif
