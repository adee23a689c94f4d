/*
 * text/tokenizer/standin.h - lets PCRE2 see a text with the Unicode version that the library's patterns have.
 * Internal to this room.
 *
 * PCRE2 knows the Unicode version it was built with (14.0 in 10.42), Hugging Face's tokenizers know another
 * (unicode.h). Where the two put a code point into different general categories, or disagree whether it is white space,
 * the pattern is given another code point of the right category in its place, of as many bytes, so that places in the
 * text stay what they are.
 */
#ifndef ATTUNE_TEXT_TOKENIZER_STANDIN_H
#define ATTUNE_TEXT_TOKENIZER_STANDIN_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* What gives PCRE2 its memory: that of base/mem.h. NULL: there is none left. Free with pcre2_general_context_free(). */
pcre2_general_context *pattern_memory(void);

/* Code points first..last are shown as `shown`. */
struct stand_in {
    uint32_t first, last;
    uint32_t shown;
};

struct stand_ins {
    struct stand_in *runs; /* sorted */
    size_t count, capacity;
};

/* Asks PCRE2 about all code points that are assigned: some ten milliseconds. */
int stand_ins_find(struct stand_ins *stand_ins, struct err *err);
/* What PCRE2 should see for a code point: mostly itself. */
uint32_t stand_in_for(const struct stand_ins *stand_ins, uint32_t code_point);
void stand_ins_free(struct stand_ins *stand_ins);

#endif
