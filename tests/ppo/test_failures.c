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

static const char *const methods[] = {LINES "lora_r: 2\nlora_modules_to_save: [lm_head]\nadaptive_kl: true\n",
                                      LINES "finetuning_type: full\nadvantage_estimator: rloo\n"};
static const char *const results[] = {"adapter_model.safetensors", "model.safetensors"};

static bool run(size_t method, struct failure *failure, struct err *err)
{
    struct recipe *recipe = ppo_recipe("run", methods[method]);
    struct backend *backend = ppo_cpu(DTYPE_F32, 1);
    failure_begin(failure);
    enum loop_outcome outcome = ppo_run(recipe, backend, &(struct stage_options){0}, err);
    failure_end(failure);
    backend->free(backend);
    recipe_free(recipe);
    return outcome == LOOP_FINISHED;
}

static const struct failing_runs runs = {.run = run,
                                         .methods = 2,
                                         .most = 300, /* each starts a program too */
                                         .results = results,
                                         .kept = {"samples.jsonl"},
                                         .changing = {"report.html", "memory.json", "rewards.jsonl"}};

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

int main(int argc, char **argv)
{
    ppo_score_if_asked(argc, argv);
    failing_runs_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations),
        cmocka_unit_test(writes),
    };
    return cmocka_run_group_tests(tests, ppo_setup, temporary_teardown);
}
