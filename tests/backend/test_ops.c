/*
 * tests/backend/test_ops.c - the values of every operation on every backend, against the reference.
 *
 * The backends run inside the guarded one, so a kernel that reads or writes past the end of an array is found as well;
 * each case runs twice, the second time with its arrays off the alignment that alloc() gives, and must give the same
 * bits. `test-backend-ops time` prints how long the operations take at the sizes of a small real model instead
 * (SmolLM2-135M, 2048 tokens).
 */
#include "base/mem.h"
#include "helper_backends.h"
#include "helper_cases.h"
#include "helper_time.h"
#include "support/cmocka.h"
#include "support/guarded_backend.h"
#include "support/numbers.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

struct setting {
    struct backends backends;
    struct backend *reference_f32, *reference_bf16;
};

static int set_up(void **state)
{
    static struct setting setting;
    struct err err;
    struct backend *guarded;
    backends_open(&setting.backends, 2, true);
    /* The guard itself must not change a bit of what it guards. */
    assert_int_equal(guarded_backend_create(&guarded, backends_reference(DTYPE_F32), &err), 0);
    setting.backends.list[setting.backends.count++] = guarded;
    setting.reference_f32 = backends_reference(DTYPE_F32);
    setting.reference_bf16 = backends_reference(DTYPE_BF16);
    *state = &setting;
    return 0;
}

static int tear_down(void **state)
{
    struct setting *setting = *state;
    backends_close(&setting->backends);
    setting->reference_f32->free(setting->reference_f32);
    setting->reference_bf16->free(setting->reference_bf16);
    return 0;
}

static void compare_with_reference(struct op_case *c, void *context)
{
    struct setting *setting = context;
    struct op_result f32 = {{NULL}}, bf16;
    if (op_fits(c, setting->reference_f32)) {
        op_run(&f32, setting->reference_f32, c, 0);
    }
    op_run(&bf16, setting->reference_bf16, c, 0);
    for (int i = 0; i < setting->backends.count; i++) {
        struct backend *backend = setting->backends.list[i];
        struct op_result result, shifted;
        if (!op_fits(c, backend)) {
            continue;
        }
        op_run(&result, backend, c, 0);
        op_compare(c, backend->compute == DTYPE_BF16 ? &bf16 : &f32, &result, c->tolerance[backend->compute],
                   backend->name);
        op_run(&shifted, backend, c, 3);
        op_compare(c, &result, &shifted, OP_BIT_FOR_BIT, backend->name);
        op_result_free(&result);
        op_result_free(&shifted);
    }
    op_result_free(&f32);
    op_result_free(&bf16);
}

#define X(name, args)                                                                                                  \
    static void test_values_of_##name(void **state)                                                                    \
    {                                                                                                                  \
        cases_each(BACKEND_##name, compare_with_reference, *state);                                                    \
    }
BACKEND_OPERATIONS(X)
#undef X

/* NaN and infinity go through products and sums, so that a broken step is seen. */
static void test_nan_is_not_lost(void **state)
{
    const struct setting *setting = *state;
    for (int i = 0; i < setting->backends.count; i++) {
        struct op_case c;
        struct op_result result;
        case_linear(&c, &(struct linear_spec){.rows = 3, .inputs = 64, .outputs = 33});
        op_values(&c, "x")[64 + 7] = NAN;
        op_run(&result, setting->backends.list[i], &c, 0);
        for (int o = 0; o < 33; o++) {
            assert_true(isfinite(op_output(&result, &c, "y")[o]));
            assert_true(isnan(op_output(&result, &c, "y")[33 + o]));
        }
        op_result_free(&result);
        op_free(&c);

        case_sum_squares(&c, &(struct arena_spec)ARENA_OF_ONE(1000));
        op_values(&c, "x")[999] = NAN;
        op_run(&result, setting->backends.list[i], &c, 0);
        assert_true(isnan(*(const double *)(const void *)op_output(&result, &c, "out")));
        op_result_free(&result);
        op_free(&c);
    }
}

/* A step whose gradient is not finite, and elements between tensors, are left alone bit for bit. */
static void test_adamw_leaves_alone(void **state)
{
    const struct setting *setting = *state;
    static const char *const fields[] = {"master", "m", "v"};
    const struct arena_spec arena = {.tensors = {{2, 19, 1}, {24, 1, 0}, {32, 40, 1}}, .tail = 5};
    for (int i = 0; i < 2 * setting->backends.count; i++) {
        struct op_case c;
        struct op_result result;
        const bool finite = i % 2;
        case_adamw(&c, &(struct adamw_spec){arena, 3, 0.1, 1, finite ? 4 : (double)NAN});
        op_run(&result, setting->backends.list[i / 2], &c, 0);
        for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
            const float *before = op_values(&c, fields[f]), *after = op_output(&result, &c, fields[f]);
            for (int64_t j = 0; j < c.arguments.adamw.count; j++) {
                const bool inside = (j >= 2 && j < 21) || j == 24 || (j >= 32 && j < 72);
                assert_int_equal(memcmp(&before[j], &after[j], sizeof *before) != 0, finite && inside);
            }
        }
        op_result_free(&result);
        op_free(&c);
    }
}

int main(int count, char **arguments)
{
    if (count > 1 && strcmp(arguments[1], "time") == 0) {
        return time_operations();
    }
    const struct CMUnitTest tests[] = {
#define X(name, args) cmocka_unit_test(test_values_of_##name),
        BACKEND_OPERATIONS(X)
#undef X
            cmocka_unit_test(test_nan_is_not_lost),
        cmocka_unit_test(test_adamw_leaves_alone),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
