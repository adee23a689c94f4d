/* The smaller and the larger number, of every type. */
#include "base/minmax.h"
#include "support/cmocka.h"
#include <math.h>

static void types_keep_their_range(void **state)
{
    (void)state;
    int32_t small = -3;
    int64_t whole = INT64_MAX - 1;
    size_t size = SIZE_MAX - 1;
    assert_int_equal(min(small, 2), -3);
    assert_int_equal(max(small, 2), 2);
    assert_true(max(whole, INT64_MAX) == INT64_MAX && min(whole, INT64_MAX) == whole && max(whole, small) == whole);
    assert_true(max(size, 5) == size && min(size, SIZE_MAX) == size);
    assert_true(min(0.25f, 0.5f) == 0.25f && sizeof min(0.25f, 0.5f) == sizeof(float));
    assert_true(max(1e300, small) == 1e300);
}

static void arguments_are_evaluated_once(void **state)
{
    (void)state;
    int calls = 0;
    assert_int_equal(max(++calls, 0), 1);
    assert_int_equal(min(calls++, 9), 1);
    assert_int_equal(clamp(calls++, 0, 9), 2);
    assert_int_equal(calls, 3);
}

static void clamped(void **state)
{
    (void)state;
    assert_int_equal(clamp(-1, 0, 9), 0);
    assert_int_equal(clamp(4, 0, 9), 4);
    assert_int_equal(clamp(10, 0, 9), 9);
    assert_true(isnan(clamp((double)NAN, 0, 1)) && isnan(min(1.0, (double)NAN)) && max((double)NAN, 1.0) == 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_keep_their_range),
        cmocka_unit_test(arguments_are_evaluated_once),
        cmocka_unit_test(clamped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
