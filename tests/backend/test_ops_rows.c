/*
 * tests/backend/test_ops_rows.c - a row depends on itself: its result is the same, bit for bit, alone and among 1 .. 65
 * others, and no result depends on the number of threads.
 *
 * So a sample does not depend on its batch mates, and log-probabilities from decoding and from training agree.
 */
#include "helper_backends.h"
#include "helper_cases.h"
#include "support/cmocka.h"
#include <string.h>

#define THREADS_MAX 3

struct setting {
    struct backends threads[THREADS_MAX + 1]; /* [1 .. THREADS_MAX]: so many threads */
};

static int set_up(void **state)
{
    static struct setting setting;
    for (int threads = 1; threads <= THREADS_MAX; threads++) {
        backends_open(&setting.threads[threads], threads, false);
    }
    *state = &setting;
    return 0;
}

static int tear_down(void **state)
{
    struct setting *setting = *state;
    for (int threads = 1; threads <= THREADS_MAX; threads++) {
        backends_close(&setting->threads[threads]);
    }
    return 0;
}

/* ---- rows alone and together ---- */

/* Fails where row `row` of what one slice gave is not row `expected_row` of what the other gave. */
static void same_row(const struct op_case *c, const struct op_result *expected, int64_t expected_row,
                     const struct op_result *actual, int64_t row, const struct backend *backend)
{
    for (int i = 0; i < c->array_count; i++) {
        const struct op_array *array = &c->arrays[i];
        size_t size = (size_t)array->columns * op_element_size(array->element);
        if (array->role != OP_INPUT && array->by_row &&
            memcmp((const char *)expected->values[i] + (size_t)expected_row * size,
                   (const char *)actual->values[i] + (size_t)row * size, size) != 0) {
            fail_msg("%s on %s: %s of row %lld among %lld differs from the row alone", c->name, backend->name,
                     array->field, (long long)row, (long long)c->rows);
        }
    }
}

static void run_slice(struct op_case *slice, struct op_result *result, struct backend *backend, const struct op_case *c,
                      int64_t first, int64_t count)
{
    op_slice(slice, c, first, count);
    op_run(result, backend, slice, 0);
}

/* Each row alone on one thread; then 2 .. rows of them, from here and there, on 1 .. 3 threads. `step`: of how many. */
static void check_rows(const struct op_case *c, const struct setting *setting, int64_t step)
{
    for (int i = 0; i < setting->threads[1].count; i++) {
        struct backend *backend = setting->threads[1].list[i];
        struct op_case slice;
        struct op_result all, part;
        if (!op_fits(c, backend)) {
            continue;
        }
        op_run(&all, backend, c, 0);
        for (int64_t row = 0; row<c->rows; row += c->rows> 65 ? 37 : 1) {
            run_slice(&slice, &part, backend, c, row, 1);
            same_row(&slice, &all, row, &part, 0, backend);
            op_result_free(&part);
            op_free(&slice);
        }
        for (int64_t count = 2; count <= c->rows; count += step) {
            int64_t first = count * 7 % (c->rows - count + 1);
            run_slice(&slice, &part, setting->threads[1 + count % THREADS_MAX].list[i], c, first, count);
            for (int64_t row = 0; row < count; row++) {
                same_row(&slice, &all, first + row, &part, row, backend);
            }
            op_result_free(&part);
            op_free(&slice);
        }
        op_result_free(&all);
    }
}

static void visit_rows(struct op_case *c, void *context)
{
    check_rows(c, context, 1);
}

static void visit_many_rows(struct op_case *c, void *context)
{
    check_rows(c, context, 63);
}

