/*
 * The lexer: text and tags, with the white space rules of trim_blocks and lstrip_blocks.
 *
 *     {%- or -%}   drops all white space on that side
 *     {%  at the start of a line drops the spaces in front of it (so does {#, but not {{); {%+ keeps them
 *     %}  drops one newline after it (so does #}, but not }}); +%} keeps it
 *
 * Newlines are made "\n" first, and one at the very end of the template is dropped. Source: jinja2/lexer.py.
 */
#include "base/utf8.h"
#include "text/jinja/string.h"
#include "text/jinja/syntax.h"
#include "text/jinja/unicode.h"
#include <stdlib.h>
#include <string.h>

struct lexer {
    struct jinja_arena *arena;
    const char *source;
    size_t length, at;
    size_t counted; /* newlines up to here are in arena->line */
    struct jinja_token *tokens;
    size_t count, capacity;
    char open[JINJA_DEPTH_MAX]; /* brackets that are open in the tag */
    int open_count;
};

/* Brings the line for errors up to `offset`. */
static void count_lines(struct lexer *lexer, size_t offset)
{
    for (; lexer->counted < offset; lexer->counted++) {
        lexer->arena->line += lexer->source[lexer->counted] == '\n';
    }
}

static struct jinja_token *add_token(struct lexer *lexer, enum jinja_token_kind kind, size_t from, size_t to)
{
    count_lines(lexer, from);
    JINJA_PUSH(lexer->arena, lexer->tokens, lexer->count, lexer->capacity);
    struct jinja_token *token = &lexer->tokens[lexer->count++];
    char *text = jinja_new(lexer->arena, to - from + 1, 1);
    memcpy(text, lexer->source + from, to - from);
    *token = (struct jinja_token){kind, lexer->arena->line, (uint32_t)from, text, to - from, 0, 0};
    return token;
}

static bool starts(const struct lexer *lexer, size_t at, const char *text)
{
    size_t length = strlen(text);
    return length <= lexer->length - at && memcmp(lexer->source + at, text, length) == 0;
}

/* The offset after the white space at `at`. */
static size_t skip_space(const struct lexer *lexer, size_t at)
{
    struct jinja_string whole = {.bytes = lexer->source, .length = lexer->length};
    for (size_t next = at; at < lexer->length; at = next) {
        if (!jinja_unicode_is(&jinja_unicode_space, jinja_next_character(&whole, &next))) {
            break;
        }
    }
    return at;
}

/* The end of from..to without the white space at its end. */
static size_t drop_space(const struct lexer *lexer, size_t from, size_t to)
{
    struct jinja_string whole = {.bytes = lexer->source, .length = lexer->length};
    while (to > from) {
        size_t start = utf8_before(lexer->source, to), next = start;
        if (!jinja_unicode_is(&jinja_unicode_space, jinja_next_character(&whole, &next))) {
            break;
        }
        to = start;
    }
    return to;
}

/* Text up to a tag, whose sign (-, + or none) and kind decide how much of its end stays. */
static void add_data(struct lexer *lexer, size_t from, size_t to, char sign, bool strips_line)
{
    if (sign == '-') {
        to = drop_space(lexer, from, to);
    } else if (sign != '+' && strips_line) {
        size_t start = to;
        while (start > from && lexer->source[start - 1] != '\n') {
            start--;
        }
        bool line_start = start > from || from == 0 || lexer->source[from - 1] == '\n';
        if (line_start && drop_space(lexer, start, to) == start) {
            to = start;
        }
    }
    if (to > from) {
        add_token(lexer, JINJA_TOKEN_DATA, from, to);
    }
}

/* Length of the end of a block or comment at `at` ("%}", "-%}", "+%}" with what they drop after them), 0: none there.
 */
static size_t tag_end(const struct lexer *lexer, size_t at, const char *end)
{
    bool minus = lexer->source[at] == '-', plus = lexer->source[at] == '+';
    size_t next = at + (minus || plus);
    if (!starts(lexer, next, end)) {
        return 0;
    }
    next += strlen(end);
    if (minus) {
        next = skip_space(lexer, next);
    } else if (!plus && next < lexer->length && lexer->source[next] == '\n') {
        next++;
    }
    return next - at;
}

/* The same for "}}" and "-}}". */
static size_t print_end(const struct lexer *lexer, size_t at)
{
    bool minus = lexer->source[at] == '-';
    if (!starts(lexer, at + minus, "}}")) {
        return 0;
    }
    size_t next = at + minus + 2;
    return (minus ? skip_space(lexer, next) : next) - at;
}

