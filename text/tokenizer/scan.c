#include "text/tokenizer/scan.h"

#include "base/utf8.h"
#include "text/unicode/unicode.h"
#include <assert.h>
#include <string.h>

#define CL100K_PATTERN(digits)                                                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                                               \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct {
    enum scan_kind kind;
    const char *pattern;
} patterns[] = {
    {SCAN_GPT2, "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"},
    {SCAN_LLAMA3, CL100K_PATTERN("\\p{N}{1,3}")},
    {SCAN_QWEN2, CL100K_PATTERN("\\p{N}")},
};

enum scan_kind scan_kind_of(const char *pattern)
{
    for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
        if (strcmp(pattern, patterns[i].pattern) == 0) {
            return patterns[i].kind;
        }
    }
    return SCAN_NONE;
}

/* What the patterns tell apart. */
enum kind {
    OTHER,
    LETTER,
    NUMBER,
    SPACE,
    NEWLINE, /* \r and \n, which are white space too */
};

static const unsigned char ascii_kinds[128] = {
    ['\t'] = SPACE, ['\n'] = NEWLINE, ['\v'] = SPACE, ['\f'] = SPACE, ['\r'] = NEWLINE, [' '] = SPACE,  ['0'] = NUMBER,
    ['1'] = NUMBER, ['2'] = NUMBER,   ['3'] = NUMBER, ['4'] = NUMBER, ['5'] = NUMBER,   ['6'] = NUMBER, ['7'] = NUMBER,
    ['8'] = NUMBER, ['9'] = NUMBER,   ['A'] = LETTER, ['B'] = LETTER, ['C'] = LETTER,   ['D'] = LETTER, ['E'] = LETTER,
    ['F'] = LETTER, ['G'] = LETTER,   ['H'] = LETTER, ['I'] = LETTER, ['J'] = LETTER,   ['K'] = LETTER, ['L'] = LETTER,
    ['M'] = LETTER, ['N'] = LETTER,   ['O'] = LETTER, ['P'] = LETTER, ['Q'] = LETTER,   ['R'] = LETTER, ['S'] = LETTER,
    ['T'] = LETTER, ['U'] = LETTER,   ['V'] = LETTER, ['W'] = LETTER, ['X'] = LETTER,   ['Y'] = LETTER, ['Z'] = LETTER,
    ['a'] = LETTER, ['b'] = LETTER,   ['c'] = LETTER, ['d'] = LETTER, ['e'] = LETTER,   ['f'] = LETTER, ['g'] = LETTER,
    ['h'] = LETTER, ['i'] = LETTER,   ['j'] = LETTER, ['k'] = LETTER, ['l'] = LETTER,   ['m'] = LETTER, ['n'] = LETTER,
    ['o'] = LETTER, ['p'] = LETTER,   ['q'] = LETTER, ['r'] = LETTER, ['s'] = LETTER,   ['t'] = LETTER, ['u'] = LETTER,
    ['v'] = LETTER, ['w'] = LETTER,   ['x'] = LETTER, ['y'] = LETTER, ['z'] = LETTER,
};

static enum kind wide_kind(const char *text, size_t *next)
{
    struct unicode_class class = unicode_class(utf8_next(text, next));
    return unicode_is_letter(class)        ? LETTER
           : unicode_is_number(class)      ? NUMBER
           : (class.flags & UNICODE_SPACE) ? SPACE
                                           : OTHER;
}

/* The kind of the character at *next, which moves after it. */
static inline enum kind read_kind(const char *text, size_t *next)
{
    unsigned char byte = (unsigned char)text[*next];
    if (byte < 0x80) {
        ++*next;
        return ascii_kinds[byte];
    }
    return wide_kind(text, next);
}

/* The end of the run of `kind` from `at` on. */
static inline size_t run_end(const char *text, size_t at, size_t end, enum kind kind)
{
    while (at < end) {
        size_t next = at;
        if (read_kind(text, &next) != kind) {
            break;
        }
        at = next;
    }
    return at;
}

