/* Files that cannot be read, records that cannot be used, memory that cannot be had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "support/temporary.h"
#include "text/helper_dataset.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define GOOD "{\"text\":\"good\"}\n"

static void refuse(const char *content, const char *part)
{
    struct dataset_options options = plain_options();
    expect_load_error(scratch_file("bad.jsonl", content), NULL, &options, part);
}

static void refuse_as(const char *format, const char *content, const char *part)
{
    struct dataset_options options = plain_options();
    expect_load_error(scratch_file("bad.jsonl", content), format, &options, part);
}

static void a_bad_line_is_named(void **state)
{
    (void)state;
    refuse(GOOD GOOD "{\"text\":\n" GOOD, "bad.jsonl:3: ");
    refuse(GOOD "{\"text\":\n", "on_bad_record: skip");
    refuse(GOOD "{\"text\":5}\n", "bad.jsonl:2: \"text\" must be a string");
    refuse(GOOD "{\"words\":\"x\"}\n", "bad.jsonl:2: \"text\" is missing");
    refuse(GOOD "7\n", "bad.jsonl:2: a record must be a JSON object");
    refuse("[" GOOD "," GOOD ",\n{\"text\":5}]", "bad.jsonl:4 (record 3): \"text\" must be a string");
}

static void unusable_text(void **state)
{
    (void)state;
    refuse(GOOD "{\"text\":\"\\ud800\"}\n", "bad.jsonl:2: ");
    refuse(GOOD "{\"text\":\"\\udc00 x\"}\n", "bad.jsonl:2: ");
    refuse(GOOD "{\"text\":\"\xC3(\"}\n", "bad.jsonl:2: ");
    refuse(GOOD "{\"text\":\"\xED\xA0\x80\"}\n", "bad.jsonl:2: ");
    struct dataset_options options = plain_options();
    struct dataset *dataset =
        load_one(scratch_file("ok.jsonl", "{\"text\":\"\\ud83d\\ude00\\u0000\"}\n"), NULL, &options);
    assert_int_equal(dataset->examples[0].length, 4 + 1 + 1); /* a pair is one character, a zero is a byte */
    assert_int_equal(dataset->examples[0].ids[4], 0);
    dataset_free(dataset);
}

static void broken_files(void **state)
{
    (void)state;
    struct err err;
    struct dataset_options options = plain_options();
    refuse("", "holds no record that can be read");
    refuse("\n \r\n\n", "holds no record that can be read");
    refuse("\xEF\xBB\xBF", "holds no record that can be read");
    refuse("[]", "holds no record that can be read");
    refuse("[" GOOD, "line 2: the file ends before the array does");
    refuse("[" GOOD ",", "line 2: the file ends before the array does");
    refuse("[" GOOD GOOD "]", "line 2: a comma or a bracket is expected");
    refuse("[" GOOD "] x", "something stands after the closing bracket");
    refuse("[" GOOD ",{\"text\":]", "record 2 is not valid JSON");
    expect_load_error(temporary("nowhere.jsonl"), NULL, &options, "there is no such file");
    assert_int_equal(file_make_dirs(temporary("empty"), &err), 0);
    expect_load_error(temporary("empty"), NULL, &options, "holds no train.jsonl");
    scratch_gzip("cut.jsonl.gz", GOOD GOOD GOOD GOOD);
    struct strbuf bytes = {0};
    assert_int_equal(file_read(&bytes, temporary("cut.jsonl.gz"), 1 << 20, &err), 0);
    expect_load_error(scratch_bytes("cut.jsonl.gz", bytes.data, bytes.length - 12), NULL, &options, "ends too early");
    strbuf_free(&bytes);
}

static void formats_that_are_not_there(void **state)
{
    (void)state;
    refuse("{\"question\":\"a\",\"answer\":\"b\"}\n",
           "they have the members \"question\", \"answer\"; known are alpaca");
    refuse("5\n", "they are no JSON objects");
    refuse_as("alpacca", GOOD, "there is no dataset format 'alpacca'; did you mean 'alpaca'?");
    refuse_as("parquet", GOOD, "there is no dataset format 'parquet'; known are alpaca");
    refuse_as("alpaca", GOOD, "bad.jsonl:1: \"instruction\" is missing");
    refuse("{\"prompt\":\"a\"}\n", "holds prompts without answers");
}