static void skip_comment(struct lexer *lexer, size_t opened)
{
    for (; lexer->at < lexer->length; lexer->at++) {
        size_t end = tag_end(lexer, lexer->at, "#}");
        if (end > 0) {
            lexer->at += end;
            return;
        }
    }
    count_lines(lexer, opened);
    jinja_fail(lexer->arena, "the comment that starts here has no end '#}'");
}

static char sign_at(const struct lexer *lexer, size_t at)
{
    return at < lexer->length && (lexer->source[at] == '-' || lexer->source[at] == '+') ? lexer->source[at] : '\0';
}

/* Whether at `at`, after "{%" and its sign, stand the word and the end of the tag; *end is then after the word. */
static bool is_word_tag(const struct lexer *lexer, size_t at, const char *word, size_t *end)
{
    at = skip_space(lexer, at);
    if (!starts(lexer, at, word)) {
        return false;
    }
    *end = skip_space(lexer, at + strlen(word));
    return true;
}

/* {% raw %}: its end is "%}" or "-%}", and drops no newline. Returns false where this is another tag. */
static bool lex_raw(struct lexer *lexer, size_t behind_sign)
{
    size_t at;
    if (!is_word_tag(lexer, behind_sign, "raw", &at) || !(starts(lexer, at, "%}") || starts(lexer, at, "-%}"))) {
        return false;
    }
    size_t from = starts(lexer, at, "-") ? skip_space(lexer, at + 3) : at + 2;
    for (size_t to = from; to < lexer->length; to++) {
        if (!starts(lexer, to, "{%")) {
            continue;
        }
        char sign = sign_at(lexer, to + 2);
        size_t end;
        if (!is_word_tag(lexer, to + 2 + (sign != '\0'), "endraw", &end) || end >= lexer->length) {
            continue;
        }
        size_t length = tag_end(lexer, end, "%}");
        if (length == 0) {
            continue;
        }
        add_data(lexer, from, to, sign, true);
        lexer->at = end + length;
        return true;
    }
    jinja_fail(lexer->arena, "the raw block that starts here has no end '{%% endraw %%}'");
}

/* ---- inside a tag */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* After digits that may hold single underscores between them; `at` where there are none. */
static size_t skip_digits(const struct lexer *lexer, size_t at)
{
    size_t end = at;
    while (end < lexer->length &&
           (is_digit(lexer->source[end]) ||
            (end > at && lexer->source[end] == '_' && end + 1 < lexer->length && is_digit(lexer->source[end + 1])))) {
        end++;
    }
    return end;
}

static int digit_of(char c, int base)
{
    int digit = is_digit(c) ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : 99;
    return digit < base ? digit : -1;
}

static size_t lex_integer(struct lexer *lexer, size_t from, size_t to, int base)
{
    int64_t value = 0;
    for (size_t i = from + (base == 10 ? 0 : 2); i < to; i++) {
        int digit = digit_of(lexer->source[i], base);
        if (digit >= 0 &&
            (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, digit, &value))) {
            jinja_fail(lexer->arena, "the number %.*s does not fit 64 bits", (int)(to - from), lexer->source + from);
        }
    }
    add_token(lexer, JINJA_TOKEN_INTEGER, from, to)->integer = value;
    return to;
}

/* A number in another base (0x1F, 0o17, 0b11), or 0 where there is none. */
static size_t lex_based_integer(struct lexer *lexer, size_t at)
{
    if (lexer->source[at] != '0' || at + 1 >= lexer->length) {
        return 0;
    }
    char letter = (char)(lexer->source[at + 1] | 0x20);
    int base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    if (base == 0) {
        return 0;
    }
    size_t end = at + 2;
    while (end < lexer->length) {
        size_t digit = end + (lexer->source[end] == '_');
        if (digit >= lexer->length || digit_of(lexer->source[digit], base) < 0) {
            break;
        }
        end = digit + 1;
    }
    return end > at + 2 ? lex_integer(lexer, at, end, base) : 0;
}

