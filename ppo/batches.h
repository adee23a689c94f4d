/*
 * ppo/batches.h - answers on their way through the model: which go into one pass, and the batch they make.
 *
 * A prompt is a segment, its answers are segments behind it (text/data/batch.h), and every token of an answer is
 * predicted: its log-probability, and the critic's value, are read at the row before it. So the numbers of a pass are
 * those of its answers end to end.
 *
 * A pass takes families, a prompt with its answers, as many as batch_takes() allows. A mini-batch
 * is cut into gradient_accumulation_steps pieces first, between answers: a family that does not fit into memory at once
 * is computed in parts so, its prompt in each of them.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_PPO_BATCHES_H
#define ATTUNE_PPO_BATCHES_H

#include "ppo/internal.h"

/* Answers of a piece, at most. */
int64_t ppo_piece_answers(const struct recipe *recipe);

/* The largest passes of the run; max_rank is the roles'. */
struct pass_limits ppo_pass_limits(const struct ppo_data *data, int32_t max_rank, int32_t pass_tokens);

/* Answers of `episodes`, which were given to `prompts`. */
struct ppo_view {
    const struct episodes *episodes;
    const struct prompt *const *prompts;
    int32_t pass_tokens; /* of the backend */
};

/* How many of the next answers (numbers in the episodes, families side by side) go into a pass; one at least. */
int64_t ppo_pass_answers(const struct ppo_view *view, const int64_t *answers, int64_t count);

/* Fills the batch with them and loads it into the pass. */
void ppo_pass_load(struct ppo_parts *parts, const struct ppo_view *view, const int64_t *answers, int64_t count);

/* ptx_dataset: the same for examples at places first .. of its row. */
int64_t ppo_pass_texts(struct ppo_parts *parts, int64_t first, int64_t count);
void ppo_pass_load_texts(struct ppo_parts *parts, int64_t first, int64_t count);

#endif
