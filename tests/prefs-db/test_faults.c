/* Files that are not ours, newer, cut off, read-only or without room: a clear error, and the file as it was. */
#include "base/file.h"
#include "base/hash.h"
#include "prefs-db/helper_prefs.h"
#include "prefs-db/internal.h"
#include "support/cmocka.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct err err;

static struct hash hash_of(const char *path)
{
    struct strbuf bytes = {0};
    assert_int_equal(file_read(&bytes, path, (size_t)1 << 30, &err), 0);
    struct hash hash = hash_bytes(bytes.data, bytes.length);
    strbuf_free(&bytes);
    return hash;
}

/* Opening fails in both modes, says `word`, and changes neither the file nor the folder. */
static void assert_refused(const char *path, const char *word)
{
    struct hash before = hash_of(path);
    struct prefs *store = NULL;
    for (int mode = PREFS_READ; mode <= PREFS_WRITE; mode++) {
        char journal[300];
        assert_int_equal(prefs_open(&store, path, (enum prefs_mode)mode, &err), -1);
        if (strstr(err.text, word) == NULL || strstr(err.text, path) == NULL) {
            fail_msg("'%s' does not say '%s'", err.text, word);
        }
        snprintf(journal, sizeof journal, "%s-journal", path);
        struct stat about; /* SQLite leaves an empty one behind */
        assert_true(stat(journal, &about) != 0 || about.st_size == 0);
    }
    struct hash after = hash_of(path);
    assert_true(before.high == after.high && before.low == after.low);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_files_that_are_not_ours(void **state)
{
    (void)state;
    const char *foreign = scratch_path("foreign.db"), *text = scratch_path("text.db"),
               *empty = scratch_path("empty.db");
    run_sql(foreign, "CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    assert_refused(foreign, "another program");
    assert_int_equal(file_write_whole(text,
                                      "hello, this is no database at all, but it is longer than the header of one: "
                                      "a hundred bytes and some more of them behind",
                                      120, &err),
                     0);
    assert_refused(text, "not a SQLite file");
    assert_int_equal(file_write_whole(empty, "", 0, &err), 0);
    assert_refused(empty, "not a SQLite file");
    struct prefs *store = NULL;
    assert_int_equal(prefs_open(&store, scratch_path("missing.db"), PREFS_WRITE, &err), -1);
    assert_non_null(strstr(err.text, "attune prefs init"));
    assert_false(file_exists(scratch_path("missing.db")));
    assert_int_equal(prefs_open(&store, scratch_folder(), PREFS_WRITE, &err), -1);
    /* init leaves what is there alone. */
    struct hash before = hash_of(foreign);
    assert_int_equal(prefs_create(foreign, &err), -1);
    assert_non_null(strstr(err.text, "exists already"));
    struct hash after = hash_of(foreign);
    assert_true(before.high == after.high && before.low == after.low);
}

static void test_a_newer_schema(void **state)
{
    (void)state;
    prefs_close(new_store("newer.db"));
    run_sql(scratch_path("newer.db"), "PRAGMA user_version=99");
    assert_refused(scratch_path("newer.db"), "newer attune");
}

static void test_a_truncated_file(void **state)
{
    (void)state;
    struct prefs *store = new_store("cut.db");
    add_items(store, 0, 300, 3);
    prefs_close(store);
    struct stat about;
    assert_int_equal(stat(scratch_path("cut.db"), &about), 0);
    assert_int_equal(truncate(scratch_path("cut.db"), about.st_size / 2), 0);
    assert_refused(scratch_path("cut.db"), "truncated");
    assert_int_equal(truncate(scratch_path("cut.db"), 60), 0);
    assert_refused(scratch_path("cut.db"), "not a SQLite file");
}

static void test_damaged_pages_are_found(void **state)
{
    (void)state;
    struct prefs *store = new_store("damaged.db");
    struct strbuf report = {0};
    int64_t faults = 0;
    add_items(store, 0, 300, 3);
    prefs_close(store);
    FILE *file = fopen(scratch_path("damaged.db"), "r+");
    for (long page = 20; page < 40; page++) {
        fseek(file, page * 4096, SEEK_SET);
        for (int i = 0; i < 200; i++) {
            fputc(0xee, file);
        }
    }
    fclose(file);
    store = NULL;
    if (prefs_open(&store, scratch_path("damaged.db"), PREFS_READ, &err) != 0 ||
        prefs_check(store, &report, &faults, &err) != 0) {
        assert_non_null(strstr(err.text, "damaged"));
        faults = 1;
    }
    assert_true(faults > 0);
    strbuf_free(&report);
    prefs_close(store);
}

static void test_broken_rules_are_found(void **state)
{
    (void)state;
    static const char *const faults_made[] = {
        "DELETE FROM item_slot WHERE item_id=1 AND slot=2",
        "UPDATE item_slot SET answer_id=9 WHERE item_id=1 AND slot=0",
        "UPDATE item SET state='done' WHERE id=3",
        "INSERT INTO assignment (item_id, annotator_id, state, shown, leased_ms) VALUES (1, 1, 'expired', '001', 1)",
        "PRAGMA foreign_keys=OFF; UPDATE item SET prompt_id=77 WHERE id=2",
    };
    for (size_t i = 0; i < sizeof faults_made / sizeof faults_made[0]; i++) {
        char name[32];
        struct strbuf report = {0};
        int64_t faults = 0;
        snprintf(name, sizeof name, "rules-%zu.db", i);
        struct prefs *store = new_store(name);
        add_items(store, 0, 5, 3);
        add_person(store, "ann", PREFS_ROLE_ANNOTATOR, NULL);
        assert_int_equal(prefs_check(store, &report, &faults, &err), 0);
        assert_int_equal(faults, 0);
        run_sql(scratch_path(name), faults_made[i]);
        assert_int_equal(prefs_check(store, &report, &faults, &err), 0);
        assert_true(faults > 0);
        strbuf_free(&report);
        prefs_close(store);
    }
}

/* In a child without privileges, since root may write everything. */
static void test_a_read_only_file(void **state)
{
    (void)state;
    struct prefs *store = new_store("readonly.db");
    add_items(store, 0, 3, 2);
    prefs_close(store);
    const char *path = scratch_path("readonly.db");
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(scratch_folder(), 0755), 0);
    struct hash before = hash_of(path);
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) {
            _exit(3);
        }
        int64_t faults = 0;
        int opened = prefs_open(&store, path, PREFS_WRITE, &err);
        bool said = strstr(err.text, "read-only") != NULL;
        struct strbuf report = {0};
        bool read = prefs_open(&store, path, PREFS_READ, &err) == 0 &&
                    prefs_check(store, &report, &faults, &err) == 0 && faults == 0;
        _exit(opened == -1 && said && read ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    struct hash after = hash_of(path);
    assert_true(before.high == after.high && before.low == after.low);
}

/* A limit on the length of files stands in for a full disk: the write fails in the same place of SQLite. */
static void test_no_room(void **state)
{
    (void)state;
    struct prefs *store = new_store("full.db");
    int64_t ann = add_person(store, "ann", PREFS_ROLE_ANNOTATOR, NULL), id = 0;
    add_items(store, 0, 200, 4);
    struct stat about;
    assert_int_equal(stat(scratch_path("full.db"), &about), 0);
    struct hash before = hash_of(scratch_path("full.db"));
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit old, tight = {(rlim_t)about.st_size, RLIM_INFINITY};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    struct strbuf long_text = {0};
    for (int i = 0; i < 100000; i++) {
        strbuf_puts(&long_text, "no room ");
    }
    assert_int_equal(prefs_add_answer(store, 1, long_text.data, long_text.length, &id, &err), PREFS_FAILED);
    assert_non_null(strstr(err.text, "full.db"));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    struct hash after = hash_of(scratch_path("full.db"));
    assert_true(before.high == after.high && before.low == after.low);
    /* With room again the same store goes on. */
    assert_int_equal(prefs_add_answer(store, 1, long_text.data, long_text.length, &id, &err), 0);
    struct prefs_task task = {0};
    assert_int_equal(prefs_next_task(store, 1, ann, &task, &err), 1);
    prefs_task_free(&task);
    strbuf_free(&long_text);
    prefs_close(store);
    assert_clean(scratch_path("full.db"));
}

static void test_migrations(void **state)
{
    (void)state;
    static const struct prefs_migration good[] = {{NULL}, {"ALTER TABLE project ADD COLUMN colour TEXT"}};
    static const struct prefs_migration bad[] = {
        {NULL}, {"ALTER TABLE project ADD COLUMN colour TEXT; INSERT INTO nowhere VALUES (1)"}};
    struct prefs *store = new_store("old.db");
    add_items(store, 0, 3, 2);
    assert_int_equal(prefs_migrate(store, bad, 2, &err), -1);
    assert_int_equal(number_of(scratch_path("old.db"), "PRAGMA user_version"), 1);
    assert_int_equal(
        number_of(scratch_path("old.db"), "SELECT count(*) FROM pragma_table_info('project') WHERE name='colour'"), 0);
    assert_int_equal(prefs_migrate(store, good, 2, &err), 0);
    assert_int_equal(number_of(scratch_path("old.db"), "PRAGMA user_version"), 2);
    assert_int_equal(
        number_of(scratch_path("old.db"), "SELECT count(*) FROM pragma_table_info('project') WHERE name='colour'"), 1);
    /* The file as it was lies beside it. */
    assert_int_equal(number_of(scratch_path("old.db.schema-1"), "SELECT count(*) FROM item"), 3);
    assert_int_equal(number_of(scratch_path("old.db.schema-1"), "PRAGMA user_version"), 1);
    assert_int_equal(prefs_migrate(store, good, 2, &err), 0);
    prefs_close(store);
    assert_refused(scratch_path("old.db"), "newer attune");
}

static void test_append_only(void **state)
{
    (void)state;
    struct prefs *store = new_store("append.db");
    int64_t ann = add_person(store, "ann", PREFS_ROLE_ANNOTATOR, NULL), id = 0;
    add_items(store, 0, 1, 2);
    struct prefs_task task = {0};
    assert_int_equal(prefs_next_task(store, 1, ann, &task, &err), 1);
    struct prefs_judgment judgment = ranked_as_shown(&task);
    judgment.flags[0] = 1;
    assert_int_equal(prefs_submit(store, ann, &judgment, &id, &err), 0);
    static const char *const changes[] = {
        "DELETE FROM judgment",
        "UPDATE judgment SET ranks='21'",
        "DELETE FROM flag",
        "UPDATE flag SET code='pii'",
        "INSERT OR REPLACE INTO judgment SELECT * FROM judgment",
        ("INSERT INTO judgment (assignment_id, revision, verdict, ranks, client, nonce, created_ms) VALUES "
         "(1, 9, 'ranked', '123', 'web', zeroblob(16), 1)")};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        assert_int_equal(sql_script(store, changes[i], &err), -1);
    }
    prefs_task_free(&task);
    prefs_close(store);
    assert_clean(scratch_path("append.db"));
}

