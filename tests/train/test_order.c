/* tests/train/test_order.c - how many steps a run has, and which rows each of them takes. */
#include "support/cmocka.h"

#include "base/mem.h"
#include "support/fixture.h"
#include "train/order.h"
#include <string.h>

static void steps_of_a_run(void **state)
{
    (void)state;
    static const struct {
        double epochs;
        int64_t max_steps;
        double epoch; /* steps */
        struct step_counts expected;
    } cases[] = {
        {1, 0, 10, {10, 10}},      {1.5, 0, 5, {5, 8}},  {3, 0, 7, {7, 21}},      {0.3, 0, 10, {10, 3}},
        {0.01, 0, 10, {10, 1}},    {3, 4, 10, {10, 4}},  {1, 100, 10, {10, 100}}, {1, 0, 48.0 / 7, {7, 7}},
        {2, 0, 48.0 / 7, {7, 14}}, {1, 0, 0.25, {1, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct recipe recipe = {.num_train_epochs = cases[i].epochs, .max_steps = cases[i].max_steps};
        struct step_counts counts = step_counts_of(&recipe, cases[i].epoch);
        assert_int_equal(counts.per_epoch, cases[i].expected.per_epoch);
        assert_int_equal(counts.total, cases[i].expected.total);
    }
}

static struct recipe recipe_of_batches(bool shuffle)
{
    return (struct recipe){.per_device_train_batch_size = 2,
                           .gradient_accumulation_steps = 2,
                           .num_train_epochs = 2,
                           .shuffle = shuffle,
                           .seed = 7};
}

static void rows_in_their_order(void **state)
{
    (void)state;
    struct err err;
    struct row_order order;
    struct recipe recipe = recipe_of_batches(false);
    const int64_t *rows;
    must(row_order_open(&order, &recipe, 10, &err));
    assert_int_equal(order.steps.per_epoch, 3);
    assert_int_equal(order.steps.total, 6);
    for (int64_t step = 0; step < order.steps.total; step++) {
        int64_t count = row_order_step(&order, step, &rows);
        assert_int_equal(count, step % 3 < 2 ? 4 : 2);
        assert_int_equal(order.epoch, step / 3);
        for (int64_t i = 0; i < count; i++) {
            assert_int_equal(rows[i], step % 3 * 4 + i);
        }
    }
    row_order_close(&order);
}

/* Every row once an epoch, in another order each time; a step asked for again is the same. */
static void shuffled_rows(void **state)
{
    (void)state;
    struct err err;
    struct row_order order;
    struct recipe recipe = recipe_of_batches(true);
    const int64_t *rows;
    int64_t first[4];
    must(row_order_open(&order, &recipe, 10, &err));
    for (int64_t epoch = 0; epoch < 2; epoch++) {
        bool seen[10] = {false};
        for (int64_t step = 3 * epoch; step < 3 * epoch + 3; step++) {
            int64_t count = row_order_step(&order, step, &rows);
            for (int64_t i = 0; i < count; i++) {
                assert_false(seen[rows[i]]);
                seen[rows[i]] = true;
            }
            if (step == 0) {
                memcpy(first, rows, sizeof first);
            }
        }
    }
    row_order_step(&order, 3, &rows);
    assert_memory_not_equal(first, rows, sizeof first);
    row_order_step(&order, 0, &rows);
    assert_memory_equal(first, rows, sizeof first);
    row_order_close(&order);
}

static void want_of_memory(void **state)
{
    (void)state;
    struct err err = {0};
    struct row_order order;
    struct recipe recipe = recipe_of_batches(true);
    mem_fail_at(1);
    assert_int_equal(row_order_open(&order, &recipe, 10, &err), -1);
    mem_fail_at(0);
    assert_non_null(strstr(err.text, "memory"));
    row_order_close(&order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_of_a_run),
        cmocka_unit_test(rows_in_their_order),
        cmocka_unit_test(shuffled_rows),
        cmocka_unit_test(want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
