/*
 * tests/text/test_tokenizer.c - the tokenizer as others use it: files, special tokens, ranges, streams, threads.
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"
#include "support/cmocka.h"
#include "support/temporary.h"
#include "text/helper_tokenizer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put_file(const char *name, const char *text)
{
    struct err err;
    char *path = file_join(temporary("."), name, &err);
    assert_non_null(path);
    assert_int_equal(file_write_whole(path, text, strlen(text), &err), 0);
    mem_free(path);
}

/* Byte-level would need 256 tokens; this spells "abc" and the blank. */
static const char small[] =
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"\xE2\x96\x81\":3,\"ab\":4,\"\xE2\x96\x81"
    "ab\":5,\"<s>\":6,"
    "\"</s>\":7,\"<unk>\":8},\"merges\":[\"a b\",\"\xE2\x96\x81 ab\"],\"unk_token\":\"<unk>\"},"
    "\"added_tokens\":[{\"id\":6,\"content\":\"<s>\",\"special\":true},{\"id\":9,\"content\":\"<turn>\",\"special\":"
    "true}],"
    "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xE2\x96\x81\"},"
    "\"decoder\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xE2\x96\x81\"},\"content\":\" \"}}";

static struct tokenizer *open_folder(void)
{
    struct tokenizer *tokenizer = NULL;
    struct err err;
    if (tokenizer_open(&tokenizer, temporary("."), &err) != 0) {
        fail_msg("%s", err.text);
    }
    return tokenizer;
}

static void test_names_and_ids(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = tokenizer_of(small);
    assert_int_equal(tokenizer_size(tokenizer), 10);
    assert_int_equal(tokenizer_id(tokenizer, "ab"), 4);
    assert_int_equal(tokenizer_id(tokenizer, "<turn>"), 9);
    assert_int_equal(tokenizer_id(tokenizer, "nothing"), -1);
    assert_string_equal(tokenizer_token(tokenizer, 5), "\xE2\x96\x81"
                                                       "ab");
    assert_string_equal(tokenizer_token(tokenizer, 9), "<turn>");
    assert_null(tokenizer_token(tokenizer, 10));
    assert_true(tokenizer_is_special(tokenizer, 6));
    assert_true(tokenizer_is_special(tokenizer, 9));
    assert_false(tokenizer_is_special(tokenizer, 7));
    assert_null(tokenizer_bos_token(tokenizer));
    assert_int_equal(tokenizer_eos_id(tokenizer), -1);
    assert_null(tokenizer_chat_template(tokenizer));
    tokenizer_free(tokenizer);
}

static void expect(const struct tokenizer *tokenizer, const char *text, const int32_t *ids, const uint32_t (*ranges)[2],
                   size_t count)
{
    struct token_list tokens = {0};
    struct err err;
    assert_int_equal(tokenizer_encode(tokenizer, text, strlen(text), TOKENIZER_OFFSETS, &tokens, &err), 0);
    assert_int_equal(tokens.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(tokens.ids[i], ids[i]);
        assert_int_equal(tokens.starts[i], ranges[i][0]);
        assert_int_equal(tokens.ends[i], ranges[i][1]);
    }
    token_list_free(&tokens);
}

static void test_ranges_through_a_normalizer(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = tokenizer_of(small);
    /* The blank takes three bytes in the vocabulary and one here; the e with accent is unknown and takes two. */
    const int32_t ids[] = {4, 5, 9, 3, 8, 2};
    const uint32_t ranges[][2] = {{0, 2}, {2, 5}, {5, 11}, {11, 12}, {12, 14}, {14, 15}};
    expect(tokenizer,
           "ab ab<turn> \xC3\xA9"
           "c",
           ids, ranges, 6);
    tokenizer_free(tokenizer);
}

static void test_lists_are_appended_to(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = tokenizer_of(small);
    struct token_list tokens = {0};
    struct err err;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(tokenizer_encode(tokenizer, "abc", 3, TOKENIZER_OFFSETS, &tokens, &err), 0);
    }
    assert_int_equal(tokens.count, 200);
    assert_int_equal(tokens.ids[198], 4);
    assert_int_equal(tokens.starts[199], 2);
    assert_int_equal(tokens.ends[199], 3);
    assert_int_equal(tokenizer_encode(tokenizer, "", 0, TOKENIZER_OFFSETS, &tokens, &err), 0);
    assert_int_equal(tokens.count, 200);
    token_list_free(&tokens);
    tokenizer_free(tokenizer);
}

