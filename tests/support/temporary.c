/* tests/support/temporary.c - see temporary.h. */
#include "support/temporary.h"
#include "base/file.h"
#include "support/cmocka.h"
#include "support/fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)1 << 28)

static char folder[256];

int temporary_setup(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    int length = snprintf(folder, sizeof folder, "%s/attune-test-XXXXXX", parent && *parent ? parent : "/tmp");
    return length < (int)sizeof folder && mkdtemp(folder) ? 0 : -1;
}

int temporary_teardown(void **state)
{
    (void)state;
    struct err err;
    return file_remove_tree(folder, &err);
}

const char *temporary(const char *format, ...)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    int length = snprintf(path, sizeof paths[0], "%s/", folder);
    va_list arguments;
    va_start(arguments, format);
    length += vsnprintf(path + length, sizeof paths[0] - (size_t)length, format, arguments);
    va_end(arguments);
    assert_in_range(length, 1, sizeof paths[0] - 1);
    return path;
}

struct strbuf read_bytes(const char *path)
{
    struct err err;
    struct strbuf bytes = {0};
    must(file_read(&bytes, path, FILE_MAX, &err));
    return bytes;
}

void write_bytes(const char *path, const void *bytes, size_t size)
{
    /* Not through base/file.h: a test that counts or fails its writes means those of what it tests. */
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

size_t lines_in(const char *path)
{
    struct strbuf text = read_bytes(path);
    size_t lines = 0;
    for (size_t i = 0; i < text.length; i++) {
        lines += text.data[i] == '\n';
    }
    strbuf_free(&text);
    return lines;
}

bool same_bytes(const char *path, const char *other)
{
    struct strbuf a = read_bytes(path), b = read_bytes(other);
    bool same = a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
    strbuf_free(&a);
    strbuf_free(&b);
    return same;
}

void remove_tree(const char *path)
{
    struct err err;
    must(file_remove_tree(path, &err));
}

size_t names_in(const char *path)
{
    struct err err;
    char **names;
    size_t count;
    if (!file_exists(path)) {
        return 0;
    }
    must(file_list(&names, &count, path, &err));
    file_names_free(names, count);
    return count;
}
