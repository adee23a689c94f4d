/* Families: what answers share, what each keeps, where its score is read, and what becomes of those that are too long.
 */
#include "base/file.h"
#include "base/mem.h"
#include "support/byte_tokenizer.h"
#include "support/cmocka.h"
#include "support/temporary.h"
#include "text/data/family.h"
#include "text/helper_dataset.h"
#include <stdlib.h>
#include <string.h>

#define ANSWERS_MAX 16

/* ---- A family as text: "{start}user\nHi{end}\n|one{end}|two{end}" ---- */

static const char *shown_family(const struct family *family)
{
    static char text[4096];
    size_t at = (size_t)snprintf(text, sizeof text, "%s", shown_ids(family->ids, family->shared));
    for (int32_t k = 0; k < family->count; k++) {
        const char *own = shown_ids(family->ids + family->starts[k], family->starts[k + 1] - family->starts[k]);
        at += (size_t)snprintf(text + at, sizeof text - at, "|%s", own);
    }
    return text;
}

static json_t *user_says(const char *text)
{
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", text);
    assert_non_null(messages);
    return messages;
}

static struct family_options chatml_options(void)
{
    return (struct family_options){.tokenizer = byte_tokenizer(WITHOUT_BOS), .chat = chatml()};
}

/* Encodes answers, NULL at the end; -1 with the error. */
static int try_encode(struct family *family, const struct family_options *options, const json_t *messages,
                      const char *const *texts, bool *fits, struct err *err)
{
    struct family_answer answers[ANSWERS_MAX];
    struct family_encoder *encoder = NULL;
    int32_t count = 0;
    for (; texts[count]; count++) {
        answers[count] = (struct family_answer){texts[count], strlen(texts[count])};
    }
    if (family_encoder_open(&encoder, options, err) != 0) {
        return -1;
    }
    int result = family_encode(encoder, messages, answers, count, family, fits, err);
    family_encoder_close(encoder);
    return result;
}

static struct family encode(const struct family_options *options, const char *prompt, const char *const *texts,
                            bool *fits)
{
    struct err err;
    struct family family = {0};
    json_t *messages = user_says(prompt);
    if (try_encode(&family, options, messages, texts, fits, &err) != 0) {
        fail_msg("%s", err.text);
    }
    json_decref(messages);
    return family;
}

#define ANSWERS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The family of answers that all fit. */
static void expect_family(const struct family_options *options, const char *prompt, const char *const *texts,
                          const char *expected)
{
    bool fits[ANSWERS_MAX] = {0};
    struct family family = encode(options, prompt, texts, fits);
    for (int32_t k = 0; texts[k]; k++) {
        assert_true(fits[k]);
    }
    assert_string_equal(shown_family(&family), expected);
    assert_int_equal(family.starts[0], family.shared);
    family_free(&family);
}

/* ---- Tokenizers other than the helper's, by edits of its JSON ---- */

struct edit {
    const char *from, *to;
};

static char *replace_all(const char *text, const struct edit *edit)
{
    struct strbuf out = {0};
    struct err err;
    const char *found;
    while ((found = strstr(text, edit->from)) != NULL) {
        strbuf_append(&out, text, (size_t)(found - text));
        strbuf_puts(&out, edit->to);
        text = found + strlen(edit->from);
    }
    strbuf_puts(&out, text);
    char *copy = mem_copy_string(strbuf_text(&out), out.length, &err);
    assert_non_null(copy);
    strbuf_free(&out);
    return copy;
}

/* `end` is its end of text; NULL: it has none. */
static struct tokenizer *edited_tokenizer(const struct edit *edits, size_t count, const char *end)
{
    struct err err;
    struct strbuf json = {0};
    struct tokenizer *tokenizer = NULL;
    byte_tokenizer_json(&json, false);
    char *text = mem_copy_string(strbuf_text(&json), json.length, &err);
    for (size_t i = 0; i < count; i++) {
        char *edited = replace_all(text, &edits[i]);
        mem_free(text);
        text = edited;
    }
    char config[64];
    snprintf(config, sizeof config, end ? "{\"eos_token\":\"%s\"}" : "{}", end);
    assert_int_equal(file_make_dirs(temporary("edited"), &err), 0);
    scratch_file("edited/tokenizer.json", text);
    scratch_file("edited/tokenizer_config.json", config);
    if (tokenizer_open(&tokenizer, temporary("edited"), &err) != 0) {
        fail_msg("%s", err.text);
    }
    mem_free(text);
    strbuf_free(&json);
    return tokenizer;
}

