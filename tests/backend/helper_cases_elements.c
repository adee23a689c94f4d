/* tests/backend/helper_cases_elements.c - cases of norms, scores, gated units, rows and elements; see helper_cases.h.
 */
#include "base/random.h"
#include "helper_cases.h"
#include "support/cmocka.h"
#include "support/numbers.h"
#include <math.h>
#include <string.h>

static void bit_for_bit(struct op_case *c)
{
    c->tolerance[DTYPE_F32] = c->tolerance[DTYPE_BF16] = OP_BIT_FOR_BIT;
}

/* ---- norm ---- */

void case_norm(struct op_case *c, const struct norm_spec *spec)
{
    static const char *const places[] = {"no sum", "sum", "sum in x", "y in x"};
    op_begin(c, BACKEND_norm, "%d rows of %d columns, %s%s%s, y in %s", spec->rows, spec->columns, places[spec->place],
             spec->residual ? ", residual" : "", spec->rstd ? ", rstd" : "", dtype_name(spec->y_dtype));
    struct norm_args *a = &c->arguments.norm;
    a->columns = spec->columns;
    a->epsilon = 1e-5F;
    OP_DTYPE(c, a, y_dtype, spec->y_dtype);
    OP_ROW_COUNT(c, a, rows, spec->rows);
    OP_ROWS(c, a, x, OP_INPUT, spec->columns);
    OP_ARRAY(c, a, weight, OP_INPUT, spec->columns);
    if (spec->residual) {
        OP_ROWS(c, a, residual, OP_INPUT, spec->columns);
    }
    if (spec->place == NORM_SUM) {
        OP_ROWS(c, a, sum, OP_SET, spec->columns);
    } else if (spec->place == NORM_SUM_IS_X) {
        OP_IN_PLACE(c, a, sum, x);
    }
    if (spec->place == NORM_Y_IS_X) {
        OP_IN_PLACE(c, a, y, x);
    } else {
        OP_ROWS_OF(c, a, y, y_dtype, OP_SET, spec->columns);
    }
    if (spec->rstd) {
        OP_ROWS(c, a, rstd, OP_SET, 1);
    }
    c->limits = (struct backend_limits){.rows = spec->rows, .columns = spec->columns};
    c->bytes = 4.0 * spec->rows * spec->columns * (2 + spec->residual + (spec->place == NORM_SUM));
}

void case_norm_backward(struct op_case *c, const struct norm_spec *spec)
{
    op_begin(c, BACKEND_norm_backward, "%d rows of %d columns%s", spec->rows, spec->columns,
             spec->dweight ? ", dweight" : "");
    struct norm_backward_args *a = &c->arguments.norm_backward;
    a->columns = spec->columns;
    OP_ROW_COUNT(c, a, rows, spec->rows);
    OP_ROWS(c, a, dy, OP_INPUT, spec->columns);
    float *s = OP_ROWS(c, a, s, OP_INPUT, spec->columns);
    OP_ARRAY(c, a, weight, OP_INPUT, spec->columns);
    float *rstd = OP_ROWS(c, a, rstd, OP_INPUT, 1);
    for (int32_t r = 0; r < spec->rows; r++) {
        double squares = 0;
        for (int32_t i = 0; i < spec->columns; i++) {
            squares += pow(s[(int64_t)r * spec->columns + i], 2);
        }
        rstd[r] = (float)(1 / sqrt(squares / spec->columns + 1e-5F));
    }
    OP_ROWS(c, a, dx, OP_ADDED, spec->columns);
    if (spec->dweight) {
        OP_ARRAY(c, a, dweight, OP_ADDED, spec->columns);
    }
    c->limits = (struct backend_limits){.rows = spec->rows, .columns = spec->columns};
    c->bytes = 16.0 * spec->rows * spec->columns;
}

static const struct norm_spec norm_specs[] = {
    {.rows = 1, .columns = 8, .residual = true, .rstd = true, .place = NORM_SUM},
    {.rows = 65, .columns = 33, .dweight = true},
    {.rows = 3, .columns = 576, .rstd = true, .place = NORM_SUM, .dweight = true},
    {.rows = 65, .columns = 64, .residual = true, .rstd = true, .place = NORM_SUM_IS_X, .dweight = true},
    {.rows = 17, .columns = 100, .residual = true, .place = NORM_SUM_IS_X},
    {.rows = 130, .columns = 31, .rstd = true, .place = NORM_Y_IS_X, .dweight = true},
    {.rows = 7, .columns = 64, .residual = true, .place = NORM_Y_IS_X},
    {.rows = 9, .columns = 1, .residual = true, .rstd = true, .place = NORM_NO_SUM, .dweight = true},
};

