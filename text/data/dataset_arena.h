/*
 * text/data/dataset_arena.h - memory for the tokens of many examples: taken piece by piece from large blocks, given
 * back all at once when the last dataset that uses it is freed. For the datasets here and the stages' data. Not for
 * several threads at a time.
 */
#ifndef ATTUNE_TEXT_DATA_DATASET_ARENA_H
#define ATTUNE_TEXT_DATA_DATASET_ARENA_H

#include "base/err.h"
#include <stddef.h>

struct dataset_arena;

int arena_create(struct dataset_arena **out, struct err *err);
/* Zeroed bytes, aligned for int64_t; NULL on failure. */
void *arena_take(struct dataset_arena *arena, size_t size, struct err *err);
char *arena_copy_string(struct dataset_arena *arena, const char *text, size_t length, struct err *err);
/* All bytes held. */
size_t arena_bytes(const struct dataset_arena *arena);
/* One more user, and one less: the last one frees it. */
struct dataset_arena *arena_share(struct dataset_arena *arena);
void arena_release(struct dataset_arena *arena);

#endif
