/*
 * text/data/batch.h - a batch is a list of segments, end to end, without padding.
 *
 * A segment's tokens attend to themselves causally and, where it names a parent, to the whole parent first; positions
 * go on where the parent ends. So packing never leaks between examples, and a prompt shared by K answers is one segment
 * with K children:
 *
 *     tokens     p p p p a a a b b        segments  {0,4,-1} {4,3,0} {7,2,0}
 *     positions  0 1 2 3 4 5 6 4 5
 *
 * Parents go one level deep, and children stand right after their parent.
 */
#ifndef ATTUNE_TEXT_DATA_BATCH_H
#define ATTUNE_TEXT_DATA_BATCH_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

/*
 * Rows and families are cut into passes by this rule alone. A pass has at most `most` tokens (the backend's
 * pass_tokens) of more than one row or family; a longer one goes alone. *tokens is what the pass has so far, 0 at
 * first: whether one of `more` tokens goes into it too, and then *tokens has grown by them.
 */
bool batch_takes(int64_t *tokens, int64_t more, int64_t most);

struct segment {
    int32_t start, length; /* rows of the batch; length >= 1 */
    int32_t parent;        /* number of an earlier segment, or -1 */
    uint64_t key; /* names the record (and epoch) for random numbers; token t of the segment has key + position */
};

/* One next-token prediction: the row that predicts, and the token that should come. A row may have several (a shared
 * prompt's last). */
struct prediction {
    int32_t row;
    int32_t target;
    int32_t segment; /* the segment the target belongs to */
};

struct batch {
    int32_t *ids;       /* [tokens] */
    int32_t *positions; /* [tokens] */
    struct segment *segments;
    struct prediction *predictions; /* the trained ones */
    int32_t tokens, segment_count, prediction_count;
    int32_t token_capacity, segment_capacity, prediction_capacity;
};

/* The most that any batch of a run has of each. */
struct batch_limits {
    int32_t tokens, segments, predictions;
};

/* Room for so many; batches are reused by batch_clear(). */
int batch_create(struct batch *batch, int32_t tokens, int32_t segments, int32_t predictions, struct err *err);
void batch_clear(struct batch *batch);
void batch_free(struct batch *batch);

/*
 * Appends a segment of `length` tokens. trained[i] says whether token i is a target (predicted by the row before it,
 * which for i == 0 of a child is the parent's last row; the first token of a segment without a parent has no row and is
 * never one). trained may be NULL: none. Returns the segment's index; asserts that there is room.
 */
int32_t batch_append(struct batch *batch, const int32_t *ids, const uint8_t *trained, int32_t length, int32_t parent,
                     uint64_t key);

/*
 * Asks for a number at a row of the batch that belongs to `segment` (a score, a value; pass_score()): a prediction
 * without a target, which is set to the row's own token. Returns the prediction's index; asserts that there is room.
 */
int32_t batch_read(struct batch *batch, int32_t segment, int32_t row);

#endif
