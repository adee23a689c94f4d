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

static const char *const methods[] = {LINES "lora_r: 2\nlora_dropout: 0.1\n", LINES "finetuning_type: full\n"};
static const char *const results[] = {"adapter_model.safetensors", "model.safetensors"};

static bool run(size_t method, struct failure *failure, struct err *err)
{
    struct recipe *recipe = reward_recipe("run", methods[method]);
    struct backend *backend = reward_cpu(1);
    failure_begin(failure);
    enum loop_outcome outcome = reward_run(recipe, backend, &(struct stage_options){0}, err);
    failure_end(failure);
    backend->free(backend);
    recipe_free(recipe);
    return outcome == LOOP_FINISHED;
}

static const struct failing_runs runs = {.run = run,
                                         .methods = 2,
                                         .most = 600,
                                         .results = results,
                                         .kept = {"figures.json"},
                                         .changing = {"report.html", "memory.json", "figures.json"}};

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

static int setup(void **state)
{
    if (reward_setup(state) != 0)
        return -1;
    reward_write_pairs(temporary("short.jsonl"), 0, 4);
    reward_write_pairs(temporary("few.jsonl"), 4, 3);
    return 0;
}

int main(void)
{
    failing_runs_begin();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations),
        cmocka_unit_test(writes),
    };
    return cmocka_run_group_tests(tests, setup, temporary_teardown);
}