static void test_linear_rows(void **state)
{
    case_visit visit = visit_rows;
    void *context = *state;
    const struct linear_spec specs[] = {
        {.rows = 65, .inputs = 64, .outputs = 48, .dtype = DTYPE_BF16, .rank = 8},
        {.rows = 65, .inputs = 33, .outputs = 97, .bias = true, .rank = 3, .dropout = 0.3F},
        {.rows = 65, .inputs = 576, .outputs = 16},
        {.rows = 65, .inputs = 17, .outputs = 130, .dtype = DTYPE_F16, .rank = 16, .scale = 0.5F},
        {.rows = 65, .inputs = 16, .outputs = 64},
        {.rows = 65, .inputs = 70, .outputs = 33, .more_outputs = {64, 48}, .rank = 7, .plain = 2, .bias = true},
        {.rows = 65, .inputs = 64, .outputs = 96, .more_outputs = {64}, .rank = 8, .only_u = 2, .no_dx = true},
        {.rows = 65,
         .inputs = 97,
         .outputs = 33,
         .more_outputs = {15, 64},
         .rank = 5,
         .dropout = 0.3F,
         .x_dtype = DTYPE_BF16,
         .dy_dtype = DTYPE_BF16},
    };
    CASES(linear, specs);
    CASES(linear_backward, specs);
}

/* Past the panels that a backend cuts rows and columns into, and the tasks that groups of layers are cut into. */
static void test_linear_many_rows(void **state)
{
    case_visit visit = visit_many_rows;
    void *context = *state;
    const struct linear_spec specs[] = {
        {.rows = 600, .inputs = 70, .outputs = 600, .dtype = DTYPE_BF16, .rank = 16},
        {.rows = 300, .inputs = 1100, .outputs = 40, .bias = true},
        {.rows = 790,
         .inputs = 96,
         .outputs = 96,
         .more_outputs = {48, 33},
         .dtype = DTYPE_BF16,
         .rank = 4,
         .dropout = 0.3F,
         .bias = true},
        {.rows = 790,
         .inputs = 97,
         .outputs = 80,
         .more_outputs = {33, 64},
         .rank = 8,
         .plain = 1,
         .x_dtype = DTYPE_BF16,
         .dy_dtype = DTYPE_BF16},
    };
    CASES(linear, specs);
    CASES(linear_backward, specs);
}

static void test_vocabulary_rows(void **state)
{
    case_visit visit = visit_rows;
    void *context = *state;
    const struct vocabulary_spec specs[] = {
        {.rows = 65, .columns = 33, .vocabulary = 97, .entropy = true, .argmax = true},
        {.rows = 65,
         .columns = 64,
         .vocabulary = 1000,
         .dtype = DTYPE_BF16,
         .inverse_temperature = 1.5F,
         .argmax = true},
    };
    CASES(vocabulary, specs);
    CASES(vocabulary_backward, specs);
    CASES(vocabulary_both, specs);
}

static void test_norm_rows(void **state)
{
    case_visit visit = visit_rows;
    void *context = *state;
    const struct norm_spec specs[] = {
        {.rows = 65, .columns = 33, .residual = true, .rstd = true, .place = NORM_SUM},
        {.rows = 65, .columns = 576, .residual = true, .place = NORM_SUM_IS_X},
        {.rows = 65, .columns = 64, .rstd = true, .place = NORM_Y_IS_X},
        {.rows = 65, .columns = 97, .rstd = true, .y_dtype = DTYPE_BF16},
    };
    CASES(norm, specs);
    CASES(norm_backward, specs);
}

static void test_score_rows(void **state)
{
    case_visit visit = visit_rows;
    void *context = *state;
    const struct score_spec specs[] = {{.rows = 65, .columns = 33, .dw = true}, {.rows = 65, .columns = 2000}};
    CASES(score, specs);
    CASES(score_backward, specs);
}

static void test_embed_and_rope_rows(void **state)
{
    case_visit visit = visit_rows;
    void *context = *state;
    const struct embed_spec embed[] = {{.rows = 65, .columns = 33, .vocabulary = 97, .dtype = DTYPE_BF16, .scale = 3}};
    const struct rotation_spec rotation[] = {{.rows = 65, .rotary = 80, .attention_factor = 1.1F},
                                             {.rows = 65, .rotary = 10}};
    const struct rope_spec rope[] = {{.rows = 65, .heads = 3, .head_size = 80, .rotary = 80},
                                     {.rows = 65, .heads = 1, .head_size = 16, .rotary = 10, .inverse = true}};
    CASES(rotation, rotation);
    CASES(embed, embed);
    CASES(rope, rope);
}

/* Elements are rows of one: vector bodies and scalar tails must agree. */
static void test_element_rows(void **state)
{
    case_visit visit = visit_rows;
    void *context = *state;
    const struct gated_spec gated[] = {{.count = 65, .out = true}, {.count = 65, .out = true, .out_dtype = DTYPE_BF16}};
    CASES(gated, gated);
    CASES(gated_backward, gated);
}

