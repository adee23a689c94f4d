/*
 * sft/loop.h - the training loop of the SFT stage, over parts that sft.c has made.
 */
#ifndef ATTUNE_SFT_LOOP_H
#define ATTUNE_SFT_LOOP_H

#include "model/generate.h"
#include "sft/data.h"
#include "sft/sft.h"
#include "train/run.h"
#include "train/schedule.h"

struct sft_loop {
    const struct recipe *recipe;
    struct backend *backend;
    struct sft_data *data;
    struct trainable *trainable;
    struct optimizer *optimizer;
    struct pass *pass;
    struct generator *generator; /* for samples, or NULL */
    struct run *run;
    struct schedule schedule;
    struct batch batch;
    float *dlogprob, *logprob; /* host [predictions] */
    int32_t *argmax;
};

/* Steps from run->state.step to the end. */
enum sft_outcome sft_loop_run(struct sft_loop *loop, struct err *err);

#endif
