/*
 * tests/text/test_tokenizer_cases.c - every normalizer, pre-tokenizer, decoder, post-processor and option of a
 * tokenizer.json does what Hugging Face's tokenizers does with it, on small files made by
 * tests/reference/tokenizer_cases.py.
 */
#include "base/mem.h"
#include "support/cmocka.h"
#include "text/helper_tokenizer.h"
#include <stdlib.h>
#include <string.h>

static json_t *fixture;
static int failures;

static int open_fixture(void **state)
{
    (void)state;
    struct strbuf text = {0};
    struct err err;
    read_whole(&text, ATTUNE_FIXTURES "/tokenizer/cases.json");
    fixture = json_read_text(text.data, text.length, "cases.json", &err);
    strbuf_free(&text);
    return fixture ? 0 : -1;
}

static int close_fixture(void **state)
{
    (void)state;
    json_decref(fixture);
    return 0;
}

static void merges_as_strings(json_t *model)
{
    const json_t *merges = json_object_get(model, "merges");
    json_t *strings = json_array();
    for (size_t i = 0; i < json_array_size(merges); i++) {
        const json_t *pair = json_array_get(merges, i);
        json_array_append_new(strings, json_sprintf("%s %s", json_string_value(json_array_get(pair, 0)),
                                                    json_string_value(json_array_get(pair, 1))));
    }
    json_object_set_new(model, "merges", strings);
}

/* The tokenizer.json of a case: its sections and a shared model with some options changed. */
static struct tokenizer *open_case(const json_t *entry)
{
    const char *const sections[] = {"added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder"};
    json_t *json = json_object();
    json_t *model = json_copy(
        json_object_get(json_object_get(fixture, "models"), json_string_value(json_object_get(entry, "model"))));
    json_t *options = json_object_get(entry, "options");
    if (options) {
        json_object_update(model, options);
    }
    if (json_is_true(json_object_get(entry, "merges_as_strings"))) {
        merges_as_strings(model);
    }
    json_object_set_new(json, "model", model);
    for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
        json_t *section = json_object_get(entry, sections[i]);
        if (section) {
            json_object_set(json, sections[i], section);
        }
    }
    char *text = json_dumps(json, 0);
    struct tokenizer *tokenizer = tokenizer_of(text);
    free(text);
    json_decref(json);
    return tokenizer;
}

/* Whether the library is wrong about something in a case, so that it is not compared. */
static bool differs(const json_t *entry, const char *what)
{
    const json_t *list = json_object_get(entry, "differs");
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (strcmp(json_string_value(json_array_get(list, i)), what) == 0) {
            return true;
        }
    }
    return false;
}

static void complain(const json_t *entry, size_t text, const char *what)
{
    print_error("case '%s', text %zu: other %s than Hugging Face's tokenizers\n",
                json_string_value(json_object_get(entry, "name")), text, what);
    failures++;
}

static bool same_ids(const struct token_list *tokens, const json_t *ids)
{
    bool same = json_is_array(ids) && tokens->count == json_array_size(ids);
    for (size_t i = 0; i < tokens->count && same; i++) {
        same = tokens->ids[i] == (int32_t)json_integer_value(json_array_get(ids, i));
    }
    return same;
}

/*
 * The library gives a token that is a part of a character the whole of it, and what came of several characters the last
 * or the first of them; here it is the part, or all of them. So a range must share something with the library's.
 */
static bool ranges_meet(const struct token_list *tokens, const json_t *offsets)
{
    if (json_array_size(offsets) != tokens->count) {
        return false;
    }
    for (size_t i = 0; i < tokens->count; i++) {
        const json_t *pair = json_array_get(offsets, i);
        uint32_t start = (uint32_t)json_integer_value(json_array_get(pair, 0));
        uint32_t end = (uint32_t)json_integer_value(json_array_get(pair, 1));
        bool empty = start == end;
        if (tokens->starts[i] > end || tokens->ends[i] < start ||
            (!empty && (tokens->starts[i] >= end || tokens->ends[i] <= start))) {
            return false;
        }
    }
    return true;
}

static bool same_text(const struct strbuf *text, const json_t *expected)
{
    return text->length == json_string_length(expected) &&
           memcmp(strbuf_text(text), json_string_value(expected), text->length) == 0;
}

/* Decoding token by token gives what decoding at once gives. */
static bool same_stream(const struct tokenizer *tokenizer, const struct token_list *tokens, const struct strbuf *whole)
{
    struct token_stream stream = {0};
    struct strbuf text = {0};
    struct err err;
    for (size_t i = 0; i < tokens->count; i++) {
        assert_int_equal(tokenizer_decode_next(tokenizer, &stream, tokens->ids[i], 0, &text, &err), 0);
    }
    assert_int_equal(tokenizer_decode_end(tokenizer, &stream, &text, &err), 0);
    bool same = text.length == whole->length && memcmp(strbuf_text(&text), strbuf_text(whole), text.length) == 0;
    strbuf_free(&text);
    token_stream_free(&stream);
    return same;
}

static void check_text(const struct tokenizer *tokenizer, const json_t *entry, size_t number)
{
    const json_t *item = json_array_get(json_object_get(entry, "texts"), number);
    const json_t *source = json_object_get(item, "text"), *ids = json_object_get(item, "ids");
    const json_t *framed = json_object_get(item, "framed"), *offsets = json_object_get(item, "offsets");
    const json_t *whole = json_object_get(item, "decoded"), *part = json_object_get(item, "shown");
    const char *text = json_string_value(source);
    size_t length = json_string_length(source);
    struct token_list plain = {0}, special = {0};
    struct strbuf decoded = {0}, shown = {0};
    struct err err;
    if (tokenizer_encode(tokenizer, text, length, TOKENIZER_OFFSETS, &plain, &err) != 0 ||
        tokenizer_encode(tokenizer, text, length, TOKENIZER_ADD_SPECIAL, &special, &err) != 0 ||
        tokenizer_decode(tokenizer, special.ids, special.count, 0, &decoded, &err) != 0 ||
        tokenizer_decode(tokenizer, special.ids, special.count, TOKENIZER_SKIP_SPECIAL, &shown, &err) != 0) {
        fail_msg("case '%s', text %zu: %s", json_string_value(json_object_get(entry, "name")), number, err.text);
    }
    if (!same_ids(&plain, ids)) {
        complain(entry, number, "ids");
    } else if (!differs(entry, "ranges") && !ranges_meet(&plain, offsets)) {
        complain(entry, number, "ranges");
    }
    if (!same_ids(&special, framed ? framed : ids)) {
        complain(entry, number, "ids with special tokens");
    }
    if (!same_text(&decoded, whole ? whole : source)) {
        complain(entry, number, "decoded text");
    }
    if (!differs(entry, "shown") && !same_text(&shown, part ? part : whole ? whole : source)) {
        complain(entry, number, "decoded text without special tokens");
    }
    if (!same_stream(tokenizer, &special, &decoded)) {
        complain(entry, number, "streamed text");
    }
    token_list_free(&plain);
    token_list_free(&special);
    strbuf_free(&decoded);
    strbuf_free(&shown);
}

static void test_cases(void **state)
{
    (void)state;
    const json_t *cases = json_object_get(fixture, "cases");
    assert_true(json_array_size(cases) > 80);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *entry = json_array_get(cases, i);
        struct tokenizer *tokenizer = open_case(entry);
        size_t texts = json_array_size(json_object_get(entry, "texts"));
        assert_true(texts > 0);
        for (size_t number = 0; number < texts; number++) {
            check_text(tokenizer, entry, number);
        }
        tokenizer_free(tokenizer);
    }
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
