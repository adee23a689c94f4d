#include "text/tokenizer/pattern.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "text/unicode/unicode.h"
#include <string.h>

/* Oniguruma's escapes that PCRE2 does not have or reads otherwise, inside and outside of [...]. */
static const struct {
    char letter;
    const char *inside, *outside;
} escapes[] = {
#define WORD                                                                                                           \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}"    \
    "\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"
    {'w', WORD, "[" WORD "]"},
    {'W', NULL, "[^" WORD "]"},
    {'h', "0-9A-Fa-f", "[0-9A-Fa-f]"},
    {'H', NULL, "[^0-9A-Fa-f]"},
#undef WORD
};

static int translate_escape(struct strbuf *out, const char *regex, bool inside, const char *where, struct err *err)
{
    for (size_t i = 0; i < sizeof(escapes) / sizeof(*escapes); i++) {
        if (escapes[i].letter != regex[1]) {
            continue;
        }
        const char *text = inside ? escapes[i].inside : escapes[i].outside;
        if (!text) {
            return err_set(err, "%s: the pattern has \\%c inside of [...], which is not supported", where, regex[1]);
        }
        strbuf_puts(out, text);
        return 0;
    }
    strbuf_append(out, regex, regex[1] ? 2 : 1);
    return 0;
}

/* The start of a class: a caret belongs to it, and a bracket that closes at once is a character. */
static const char *open_class(struct strbuf *out, const char *at)
{
    strbuf_putc(out, '[');
    if (at[1] == '^') {
        strbuf_putc(out, *++at);
    }
    if (at[1] == ']') {
        strbuf_puts(out, "\\]");
        at++;
    }
    return at;
}

/* What Oniguruma has inside of classes and PCRE2 has not; NULL: nothing of it here. */
static const char *unsupported(const char *regex, const char *at, int depth)
{
    bool range =
        (*at == '[' && (at[1] == '-' || (at > regex && at[-1] == '-'))) || (*at == ']' && depth > 1 && at[1] == '-');
    return strncmp(at, "&&", 2) == 0   ? "an intersection of classes (&&)"
           : strncmp(at, "[^", 2) == 0 ? "a negated class inside of a class"
           : range                     ? "a hyphen beside a class inside of a class"
                                       : NULL;
}

/* The regex in PCRE2's words. A class inside of a class is a union, so its brackets are left out. */
static int translate(struct strbuf *out, const char *regex, const char *where, struct err *err)
{
    int depth = 0;
    for (const char *at = regex; *at; at++) {
        if (*at == '\\') {
            if (translate_escape(out, at, depth > 0, where, err) != 0) {
                return -1;
            }
            at += at[1] ? 1 : 0;
        } else if (depth == 0 && *at == '[') {
            at = open_class(out, at);
            depth = 1;
        } else if (depth > 0 && strncmp(at, "[:", 2) == 0 && strstr(at, ":]")) {
            size_t length = (size_t)(strstr(at, ":]") - at) + 2;
            strbuf_append(out, at, length);
            at += length - 1;
        } else if (depth > 0 && unsupported(regex, at, depth)) {
            return err_set(err, "%s: the pattern '%s' has %s, which is not supported", where, regex,
                           unsupported(regex, at, depth));
        } else if (depth > 0 && *at == '[') {
            depth++;
        } else if (depth > 1 && *at == ']') {
            depth--;
        } else {
            depth -= depth == 1 && *at == ']';
            strbuf_putc(out, *at);
        }
    }
    return strbuf_check(out, err);
}

static int compile(struct pattern *pattern, const char *regex, const char *where, struct err *err)
{
    struct strbuf translated = {0};
    if (translate(&translated, regex, where, err) != 0) {
        strbuf_free(&translated);
        return -1;
    }
    int result = -1, code = 0;
    PCRE2_SIZE offset = 0;
    pcre2_general_context *memory = pattern_memory();
    pcre2_compile_context *context = memory ? pcre2_compile_context_create(memory) : NULL;
    if (context) {
        pcre2_set_newline(context, PCRE2_NEWLINE_LF);
        pattern->code = pcre2_compile((PCRE2_SPTR)strbuf_text(&translated), translated.length,
                                      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &code, &offset, context);
        if (pattern->code) {
            (void)pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE); /* without it matching is slower, no more */
            result = 0;
        } else {
            PCRE2_UCHAR message[256] = {0};
            pcre2_get_error_message(code, message, sizeof(message));
            err_set(err, "%s: the pattern '%s' cannot be compiled: %s at character %zu", where, regex,
                    (const char *)message, (size_t)offset);
        }
    } else {
        err_set(err, "%s: out of memory for the pattern '%s'", where, regex);
    }
    pcre2_compile_context_free(context);
    pcre2_general_context_free(memory);
    strbuf_free(&translated);
    return result;
}

