/*
 * tests/ppo/test_backends.c - the stage on other backends than the plain CPU's (support/backend_runs.h), and with other
 * numbers of answers decoded side by side: the same bytes.
 */
#include "support/cmocka.h"

#include "ppo/helper_ppo.h"
#include "support/backend_runs.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <stdio.h>

#define COMMON                                                                                                         \
    "response_length: 10\nper_device_train_batch_size: 5\nmax_steps: 5\nlogging_steps: 2\nsave_steps: 2\n"             \
    "learning_rate: 3e-3\nnum_ppo_epochs: 2\nnum_mini_batches: 2\neval_split: 0.3\neval_steps: 3\n"                    \
    "sample_max_new_tokens: 6\n"

static const struct stage_method methods[] = {
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

/* Threads, and how many answers are decoded side by side, change nothing; in bf16 neither. */
static void company_changes_nothing(void **state)
{
    const struct backend_runs *runs = *state;
    for (size_t m = 0; m < METHODS; m++) {
        for (int bf16 = 0; bf16 < 2; bf16++) {
            enum dtype compute = bf16 ? DTYPE_BF16 : DTYPE_F32;
            ppo_finish("one", methods[m].lines, cpu_backend(compute, 1));
            char lines[1024];
            for (int batch = 1; batch <= 7; batch += 6) {
                snprintf(lines, sizeof lines, "%srollout_batch_size: %d\n", methods[m].lines, batch);
                ppo_finish("more", lines, cpu_backend(compute, batch == 1 ? 2 : 3));
                assert_same_runs(runs, &methods[m], "one", "more");
                remove_tree(temporary("more"));
            }
            remove_tree(temporary("one"));
        }
    }
}

int main(int argc, char **argv)
{
    ppo_score_if_asked(argc, argv);
    struct backend_runs runs = {
        .stage = &tested_ppo,
        .methods = methods,
        .count = METHODS,
        .compared = {"samples.jsonl", "rewards.jsonl", "checkpoint-4/optimizer.safetensors"},
        .breaks = {2000, 4000, 6000},
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(guarded_equals_plain, &runs),
        cmocka_unit_test_prestate(company_changes_nothing, &runs),
        cmocka_unit_test_prestate(nothing_is_allocated_inside_steps, &runs),
        cmocka_unit_test_prestate(a_broken_device_ends_the_run, &runs),
    };
    return cmocka_run_group_tests(tests, ppo_setup, temporary_teardown);
}
