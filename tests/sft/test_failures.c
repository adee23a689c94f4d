/*
 * tests/sft/test_failures.c - a whole short run with one allocation, or one write or fsync, failing
 * (support/failing_runs.h).
 */
#include "support/cmocka.h"

#include "sft/helper_sft.h"
#include "support/failing_runs.h"
#include "support/temporary.h"
#include <stdio.h>

#define LINES                                                                                                          \
    "max_steps: 2\nlogging_steps: 1\nsave_steps: 1\nper_device_train_batch_size: 2\nmax_length: 100\npacking: true\n"  \
    "sample_prompts: [the sea]\nsample_max_new_tokens: 3\n"

static const char *const methods[] = {LINES "lora_r: 2\nlora_dropout: 0.1\nlora_modules_to_save: [lm_head]\n",
                                      LINES "finetuning_type: full\n"};
static const char *const results[] = {"adapter_model.safetensors", "model.safetensors"};

static bool run(size_t method, struct failure *failure, struct err *err)
{
    char lines[1024];
    snprintf(lines, sizeof lines, "%seval_dataset: %s\n", methods[method], temporary("eval.jsonl"));
    struct recipe *recipe = sft_recipe("run", lines);
    struct backend *backend = sft_cpu(1);
    failure_begin(failure);
    enum loop_outcome outcome = sft_run(recipe, backend, &(struct stage_options){0}, err);
    failure_end(failure);
    backend->free(backend);
    recipe_free(recipe);
    return outcome == LOOP_FINISHED;
}

static const struct failing_runs runs = {.run = run,
                                         .methods = 2,
                                         .results = results,
                                         .kept = {"samples.jsonl"},
                                         .changing = {"report.html", "memory.json"}};

static void allocations(void **state)
{
    (void)state;
    failing_allocations(&runs);
}

static void writes(void **state)
{
    (void)state;
    failing_writes(&runs);
}

int main(void)
{
    failing_runs_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations),
        cmocka_unit_test(writes),
    };
    return cmocka_run_group_tests(tests, sft_setup, temporary_teardown);
}
