/*
 * tests/sft/test_passes.c - how a step's rows are cut into passes through the model: in order, each row once, within
 * the memory that was planned, and none smaller than it need be.
 */
#include "base/mem.h"
#include "sft/data.h"
#include "sft/recipe.h"
#include "support/cmocka.h"
#include "support/fixture.h"
#include <string.h>

#define PASS_TOKENS 768 /* of these tests */

enum { EXAMPLES_MAX = 64 };

/* A dataset of examples of given lengths, all tokens but the first trained. */
struct fake {
    struct example examples[EXAMPLES_MAX];
    struct dataset dataset;
    struct sft_recipe recipe;
    struct sft_data data;
};

static void fake_make(struct fake *fake, const int32_t *lengths, size_t count, int64_t batch)
{
    memset(fake, 0, sizeof *fake);
    assert_true(count <= EXAMPLES_MAX);
    for (size_t i = 0; i < count; i++) {
        fake->examples[i] = (struct example){.length = lengths[i], .trained_count = lengths[i] - 1};
    }
    fake->dataset.examples = fake->examples;
    fake->dataset.count = count;
    fake->recipe.common.per_device_train_batch_size = fake->recipe.common.per_device_eval_batch_size = batch;
    fake->recipe.common.max_length = 4096;
    fake->recipe.common.stage = &sft_stage;
    fake->data = (struct sft_data){.recipe = &fake->recipe.common,
                                   .train = &fake->dataset,
                                   .eval = &fake->dataset,
                                   .order = {.count = (int64_t)count},
                                   .pass_tokens = PASS_TOKENS};
}

static struct batch_limits limits_of(const struct fake *fake)
{
    struct err err;
    struct batch_limits limits;
    must(sft_data_limits(&fake->data, &limits, &err));
    return limits;
}

/* Rows 0, 1, 2, ... cut into passes; fails where one is too large or stopped too early. */
static void check_passes(const struct fake *fake)
{
    const struct sft_data *data = &fake->data;
    struct batch_limits limits = limits_of(fake);
    int64_t rows[EXAMPLES_MAX], batch = fake->recipe.common.per_device_train_batch_size, taken;
    for (int64_t i = 0; i < data->order.count; i++) {
        rows[i] = i;
    }
    for (int64_t first = 0; first < data->order.count; first += taken) {
        taken = sft_data_pass_rows(data, rows + first, data->order.count - first);
        assert_true(taken >= 1 && taken <= batch && first + taken <= data->order.count);
        assert_int_equal(sft_data_pass_eval(data, (size_t)first), taken);
        int64_t tokens = 0, trained = 0;
        for (int64_t i = first; i < first + taken; i++) {
            tokens += fake->examples[i].length;
            trained += fake->examples[i].trained_count;
        }
        assert_true(tokens <= PASS_TOKENS || taken == 1);
        assert_true(tokens <= limits.tokens && taken <= limits.segments && trained <= limits.predictions);
        if (taken < batch && first + taken < data->order.count) {
            assert_true(tokens + fake->examples[first + taken].length > PASS_TOKENS);
        }
    }
}

static void short_examples_go_together(void **state)
{
    (void)state;
    static const int32_t lengths[] = {10, 200, 30, 7, 90, 12, 300, 8};
    struct fake fake;
    fake_make(&fake, lengths, 8, 8);
    const int64_t rows[] = {0, 1, 2, 3, 4, 5, 6, 7};
    assert_int_equal(sft_data_pass_rows(&fake.data, rows, 8), 8);
    assert_int_equal(limits_of(&fake).tokens, 657);
    check_passes(&fake);
}

static void long_examples_go_alone(void **state)
{
    (void)state;
    static const int32_t lengths[] = {512, 512, 512, 512, 3000, 5, 1024, 1, 1023, 1, 1};
    struct fake fake;
    for (int64_t batch = 1; batch <= 11; batch++) {
        fake_make(&fake, lengths, 11, batch);
        assert_int_equal(limits_of(&fake).tokens, 3000);
        check_passes(&fake);
    }
}

static void memory_does_not_grow_with_the_batch(void **state)
{
    (void)state;
    int32_t lengths[EXAMPLES_MAX];
    struct fake fake;
    for (int i = 0; i < EXAMPLES_MAX; i++) {
        lengths[i] = 100 + i * 37 % 413;
    }
    fake_make(&fake, lengths, EXAMPLES_MAX, 32);
    struct batch_limits limits = limits_of(&fake);
    assert_int_equal(limits.tokens, PASS_TOKENS);
    assert_int_equal(limits.predictions, PASS_TOKENS);
    check_passes(&fake);
}

static void want_of_memory_is_said(void **state)
{
    (void)state;
    static const int32_t lengths[] = {10, 200, 30};
    struct fake fake;
    struct batch_limits limits;
    fake_make(&fake, lengths, 3, 2);
    for (long n = 1; n <= 2; n++) { /* of the training rows, of the eval examples */
        struct err err = {0};
        mem_fail_at(n);
        assert_int_equal(sft_data_limits(&fake.data, &limits, &err), -1);
        mem_fail_at(0);
        assert_non_null(strstr(err.text, "memory"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_examples_go_together),
        cmocka_unit_test(long_examples_go_alone),
        cmocka_unit_test(memory_does_not_grow_with_the_batch),
        cmocka_unit_test(want_of_memory_is_said),
    };
    return cmocka_run_group_tests_name("passes", tests, NULL, NULL);
}
