/*
 * tests/text/test_tokenizer_errors.c - tokenizer.json files that must be refused, each with a sentence that names the
 * file and what is wrong in it; and memory that runs out anywhere.
 */
#include "base/mem.h"
#include "support/cmocka.h"
#include "text/helper_tokenizer.h"
#include <stdio.h>
#include <string.h>

#define VOCAB        "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}"
#define MODEL(rest)  "{\"model\":{\"type\":\"BPE\"," rest "}}"
#define WITH(rest)   "{\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[\"a b\"]}," rest "}"
#define ADDED(token) WITH("\"added_tokens\":[" token "]")

static const struct {
    const char *json, *part;
} refused[] = {
    {"", "line 1"},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,", "line 1"},
    {"[]", "an object was expected"},
    {"{}", "has no \"model\""},
    {"{\"model\":[]}", "has no \"model\""},
    {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", "Unigram"},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", "WordPiece"},
    {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{}}}", "WordLevel"},
    {"{\"model\":{\"vocab\":{}}}", "unknown"},
    {"{\"model\":{\"type\":7}}", "\"type\" must be a string"},
    {MODEL("\"dropout\":0.1," VOCAB ",\"merges\":[]"), "dropout"},
    {MODEL("\"vocab\":[],\"merges\":[]"), "model.vocab"},
    {MODEL("\"vocab\":{\"a\":\"0\"},\"merges\":[]"), "'a'"},
    {MODEL("\"vocab\":{\"a\":-1},\"merges\":[]"), "-1"},
    {MODEL("\"vocab\":{\"a\":4294967295},\"merges\":[]"), "4294967295"},
    {MODEL("\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]"), "the same id 0"},
    {MODEL("\"vocab\":{\"a\\u0000b\":0},\"merges\":[]"), "NUL"},
    {MODEL(VOCAB), "model.merges"},
    {MODEL(VOCAB ",\"merges\":{}"), "model.merges"},
    {MODEL(VOCAB ",\"merges\":[\"ab\"]"), "model.merges[0]"},
    {MODEL(VOCAB ",\"merges\":[\"a b\",\"a b a\"]"), "model.merges[1]"},
    {MODEL(VOCAB ",\"merges\":[[\"a\"]]"), "model.merges[0]"},
    {MODEL(VOCAB ",\"merges\":[[\"a\",1]]"), "model.merges[0]"},
    {MODEL(VOCAB ",\"merges\":[\"a b\",\"a c\"]"), "'c'"},
    {MODEL(VOCAB ",\"merges\":[\"b a\"]"), "'ba'"},
    {MODEL(VOCAB ",\"merges\":[],\"unk_token\":1"), "unk_token"},
    {MODEL(VOCAB ",\"merges\":[],\"ignore_merges\":1"), "ignore_merges"},
    {MODEL(VOCAB ",\"merges\":[\"a b\"],\"continuing_subword_prefix\":\"####\""), "continuing_subword_prefix"},
    {WITH("\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"\"}"), "'Precompiled'"},
    {WITH("\"normalizer\":{}"), "\"type\""},
    {WITH("\"normalizer\":{\"type\":\"Prepend\"}"), "\"prepend\""},
    {WITH("\"normalizer\":{\"type\":\"Sequence\"}"), "\"normalizers\""},
    {WITH("\"normalizer\":{\"type\":\"Replace\",\"content\":\"x\",\"pattern\":\"a\"}"), "\"pattern\""},
    {WITH("\"normalizer\":{\"type\":\"Replace\",\"content\":\"x\",\"pattern\":{\"Regex\":\"(a\"}}"), "(a"},
    {WITH("\"normalizer\":{\"type\":\"Strip\",\"strip_left\":\"yes\"}"), "strip_left"},
    {WITH("\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}"), "'UnicodeScripts'"},
    {WITH("\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Nonsense\"}]}"), "'Nonsense'"},
    {WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Sometimes\",\"pattern\":{\"String\":\"a\"}}"),
     "'Sometimes'"},
    {WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"[a[^b]]\"}}"),
     "a negated class inside of a class"},
    {WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"[a-z&&[^b]]\"}}"),
     "&&"},
    {WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"[a-[b]]\"}}"),
     "a hyphen beside"},
    {WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"[\\\\W]\"}}"),
     "\\W"},
    {WITH("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"ab\"}"), "one character"},
    {WITH("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"maybe\"}"), "'maybe'"},
    {WITH("\"decoder\":{\"type\":\"CTC\"}"), "'CTC'"},
    {WITH("\"decoder\":{\"type\":\"Strip\",\"content\":\"ab\"}"), "one character"},
    {WITH("\"decoder\":{\"type\":\"Sequence\",\"decoders\":7}"), "\"decoders\""},
    {WITH("\"post_processor\":{\"type\":\"Nonsense\"}"), "'Nonsense'"},
    {WITH("\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",0],\"sep\":[\"z\",9]}"), "no token has"},
    {WITH("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]}"), "no Sequence"},
    {WITH("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}]}"),
     "'x'"},
    {WITH("\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"BertProcessing\",\"cls\":[\"a\",0],"
          "\"sep\":[\"b\",1]},{\"type\":\"BertProcessing\",\"cls\":[\"a\",0],\"sep\":[\"b\",1]}]}"),
     "more than one"},
    {WITH("\"added_tokens\":{}"), "added_tokens"},
    {ADDED("{\"content\":\"<x>\"}"), "\"id\""},
    {ADDED("{\"id\":3}"), "\"content\""},
    {ADDED("{\"id\":-3,\"content\":\"<x>\"}"), "\"id\""},
    {ADDED("{\"id\":4294967295,\"content\":\"<x>\"}"), "\"id\""},
    {ADDED("{\"id\":4,\"content\":\"<x>\"}"), "its turn gives it 3"},
    {ADDED("{\"id\":1,\"content\":\"a\"}"), "in the vocabulary it has 0"},
    {ADDED("{\"id\":3,\"content\":\"<x>\",\"lstrip\":\"yes\"}"), "lstrip"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        assert_refused(refused[i].json, refused[i].part);
    }
}

