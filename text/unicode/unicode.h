/*
 * text/unicode/unicode.h - what the tokenizer has to know of Unicode: classes of code points, lower case, normal forms.
 *
 * The tables say what Hugging Face's tokenizers says, whose parts follow different versions of Unicode: general
 * categories and white space 16.0, numbers and lower case 17.0, punctuation, marks and normal forms older ones
 * (tests/reference/tokenizer_unicode.py asks the library and writes them).
 */
#ifndef ATTUNE_TEXT_UNICODE_UNICODE_H
#define ATTUNE_TEXT_UNICODE_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of general categories and white space. */
#define UNICODE_VERSION 16

/* General categories; letters and numbers are neighbours, so that a range test finds them. */
enum unicode_category {
    UNICODE_LL,
    UNICODE_LM,
    UNICODE_LO,
    UNICODE_LT,
    UNICODE_LU,
    UNICODE_ND,
    UNICODE_NL,
    UNICODE_NO,
    UNICODE_MC,
    UNICODE_ME,
    UNICODE_MN,
    UNICODE_CC,
    UNICODE_CF,
    UNICODE_CN,
    UNICODE_CO,
    UNICODE_CS,
    UNICODE_PC,
    UNICODE_PD,
    UNICODE_PE,
    UNICODE_PF,
    UNICODE_PI,
    UNICODE_PO,
    UNICODE_PS,
    UNICODE_SC,
    UNICODE_SK,
    UNICODE_SM,
    UNICODE_SO,
    UNICODE_ZL,
    UNICODE_ZP,
    UNICODE_ZS,
};

enum unicode_flag {
    UNICODE_SPACE = 1,       /* White_Space */
    UNICODE_NUMERIC = 2,     /* Nd, Nl, No */
    UNICODE_PUNCTUATION = 4, /* P*, and all ASCII symbols */
    UNICODE_WORD = 8,        /* \w of a word boundary */
    UNICODE_MARK = 16,       /* Mc, Me, Mn: what StripAccents takes out */
};

struct unicode_class {
    unsigned char category; /* enum unicode_category */
    unsigned char flags;    /* enum unicode_flag */
};

/* The class of any number; beyond U+10FFFF that of U+10FFFF. */
struct unicode_class unicode_class(uint32_t code_point);

static inline bool unicode_is_letter(struct unicode_class class)
{
    return class.category <= UNICODE_LU;
}

static inline bool unicode_is_number(struct unicode_class class)
{
    return class.category >= UNICODE_ND && class.category <= UNICODE_NO;
}

/* The lower case of a code point, one or two code points long; returns how many. */
size_t unicode_lower(uint32_t code_point, uint32_t out[2]);

/* The longest decomposition of one code point (U+FDFA). */
#define UNICODE_DECOMPOSED_MAX 18

/* The full decomposition, canonical or also compatible, of one code point into `out`; returns its length (1: itself).
 */
size_t unicode_decompose(uint32_t code_point, bool compatible, uint32_t out[UNICODE_DECOMPOSED_MAX]);
/* What two code points compose to; 0: nothing. */
uint32_t unicode_compose(uint32_t first, uint32_t second);
/* Canonical combining class; 0 for starters. */
unsigned unicode_combining_class(uint32_t code_point);

#endif
