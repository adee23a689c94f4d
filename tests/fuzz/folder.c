/* tests/fuzz/folder.c - see folder.h. */
#include "fuzz/folder.h"
#include "base/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64]; /* empty until it is made */

static void give_up(const char *what, const char *path)
{
    perror(path);
    fprintf(stderr, "cannot %s '%s'\n", what, path);
    abort();
}

static void remove_folder(void)
{
    struct err err;
    file_remove_tree(folder, &err);
}

const char *folder_path(const char *name)
{
    static char path[256];
    if (!folder[0]) {
        /* In memory where that can be had: what is written through base/file.h is synced each time. */
        snprintf(folder, sizeof folder, "%s/attune-fuzz-XXXXXX", file_is_dir("/dev/shm") ? "/dev/shm" : "/tmp");
        if (!mkdtemp(folder)) {
            give_up("make the folder", folder);
        }
        atexit(remove_folder);
    }
    snprintf(path, sizeof path, "%s%s%s", folder, name ? "/" : "", name ? name : "");
    return path;
}

void folder_make(const char *name)
{
    struct err err;
    if (file_make_dirs(folder_path(name), &err) != 0) {
        give_up("make the folder", folder_path(name));
    }
}

void folder_write(const char *name, const uint8_t *bytes, size_t size)
{
    FILE *file = fopen(folder_path(name), "wb");
    if (!file || (size > 0 && fwrite(bytes, 1, size, file) != size) || fclose(file) != 0) {
        give_up("write", folder_path(name));
    }
}

void folder_link(const char *name, const char *target)
{
    if (symlink(target, folder_path(name)) != 0) {
        give_up("make the link", folder_path(name));
    }
}

struct input_rest input_part(struct input_rest *rest)
{
    const uint8_t *divide = rest->size > 0 ? memchr(rest->bytes, 0xFF, rest->size) : NULL;
    struct input_rest part = {rest->bytes, divide ? (size_t)(divide - rest->bytes) : rest->size};
    size_t taken = part.size + (divide ? 1 : 0);
    rest->bytes += taken;
    rest->size -= taken;
    return part;
}
