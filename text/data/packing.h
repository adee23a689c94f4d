/*
 * text/data/packing.h - rows of max_length tokens, filled with whole examples.
 *
 * Best-fit decreasing, as TRL's packing strategy "bfd": the longest example first, each into the row with the least
 * space that still holds it. Every example stays a segment of its own (text/data/batch.h), so nothing leaks between
 * those of a row, and none is split.
 *
 * The result depends on lengths and order only. Among examples of equal length the earlier one goes first; a row's
 * examples stand in the given order, and rows are ordered by their first example. The number of rows is the same for
 * every order of the same examples, so each epoch has as many.
 */
#ifndef ATTUNE_TEXT_DATA_PACKING_H
#define ATTUNE_TEXT_DATA_PACKING_H

#include "base/err.h"
#include "text/data/dataset.h"
#include <stddef.h>
#include <stdint.h>

struct packed_rows {
    int32_t *examples; /* [count]: numbers of examples, row after row */
    int32_t *starts;   /* [rows + 1]: row r holds examples[starts[r] .. starts[r + 1] - 1] */
    int32_t rows;
    int32_t longest; /* tokens of the fullest row */
    int32_t most;    /* examples of the row that has most */
    int64_t tokens;  /* of all rows; tokens / (rows * max_length) is how full they are */
};

/*
 * Fills *rows from examples[order[0]], examples[order[1]], ...; order NULL: as they lie. No example may be longer than
 * max_length (a programmer's mistake). Free with packed_rows_free().
 */
int packed_rows_fill(struct packed_rows *rows, const struct example *examples, const int64_t *order, size_t count,
                     int32_t max_length, struct err *err);
void packed_rows_free(struct packed_rows *rows);

#endif
