/* alpaca-1k.json with SmolLM2's tokenizer and template: every token and every mark as transformers and TRL make them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "support/temporary.h"
#include "text/data/packing.h"
#include "text/helper_dataset.h"
#include "text/helper_tokenizer.h"
#include "text/model_text.h"
#include <cmocka.h>
#include <string.h>

#define RECORDS 999

static struct model_text text;
static json_t *fixture, *records;
static char *path; /* of alpaca-1k.json */

static int open_all(void **state)
{
    struct err err;
    const char *data = real_data("alpaca-1k.json"), *model = real_model();
    if (temporary_setup(state) != 0) {
        return -1;
    }
    if (!data || !model) {
        print_message("skipped: %s\n", data ? "set ATTUNE_TEST_MODEL to a folder with SmolLM2-135M-Instruct"
                                            : "there is no alpaca-1k.json in ATTUNE_TEST_DATA or ../shared/data");
        return 0;
    }
    path = mem_copy_string(data, strlen(data), &err);
    records = json_read_file(data, (size_t)16 << 20, &err);
    fixture = json_read_file(ATTUNE_FIXTURES "/dataset_masks.json", (size_t)16 << 20, &err);
    if (!path || !records || !fixture || model_text_open(&text, model, NULL, &err) != 0) {
        print_message("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int close_all(void **state)
{
    mem_free(path);
    json_decref(records);
    json_decref(fixture);
    model_text_close(&text);
    return dataset_teardown(state);
}

static struct dataset_options options(void)
{
    return (struct dataset_options){.tokenizer = text.tokenizer, .chat = text.chat};
}

/* Of the ids, then of the marks. */
static void hash_text_of(char out[17], const struct example *example)
{
    size_t length = (size_t)example->length;
    struct strbuf bytes = {0};
    strbuf_append(&bytes, (const char *)example->ids, length * sizeof *example->ids);
    strbuf_append(&bytes, (const char *)example->trained, length);
    snprintf(out, 17, "%016llx", (unsigned long long)fnv(bytes.data, bytes.length));
    strbuf_free(&bytes);
}

static void assert_form(const struct dataset *dataset, const char *form)
{
    const json_t *entries = json_object_get(fixture, form);
    assert_int_equal(dataset->count, RECORDS);
    assert_int_equal(json_array_size(entries), RECORDS);
    for (size_t i = 0; i < RECORDS; i++) {
        const json_t *entry = json_array_get(entries, i);
        const struct example *example = &dataset->examples[i];
        char hash[17];
        hash_text_of(hash, example);
        if (example->length != json_integer_value(json_array_get(entry, 0)) ||
            example->trained_count != json_integer_value(json_array_get(entry, 1)) ||
            strcmp(hash, json_string_value(json_array_get(entry, 2))) != 0) {
            fail_msg("record %zu as %s: %d tokens, %d trained, hash %s; the reference has %s", i, form, example->length,
                     example->trained_count, hash, json_dumps(entry, 0));
        }
    }
}

static void skip_without_data(void)
{
    if (!fixture) {
        skip();
    }
}

static void conversations_are_the_references(void **state)
{
    (void)state;
    skip_without_data();
    struct dataset_options plain = options();
    struct dataset *dataset = load_one(path, NULL, &plain);
    assert_string_equal(dataset->sources[0].format, "alpaca");
    assert_false(dataset->alpaca_template);
    assert_form(dataset, "alpaca");
    dataset_free(dataset);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    skip_without_data();
    struct err err;
    struct dataset_options threaded = options();
    assert_int_equal(pool_create(&threaded.pool, 3, &err), 0);
    struct dataset *dataset = load_one(path, NULL, &threaded);
    assert_form(dataset, "alpaca");
    dataset_free(dataset);
    pool_free(threaded.pool);
}

/* The records in another form, as a .jsonl. */
static const char *rewritten(const char *name, bool pairs)
{
    struct strbuf lines = {0};
    for (size_t i = 0; i < RECORDS; i++) {
        const json_t *record = json_array_get(records, i), *output = json_object_get(record, "output");
        struct strbuf prompt = {0};
        strbuf_printf(&prompt, "%s %s", json_string_value(json_object_get(record, "instruction")),
                      json_string_value(json_object_get(record, "input")));
        strbuf_puts(&lines, pairs ? "{\"prompt\":" : "{\"text\":");
        if (pairs) {
            strbuf_put_json(&lines, prompt.data, prompt.length);
            strbuf_puts(&lines, ",\"completion\":");
        }
        strbuf_put_json(&lines, json_string_value(output), json_string_length(output));
        strbuf_puts(&lines, "}\n");
        strbuf_free(&prompt);
    }
    const char *file = scratch_file(name, lines.data);
    strbuf_free(&lines);
    return file;
}

static void texts_are_the_references(void **state)
{
    (void)state;
    skip_without_data();
    struct dataset_options plain = options();
    struct dataset *dataset = load_one(rewritten("text.jsonl", false), NULL, &plain);
    assert_form(dataset, "text");
    dataset_free(dataset);
}

static void completions_are_the_references(void **state)
{
    (void)state;
    skip_without_data();
    struct dataset_options plain = options();
    struct dataset *dataset = load_one(rewritten("completion.jsonl", true), NULL, &plain);
    assert_form(dataset, "completion");
    dataset_free(dataset);
}

static void rows_are_as_many_as_the_references(void **state)
{
    (void)state;
    skip_without_data();
    const char *key;
    json_t *rows;
    json_object_foreach(json_object_get(fixture, "bfd_rows"), key, rows)
    {
        struct err err;
        struct dataset_options cut = options();
        sscanf(key, "%d", &cut.max_length);
        struct dataset *dataset = load_one(path, NULL, &cut);
        struct packed_rows packed;
        assert_int_equal(dataset->count, RECORDS);
        assert_int_equal(packed_rows_fill(&packed, dataset->examples, NULL, dataset->count, cut.max_length, &err), 0);
        assert_int_equal(packed.rows, json_integer_value(rows));
        packed_rows_free(&packed);
        dataset_free(dataset);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversations_are_the_references),   cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(texts_are_the_references),           cmocka_unit_test(completions_are_the_references),
        cmocka_unit_test(rows_are_as_many_as_the_references),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
