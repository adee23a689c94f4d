/* Every format of records, from a file to its tokens, with the learned ones in [brackets]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "support/temporary.h"
#include "text/helper_dataset.h"
#include <cmocka.h>
#include <string.h>

#define USER(text)      "{start}user\n" text "{end}\n"
#define SYSTEM(text)    "{start}system\n" text "{end}\n"
#define ASSISTANT(text) "{start}assistant\n[" text "{end}]\n"

/* The only example of a file of `records`. */
static void expect_with(const struct dataset_options *options, const char *records, const char *format,
                        const char *expected)
{
    struct dataset *dataset = load_one(scratch_file("records.jsonl", records), NULL, options);
    assert_string_equal(dataset->sources[0].format, format);
    assert_int_equal(dataset->count, 1);
    assert_string_equal(shown(&dataset->examples[0]), expected);
    dataset_free(dataset);
}

static void expect(const char *records, const char *format, const char *expected)
{
    struct dataset_options options = plain_options();
    expect_with(&options, records, format, expected);
}

static void alpaca(void **state)
{
    (void)state;
    expect("{\"instruction\":\"Add.\",\"input\":\"1 2\",\"output\":\"3\"}", "alpaca", USER("Add.\n1 2") ASSISTANT("3"));
    expect("{\"instruction\":\"Hi\",\"input\":\"\",\"output\":\"Ho\"}", "alpaca", USER("Hi") ASSISTANT("Ho"));
    expect("{\"instruction\":\"Hi\",\"input\":null,\"output\":\"Ho\"}", "alpaca", USER("Hi") ASSISTANT("Ho"));
    expect("{\"instruction\":\"c\",\"output\":\"d\",\"system\":\"s\",\"history\":[[\"a\",\"b\"]]}", "alpaca",
           SYSTEM("s") USER("a") ASSISTANT("b") USER("c") ASSISTANT("d"));
}

static void alpaca_without_a_template(void **state)
{
    (void)state;
    struct dataset_options options = plain_options();
    options.chat = NULL;
    const char *path = scratch_file("a.jsonl", "{\"instruction\":\"Hi\",\"output\":\"Ho\"}\n");
    struct dataset *dataset = load_one(path, NULL, &options);
    assert_true(dataset->alpaca_template);
    const char *text = shown(&dataset->examples[0]);
    assert_non_null(strstr(text, "### Instruction:\nHi\n\n### Response:\n[Ho{end}]"));
    dataset_free(dataset);
}

static void sharegpt(void **state)
{
    (void)state;
    expect(
        "{\"conversations\":[{\"from\":\"system\",\"value\":\"s\"},{\"from\":\"human\",\"value\":\"a\"},"
        "{\"from\":\"gpt\",\"value\":\"b\"},{\"from\":\"human\",\"value\":\"c\"},{\"from\":\"gpt\",\"value\":\"d\"}]}",
        "sharegpt", SYSTEM("s") USER("a") ASSISTANT("b") USER("c") ASSISTANT("d"));
    expect("{\"system\":\"s\",\"conversations\":[{\"from\":\"human\",\"value\":\"a\"},{\"from\":\"gpt\",\"value\":"
           "\"b\"}]}",
           "sharegpt", SYSTEM("s") USER("a") ASSISTANT("b"));
}

static void messages(void **state)
{
    (void)state;
    expect("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]}",
           "messages", USER("a") ASSISTANT("b"));
    expect("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\","
           "\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":\"c\"}]}",
           "messages", USER("ab") ASSISTANT("c"));
}

/* The names of either format are used with the turns of the other. */
static void mixed_names(void **state)
{
    (void)state;
    expect("{\"conversations\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]}",
           "sharegpt", USER("a") ASSISTANT("b"));
    expect("{\"messages\":[{\"from\":\"human\",\"value\":\"a\"},{\"from\":\"gpt\",\"value\":\"b\"}]}", "messages",
           USER("a") ASSISTANT("b"));
}

