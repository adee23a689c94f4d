/*
 * reward/data.h - the rankings of a run, and which of them a step takes.
 *
 * Step s of an epoch takes the rankings order[s * n] .. order[s * n + n - 1], n = batch size * accumulation; the last
 * step of an epoch may have fewer. The order is a function of the seed and the epoch, so a position in the data is just
 * a step number.
 *
 *     int64_t count = reward_data_step(&data, step, &numbers), taken;
 *     for (i = 0; i < count; i++) weights += data.train->rankings[numbers[i]].weight;
 *     for (i = 0; i < count; i += taken) {
 *         taken = reward_set_pass(data.train, numbers + i, count - i, recipe->per_device_train_batch_size);
 *         reward_set_fill(data.train, &batch, numbers + i, taken, data.epoch);
 *         ... batch.predictions: family.count of each ranking, in order
 *     }
 *
 * A prompt is never in both train and eval: eval_split moves whole conversations, and where eval_dataset has a prompt
 * that dataset has too, its rankings are left out of training and that is said.
 */
#ifndef ATTUNE_REWARD_DATA_H
#define ATTUNE_REWARD_DATA_H

#include "rankings/set.h"

struct reward_data {
    const struct recipe *recipe;
    struct model_text text;
    struct reward_set *train, *eval; /* eval: NULL where there is none */
    int64_t *order;                  /* [train->count] of `epoch` */
    int64_t *eval_order;             /* [eval->count]: 0, 1, 2, ..., for passes over the eval set; NULL without one */
    int64_t epoch;
    int64_t rankings_per_step, steps_per_epoch, total_steps;
};

int reward_data_open(struct reward_data *data, const struct recipe *recipe, struct err *err);
void reward_data_close(struct reward_data *data);

/* Rankings of step `step` (0 is the run's first): their number; ranking i of them is number (*numbers)[i]. */
int64_t reward_data_step(struct reward_data *data, int64_t step, const int64_t **numbers);

/* Largest sums over any pass the run can make: training by per_device_train_batch_size, evaluation by
 * per_device_eval_batch_size, both by reward_set_pass(). */
struct reward_batch_limits reward_data_limits(const struct reward_data *data);
/* Tokens of the longest conversation, and the highest token id. */
int32_t reward_data_longest(const struct reward_data *data);
int32_t reward_data_highest_id(const struct reward_data *data);
/* What decides the rankings: for telling at a resume that they changed. */
struct hash reward_data_fingerprint(const struct reward_data *data);
/* Host memory held. */
size_t reward_data_bytes(const struct reward_data *data);

#endif