void cases_norm(case_visit visit, void *context)
{
    CASES(norm, norm_specs);
    const struct norm_spec bf16[] = {
        {.rows = 1, .columns = 1, .rstd = true, .y_dtype = DTYPE_BF16},
        {.rows = 65, .columns = 33, .residual = true, .rstd = true, .place = NORM_SUM, .y_dtype = DTYPE_BF16},
        {.rows = 66, .columns = 97, .residual = true, .place = NORM_SUM_IS_X, .y_dtype = DTYPE_BF16},
        {.rows = 130, .columns = 576, .rstd = true, .y_dtype = DTYPE_BF16},
    };
    CASES(norm, bf16);
}

void cases_norm_backward(case_visit visit, void *context)
{
    CASES(norm_backward, norm_specs);
}

/* ---- scores ---- */

void case_score(struct op_case *c, const struct score_spec *spec)
{
    op_begin(c, BACKEND_score, "%d rows of %d columns", spec->rows, spec->columns);
    struct score_args *a = &c->arguments.score;
    a->columns = spec->columns;
    OP_ROW_COUNT(c, a, rows, spec->rows);
    OP_ROWS(c, a, x, OP_INPUT, spec->columns);
    OP_ARRAY(c, a, w, OP_INPUT, spec->columns);
    OP_ROWS(c, a, y, OP_SET, 1);
    c->limits = (struct backend_limits){.rows = spec->rows, .columns = spec->columns};
    c->bytes = 4.0 * spec->rows * spec->columns;
}

void case_score_backward(struct op_case *c, const struct score_spec *spec)
{
    op_begin(c, BACKEND_score_backward, "%d rows of %d columns%s", spec->rows, spec->columns, spec->dw ? ", dw" : "");
    struct score_backward_args *a = &c->arguments.score_backward;
    a->columns = spec->columns;
    OP_ROW_COUNT(c, a, rows, spec->rows);
    OP_ROWS(c, a, dy, OP_INPUT, 1);
    OP_ROWS(c, a, x, OP_INPUT, spec->columns);
    OP_ARRAY(c, a, w, OP_INPUT, spec->columns);
    OP_ROWS(c, a, dx, OP_SET, spec->columns);
    if (spec->dw) {
        OP_ARRAY(c, a, dw, OP_ADDED, spec->columns);
    }
    c->limits = (struct backend_limits){.rows = spec->rows, .columns = spec->columns};
    c->bytes = 4.0 * spec->rows * spec->columns * (1 + spec->dw);
}

static const struct score_spec score_specs[] = {
    {.rows = 1, .columns = 1, .dw = true},     {.rows = 65, .columns = 33, .dw = true},
    {.rows = 3, .columns = 576, .dw = true},   {.rows = 130, .columns = 31},
    {.rows = 300, .columns = 130, .dw = true}, {.rows = 7, .columns = 1600},
};

void cases_score(case_visit visit, void *context)
{
    CASES(score, score_specs);
}

void cases_score_backward(case_visit visit, void *context)
{
    CASES(score_backward, score_specs);
}

/* ---- gated unit ---- */

/* The ends of f32, where exp() overflows one way or the other. */
static void put_extremes(float *gate, int64_t count)
{
    static const float extremes[] = {100, -100, 88.8F, -88.8F, 0, -0.0F, 1e-30F, -1e-30F, 500, -500};
    for (int64_t i = 0; i < count && i < (int64_t)(sizeof extremes / sizeof *extremes); i++) {
        gate[count - 1 - i] = extremes[i];
    }
}

static void op_maybe_in_place(struct op_case *c, const char *output, const void *place, enum dtype dtype,
                              const char *input)
{
    if (input != NULL) {
        op_in_place(c, output, place, input);
    } else {
        op_array(c, output, place, op_element(dtype), OP_SET, c->rows, 1, true);
    }
}

