/* tests/reward/test_backends.c - the stage on other backends than the plain CPU's (support/backend_runs.h). */
#include "support/cmocka.h"

#include "reward/helper_reward.h"
#include "support/backend_runs.h"
#include "support/temporary.h"

/* A little of everything: rankings of pairs and of several answers, dropout, accumulation, every key of the loss,
 * evaluations, checkpoints, the best one at the end, scores that are normalised. */
#define COMMON                                                                                                         \
    "dataset:\n  - path: @/train.jsonl\n  - path: @/trees.jsonl\neval_dataset: @/eval.jsonl\nmax_length: 250\n"        \
    "per_device_train_batch_size: 3\nper_device_eval_batch_size: 5\ngradient_accumulation_steps: 2\n"                  \
    "max_steps: 7\nlogging_steps: 2\neval_steps: 3\nsave_steps: 2\nload_best_model_at_end: true\n"                     \
    "learning_rate: 3e-3\nties: half\nlabel_smoothing: 0.05\ncenter_rewards_coefficient: 0.01\n"

static const struct stage_method methods[] = {
    {"lora", COMMON "lora_r: 4\nlora_dropout: 0.1\n", "adapter_model.safetensors"},
    {"checkpointing", COMMON "lora_r: 4\nlora_dropout: 0.1\ngradient_checkpointing: true\n",
     "adapter_model.safetensors"},
    {"full", COMMON "finetuning_type: full\nweight_decay: 0.1\n", "model.safetensors"},
};

int main(void)
{
    struct backend_runs runs = {
        .stage = &tested_reward,
        .methods = methods,
        .count = sizeof methods / sizeof *methods,
        .compared = {"figures.json", "checkpoint-6/optimizer.safetensors"},
        .reference_lines = "dataset: @/trees.jsonl\nmax_steps: 3\nlogging_steps: 1\nsave_steps: 0\n"
                           "per_device_train_batch_size: 4\nlearning_rate: 3e-3\nlora_r: 4\nlora_dropout: 0.1\n",
        .breaks = {1500},
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(guarded_equals_plain, &runs),
        cmocka_unit_test_prestate(threads_change_nothing, &runs),
        cmocka_unit_test_prestate(steps_equal_the_reference, &runs),
        cmocka_unit_test_prestate(nothing_is_allocated_inside_steps, &runs),
        cmocka_unit_test_prestate(a_broken_device_ends_the_run, &runs),
    };
    return cmocka_run_group_tests(tests, reward_setup, temporary_teardown);
}
