/*
 * tests/fuzz/folder.h - a folder of this process for what is fuzzed through more than one file.
 *
 * It is made at the first call and removed when the process exits. Everything here aborts with a sentence where it
 * cannot do what it is for: then the machine is at fault, not the input.
 */
#ifndef ATTUNE_TESTS_FUZZ_FOLDER_H
#define ATTUNE_TESTS_FUZZ_FOLDER_H

#include <stddef.h>
#include <stdint.h>

/* <folder>/<name>, or the folder itself where `name` is NULL; valid until the next call. */
const char *folder_path(const char *name);
void folder_make(const char *name);
/* Sets the whole content of a file. */
void folder_write(const char *name, const uint8_t *bytes, size_t size);
/* A file that stands somewhere else. */
void folder_link(const char *name, const char *target);

/* Input made of several files, divided by bytes 0xFF, which UTF-8 never has: the next of them, "" at the end. */
struct input_rest {
    const uint8_t *bytes;
    size_t size;
};
struct input_rest input_part(struct input_rest *rest);

#endif
