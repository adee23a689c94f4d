/* Reading files, maps, lines, and folders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/helper_folder.h"
#include "base/mem.h"
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void put(const char *name, const void *bytes, size_t size)
{
    struct err err;
    assert_int_equal(file_write_whole(in_folder(name), bytes, size, &err), 0);
}

/* What each way of reading says about a path that is no readable file. */
static void what_cannot_be_read_is_told_apart(void **state)
{
    (void)state;
    struct err err;
    struct strbuf text = {0};
    struct file_map map;
    struct file_lines *lines;
    assert_int_equal(file_make_dirs(in_folder("folder"), &err), 0);
    put("secret", "x", 1);
    chmod(in_folder("secret"), 0);
    const struct {
        const char *name, *reason;
    } cases[] = {
        {"absent", "absent': there is no such file"},
        {"folder", "folder': it is a directory, a file is needed"},
        {"secret", "secret': permission denied"},
    };
    size_t count = geteuid() == 0 ? 2 : 3; /* nothing is denied to root */
    for (size_t i = 0; i < count; i++) {
        const char *path = in_folder(cases[i].name);
        assert_int_equal(file_read(&text, path, 100, &err), -1);
        assert_non_null(strstr(err.text, cases[i].reason));
        assert_int_equal(file_read_gz(&text, path, 100, &err), -1);
        assert_non_null(strstr(err.text, cases[i].reason));
        assert_int_equal(file_map_open(&map, path, &err), -1);
        assert_non_null(strstr(err.text, cases[i].reason));
        assert_int_equal(file_lines_open(&lines, path, &err), -1);
        assert_non_null(strstr(err.text, cases[i].reason));
        assert_int_equal(file_copy(path, in_folder("copy"), &err), -1);
        assert_non_null(strstr(err.text, cases[i].reason));
    }
    assert_null(text.data);
    assert_int_equal(file_map_open(&map, "/dev/null", &err), -1);
    assert_non_null(strstr(err.text, "not a regular file"));
}

static void files_are_read_whole(void **state)
{
    (void)state;
    struct err err;
    struct strbuf text = {0};
    put("ten", "0123456789", 10);
    strbuf_puts(&text, "before ");
    assert_int_equal(file_read(&text, in_folder("ten"), 10, &err), 0);
    assert_string_equal(text.data, "before 0123456789");
    assert_int_equal(file_read(&text, in_folder("ten"), 9, &err), -1);
    assert_non_null(strstr(err.text, "longer than the 9 bytes"));
    strbuf_clear(&text);
    mem_fail_at(1);
    strbuf_free(&text);
    assert_int_equal(file_read(&text, in_folder("ten"), 10, &err), -1);
    mem_fail_at(0);
    assert_non_null(strstr(err.text, "out of memory"));
    strbuf_free(&text);
}

static void maps(void **state)
{
    (void)state;
    struct err err;
    struct file_map map;
    put("empty", "", 0);
    assert_int_equal(file_map_open(&map, in_folder("empty"), &err), 0);
    assert_null(map.data);
    assert_int_equal(map.size, 0);
    file_map_close(&map);

    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = 5 * page + 100;
    unsigned char *bytes = mem_alloc(size, 1, &err);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(i * 7 + i / 256);
    }
    put("large", bytes, size);
    assert_int_equal(file_map_open(&map, in_folder("large"), &err), 0);
    assert_int_equal(map.size, size);
    assert_memory_equal(map.data, bytes, size);
    file_map_release(&map, 10, 3 * page);
    file_map_release(&map, page, 0);
    file_map_release(&map, 0, size);
    assert_memory_equal(map.data, bytes, size); /* read again from the file */
    file_map_close(&map);
    assert_null(map.data);
    mem_free(bytes);
}

/* Reads all lines and compares them with what is expected, one string per line. */
static void expect_lines(const char *name, const char *const *expected, size_t count)
{
    struct err err = {.text = ""};
    struct file_lines *lines;
    assert_int_equal(file_lines_open(&lines, in_folder(name), &err), 0);
    const char *line;
    size_t length;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(file_lines_next(lines, &line, &length, &err), 1);
        assert_int_equal(length, strlen(expected[i]));
        assert_string_equal(line, expected[i]);
        assert_int_equal(file_lines_number(lines), i + 1);
    }
    assert_int_equal(file_lines_next(lines, &line, &length, &err), 0);
    assert_int_equal(file_lines_next(lines, &line, &length, &err), 0);
    assert_string_equal(err.text, "");
    file_lines_close(lines);
}

