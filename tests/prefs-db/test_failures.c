/*
 * tests/prefs-db/test_failures.c - a database is made and records are imported, with one allocation (of ours or of
 * SQLite's) or one write failing, every one in turn: a sentence each time, the records all there or none of them, and
 * the same again completes what is missing.
 */
#include "base/file.h"
#include "base/mem.h"
#include "prefs-db/helper_prefs.h"
#include "support/cmocka.h"
#include "support/sanitized.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORDS 3
/* Under a sanitizer some of them; and after so many failures of allocations the same again. */
#define STRIDE (SANITIZED ? 37 : 1)
#define GO_ON  7

/* ---- failures in SQLite: the n-th call fails, as with mem_fail_at() ---- */

struct injection {
    long calls, failing;
};
static struct injection allocations, writes;

static bool fails(struct injection *injection)
{
    return ++injection->calls == injection->failing;
}

static sqlite3_mem_methods plain_memory;

static void *failing_malloc(int size)
{
    return fails(&allocations) ? NULL : plain_memory.xMalloc(size);
}

static void *failing_realloc(void *memory, int size)
{
    return fails(&allocations) ? NULL : plain_memory.xRealloc(memory, size);
}

static ssize_t full_pwrite(int file, const void *bytes, size_t size, off_t offset)
{
    if (fails(&writes)) {
        errno = ENOSPC;
        return -1;
    }
    return pwrite(file, bytes, size, offset);
}

static int hook_sqlite(void **state)
{
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &plain_memory) != SQLITE_OK) {
        return -1;
    }
    sqlite3_mem_methods methods = plain_memory;
    methods.xMalloc = failing_malloc;
    methods.xRealloc = failing_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK || sqlite3_initialize() != SQLITE_OK) {
        return -1;
    }
    sqlite3_vfs *files = sqlite3_vfs_find(NULL);
    for (int wide = 0; wide < 2; wide++) { /* one of them, as SQLite was built */
        files->xSetSystemCall(files, wide ? "pwrite64" : "pwrite", (sqlite3_syscall_ptr)full_pwrite);
    }
    return scratch_setup(state);
}

static void fail_allocation(long n)
{
    allocations = (struct injection){.failing = n};
}

static long count_allocations(void)
{
    return allocations.calls;
}

static void fail_write(long n)
{
    writes = (struct injection){.failing = n};
}

static long count_writes(void)
{
    return writes.calls;
}

/* ---- what is done ---- */

static int add_record(struct prefs *store, int number, int64_t batch, int64_t annotator, struct err *err)
{
    char prompt[80], text[80];
    struct prefs_new_item item = {.project = 1, .count = 2, .state = PREFS_CLOSED};
    int64_t id;
    int slots[PREFS_ANSWERS_MAX], ranks[PREFS_ANSWERS_MAX] = {0};
    bool added;
    snprintf(prompt, sizeof prompt, "[{\"role\":\"user\",\"content\":\"prompt %d\"}]", number);
    int result = prefs_add_prompt(store, prompt, "en", batch, &item.prompt, err);
    for (int i = 0; i < 2 && result == 0; i++) {
        int length = snprintf(text, sizeof text, "answer %d to prompt %d", i, number);
        result = prefs_add_answer(store, item.prompt, text, (size_t)length, &item.answers[i], err);
        if (result == 0) {
            result = prefs_add_model(store, i ? "second" : "first", &item.models[i], err);
        }
    }
    if (result == 0) {
        result = prefs_add_item(store, &item, &id, slots, NULL, err);
    }
    if (result == 0) {
        ranks[slots[0]] = 1;
        ranks[slots[1]] = 2;
        result = prefs_add_label(store, id, annotator, ranks, -1, 0, &added, err);
    }
    return result;
}

static int add_records(struct prefs *store, struct err *err)
{
    int64_t batch, annotator;
    int result = prefs_add_annotator(store, "import", PREFS_ROLE_IMPORT, &annotator, err);
    if (result == 0) {
        result = prefs_import_begin(store, "labels.jsonl", &batch, err);
    }
    for (int i = 0; i < RECORDS && result == 0; i++) {
        result = add_record(store, i, batch, annotator, err);
    }
    return result == 0 ? prefs_import_done(store, batch, "trl", RECORDS, 2 * RECORDS, 0, err) : result;
}

static int import(const char *path, struct err *err)
{
    struct prefs *store = NULL;
    int64_t project;
    if ((!file_exists(path) && prefs_create(path, err) != 0) || prefs_open(&store, path, PREFS_WRITE, err) != 0) {
        return -1;
    }
    int result = prefs_find_project(store, "default", &project, err);
    if (result == PREFS_REFUSED) {
        result = prefs_add_project(store, "default", &project, err);
    }
    if (result == 0) {
        result = prefs_batch_begin(store, err);
    }
    if (result == 0) {
        result = add_records(store, err);
        if (result == 0) {
            result = prefs_batch_commit(store, err);
        } else {
            prefs_batch_rollback(store);
        }
    }
    prefs_close(store);
    return result;
}

/* ---- every failure in turn ---- */

static void go_on(const char *path, const char *what, long n)
{
    struct err err;
    if (import(path, &err) != 0) {
        fail_msg("after %s %ld failed the import did not go on: %s", what, n, err.text);
    }
    assert_clean(path);
    assert_int_equal(number_of(path, "SELECT count(*) FROM judgment"), RECORDS);
}

static void inject(void (*fail_at)(long), long (*count)(void), const char *what, const char *want, int stride)
{
    struct err err;
    char path[200];
    long n = 1, tried = 0, failures = 0;
    snprintf(path, sizeof path, "%s", scratch_path("failing.db"));
    for (bool done = false; !done; n += stride, tried++) {
        err.text[0] = '\0';
        unlink(path);
        fail_at(n);
        int result = import(path, &err);
        done = count() < n;
        fail_at(0);
        failures += result != 0;
        if (result != 0 && !strstr(err.text, want)) {
            fail_msg("%s %ld failed with '%s'", what, n, err.text);
        }
        assert_true(result == 0 || !done);
        if (file_exists(path)) { /* a commit may have gone well whose end did not */
            int64_t judgments = number_of(path, "SELECT count(*) FROM judgment");
            assert_true(judgments == RECORDS || (result != 0 && judgments == 0));
        }
        if (fail_at == fail_write || tried % GO_ON == 0) {
            go_on(path, what, n);
        }
    }
    print_message("%s: %ld tried, %ld ended the import\n", what, tried, failures);
    assert_true(failures > 0);
}

static void own_allocations(void **state)
{
    (void)state;
    inject(mem_fail_at, mem_count, "allocation", "memory", 1);
}

static void allocations_of_sqlite(void **state)
{
    (void)state;
    inject(fail_allocation, count_allocations, "allocation of SQLite", "memory", STRIDE);
}

static void writes_of_sqlite(void **state)
{
    (void)state;
    inject(fail_write, count_writes, "write", "full", 1);
}

int main(void)
{
    mem_hook_libraries();
    if (access("/dev/shm", W_OK) == 0) {
        setenv("TMPDIR", "/dev/shm", 0); /* thousands of databases need not wait for a disk */
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_allocations),
        cmocka_unit_test(allocations_of_sqlite),
        cmocka_unit_test(writes_of_sqlite),
    };
    return cmocka_run_group_tests(tests, hook_sqlite, scratch_teardown);
}