static void completion_of_strings(void **state)
{
    (void)state;
    expect("{\"prompt\":\"2+2=\",\"completion\":\"4\"}", "completion", "2+2=[4{end}]");
    expect("{\"prompt\":\"2+2=\",\"completion\":\"4<|im_end|>\"}", "completion", "2+2=[4{end}]");
    struct dataset_options options = plain_options();
    options.tokenizer = byte_tokenizer(WITH_BOS);
    expect_with(&options, "{\"prompt\":\"2+2=\",\"completion\":\"4\"}", "completion", "{bos}2+2=[4{end}]");
}

static void completion_of_messages(void **state)
{
    (void)state;
    expect("{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},{\"role\":"
           "\"user\","
           "\"content\":\"c\"}],\"completion\":[{\"role\":\"assistant\",\"content\":\"d\"}]}",
           "completion", USER("a") "{start}assistant\nb{end}\n" USER("c") ASSISTANT("d"));
}

static void text(void **state)
{
    (void)state;
    expect("{\"text\":\"Once\"}", "text", "O[nce{end}]");
    struct dataset_options options = plain_options();
    options.tokenizer = byte_tokenizer(WITH_BOS);
    expect_with(&options, "{\"text\":\"Once\"}", "text", "{bos}[Once{end}]");
}

/* Text that came out of a template gets no BOS from the post-processor. */
static void template_text_gets_no_second_bos(void **state)
{
    (void)state;
    struct dataset_options options = plain_options();
    options.tokenizer = byte_tokenizer(WITH_BOS);
    expect_with(&options, "{\"instruction\":\"Hi\",\"output\":\"Ho\"}", "alpaca", USER("Hi") ASSISTANT("Ho"));
}

static void preferences_teach_the_best_answer(void **state)
{
    (void)state;
    expect("{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}],\"chosen\":[{\"role\":\"assistant\",\"content\":"
           "\"good\"}],"
           "\"rejected\":[{\"role\":\"assistant\",\"content\":\"bad\"}]}",
           "trl", USER("a") ASSISTANT("good"));
    expect("{\"chosen\":\"\\n\\nHuman: a\\n\\nAssistant: good\",\"rejected\":\"\\n\\nHuman: a\\n\\nAssistant: bad\"}",
           "hh", USER("a") ASSISTANT("good"));
    struct dataset_options options = plain_options();
    const char *path = scratch_file("kto.jsonl", "{\"prompt\":\"a\",\"completion\":\"good\",\"label\":true}\n"
                                                 "{\"prompt\":\"a\",\"completion\":\"bad\",\"label\":false}\n");
    struct dataset *dataset = load_one(path, NULL, &options);
    assert_string_equal(dataset->sources[0].format, "kto");
    assert_int_equal(dataset->count, 1);
    assert_int_equal(dataset->counts.untrained, 1);
    dataset_free(dataset);
}

static void plain_files_are_cut_into_pieces(void **state)
{
    (void)state;
    struct dataset_options options = plain_options();
    options.max_length = 4;
    struct dataset *dataset = load_one(scratch_file("book.txt", "\xEF\xBB\xBF"
                                                                "abcdefghi"),
                                       NULL, &options);
    assert_int_equal(dataset->count, 3);
    assert_string_equal(shown(&dataset->examples[0]), "a[bcd]");
    assert_string_equal(shown(&dataset->examples[1]), "e[fgh]");
    assert_string_equal(shown(&dataset->examples[2]), "i[{end}]");
    assert_int_equal(dataset->counts.truncated, 0);
    assert_true(dataset->examples[0].prompt_hash != dataset->examples[1].prompt_hash);
    dataset_free(dataset);
    expect_load_error(temporary("book.txt"), "alpaca", &options, "is one text: it has no format 'alpaca'");
}