/* ---- What is shared ---- */

static void test_prompt_is_shared(void **state)
{
    (void)state;
    struct family_options options = chatml_options();
    expect_family(&options, "Hi", ANSWERS("one", "two", "three"),
                  "{start}user\nHi{end}\n{start}assistant\n|one{end}|two{end}|three{end}");
    expect_family(&options, "Hi", ANSWERS("yes", "yet"), "{start}user\nHi{end}\n{start}assistant\nye|s{end}|t{end}");
}

static void test_one_answer_stands_alone(void **state)
{
    (void)state;
    struct family_options options = chatml_options();
    bool fits[1];
    struct family family = encode(&options, "Hi", ANSWERS("one"), fits);
    assert_string_equal(shown_family(&family), "|{start}user\nHi{end}\n{start}assistant\none{end}");
    assert_int_equal(family.shared, 0);
    assert_int_equal(family_segments(&family), 1);
    assert_int_equal(family_unshared_tokens(&family), family_tokens(&family));
    family_free(&family);
}

/* An answer that begins another, and the same tokens twice: each keeps its last token. */
static void test_every_answer_keeps_a_token(void **state)
{
    (void)state;
    struct family_options options = chatml_options();
    options.chat = NULL;
    expect_family(&options, "1,", ANSWERS("2", "2"), "1,2|{end}|{end}");
    struct tokenizer *endless = edited_tokenizer(NULL, 0, NULL);
    options.tokenizer = endless;
    expect_family(&options, "1,", ANSWERS("23", "234", "235"), "1,2|3|34|35");
    expect_family(&options, "1,", ANSWERS("2345", "23"), "1,2|345|3");
    tokenizer_free(endless);
}

/* "a" + "bc" is a, bc; "a" + "bd" is ab, d: the prompt's own tokens are those of neither. */
static void test_merges_across_the_border(void **state)
{
    (void)state;
    const struct edit edits[] = {
        {"\"merges\":[]", "\"merges\":[\"b c\",\"a b\"]"},
        {"\"vocab\":{", "\"vocab\":{\"bc\":256,\"ab\":257,"},
        {"\"id\":258", "\"id\":260"},
        {"\"id\":257", "\"id\":259"},
        {"\"id\":256", "\"id\":258"},
    };
    struct tokenizer *tokenizer = edited_tokenizer(edits, sizeof edits / sizeof *edits, NULL);
    struct family_options options = {.tokenizer = tokenizer};
    bool fits[2];
    struct family family = encode(&options, "xa", ANSWERS("bc", "bd"), fits);
    const int32_t expected[] = {'x', 'a', 256, 257, 'd'};
    assert_int_equal(family.shared, 1);
    assert_int_equal(family.starts[1], 3);
    assert_int_equal(family.starts[2], 5);
    assert_memory_equal(family.ids, expected, sizeof expected);
    assert_int_equal(family_length(&family, 0), 3);
    assert_int_equal(family_longest(&family), 3);
    assert_int_equal(family_unshared_tokens(&family), 6);
    family_free(&family);
    tokenizer_free(tokenizer);
}

static void test_without_a_template(void **state)
{
    (void)state;
    struct family_options options = {.tokenizer = byte_tokenizer(WITH_BOS)};
    expect_family(&options, "TL;DR:", ANSWERS(" a", " b"), "{bos}TL;DR: |a{end}|b{end}");
    expect_family(&options, "Q", ANSWERS("A<|im_end|>", "B"), "{bos}Q|A{end}|B{end}"); /* not twice */

    struct err err = {0};
    struct family family = {0};
    bool fits[1];
    json_t *talk = json_pack("[{s:s, s:s}, {s:s, s:s}]", "role", "system", "content", "Be brief.", "role", "user",
                             "content", "Hi");
    assert_int_equal(try_encode(&family, &options, talk, ANSWERS("a"), fits, &err), -1);
    assert_non_null(strstr(err.text, "no chat template; name one with chat_template"));
    assert_int_equal(family.count, 0);
    json_decref(talk);
    family_free(&family);
}

/* ---- Where the scored text ends ---- */