static void test_missing_files(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = NULL;
    struct err err;
    assert_int_equal(tokenizer_open(&tokenizer, ATTUNE_FIXTURES "/tokenizer/nowhere.json", &err), -1);
    assert_non_null(strstr(err.text, "nowhere.json"));
    assert_int_equal(tokenizer_open(&tokenizer, ATTUNE_FIXTURES, &err), -1);
    assert_non_null(strstr(err.text, "tokenizer.json"));
    assert_null(tokenizer);
}

static void test_text_that_is_not_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } texts[] = {
        {"ab\xFF", "byte 2 is 0xFF"},    {"abababababab\xC3", "byte 12 is 0xC3"}, {"\xED\xA0\x80", "byte 0 is 0xED"},
        {"a\xC0\x80", "byte 1 is 0xC0"}, {"a\xF4\x90\x80\x80", "byte 1 is 0xF4"},
    };
    struct tokenizer *tokenizer = tokenizer_of(WITH("\"decoder\":null"));
    struct token_list tokens = {0};
    struct err err;
    assert_int_equal(tokenizer_encode(tokenizer, "ab", 2, 0, &tokens, &err), 0);
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        assert_int_equal(tokenizer_encode(tokenizer, texts[i].text, strlen(texts[i].text), 0, &tokens, &err), -1);
        if (!strstr(err.text, texts[i].part)) {
            fail_msg("'%s' does not say '%s'", err.text, texts[i].part);
        }
        assert_int_equal(tokens.count, 1);
    }
    token_list_free(&tokens);
    tokenizer_free(tokenizer);
}