static void test_files_beside_it(void **state)
{
    (void)state;
    put_file("tokenizer.json", small);
    put_file(
        "tokenizer_config.json",
        "{\"bos_token\":\"<s>\",\"eos_token\":{\"content\":\"</s>\",\"lstrip\":true},\"pad_token\":null,"
        "\"added_tokens_decoder\":{\"9\":{\"content\":\"<turn>\"},\"6\":{\"content\":\"<s>\"},"
        "\"10\":{\"content\":\"<extra>\",\"special\":false}},\"additional_special_tokens\":[\"<more>\"],"
        "\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"T\"},{\"name\":\"default\",\"template\":\"D\"}]}");
    put_file("special_tokens_map.json", "{\"bos_token\":\"a\",\"pad_token\":\"b\",\"unk_token\":\"<unk>\"}");
    struct tokenizer *tokenizer = open_folder();
    assert_string_equal(tokenizer_bos_token(tokenizer), "<s>");
    assert_int_equal(tokenizer_bos_id(tokenizer), 6);
    assert_string_equal(tokenizer_eos_token(tokenizer), "</s>");
    assert_int_equal(tokenizer_eos_id(tokenizer), 7);
    assert_int_equal(tokenizer_pad_id(tokenizer), -1); /* the first file says there is none */
    assert_int_equal(tokenizer_unk_id(tokenizer), 8);
    assert_string_equal(tokenizer_token(tokenizer, 8), "<unk>");
    assert_int_equal(tokenizer_id(tokenizer, "<extra>"), 10);
    assert_false(tokenizer_is_special(tokenizer, 10));
    assert_int_equal(tokenizer_id(tokenizer, "<more>"), 11);
    assert_true(tokenizer_is_special(tokenizer, 11));
    assert_int_equal(tokenizer_size(tokenizer), 12);
    assert_string_equal(tokenizer_chat_template(tokenizer), "D");
    /* The end of text became a special token that takes the space before it along. */
    const int32_t ids[] = {0, 7, 11, 10, 1};
    const uint32_t ranges[][2] = {{0, 1}, {1, 7}, {7, 13}, {13, 20}, {20, 21}};
    expect(tokenizer, "a  </s><more><extra>b", ids, ranges, 5);
    tokenizer_free(tokenizer);

    put_file("chat_template.jinja", "{{ messages }}\n");
    tokenizer = open_folder();
    assert_string_equal(tokenizer_chat_template(tokenizer), "{{ messages }}\n");
    tokenizer_free(tokenizer);
}

static void test_bad_files_beside_it(void **state)
{
    (void)state;
    static const struct {
        const char *config, *part;
    } bad[] = {
        {"{", "tokenizer_config.json"},
        {"[]", "an object was expected"},
        {"{\"bos_token\":7}", "\"bos_token\""},
        {"{\"added_tokens_decoder\":{\"30\":{\"content\":\"<new>\"}}}", "'<new>'"},
        {"{\"added_tokens_decoder\":{\"x\":{\"content\":\"<new>\"}}}", "\"content\""},
    };
    put_file("tokenizer.json", small);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct tokenizer *tokenizer = NULL;
        struct err err;
        put_file("tokenizer_config.json", bad[i].config);
        assert_int_equal(tokenizer_open(&tokenizer, temporary("."), &err), -1);
        if (!strstr(err.text, bad[i].part)) {
            fail_msg("'%s' does not say '%s'", err.text, bad[i].part);
        }
    }
}

/* A tokenizer.json may have another name; the files beside it are read all the same. */
static void test_another_name(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *tokenizer;
    put_file("other.json", small);
    put_file("tokenizer_config.json", "{\"bos_token\":\"<s>\"}");
    char *path = file_join(temporary("."), "other.json", &err);
    assert_int_equal(tokenizer_open(&tokenizer, path, &err), 0);
    assert_string_equal(tokenizer_bos_token(tokenizer), "<s>");
    tokenizer_free(tokenizer);
    mem_free(path);
}

/* A folder whose tokenizer.json has the name and content of a case: bytes and their characters of a byte-level
 * vocabulary. */
static struct tokenizer *byte_level(void)
{
    struct strbuf json = {0};
    strbuf_puts(&json, "{\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (unsigned byte = 0, extra = 0; byte < 256; byte++) {
        bool itself = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
        struct strbuf character = {0};
        strbuf_put_utf8(&character, itself ? byte : 0x100 + extra++);
        strbuf_puts(&json, byte > 0 ? "," : "");
        strbuf_put_json(&json, character.data, character.length);
        strbuf_printf(&json, ":%u", byte);
        strbuf_free(&character);
    }
    strbuf_puts(&json, "},\"merges\":[]},\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
                       "\"decoder\":{\"type\":\"ByteLevel\"},\"added_tokens\":[{\"id\":256,\"content\":\"<end>\","
                       "\"special\":true}]}");
    struct tokenizer *tokenizer = tokenizer_of(strbuf_text(&json));
    strbuf_free(&json);
    return tokenizer;
}

