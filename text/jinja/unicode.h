/*
 * text/jinja/unicode.h - what Python's str methods know of characters: classes and case, from the Unicode database.
 *
 * The tables in unicode_tables.c are made by tests/reference/chat_template_unicode.py.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_TEXT_JINJA_UNICODE_H
#define ATTUNE_TEXT_JINJA_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Code points first..last. */
struct jinja_unicode_range {
    uint32_t first, last;
};

/* Every `stride`-th code point of first..last maps to itself plus `delta`. */
struct jinja_unicode_case_range {
    uint32_t first, last;
    int32_t stride, delta;
};

/* A code point that maps to several; unused places are 0. */
struct jinja_unicode_case_special {
    uint32_t from, to[3];
};

struct jinja_unicode_case_table {
    const struct jinja_unicode_case_range *ranges;
    size_t range_count;
    const struct jinja_unicode_case_special *specials;
    size_t special_count;
};

struct jinja_unicode_class_table {
    const struct jinja_unicode_range *ranges;
    size_t count;
};

extern const struct jinja_unicode_case_table jinja_unicode_upper, jinja_unicode_lower, jinja_unicode_title;
extern const struct jinja_unicode_class_table jinja_unicode_space;       /* str.isspace() */
extern const struct jinja_unicode_class_table jinja_unicode_unprintable; /* not str.isprintable() */
extern const struct jinja_unicode_class_table jinja_unicode_alpha;       /* str.isalpha() */
extern const struct jinja_unicode_class_table jinja_unicode_decimal;     /* str.isdecimal() */
extern const struct jinja_unicode_class_table jinja_unicode_digit;       /* str.isdigit() but not str.isdecimal() */
extern const struct jinja_unicode_class_table jinja_unicode_numeric;     /* str.isnumeric() but not str.isdigit() */
extern const struct jinja_unicode_class_table jinja_unicode_cased;       /* Python's cased letters */
extern const struct jinja_unicode_class_table jinja_unicode_ignorable;   /* skipped to see if a sigma is final */

bool jinja_unicode_is(const struct jinja_unicode_class_table *table, uint32_t character);
/* Maps one character to out[0..n-1]; returns n. */
size_t jinja_unicode_map(const struct jinja_unicode_case_table *table, uint32_t character, uint32_t out[3]);

#endif
