/*
 * base/utf8.h - reading UTF-8 from the outside, where any byte may come.
 */
#ifndef ATTUNE_BASE_UTF8_H
#define ATTUNE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#define UTF8_REPLACEMENT 0xFFFDu

/*
 * Reads the code point at bytes[0 .. length-1], length > 0, into *code_point and returns how many bytes it took (1..4).
 * Bytes that are no UTF-8 (overlong, surrogate, cut off, beyond U+10FFFF) give -1 as *code_point and the length of the
 * maximal subpart that Unicode recommends to replace by one U+FFFD (chapter 3.9, table 3-8).
 */
size_t utf8_read(const char *bytes, size_t length, int *code_point);

/* Writes a code point into `out` and returns how many bytes it took; one that has no UTF-8 is written as U+FFFD. */
size_t utf8_write(char out[4], unsigned code_point);

/* Whether all of it is UTF-8. */
bool utf8_valid(const char *bytes, size_t length);

#endif
