/* Prompts: from texts, conversations and files of every format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/mem.h"
#include "support/temporary.h"
#include "text/helper_dataset.h"
#include <cmocka.h>
#include <string.h>

#define ASK "{start}assistant\n"

static void expect_prompt(const struct prompt *prompt, const char *tokens, const char *text, const char *json)
{
    assert_string_equal(shown_ids(prompt->ids, prompt->count), tokens);
    assert_string_equal(prompt->text, text);
    assert_string_equal(prompt->json, json);
}

static struct prompt_list *load(const char *path, const struct dataset_options *options)
{
    struct err err;
    struct prompt_list *list = NULL;
    if (prompt_list_load(&list, path, NULL, options, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return list;
}

static void expect_file(const char *records, const char *tokens, const char *text, const char *json)
{
    struct dataset_options options = plain_options();
    struct prompt_list *list = load(scratch_file("p.jsonl", records), &options);
    assert_int_equal(list->count, 1);
    expect_prompt(&list->items[0], tokens, text, json);
    prompt_list_free(list);
}

static void a_text_is_a_user_turn(void **state)
{
    (void)state;
    struct err err;
    struct dataset_options options = plain_options();
    struct prompt_list *list = NULL;
    assert_int_equal(prompt_list_add_text(&list, "Hi", &options, &err), 0);
    assert_int_equal(prompt_list_add_text(&list, "a \"b\"", &options, &err), 0);
    assert_int_equal(list->count, 2);
    expect_prompt(&list->items[0], "{start}user\nHi{end}\n" ASK, "Hi", "\"Hi\"");
    expect_prompt(&list->items[1], "{start}user\na \"b\"{end}\n" ASK, "a \"b\"", "\"a \\\"b\\\"\"");
    assert_string_equal(list->items[0].rendered, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    assert_true(list->items[0].record != list->items[1].record);
    prompt_list_free(list);
}

static void without_a_template_it_is_plain(void **state)
{
    (void)state;
    struct err err;
    struct dataset_options options = {.tokenizer = byte_tokenizer(WITH_BOS)};
    struct prompt_list *list = NULL;
    assert_int_equal(prompt_list_add_text(&list, "Once", &options, &err), 0);
    expect_prompt(&list->items[0], "{bos}Once", "Once", "\"Once\"");
    prompt_list_free(list);
}

static void a_conversation_goes_on(void **state)
{
    (void)state;
    struct err err;
    struct dataset_options options = plain_options();
    struct prompt_list *list = NULL;
    json_t *messages = json_pack("[{s:s,s:s},{s:s,s:s},{s:s,s:s}]", "role", "user", "content", "a", "role", "assistant",
                                 "content", "b", "role", "user", "content", "c");
    assert_int_equal(prompt_list_add_messages(&list, messages, &options, &err), 0);
    expect_prompt(
        &list->items[0], "{start}user\na{end}\n{start}assistant\nb{end}\n{start}user\nc{end}\n" ASK, "c",
        "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},{\"role\":\"user\","
        "\"content\":\"c\"}]");
    options.chat = NULL;
    assert_int_equal(prompt_list_add_messages(&list, messages, &options, &err), -1);
    assert_non_null(strstr(err.text, "no chat template"));
    assert_int_equal(list->count, 1); /* what was there stays */
    json_decref(messages);
    prompt_list_free(list);
}

static void files_of_every_format(void **state)
{
    (void)state;
    expect_file("{\"prompt\":\"a\"}", "{start}user\na{end}\n" ASK, "a", "\"a\"");
    expect_file("{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}]}", "{start}user\na{end}\n" ASK, "a",
                "[{\"role\":\"user\",\"content\":\"a\"}]");
    expect_file("{\"instruction\":\"a\",\"input\":\"b\",\"output\":\"c\"}", "{start}user\na\nb{end}\n" ASK, "a\nb",
                "[{\"role\":\"user\",\"content\":\"a\\nb\"}]");
    expect_file("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},"
                "{\"role\":\"user\",\"content\":\"c\"},{\"role\":\"assistant\",\"content\":\"d\"}]}",
                "{start}user\na{end}\n{start}assistant\nb{end}\n{start}user\nc{end}\n" ASK, "c",
                "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},{\"role\":\"user\","
                "\"content\":\"c\"}]");
    expect_file("{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}],\"completion\":[{\"role\":\"assistant\","
                "\"content\":\"b\"},"
                "{\"role\":\"user\",\"content\":\"c\"},{\"role\":\"assistant\",\"content\":\"d\"}]}",
                "{start}user\na{end}\n" ASK, "a", "[{\"role\":\"user\",\"content\":\"a\"}]");
    /* As strings they are trained as plain text, so that is how they are asked. */
    expect_file("{\"prompt\":\"2+2=\",\"completion\":\"4\"}", "2+2=", "2+2=", "\"2+2=\"");
    expect_file("{\"text\":\"Once\"}", "Once", "Once", "\"Once\"");
    expect_file("{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}", "{start}user\na{end}\n" ASK, "a",
                "[{\"role\":\"user\",\"content\":\"a\"}]");
}

