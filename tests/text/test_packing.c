#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/random.h"
#include "text/data/packing.h"
#include <cmocka.h>
#include <stdlib.h>

#define MOST 2000

static void fill(struct example *examples, const int32_t *lengths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        examples[i] = (struct example){.length = lengths[i]};
    }
}

static struct packed_rows packed(const struct example *examples, const int64_t *order, size_t count, int32_t max_length)
{
    struct err err;
    struct packed_rows rows;
    if (packed_rows_fill(&rows, examples, order, count, max_length, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return rows;
}

/* Every example is in exactly one row, no row is too long, and the sums are right. */
static void assert_whole(const struct packed_rows *rows, const struct example *examples, size_t count,
                         int32_t max_length)
{
    int seen[MOST] = {0};
    int64_t tokens = 0;
    int32_t longest = 0, most = 0;
    assert_int_equal(rows->starts[0], 0);
    assert_int_equal(rows->starts[rows->rows], count);
    for (int32_t row = 0; row < rows->rows; row++) {
        int32_t sum = 0, examples_here = rows->starts[row + 1] - rows->starts[row];
        assert_true(examples_here > 0);
        for (int32_t i = rows->starts[row]; i < rows->starts[row + 1]; i++) {
            seen[rows->examples[i]]++;
            sum += examples[rows->examples[i]].length;
        }
        assert_true(sum <= max_length);
        tokens += sum;
        longest = sum > longest ? sum : longest;
        most = examples_here > most ? examples_here : most;
    }
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(seen[i], 1);
    }
    assert_int_equal(rows->tokens, tokens);
    assert_int_equal(rows->longest, longest);
    assert_int_equal(rows->most, most);
}

/* By hand: 7 opens a row, 5 a second, 4 fills that to 9, 3 fits 7 exactly, 2 opens a third. */
static void best_fit_decreasing(void **state)
{
    (void)state;
    static const int32_t lengths[] = {2, 7, 3, 5, 4};
    struct example examples[5];
    fill(examples, lengths, 5);
    struct packed_rows rows = packed(examples, NULL, 5, 10);
    assert_whole(&rows, examples, 5, 10);
    assert_int_equal(rows.rows, 3);
    static const int32_t expected[] = {0, 1, 2, 3, 4};
    static const int32_t starts[] = {0, 1, 3, 5};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(rows.examples[i], expected[i]);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(rows.starts[i], starts[i]);
    }
    packed_rows_free(&rows);
}

static void the_order_decides_who_comes_first(void **state)
{
    (void)state;
    static const int32_t lengths[] = {6, 6, 4, 4};
    static const int64_t order[] = {3, 1, 2, 0};
    struct example examples[4];
    fill(examples, lengths, 4);
    struct packed_rows rows = packed(examples, order, 4, 10);
    assert_whole(&rows, examples, 4, 10);
    assert_int_equal(rows.rows, 2);
    /* 3 comes first, so its row does; of the two long ones, 1 is met first. */
    assert_int_equal(rows.examples[0], 3);
    for (int32_t row = 0; row < 2; row++) {
        assert_true(rows.examples[rows.starts[row]] == 3 || rows.examples[rows.starts[row]] == 1);
    }
    packed_rows_free(&rows);
}

static void full_rows_and_single_ones(void **state)
{
    (void)state;
    static const int32_t lengths[] = {10, 10, 2, 64, 63, 65};
    struct example examples[6];
    fill(examples, lengths, 6);
    struct packed_rows rows = packed(examples, NULL, 2, 10);
    assert_int_equal(rows.rows, 2);
    packed_rows_free(&rows);
    rows = packed(&examples[2], NULL, 1, 2);
    assert_int_equal(rows.rows, 1);
    assert_int_equal(rows.longest, 2);
    packed_rows_free(&rows);
    rows = packed(examples, NULL, 6, 128); /* spaces around the edge of a word of 64 */
    assert_whole(&rows, examples, 6, 128);
    assert_int_equal(rows.rows, 2);
    packed_rows_free(&rows);
}

/* What the rule says, by looking at every row. */
static int32_t rows_by_hand(const struct example *examples, size_t count, int32_t max_length)
{
    static int32_t space[MOST];
    int32_t rows = 0;
    for (int32_t length = max_length; length > 0; length--) {
        for (size_t i = 0; i < count; i++) {
            if (examples[i].length != length) {
                continue;
            }
            int32_t best = -1;
            for (int32_t row = 0; row < rows; row++) {
                if (space[row] >= length && (best < 0 || space[row] < space[best])) {
                    best = row;
                }
            }
            if (best < 0) {
                best = rows++;
                space[best] = max_length;
            }
            space[best] -= length;
        }
    }
    return rows;
}

static void many_examples_in_any_order(void **state)
{
    (void)state;
    static struct example examples[MOST];
    int64_t order[MOST];
    for (uint64_t round = 0; round < 20; round++) {
        int32_t max_length = 20 + (int32_t)(round * 37);
        for (size_t i = 0; i < MOST; i++) {
            double x = random_uniform(round, RANDOM_MIX, 1, i);
            examples[i].length = 2 + (int32_t)(x * x * (max_length - 2) + 0.5);
        }
        struct packed_rows rows = packed(examples, NULL, MOST, max_length);
        assert_whole(&rows, examples, MOST, max_length);
        assert_int_equal(rows.rows, rows_by_hand(examples, MOST, max_length));
        random_permutation(order, MOST, 1, RANDOM_SHUFFLE, round);
        struct packed_rows shuffled = packed(examples, order, MOST, max_length);
        assert_whole(&shuffled, examples, MOST, max_length);
        assert_int_equal(shuffled.rows, rows.rows);
        assert_int_equal(shuffled.examples[0], order[0]);
        packed_rows_free(&shuffled);
        packed_rows_free(&rows);
    }
}

static void memory_runs_out(void **state)
{
    (void)state;
    static const int32_t lengths[] = {2, 7, 3};
    struct example examples[3];
    fill(examples, lengths, 3);
    long n = 1;
    for (;; n++) {
        struct err err;
        struct packed_rows rows = {0};
        mem_fail_at(n);
        int result = packed_rows_fill(&rows, examples, NULL, 3, 10, &err);
        mem_fail_at(0);
        if (result == 0) {
            packed_rows_free(&rows);
            break;
        }
        assert_null(rows.examples);
    }
    assert_int_equal(n, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(best_fit_decreasing),       cmocka_unit_test(the_order_decides_who_comes_first),
        cmocka_unit_test(full_rows_and_single_ones), cmocka_unit_test(many_examples_in_any_order),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
