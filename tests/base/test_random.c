/* The generator against its authors' vectors, and the distributions drawn from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/random.h"
#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Random123 1.14, tests/kat_vectors, lines "philox4x32 10". */
static void philox_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } vectors[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint32_t out[4];
        random_philox(out, vectors[i].counter, vectors[i].key);
        assert_memory_equal(out, vectors[i].out, sizeof out);
    }
}

/* What runs drew yesterday they must draw tomorrow: a checkpoint is resumed with these. */
static void values_stay_what_they_are(void **state)
{
    (void)state;
    assert_int_equal(random_u64(0, RANDOM_INIT, 0, 0), UINT64_C(0x24cbd2fba9e39636));
    assert_int_equal(random_u64(42, RANDOM_SHUFFLE, 3, UINT64_C(0x100000007)), UINT64_C(0x9e014452675674ec));
    int64_t order[6];
    random_permutation(order, 6, 42, RANDOM_SHUFFLE, 0);
    static const int64_t expected[6] = {1, 4, 2, 5, 0, 3};
    assert_memory_equal(order, expected, sizeof order);
}

static void every_part_of_the_key_counts(void **state)
{
    (void)state;
    uint64_t base = random_u64(1, 2, 3, 4);
    for (int bit = 0; bit < 64; bit++) {
        uint64_t flip = UINT64_C(1) << bit;
        assert_int_not_equal(base, random_u64(1 ^ flip, 2, 3, 4));
        assert_int_not_equal(base, random_u64(1, 2, 3 ^ flip, 4));
        assert_int_not_equal(base, random_u64(1, 2, 3, 4 ^ flip));
        assert_int_not_equal(base, random_u64(1, 2 ^ (uint32_t)(flip >> 32 | flip), 3, 4));
    }
}

static void uniform_is_uniform(void **state)
{
    (void)state;
    enum { DRAWS = 200000, CELLS = 50 };
    int cells[CELLS] = {0};
    double sum = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double value = random_uniform(7, RANDOM_DROPOUT, i / 1000, i % 1000);
        assert_true(value >= 0 && value < 1);
        cells[(int)(value * CELLS)]++;
        sum += value;
    }
    assert_true(fabs(sum / DRAWS - 0.5) < 5 * sqrt(1.0 / 12 / DRAWS));
    double chi_squared = 0;
    for (int i = 0; i < CELLS; i++) {
        double expected = (double)DRAWS / CELLS;
        chi_squared += (cells[i] - expected) * (cells[i] - expected) / expected;
    }
    /* 49 degrees of freedom: mean 49, deviation 9.9. */
    assert_true(chi_squared > 15 && chi_squared < 95);
}

static void normal_is_normal(void **state)
{
    (void)state;
    enum { DRAWS = 200000 };
    double sums[5] = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        double value = random_normal(7, RANDOM_INIT, 0, i);
        assert_true(isfinite(value));
        for (int power = 1; power <= 4; power++) {
            sums[power] += pow(value, power);
        }
    }
    assert_true(fabs(sums[1] / DRAWS) < 5 * sqrt(1.0 / DRAWS));
    assert_true(fabs(sums[2] / DRAWS - 1) < 5 * sqrt(2.0 / DRAWS));
    assert_true(fabs(sums[3] / DRAWS) < 5 * sqrt(15.0 / DRAWS));
    assert_true(fabs(sums[4] / DRAWS - 3) < 5 * sqrt(96.0 / DRAWS));
}

static void permutations_hold_everything_once(void **state)
{
    (void)state;
    struct err err;
    for (size_t count = 0; count < 2000; count = count * 3 / 2 + 1) {
        int64_t *order = mem_alloc(count, sizeof *order, &err), *again = mem_alloc(count, sizeof *again, &err);
        bool *seen = mem_alloc(count, sizeof *seen, &err);
        assert_true(order && again && seen);
        random_permutation(order, count, 1, RANDOM_SHUFFLE, 5);
        for (size_t i = 0; i < count; i++) {
            assert_in_range(order[i], 0, count - 1);
            assert_false(seen[order[i]]);
            seen[order[i]] = true;
        }
        random_permutation(again, count, 1, RANDOM_SHUFFLE, 5);
        assert_memory_equal(order, again, count * sizeof *order);
        random_permutation(again, count, 1, RANDOM_SHUFFLE, 6);
        if (count > 20) {
            assert_memory_not_equal(order, again, count * sizeof *order);
        }
        mem_free(order);
        mem_free(again);
        mem_free(seen);
    }
}

/* All 24 orders of four things come equally often. */
static void permutations_are_even(void **state)
{
    (void)state;
    enum { ROUNDS = 48000 };
    int counts[256] = {0};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        int64_t order[4];
        random_permutation(order, 4, 9, RANDOM_SHUFFLE, round);
        counts[order[0] | order[1] << 2 | order[2] << 4 | order[3] << 6]++;
    }
    int kinds = 0;
    for (int i = 0; i < 256; i++) {
        if (counts[i] > 0) {
            kinds++;
            assert_in_range(counts[i], 2000 - 250, 2000 + 250);
        }
    }
    assert_int_equal(kinds, 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(values_stay_what_they_are),
        cmocka_unit_test(every_part_of_the_key_counts),
        cmocka_unit_test(uniform_is_uniform),
        cmocka_unit_test(normal_is_normal),
        cmocka_unit_test(permutations_hold_everything_once),
        cmocka_unit_test(permutations_are_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
