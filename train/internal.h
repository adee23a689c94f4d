/*
 * train/internal.h - what run.c (opening and ending), state.c (state.json) and checkpoint.c share of a run's folder.
 *
 * Errors: 0 or -1 (NULL) with a sentence in *err.
 */
#ifndef ATTUNE_TRAIN_INTERNAL_H
#define ATTUNE_TRAIN_INTERNAL_H

#include "train/run.h"

#define STATE_FILE "state.json"

/* state.json of `folder`, from run->state, its identity and its numbers; and back, where it fits the run. */
int state_write(const struct run *run, const char *folder, struct err *err);
int state_read(struct run *run, const char *folder, struct err *err);

/* The folder of the checkpoint of a step, its name followed by `suffix`. Free with mem_free(). */
char *checkpoint_path(const struct run *run, int64_t step, const char *suffix, struct err *err);
/* Steps of the whole checkpoints, ascending; free with mem_free(). */
int checkpoint_list(const struct run *run, int64_t **out, size_t *count, struct err *err);
/* Removes a whole checkpoint; killed half way, it no longer looks whole, and the next start removes the rest. */
int checkpoint_discard(const struct run *run, int64_t step, struct err *err);
/* Removes half-written checkpoints of a run that was killed. */
int checkpoint_remove_partials(const struct run *run, struct err *err);
/* The trained tensors as they were at the best evaluation. */
int checkpoint_load_best(const struct run *run, struct err *err);

/* The folder of a part in `folder`. Free with mem_free(). */
char *run_part_path(const struct run_part *part, const char *folder, struct err *err);
/* Records reach the disk before the checkpoint that follows them. */
int run_sync_records(struct run *run, struct err *err);

#endif
