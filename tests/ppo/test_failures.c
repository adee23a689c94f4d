/*
 * tests/ppo/test_failures.c - a whole short run with one allocation, or one write or fsync, failing
 * (support/failing_runs.h).
 */
#include "support/cmocka.h"

#include "ppo/helper_ppo.h"
#include "support/failing_runs.h"
#include "support/temporary.h"

#define LINES                                                                                                          \
    "max_steps: 2\nlogging_steps: 1\nsave_steps: 1\nper_device_train_batch_size: 2\nmax_length: 60\n"                  \
    "response_length: 3\nsample_max_new_tokens: 3\nnum_ppo_epochs: 1\nsample_prompts: [the sea]\n"                     \
    "learning_rate: 1e-3\n"

static const struct stage_method methods[] = {
    {"gae", LINES "lora_r: 2\nlora_modules_to_save: [lm_head]\nadaptive_kl: true\n", "adapter_model.safetensors"},
    {"full", LINES "finetuning_type: full\nadvantage_estimator: rloo\n", "model.safetensors"},
};

int main(int argc, char **argv)
{
    ppo_score_if_asked(argc, argv);
    failing_runs_begin();
    struct failing_runs runs = {
        .stage = &tested_ppo,
        .methods = methods,
        .count = sizeof methods / sizeof *methods,
        .most = 300, /* each starts a program too */
        .kept = {"samples.jsonl"},
        .changing = {"report.html", "memory.json", "rewards.jsonl"},
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(failing_allocations, &runs),
        cmocka_unit_test_prestate(failing_writes, &runs),
    };
    return cmocka_run_group_tests(tests, ppo_setup, temporary_teardown);
}
