/*
 * tests/reward/test_failures.c - a whole short run with one allocation, or one write or fsync, failing
 * (support/failing_runs.h).
 */
#include "support/cmocka.h"

#include "reward/helper_reward.h"
#include "support/failing_runs.h"
#include "support/temporary.h"

#define LINES                                                                                                          \
    "dataset: @/short.jsonl\neval_dataset: @/few.jsonl\nmax_steps: 2\nlogging_steps: 1\nsave_steps: 1\n"               \
    "per_device_train_batch_size: 2\nmax_length: 100\n"

static const struct stage_method methods[] = {
    {"lora", LINES "lora_r: 2\nlora_dropout: 0.1\n", "adapter_model.safetensors"},
    {"full", LINES "finetuning_type: full\n", "model.safetensors"},
};

static int setup(void **state)
{
    if (reward_setup(state) != 0) {
        return -1;
    }
    reward_write_pairs(temporary("short.jsonl"), 0, 4);
    reward_write_pairs(temporary("few.jsonl"), 4, 3);
    return 0;
}

int main(void)
{
    failing_runs_begin();
    struct failing_runs runs = {
        .stage = &tested_reward,
        .methods = methods,
        .count = sizeof methods / sizeof *methods,
        .most = 600,
        .kept = {"figures.json"},
        .changing = {"report.html", "memory.json", "figures.json"},
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(failing_allocations, &runs),
        cmocka_unit_test_prestate(failing_writes, &runs),
    };
    return cmocka_run_group_tests(tests, setup, temporary_teardown);
}
