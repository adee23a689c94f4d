/*
 * tests/backend/test_rounding.c - where numbers of f32 become bf16, they go to the nearest, and ties to the even one.
 *
 * Three places round: what norm and the gated unit write in bf16, the operands of products, and weights when they are
 * prepared. Each is made to pass single numbers through unchanged but for the rounding, on every instruction set that
 * this machine has. Numbers below the smallest normal one may become zero there: a processor's own rounding takes them
 * for that.
 */
#include "backend/cpu/cpu.h"
#include "base/random.h"
#include "helper_backends.h"
#include "helper_cases.h"
#include "support/cmocka.h"
#include "support/numbers.h"
#include <float.h>
#include <math.h>
#include <string.h>

static int set_up(void **state)
{
    static struct backends backends;
    backends_open(&backends, 2, false);
    backends.list[backends.count++] = backends_reference(DTYPE_BF16);
    *state = &backends;
    return 0;
}

static int tear_down(void **state)
{
    backends_close(*state);
    return 0;
}

/*
 * Every third number is one where rounding is a decision: a tie to the lower and to the upper neighbour, the same
 * beside a tie, what overflows to infinity, infinities, a NaN whose bits would all be cut off, a denormal that stays
 * one and those next to it, and minus zero. The others are random.
 */
static float number(int64_t i)
{
    static const uint32_t decisions[] = {0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x7f7fffff,
                                         0xff7fffff, 0x7f800000, 0xff800000, 0x7f800001, 0xffc00000,
                                         0x00000001, 0x80008000, 0x00018000, 0x80000000};
    const size_t count = sizeof decisions / sizeof *decisions;
    float value = (float)random_normal(3, RANDOM_INIT, 4, (uint64_t)i);
    if (i % 3 == 2) {
        memcpy(&value, &decisions[(size_t)(i / 3) % count], sizeof value);
    }
    return value;
}

static void fill(float *values, int64_t count, float value)
{
    for (int64_t i = 0; i < count; i++) {
        values[i] = value;
    }
}

/* `found` is what came of number `i`, whose value was `value`. */
static void check(const struct op_case *c, const struct backend *backend, int64_t i, float value, float found)
{
    const float expected = bf16_round(value);
    const bool tiny = fabsf(value) < FLT_MIN && fabsf(found) <= FLT_MIN;
    if (!(tiny || found == expected || (isnan(found) && isnan(expected)))) {
        fail_msg("%s on %s: number %lld, %a, is rounded to %a and not to %a", c->name, backend->name, (long long)i,
                 (double)value, (double)found, (double)expected);
    }
}

/* Runs the case where there is arithmetic for it; the caller frees *result where this is true. */
static bool run(struct op_result *result, const struct op_case *c, struct backend *backend)
{
    if (backend->compute != DTYPE_BF16) {
        return false;
    }
    op_run(result, backend, c, 0);
    return true;
}

static void check_written(const struct op_case *c, const struct backend *backend, const struct op_result *result,
                          const char *field, const float *values, int64_t columns)
{
    const uint16_t *written = (const uint16_t *)(const void *)op_output(result, c, field);
    for (int64_t i = 0; i < op_count(c, field); i++) {
        check(c, backend, i, values[i % columns], float_from_bf16(written[i]));
    }
}

/* Rows of ones have a norm of 1: the weights are what is written. */
static void test_norm(void **state)
{
    struct backends *backends = *state;
    for (int i = 0; i < backends->count; i++) {
        struct op_case c;
        struct op_result result;
        const int32_t columns = 149;
        case_norm(&c, &(struct norm_spec){.rows = 5, .columns = columns, .y_dtype = DTYPE_BF16});
        c.arguments.norm.epsilon = 0;
        fill(op_values(&c, "x"), op_count(&c, "x"), 1);
        float *weight = op_values(&c, "weight");
        for (int32_t k = 0; k < columns; k++) {
            weight[k] = number(k);
        }
        if (run(&result, &c, backends->list[i])) {
            check_written(&c, backends->list[i], &result, "y", weight, columns);
            op_result_free(&result);
        }
        op_free(&c);
    }
}

/* In f32, silu(64) is 64: a factor of 1/64 is undone, unless it makes a number too small to be kept whole. */
static void test_gated(void **state)
{
    struct backends *backends = *state;
    for (int i = 0; i < backends->count; i++) {
        struct op_case c;
        struct op_result result;
        const int64_t count = 149;
        float products[149];
        case_gated(&c, &(struct gated_spec){.count = count, .out_dtype = DTYPE_BF16});
        float *gate = op_values(&c, "gate"), *up = op_values(&c, "up");
        for (int64_t k = 0; k < count; k++) {
            gate[k] = 64;
            up[k] = number(k) / 64;
            products[k] = gate[k] * up[k];
        }
        if (run(&result, &c, backends->list[i])) {
            check_written(&c, backends->list[i], &result, "out", products, count);
            op_result_free(&result);
        }
        op_free(&c);
    }
}

