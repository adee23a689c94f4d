/*
 * base/json.h - reading JSON through jansson, with errors that name file, place and remedy.
 *
 * json_t and its accessors are jansson's own. Strings may hold zero bytes: use json_string_length(). `where` is what an
 * error message calls the object ("config.json", "data.jsonl:17").
 */
#ifndef ATTUNE_BASE_JSON_H
#define ATTUNE_BASE_JSON_H

#include "base/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* The value of a whole file (plain or gzip) of at most `max` bytes; the error gives line and column. Free with
 * json_decref(). */
json_t *json_read_file(const char *path, size_t max, struct err *err);
/* The value of a text; `where` names it in errors. Anything after the value but white space is an error. */
json_t *json_read_text(const char *text, size_t length, const char *where, struct err *err);
/* The same; an object with a key that stands in it twice is an error. */
json_t *json_read_text_strict(const char *text, size_t length, const char *where, struct err *err);
/* The same; every number becomes a real one, so that integers of any length can be read. */
json_t *json_read_text_reals(const char *text, size_t length, const char *where, struct err *err);
/* The value that a text begins with, *used bytes of it. The error is the reason only, without a place. */
json_t *json_read_first(const char *text, size_t length, size_t *used, struct err *err);
/* The same; every number becomes a real one. */
json_t *json_read_first_reals(const char *text, size_t length, size_t *used, struct err *err);

/*
 * Typed members of an object. An absent or null member leaves *out as it is (so set the default before); a member of
 * another type is an error. Borrowed strings live as long as the object.
 */
int json_get_string(const json_t *object, const char *key, const char **out, const char *where, struct err *err);
int json_get_int(const json_t *object, const char *key, int64_t *out, int64_t least, int64_t most, const char *where,
                 struct err *err);
int json_get_double(const json_t *object, const char *key, double *out, const char *where, struct err *err);
int json_get_bool(const json_t *object, const char *key, bool *out, const char *where, struct err *err);
/* The same for a member that must be there. */
int json_need_string(const json_t *object, const char *key, const char **out, const char *where, struct err *err);
int json_need_int(const json_t *object, const char *key, int64_t *out, int64_t least, int64_t most, const char *where,
                  struct err *err);

#endif
