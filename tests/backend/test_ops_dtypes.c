/*
 * tests/backend/test_ops_dtypes.c - rows in bf16 are f32 rows rounded, bit for bit, on every backend that takes them.
 *
 * A product rounds its operands, so rows that were rounded before give the bits that f32 rows give which hold the same
 * numbers; and what an operation writes in bf16 is what it writes in f32, rounded. Numbers below the smallest normal
 * one are left out: a processor's own rounding may take them for zero.
 */
#include "helper_backends.h"
#include "helper_cases.h"
#include "support/cmocka.h"
#include "support/numbers.h"
#include <float.h>
#include <math.h>
#include <string.h>

struct setting {
    struct backends backends;
    int compared; /* cases with rows in bf16 so far */
};

static int set_up(void **state)
{
    static struct setting setting;
    backends_open(&setting.backends, 2, false);
    setting.backends.list[setting.backends.count++] = backends_reference(DTYPE_BF16);
    *state = &setting;
    return 0;
}

static int tear_down(void **state)
{
    struct setting *setting = *state;
    backends_close(&setting->backends);
    return 0;
}

static bool same_rounded(float wide, uint16_t bits)
{
    return bf16_from_float(wide) == bits || (fabsf(wide) < FLT_MIN && fabsf(float_from_bf16(bits)) <= FLT_MIN);
}

/* `wide` are the results of `widened`, `bf16` those of the case itself. */
static void compare(const struct op_case *c, const struct op_result *bf16, const struct op_case *widened,
                    const struct op_result *wide, const struct backend *backend)
{
    for (int i = 0; i < c->array_count; i++) {
        const struct op_array *array = &c->arrays[i];
        const size_t size = op_element_size(widened->arrays[i].element);
        for (int64_t j = 0; array->role != OP_INPUT && j < array->rows * array->columns; j++) {
            const char *expected = (const char *)wide->values[i] + (size_t)j * size;
            bool same = array->element == OP_BF16
                            ? same_rounded(((const float *)wide->values[i])[j], ((const uint16_t *)bf16->values[i])[j])
                            : memcmp(expected, (const char *)bf16->values[i] + (size_t)j * size, size) == 0;
            if (!same) {
                fail_msg("%s on %s: %s [%lld, %lld] is not what rows in f32 give", c->name, backend->name, array->field,
                         (long long)(j / array->columns), (long long)(j % array->columns));
            }
        }
    }
}

static void visit_dtypes(struct op_case *c, void *context)
{
    struct setting *setting = context;
    struct op_case widened;
    if (c->dtype_count == 0) {
        return;
    }
    op_widen(&widened, c);
    for (int i = 0; i < setting->backends.count; i++) {
        struct backend *backend = setting->backends.list[i];
        struct op_result bf16, wide;
        if (!op_fits(c, backend)) {
            continue;
        }
        op_run(&bf16, backend, c, 0);
        op_run(&wide, backend, &widened, 0);
        compare(c, &bf16, &widened, &wide, backend);
        op_result_free(&bf16);
        op_result_free(&wide);
        setting->compared++;
    }
    op_free(&widened);
}

#define OPERATIONS X(norm) X(gated) X(gated_backward) X(linear) X(linear_backward) X(linear_weight_backward)
#define X(name)                                                                                                        \
    static void test_##name(void **state)                                                                              \
    {                                                                                                                  \
        struct setting *setting = *state;                                                                              \
        const int before = setting->compared;                                                                          \
        cases_each(BACKEND_##name, visit_dtypes, setting);                                                             \
        assert_true(setting->compared > before);                                                                       \
    }
OPERATIONS
#undef X

int main(void)
{
    const struct CMUnitTest tests[] = {
#define X(name) cmocka_unit_test(test_##name),
        OPERATIONS
#undef X
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
