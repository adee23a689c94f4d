#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/helper_folder.h"
#include <cmocka.h>
#include <limits.h>
#include <stdlib.h>

static char folder[64];

int folder_setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/attune-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

int folder_teardown(void **state)
{
    (void)state;
    struct err err;
    return file_remove_tree(folder, &err);
}

const char *in_folder(const char *name)
{
    static char paths[8][PATH_MAX];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return path;
}

int folder_count(void)
{
    struct err err;
    char **names;
    size_t count;
    assert_int_equal(file_list(&names, &count, folder, &err), 0);
    file_names_free(names, count);
    return (int)count;
}

void shell(const char *format, ...)
{
    char command[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    assert_in_range(length, 1, sizeof command - 1);
    assert_int_equal(system(command), 0);
}
