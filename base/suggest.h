/*
 * base/suggest.h - "did you mean ...?" for keys, commands and options.
 */
#ifndef ATTUNE_BASE_SUGGEST_H
#define ATTUNE_BASE_SUGGEST_H

#include <stddef.h>

/* Words longer than this are never suggested, and nothing is suggested for them. */
#define SUGGEST_WORD_MAX 63

/*
 * Edits (insert, delete, replace, swap neighbours) that turn one word into the other, regardless of case, with '-' and
 * '_' alike; SUGGEST_WORD_MAX + 1 where a word is longer than SUGGEST_WORD_MAX bytes.
 */
int suggest_distance(const char *word, const char *other);

/*
 * The one of `choices` nearest to `word`, the first of equals, or NULL where none is near enough to be what was meant:
 * at most one edit for every three letters, or one. A choice that begins with `word` counts as one edit away.
 */
const char *suggest_nearest(const char *word, const char *const *choices, size_t count);

#endif
