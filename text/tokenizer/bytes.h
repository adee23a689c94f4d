/*
 * text/tokenizer/bytes.h - GPT-2's spelling of bytes in byte-level vocabularies: a printable Latin-1 character stands
 * for itself, the 68 other bytes for U+0100 onwards in order ("Ġ", U+0120, is the space). Internal to this room.
 */
#ifndef ATTUNE_TEXT_TOKENIZER_BYTES_H
#define ATTUNE_TEXT_TOKENIZER_BYTES_H

#include "text/tokenizer/text.h"

/* The character that stands for a byte. */
unsigned byte_character(unsigned char byte);
/* The byte that a character stands for; -1: none. */
int character_byte(unsigned character);
/* Appends the characters of the bytes text[start .. end). */
int text_put_spelled(struct text_buffer *out, const struct aligned_text *text, size_t start, size_t end,
                     struct err *err);

#endif