static size_t lex_number(struct lexer *lexer, size_t at)
{
    size_t whole = skip_digits(lexer, at), end = whole;
    if (end + 1 < lexer->length && lexer->source[end] == '.' && is_digit(lexer->source[end + 1])) {
        end = skip_digits(lexer, end + 1);
    }
    if (end < lexer->length && (lexer->source[end] | 0x20) == 'e') {
        size_t sign = end + 1 < lexer->length && (lexer->source[end + 1] == '+' || lexer->source[end + 1] == '-');
        size_t exponent = skip_digits(lexer, end + 1 + sign);
        if (exponent > end + 1 + sign) {
            end = exponent;
        }
    }
    bool behind_dot = at > 0 && lexer->source[at - 1] == '.';
    if (end == whole || behind_dot) {
        size_t based = lex_based_integer(lexer, at);
        if (based > 0) {
            return based;
        }
        if (lexer->source[at] == '0') { /* 007 is 00 and 7, which the parser refuses */
            for (whole = at + 1; whole < lexer->length && lexer->source[whole] == '0'; whole++)
                ;
        }
        return lex_integer(lexer, at, whole, 10);
    }
    struct jinja_token *token = add_token(lexer, JINJA_TOKEN_REAL, at, end);
    char *digits = jinja_new(lexer->arena, end - at + 1, 1);
    for (size_t i = at, k = 0; i < end; i++) {
        if (lexer->source[i] != '_') {
            digits[k++] = lexer->source[i];
        }
    }
    token->real = strtod(digits, NULL);
    return end;
}

/* The code point of an escape with `digits` digits (at most, for octal ones) at *at, which moves after them. */
static uint32_t escape_number(struct lexer *lexer, size_t *at, size_t end, int base, int digits)
{
    uint32_t value = 0;
    int seen = 0;
    while (seen < digits && *at < end && digit_of(lexer->source[*at], base) >= 0) {
        value = value * (uint32_t)base + (uint32_t)digit_of(lexer->source[(*at)++], base);
        seen++;
    }
    if ((base == 16 && seen < digits) || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
        jinja_fail(lexer->arena, "a string holds an escape that is not a character");
    }
    return value;
}

/* The escape at *at, after its backslash. */
static void lex_escape(struct lexer *lexer, size_t *at, size_t end, struct jinja_text *text)
{
    static const char letters[] = "abfnrtv\\'\"", meanings[] = "\a\b\f\n\r\t\v\\'\"";
    struct jinja_origin none = JINJA_NO_ORIGIN;
    char c = lexer->source[*at];
    const char *letter = c ? strchr(letters, c) : NULL;
    if (digit_of(c, 8) >= 0) {
        jinja_text_put_character(text, escape_number(lexer, at, end, 8, 3), none);
        return;
    }
    ++*at;
    if (letter) {
        jinja_text_put(text, &meanings[letter - letters], 1, none);
    } else if (c == 'x' || c == 'u' || c == 'U') {
        jinja_text_put_character(text, escape_number(lexer, at, end, 16, c == 'x' ? 2 : c == 'u' ? 4 : 8), none);
    } else if (c == 'N') {
        jinja_fail(lexer->arena, "the escape \\N{...} is not supported; write the character itself");
    } else if (c != '\n') {
        /* Python keeps the backslash of what is no escape; the character itself is copied by the caller. */
        jinja_text_put(text, "\\", 1, none);
        --*at;
        size_t next = *at;
        struct jinja_string whole = {.bytes = lexer->source, .length = end};
        jinja_text_put_character(text, jinja_next_character(&whole, &next), none);
        *at = next;
    }
}

static size_t lex_string(struct lexer *lexer, size_t at)
{
    char quote = lexer->source[at];
    size_t end = at + 1;
    while (end < lexer->length && lexer->source[end] != quote) {
        end += lexer->source[end] == '\\' ? 2 : 1;
    }
    if (end >= lexer->length) {
        jinja_fail(lexer->arena, "the string that starts here has no end");
    }
    struct jinja_text text = jinja_text_new(lexer->arena);
    for (size_t i = at + 1; i < end;) {
        size_t plain = i;
        while (plain < end && lexer->source[plain] != '\\') {
            plain++;
        }
        jinja_text_put(&text, lexer->source + i, plain - i, JINJA_NO_ORIGIN);
        i = plain;
        if (i < end) {
            i++;
            lex_escape(lexer, &i, end, &text);
        }
    }
    struct jinja_token *token = add_token(lexer, JINJA_TOKEN_STRING, at, end + 1);
    jinja_text_put(&text, "", 1, JINJA_NO_ORIGIN);
    token->text = text.bytes;
    token->length = text.length - 1;
    return end + 1;
}

