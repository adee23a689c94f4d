/*
 * tests/lora/test_failures.c - a model and an adapter are opened, loaded and written with one allocation, or one write
 * or fsync, failing: every one of them in turn. Each is a sentence, and no half of an adapter is left.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/mem.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <string.h>

static const struct {
    const char *adapter, *base;
} cases[] = {{"tiny-lora-pattern", "tiny-llama"}, {"tiny-lora-embed-head", "tiny-llama"}, {"tiny-lora", "tiny-llama"}};

/* All of it, with the adapter written to `folder`. */
static int use_all(size_t c, struct backend *backend, const char *folder, struct err *err)
{
    struct model *model = NULL;
    struct adapter *adapter = NULL;
    const struct model_options options = {.backward = true};
    int result = model_open(&model, fixture_path(cases[c].base, NULL), err);
    if (result == 0) {
        result = model_load(model, backend, &options, err);
    }
    if (result == 0) {
        result = adapter_open(&adapter, model, fixture_path(cases[c].adapter, NULL), err);
    }
    if (result == 0) {
        result = adapter_load(adapter, backend, true, err);
    }
    if (result == 0) {
        result = adapter_save(adapter, folder, cases[c].base, err);
    }
    adapter_free(adapter);
    model_free(model);
    return result;
}

/* Whole files only, and those of an undisturbed save. */
static void check_files(const char *what, long n)
{
    static const char *const files[] = {"adapter_model.safetensors", "adapter_config.json"};
    size_t whole = 0;
    for (size_t i = 0; i < 2; i++) {
        if (!file_exists(temporary("out/%s", files[i]))) {
            continue;
        }
        whole++;
        if (!same_bytes(temporary("whole/%s", files[i]), temporary("out/%s", files[i]))) {
            fail_msg("the failure of %s %ld left another %s", what, n, files[i]);
        }
    }
    if (names_in(temporary("out")) != whole) {
        fail_msg("the failure of %s %ld left something half-written", what, n);
    }
}

static void inject(size_t c, void (*fail_at)(long), long (*count)(void), const char *what, const char *want)
{
    struct err err = {{0}};
    struct backend *backend = fixture_backend();
    long n = 1, failures = 0;
    must(file_make_dirs(temporary("whole"), &err));
    must(use_all(c, backend, temporary("whole"), &err));
    for (bool done = false; !done; n++) {
        must(file_make_dirs(temporary("out"), &err));
        err.text[0] = 0;
        fail_at(n);
        int result = use_all(c, backend, temporary("out"), &err);
        done = count() < n;
        fail_at(0);
        failures += result != 0;
        if (result != 0 && !strstr(err.text, want)) {
            fail_msg("%s %ld failed with '%s'", what, n, err.text);
        }
        if (result == 0 && !done) {
            fail_msg("%s %ld failed, and nothing was said", what, n);
        }
        check_files(what, n);
        remove_tree(temporary("out"));
    }
    print_message("%s: %ld of %s\n", what, failures, cases[c].adapter);
    assert_true(failures >= 10);
    remove_tree(temporary("whole"));
    backend->free(backend);
}

static void allocations(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        inject(c, mem_fail_at, mem_count, "allocation", "memory");
    }
}

static void writes(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        inject(c, file_fail_at, file_count, "write", "No space left on device");
    }
}

int main(void)
{
    mem_hook_libraries();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations),
        cmocka_unit_test(writes),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
