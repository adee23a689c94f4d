/*
 * reward/data.h - the rankings of a run, and which of them a step takes.
 *
 *     int64_t count = row_order_step(&data.order, step, &indices), taken;
 *     for (i = 0; i < count; i++) weights += data.train->rankings[indices[i]].weight;
 *     for (i = 0; i < count; i += taken) {
 *         taken = ranking_set_pass(data.train, indices + i, count - i, batch_size, pass_tokens);
 *         ranking_set_fill(data.train, &batch, indices + i, taken, data.order.epoch);
 *         ... batch.predictions: family.count of each ranking, in order
 *     }
 *
 * A prompt is never in both train and eval: eval_split moves whole conversations, and where eval_dataset has a prompt
 * that dataset has too, its rankings are left out of training and that is said.
 */
#ifndef ATTUNE_REWARD_DATA_H
#define ATTUNE_REWARD_DATA_H

#include "rankings/set.h"
#include "train/order.h"

struct reward_data {
    const struct recipe *recipe;
    struct model_text text;
    struct ranking_set *train, *eval; /* eval: NULL where there is none */
    struct row_order order;           /* of the training rankings */
};

int reward_data_open(struct reward_data *data, const struct recipe *recipe, struct err *err);
void reward_data_close(struct reward_data *data);

/* Largest sums over any pass the run can make: training by per_device_train_batch_size, evaluation by
 * per_device_eval_batch_size, both by ranking_set_pass(). */
struct batch_limits reward_data_limits(const struct reward_data *data, int32_t pass_tokens);
/* Tokens of the longest conversation, and the highest token id. */
int32_t reward_data_longest(const struct reward_data *data);
int32_t reward_data_highest_id(const struct reward_data *data);
/* What decides the rankings: for telling at a resume that they changed. */
struct hash reward_data_fingerprint(const struct reward_data *data);
/* Host memory held. */
size_t reward_data_bytes(const struct reward_data *data);

#endif
