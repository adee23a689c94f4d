/*
 * train/metrics.h - metrics.jsonl: what a run measured, one JSON object a line.
 *
 *     {"step": 10, "epoch": 0.5, "loss": 1.5, "learning_rate": 0.0002, ...,
 *      "tokens_per_second": 290.1, "seconds": 12.5}
 *
 * Names are TRL's where it has one. What depends on the clock or the machine (tokens_per_second, seconds,
 * peak_memory_mib) stands last in a record, so two runs of one recipe are equal byte by byte up to there. Numbers are
 * written with as many digits as read back to the same bits; one that is not finite is null.
 *
 * A record is handed to the system in one write when it ends, so a killed process leaves whole records, but for perhaps
 * a torn last line, which metrics_cut() removes. Where the disk has no room for a record, nothing of it stays.
 *
 * The records of a step are written before its checkpoint is: a resumed run cuts the file back to the checkpoint's step
 * and goes on after it.
 */
#ifndef ATTUNE_TRAIN_METRICS_H
#define ATTUNE_TRAIN_METRICS_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

struct metrics;

/* Opens a file to append to, making it where it is not there. Close with metrics_close(), which takes NULL as well. */
int metrics_open(struct metrics **out, const char *path, struct err *err);
void metrics_close(struct metrics *metrics);

/* Begins a record with "step" and "epoch". */
void metrics_begin(struct metrics *metrics, int64_t step, double epoch);
void metrics_real(struct metrics *metrics, const char *name, double value);
void metrics_whole(struct metrics *metrics, const char *name, int64_t value);
void metrics_text(struct metrics *metrics, const char *name, const char *value);
/* What may differ between two runs of one recipe; goes to the end of the record. */
void metrics_timing(struct metrics *metrics, const char *name, double value);
/* Writes the record. */
int metrics_end(struct metrics *metrics, struct err *err);
/*
 * Hands each record, once it is written, to `sink` as well: the line as it stands in the file, newline included. A sink
 * that fails makes metrics_end() fail.
 */
typedef int metrics_sink(void *context, const char *record, size_t length, struct err *err);
void metrics_set_sink(struct metrics *metrics, metrics_sink *sink, void *context);
/* Brings what was written to the disk; before a checkpoint is published. */
int metrics_sync(struct metrics *metrics, struct err *err);

/*
 * Cuts the file back to the records whose step is at most `step`, byte for byte, by writing it beside and renaming. A
 * file that is not there is fine. A torn last line goes; any other line that is no record is an error that names it,
 * and the file stays.
 */
int metrics_cut(const char *path, int64_t step, struct err *err);

#endif
