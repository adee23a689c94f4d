#include "base/suggest.h"

#include "base/minmax.h"
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static char folded(char letter)
{
    return letter == '_' ? '-' : (char)tolower((unsigned char)letter);
}

/* Whether `other` is `word` with more after it: a key that was typed in part. */
static bool begins_with(const char *other, const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i < length; i++) {
        if (folded(other[i]) != folded(word[i])) {
            return false;
        }
    }
    return length >= 3;
}

/* Optimal string alignment by rows: row i holds the distances of word[0 .. i-1] to every beginning of `other`. */
int suggest_distance(const char *word, const char *other)
{
    size_t word_length = strnlen(word, SUGGEST_WORD_MAX + 1), other_length = strnlen(other, SUGGEST_WORD_MAX + 1);
    if (word_length > SUGGEST_WORD_MAX || other_length > SUGGEST_WORD_MAX) {
        return SUGGEST_WORD_MAX + 1;
    }
    int rows[3][SUGGEST_WORD_MAX + 1] = {0};
    for (size_t j = 0; j <= other_length; j++) {
        rows[0][j] = (int)j;
    }
    for (size_t i = 1; i <= word_length; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        char letter = folded(word[i - 1]);
        row[0] = (int)i;
        for (size_t j = 1; j <= other_length; j++) {
            char other_letter = folded(other[j - 1]);
            row[j] = min(above[j], row[j - 1]) + 1;
            row[j] = min(row[j], above[j - 1] + (letter != other_letter));
            if (i > 1 && j > 1 && letter == folded(other[j - 2]) && folded(word[i - 2]) == other_letter) {
                row[j] = min(row[j], two_above[j - 2] + 1);
            }
        }
    }
    return rows[word_length % 3][other_length];
}

const char *suggest_nearest(const char *word, const char *const *choices, size_t count)
{
    size_t length = strnlen(word, SUGGEST_WORD_MAX + 1);
    int nearest = length < 6 ? 1 : (int)(length / 3);
    const char *best = NULL;
    for (size_t i = 0; length <= SUGGEST_WORD_MAX && i < count; i++) {
        int distance = begins_with(choices[i], word) ? 1 : suggest_distance(word, choices[i]);
        if (best ? distance < nearest : distance <= nearest) {
            nearest = distance;
            best = choices[i];
        }
    }
    return best;
}
