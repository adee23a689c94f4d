/* tests/support/temporary.h - a folder that one test program works in, and what its tests do with files. */
#ifndef ATTUNE_TESTS_SUPPORT_TEMPORARY_H
#define ATTUNE_TESTS_SUPPORT_TEMPORARY_H

#include "base/strbuf.h"
#include <stdbool.h>

/* Group setup and teardown of cmocka: makes an empty folder, and removes it with everything in it. */
int temporary_setup(void **state);
int temporary_teardown(void **state);

/* A path in the folder, by printf; valid until the eighth call from now. */
const char *temporary(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The functions below fail the running test with a sentence instead of returning an error. */

/* The bytes of a file; free with strbuf_free(). */
struct strbuf read_bytes(const char *path);
void write_bytes(const char *path, const void *bytes, size_t size);
/* How many lines a file has. */
size_t lines_in(const char *path);
/* Whether both files hold the same bytes. */
bool same_bytes(const char *path, const char *other);
void remove_tree(const char *path);
/* Names in a folder, 0 where there is none. */
size_t names_in(const char *folder);

#endif
