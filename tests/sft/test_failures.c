/*
 * tests/sft/test_failures.c - a whole short run with one allocation, or one write or fsync, failing
 * (support/failing_runs.h).
 */
#include "support/cmocka.h"

#include "sft/helper_sft.h"
#include "support/failing_runs.h"
#include "support/temporary.h"

#define LINES                                                                                                          \
    "eval_dataset: @/eval.jsonl\nmax_steps: 2\nlogging_steps: 1\nsave_steps: 1\nper_device_train_batch_size: 2\n"      \
    "max_length: 100\npacking: true\nsample_prompts: [the sea]\nsample_max_new_tokens: 3\n"

static const struct stage_method methods[] = {
    {"lora", LINES "lora_r: 2\nlora_dropout: 0.1\nlora_modules_to_save: [lm_head]\n", "adapter_model.safetensors"},
    {"full", LINES "finetuning_type: full\n", "model.safetensors"},
};

int main(void)
{
    failing_runs_begin();
    struct failing_runs runs = {
        .stage = &tested_sft,
        .methods = methods,
        .count = sizeof methods / sizeof *methods,
        .kept = {"samples.jsonl"},
        .changing = {"report.html", "memory.json"},
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(failing_allocations, &runs),
        cmocka_unit_test_prestate(failing_writes, &runs),
    };
    return cmocka_run_group_tests(tests, sft_setup, temporary_teardown);
}
