/*
 * model/score_head.h - one number from a hidden state: the score of a reward model, the value of a critic.
 *
 *     score = hidden . weight + offset
 *
 * A model of transformers' class ...ForSequenceClassification with one label has such a head as score.weight [1,
 * hidden], an adapter of PEFT's task SEQ_CLS as base_model.model.score.weight. Theirs have no bias: the offset stands
 * beside it, in config.json or in the adapter file's metadata (SCORE_OFFSET_KEY).
 *
 * A fresh head is drawn from N(0, 1 / (hidden + 1)) (Stiennon et al. 2020, code: deviation 1 / sqrt(hidden + 1)).
 */
#ifndef ATTUNE_MODEL_SCORE_HEAD_H
#define ATTUNE_MODEL_SCORE_HEAD_H

#include <stdint.h>

/* Plain data that its maker (a model, an adapter) owns; weight NULL: there is no head. */
struct score_head {
    float *weight;   /* device [hidden] */
    float *gradient; /* device [hidden], added to; NULL while frozen */
    double offset;
};

/* The values of a fresh head. */
void score_head_draw(float *values, int32_t hidden, uint64_t seed);

#endif
