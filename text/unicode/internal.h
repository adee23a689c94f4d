/*
 * text/unicode/internal.h - shapes of the generated tables in unicode_tables.c; read them through unicode.h.
 */
#ifndef ATTUNE_TEXT_UNICODE_INTERNAL_H
#define ATTUNE_TEXT_UNICODE_INTERNAL_H

#include "text/unicode/unicode.h"
#include <stddef.h>

/* top[c >> 12] names a branch; a branch's entry (c >> 7 & 31) names a leaf; a leaf's character (c & 127) is the class.
 */
extern const unsigned char unicode_top[272];
extern const uint16_t unicode_branches[][32];
extern const char *const unicode_leaves[];
extern const struct unicode_class unicode_classes[128];

/* Code points first..last, the i-th decomposed wholly into pool[offset + i * length], `length` code points. */
struct unicode_decomposition {
    uint32_t first, last;
    uint32_t length, offset;
};
extern const struct unicode_decomposition unicode_canonical[], unicode_compatible[];
extern const size_t unicode_canonical_count, unicode_compatible_count;
extern const uint32_t unicode_pool[];

/* Sorted by first, then second. */
struct unicode_pair {
    uint32_t first, second, composed;
};
extern const struct unicode_pair unicode_pairs[];
extern const size_t unicode_pair_count;

struct unicode_combining {
    uint32_t first, last, value;
};
extern const struct unicode_combining unicode_combinings[];
extern const size_t unicode_combining_count;

/* first, first + step .. last have their lower case `distance` away. */
struct unicode_lower {
    uint32_t first, last, step;
    int32_t distance;
};
extern const struct unicode_lower unicode_lowers[];
extern const size_t unicode_lower_count;

#endif
