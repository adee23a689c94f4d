/*
 * tests/ppo/test_backends.c - the stage on other backends than the plain CPU's, with other numbers of threads, and with
 * other numbers of answers decoded side by side: the same bytes.
 */
#include "support/cmocka.h"

#include "ppo/helper_ppo.h"
#include "support/fixture.h"
#include "support/guarded_backend.h"
#include "support/run_files.h"
#include "support/temporary.h"
#include <stdio.h>

#define COMMON                                                                                                         \
    "response_length: 10\nper_device_train_batch_size: 5\nmax_steps: 5\nlogging_steps: 2\nsave_steps: 2\n"             \
    "learning_rate: 3e-3\nnum_ppo_epochs: 2\nnum_mini_batches: 2\neval_split: 0.3\neval_steps: 3\n"                    \
    "sample_max_new_tokens: 6\n"

static const struct {
    const char *method, *lines, *result;
} methods[] = {
    {"gae", COMMON "lora_r: 4\nadaptive_kl: true\nkl_target: 0.1\nkl_horizon: 50\nuse_score_norm: true\n",
     "adapter_model.safetensors"},
    {"gae, several answers", COMMON "lora_r: 4\nnum_generations: 3\nentropy_coef: 0.01\ngradient_checkpointing: true\n",
     "adapter_model.safetensors"},
    {"grpo", COMMON "lora_r: 4\nadvantage_estimator: grpo\nnum_generations: 4\nkl_coef: 0.05\n",
     "adapter_model.safetensors"},
    {"rloo", COMMON "lora_r: 4\nadvantage_estimator: rloo\nnum_generations: 2\nlora_modules_to_save: [lm_head]\n",
     "adapter_model.safetensors"},
    {"full", COMMON "finetuning_type: full\nweight_decay: 0.1\n", "model.safetensors"},
};
#define METHODS (sizeof methods / sizeof *methods)

static struct backend *guarded(struct backend *inner)
{
    struct err err;
    struct backend *backend;
    must(guarded_backend_create(&backend, inner, &err));
    return backend;
}

static void assert_same_runs(const char *one, const char *other, size_t method)
{
    const char *const files[] = {methods[method].result, "samples.jsonl", "rewards.jsonl",
                                 "checkpoint-4/optimizer.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!same_bytes(temporary("%s/%s", one, files[i]), temporary("%s/%s", other, files[i])))
            fail_msg("%s: %s of the %s and the %s run differ", methods[method].method, files[i], one, other);
    struct strbuf a = run_metrics(one), b = run_metrics(other);
    assert_string_equal(a.data, b.data);
    strbuf_free(&a);
    strbuf_free(&b);
}

static void guarded_equals_plain(void **state)
{
    (void)state;
    for (size_t m = 0; m < METHODS; m++) {
        ppo_finish("plain", methods[m].lines, ppo_cpu(DTYPE_F32, 1));
        ppo_finish("guarded", methods[m].lines, guarded(ppo_cpu(DTYPE_F32, 2)));
        assert_same_runs("plain", "guarded", m);
        remove_tree(temporary("plain"));
        remove_tree(temporary("guarded"));
    }
}

/* Threads, and how many answers are decoded side by side, change nothing; in bf16 neither. */
static void company_changes_nothing(void **state)
{
    (void)state;
    for (size_t m = 0; m < METHODS; m++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            enum dtype compute = bf16 ? DTYPE_BF16 : DTYPE_F32;
            ppo_finish("one", methods[m].lines, ppo_cpu(compute, 1));
            char lines[1024];
            for (int batch = 1; batch <= 7; batch += 6) {
                snprintf(lines, sizeof lines, "%srollout_batch_size: %d\n", methods[m].lines, batch);
                ppo_finish("more", lines, ppo_cpu(compute, batch == 1 ? 2 : 3));
                assert_same_runs("one", "more", m);
                remove_tree(temporary("more"));
            }
            remove_tree(temporary("one"));
        }
}

/* Memory is taken before the first iteration: a longer run asks for no more of it. */
static void nothing_is_allocated_inside_steps(void **state)
{
    (void)state;
    int64_t allocations[2], operations[2];
    for (int longer = 0; longer < 2; longer++) {
        struct err err;
        struct recipe *recipe = ppo_recipe("run", methods[1].lines);
        recipe->max_steps = longer ? 9 : 1;
        struct backend *backend = guarded(ppo_cpu(DTYPE_F32, 1));
        must(ppo_run(recipe, backend, &(struct stage_options){0}, &err));
        allocations[longer] = guarded_backend_allocations(backend);
        operations[longer] = guarded_backend_operations(backend);
        backend->free(backend);
        recipe_free(recipe);
        remove_tree(temporary("run"));
    }
    assert_true(operations[1] > 3 * operations[0]);
    assert_int_equal(allocations[0], allocations[1]);
}

/* A device that breaks in the middle ends the run with an error, and the run can be resumed. */
static void a_breaking_device(void **state)
{
    (void)state;
    ppo_finish("plain", methods[0].lines, ppo_cpu(DTYPE_F32, 1));
    for (int64_t at = 2000; at <= 6000; at += 2000) {
        struct err err = {{0}};
        struct recipe *recipe = ppo_recipe("broken", methods[0].lines);
        struct backend *backend = guarded(ppo_cpu(DTYPE_F32, 1));
        guarded_backend_break_at(backend, at);
        assert_int_equal(ppo_run(recipe, backend, &(struct stage_options){0}, &err), LOOP_FAILED);
        assert_true(err.text[0] != 0);
        backend->free(backend);
        recipe_free(recipe);
        ppo_finish("broken", methods[0].lines, ppo_cpu(DTYPE_F32, 1));
        assert_same_runs("plain", "broken", 0);
        remove_tree(temporary("broken"));
    }
    remove_tree(temporary("plain"));
}

int main(int argc, char **argv)
{
    ppo_score_if_asked(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guarded_equals_plain),
        cmocka_unit_test(company_changes_nothing),
        cmocka_unit_test(nothing_is_allocated_inside_steps),
        cmocka_unit_test(a_breaking_device),
    };
    return cmocka_run_group_tests(tests, ppo_setup, temporary_teardown);
}