int pattern_from_string(struct pattern *pattern, const char *string, size_t length, struct err *err)
{
    pattern->length = length;
    pattern->text = mem_copy_string(string, length, err);
    return pattern->text ? 0 : -1;
}

int pattern_from_regex(struct pattern *pattern, const char *regex, const char *where, struct err *err)
{
    return pattern_from_string(pattern, regex, strlen(regex), err) != 0 ? -1 : compile(pattern, regex, where, err);
}

int pattern_from_json(struct pattern *pattern, const json_t *value, const char *where, struct err *err)
{
    const json_t *string = json_object_get(value, "String"), *regex = json_object_get(value, "Regex");
    if (json_is_string(regex) && strlen(json_string_value(regex)) == json_string_length(regex)) {
        return pattern_from_regex(pattern, json_string_value(regex), where, err);
    }
    if (!json_is_string(string)) {
        return err_set(err, "%s: \"pattern\" must be {\"String\": \"...\"} or {\"Regex\": \"...\"}", where);
    }
    return pattern_from_string(pattern, json_string_value(string), json_string_length(string), err);
}

void pattern_free(struct pattern *pattern)
{
    mem_free(pattern->text);
    pcre2_code_free(pattern->code);
    *pattern = (struct pattern){0};
}

void pattern_scratch_free(struct pattern_scratch *scratch)
{
    pcre2_match_data_free(scratch->data);
    strbuf_free(&scratch->shown);
    *scratch = (struct pattern_scratch){.stand_ins = scratch->stand_ins};
}

/* Copies the text from its first code point on that PCRE2 must not see as it is; `at` is where that begins. */
static int show_stand_ins(struct pattern_walk *walk, size_t at, struct err *err)
{
    struct strbuf *shown = &walk->scratch->shown;
    strbuf_clear(shown);
    strbuf_append(shown, walk->text, at);
    while (at < walk->length) {
        strbuf_put_utf8(shown, stand_in_for(walk->scratch->stand_ins, utf8_next(walk->text, &at)));
    }
    walk->text = shown->data;
    return strbuf_check(shown, err);
}

int pattern_begin(struct pattern_walk *walk, const struct pattern *pattern, const char *text, size_t length,
                  struct pattern_scratch *scratch, struct err *err)
{
    *walk = (struct pattern_walk){pattern, scratch, text, length, 0, SIZE_MAX};
    bool watched = pattern->code && scratch->stand_ins && scratch->stand_ins->count > 0;
    for (size_t at = 0, start = 0; watched && at < length; start = at) {
        uint32_t code_point = utf8_next(text, &at);
        if (code_point >= 0x80 && stand_in_for(scratch->stand_ins, code_point) != code_point) {
            return show_stand_ins(walk, start, err);
        }
    }
    return 0;
}

static int search_regex(const struct pattern_walk *walk, size_t *start, size_t *end, struct err *err)
{
    struct pattern_scratch *scratch = walk->scratch;
    if (!scratch->data) {
        pcre2_general_context *memory = pattern_memory();
        scratch->data = memory ? pcre2_match_data_create(1, memory) : NULL;
        pcre2_general_context_free(memory);
        if (!scratch->data) {
            return err_set(err, "out of memory for the tokenizer's pattern '%s'", walk->pattern->text);
        }
    }
    int code = pcre2_match(walk->pattern->code, (PCRE2_SPTR)walk->text, walk->length, walk->next, PCRE2_NO_UTF_CHECK,
                           scratch->data, NULL);
    if (code == PCRE2_ERROR_NOMATCH) {
        return 0;
    }
    if (code < 0) {
        PCRE2_UCHAR message[256] = {0};
        pcre2_get_error_message(code, message, sizeof(message));
        return err_set(err, "the tokenizer's pattern '%s' fails on this text: %s", walk->pattern->text,
                       (const char *)message);
    }
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(scratch->data);
    if (found[0] > found[1] || found[0] < walk->next) {
        return err_set(err, "the tokenizer's pattern '%s' moves the start of a match out of it (\\K)",
                       walk->pattern->text);
    }
    *start = found[0];
    *end = found[1];
    return 1;
}

static int search_string(const struct pattern_walk *walk, size_t *start, size_t *end)
{
    const char *found =
        memmem(walk->text + walk->next, walk->length - walk->next, walk->pattern->text, walk->pattern->length);
    if (!found) {
        return 0;
    }
    *start = (size_t)(found - walk->text);
    *end = *start + walk->pattern->length;
    return 1;
}

int pattern_next(struct pattern_walk *walk, size_t *start, size_t *end, struct err *err)
{
    while (walk->next <= walk->length) {
        int found = walk->pattern->code ? search_regex(walk, start, end, err) : search_string(walk, start, end);
        if (found <= 0) {
            return found;
        }
        if (*start != *end || walk->matched != *end) {
            walk->next = walk->matched = *end;
            return 1;
        }
        walk->next += walk->next < walk->length ? utf8_size(walk->text[walk->next]) : 1;
    }
    return 0;
}