static void test_ends_with_the_end_of_turn_token(void **state)
{
    (void)state;
    struct family_options options = chatml_options();
    /* ChatML writes a newline after the token. */
    expect_family(&options, "Hi", ANSWERS("a\n", "b"), "{start}user\nHi{end}\n{start}assistant\n|a\n{end}|b{end}");

    /* The template of phi3 writes the end of text after it. */
    static const char source[] = "{% for message in messages %}{{'<|' + message['role'] + '|>\n' + message['content'] "
                                 "+ '<|end|>\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}"
                                 "{% else %}{{ eos_token }}{% endif %}";
    const struct edit edits[] = {{"<|im_start|>", "<|end|>"}, {"<|im_end|>", "<|endoftext|>"}};
    struct tokenizer *tokenizer = edited_tokenizer(edits, 2, "<|endoftext|>");
    struct chat_template *phi3 = NULL;
    struct err err;
    assert_int_equal(chat_template_compile(&phi3, source, sizeof source - 1, "phi3", &err), 0);
    options.tokenizer = tokenizer;
    options.chat = phi3;
    bool fits[2];
    struct family family = encode(&options, "Hi", ANSWERS("a", "b"), fits);
    for (int32_t k = 0; k < 2; k++) { /* an answer of one token, <|end|>, and no <|endoftext|> */
        assert_int_equal(family.starts[k + 1] - family.starts[k], 2);
        assert_int_equal(family.ids[family.starts[k]], 'a' + k);
        assert_int_equal(family.ids[family.starts[k] + 1], 256);
    }
    family_free(&family);
    chat_template_free(phi3);
    tokenizer_free(tokenizer);
}

/* Only the last turn is the answer. */
static void test_earlier_answers_are_prompt(void **state)
{
    (void)state;
    struct family_options options = chatml_options();
    struct err err;
    struct family family = {0};
    bool fits[2];
    json_t *talk = json_pack("[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]", "role", "user", "content", "1", "role",
                             "assistant", "content", "2", "role", "user", "content", "3");
    options.max_length = 2; /* of the answer {end} alone, nothing else fits */
    options.too_long = FAMILY_KEEP_END;
    assert_int_equal(try_encode(&family, &options, talk, ANSWERS("4", "5"), fits, &err), 0);
    assert_string_equal(shown_family(&family), "|4{end}|5{end}");
    assert_int_equal(json_array_size(talk), 3);
    json_decref(talk);
    family_free(&family);
}

static void test_template_that_loses_the_answer(void **state)
{
    (void)state;
    static const char source[] =
        "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}";
    struct family_options options = chatml_options();
    struct chat_template *deaf = NULL;
    struct err err = {0};
    struct family family = {0};
    bool fits[1];
    json_t *messages = user_says("Hi");
    assert_int_equal(chat_template_compile(&deaf, source, sizeof source - 1, "deaf", &err), 0);
    options.chat = deaf;
    assert_int_equal(try_encode(&family, &options, messages, ANSWERS("a"), fits, &err), -1);
    assert_non_null(strstr(err.text, "nothing to score"));
    json_decref(messages);
    chat_template_free(deaf);
    family_free(&family);
}

/* ---- Too long ---- */

static void test_too_long_is_dropped(void **state)
{
    (void)state;
    struct family_options options = chatml_options();
    options.chat = NULL;
    options.max_length = 6;
    bool fits[3];
    struct family family = encode(&options, "abc", ANSWERS("12", "123", "4"), fits);
    assert_true(fits[0] && !fits[1] && fits[2]);
    assert_string_equal(shown_family(&family), "abc|12{end}|4{end}");
    assert_int_equal(family.cut, 0);
    family_free(&family);

    family = encode(&options, "abcdef", ANSWERS("1", "2"), fits);
    assert_true(!fits[0] && !fits[1]);
    assert_int_equal(family.count, 0);
    assert_int_equal(family_tokens(&family), 0);
    assert_int_equal(family_segments(&family), 0);
    family_free(&family);
}

/* The longest answer decides how much of the prompt goes, and what is left is shared. */
static void test_too_long_keeps_the_end(void **state)
{
    (void)state;
    struct family_options options = chatml_options();
    options.chat = NULL;
    options.max_length = 6;
    options.too_long = FAMILY_KEEP_END;
    bool fits[3];
    struct family family = encode(&options, "abcde", ANSWERS("1", "234", "5"), fits);
    assert_true(fits[0] && fits[1] && fits[2]);
    assert_string_equal(shown_family(&family), "de|1{end}|234{end}|5{end}");
    assert_int_equal(family.cut, 3);
    assert_int_equal(family_longest(&family), 6);
    family_free(&family);

    /* An answer that does not fit by itself is left out, and costs the others nothing; one that just fits stays. */
    family = encode(&options, "ab", ANSWERS("123456", "12", "12345"), fits);
    assert_true(!fits[0] && fits[1] && fits[2]);
    assert_string_equal(shown_family(&family), "12|{end}|345{end}");
    family_free(&family);
}