static void lines_end_in_many_ways(void **state)
{
    (void)state;
    static const char *const expected[] = {"one", "", "two\rhalf", "three", "\r", "last"};
    static const char text[] = "one\r\n\ntwo\rhalf\nthree\r\n\r\r\nlast";
    put("lines", text, sizeof text - 1);
    expect_lines("lines", expected, 6);
    put("lines", "one\n", 4);
    expect_lines("lines", expected, 1);
    put("lines", "", 0);
    expect_lines("lines", NULL, 0);
    put("lines", "\n", 1);
    expect_lines("lines", expected + 1, 1);
    static const char *const bare[] = {"x\r"};
    put("lines", "x\r", 2); /* no newline: the return belongs to the line */
    expect_lines("lines", bare, 1);
}

static void packed_lines(void **state)
{
    (void)state;
    static const char *const expected[] = {"one", "two", "three"};
    put("text", "one\ntwo\n", 8);
    shell("gzip -c %s > %s; printf 'three\\n' | gzip >> %s", in_folder("text"), in_folder("packed"),
          in_folder("packed"));
    expect_lines("packed", expected, 3); /* two members, one after the other */
    struct err err;
    struct strbuf text = {0};
    assert_int_equal(file_read_gz(&text, in_folder("packed"), 14, &err), 0);
    assert_string_equal(text.data, "one\ntwo\nthree\n");
    assert_int_equal(file_read_gz(&text, in_folder("packed"), 13, &err), -1);
    assert_non_null(strstr(err.text, "longer than the 13 bytes"));
    strbuf_free(&text);
    put("short", "\x1f", 1); /* the first byte of gzip's mark alone is plain text */
    static const char *const single[] = {"\x1f"};
    expect_lines("short", single, 1);
}

/* A packed file that ends anywhere but at its end, or holds other bytes, is an error: training data would be missing.
 */
static void damaged_packed_files(void **state)
{
    (void)state;
    struct err err;
    struct strbuf packed = {0}, text = {0};
    shell("seq 1 400 | gzip > %s", in_folder("whole.gz"));
    assert_int_equal(file_read(&packed, in_folder("whole.gz"), 1 << 20, &err), 0);
    for (size_t cut = 2; cut < packed.length; cut += cut < 20 ? 1 : 37) {
        put("cut.gz", packed.data, cut);
        strbuf_clear(&text);
        assert_int_equal(file_read_gz(&text, in_folder("cut.gz"), 1 << 20, &err), -1);
        assert_non_null(strstr(err.text, "cut.gz': its gzip data ends too early"));
    }
    packed.data[packed.length - 6] ^= 1; /* the checksum */
    put("bad.gz", packed.data, packed.length);
    strbuf_clear(&text);
    assert_int_equal(file_read_gz(&text, in_folder("bad.gz"), 1 << 20, &err), -1);
    assert_non_null(strstr(err.text, "bad.gz': its gzip data is damaged"));
    strbuf_free(&packed);
    strbuf_free(&text);
}

/* Lines of all lengths around the size of the chunks that are read. */
static void long_lines(void **state)
{
    (void)state;
    struct err err;
    struct strbuf text = {0};
    for (int i = 0; i < 40; i++) {
        for (int j = 0; j < i * 4001; j++) {
            strbuf_putc(&text, (char)('a' + i % 26));
        }
        strbuf_putc(&text, '\n');
    }
    put("long", text.data, text.length);
    struct file_lines *lines;
    assert_int_equal(file_lines_open(&lines, in_folder("long"), &err), 0);
    const char *line;
    size_t length;
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(file_lines_next(lines, &line, &length, &err), 1);
        assert_int_equal(length, i * 4001);
        assert_true(length == 0 || (line[0] == (char)('a' + i % 26) && line[length - 1] == line[0]));
        assert_int_equal(line[length], 0);
    }
    assert_int_equal(file_lines_next(lines, &line, &length, &err), 0);
    file_lines_close(lines);
    strbuf_free(&text);
}