void case_gated(struct op_case *c, const struct gated_spec *spec)
{
    op_begin(c, BACKEND_gated, "%lld elements%s%s, %s", (long long)spec->count,
             spec->in_place ? ", in the place of " : "", spec->in_place ? spec->in_place : "",
             dtype_name(spec->out_dtype));
    struct gated_args *a = &c->arguments.gated;
    OP_DTYPE(c, a, out_dtype, spec->out_dtype);
    OP_ROW_COUNT(c, a, count, spec->count);
    put_extremes(OP_ROWS(c, a, gate, OP_INPUT, 1), spec->count);
    OP_ROWS(c, a, up, OP_INPUT, 1);
    op_maybe_in_place(c, "out", &a->out, spec->out_dtype, spec->in_place);
    c->bytes = (8.0 + (double)dtype_size(spec->out_dtype)) * (double)spec->count;
}

void case_gated_backward(struct op_case *c, const struct gated_spec *spec)
{
    op_begin(c, BACKEND_gated_backward, "%lld elements, in the places of %s and %s, %s%s%s", (long long)spec->count,
             spec->in_place ? spec->in_place : "none", spec->in_place_up ? spec->in_place_up : "none",
             dtype_name(spec->out_dtype), spec->out ? ", out" : "", spec->in_place_out ? " in place" : "");
    struct gated_backward_args *a = &c->arguments.gated_backward;
    OP_DTYPE(c, a, out_dtype, spec->out_dtype);
    OP_ROW_COUNT(c, a, count, spec->count);
    put_extremes(OP_ROWS(c, a, gate, OP_INPUT, 1), spec->count);
    OP_ROWS(c, a, up, OP_INPUT, 1);
    OP_ROWS(c, a, dout, OP_INPUT, 1);
    op_maybe_in_place(c, "dgate", &a->dgate, spec->out_dtype, spec->in_place);
    op_maybe_in_place(c, "dup", &a->dup, spec->out_dtype, spec->in_place_up);
    if (spec->out) {
        op_maybe_in_place(c, "out", &a->out, spec->out_dtype, spec->in_place_out);
    }
    c->bytes = (12.0 + (spec->out ? 3.0 : 2.0) * (double)dtype_size(spec->out_dtype)) * (double)spec->count;
}

void cases_gated(case_visit visit, void *context)
{
    const struct gated_spec specs[] = {
        {.count = 1},
        {.count = 7},
        {.count = 64, .in_place = "gate"},
        {.count = 100, .in_place = "up"},
        {.count = 100003},
        {.count = 4099, .in_place = "gate"},
        {.count = 1, .out_dtype = DTYPE_BF16},
        {.count = 33, .out_dtype = DTYPE_BF16},
        {.count = 97 * 33, .out_dtype = DTYPE_BF16},
        {.count = 100003, .out_dtype = DTYPE_BF16},
    };
    CASES(gated, specs);
}

void cases_gated_backward(case_visit visit, void *context)
{
    const struct gated_spec specs[] = {
        {.count = 1},
        {.count = 33, .in_place = "gate", .in_place_up = "up"},
        {.count = 100, .in_place = "up", .in_place_up = "gate"},
        {.count = 1000, .in_place = "dout", .in_place_up = "up"},
        {.count = 1001, .in_place = "gate", .in_place_up = "dout"},
        {.count = 1002, .in_place = "up", .in_place_up = "dout"},
        {.count = 1003, .in_place = "dout", .in_place_up = "gate"},
        {.count = 1004, .in_place_up = "gate"},
        {.count = 100003, .in_place = "gate", .in_place_up = "up"},
        {.count = 1, .out = true},
        {.count = 97, .out = true},
        {.count = 1000, .in_place = "gate", .in_place_up = "up", .out = true},
        {.count = 1001, .in_place = "gate", .in_place_up = "up", .in_place_out = "dout", .out = true},
        {.count = 1002, .in_place = "dout", .in_place_up = "gate", .in_place_out = "up", .out = true},
        {.count = 4099, .in_place_out = "gate", .out = true},
        {.count = 1, .out = true, .out_dtype = DTYPE_BF16},
        {.count = 33, .out_dtype = DTYPE_BF16},
        {.count = 97 * 33, .out = true, .out_dtype = DTYPE_BF16},
        {.count = 100003, .out = true, .out_dtype = DTYPE_BF16},
    };
    CASES(gated_backward, specs);
}