/* ---- From tokens, and into a batch ---- */

static void test_from_ids(void **state)
{
    (void)state;
    const int32_t prompt[] = {1, 2, 3}, first[] = {4, 5}, second[] = {4};
    const struct family_ids answers[] = {{first, 2}, {second, 1}};
    struct family family = {0};
    struct err err;
    assert_int_equal(family_from_ids(&family, &(struct family_ids){prompt, 3}, answers, 2, &err), 0);
    const int32_t ids[] = {1, 2, 3, 4, 5, 4}, starts[] = {3, 5, 6};
    assert_memory_equal(family.ids, ids, sizeof ids);
    assert_memory_equal(family.starts, starts, sizeof starts);
    assert_int_equal(family.shared, 3); /* the first tokens of the answers are the same, and yet their own */

    assert_int_equal(family_from_ids(&family, &(struct family_ids){prompt, 2}, answers + 1, 1, &err), 0); /* again */
    assert_int_equal(family.shared, 2);
    assert_int_equal(family_tokens(&family), 3);
    family_free(&family);
}

static void test_append(void **state)
{
    (void)state;
    const int32_t prompt[] = {1, 2, 3}, first[] = {4, 5}, second[] = {4};
    const struct family_ids answers[] = {{first, 2}, {second, 1}};
    struct family family = {0}, alone = {0};
    struct batch batch;
    struct err err;
    assert_int_equal(family_from_ids(&family, &(struct family_ids){prompt, 3}, answers, 2, &err), 0);
    assert_int_equal(family_from_ids(&alone, &(struct family_ids){prompt, 0}, answers, 1, &err), 0);
    assert_int_equal(batch_create(&batch, 16, 8, 8, &err), 0);
    assert_int_equal(family_append(&batch, &alone, 7), 0);
    assert_int_equal(family_append(&batch, &family, 8), 2);
    assert_int_equal(batch.tokens, family_tokens(&alone) + family_tokens(&family));
    assert_int_equal(batch.segment_count, family_segments(&alone) + family_segments(&family));
    assert_int_equal(batch.prediction_count, 3);

    const struct segment *segments = batch.segments;
    assert_int_equal(segments[0].parent, -1);
    assert_int_equal(segments[1].parent, -1);
    assert_int_equal(segments[2].parent, 1);
    assert_int_equal(segments[3].parent, 1);
    assert_true(segments[1].key == 8 && segments[2].key != segments[3].key && segments[2].key != 8);
    const int32_t rows[] = {1, 6, 7}, of[] = {0, 2, 3};
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(batch.predictions[i].row, rows[i]);
        assert_int_equal(batch.predictions[i].segment, of[i]);
    }
    assert_int_equal(batch.positions[6], 4);
    assert_int_equal(batch.positions[7], 3);
    batch_free(&batch);
    family_free(&family);
    family_free(&alone);
}

/* ---- Want of memory ---- */

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    struct family_options options = chatml_options();
    json_t *messages = user_says("Hi");
    struct err err;
    bool fits[2], done = false;
    for (long n = 1; !done; n++) {
        struct family family = {0};
        mem_fail_at(n);
        int result = try_encode(&family, &options, messages, ANSWERS("one", "two"), fits, &err);
        done = mem_count() < n;
        mem_fail_at(0);
        assert_int_equal(result, done ? 0 : -1);
        assert_int_equal(family.count, done ? 2 : 0);
        family_free(&family);
    }
    json_decref(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompt_is_shared),
        cmocka_unit_test(test_one_answer_stands_alone),
        cmocka_unit_test(test_every_answer_keeps_a_token),
        cmocka_unit_test(test_merges_across_the_border),
        cmocka_unit_test(test_without_a_template),
        cmocka_unit_test(test_ends_with_the_end_of_turn_token),
        cmocka_unit_test(test_earlier_answers_are_prompt),
        cmocka_unit_test(test_template_that_loses_the_answer),
        cmocka_unit_test(test_too_long_is_dropped),
        cmocka_unit_test(test_too_long_keeps_the_end),
        cmocka_unit_test(test_from_ids),
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, temporary_setup, dataset_teardown);
}