static void endless_line(void **state)
{
    (void)state;
    struct err err;
    shell("(echo first; head -c %zu /dev/zero) | gzip -1 > %s", FILE_LINE_MAX + 1, in_folder("endless.gz"));
    struct file_lines *lines;
    assert_int_equal(file_lines_open(&lines, in_folder("endless.gz"), &err), 0);
    const char *line;
    size_t length;
    assert_int_equal(file_lines_next(lines, &line, &length, &err), 1);
    assert_int_equal(file_lines_next(lines, &line, &length, &err), -1);
    assert_non_null(strstr(err.text, "line 2: longer than the 67108864 bytes"));
    file_lines_close(lines);
}

static void folders(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(file_make_dirs(in_folder("a/b//c/"), &err), 0);
    assert_int_equal(file_make_dirs(in_folder("a/b/c"), &err), 0);
    assert_true(file_is_dir(in_folder("a/b/c")));
    put("a/b/file", "x", 1);
    put("a/b/c/deep", "x", 1);
    assert_int_equal(symlink("/etc", in_folder("a/b/link")), 0);
    assert_true(file_exists(in_folder("a/b/file")) && !file_is_dir(in_folder("a/b/file")));
    assert_int_equal(file_make_dirs(in_folder("a/b/file"), &err), -1);
    assert_non_null(strstr(err.text, "is not a folder"));
    assert_int_equal(file_make_dirs(in_folder("a/b/file/below"), &err), -1);

    char **names;
    size_t count;
    assert_int_equal(file_list(&names, &count, in_folder("a/b"), &err), 0);
    assert_int_equal(count, 3);
    assert_string_equal(names[0], "c");
    assert_string_equal(names[1], "file");
    assert_string_equal(names[2], "link");
    file_names_free(names, count);
    assert_int_equal(file_list(&names, &count, in_folder("absent"), &err), -1);

    assert_int_equal(file_remove_tree(in_folder("a"), &err), 0);
    assert_false(file_exists(in_folder("a")));
    assert_true(file_exists("/etc/passwd")); /* the link was removed, not what it names */
    assert_int_equal(file_remove_tree(in_folder("a"), &err), 0);
    put("single", "x", 1);
    assert_int_equal(file_remove_tree(in_folder("single"), &err), 0);
    assert_false(file_exists(in_folder("single")));
}

/* Fails each allocation in turn. */
static void listing_without_memory(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(file_make_dirs(in_folder("many"), &err), 0);
    for (int i = 0; i < 40; i++) {
        char name[20];
        snprintf(name, sizeof name, "many/%d", i);
        put(name, "", 0);
    }
    char **names;
    size_t count = 0;
    long failing = 0;
    int result;
    do {
        mem_fail_at(++failing);
        result = file_list(&names, &count, in_folder("many"), &err);
    } while (result != 0 && failing < 1000);
    mem_fail_at(0);
    assert_int_equal(result, 0);
    assert_int_equal(count, 40);
    assert_in_range(failing, 41, 60);
    file_names_free(names, count);
}

static void joins(void **state)
{
    (void)state;
    static const char *const cases[][3] = {{"dir", "name", "dir/name"},
                                           {"dir/", "name", "dir/name"},
                                           {"", "name", "name"},
                                           {"/", "name", "/name"},
                                           {"dir", "", "dir/"}};
    struct err err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *joined = file_join(cases[i][0], cases[i][1], &err);
        assert_string_equal(joined, cases[i][2]);
        mem_free(joined);
    }
}

static void copies(void **state)
{
    (void)state;
    struct err err;
    struct strbuf bytes = {0}, copy = {0};
    for (int i = 0; i < 50000; i++) {
        strbuf_printf(&bytes, "%d%c", i, 0);
    }
    put("source", bytes.data, bytes.length);
    assert_int_equal(file_copy(in_folder("source"), in_folder("target"), &err), 0);
    assert_int_equal(file_read(&copy, in_folder("target"), bytes.length, &err), 0);
    assert_int_equal(copy.length, bytes.length);
    assert_memory_equal(copy.data, bytes.data, bytes.length);
    strbuf_free(&bytes);
    strbuf_free(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_read_is_told_apart),
        cmocka_unit_test(files_are_read_whole),
        cmocka_unit_test(maps),
        cmocka_unit_test(lines_end_in_many_ways),
        cmocka_unit_test(packed_lines),
        cmocka_unit_test(damaged_packed_files),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(endless_line),
        cmocka_unit_test(folders),
        cmocka_unit_test(listing_without_memory),
        cmocka_unit_test(joins),
        cmocka_unit_test(copies),
    };
    return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
