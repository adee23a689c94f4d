/*
 * base/file.h - files: mapped, read whole, read by lines, and written so that a crash leaves the old or the new, whole.
 *
 * Errors name the path. They distinguish a directory, a missing file and one that may not be read.
 */
#ifndef ATTUNE_BASE_FILE_H
#define ATTUNE_BASE_FILE_H

#include "base/err.h"
#include "base/strbuf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A descriptor of a file that is no directory, for reading, or -1; close it with close(). */
int file_open_read(const char *path, struct err *err);

/* A whole file, read-only, by mmap. A file of length 0 gives data == NULL, size == 0. */
struct file_map {
    const unsigned char *data;
    size_t size;
};
int file_map_open(struct file_map *map, const char *path, struct err *err);
/* Tells the kernel that the pages may leave memory (they are read again from the file when touched). */
void file_map_release(const struct file_map *map, size_t offset, size_t size);
/* The same for some bytes of a map; what else lies in their first and last page is read again too. */
void file_pages_release(const void *bytes, size_t size);
void file_map_close(struct file_map *map);

/* Appends the file to *out; an error when it is longer than `max` bytes. */
int file_read(struct strbuf *out, const char *path, size_t max, struct err *err);

/*
 * Lines of a plain or gzip file (told apart by content), one at a time, without the newline ("\r\n" also ends a line).
 * A line longer than FILE_LINE_MAX bytes is an error that names its number.
 */
#define FILE_LINE_MAX ((size_t)64 << 20)
struct file_lines;
int file_lines_open(struct file_lines **out, const char *path, struct err *err);
/* 1: *line is set (valid until the next call), 0: end of the file, -1: failure. */
int file_lines_next(struct file_lines *lines, const char **line, size_t *length, struct err *err);
/* Number of the line last returned, from 1. */
int64_t file_lines_number(const struct file_lines *lines);
void file_lines_close(struct file_lines *lines);

/* Reads a plain or gzip file whole, at most `max` bytes after decompression. */
int file_read_gz(struct strbuf *out, const char *path, size_t max, struct err *err);

/*
 * A file written beside its place and renamed: file_write_begin(), any number of writes, then commit (flush, fsync,
 * rename, fsync of the folder) or abort (nothing is left). After a failed call only abort may follow.
 */
struct file_writer {
    char *path;
    char *beside;
    FILE *stream;
};
int file_write_begin(struct file_writer *writer, const char *path, struct err *err);
int file_write(struct file_writer *writer, const void *bytes, size_t size, struct err *err);
int file_write_commit(struct file_writer *writer, struct err *err);
void file_write_abort(struct file_writer *writer);
/* The three steps in one. */
int file_write_whole(const char *path, const void *bytes, size_t size, struct err *err);

/*
 * For a file that grows while it is read by others (metrics): all the bytes go after its end, or, where there is no
 * room, none of them stay. `path` is for errors; `file` is a descriptor opened for writing with O_APPEND.
 */
int file_append(int file, const char *path, const void *bytes, size_t size, struct err *err);
/* Brings what was written to a descriptor to the disk. */
int file_sync(int file, const char *path, struct err *err);

bool file_exists(const char *path);
bool file_is_dir(const char *path);
/* mkdir -p */
int file_make_dirs(const char *path, struct err *err);
/* rm -r; no error when the path is not there. */
int file_remove_tree(const char *path, struct err *err);
/* Writes every file of the folder `from` (not its folders) to the disk, renames it to `to`, and syncs the parent
 * folder. */
int file_publish_dir(const char *from, const char *to, struct err *err);
/* Sorted names in a folder, without "." and ".."; free with file_names_free(). */
int file_list(char ***names, size_t *count, const char *path, struct err *err);
void file_names_free(char **names, size_t count);
/* "dir/name"; free with mem_free(). */
char *file_join(const char *dir, const char *name, struct err *err);
int file_copy(const char *from, const char *to, struct err *err);

/* For tests: the n-th write or fsync from now fails with ENOSPC; 0 turns that off. */
void file_fail_at(long n);
/* For tests: writes and fsyncs since file_fail_at(). */
long file_count(void);

#endif