static size_t lex_sign(struct lexer *lexer, size_t at)
{
    static const char *const signs[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
                                        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    size_t which = 0;
    while (which < sizeof signs / sizeof *signs && !starts(lexer, at, signs[which])) {
        which++;
    }
    if (which == sizeof signs / sizeof *signs) {
        size_t next = at;
        struct jinja_string whole = {.bytes = lexer->source, .length = lexer->length};
        jinja_next_character(&whole, &next);
        jinja_fail(lexer->arena, "'%.*s' cannot stand in a tag (names are ASCII)", (int)(next - at),
                   lexer->source + at);
    }
    const char *bracket = strchr("([{", *signs[which]), *closing = strchr(")]}", *signs[which]);
    if (bracket && lexer->open_count == JINJA_DEPTH_MAX) {
        jinja_fail(lexer->arena, "more than %d brackets are open", JINJA_DEPTH_MAX);
    }
    if (bracket) {
        lexer->open[lexer->open_count++] = *bracket == '(' ? ')' : *bracket == '[' ? ']' : '}';
    }
    if (closing && (lexer->open_count == 0 || lexer->open[--lexer->open_count] != *closing)) {
        jinja_fail(lexer->arena, "'%c' closes no bracket", *closing);
    }
    size_t end = at + strlen(signs[which]);
    add_token(lexer, JINJA_TOKEN_SIGN, at, end);
    return end;
}

/* Tokens up to the end of the tag that was opened. */
static void lex_tag(struct lexer *lexer, bool print)
{
    count_lines(lexer, lexer->at);
    int opened = lexer->arena->line;
    lexer->open_count = 0;
    for (;;) {
        size_t at = lexer->at = skip_space(lexer, lexer->at);
        count_lines(lexer, at);
        if (at == lexer->length) {
            lexer->arena->line = opened;
            jinja_fail(lexer->arena, "the tag that starts here has no end '%s'", print ? "}}" : "%}");
        }
        size_t end = lexer->open_count > 0 ? 0 : print ? print_end(lexer, at) : tag_end(lexer, at, "%}");
        char c = lexer->source[at];
        if (end > 0) {
            add_token(lexer, print ? JINJA_TOKEN_PRINT_END : JINJA_TOKEN_BLOCK_END, at, at + end);
            lexer->at = at + end;
            return;
        }
        if (is_digit(c)) {
            lexer->at = lex_number(lexer, at);
        } else if (is_word(c)) {
            while (lexer->at < lexer->length && is_word(lexer->source[lexer->at])) {
                lexer->at++;
            }
            add_token(lexer, JINJA_TOKEN_NAME, at, lexer->at);
        } else {
            lexer->at = c == '\'' || c == '"' ? lex_string(lexer, at) : lex_sign(lexer, at);
        }
    }
}

/* Where the next tag of any kind starts, or the end of the template. */
static size_t find_tag(const struct lexer *lexer)
{
    size_t at = lexer->at;
    while (at < lexer->length && !starts(lexer, at, "{{") && !starts(lexer, at, "{%") && !starts(lexer, at, "{#")) {
        at++;
    }
    return at;
}

static void lex_template(struct lexer *lexer)
{
    while (lexer->at < lexer->length) {
        size_t from = lexer->at, tag = find_tag(lexer);
        if (tag == lexer->length) {
            add_token(lexer, JINJA_TOKEN_DATA, from, tag);
            break;
        }
        char kind = lexer->source[tag + 1], sign = sign_at(lexer, tag + 2);
        add_data(lexer, from, tag, sign, kind != '{');
        count_lines(lexer, tag);
        lexer->at = tag + 2 + (sign != '\0');
        if (kind == '#') {
            skip_comment(lexer, tag);
        } else if (kind == '{' || !lex_raw(lexer, lexer->at)) {
            add_token(lexer, kind == '{' ? JINJA_TOKEN_PRINT_BEGIN : JINJA_TOKEN_BLOCK_BEGIN, tag, lexer->at);
            lex_tag(lexer, kind == '{');
        }
    }
    add_token(lexer, JINJA_TOKEN_END, lexer->length, lexer->length);
}

struct jinja_token *jinja_lex(struct jinja_arena *arena, const char *source, size_t length)
{
    if (length > JINJA_SOURCE_MAX) {
        jinja_fail(arena, "the template is longer than %zu bytes", JINJA_SOURCE_MAX);
    }
    if (!utf8_valid(source, length)) {
        jinja_fail(arena, "the template is not UTF-8 text");
    }
    char *text = jinja_new(arena, length + 1, 1);
    size_t size = 0;
    for (size_t i = 0; i < length; i++) {
        if (source[i] == '\r' && i + 1 < length && source[i + 1] == '\n') {
            continue;
        }
        text[size++] = source[i] == '\r' ? '\n' : source[i];
    }
    if (size > 0 && text[size - 1] == '\n') {
        size--;
    }
    struct lexer *lexer = jinja_new(arena, 1, sizeof *lexer);
    lexer->arena = arena;
    lexer->source = text;
    lexer->length = size;
    arena->line = 1;
    lex_template(lexer);
    return lexer->tokens;
}
