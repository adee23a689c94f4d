/*
 * base/utf8.h - UTF-8: text from the outside, where any byte may come, and text that is known to be valid.
 *
 * A character is one code point here. Lengths and places are counted in bytes unless a name says characters.
 */
#ifndef ATTUNE_BASE_UTF8_H
#define ATTUNE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT 0xFFFDu

/* ---- any bytes ---- */

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

/* Whether a byte continues a character that began before it. */
static inline bool utf8_continues(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

/* Characters in the text: bytes that begin one. */
size_t utf8_characters(const char *text, size_t length);

/* How much of the text to keep, at most `most` bytes, so that no character is cut in two. */
size_t utf8_cut(const char *text, size_t length, size_t most);

/* ---- text that is known to be UTF-8; inline, since the tokenizer's scanner lives on them ---- */

/* Reads the character at *at, and moves *at to the one after it. */
static inline uint32_t utf8_next(const char *text, size_t *at)
{
    const unsigned char *in = (const unsigned char *)text + *at;
    if (in[0] < 0x80) {
        *at += 1;
        return in[0];
    }
    if (in[0] < 0xE0) {
        *at += 2;
        return (in[0] & 0x1Fu) << 6 | (in[1] & 0x3Fu);
    }
    if (in[0] < 0xF0) {
        *at += 3;
        return (in[0] & 0x0Fu) << 12 | (in[1] & 0x3Fu) << 6 | (in[2] & 0x3Fu);
    }
    *at += 4;
    return (in[0] & 0x07u) << 18 | (in[1] & 0x3Fu) << 12 | (in[2] & 0x3Fu) << 6 | (in[3] & 0x3Fu);
}

/* The start of the character that ends before `at`, at > 0. */
static inline size_t utf8_before(const char *text, size_t at)
{
    do {
        at--;
    } while (at > 0 && utf8_continues(text[at]));
    return at;
}

/* How many bytes the character takes that begins with `byte`. */
static inline size_t utf8_size(char byte)
{
    unsigned char first = (unsigned char)byte;
    return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

#endif
