/*
 * prefs-db/assets.h - the files of the page, compiled in (cmake/embed.cmake). A request finds one by its exact path.
 */
#ifndef ATTUNE_PREFS_DB_ASSETS_H
#define ATTUNE_PREFS_DB_ASSETS_H

#include <stddef.h>

struct asset {
    const char *path, *type, *bytes;
    size_t size;
};
/* Fills in *found and returns it; NULL: no such path. */
const struct asset *asset_find(const char *path, struct asset *found);

#endif
