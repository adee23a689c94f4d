/*
 * sft/sft.h - supervised fine-tuning: masked next-token loss on examples, with LoRA or of all weights.
 *
 *     sft.c     sft_run(): from the recipe to the result, the memory plan in between
 *     data.c    examples and rows, which of them a step takes, batches
 *     loop.c    what a step and an evaluation are
 *     samples.c answers to look at
 *     main.c    the command line
 *
 * The loss of an optimizer step is the mean negative log-likelihood of its trained tokens, all micro-batches together:
 * the count is known before the first backward pass, so batch size 8 and 2 x 4 accumulated are the same number.
 */
#ifndef ATTUNE_SFT_SFT_H
#define ATTUNE_SFT_SFT_H

#include "train/stage.h"

/* Runs the stage on `backend`. */
enum loop_outcome sft_run(const struct recipe *recipe, struct backend *backend, const struct stage_options *options,
                          struct err *err);

#endif
