/* Writing: whatever fails and whenever, the old file or the new one is there, whole, and nothing beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/helper_folder.h"
#include "base/mem.h"
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void expect_content(const char *name, const char *content)
{
    struct err err;
    struct strbuf text = {0};
    assert_int_equal(file_read(&text, in_folder(name), 1 << 20, &err), 0);
    assert_string_equal(strbuf_text(&text), content);
    strbuf_free(&text);
}

static int write_new(const char *path, struct err *err)
{
    struct file_writer writer;
    if (file_write_begin(&writer, path, err) != 0) {
        return -1;
    }
    if (file_write(&writer, "new ", 4, err) != 0 || file_write(&writer, "content", 7, err) != 0 ||
        file_write_commit(&writer, err) != 0) {
        file_write_abort(&writer);
        return -1;
    }
    return 0;
}

static void writes_and_replaces(void **state)
{
    (void)state;
    struct err err;
    const char *path = in_folder("file");
    assert_int_equal(write_new(path, &err), 0);
    expect_content("file", "new content");
    assert_int_equal(file_write_whole(path, "short", 5, &err), 0);
    expect_content("file", "short");
    chmod(path, 0600);
    assert_int_equal(write_new(path, &err), 0);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600); /* kept */
    assert_int_equal(folder_count(), 1);
    assert_int_equal(file_write_whole(path, NULL, 0, &err), 0);
    expect_content("file", "");
}

static void aborted_writes_leave_nothing(void **state)
{
    (void)state;
    struct err err;
    struct file_writer writer;
    assert_int_equal(file_write_whole(in_folder("file"), "old", 3, &err), 0);
    assert_int_equal(file_write_begin(&writer, in_folder("file"), &err), 0);
    assert_int_equal(file_write(&writer, "half", 4, &err), 0);
    file_write_abort(&writer);
    expect_content("file", "old");
    assert_int_equal(folder_count(), 1);
}

/* Every write and fsync of the way fails once. */
static void injected_failures(void **state)
{
    (void)state;
    struct err err;
    const char *path = in_folder("file");
    long failing = 0;
    int result;
    do {
        file_fail_at(0);
        assert_int_equal(file_write_whole(path, "old", 3, &err), 0);
        file_fail_at(++failing);
        err.text[0] = '\0';
        result = write_new(path, &err);
        if (result != 0) {
            assert_non_null(strstr(err.text, "No space left on device"));
            /* Only the last step, the fsync of the folder, comes after the new name is in place. */
            expect_content("file", failing < 5 ? "old" : "new content");
        }
        assert_int_equal(folder_count(), 1);
    } while (result != 0);
    file_fail_at(0);
    assert_int_equal(failing, 6); /* two writes, a flush, two fsyncs */
    expect_content("file", "new content");
}

static void failing_allocations(void **state)
{
    (void)state;
    struct err err;
    const char *path = in_folder("file");
    long failing = 0;
    do {
        mem_fail_at(++failing);
        assert_in_range(failing, 1, 20);
    } while (write_new(path, &err) != 0);
    mem_fail_at(0);
    assert_int_equal(failing, 4); /* two paths and the parent's */
    assert_int_equal(folder_count(), 1);
}

