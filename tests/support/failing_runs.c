/* tests/support/failing_runs.c - see failing_runs.h. */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/mem.h"
#include "support/failing_runs.h"
#include "support/fixture.h"
#include "support/sanitized.h"
#include "support/temporary.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Under a sanitizer fewer of them. */
#define SANITIZED_MOST 150

/* What fails, and how many of them a run made. */
struct failure {
    void (*fail_at)(long);
    long (*count)(void);
    long n, made;
};

void failing_runs_begin(void)
{
    mem_hook_libraries(); /* jansson's allocations fail too */
    if (access("/dev/shm", W_OK) == 0) {
        setenv("TMPDIR", "/dev/shm", 0); /* thousands of runs need not wait for a disk */
    }
}

/* A run of a method while the n-th allocation, or write, fails; 0: none. True: it was finished. */
static bool run_failing(const struct failing_runs *runs, size_t method, struct failure *failure, struct err *err)
{
    struct recipe *recipe = stage_recipe(runs->stage, "run", runs->methods[method].lines);
    struct backend *backend = cpu_backend(DTYPE_F32, 1);
    failure->fail_at(failure->n);
    enum loop_outcome outcome = runs->stage->run(recipe, backend, &(struct stage_options){0}, err);
    failure->made = failure->count();
    failure->fail_at(0);
    backend->free(backend);
    recipe_free(recipe);
    return outcome == LOOP_FINISHED;
}

/* Undisturbed. */
static bool run(const struct failing_runs *runs, size_t method, struct err *err)
{
    return run_failing(runs, method, &(struct failure){.fail_at = mem_fail_at, .count = mem_count}, err);
}

static bool ends_with_a_line(const char *path)
{
    struct strbuf text = read_bytes(path);
    bool ends = text.length == 0 || text.data[text.length - 1] == '\n';
    strbuf_free(&text);
    return ends;
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0) {
        names++;
    }
    return *names != NULL;
}

/* Files that grow with the run hold whole lines, all others the same bytes, but for those that change. */
static void check_file(const struct failing_runs *runs, const char *name, long n)
{
    static const char *const growing[] = {"metrics.jsonl", "samples.jsonl", NULL};
    const char *path = temporary("run/%s", name);
    bool whole = is_one_of(name, growing)
                     ? ends_with_a_line(path)
                     : is_one_of(name, runs->changing) || same_bytes(temporary("whole/%s", name), path);
    if (!whole) {
        fail_msg("failure %ld left another %s than an undisturbed run", n, name);
    }
}

/* Every file below run/`folder` is whole under its name, and none has another. */
static void check_files(const struct failing_runs *runs, const char *folder, long n)
{
    struct err err;
    char **names;
    size_t count;
    must(file_list(&names, &count, temporary("run/%s", folder), &err));
    for (size_t i = 0; i < count; i++) {
        char name[256];
        snprintf(name, sizeof name, "%s%s%s", folder, *folder ? "/" : "", names[i]);
        if (!file_exists(temporary("whole/%s", name))) {
            fail_msg("failure %ld left %s behind", n, name);
        }
        if (file_is_dir(temporary("run/%s", name))) {
            check_files(runs, name, n);
        } else {
            check_file(runs, name, n);
        }
    }
    file_names_free(names, count);
}

/* What a failing run leaves could have been left by an undisturbed one that was stopped; a finished one is complete. */
static void check_folder(const struct failing_runs *runs, size_t method, bool is_finished, long n)
{
    if (!file_exists(temporary("run"))) {
        return;
    }
    check_files(runs, "", n);
    bool finished = file_exists(temporary("run/state.json"));
    if (is_finished) {
        assert_true(finished);
    }
    if (finished && !file_exists(temporary("run/%s", runs->methods[method].result))) {
        fail_msg("failure %ld left a run without its result that says it is finished", n);
    }
}

static void make_whole(const struct failing_runs *runs, size_t method)
{
    struct err err = {{0}};
    if (!run(runs, method, &err)) {
        fail_msg("the undisturbed run failed: %s", err.text);
    }
    remove_tree(temporary("whole"));
    assert_int_equal(rename(temporary("run"), temporary("whole")), 0);
}

/* The same recipe once more, after a failure. */
static void go_on(const struct failing_runs *runs, size_t method, const char *what, long n)
{
    struct err err = {{0}};
    if (!run(runs, method, &err)) {
        fail_msg("after %s %ld failed the run did not go on: %s", what, n, err.text);
    }
    check_folder(runs, method, true, n);
    if (names_in(temporary("run")) != names_in(temporary("whole"))) {
        fail_msg("after %s %ld failed the run ended with other files", what, n);
    }
    for (size_t i = 0; runs->kept[i]; i++) {
        if (!same_bytes(temporary("whole/%s", runs->kept[i]), temporary("run/%s", runs->kept[i]))) {
            fail_msg("after %s %ld failed the run ended with another %s", what, n, runs->kept[i]);
        }
    }
}

/* One failure after another, evenly spread where there are more than TRIES_MAX. `want`: what every sentence speaks of.
 */
static void inject(const struct failing_runs *runs, size_t method, struct failure failure, const char *what,
                   const char *want)
{
    struct err err = {{0}};
    remove_tree(temporary("run")); /* of a test that failed */
    make_whole(runs, method);
    failure.n = LONG_MAX; /* far behind the end: they are counted */
    assert_true(run_failing(runs, method, &failure, &err));
    long most = SANITIZED ? SANITIZED_MOST : runs->most ? runs->most : LONG_MAX, total = failure.made;
    long stride = 1 + (total - 1) / most, failures = 0;
    remove_tree(temporary("run"));
    for (long n = 1 + (long)method * stride / 2; n <= total; n += stride) {
        failure.n = n;
        err.text[0] = 0;
        bool finished = run_failing(runs, method, &failure, &err);
        if (!finished) {
            failures++;
            if (!strstr(err.text, want)) {
                fail_msg("%s %ld of %ld failed with '%s'", what, n, total, err.text);
            }
        }
        check_folder(runs, method, finished, n);
        if (n % 7 == 0) {
            go_on(runs, method, what, n);
        }
        remove_tree(temporary("run"));
    }
    print_message("%s: %ld of %ld tried, %ld ended the run\n", what, (total - 1) / stride + 1, total, failures);
    assert_true(failures > 0);
}

void failing_allocations(void **state)
{
    const struct failing_runs *runs = *state;
    for (size_t method = 0; method < runs->count; method++) {
        inject(runs, method, (struct failure){.fail_at = mem_fail_at, .count = mem_count}, "allocation", "memory");
    }
}

void failing_writes(void **state)
{
    const struct failing_runs *runs = *state;
    for (size_t method = 0; method < runs->count; method++) {
        inject(runs, method, (struct failure){.fail_at = file_fail_at, .count = file_count}, "write",
               "No space left on device");
    }
}
