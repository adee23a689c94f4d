/*
 * tests/sft/test_failures.c - a whole short run with one allocation, or one write or fsync, failing: whichever it is,
 * the run ends well or with a sentence, leaves nothing half-written, and the same recipe goes on to the bytes of a run
 * that nothing happened to.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/mem.h"
#include "sft/helper_sft.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define TRIES 150
#define LINES                                                                                                          \
    "max_steps: 2\nlogging_steps: 1\nsave_steps: 1\nper_device_train_batch_size: 2\nmax_length: 100\npacking: true\n"  \
    "sample_prompts: [the sea]\nsample_max_new_tokens: 3\n"

static const struct {
    const char *lines, *result;
} methods[] = {
    {LINES "lora_r: 2\nlora_dropout: 0.1\nlora_modules_to_save: [lm_head]\n", "adapter_model.safetensors"},
    {LINES "finetuning_type: full\n", "model.safetensors"},
};

static struct recipe *recipe_of(size_t method)
{
    char lines[1024];
    snprintf(lines, sizeof lines, "%seval_dataset: %s\n", methods[method].lines, temporary("eval.jsonl"));
    return sft_recipe("run", lines);
}

/* The n-th allocation or write of sft_run() fails; the recipe and the backend are made before. */
static enum loop_outcome run_failing(size_t method, void (*fail_at)(long), long n, struct err *err)
{
    struct recipe *recipe = recipe_of(method);
    struct backend *backend = sft_cpu(1);
    fail_at(n);
    enum loop_outcome outcome = sft_run(recipe, backend, &(struct stage_options){0}, err);
    fail_at(0);
    backend->free(backend);
    recipe_free(recipe);
    return outcome;
}

static enum loop_outcome run(size_t method, struct err *err)
{
    return run_failing(method, mem_fail_at, 0, err);
}

/* No file in the run's folder is half of one, and none lies about being finished. */
static void check_folder(size_t method, enum loop_outcome outcome, long n)
{
    struct err err;
    char **names;
    size_t count;
    if (!file_exists(temporary("run")))
        return;
    must(file_list(&names, &count, temporary("run"), &err));
    for (size_t i = 0; i < count; i++)
        if (strstr(names[i], ".partial") || strstr(names[i], "~") || strstr(names[i], ".tmp"))
            fail_msg("failure %ld left %s behind", n, names[i]);
    file_names_free(names, count);
    bool finished = file_exists(temporary("run/state.json"));
    if (outcome == LOOP_FINISHED)
        assert_true(finished);
    if (finished &&
        !same_bytes(temporary("whole/%s", methods[method].result), temporary("run/%s", methods[method].result)))
        fail_msg("with failure %ld the run ended in another %s", n, methods[method].result);
}

static void make_whole(size_t method)
{
    struct err err;
    assert_int_equal(run(method, &err), LOOP_FINISHED);
    remove_tree(temporary("whole"));
    assert_int_equal(rename(temporary("run"), temporary("whole")), 0);
}

/* How many there are: counted in a run where the one that is to fail lies far behind the end. */
static long count_of(size_t method, void (*fail_at)(long), long (*count)(void))
{
    struct err err;
    struct recipe *recipe = recipe_of(method);
    struct backend *backend = sft_cpu(1);
    fail_at(LONG_MAX);
    assert_int_equal(sft_run(recipe, backend, &(struct stage_options){0}, &err), LOOP_FINISHED);
    long total = count();
    fail_at(0);
    backend->free(backend);
    recipe_free(recipe);
    return total;
}

/*
 * Each of the run's allocations or writes, or where there are many of them TRIES of them spread evenly, at another
 * place for each method.
 */
static void inject(size_t method, void (*fail_at)(long), long (*count)(void), const char *what)
{
    struct err err = {{0}};
    remove_tree(temporary("run")); /* of a test that failed */
    make_whole(method);
    long total = count_of(method, fail_at, count), stride = 1 + total / TRIES, failures = 0;
    remove_tree(temporary("run"));
    for (long n = 1 + (long)method * stride / 2; n <= total; n += stride) {
        err.text[0] = 0;
        enum loop_outcome outcome = run_failing(method, fail_at, n, &err);
        if (outcome != LOOP_FINISHED) {
            failures++;
            if (!err.text[0])
                fail_msg("%s %ld of %ld failed without a word", what, n, total);
        }
        check_folder(method, outcome, n);
        if (n % 7 == 0) { /* and it goes on from there */
            if (run(method, &err) != LOOP_FINISHED)
                fail_msg("after %s %ld failed the run did not go on: %s", what, n, err.text);
            check_folder(method, LOOP_FINISHED, n);
            assert_true(same_bytes(temporary("whole/samples.jsonl"), temporary("run/samples.jsonl")));
        }
        remove_tree(temporary("run"));
    }
    print_message("%s: %ld of %ld tried, %ld ended the run\n", what, (total - 1) / stride + 1, total, failures);
    assert_true(failures > 0);
}

static void allocations(void **state)
{
    (void)state;
    for (size_t method = 0; method < 2; method++)
        inject(method, mem_fail_at, mem_count, "allocation");
}

static void writes(void **state)
{
    (void)state;
    for (size_t method = 0; method < 2; method++)
        inject(method, file_fail_at, file_count, "write");
}

int main(void)
{
    mem_hook_libraries(); /* jansson's allocations fail too */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations),
        cmocka_unit_test(writes),
    };
    return cmocka_run_group_tests(tests, sft_setup, temporary_teardown);
}
