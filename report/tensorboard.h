/*
 * report/tensorboard.h - the numbers of metrics.jsonl as TensorBoard event files (report_to: tensorboard).
 *
 * A file is a row of frames, each a TFRecord. Integers are little-endian:
 *
 *     length       8 bytes    of the data
 *     checksum     4 bytes    of those eight
 *     data         length bytes, one Event
 *     checksum     4 bytes    of the data
 *
 * A checksum is CRC-32C (Castagnoli, reflected, polynomial 0x82f63b78), masked so that the checksum of bytes that hold
 * checksums means something: rotated right by 15 bits, plus 0xa282ead8. The CRC of "123456789" is 0xe3069283.
 *
 * An Event is a protocol buffer; of its fields these are written (tensorflow/core/util/event.proto, summary.proto):
 *
 *     09 <8 bytes>      wall_time, a double: seconds since 1970
 *     10 <varint>       step
 *     1a 0d "brain.Event:2"    file_version, in the first event of a file and only there
 *     2a <length> ...   summary: for each number  0a <length> { 0a <length> <name>  15 <4 bytes, a float> }
 *     3a 02 08 01       session_log with the status START: readers drop what they hold of this step and later ones
 *
 * So the record {"step": 10, "loss": 1.5} becomes, at the time 0.0,
 *
 *     09 00 00 00 00 00 00 00 00   10 0a   2a 0d   0a 0b   0a 04 'l' 'o' 's' 's'   15 00 00 c0 3f
 *
 * in a frame that begins with 1a 00 00 00 00 00 00 00. A number that is null in the record is NaN here, which
 * TensorBoard marks; texts are left out.
 *
 * Each start of a run opens a file of its own, as TensorFlow's writer does, since TensorBoard does not look back into a
 * file that it has left. A resumed run first cuts the files of earlier starts back to the checkpoint's step, like
 * metrics.jsonl, and tells readers that already hold later events to forget them.
 */
#ifndef ATTUNE_REPORT_TENSORBOARD_H
#define ATTUNE_REPORT_TENSORBOARD_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

struct tensorboard;

/*
 * Cuts the event files that attune wrote into `folder` back to their events of at most `step`, and brings that to the
 * disk; a torn or damaged frame ends a file too. Files in which no number is left are removed; -1 removes them all. A
 * folder without such files is fine.
 */
int tensorboard_cut(const char *folder, int64_t step, struct err *err);

/*
 * Begins a file in `folder`. `step` is that of the checkpoint the run goes on from, -1 for a fresh start. Close with
 * tensorboard_close(), which takes NULL as well.
 */
int tensorboard_open(struct tensorboard **out, const char *folder, int64_t step, struct err *err);
void tensorboard_close(struct tensorboard *tensorboard);

/* Adds one line of metrics.jsonl; a metrics_sink (train/metrics.h) whose context is the struct tensorboard. */
int tensorboard_add(void *tensorboard, const char *record, size_t length, struct err *err);
/* Brings what was added to the disk; before a checkpoint is published. */
int tensorboard_sync(struct tensorboard *tensorboard, struct err *err);

/* The checksum before it is masked; public for its test. */
uint32_t tensorboard_crc32c(const void *bytes, size_t size);

#endif
