/*
 * tests/sft/test_failures.c - a whole short run with one allocation, or one write or fsync, failing: every one of them
 * in turn. The run ends well or with a sentence of what was wanting, leaves nothing half-written, and the same recipe
 * goes on to the bytes of a run that nothing happened to.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/mem.h"
#include "sft/helper_sft.h"
#include "support/fixture.h"
#include "support/sanitized.h"
#include "support/temporary.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Under a sanitizer some of them, spread evenly. */
#define TRIES_MAX (SANITIZED ? 150 : LONG_MAX)

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

static bool ends_with_a_line(const char *path)
{
    struct strbuf text = read_bytes(path);
    bool ends = text.length == 0 || text.data[text.length - 1] == '\n';
    strbuf_free(&text);
    return ends;
}

/* Files that grow with the run hold whole lines, all others the same bytes, but for times and what was planned. */
static void check_file(const char *name, long n)
{
    const char *path = temporary("run/%s", name);
    bool grows = strcmp(name, "metrics.jsonl") == 0 || strcmp(name, "samples.jsonl") == 0;
    bool differs = strcmp(name, "report.html") == 0 || strcmp(name, "memory.json") == 0;
    if (grows ? !ends_with_a_line(path) : !differs && !same_bytes(temporary("whole/%s", name), path))
        fail_msg("failure %ld left another %s than an undisturbed run", n, name);
}

/* Every file below run/`folder` is whole under its name, and none has another. */
static void check_files(const char *folder, long n)
{
    struct err err;
    char **names;
    size_t count;
    must(file_list(&names, &count, temporary("run/%s", folder), &err));
    for (size_t i = 0; i < count; i++) {
        char name[256];
        snprintf(name, sizeof name, "%s%s%s", folder, *folder ? "/" : "", names[i]);
        if (!file_exists(temporary("whole/%s", name)))
            fail_msg("failure %ld left %s behind", n, name);
        if (file_is_dir(temporary("run/%s", name)))
            check_files(name, n);
        else
            check_file(name, n);
    }
    file_names_free(names, count);
}

/* What a failing run leaves could have been left by an undisturbed one that was stopped; a finished one is complete. */
static void check_folder(size_t method, enum loop_outcome outcome, long n)
{
    if (!file_exists(temporary("run")))
        return;
    check_files("", n);
    bool finished = file_exists(temporary("run/state.json"));
    if (outcome == LOOP_FINISHED)
        assert_true(finished);
    if (finished && !file_exists(temporary("run/%s", methods[method].result)))
        fail_msg("failure %ld left a run without its result that says it is finished", n);
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

/* `want`: what the sentence of each failure must speak of. */
static void inject(size_t method, void (*fail_at)(long), long (*count)(void), const char *what, const char *want)
{
    struct err err = {{0}};
    remove_tree(temporary("run")); /* of a test that failed */
    make_whole(method);
    long total = count_of(method, fail_at, count), stride = 1 + (total - 1) / TRIES_MAX, failures = 0;
    remove_tree(temporary("run"));
    for (long n = 1 + (long)method * stride / 2; n <= total; n += stride) {
        err.text[0] = 0;
        enum loop_outcome outcome = run_failing(method, fail_at, n, &err);
        if (outcome != LOOP_FINISHED) {
            failures++;
            if (!strstr(err.text, want))
                fail_msg("%s %ld of %ld failed with '%s'", what, n, total, err.text);
        }
        check_folder(method, outcome, n);
        if (n % 7 == 0) { /* and it goes on from there */
            if (run(method, &err) != LOOP_FINISHED)
                fail_msg("after %s %ld failed the run did not go on: %s", what, n, err.text);
            check_folder(method, LOOP_FINISHED, n);
            if (names_in(temporary("run")) != names_in(temporary("whole")))
                fail_msg("after %s %ld failed the run ended with other files", what, n);
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
        inject(method, mem_fail_at, mem_count, "allocation", "memory");
}

static void writes(void **state)
{
    (void)state;
    for (size_t method = 0; method < 2; method++)
        inject(method, file_fail_at, file_count, "write", "No space left on device");
}

int main(void)
{
    mem_hook_libraries(); /* jansson's allocations fail too */
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0); /* thousands of runs need not wait for a disk */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations),
        cmocka_unit_test(writes),
    };
    return cmocka_run_group_tests(tests, sft_setup, temporary_teardown);
}
