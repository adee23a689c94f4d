#include "text/unicode/unicode.h"

#include "text/unicode/internal.h"

/* Hangul syllables are computed (Unicode, chapter 3.12). */
enum {
    HANGUL_FIRST = 0xAC00,
    HANGUL_COUNT = 11172,
    HANGUL_LEADING = 0x1100,
    HANGUL_LEADINGS = 19,
    HANGUL_VOWEL = 0x1161,
    HANGUL_VOWELS = 21,
    HANGUL_TRAILING = 0x11A7, /* one before the first: a syllable may have none */
    HANGUL_TRAILINGS = 28,
};

struct unicode_class unicode_class(uint32_t code_point)
{
    uint32_t c = code_point <= 0x10FFFF ? code_point : 0x10FFFF;
    unsigned leaf = unicode_branches[unicode_top[c >> 12]][c >> 7 & 31];
    return unicode_classes[(unsigned char)unicode_leaves[leaf][c & 127]];
}

size_t unicode_lower(uint32_t code_point, uint32_t out[2])
{
    out[0] = code_point;
    if (code_point == 0x130) { /* the one whose lower case is two: i and a dot above */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    size_t low = 0, high = unicode_lower_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct unicode_lower *range = &unicode_lowers[middle];
        if (code_point < range->first) {
            high = middle;
        } else if (code_point > range->last) {
            low = middle + 1;
        } else {
            if ((code_point - range->first) % range->step == 0) {
                out[0] = (uint32_t)((int32_t)code_point + range->distance);
            }
            break;
        }
    }
    return 1;
}

static size_t decompose_hangul(uint32_t code_point, uint32_t out[UNICODE_DECOMPOSED_MAX])
{
    uint32_t index = code_point - HANGUL_FIRST;
    out[0] = HANGUL_LEADING + index / (HANGUL_VOWELS * HANGUL_TRAILINGS);
    out[1] = HANGUL_VOWEL + index / HANGUL_TRAILINGS % HANGUL_VOWELS;
    out[2] = HANGUL_TRAILING + index % HANGUL_TRAILINGS;
    return out[2] == HANGUL_TRAILING ? 2 : 3;
}

static size_t find_decomposition(const struct unicode_decomposition *table, size_t count, uint32_t code_point,
                                 uint32_t out[UNICODE_DECOMPOSED_MAX])
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct unicode_decomposition *run = &table[middle];
        if (code_point < run->first) {
            high = middle;
        } else if (code_point > run->last) {
            low = middle + 1;
        } else {
            for (uint32_t i = 0; i < run->length; i++) {
                out[i] = unicode_pool[run->offset + (code_point - run->first) * run->length + i];
            }
            return run->length;
        }
    }
    return 0;
}

size_t unicode_decompose(uint32_t code_point, bool compatible, uint32_t out[UNICODE_DECOMPOSED_MAX])
{
    if (code_point - HANGUL_FIRST < HANGUL_COUNT) {
        return decompose_hangul(code_point, out);
    }
    size_t count = 0;
    if (compatible) {
        count = find_decomposition(unicode_compatible, unicode_compatible_count, code_point, out);
    }
    if (count == 0) {
        count = find_decomposition(unicode_canonical, unicode_canonical_count, code_point, out);
    }
    if (count == 0) {
        out[0] = code_point;
        count = 1;
    }
    return count;
}

uint32_t unicode_compose(uint32_t first, uint32_t second)
{
    if (first - HANGUL_LEADING < HANGUL_LEADINGS && second - HANGUL_VOWEL < HANGUL_VOWELS) {
        return HANGUL_FIRST + ((first - HANGUL_LEADING) * HANGUL_VOWELS + second - HANGUL_VOWEL) * HANGUL_TRAILINGS;
    }
    if (first - HANGUL_FIRST < HANGUL_COUNT && (first - HANGUL_FIRST) % HANGUL_TRAILINGS == 0 &&
        second - HANGUL_TRAILING - 1 < HANGUL_TRAILINGS - 1) {
        return first + second - HANGUL_TRAILING;
    }
    size_t low = 0, high = unicode_pair_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct unicode_pair *pair = &unicode_pairs[middle];
        if (first < pair->first || (first == pair->first && second < pair->second)) {
            high = middle;
        } else if (first > pair->first || second > pair->second) {
            low = middle + 1;
        } else {
            return pair->composed;
        }
    }
    return 0;
}

unsigned unicode_combining_class(uint32_t code_point)
{
    size_t low = 0, high = unicode_combining_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct unicode_combining *range = &unicode_combinings[middle];
        if (code_point < range->first) {
            high = middle;
        } else if (code_point > range->last) {
            low = middle + 1;
        } else {
            return range->value;
        }
    }
    return 0;
}