/* After white space that starts at `at`. *last_newline is the place after its last \r or \n, or 0; *last its last
 * character's. */
static size_t white_end(const char *text, size_t at, size_t end, size_t *last_newline, size_t *last)
{
    *last_newline = 0;
    while (at < end) {
        size_t next = at;
        enum kind kind = read_kind(text, &next);
        if (kind == NEWLINE) {
            *last_newline = next;
        } else if (kind != SPACE) {
            break;
        }
        *last = at;
        at = next;
    }
    return at;
}

/* \s+(?!\S)|\s+ : all of it at the end of the text, else without its last character, unless it is the only one. */
static size_t spaces_end(size_t at, size_t white, size_t last, size_t end)
{
    return white == end || last == at ? white : last;
}

/* The length of 's 't 're 've 'm 'll 'd at `at`, where the apostrophe stands; 0: none of them. */
static size_t contraction(const char *text, size_t at, size_t end, bool any_case)
{
    unsigned char fold = any_case ? 0x20 : 0;
    size_t left = end - at;
    if (left >= 2) {
        char first = (char)((unsigned char)text[at + 1] | fold);
        if (first == 's' || first == 't' || first == 'm' || first == 'd') {
            return 2;
        }
        if (left >= 3) {
            char second = (char)((unsigned char)text[at + 2] | fold);
            if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l')) {
                return 3;
            }
            /* U+017F, the long s, is an s without regard to case. */
            if (any_case && memcmp(text + at + 1, "\xC5\xBF", 2) == 0) {
                return 3;
            }
        }
    }
    return 0;
}

static size_t gpt2_word(const char *text, size_t at, size_t end)
{
    if (text[at] == '\'') {
        size_t length = contraction(text, at, end, false);
        if (length > 0) {
            return at + length;
        }
    }
    size_t next = at;
    enum kind kind = read_kind(text, &next);
    if (text[at] == ' ' && next < end) {
        kind = read_kind(text, &next);
    }
    if (kind == LETTER || kind == NUMBER || kind == OTHER) {
        return run_end(text, next, end, kind);
    }
    size_t last_newline, last = at;
    size_t white = white_end(text, at, end, &last_newline, &last);
    return spaces_end(at, white, last, end);
}

static size_t cl100k_word(const char *text, size_t at, size_t end, int most_digits)
{
    if (text[at] == '\'') {
        size_t length = contraction(text, at, end, true);
        if (length > 0) {
            return at + length;
        }
    }
    size_t next = at;
    enum kind kind = read_kind(text, &next);
    if (kind == LETTER) {
        return run_end(text, next, end, LETTER);
    }
    if (kind == NUMBER) {
        for (int digits = 1; digits < most_digits && next < end; digits++) {
            size_t after = next;
            if (read_kind(text, &after) != NUMBER) {
                break;
            }
            next = after;
        }
        return next;
    }
    if (kind != NEWLINE && next < end) { /* one character that is no letter may lead a word, a space may lead symbols */
        size_t after = next;
        enum kind second = read_kind(text, &after);
        if (second == LETTER) {
            return run_end(text, after, end, LETTER);
        }
        if (text[at] == ' ' && second == OTHER) {
            kind = OTHER;
            next = after;
        }
    }
    if (kind == OTHER) {
        return run_end(text, run_end(text, next, end, OTHER), end, NEWLINE);
    }
    size_t last_newline, last = at;
    size_t white = white_end(text, at, end, &last_newline, &last);
    return last_newline > 0 ? last_newline : spaces_end(at, white, last, end);
}

int scan_words(enum scan_kind kind, const char *text, size_t start, size_t end, struct span_list *words,
               struct err *err)
{
    assert(kind != SCAN_NONE);
    while (start < end) {
        size_t next = kind == SCAN_GPT2 ? gpt2_word(text, start, end)
                                        : cl100k_word(text, start, end, kind == SCAN_LLAMA3 ? 3 : 1);
        if (span_add(words, start, next, err) != 0) {
            return -1;
        }
        start = next;
    }
    return 0;
}
