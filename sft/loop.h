/*
 * sft/loop.h - what a step and an evaluation of the SFT stage are, over parts that sft.c has made.
 */
#ifndef ATTUNE_SFT_LOOP_H
#define ATTUNE_SFT_LOOP_H

#include "model/generate/generate.h"
#include "sft/data.h"
#include "sft/sft.h"
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

#endif