/* Array, lines, CRLF, byte order mark, gzip, blank lines: the same examples. */
static void every_kind_of_file(void **state)
{
    (void)state;
    static const char *const files[] = {
        "{\"text\":\"one\"}\n{\"text\":\"two\"}\n",
        "{\"text\":\"one\"}\n{\"text\":\"two\"}",
        "\n\n{\"text\":\"one\"}\r\n  \r\n{\"text\":\"two\"}\r\n\r\n",
        "\xEF\xBB\xBF{\"text\":\"one\"}\n{\"text\":\"two\"}\n",
        "\xEF\xBB\xBF\n{\"text\":\"one\"}\n{\"text\":\"two\"}\n",
        "[{\"text\":\"one\"},{\"text\":\"two\"}]",
        "\xEF\xBB\xBF \r\n[\n  {\"text\": \"one\"},\n  {\"text\": \"two\"}\n]\n",
    };
    struct dataset_options options = plain_options();
    for (size_t i = 0; i < 2 * sizeof files / sizeof *files; i++) {
        const char *file = files[i / 2];
        struct dataset *dataset =
            load_one(i % 2 ? scratch_gzip("some.json.gz", file) : scratch_file("some.json", file), NULL, &options);
        assert_int_equal(dataset->count, 2);
        assert_string_equal(shown(&dataset->examples[0]), "o[ne{end}]");
        assert_string_equal(shown(&dataset->examples[1]), "t[wo{end}]");
        dataset_free(dataset);
    }
}

static void lines_of_records_are_known(void **state)
{
    (void)state;
    struct dataset_options options = plain_options();
    struct dataset *dataset =
        load_one(scratch_file("l.jsonl", "{\"text\":\"one\"}\n\n{\"text\":\"two\"}\n"), NULL, &options);
    assert_int_equal(dataset->examples[0].line, 1);
    assert_int_equal(dataset->examples[1].line, 3);
    dataset_free(dataset);
    dataset = load_one(scratch_file("l.json", "[\n{\"text\":\"one\"\n},\n\n{\"text\":\"two\"}]"), NULL, &options);
    assert_int_equal(dataset->examples[0].line, 2);
    assert_int_equal(dataset->examples[1].line, 5);
    dataset_free(dataset);
}

static void a_named_format_wins(void **state)
{
    (void)state;
    struct dataset_options options = plain_options();
    const char *path = scratch_file("n.jsonl", "{\"text\":\"x\",\"prompt\":\"p\",\"completion\":\"c\"}\n");
    struct dataset *dataset = load_one(path, "text", &options);
    assert_string_equal(shown(&dataset->examples[0]), "x[{end}]");
    dataset_free(dataset);
    dataset = load_one(path, NULL, &options);
    assert_string_equal(shown(&dataset->examples[0]), "p[c{end}]");
    dataset_free(dataset);
}

/* A tool's answer is not learned, the call is. */
static void tools(void **state)
{
    (void)state;
    struct dataset_options options = plain_options();
    static const char *const source =
        "{% if tools %}{{ tools[0]['name'] }}{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.tool_calls %}{{ m.tool_calls[0].function.name }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    struct err err;
    struct chat_template *chat;
    if (chat_template_compile(&chat, source, strlen(source), "test", &err) != 0) {
        fail_msg("%s", err.text);
    }
    options.chat = chat;
    expect_with(
        &options,
        "{\"tools\":\"[{\\\"name\\\":\\\"clock\\\"}]\",\"conversations\":[{\"from\":\"human\",\"value\":\"a\"},{"
        "\"from\":"
        "\"function_call\",\"value\":\"{\\\"name\\\":\\\"clock\\\",\\\"arguments\\\":{}}\"},{\"from\":\"observation\","
        "\"value\":\"12\"},{\"from\":\"gpt\",\"value\":\"b\"}]}",
        "sharegpt", "clock" USER("a") ASSISTANT("clock") "{start}tool\n12{end}\n" ASSISTANT("b"));
    chat_template_free(chat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alpaca),
        cmocka_unit_test(alpaca_without_a_template),
        cmocka_unit_test(sharegpt),
        cmocka_unit_test(messages),
        cmocka_unit_test(mixed_names),
        cmocka_unit_test(completion_of_strings),
        cmocka_unit_test(completion_of_messages),
        cmocka_unit_test(text),
        cmocka_unit_test(template_text_gets_no_second_bos),
        cmocka_unit_test(preferences_teach_the_best_answer),
        cmocka_unit_test(plain_files_are_cut_into_pieces),
        cmocka_unit_test(every_kind_of_file),
        cmocka_unit_test(lines_of_records_are_known),
        cmocka_unit_test(a_named_format_wins),
        cmocka_unit_test(tools),
    };
    return cmocka_run_group_tests(tests, temporary_setup, dataset_teardown);
}