/* A disk that is full is told by the write or by the flush at the end, and leaves the old file. */
static void a_full_disk(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(file_write_whole(in_folder("file"), "old", 3, &err), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = {.rlim_cur = 10000, .rlim_max = 10000};
        setrlimit(RLIMIT_FSIZE, &limit);
        static char bytes[10100]; /* more than fits; stdio keeps the end of it until the flush */
        int failures = 0;
        for (size_t size = 1000; size <= sizeof bytes; size += 9100) {
            failures += file_write_whole(in_folder("file"), bytes, size, &err) != 0;
        }
        bool told = strstr(err.text, "cannot write '") && strstr(err.text, "/file': File too large");
        _exit(failures == 1 && told ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct stat file;
    assert_int_equal(stat(in_folder("file"), &file), 0);
    assert_int_equal(file.st_size, 1000); /* the first of the two came through */
    assert_int_equal(folder_count(), 1);
}

/* A line that does not fit after the others leaves them as they are, and the file goes on once there is room. */
static void appended_lines(void **state)
{
    (void)state;
    struct err err = {{0}};
    const char *path = in_folder("lines");
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    assert_true(file >= 0);
    assert_int_equal(file_append(file, path, "one\n", 4, &err), 0);
    file_fail_at(1);
    assert_int_equal(file_append(file, path, "two\n", 4, &err), -1);
    assert_non_null(strstr(err.text, "/lines': No space left on device"));
    file_fail_at(1);
    assert_int_equal(file_sync(file, path, &err), -1);
    file_fail_at(0);
    expect_content("lines", "one\n");
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = {.rlim_cur = 6, .rlim_max = 6};
        setrlimit(RLIMIT_FSIZE, &limit); /* two of the four bytes fit */
        bool failed = file_append(file, path, "two\n", 4, &err) != 0;
        _exit(failed && strstr(err.text, "/lines': File too large") ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    expect_content("lines", "one\n");
    assert_int_equal(file_append(file, path, "two\n", 4, &err), 0);
    assert_int_equal(file_sync(file, path, &err), 0);
    close(file);
    expect_content("lines", "one\ntwo\n");
}

static void two_writers_do_not_mix(void **state)
{
    (void)state;
    struct err err;
    struct file_writer first, second;
    assert_int_equal(file_write_begin(&first, in_folder("file"), &err), 0);
    assert_int_equal(file_write_begin(&second, in_folder("file"), &err), -1);
    assert_non_null(strstr(err.text, "another process is writing it"));
    assert_int_equal(file_write(&first, "first", 5, &err), 0);
    assert_int_equal(file_write_commit(&first, &err), 0);
    expect_content("file", "first");
    assert_int_equal(file_write_begin(&second, in_folder("file"), &err), 0);
    assert_int_equal(file_write_commit(&second, &err), 0);
    expect_content("file", "");
}

/* What a killed process left half-written is taken over, not added to. */
static void leftovers_are_taken_over(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(file_write_whole(in_folder("file.partial"), "a long rest of something", 24, &err), 0);
    assert_int_equal(write_new(in_folder("file"), &err), 0);
    expect_content("file", "new content");
    assert_int_equal(folder_count(), 1);
}

static void wrong_places(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(file_write_whole(in_folder("absent/file"), "x", 1, &err), -1);
    assert_non_null(strstr(err.text, "absent/file': No such file or directory"));
    assert_int_equal(file_write_whole(in_folder(""), "x", 1, &err), -1);
    assert_non_null(strstr(err.text, "it is there and is a directory"));
    assert_int_equal(file_write_whole("/dev/null", "x", 1, &err), -1); /* would be replaced by a file */
    assert_non_null(strstr(err.text, "not a regular file"));
}

static void publishing_a_folder(void **state)
{
    (void)state;
    struct err err;
    file_fail_at(0);
    assert_int_equal(file_make_dirs(in_folder("making/inner"), &err), 0);
    assert_int_equal(file_write_whole(in_folder("making/a"), "a", 1, &err), 0);
    assert_int_equal(file_write_whole(in_folder("making/b"), "b", 1, &err), 0);
    int failures = 0;
    do {
        file_fail_at(failures + 1);
        if (file_publish_dir(in_folder("making"), in_folder("made"), &err) == 0) {
            break;
        }
        assert_non_null(strstr(err.text, "No space left on device"));
        failures++;
    } while (file_exists(in_folder("making")));
    file_fail_at(0);
    assert_int_equal(failures, 4); /* two files, the folder, the parent */
    assert_false(file_exists(in_folder("making")));
    expect_content("made/a", "a");
    expect_content("made/b", "b");
    /* A folder that holds something is not replaced. */
    assert_int_equal(file_make_dirs(in_folder("making"), &err), 0);
    assert_int_equal(file_publish_dir(in_folder("making"), in_folder("made"), &err), -1);
    expect_content("made/a", "a");
    assert_int_equal(file_publish_dir(in_folder("absent"), in_folder("other"), &err), -1);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(writes_and_replaces),
        IN_FOLDER(aborted_writes_leave_nothing),
        IN_FOLDER(injected_failures),
        IN_FOLDER(failing_allocations),
        IN_FOLDER(a_full_disk),
        IN_FOLDER(appended_lines),
        IN_FOLDER(two_writers_do_not_mix),
        IN_FOLDER(leftovers_are_taken_over),
        IN_FOLDER(wrong_places),
        IN_FOLDER(publishing_a_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
