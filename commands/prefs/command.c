#include "commands/prefs/command.h"
#include "base/args.h"

#include <stdio.h>

int prefs_fail(const struct err *err)
{
    fprintf(stderr, "attune prefs: %s\n", err->text);
    return ARGS_FAILURE;
}

int prefs_open_project(struct prefs **store, const char *path, enum prefs_mode mode, const char *name, int64_t *project)
{
    struct err err;
    if (prefs_open(store, path, mode, &err) != 0) {
        return prefs_fail(&err);
    }
    if (prefs_find_project(*store, name, project, &err) != 0) {
        prefs_close(*store);
        return prefs_fail(&err);
    }
    return -1;
}