static void lines_of_a_text_file(void **state)
{
    (void)state;
    struct dataset_options options = plain_options();
    struct prompt_list *list = load(scratch_file("p.txt", "one\r\n\n  \ntwo"), &options);
    assert_int_equal(list->count, 2);
    expect_prompt(&list->items[0], "{start}user\none{end}\n" ASK, "one", "\"one\"");
    expect_prompt(&list->items[1], "{start}user\ntwo{end}\n" ASK, "two", "\"two\"");
    prompt_list_free(list);
}

static void expect_error(const char *path, const struct dataset_options *options, const char *part)
{
    struct err err = {0};
    struct prompt_list *list = NULL;
    assert_int_equal(prompt_list_load(&list, path, NULL, options, &err), -1);
    assert_null(list);
    if (!strstr(err.text, part)) {
        fail_msg("'%s' is not in: %s", part, err.text);
    }
}

static void prompts_that_cannot_be_used(void **state)
{
    (void)state;
    struct dataset_options options = plain_options();
    expect_error(temporary("nowhere.jsonl"), &options, "there is no such file");
    expect_error(scratch_file("e.txt", "\n"), &options, "holds no prompt");
    expect_error(scratch_file("b.jsonl", "{\"prompt\":\"a\"}\n{\"prompt\":5}\n"), &options,
                 "b.jsonl:2: \"prompt\" must be");
    expect_error(scratch_file("a.jsonl", "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"}]}\n"), &options,
                 "a.jsonl:1: nothing stands before the answer");
    options.max_length = 5;
    expect_error(scratch_file("l.jsonl", "{\"prompt\":\"a\"}\n"), &options,
                 "l.jsonl:1: the prompt has 20 tokens, more than the 5");
    options.max_length = 0;
    options.chat = NULL;
    expect_error(scratch_file("z.jsonl", "{\"prompt\":\"\"}\n"), &options, "z.jsonl:1: the prompt is empty");
    options.skip_bad_records = true;
    struct prompt_list *list = load(temporary("b.jsonl"), &options);
    assert_int_equal(list->count, 1);
    assert_int_equal(list->skipped, 1);
    prompt_list_free(list);
}

static void memory_runs_out(void **state)
{
    (void)state;
    struct dataset_options options = plain_options();
    options.skip_bad_records = true;
    const char *path = scratch_file(
        "m.jsonl", "{\"prompt\":\"a\"}\n{\"prompt\":[{\"role\":\"user\",\"content\":[\"b\"]}]}\n{\"prompt\":7}\n");
    for (long n = 1;; n++) {
        struct err err = {0};
        struct prompt_list *list = NULL;
        mem_fail_at(n);
        int result = prompt_list_load(&list, path, "prompt", &options, &err);
        bool reached = mem_count() >= n;
        mem_fail_at(0);
        assert_true(result == 0 ? list != NULL : list == NULL && strstr(err.text, "memory") != NULL);
        assert_true(result != 0 || (list->count == 2 && list->skipped == 1)); /* no prompt is taken for a bad one */
        prompt_list_free(list);
        if (!reached) {
            assert_int_equal(result, 0);
            break;
        }
    }
}

int main(void)
{
    mem_hook_libraries();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_a_user_turn),  cmocka_unit_test(without_a_template_it_is_plain),
        cmocka_unit_test(a_conversation_goes_on), cmocka_unit_test(files_of_every_format),
        cmocka_unit_test(lines_of_a_text_file),   cmocka_unit_test(prompts_that_cannot_be_used),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, temporary_setup, dataset_teardown);
}
