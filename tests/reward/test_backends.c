/*
 * tests/reward/test_backends.c - the stage on other backends than the plain CPU's: on the guarded one (a device far
 * away), on the reference one, and with other numbers of threads.
 */
#include "support/cmocka.h"

#include "reward/helper_reward.h"
#include "support/fixture.h"
#include "support/guarded_backend.h"
#include "support/reference_backend.h"
#include "support/temporary.h"
#include <math.h>
#include <stdio.h>

/* A little of everything: rankings of pairs and of several answers, dropout, accumulation, every key of the loss,
 * evaluations, checkpoints, the best one at the end, scores that are normalised. */
#define COMMON                                                                                                         \
    "dataset:\n  - path: @/train.jsonl\n  - path: @/trees.jsonl\neval_dataset: @/eval.jsonl\nmax_length: 250\n"        \
    "per_device_train_batch_size: 3\nper_device_eval_batch_size: 5\ngradient_accumulation_steps: 2\n"                  \
    "max_steps: 7\nlogging_steps: 2\neval_steps: 3\nsave_steps: 2\nload_best_model_at_end: true\n"                     \
    "learning_rate: 3e-3\nties: half\nlabel_smoothing: 0.05\ncenter_rewards_coefficient: 0.01\n"

static const struct {
    const char *method, *lines, *result;
} methods[] = {
    {"lora", COMMON "lora_r: 4\nlora_dropout: 0.1\n", "adapter_model.safetensors"},
    {"checkpointing", COMMON "lora_r: 4\nlora_dropout: 0.1\ngradient_checkpointing: true\n",
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
    const char *const files[] = {methods[method].result, "figures.json", "checkpoint-6/optimizer.safetensors"};
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
        reward_finish("plain", methods[m].lines, reward_cpu(1));
        reward_finish("guarded", methods[m].lines, guarded(reward_cpu(2)));
        assert_same_runs("plain", "guarded", m);
        remove_tree(temporary("plain"));
        remove_tree(temporary("guarded"));
    }
}

static void threads_change_nothing(void **state)
{
    (void)state;
    for (size_t m = 0; m < METHODS; m++) {
        reward_finish("one", methods[m].lines, reward_cpu(1));
        reward_finish("three", methods[m].lines, reward_cpu(3));
        assert_same_runs("one", "three", m);
        remove_tree(temporary("one"));
        remove_tree(temporary("three"));
    }
}

static void reference_step(void **state)
{
    (void)state;
    static const char lines[] = "dataset: @/trees.jsonl\nmax_steps: 3\nlogging_steps: 1\nsave_steps: 0\n"
                                "per_device_train_batch_size: 4\nlearning_rate: 3e-3\nlora_r: 4\nlora_dropout: 0.1\n";
    struct err err;
    struct backend *reference;
    must(reference_backend_create(&reference, DTYPE_F32, &err));
    reward_finish("reference", lines, guarded(reference));
    reward_finish("plain", lines, NULL);
    for (int step = 1; step <= 3; step++) {
        double difference = fabs(run_metric("reference", step, "loss") - run_metric("plain", step, "loss"));
        if (!(difference < 1e-5))
            fail_msg("step %d: the loss differs by %g from the reference's", step, difference);
        double norm = run_metric("reference", step, "grad_norm");
        assert_true(fabs(norm - run_metric("plain", step, "grad_norm")) < 1e-4 * norm);
    }
    remove_tree(temporary("reference"));
    remove_tree(temporary("plain"));
}

/* Memory is taken before the first step: a longer run with evaluations asks for no more of it. */
static void nothing_is_allocated_inside_steps(void **state)
{
    (void)state;
    int64_t allocations[2], operations[2];
    for (int longer = 0; longer < 2; longer++) {
        struct err err;
        struct recipe *recipe = reward_recipe("run", methods[0].lines);
        recipe->max_steps = longer ? 14 : 1;
        recipe->load_best_model_at_end = false;
        struct backend *backend = guarded(reward_cpu(1));
        must(reward_run(recipe, backend, &(struct stage_options){0}, &err));
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
    struct err err = {{0}};
    struct recipe *recipe = reward_recipe("broken", methods[0].lines);
    struct backend *backend = guarded(reward_cpu(1));
    guarded_backend_break_at(backend, 1500);
    assert_int_equal(reward_run(recipe, backend, &(struct stage_options){0}, &err), LOOP_FAILED);
    assert_true(err.text[0] != 0);
    backend->free(backend);
    recipe_free(recipe);
    reward_finish("broken", methods[0].lines, reward_cpu(1));
    reward_finish("plain", methods[0].lines, reward_cpu(1));
    assert_same_runs("plain", "broken", 0);
    remove_tree(temporary("broken"));
    remove_tree(temporary("plain"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guarded_equals_plain), cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(reference_step),       cmocka_unit_test(nothing_is_allocated_inside_steps),
        cmocka_unit_test(a_breaking_device),
    };
    return cmocka_run_group_tests(tests, reward_setup, temporary_teardown);
}
