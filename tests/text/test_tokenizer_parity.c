/*
 * tests/text/test_tokenizer_parity.c - the ids of four real tokenizers on two megabytes of mixed text are those of
 * Hugging Face's tokenizers: hashes of blocks, made by tests/reference/tokenizer_ids.py.
 */
#include "base/mem.h"
#include "support/cmocka.h"
#include "text/helper_tokenizer.h"
#include <stdlib.h>
#include <string.h>

#define BLOCK         65536
#define MADE_UP_BYTES 450000
#define MADE_UP_SEED  7

static const struct {
    const char *name;
    size_t size;
} parts[] = {
    {"wiki-text.txt", 400000},
    {"scripts.txt", 1000000},
    {"tinyshakespeare.txt", 150000},
    {"alpaca-1k.json", 200000},
};

static void build_text(struct strbuf *text)
{
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        struct strbuf file = {0};
        const char *path = real_data(parts[i].name);
        assert_non_null(path);
        read_whole(&file, path);
        strbuf_append(text, file.data, cut_text(file.data, file.length, parts[i].size));
        strbuf_free(&file);
    }
    made_up_text(text, MADE_UP_BYTES, MADE_UP_SEED);
}

static uint64_t hash_of(const json_t *value)
{
    return strtoull(json_string_value(value), NULL, 16);
}

/*
 * Ranges of tokens go over the whole text in order, and byte-level ones lie end to end. What a normalizer has put in
 * front of a character shares its range.
 */
static void check_ranges(const struct token_list *tokens, size_t length, bool end_to_end)
{
    uint32_t start = 0, done = 0;
    for (size_t i = 0; i < tokens->count; i++) {
        assert_true(tokens->starts[i] >= start && tokens->starts[i] <= done && tokens->ends[i] >= tokens->starts[i]);
        assert_true(!end_to_end || tokens->starts[i] == done);
        start = tokens->starts[i];
        done = tokens->ends[i] > done ? tokens->ends[i] : done;
    }
    assert_int_equal(done, length);
}

static void check_block(const struct tokenizer *tokenizer, const char *name, const char *text, size_t length,
                        const json_t *expected, size_t block)
{
    struct token_list tokens = {0};
    struct strbuf decoded = {0};
    struct err err;
    if (tokenizer_encode(tokenizer, text, length, TOKENIZER_ADD_SPECIAL | TOKENIZER_OFFSETS, &tokens, &err) != 0 ||
        tokenizer_decode(tokenizer, tokens.ids, tokens.count, 0, &decoded, &err) != 0) {
        fail_msg("%s, block %zu: %s", name, block, err.text);
    }
    const json_t *entry = json_object_get(expected, name);
    assert_int_equal(fnv(text, length), hash_of(json_object_get(expected, "text")));
    if (tokens.count != (size_t)json_integer_value(json_array_get(entry, 0)) ||
        fnv_ids(tokens.ids, tokens.count) != hash_of(json_array_get(entry, 1))) {
        fail_msg("%s, block %zu: other ids (%zu of them) than Hugging Face's tokenizers", name, block, tokens.count);
    }
    if (fnv(decoded.data, decoded.length) != hash_of(json_array_get(entry, 2))) {
        fail_msg("%s, block %zu: decodes to another text than Hugging Face's tokenizers", name, block);
    }
    if (strcmp(name, "smollm2") != 0) { /* has no tokens for some bytes */
        check_ranges(&tokens, length, strcmp(name, "llama2") != 0);
    }
    strbuf_free(&decoded);
    token_list_free(&tokens);
}

static void check_tokenizer(const char *name)
{
    struct tokenizer *tokenizer = real_tokenizer(name);
    struct strbuf text = {0}, fixture = {0};
    struct err err;
    build_text(&text);
    read_whole(&fixture, ATTUNE_FIXTURES "/tokenizer/blocks.json");
    json_t *expected = json_read_text(fixture.data, fixture.length, "blocks.json", &err);
    const json_t *blocks = json_object_get(expected, "blocks");
    size_t block = 0;
    for (size_t at = 0, length; at < text.length; at += length, block++) {
        length = cut_text(text.data + at, text.length - at, BLOCK);
        check_block(tokenizer, name, text.data + at, length, json_array_get(blocks, block), block);
    }
    assert_int_equal(block, json_array_size(blocks));
    assert_true(text.length > 2000000);
    json_decref(expected);
    strbuf_free(&fixture);
    strbuf_free(&text);
    tokenizer_free(tokenizer);
}

static void test_gpt2(void **state)
{
    (void)state;
    check_tokenizer("gpt2");
}

static void test_llama2(void **state)
{
    (void)state;
    check_tokenizer("llama2");
}

static void test_llama3(void **state)
{
    (void)state;
    check_tokenizer("llama3");
}

static void test_smollm2(void **state)
{
    (void)state;
    check_tokenizer("smollm2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt2),
        cmocka_unit_test(test_llama2),
        cmocka_unit_test(test_llama3),
        cmocka_unit_test(test_smollm2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
