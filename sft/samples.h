/*
 * sft/samples.h - what the model answers to a few prompts at each evaluation, for people to read.
 */
#ifndef ATTUNE_SFT_SAMPLES_H
#define ATTUNE_SFT_SAMPLES_H

/* This stands in a circle with loop.h: samples are written from the state of the loop, at the places where the loop
 * evaluates. */
#include "sft/loop.h"

/* What generation of the samples needs. */
struct generator_limits sft_samples_limits(const struct sft_data *data, int32_t max_rank);

/* Answers every sample prompt greedily, prints the answers and adds them to samples.jsonl. */
int sft_samples_write(struct sft_loop *loop, struct err *err);

#endif
