/*
 * text/jinja/string.h - strings whose bytes know their origin: cut, searched and put together.
 *
 * Text is UTF-8; what Python counts in characters is counted in code points here. Functions take byte offsets unless
 * they say characters.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_TEXT_JINJA_STRING_H
#define ATTUNE_TEXT_JINJA_STRING_H

#include "text/jinja/value.h"

/* A string of `length` bytes that live as long as the arena (they are not copied), all of one origin. */
struct jinja_value jinja_string_of(struct jinja_arena *arena, const char *bytes, size_t length,
                                   struct jinja_origin origin);
/* The same for a C string that the interpreter made itself: it has no origin. */
struct jinja_value jinja_string_made(struct jinja_arena *arena, const char *text);

/* Bytes from..to-1 of a string, sharing them. */
struct jinja_value jinja_string_part(struct jinja_arena *arena, const struct jinja_string *string, size_t from,
                                     size_t to);

/* Code points in the string. */
size_t jinja_characters(struct jinja_arena *arena, struct jinja_string *string);
/* Byte offset of a character, at most that of the end. */
size_t jinja_byte_offset(struct jinja_arena *arena, struct jinja_string *string, size_t character);
/* Characters in the first `bytes` bytes. */
size_t jinja_character_at(struct jinja_arena *arena, struct jinja_string *string, size_t bytes);

/* Offset of the first (last) occurrence of `needle` in bytes from..to-1, or SIZE_MAX. */
size_t jinja_find(struct jinja_arena *arena, const struct jinja_string *string, const struct jinja_string *needle,
                  size_t from, size_t to);
size_t jinja_find_last(struct jinja_arena *arena, const struct jinja_string *string, const struct jinja_string *needle,
                       size_t from, size_t to);

bool jinja_string_is(const struct jinja_string *string, const char *text);
bool jinja_string_equal(const struct jinja_string *a, const struct jinja_string *b);

/* The code point that starts at *offset, which moves after it. The text is valid UTF-8 (the lexer and jansson saw to
 * it). */
uint32_t jinja_next_character(const struct jinja_string *string, size_t *offset);

/* & < > " ' as HTML entities; the result is markup. */
struct jinja_value jinja_escape(struct jinja_arena *arena, const struct jinja_string *string);

/* ---- text that grows */

struct jinja_text {
    struct jinja_arena *arena;
    char *bytes;
    size_t length, capacity;
    struct jinja_run *runs;
    size_t run_count, run_capacity;
};

struct jinja_text jinja_text_new(struct jinja_arena *arena);
void jinja_text_put(struct jinja_text *text, const char *bytes, size_t length, struct jinja_origin origin);
void jinja_text_puts(struct jinja_text *text, const char *bytes, struct jinja_origin origin);
void jinja_text_put_character(struct jinja_text *text, uint32_t character, struct jinja_origin origin);
void jinja_text_add(struct jinja_text *text, const struct jinja_string *string);
void jinja_text_add_part(struct jinja_text *text, const struct jinja_string *string, size_t from, size_t to);
/* The string; the text is empty again. */
struct jinja_value jinja_text_finish(struct jinja_text *text);

/*
 * Walks over the runs of bytes from..to-1: while (jinja_next_piece(&piece)) ... piece.from, piece.to, piece.origin.
 */
struct jinja_piece {
    const struct jinja_string *string;
    size_t from, to, end, run;
    struct jinja_origin origin;
};
struct jinja_piece jinja_pieces(const struct jinja_string *string, size_t from, size_t to);
bool jinja_next_piece(struct jinja_piece *piece);

/* ---- values as text (print.c) */

/* str(value); what has no origin of its own gets `origin`. */
void jinja_write(struct jinja_text *text, struct jinja_value value, struct jinja_origin origin);
struct jinja_value jinja_to_string(struct jinja_arena *arena, struct jinja_value value, struct jinja_origin origin);
/* repr(value) */
void jinja_write_repr(struct jinja_text *text, struct jinja_value value, struct jinja_origin origin);

/* Python's repr() of a float, zero-terminated. */
#define JINJA_REAL_SIZE 40
void jinja_format_real(char out[JINJA_REAL_SIZE], double value);

/* json.dumps(). Indent: JINJA_NONE, or the text of one level. */
struct jinja_json_style {
    const struct jinja_string *indent; /* NULL: all on one line */
    const struct jinja_string *item_separator, *key_separator;
    bool sort_keys, ascii_only;
};
void jinja_write_json(struct jinja_text *text, struct jinja_value value, const struct jinja_json_style *style,
                      struct jinja_origin origin);

#endif
