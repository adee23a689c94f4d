/*
 * tests/text/test_tokenizer_scan.c - the loops that stand for common patterns give the words that the patterns
 * themselves give through PCRE2, at every code point and on made-up and real text.
 */
#include "base/mem.h"
#include "support/cmocka.h"
#include "text/helper_tokenizer.h"
#include "text/tokenizer/pattern.h"
#include "text/tokenizer/scan.h"
#include "text/unicode/unicode.h"
#include <string.h>

/* As the tokenizer.json of GPT-2, Llama 3 and Qwen 2 have them. */
#define CL100K_PATTERN(digits)                                                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                                               \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const char *const patterns[] = {
    [SCAN_GPT2] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    [SCAN_LLAMA3] = CL100K_PATTERN("\\p{N}{1,3}"),
    [SCAN_QWEN2] = CL100K_PATTERN("\\p{N}"),
};

static struct stand_ins stand_ins;

static int find_stand_ins(void **state)
{
    (void)state;
    struct err err;
    return stand_ins_find(&stand_ins, &err);
}

static int free_stand_ins(void **state)
{
    (void)state;
    stand_ins_free(&stand_ins);
    return 0;
}

struct both {
    enum scan_kind kind;
    struct pattern pattern;
    struct pattern_scratch scratch;
    struct span_list words;
};

static void open_both(struct both *both, enum scan_kind kind)
{
    struct err err;
    *both = (struct both){.kind = kind, .scratch.stand_ins = &stand_ins};
    if (pattern_from_regex(&both->pattern, patterns[kind], "test", &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static void close_both(struct both *both)
{
    pattern_free(&both->pattern);
    pattern_scratch_free(&both->scratch);
    span_list_free(&both->words);
}

static void compare(struct both *both, const char *text, size_t length)
{
    struct err err;
    struct pattern_walk walk;
    both->words.count = 0;
    assert_int_equal(scan_words(both->kind, text, 0, length, &both->words, &err), 0);
    assert_int_equal(pattern_begin(&walk, &both->pattern, text, length, &both->scratch, &err), 0);
    size_t start, end;
    for (size_t i = 0; i < both->words.count; i++) {
        struct span word = both->words.items[i];
        if (pattern_next(&walk, &start, &end, &err) != 1 || start != word.start || end != word.end) {
            fail_msg("kind %d, word %zu: the loop has bytes %u..%u, the pattern %zu..%zu of '%.*s'", (int)both->kind, i,
                     word.start, word.end, start, end, (int)(end - start), text + start);
        }
    }
    assert_int_equal(pattern_next(&walk, &start, &end, &err), 0);
}

/* Each code point between those that patterns tell apart. */
static void compare_code_points(struct both *both)
{
    struct strbuf text = {0};
    for (unsigned c = 0; c < 0x110000; c++) {
        if (c >= 0xD800 && c <= 0xDFFF) {
            continue;
        }
        strbuf_puts(&text, "a");
        strbuf_put_utf8(&text, c);
        strbuf_puts(&text, "b ");
        strbuf_put_utf8(&text, c);
        strbuf_puts(&text, "1'");
        strbuf_put_utf8(&text, c);
        strbuf_puts(&text, "'s ");
        strbuf_put_utf8(&text, c);
        strbuf_put_utf8(&text, c);
        strbuf_puts(&text, "\n");
        if (text.length > 4000) {
            compare(both, text.data, text.length);
            strbuf_clear(&text);
        }
    }
    compare(both, text.data, text.length);
    strbuf_free(&text);
}

static void compare_made_up(struct both *both)
{
    struct strbuf text = {0};
    for (uint64_t seed = 0; seed < 2000; seed++) {
        strbuf_clear(&text);
        made_up_text(&text, 1 + seed % 300, seed);
        compare(both, text.data, text.length);
    }
    strbuf_free(&text);
}

static void compare_real(struct both *both)
{
    static const char *const names[] = {"wiki-text.txt", "scripts.txt", "oasst-ranked-trees-100.jsonl"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct strbuf text = {0};
        const char *path = real_data(names[i]);
        if (!path) {
            print_message("left out: there is no %s in ATTUNE_TEST_DATA or ../shared/data\n", names[i]);
            continue;
        }
        read_whole(&text, path);
        compare(both, text.data, text.length);
        strbuf_free(&text);
    }
}

static void compare_all(enum scan_kind kind)
{
    struct both both;
    open_both(&both, kind);
    compare_code_points(&both);
    compare_made_up(&both);
    compare_real(&both);
    close_both(&both);
}

static void test_gpt2(void **state)
{
    (void)state;
    compare_all(SCAN_GPT2);
}

static void test_llama3(void **state)
{
    (void)state;
    compare_all(SCAN_LLAMA3);
}

static void test_qwen2(void **state)
{
    (void)state;
    compare_all(SCAN_QWEN2);
}

static void test_kinds_are_known_by_their_pattern(void **state)
{
    (void)state;
    for (int kind = SCAN_GPT2; kind <= SCAN_QWEN2; kind++) {
        assert_int_equal(scan_kind_of(patterns[kind]), kind);
    }
    assert_int_equal(scan_kind_of("\\p{L}+"), SCAN_NONE);
}

/* Stand-ins: PCRE2 tells the categories of every code point as the tables do. */
static void test_patterns_see_the_tables_unicode(void **state)
{
    (void)state;
    static const struct {
        const char *regex;
        unsigned first, last; /* categories */
    } groups[] = {
        {"\\p{L}", UNICODE_LL, UNICODE_LU}, {"\\p{N}", UNICODE_ND, UNICODE_NO}, {"\\p{M}", UNICODE_MC, UNICODE_MN},
        {"\\p{P}", UNICODE_PC, UNICODE_PS}, {"\\p{S}", UNICODE_SC, UNICODE_SO}, {"\\p{Cn}", UNICODE_CN, UNICODE_CN},
    };
    for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
        struct pattern pattern = {0};
        struct pattern_scratch scratch = {.stand_ins = &stand_ins};
        struct err err;
        assert_int_equal(pattern_from_regex(&pattern, groups[i].regex, "test", &err), 0);
        for (unsigned c = 0; c < 0x110000; c++) {
            struct strbuf text = {0};
            struct pattern_walk walk;
            size_t start, end;
            if (c >= 0xD800 && c <= 0xDFFF) {
                continue;
            }
            strbuf_put_utf8(&text, c);
            assert_int_equal(pattern_begin(&walk, &pattern, text.data, text.length, &scratch, &err), 0);
            unsigned category = unicode_class(c).category;
            bool expected = category >= groups[i].first && category <= groups[i].last;
            if (pattern_next(&walk, &start, &end, &err) != expected) {
                fail_msg("U+%04X and %s", c, groups[i].regex);
            }
            strbuf_free(&text);
        }
        pattern_free(&pattern);
        pattern_scratch_free(&scratch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt2),
        cmocka_unit_test(test_llama3),
        cmocka_unit_test(test_qwen2),
        cmocka_unit_test(test_kinds_are_known_by_their_pattern),
        cmocka_unit_test(test_patterns_see_the_tables_unicode),
    };
    return cmocka_run_group_tests(tests, find_stand_ins, free_stand_ins);
}