static void test_backup_while_in_use(void **state)
{
    (void)state;
    struct prefs *store = new_store("source.db");
    add_items(store, 0, 50, 2);
    assert_int_equal(prefs_backup(store, scratch_path("copy.db"), &err), 0);
    assert_int_equal(prefs_backup(store, scratch_path("copy.db"), &err), -1);
    assert_clean(scratch_path("copy.db"));
    assert_int_equal(number_of(scratch_path("copy.db"), "SELECT count(*) FROM item"), 50);
    prefs_close(store);
}

/* Killed when a part of its change was in the file already. A journal like that is undone by whoever comes next. */
static void test_a_writer_killed_within_a_change(void **state)
{
    (void)state;
    const char *path = scratch_path("killed.db");
    struct prefs *store = new_store("killed.db");
    add_items(store, 0, 20, 2);
    prefs_close(store);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        sqlite3 *db = NULL;
        if (sqlite3_open(path, &db) == SQLITE_OK) {
            sqlite3_exec(db,
                         "PRAGMA journal_mode=TRUNCATE; PRAGMA cache_size=5; BEGIN; CREATE TABLE unfinished (a);"
                         "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
                         "INSERT INTO unfinished SELECT randomblob(2000) FROM n",
                         NULL, NULL, NULL);
        }
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    struct stat about;
    assert_int_equal(stat(scratch_path("killed.db-journal"), &about), 0);
    assert_true(about.st_size > 0);
    assert_int_equal(prefs_open(&store, path, PREFS_READ, &err), 0);
    prefs_close(store);
    assert_int_equal(number_of(path, "SELECT count(*) FROM sqlite_master WHERE name = 'unfinished'"), 0);
    assert_int_equal(number_of(path, "SELECT count(*) FROM item"), 20);
    assert_clean(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_that_are_not_ours),
        cmocka_unit_test(test_a_newer_schema),
        cmocka_unit_test(test_a_truncated_file),
        cmocka_unit_test(test_damaged_pages_are_found),
        cmocka_unit_test(test_broken_rules_are_found),
        cmocka_unit_test(test_a_read_only_file),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_migrations),
        cmocka_unit_test(test_append_only),
        cmocka_unit_test(test_backup_while_in_use),
        cmocka_unit_test(test_a_writer_killed_within_a_change),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
