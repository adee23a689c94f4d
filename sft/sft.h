/*
 * sft/sft.h - supervised fine-tuning: masked next-token loss on examples, with LoRA or of all weights.
 *
 *     sft.c     sft_run(): from the recipe to the result, the memory plan in between
 *     data.c    examples and rows, which of them a step takes, batches
 *     loop.c    steps, evaluation, samples, checkpoints
 *     main.c    the command line
 *
 * The loss of an optimizer step is the mean negative log-likelihood of its trained tokens, all micro-batches together:
 * the count is known before the first backward pass, so batch size 8 and 2 x 4 accumulated are the same number.
 */
#ifndef ATTUNE_SFT_SFT_H
#define ATTUNE_SFT_SFT_H

#include "backend/backend.h"
#include "train/recipe.h"

struct sft_options {
    bool dry_run; /* stop after the memory plan */
};

enum sft_outcome { SFT_FAILED = -1, SFT_FINISHED = 0, SFT_INTERRUPTED = 1 };

/* Runs the stage on `backend`. SFT_INTERRUPTED: stopped by a signal, with a checkpoint written. */
enum sft_outcome sft_run(const struct recipe *recipe, struct backend *backend, const struct sft_options *options,
                         struct err *err);

#endif