static void turns_that_cannot_be_read(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"messages\":5}", "\"messages\" must be a list of messages"},
        {"{\"messages\":[]}", "\"messages\" is empty"},
        {"{\"messages\":[5]}", "turn 1 of \"messages\": it has no \"role\""},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"content\":\"b\"}]}",
         "turn 2 of \"messages\": it has no \"role\""},
        {"{\"messages\":[{\"role\":\"user\"}]}", "turn 1 of \"messages\": it has no \"content\""},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"url\":\"x\"}]}]}",
         "is of type \"image\""},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}",
         "part 1 of the content has no \"text\""},
        {"{\"conversations\":[{\"from\":\"human\",\"value\":5}]}",
         "turn 1 of \"conversations\": it has no \"content\""},
        {"{\"conversations\":[{\"from\":\"function_call\",\"value\":\"x\"}]}", "a function_call must be JSON"},
        {"{\"instruction\":\"a\",\"output\":\"b\",\"history\":[[\"a\"]]}", "entry 1 of \"history\""},
        {"{\"prompt\":\"a\",\"completion\":[]}", "must be two strings, or two lists of messages"},
        {"{\"tools\":\"[\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "\"tools\""},
        {"{\"tools\":{\"a\":1},\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "gives no example"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        refuse(cases[i][0], cases[i][1]);
    }
}

static void a_conversation_needs_a_template(void **state)
{
    (void)state;
    struct dataset_options options = plain_options();
    options.chat = NULL;
    const char *path = scratch_file("m.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
                                               "{\"role\":\"assistant\",\"content\":\"b\"}]}\n");
    expect_load_error(path, NULL, &options, "no chat template; name one with chat_template");
}

static void bad_records_can_be_skipped(void **state)
{
    (void)state;
    struct err err;
    struct dataset_options options = plain_options();
    options.skip_bad_records = true;
    const char *path = scratch_file("some.jsonl", "{\"text\":\"one\"}\nnonsense\n{\"text\":[]}\n{\"text\":\"two\"}\n");
    for (int threads = 0; threads < 3; threads++) {
        assert_true(threads == 0 || pool_create(&options.pool, threads, &err) == 0);
        struct dataset *dataset = load_one(path, NULL, &options);
        assert_int_equal(dataset->count, 2);
        assert_int_equal(dataset->counts.read, 4);
        assert_int_equal(dataset->counts.bad, 2);
        assert_non_null(strstr(dataset->sources[0].first_bad, "some.jsonl:2: "));
        assert_int_equal(dataset->examples[1].line, 4);
        dataset_free(dataset);
        pool_free(options.pool);
        options.pool = NULL;
    }
    expect_load_error(scratch_file("none.jsonl", "{\"text\":5}\n"), NULL, &options,
                      "none.jsonl:1: \"text\" must be a string");
}

/* The first bad record is the one reported, whichever thread meets its own first. */
static void the_first_of_many_is_reported(void **state)
{
    (void)state;
    struct err err;
    struct dataset_options options = plain_options();
    assert_int_equal(pool_create(&options.pool, 3, &err), 0);
    struct strbuf lines = {0};
    for (int i = 1; i <= 1000; i++) {
        strbuf_puts(&lines, i >= 200 ? "{\"text\":1}\n" : GOOD);
    }
    const char *path = scratch_file("many.jsonl", lines.data);
    for (int i = 0; i < 20; i++) {
        expect_load_error(path, NULL, &options, "many.jsonl:200: ");
    }
    strbuf_free(&lines);
    pool_free(options.pool);
}

static void a_huge_line(void **state)
{
    (void)state;
    struct dataset_options options = plain_options();
    size_t length = FILE_LINE_MAX + 100;
    char *line = malloc(length);
    assert_non_null(line);
    memset(line, ' ', length);
    memcpy(line, GOOD "{\"text\":\"", sizeof GOOD + 8);
    line[length - 1] = '}';
    expect_load_error(scratch_bytes("huge.jsonl", line, length), NULL, &options, "line 2");
    /* As the only line of an array it is no harm. */
    memcpy(line, "[{\"text\":\"good\"},{\"text\":\"x\"}", 29);
    line[length - 1] = ']';
    struct dataset *dataset = load_one(scratch_bytes("huge.json", line, length), NULL, &options);
    assert_int_equal(dataset->count, 2);
    dataset_free(dataset);
    free(line);
    remove(temporary("huge.jsonl"));
    remove(temporary("huge.json"));
}