/* ---- rows ---- */

static struct rows_args *begin_rows(struct op_case *c, enum backend_operation operation, const struct rows_spec *spec)
{
    op_begin(c, operation, "%d rows of %d, %d columns", spec->rows, spec->of, spec->columns);
    struct rows_args *a = &c->arguments.gather_rows;
    a->columns = spec->columns;
    OP_ROW_COUNT(c, a, rows, spec->rows);
    bit_for_bit(c);
    c->limits =
        (struct backend_limits){.rows = spec->rows > spec->of ? spec->rows : spec->of, .columns = spec->columns};
    c->bytes = 8.0 * spec->rows * spec->columns;
    return a;
}

static void draw_index(int32_t *index, const struct rows_spec *spec)
{
    for (int32_t i = 0; i < spec->rows; i++) {
        index[i] = (int32_t)(random_u64(9, RANDOM_INIT, 2, (uint64_t)i) % (uint64_t)spec->of);
    }
}

void case_gather_rows(struct op_case *c, const struct rows_spec *spec)
{
    struct rows_args *a = begin_rows(c, BACKEND_gather_rows, spec);
    draw_index(OP_ROWS(c, a, index, OP_INPUT, 1), spec);
    OP_ARRAY(c, a, src, OP_INPUT, (int64_t)spec->of * spec->columns);
    OP_ROWS(c, a, dst, OP_SET, spec->columns);
}

/* Rows that no index names keep what they hold. */
void case_scatter_rows(struct op_case *c, const struct rows_spec *spec)
{
    struct rows_args *a = begin_rows(c, BACKEND_scatter_rows, spec);
    int64_t order[1024];
    assert_true(spec->of <= 1024 && spec->rows <= spec->of);
    random_permutation(order, (size_t)spec->of, 9, RANDOM_INIT, 3);
    int32_t *index = OP_ROWS(c, a, index, OP_INPUT, 1);
    for (int32_t i = 0; i < spec->rows; i++) {
        index[i] = (int32_t)order[i];
    }
    OP_ROWS(c, a, src, OP_INPUT, spec->columns);
    OP_ARRAY(c, a, dst, OP_ADDED, (int64_t)spec->of * spec->columns);
}

void case_scatter_add_rows(struct op_case *c, const struct rows_spec *spec)
{
    struct rows_args *a = begin_rows(c, BACKEND_scatter_add_rows, spec);
    draw_index(OP_ROWS(c, a, index, OP_INPUT, 1), spec);
    OP_ROWS(c, a, src, OP_INPUT, spec->columns);
    OP_ARRAY(c, a, dst, OP_ADDED, (int64_t)spec->of * spec->columns);
}

static const struct rows_spec rows_specs[] = {{1, 1, 1}, {1, 64, 9}, {65, 33, 97}, {40, 100, 41}, {7, 576, 130}};

void cases_gather_rows(case_visit visit, void *context)
{
    CASES(gather_rows, rows_specs);
    const struct rows_spec more_than_there_are[] = {{130, 17, 5}};
    CASES(gather_rows, more_than_there_are);
}

void cases_scatter_rows(case_visit visit, void *context)
{
    CASES(scatter_rows, rows_specs);
}

void cases_scatter_add_rows(case_visit visit, void *context)
{
    CASES(scatter_add_rows, rows_specs);
    const struct rows_spec many_on_one[] = {{130, 17, 5}};
    CASES(scatter_add_rows, many_on_one);
}

/* ---- elements ---- */

void case_fill(struct op_case *c, int64_t count)
{
    op_begin(c, BACKEND_fill, "%lld elements", (long long)count);
    struct fill_args *a = &c->arguments.fill;
    a->value = -1.25F;
    OP_ROW_COUNT(c, a, count, count);
    OP_ROWS(c, a, x, OP_SET, 1);
    bit_for_bit(c);
    c->bytes = 4.0 * (double)count;
}