/* Few rows and many, and an inner dimension in one piece and in several. */
static const struct linear_spec specs[] = {
    {.rows = 3, .inputs = 33, .outputs = 20},
    {.rows = 9, .inputs = 700, .outputs = 43},
    {.rows = 130, .inputs = 65, .outputs = 100},
};
#define SPECS (sizeof specs / sizeof *specs)

/* Each row has one number at a place of its own, and zeros: times ones, each output is that number. */
static void put_one_a_row(float *values, int64_t rows, int64_t columns)
{
    fill(values, rows * columns, 0);
    for (int64_t r = 0; r < rows; r++) {
        values[r * columns + r * 7 % columns] = number(r);
    }
}

static void test_rows_of_linear(void **state)
{
    struct backends *backends = *state;
    for (size_t i = 0; i < SPECS * (size_t)backends->count; i++) {
        const struct linear_spec *spec = &specs[i % SPECS];
        struct backend *backend = backends->list[i / SPECS];
        struct op_case c;
        struct op_result result;
        case_linear(&c, spec);
        put_one_a_row(op_values(&c, "x"), spec->rows, spec->inputs);
        fill(op_values(&c, "w"), (int64_t)spec->outputs * spec->inputs, 1);
        if (run(&result, &c, backend)) {
            const float *y = op_output(&result, &c, "y");
            for (int64_t k = 0; k < (int64_t)spec->rows * spec->outputs; k++) {
                check(&c, backend, k / spec->outputs, number(k / spec->outputs), y[k]);
            }
            op_result_free(&result);
        }
        op_free(&c);
    }
}

static void test_weight_of_linear(void **state)
{
    struct backends *backends = *state;
    for (size_t i = 0; i < SPECS * (size_t)backends->count; i++) {
        const struct linear_spec *spec = &specs[i % SPECS];
        struct backend *backend = backends->list[i / SPECS];
        struct op_case c;
        struct op_result result;
        case_linear(&c, spec);
        fill(op_values(&c, "x"), (int64_t)spec->rows * spec->inputs, 1);
        put_one_a_row(op_values(&c, "w"), spec->outputs, spec->inputs);
        if (run(&result, &c, backend)) {
            const float *y = op_output(&result, &c, "y");
            for (int64_t k = 0; k < (int64_t)spec->rows * spec->outputs; k++) {
                check(&c, backend, k % spec->outputs, number(k % spec->outputs), y[k]);
            }
            op_result_free(&result);
        }
        op_free(&c);
    }
}

static void test_rows_of_linear_backward(void **state)
{
    struct backends *backends = *state;
    for (size_t i = 0; i < SPECS * (size_t)backends->count; i++) {
        const struct linear_spec *spec = &specs[i % SPECS];
        struct backend *backend = backends->list[i / SPECS];
        struct op_case c;
        struct op_result result;
        case_linear_backward(&c, spec);
        put_one_a_row(op_values(&c, "dy"), spec->rows, spec->outputs);
        fill(op_values(&c, "w"), (int64_t)spec->outputs * spec->inputs, 1);
        if (run(&result, &c, backend)) {
            const float *dx = op_output(&result, &c, "dx");
            for (int64_t k = 0; k < (int64_t)spec->rows * spec->inputs; k++) {
                check(&c, backend, k / spec->inputs, number(k / spec->inputs), dx[k]);
            }
            op_result_free(&result);
        }
        op_free(&c);
    }
}

/* One number a column of dy or of x, and ones in the other: dw has that number in a row or in a column. */
static void check_weight_backward(struct backend *backend, const struct linear_spec *spec, const char *numbers,
                                  const char *ones, bool of_outputs)
{
    struct op_case c;
    struct op_result result;
    const int64_t columns = of_outputs ? spec->outputs : spec->inputs;
    case_linear_weight_backward(&c, spec);
    float *values = op_values(&c, numbers);
    fill(values, op_count(&c, numbers), 0);
    for (int64_t k = 0; k < columns; k++) {
        values[k * 7 % spec->rows * columns + k] = number(k);
    }
    fill(op_values(&c, ones), op_count(&c, ones), 1);
    fill(op_values(&c, "dw"), op_count(&c, "dw"), 0);
    if (run(&result, &c, backend)) {
        const float *dw = op_output(&result, &c, "dw");
        for (int64_t k = 0; k < (int64_t)spec->outputs * spec->inputs; k++) {
            const int64_t column = of_outputs ? k / spec->inputs : k % spec->inputs;
            check(&c, backend, column, number(column), dw[k]);
        }
        op_result_free(&result);
    }
    op_free(&c);
}

static void test_rows_of_linear_weight_backward(void **state)
{
    struct backends *backends = *state;
    for (size_t i = 0; i < SPECS * (size_t)backends->count; i++) {
        check_weight_backward(backends->list[i / SPECS], &specs[i % SPECS], "dy", "x", true);
        check_weight_backward(backends->list[i / SPECS], &specs[i % SPECS], "x", "dy", false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norm),
        cmocka_unit_test(test_gated),
        cmocka_unit_test(test_rows_of_linear),
        cmocka_unit_test(test_weight_of_linear),
        cmocka_unit_test(test_rows_of_linear_backward),
        cmocka_unit_test(test_rows_of_linear_weight_backward),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
