/*
 * train/order.h - how many optimizer steps a run has, and which rows of its data each of them takes.
 *
 * A row is what is never cut apart: an example, a packed row of examples, a ranking. Step s of an epoch takes the rows
 * rows[s * n] .. rows[s * n + n - 1] of that epoch's order, n = per_device_train_batch_size *
 * gradient_accumulation_steps; the last step of an epoch may have fewer. The order is a function of the seed and the
 * epoch, so a position in the data is just a step number.
 */
#ifndef ATTUNE_TRAIN_ORDER_H
#define ATTUNE_TRAIN_ORDER_H

#include "base/err.h"
#include "recipe/recipe.h"
#include <stdint.h>

/* Optimizer steps; at least 1 each. */
struct step_counts {
    int64_t per_epoch; /* rounded where an epoch ends within a step */
    int64_t total;     /* of the run: max_steps, or num_train_epochs */
};

/* Of a run whose epoch is so many steps long. */
struct step_counts step_counts_of(const struct recipe *recipe, double epoch);

struct row_order {
    int64_t *rows; /* [count] in the order of `epoch` */
    int64_t count;
    int64_t epoch; /* -1: no step was asked for yet */
    int64_t rows_per_step;
    struct step_counts steps;
    bool shuffle;
    uint64_t seed;
};

/* Rows 0 .. count-1. Free with row_order_close(), which takes a zeroed one as well. */
int row_order_open(struct row_order *order, const struct recipe *recipe, int64_t count, struct err *err);
void row_order_close(struct row_order *order);

/* Rows of step `step` (0 is the run's first): their number; the i-th of them is (*rows)[i]. Sets `epoch`. */
int64_t row_order_step(struct row_order *order, int64_t step, const int64_t **rows);

#endif
