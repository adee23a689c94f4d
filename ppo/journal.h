/*
 * ppo/journal.h - the scores that a program gave in this run: rewards.jsonl (see ppo/command.h for its form and use).
 *
 * Internal to this room.
 */
#ifndef ATTUNE_PPO_JOURNAL_H
#define ATTUNE_PPO_JOURNAL_H

#include "base/err.h"
#include "base/hash.h"
#include <stdbool.h>
#include <stdint.h>

struct journal_entry {
    int64_t iteration, index;
    struct hash hash; /* of what was scored, and by what */
    double score;
};

struct journal;

/*
 * Opens or makes the file. A torn last line is cut off; another line that is no entry is an error. `fresh` empties it.
 * Entries of iterations before first_iteration are left alone.
 */
int journal_open(struct journal **out, const char *path, bool fresh, int64_t first_iteration, struct err *err);
void journal_close(struct journal *journal);

/* The score of an entry that stood in the file when it was opened; each entry is given out once, in their order. */
bool journal_take(struct journal *journal, int64_t iteration, int64_t index, struct hash hash, double *score);
/* Appends an entry, whole or not at all. */
int journal_append(struct journal *journal, const struct journal_entry *entry, struct err *err);
int journal_sync(struct journal *journal, struct err *err);

/* Remembers the end of the file; journal_forget() takes away what was appended since. */
void journal_mark(struct journal *journal);
int journal_forget(struct journal *journal, struct err *err);

#endif