static void test_stream_holds_back_parts_of_characters(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = byte_level();
    struct token_stream stream = {0};
    struct strbuf text = {0};
    struct err err;
    /* "é", a byte that begins nothing, "<end>", and an emoji of which the last byte is missing */
    const int32_t ids[] = {0xC3, 0xA9, 0xFF, 256, 'x', 0xF0, 0x9F, 0x99};
    const size_t lengths[] = {0, 2, 5, 5, 6, 6, 6, 6};
    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
        assert_int_equal(tokenizer_decode_next(tokenizer, &stream, ids[i], TOKENIZER_SKIP_SPECIAL, &text, &err), 0);
        assert_int_equal(text.length, lengths[i]);
    }
    assert_int_equal(tokenizer_decode_end(tokenizer, &stream, &text, &err), 0);
    assert_string_equal(text.data, "\xC3\xA9\xEF\xBF\xBDx\xEF\xBF\xBD");
    token_stream_free(&stream);
    strbuf_free(&text);
    tokenizer_free(tokenizer);
}

static void test_a_part_of_a_character_has_its_bytes(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = byte_level();
    const int32_t ids[] = {'a', 0xC3, 0xA9, 256, 'b'};
    const uint32_t ranges[][2] = {{0, 1}, {1, 2}, {2, 3}, {3, 8}, {8, 9}};
    expect(tokenizer, "a\xC3\xA9<end>b", ids, ranges, 5);
    tokenizer_free(tokenizer);
}

#define TEXTS 64

struct shared {
    const struct tokenizer *tokenizer;
    struct strbuf texts[TEXTS];
    uint64_t hashes[TEXTS];
    int failed[TEXTS];
};

static void encode_one(void *context, int64_t index)
{
    struct shared *shared = context;
    size_t which = (size_t)index % TEXTS;
    struct token_list tokens = {0};
    struct err err;
    if (tokenizer_encode(shared->tokenizer, shared->texts[which].data, shared->texts[which].length, 0, &tokens, &err) !=
            0 ||
        fnv_ids(tokens.ids, tokens.count) != shared->hashes[which]) {
        shared->failed[which] = 1;
    }
    token_list_free(&tokens);
}

/* Threads share the cache of words: what they find there is always the tokens of that very word. */
static void test_threads_share_a_tokenizer(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = tokenizer_of(small);
    struct shared shared = {.tokenizer = tokenizer};
    struct pool *pool = NULL;
    struct err err;
    for (size_t i = 0; i < TEXTS; i++) {
        struct made_up random = {i};
        for (int n = 0; n < 4000; n++) {
            strbuf_putc(&shared.texts[i], "aabbc "[made_up_below(&random, 6)]);
        }
        struct tokenizer *fresh = tokenizer_of(small);
        struct token_list tokens = {0};
        assert_int_equal(tokenizer_encode(fresh, shared.texts[i].data, shared.texts[i].length, 0, &tokens, &err), 0);
        shared.hashes[i] = fnv_ids(tokens.ids, tokens.count);
        token_list_free(&tokens);
        tokenizer_free(fresh);
    }
    assert_int_equal(pool_create(&pool, 4, &err), 0);
    pool_run(pool, encode_one, &shared, 40 * TEXTS);
    pool_free(pool);
    for (size_t i = 0; i < TEXTS; i++) {
        assert_int_equal(shared.failed[i], 0);
        strbuf_free(&shared.texts[i]);
    }
    tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_ids),
        cmocka_unit_test(test_ranges_through_a_normalizer),
        cmocka_unit_test(test_lists_are_appended_to),
        cmocka_unit_test_setup_teardown(test_files_beside_it, temporary_setup, temporary_teardown),
        cmocka_unit_test_setup_teardown(test_bad_files_beside_it, temporary_setup, temporary_teardown),
        cmocka_unit_test_setup_teardown(test_another_name, temporary_setup, temporary_teardown),
        cmocka_unit_test(test_stream_holds_back_parts_of_characters),
        cmocka_unit_test(test_a_part_of_a_character_has_its_bytes),
        cmocka_unit_test(test_threads_share_a_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