/* A tensor's elements do not depend on where they stand in it, so cutting it into several changes nothing. */
static void test_adamw_elements(void **state)
{
    const struct setting *setting = *state;
    const struct adamw_spec whole = {ARENA_OF_ONE(65), 3, 0.1, 0.5, 1};
    const struct adamw_spec pieces = {
        {.tensors = {{0, 1, 1}, {1, 7, 1}, {8, 30, 1}, {38, 26, 1}, {64, 1, 1}}}, 3, 0.1, 0.5, 1};
    for (int i = 0; i < setting->threads[1].count; i++) {
        struct backend *backend = setting->threads[1].list[i];
        struct op_case one, several;
        struct op_result expected, actual;
        case_adamw(&one, &whole);
        case_adamw(&several, &pieces);
        op_run(&expected, backend, &one, 0);
        op_run(&actual, backend, &several, 0);
        static const char *const fields[] = {"master", "m", "v"};
        for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
            assert_memory_equal(op_output(&expected, &one, fields[f]), op_output(&actual, &several, fields[f]),
                                65 * sizeof(float));
        }
        op_result_free(&expected);
        op_result_free(&actual);
        op_free(&one);
        op_free(&several);
    }
}

/* ---- threads ---- */

static void visit_threads(struct op_case *c, void *context)
{
    const struct setting *setting = context;
    for (int i = 0; i < setting->threads[1].count; i++) {
        struct op_result one;
        if (!op_fits(c, setting->threads[1].list[i])) {
            continue;
        }
        op_run(&one, setting->threads[1].list[i], c, 0);
        for (int threads = 2; threads <= THREADS_MAX; threads++) {
            struct backend *backend = setting->threads[threads].list[i];
            struct op_result more;
            op_run(&more, backend, c, 0);
            op_compare(c, &one, &more, OP_BIT_FOR_BIT, backend->name);
            op_result_free(&more);
        }
        op_result_free(&one);
    }
}

static void test_threads(void **state)
{
    for (int operation = 0; operation < BACKEND_OPERATION_COUNT; operation++) {
        cases_each((enum backend_operation)operation, visit_threads, *state);
    }
}

/* Sums over many rows and many elements, where a backend is most tempted to split them. */
static void test_threads_on_long_sums(void **state)
{
    case_visit visit = visit_threads;
    void *context = *state;
    const struct linear_spec linear[] = {
        {.rows = 1500, .inputs = 48, .outputs = 33, .bias = true},
        {.rows = 700, .inputs = 8, .outputs = 576},
        {.rows = 700, .inputs = 577, .outputs = 8, .dropout = 0.2F},
        {.rows = 1500, .inputs = 49, .outputs = 33, .bias = true, .x_dtype = DTYPE_BF16, .dy_dtype = DTYPE_BF16}};
    const struct embed_spec embed[] = {{.rows = 1500, .columns = 48, .vocabulary = 11}};
    const struct norm_spec norm[] = {{.rows = 1500, .columns = 33, .dweight = true}};
    CASES(linear_weight_backward, linear);
    CASES(embed_backward, embed);
    CASES(norm_backward, norm);
    const struct score_spec score[] = {{.rows = 1500, .columns = 130, .dw = true}, {.rows = 70, .columns = 4096}};
    CASES(score, score);
    CASES(score_backward, score);
    const struct arena_spec arenas[] = {ARENA_OF_ONE(1000003),
                                        {.tensors = {{0, 300001, 1}, {300016, 9, 1}, {300032, 500000, 0}}}};
    CASES(sum_squares, arenas);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear_rows),     cmocka_unit_test(test_linear_many_rows),
        cmocka_unit_test(test_vocabulary_rows), cmocka_unit_test(test_norm_rows),
        cmocka_unit_test(test_score_rows),      cmocka_unit_test(test_embed_and_rope_rows),
        cmocka_unit_test(test_element_rows),    cmocka_unit_test(test_adamw_elements),
        cmocka_unit_test(test_threads),         cmocka_unit_test(test_threads_on_long_sums),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
