#include "text/tokenizer/standin.h"

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "text/unicode/unicode.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODE_POINTS 0x110000u

static const char *const category_names[] = {
    [UNICODE_LL] = "Ll", [UNICODE_LM] = "Lm", [UNICODE_LO] = "Lo", [UNICODE_LT] = "Lt", [UNICODE_LU] = "Lu",
    [UNICODE_ND] = "Nd", [UNICODE_NL] = "Nl", [UNICODE_NO] = "No", [UNICODE_MC] = "Mc", [UNICODE_ME] = "Me",
    [UNICODE_MN] = "Mn", [UNICODE_CC] = "Cc", [UNICODE_CF] = "Cf", [UNICODE_CN] = "Cn", [UNICODE_CO] = "Co",
    [UNICODE_CS] = "Cs", [UNICODE_PC] = "Pc", [UNICODE_PD] = "Pd", [UNICODE_PE] = "Pe", [UNICODE_PF] = "Pf",
    [UNICODE_PI] = "Pi", [UNICODE_PO] = "Po", [UNICODE_PS] = "Ps", [UNICODE_SC] = "Sc", [UNICODE_SK] = "Sk",
    [UNICODE_SM] = "Sm", [UNICODE_SO] = "So", [UNICODE_ZL] = "Zl", [UNICODE_ZP] = "Zp", [UNICODE_ZS] = "Zs",
};
#define CATEGORIES (sizeof(category_names) / sizeof(*category_names))

static void *allocate(size_t size, void *unused)
{
    (void)unused;
    struct err ignored;
    return mem_alloc(1, size, &ignored);
}

static void release(void *memory, void *unused)
{
    (void)unused;
    mem_free(memory);
}

pcre2_general_context *pattern_memory(void)
{
    return pcre2_general_context_create(allocate, release, NULL);
}

/* A general category, and after all of them the same again for what is white space. */
static size_t group_of(uint32_t code_point)
{
    struct unicode_class class = unicode_class(code_point);
    return class.category + ((class.flags & UNICODE_SPACE) ? CATEGORIES : 0);
}

/* Marks the code points of a text that a compiled pattern matches. */
static int mark_matches(unsigned char *marks, const struct strbuf *text, const pcre2_code *code, pcre2_match_data *data,
                        struct err *err)
{
    size_t at = 0;
    int found;
    while ((found = pcre2_match(code, (PCRE2_SPTR)text->data, text->length, at, PCRE2_NO_UTF_CHECK, data, NULL)) > 0) {
        at = pcre2_get_ovector_pointer(data)[0];
        marks[utf8_next(text->data, &at)] = 1;
    }
    if (found == PCRE2_ERROR_NOMATCH) {
        return 0;
    }
    PCRE2_UCHAR message[256] = {0};
    pcre2_get_error_message(found, message, sizeof(message));
    return err_set(err, "cannot find out what PCRE2 knows of Unicode: %s", (const char *)message);
}

static int mark_pattern(unsigned char *marks, const struct strbuf *text, const char *pattern, struct err *err)
{
    int number = 0, result;
    PCRE2_SIZE offset = 0;
    pcre2_general_context *memory = pattern_memory();
    pcre2_compile_context *context = memory ? pcre2_compile_context_create(memory) : NULL;
    pcre2_code *code = context ? pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
                                               &number, &offset, context)
                               : NULL;
    pcre2_match_data *data = code ? pcre2_match_data_create_from_pattern(code, memory) : NULL;
    if (data) {
        (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without it matching is slower, no more */
        result = mark_matches(marks, text, code, data, err);
    } else {
        result = err_set(
            err, "PCRE2 does not compile the pattern %s, or is out of memory; is it built without Unicode?", pattern);
    }
    pcre2_match_data_free(data);
    pcre2_code_free(code);
    pcre2_compile_context_free(context);
    pcre2_general_context_free(memory);
    return result;
}

