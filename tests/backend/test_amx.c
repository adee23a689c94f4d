/*
 * tests/backend/test_amx.c - products in bf16 by AMX on any machine: the kernel's source with its instructions in plain
 * C.
 *
 * The CPU backend gets that kernel in place of its own, so the packing and cutting that AMX wants are in the test too:
 * values against the reference, rows alone and together.
 */
#include "amx_emulation.h"
#define AMX_EMULATION
#define cpu_tile_amx  emulated_tile
#define cpu_amx_begin emulated_begin
#define cpu_amx_end   emulated_end
#include "backend/cpu/kernels_amx.c"
#include "helper_backends.h"
#include "helper_cases.h"
#include "support/cmocka.h"

/* The plain kernels with the emulated tile. */
static struct backend *open_emulated(int threads)
{
    struct err err;
    struct backend *backend;
    const struct cpu_options options = {.isa = CPU_PLAIN, .compute = DTYPE_BF16, .threads = threads};
    assert_int_equal(cpu_backend_create(&backend, &options, &err), 0);
    struct cpu_kernels *kernels = &cpu_of(backend)->kernels;
    kernels->bf16 = emulated_tile;
    kernels->bf16_rows = 2 * AMX_ROWS;
    kernels->bf16_multiple = AMX_ROWS;
    kernels->bf16_begin = emulated_begin;
    kernels->bf16_end = emulated_end;
    return backend;
}

struct setting {
    struct backend *one_thread, *three_threads, *reference;
};

static int set_up(void **state)
{
    static struct setting setting;
    setting.one_thread = open_emulated(1);
    setting.three_threads = open_emulated(3);
    setting.reference = backends_reference(DTYPE_BF16);
    *state = &setting;
    return 0;
}

static int tear_down(void **state)
{
    struct setting *setting = *state;
    setting->one_thread->free(setting->one_thread);
    setting->three_threads->free(setting->three_threads);
    setting->reference->free(setting->reference);
    return 0;
}

static void check(struct op_case *c, void *context)
{
    const struct setting *setting = context;
    struct op_result expected, actual, threads;
    op_run(&expected, setting->reference, c, 0);
    op_run(&actual, setting->one_thread, c, 0);
    op_run(&threads, setting->three_threads, c, 3);
    op_compare(c, &expected, &actual, c->tolerance[DTYPE_BF16], "emulated AMX");
    op_compare(c, &actual, &threads, OP_BIT_FOR_BIT, "emulated AMX, three threads");
    op_result_free(&expected);
    op_result_free(&actual);
    op_result_free(&threads);
}

#define X(name)                                                                                                        \
    static void test_##name(void **state)                                                                              \
    {                                                                                                                  \
        cases_each(BACKEND_##name, check, *state);                                                                     \
    }
#define OPERATIONS                                                                                                     \
    X(linear)                                                                                                          \
    X(linear_backward) X(linear_weight_backward) X(vocabulary) X(vocabulary_both) X(attention) X(attention_backward)
OPERATIONS
#undef X

/* Every number of rows from 1 to 100: the first row must not change with what stands below it. */
static void check_rows(const struct setting *setting, const struct linear_spec *spec)
{
    static const char *const outputs[] = {"y", "u", "layers[1].y", "layers[1].u"};
    struct op_case c;
    struct op_result all;
    case_linear(&c, spec);
    op_run(&all, setting->one_thread, &c, 0);
    for (int32_t rows = 1; rows < 100; rows++) {
        struct op_case part;
        struct op_result result;
        op_slice(&part, &c, 100 - rows, rows);
        op_run(&result, setting->three_threads, &part, 0);
        for (int i = 0; i < 4; i++) {
            const int64_t count = op_count(&part, outputs[i]), columns = count / rows;
            assert_memory_equal(op_output(&result, &part, outputs[i]),
                                op_output(&all, &c, outputs[i]) + (100 - rows) * columns,
                                (size_t)count * sizeof(float));
        }
        op_result_free(&result);
        op_free(&part);
    }
    op_result_free(&all);
    op_free(&c);
}

static void test_rows(void **state)
{
    for (int32_t outputs = 16; outputs <= 100; outputs += 42) {
        const struct linear_spec spec = {
            .rows = 100, .inputs = 70, .outputs = outputs, .more_outputs = {33}, .rank = 5};
        struct linear_spec bf16 = spec;
        bf16.x_dtype = DTYPE_BF16;
        check_rows(*state, &spec);
        check_rows(*state, &bf16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define X(name) cmocka_unit_test(test_##name),
        OPERATIONS
#undef X
            cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
