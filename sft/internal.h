/*
 * sft/internal.h - what the files of this room share: a step and an evaluation of the SFT stage (loop.c), over parts
 * that sft.c has made, and the answers to a few prompts at each evaluation, for people to read (samples.c).
 */
#ifndef ATTUNE_SFT_INTERNAL_H
#define ATTUNE_SFT_INTERNAL_H

#include "model/generate/generate.h"
#include "sft/data.h"
#include "train/loop.h"

struct sft_loop {
    const struct recipe *recipe;
    struct backend *backend;
    struct sft_data *data;
    struct trainable *trainable;
    struct optimizer *optimizer;
    struct pass *pass;
    struct generator *generator; /* for samples, or NULL */
    struct loop steps;
    struct batch batch;
    float *dlogprob, *logprob; /* host [predictions] */
    int32_t *argmax;
    double window_predictions, window_correct; /* since the last record */
};

/* The callbacks for train/loop.h. */
struct loop_stage sft_loop_stage(struct sft_loop *loop);

/* ---- samples ---- */

/* What generation of the samples needs. */
struct generator_limits sft_samples_limits(const struct sft_data *data, int32_t max_rank);

/* Answers every sample prompt greedily, prints the answers and adds them to samples.jsonl. */
int sft_samples_write(struct sft_loop *loop, struct err *err);

#endif