static void deep_json(void **state)
{
    (void)state;
    struct strbuf deep = {0};
    strbuf_puts(&deep, GOOD "{\"text\":");
    for (int i = 0; i < 100000; i++) {
        strbuf_putc(&deep, '[');
    }
    refuse(deep.data, "bad.jsonl:2: ");
    strbuf_free(&deep);
}

/* A dataset that was read in spite of a failed allocation is the one that is read without. */
static void assert_same(const struct dataset *dataset, const struct dataset *whole)
{
    assert_int_equal(dataset->count, whole->count);
    assert_int_equal(dataset->counts.bad, whole->counts.bad);
    for (size_t i = 0; i < whole->count; i++) {
        const struct example *example = &dataset->examples[i], *expected = &whole->examples[i];
        assert_int_equal(example->length, expected->length);
        assert_memory_equal(example->ids, expected->ids, (size_t)example->length * sizeof *example->ids);
        assert_memory_equal(example->trained, expected->trained, (size_t)example->length);
    }
}

/* Any allocation may fail: an error, nothing leaked (the sanitizers look), and no record is taken for a bad one. */
static void memory_runs_out(void **state)
{
    (void)state;
    struct dataset_options options = plain_options();
    options.skip_bad_records = true;
    const struct dataset_source sources[] = {
        {.path = scratch_file(
             "1.jsonl", "{\"instruction\":\"a\",\"output\":\"b\",\"system\":\"s\",\"history\":[[\"c\",\"d\"]]}\n")},
        {.path = scratch_file("2.json", "[{\"prompt\":\"a\",\"completion\":\"b\"}]"), .weight = 1.5},
        {.path = scratch_file("3.txt", "some text")},
        {.path = scratch_file(
             "4.jsonl",
             "{\"messages\":[{\"role\":\"user\",\"content\":[\"a\"]},{\"role\":\"assistant\",\"content\":\"b\"}]}\n"
             "{\"messages\":[{\"role\":\"user\"}]}\n{\"messages\":\n")},
        {.path =
             scratch_file("5.jsonl", "{\"conversations\":[{\"from\":\"human\",\"value\":\"f\"},{\"from\":\"gpt\","
                                     "\"value\":\"g\"}]}\n{\"conversations\":[{\"from\":\"function_call\",\"value\":"
                                     "\"{\\\"name\\\":\\\"h\\\"}\"}]}\n")},
        {.path = scratch_file("6.json", "[{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"},{\"chosen\":1}]")},
    };
    const size_t count = sizeof sources / sizeof *sources;
    long failures = 0;
    struct err error;
    struct dataset *whole = NULL;
    if (dataset_load(&whole, sources, count, &options, &error) != 0) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(whole->counts.bad, 4);
    for (long n = 1;; n++) {
        struct err err = {0};
        struct dataset *dataset = NULL, *eval = NULL;
        mem_fail_at(n);
        int result = dataset_load(&dataset, sources, count, &options, &err);
        if (result == 0) {
            assert_same(dataset, whole);
            result = dataset_split(dataset, &eval, 0.5, 1, &err);
        }
        bool reached = mem_count() >= n;
        mem_fail_at(0);
        dataset_free(dataset);
        dataset_free(eval);
        if (!reached) {
            assert_int_equal(result, 0);
            break;
        }
        failures += result != 0;
        if (result != 0 && !strstr(err.text, "memory")) {
            fail_msg("allocation %ld failed with '%s'", n, err.text);
        }
    }
    assert_true(failures > 50);
    dataset_free(whole);
}

int main(void)
{
    mem_hook_libraries();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_line_is_named),
        cmocka_unit_test(unusable_text),
        cmocka_unit_test(broken_files),
        cmocka_unit_test(formats_that_are_not_there),
        cmocka_unit_test(turns_that_cannot_be_read),
        cmocka_unit_test(a_conversation_needs_a_template),
        cmocka_unit_test(bad_records_can_be_skipped),
        cmocka_unit_test(the_first_of_many_is_reported),
        cmocka_unit_test(a_huge_line),
        cmocka_unit_test(deep_json),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, temporary_setup, dataset_teardown);
}