/* Adds the table of tensors; returns how many elements the arena has. */
static int64_t add_tensors(struct op_case *c, const struct arena_spec *spec, const struct arena_tensor **place,
                           int32_t *tensor_count)
{
    int32_t count = 0;
    while (count < (int32_t)(sizeof spec->tensors / sizeof *spec->tensors) && spec->tensors[count].count > 0) {
        count++;
    }
    *tensor_count = count;
    struct arena_tensor *tensors = op_array(c, "tensors", place, OP_TENSOR, OP_INPUT, count, 1, false);
    memcpy(tensors, spec->tensors, (size_t)count * sizeof *tensors);
    return tensors[count - 1].offset + tensors[count - 1].count + spec->tail;
}

void case_sum_squares(struct op_case *c, const struct arena_spec *spec)
{
    op_begin(c, BACKEND_sum_squares, "tensors from %lld elements", (long long)spec->tensors[0].count);
    struct sum_squares_args *a = &c->arguments.sum_squares;
    a->count = add_tensors(c, spec, &a->tensors, &a->tensor_count);
    OP_ARRAY(c, a, x, OP_INPUT, a->count);
    OP_ARRAY(c, a, out, OP_SET, 1);
    c->tolerance[DTYPE_F32] = c->tolerance[DTYPE_BF16] = (struct op_tolerance){1e-20, 0.01};
    c->bytes = 4.0 * (double)a->count;
}

static const int64_t counts[] = {1, 7, 16, 33, 1000, 100003};
#define COUNTS (sizeof counts / sizeof *counts)

void cases_fill(case_visit visit, void *context)
{
    for (size_t i = 0; i < COUNTS; i++) {
        struct op_case c;
        case_fill(&c, counts[i]);
        case_finish(&c, visit, context);
    }
}

/* Odd sizes, with and without elements between tensors. */
static const struct arena_spec several[] = {
    {.tensors = {{0, 1, 1}, {16, 33, 0}, {64, 1000, 1}, {1072, 7, 0}, {1088, 40000, 1}}, .tail = 8},
    {.tensors = {{3, 5, 0}, {8, 17, 1}, {31, 1, 0}}},
};

void cases_sum_squares(case_visit visit, void *context)
{
    for (size_t n = 0; n < COUNTS; n++) {
        const struct arena_spec one[] = {ARENA_OF_ONE(counts[n])};
        CASES(sum_squares, one);
    }
    CASES(sum_squares, several);
}

void case_adamw(struct op_case *c, const struct adamw_spec *spec)
{
    op_begin(c, BACKEND_adamw, "tensors from %lld elements, step %d, sum of squares %g",
             (long long)spec->arena.tensors[0].count, spec->step, spec->sum_squares);
    struct adamw_args *a = &c->arguments.adamw;
    *a = (struct adamw_args){.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .decay = spec->decay};
    a->bias1 = 1 - pow(a->beta1, spec->step);
    a->bias2 = 1 - pow(a->beta2, spec->step);
    a->max_grad_norm = spec->max_grad_norm;
    a->count = add_tensors(c, &spec->arena, &a->tensors, &a->tensor_count);
    OP_ARRAY(c, a, master, OP_ADDED, a->count);
    OP_ARRAY(c, a, grad, OP_INPUT, a->count);
    float *m = OP_ARRAY(c, a, m, OP_ADDED, a->count);
    float *v = OP_ARRAY(c, a, v, OP_ADDED, a->count);
    *(double *)OP_ARRAY(c, a, sum_squares, OP_INPUT, 1) = spec->sum_squares;
    for (int64_t i = 0; i < a->count; i++) {
        m[i] = spec->step == 1 ? 0 : 0.1F * m[i];
        v[i] = spec->step == 1 ? 0 : v[i] * v[i];
    }
    c->bytes = 28.0 * (double)a->count;
}

void cases_adamw(case_visit visit, void *context)
{
    const struct adamw_spec specs[] = {
        {ARENA_OF_ONE(1), 1, 0, 0, 9},
        {ARENA_OF_ONE(33), 1, 0.01, 0.5, 1},
        {ARENA_OF_ONE(1000), 7, 0, 1e-3, 1},
        {ARENA_OF_ONE(100003), 1000, 0.1, 1, 0.25},
        {several[0], 1, 0.1, 0, 4},
        {several[0], 7, 0.1, 0.5, 4},
        {several[1], 7, 0, 3, 4},
        {several[1], 7, 0.01, 1, 4},
        {several[0], 7, 0.1, 1, (double)NAN},
        {several[1], 7, 0.1, 0, (double)INFINITY},
    };
    CASES(adamw, specs);
}