static void test_ids_that_no_token_has(void **state)
{
    (void)state;
    static const int32_t ids[] = {-1, 3, INT32_MIN, INT32_MAX};
    struct tokenizer *tokenizer = tokenizer_of(WITH("\"decoder\":null"));
    struct token_stream stream = {0};
    struct strbuf text = {0};
    struct err err;
    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
        assert_int_equal(tokenizer_decode(tokenizer, &ids[i], 1, 0, &text, &err), -1);
        assert_non_null(strstr(err.text, "no token has the id"));
        assert_int_equal(tokenizer_decode_next(tokenizer, &stream, ids[i], 0, &text, &err), -1);
        assert_int_equal(tokenizer_decode(tokenizer, &ids[i], 1, TOKENIZER_SKIP_SPECIAL, &text, &err), 0);
        assert_int_equal(tokenizer_decode_next(tokenizer, &stream, ids[i], TOKENIZER_SKIP_SPECIAL, &text, &err), 0);
        assert_null(tokenizer_token(tokenizer, ids[i]));
        assert_false(tokenizer_is_special(tokenizer, ids[i]));
    }
    assert_int_equal(text.length, 0);
    token_stream_free(&stream);
    tokenizer_free(tokenizer);
}

static void test_unk_token_that_is_not_there(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = tokenizer_of(MODEL(VOCAB ",\"merges\":[],\"unk_token\":\"<unk>\""));
    struct token_list tokens = {0};
    struct err err;
    assert_int_equal(tokenizer_encode(tokenizer, "ab", 2, 0, &tokens, &err), 0);
    assert_int_equal(tokenizer_encode(tokenizer, "abc", 3, 0, &tokens, &err), -1);
    assert_non_null(strstr(err.text, "'<unk>'"));
    assert_int_equal(tokens.count, 2);
    token_list_free(&tokens);
    tokenizer_free(tokenizer);
}

static const char everything[] = WITH(
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKC\"},{\"type\":\"Replace\",\"content\":"
    "\"ab\",\"pattern\":{\"Regex\":\"c|d\"}}]},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
    "\"Metaspace\",\"replacement\":\"_\"},{\"type\":\"ByteLevel\",\"add_prefix_space\":true},{\"type\":\"Split\","
    "\"behavior\":\"Contiguous\",\"pattern\":{\"String\":\"b\"}}]},\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{"
    "\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]},\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",0]"
    ",\"sep\":[\"b\",1]},\"added_tokens\":[{\"id\":3,\"content\":\"<x>\"},{\"id\":4,\"content\":\"<y>\",\"special\":"
    "true}"
    "]");

/* Opens, encodes and decodes; 0, or -1 with everything freed. */
static int use_all(struct err *err)
{
    static const char text[] = "a cab<x> d\xCC\x81 \xEF\xAC\x81 <y>ab";
    struct tokenizer *tokenizer = NULL;
    struct token_list tokens = {0};
    struct strbuf decoded = {0};
    struct token_stream stream = {0};
    if (tokenizer_open_memory(&tokenizer, everything, strlen(everything), "bad.json", err) != 0) {
        return -1;
    }
    int result =
        tokenizer_encode(tokenizer, text, strlen(text), TOKENIZER_OFFSETS | TOKENIZER_ADD_SPECIAL, &tokens, err);
    if (result == 0) {
        result = tokenizer_decode(tokenizer, tokens.ids, tokens.count, 0, &decoded, err);
    }
    for (size_t i = 0; i < tokens.count && result == 0; i++) {
        result = tokenizer_decode_next(tokenizer, &stream, tokens.ids[i], 0, &decoded, err);
    }
    token_stream_free(&stream);
    strbuf_free(&decoded);
    token_list_free(&tokens);
    tokenizer_free(tokenizer);
    return result;
}

static void test_memory_runs_out_anywhere(void **state)
{
    (void)state;
    struct err err;
    mem_hook_libraries();
    mem_fail_at(0);
    assert_int_equal(use_all(&err), 0);
    long count = mem_count();
    assert_true(count > 50);
    for (long n = 1; n <= count; n++) {
        err.text[0] = '\0';
        mem_fail_at(n);
        int result = use_all(&err);
        mem_fail_at(0);
        /* PCRE2 does without its just-in-time code where there is no memory for it. */
        if (result != 0 && !strstr(err.text, "memory")) {
            fail_msg("allocation %ld failed with '%s'", n, err.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_missing_files),
        cmocka_unit_test(test_text_that_is_not_utf8),
        cmocka_unit_test(test_ids_that_no_token_has),
        cmocka_unit_test(test_unk_token_that_is_not_there),
        cmocka_unit_test(test_memory_runs_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
