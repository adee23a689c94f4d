/* train/order.c - see order.h. */
#include "train/order.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "base/random.h"
#include <assert.h>
#include <math.h>

struct step_counts step_counts_of(const struct recipe *recipe, double epoch)
{
    struct step_counts counts = {.per_epoch = llround(epoch), .total = recipe->max_steps};
    if (counts.total <= 0) {
        counts.total = (int64_t)ceil(recipe->num_train_epochs * epoch - 1e-9);
    }
    return (struct step_counts){.per_epoch = max(counts.per_epoch, 1), .total = max(counts.total, 1)};
}

int row_order_open(struct row_order *order, const struct recipe *recipe, int64_t count, struct err *err)
{
    assert(count > 0);
    *order = (struct row_order){
        .count = count,
        .epoch = -1,
        .rows_per_step = recipe->per_device_train_batch_size * recipe->gradient_accumulation_steps,
        .shuffle = recipe->shuffle,
        .seed = (uint64_t)recipe->seed,
    };
    order->steps = step_counts_of(recipe, (double)((count + order->rows_per_step - 1) / order->rows_per_step));
    order->rows = mem_alloc((size_t)count, sizeof *order->rows, err);
    for (int64_t i = 0; order->rows && i < count; i++) {
        order->rows[i] = i;
    }
    return order->rows ? 0 : -1;
}

void row_order_close(struct row_order *order)
{
    mem_free(order->rows);
    *order = (struct row_order){0};
}

int64_t row_order_step(struct row_order *order, int64_t step, const int64_t **rows)
{
    int64_t epoch = step / order->steps.per_epoch, first = step % order->steps.per_epoch * order->rows_per_step;
    int64_t left = order->count - first;
    if (epoch != order->epoch && order->shuffle) {
        random_permutation(order->rows, (size_t)order->count, order->seed, RANDOM_SHUFFLE, (uint64_t)epoch);
    }
    order->epoch = epoch;
    *rows = order->rows + first;
    return min(left, order->rows_per_step);
}