/* Marks the code points of one class that PCRE2 has in another. */
static int mark_group(unsigned char *marks, size_t group, const struct strbuf *text, struct err *err)
{
    char pattern[24];
    const char *space = group < CATEGORIES ? "\\s" : "\\S";
    snprintf(pattern, sizeof(pattern), "\\P{%s}|%s", category_names[group % CATEGORIES], space);
    return text->length > 0 ? mark_pattern(marks, text, pattern, err) : 0;
}

/* Whether a code point is the first of those that take as many bytes. */
static bool longer_from_here(uint32_t code_point)
{
    return code_point == 0x80 || code_point == 0x800 || code_point == 0x10000;
}

/* The next code point of the same class and as many bytes that PCRE2 knows; itself: none. */
static uint32_t next_known(const unsigned char *marks, uint32_t code_point)
{
    size_t group = group_of(code_point);
    for (uint32_t at = code_point + 1; at < CODE_POINTS && !longer_from_here(at); at++) {
        if (!marks[at] && group_of(at) == group) {
            return at;
        }
    }
    return code_point;
}

static int add(struct stand_ins *stand_ins, uint32_t code_point, uint32_t shown, struct err *err)
{
    struct stand_in *last = stand_ins->count > 0 ? &stand_ins->runs[stand_ins->count - 1] : NULL;
    if (last && last->last + 1 == code_point && last->shown == shown) {
        last->last = code_point;
        return 0;
    }
    struct stand_in *runs = mem_grow(stand_ins->runs, &stand_ins->capacity, stand_ins->count + 1, sizeof(*runs), err);
    if (!runs) {
        return -1;
    }
    stand_ins->runs = runs;
    runs[stand_ins->count++] = (struct stand_in){code_point, code_point, shown};
    return 0;
}

/* For each marked code point the nearest before it of the same class and as many bytes, else the nearest after it. */
static int choose_all(struct stand_ins *stand_ins, const unsigned char *marks, struct err *err)
{
    uint32_t last[2 * CATEGORIES] = {0}; /* of each class; 0: none yet */
    for (uint32_t c = 0; c < CODE_POINTS; c++) {
        size_t group = group_of(c);
        if (longer_from_here(c)) {
            memset(last, 0, sizeof(last));
        }
        if (!marks[c]) {
            last[group] = c;
        } else if (add(stand_ins, c, last[group] != 0 ? last[group] : next_known(marks, c), err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Whether PCRE2's Unicode is newer than the tables': then it may know code points that are unassigned here. */
static bool is_newer(void)
{
    char version[64] = {0};
    return pcre2_config(PCRE2_CONFIG_UNICODE_VERSION, version) < 0 || strtol(version, NULL, 10) > UNICODE_VERSION;
}

int stand_ins_find(struct stand_ins *stand_ins, struct err *err)
{
    struct strbuf groups[2 * CATEGORIES] = {0};
    unsigned char *marks = mem_alloc(CODE_POINTS, 1, err);
    int result = marks ? 0 : -1;
    bool newer = is_newer();
    for (uint32_t c = 0; c < CODE_POINTS && result == 0; c++) {
        unsigned category = unicode_class(c).category;
        if (category != UNICODE_CS && category != UNICODE_CO && (category != UNICODE_CN || newer)) {
            strbuf_put_utf8(&groups[group_of(c)], c);
        }
    }
    for (size_t i = 0; i < 2 * CATEGORIES; i++) {
        if (result == 0 && strbuf_check(&groups[i], err) == 0) {
            result = mark_group(marks, i, &groups[i], err);
        } else {
            result = -1;
        }
        strbuf_free(&groups[i]);
    }
    result = result != 0 ? -1 : choose_all(stand_ins, marks, err);
    mem_free(marks);
    return result;
}

uint32_t stand_in_for(const struct stand_ins *stand_ins, uint32_t code_point)
{
    size_t low = 0, high = stand_ins->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct stand_in *run = &stand_ins->runs[middle];
        if (code_point < run->first) {
            high = middle;
        } else if (code_point > run->last) {
            low = middle + 1;
        } else {
            return run->shown;
        }
    }
    return code_point;
}

void stand_ins_free(struct stand_ins *stand_ins)
{
    mem_free(stand_ins->runs);
    *stand_ins = (struct stand_ins){0};
}
