/*
 * text/data/record_file.h - the JSON values of a file, one by one: a value a line (.jsonl), or the elements of one
 * array (.json). The first byte that is not white space (within 4096 bytes) decides which of the two it is; gzip is
 * recognised by content too.
 *
 * Lines are read as they are needed; of an array only the text is held, never more than one value. Blank lines, "\r\n"
 * and a byte order mark are passed over.
 */
#ifndef ATTUNE_TEXT_DATA_RECORD_FILE_H
#define ATTUNE_TEXT_DATA_RECORD_FILE_H

#include "base/err.h"
#include "base/json.h"
#include <stddef.h>
#include <stdint.h>

/* The text of a JSON array, decompressed. */
#define RECORD_FILE_ARRAY_MAX ((size_t)1 << 30)

/* RECORD_FILE_LINES: a value a line, without looking (of a pipe one may not look). */
enum record_file_form { RECORD_FILE_DETECT, RECORD_FILE_LINES };

struct record_file;
int record_file_open(struct record_file **out, const char *path, enum record_file_form form, struct err *err);
void record_file_close(struct record_file *file);

enum { RECORD_FILE_END = 0, RECORD_FILE_VALUE = 1, RECORD_FILE_BAD = 2 };
/*
 * RECORD_FILE_VALUE: *value is the caller's, who frees it with json_decref(). RECORD_FILE_BAD: a line that is no JSON,
 * *err says why, and reading may go on. -1: the file cannot be read on; in an array nobody can tell where the element
 * after a broken one begins.
 */
int record_file_next(struct record_file *file, json_t **value, struct err *err);

/* Begins again with the first value. */
int record_file_rewind(struct record_file *file, struct err *err);

/* The line of the file on which the last value begins, and how many values there were with it. */
int64_t record_file_line(const struct record_file *file);
int64_t record_file_number(const struct record_file *file);
bool record_file_is_array(const struct record_file *file);

#endif
