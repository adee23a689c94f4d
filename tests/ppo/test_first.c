/*
 * tests/ppo/test_first.c - self-tests of PPO that cost nothing: what the first update of a run sees, and what a
 * learning rate of 0 leaves.
 */
#include "support/cmocka.h"

#include "ppo/helper_ppo.h"
#include "ppo/recipe.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <stdio.h>

#define LINES                                                                                                          \
    "response_length: 12\nper_device_train_batch_size: 6\nmax_steps: 3\nlearning_rate: 1e-3\ntemperature: 0.8\n"       \
    "save_steps: 1\nsave_total_limit: 0\nnum_ppo_epochs: 1\n"

static const char *const estimators[] = {
    LINES,
    LINES "num_generations: 3\ngradient_accumulation_steps: 2\n",
    LINES "advantage_estimator: grpo\nkl_coef: 0.1\nnum_generations: 4\n",
    LINES "advantage_estimator: rloo\nnum_generations: 4\n",
    LINES "finetuning_type: full\n",
};
#define ESTIMATORS (sizeof estimators / sizeof *estimators)

/* With one epoch of one mini-batch every update is made by the policy that sampled. */
static void old_and_new_are_equal(const char *lines, enum dtype compute)
{
    ppo_finish("run", lines, cpu_backend(compute, 2));
    for (int step = 1; step <= 3; step++) {
        assert_true(run_metric("run", step, "val/ratio") == 1);
        assert_true(run_metric("run", step, "val/ratio_var") == 0);
        assert_true(run_metric("run", step, "policy/clipfrac_avg") == 0);
        assert_true(run_metric("run", step, "policy/approxkl_avg") == 0);
        assert_true(run_metric("run", step, "val/decode_drift") < (compute == DTYPE_F32 ? 1e-5 : 1e-4));
    }
    assert_true(run_metric("run", 1, "objective/kl") == 0); /* the policy starts as its reference */
    assert_true(run_metric("run", 2, "objective/kl") != 0);
    remove_tree(temporary("run"));
}

static void first_update(void **state)
{
    (void)state;
    for (size_t i = 0; i < ESTIMATORS; i++) {
        old_and_new_are_equal(estimators[i], DTYPE_F32);
        old_and_new_are_equal(estimators[i], DTYPE_BF16);
    }
}

/* Several epochs of several mini-batches: the first of them still sees a ratio of 1, the others do not. */
static void later_updates(void **state)
{
    (void)state;
    ppo_finish("run", LINES "num_mini_batches: 3\n", NULL);
    assert_true(run_metric("run", 1, "val/ratio") != 1);
    assert_true(run_metric("run", 1, "policy/approxkl_avg") > 0);
    assert_true(run_metric("run", 1, "policy/updates") == 3);
    remove_tree(temporary("run"));
}

static void learning_rate_zero(void **state)
{
    (void)state;
    for (size_t i = 0; i < ESTIMATORS; i++) {
        char lines[512];
        const char *result = i == 4 ? "model.safetensors" : "adapter_model.safetensors";
        snprintf(lines, sizeof lines, "%snum_mini_batches: 2\n", estimators[i]);
        struct err err;
        struct recipe *recipe = ppo_recipe("run", lines);
        struct backend *backend = cpu_backend(DTYPE_F32, 1);
        recipe->learning_rate = 0;
        must(ppo_run(recipe, backend, &(struct stage_options){0}, &err));
        for (int step = 1; step <= 3; step++) {
            assert_true(run_metric("run", step, "objective/kl") == 0);
            assert_true(run_metric("run", step, "val/ratio") == 1);
        }
        for (int step = 2; step <= 3; step++) {
            assert_true(
                same_bytes(temporary("run/checkpoint-1/%s", result), temporary("run/checkpoint-%d/%s", step, result)));
            if (ppo_keys(recipe)->advantage_estimator == PPO_ADVANTAGE_GAE) {
                assert_true(same_bytes(temporary("run/checkpoint-1/critic/%s", result),
                                       temporary("run/checkpoint-%d/critic/%s", step, result)));
            }
        }
        backend->free(backend);
        recipe_free(recipe);
        remove_tree(temporary("run"));
    }
}

int main(int argc, char **argv)
{
    ppo_score_if_asked(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_update),
        cmocka_unit_test(later_updates),
        cmocka_unit_test(learning_rate_zero),
    };
    return cmocka_run_group_tests(tests, ppo_setup, temporary_teardown);
}
