/* What is learned, what is cut, what is mixed and what is held back. */
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
#include <string.h>

#define TURNS "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]}\n"

static void all_but_the_first_token_with_train_on_prompt(void **state)
{
    (void)state;
    struct dataset_options options = plain_options();
    options.train_on_prompt = true;
    struct dataset *dataset = load_one(scratch_file("t.jsonl", TURNS), NULL, &options);
    assert_string_equal(shown(&dataset->examples[0]), "{start}[user\na{end}\n{start}assistant\nb{end}\n]");
    dataset_free(dataset);
    dataset = load_one(scratch_file("t.jsonl", "{\"prompt\":\"ab\",\"completion\":\"c\"}"), NULL, &options);
    assert_string_equal(shown(&dataset->examples[0]), "a[bc{end}]");
    dataset_free(dataset);
}

static void other_roles_can_be_learned(void **state)
{
    (void)state;
    static const char *const roles[] = {"user"};
    struct dataset_options options = plain_options();
    options.roles = roles;
    options.role_count = 1;
    struct dataset *dataset = load_one(scratch_file("t.jsonl", TURNS), NULL, &options);
    assert_string_equal(shown(&dataset->examples[0]), "{start}user\n[a{end}]\n{start}assistant\nb{end}\n");
    dataset_free(dataset);
}

static void too_long_examples_keep_their_beginning(void **state)
{
    (void)state;
    struct dataset_options options = plain_options();
    struct dataset *dataset = load_one(scratch_file("t.jsonl", TURNS), NULL, &options);
    int32_t whole = dataset->longest;
    assert_false(dataset->examples[0].truncated);
    dataset_free(dataset);

    options.max_length = whole; /* fits */
    dataset = load_one(temporary("t.jsonl"), NULL, &options);
    assert_int_equal(dataset->counts.truncated, 0);
    dataset_free(dataset);

    options.max_length = whole - 1; /* only the line end after the end of the turn goes */
    dataset = load_one(temporary("t.jsonl"), NULL, &options);
    assert_string_equal(shown(&dataset->examples[0]), "{start}user\na{end}\n{start}assistant\n[b{end}]");
    assert_true(dataset->examples[0].truncated);
    assert_int_equal(dataset->counts.truncated, 1);
    assert_int_equal(dataset->counts.cut_turns, 0);
    dataset_free(dataset);

    options.max_length = whole - 2; /* the end of the turn goes, and that is said */
    dataset = load_one(temporary("t.jsonl"), NULL, &options);
    assert_string_equal(shown(&dataset->examples[0]), "{start}user\na{end}\n{start}assistant\n[b]");
    assert_int_equal(dataset->counts.cut_turns, 1);
    dataset_free(dataset);

    options.max_length = whole - 3; /* nothing to learn is left */
    expect_load_error(temporary("t.jsonl"), NULL, &options,
                      "gives no example: of 1 records 0 are bad, 0 too long, 1 have nothing");
}

static void too_long_examples_can_be_dropped(void **state)
{
    (void)state;
    struct dataset_options options = plain_options();
    options.max_length = 4;
    options.too_long = DATASET_DROP;
    struct dataset *dataset =
        load_one(scratch_file("d.jsonl", "{\"text\":\"abc\"}\n{\"text\":\"abcd\"}\n"), NULL, &options);
    assert_int_equal(dataset->count, 1);
    assert_int_equal(dataset->counts.dropped, 1);
    assert_int_equal(dataset->counts.read, 2);
    dataset_free(dataset);
}

static const char *numbered(const char *name, int count)
{
    struct strbuf lines = {0};
    for (int i = 0; i < count; i++) {
        strbuf_printf(&lines, "{\"text\":\"%s %d\"}\n", name, i);
    }
    const char *path = scratch_file(name, lines.data);
    strbuf_free(&lines);
    return path;
}

static struct dataset *load_mixed(const struct dataset_source *sources, size_t count)
{
    struct err err;
    struct dataset *dataset;
    struct dataset_options options = plain_options();
    options.seed = 5;
    if (dataset_load(&dataset, sources, count, &options, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return dataset;
}

/* How often each record of a source is there. */
static void count_records(int *counts, const struct dataset *dataset, int32_t source)
{
    for (size_t i = 0; i < dataset->count; i++) {
        if (dataset->examples[i].source == source) {
            counts[dataset->examples[i].line - 1]++;
        }
    }
}

static void weights_repeat_and_draw(void **state)
{
    (void)state;
    const struct dataset_source sources[] = {
        {.path = numbered("a.jsonl", 10), .weight = 2.5},
        {.path = numbered("b.jsonl", 10), .weight = 0.3},
        {.path = numbered("c.jsonl", 10)},
    };
    struct dataset *dataset = load_mixed(sources, 3);
    assert_int_equal(dataset->sources[0].examples, 25);
    assert_int_equal(dataset->sources[1].examples, 3);
    assert_int_equal(dataset->sources[2].examples, 10);
    assert_int_equal(dataset->count, 38);
    int counts[3][10] = {0}, sums[3] = {0};
    for (int s = 0; s < 3; s++) {
        count_records(counts[s], dataset, s);
    }
    for (int i = 0; i < 10; i++) {
        assert_in_range(counts[0][i], 2, 3);
        assert_in_range(counts[1][i], 0, 1);
        assert_int_equal(counts[2][i], 1);
        sums[1] += counts[1][i];
    }
    assert_int_equal(sums[1], 3);
    for (size_t i = 0; i < dataset->count; i++) {
        for (size_t j = 0; j < i; j++) { /* no two draw the same random numbers */
            assert_true(dataset->examples[i].record != dataset->examples[j].record);
        }
    }
    struct dataset *again = load_mixed(sources, 3);
    assert_int_equal(again->count, dataset->count);
    for (size_t i = 0; i < dataset->count; i++) {
        assert_true(again->examples[i].record == dataset->examples[i].record);
    }
    dataset_free(again);
    dataset_free(dataset);
}

static void sums_are_right(void **state)
{
    (void)state;
    const struct dataset_source sources[] = {{.path = numbered("a.jsonl", 3), .weight = 2}};
    struct dataset *dataset = load_mixed(sources, 1);
    assert_int_equal(dataset->count, 6);
    assert_int_equal(dataset->tokens, 6 * 10); /* "a.jsonl 0" and the end */
    assert_int_equal(dataset->trained_tokens, 6 * 9);
    assert_int_equal(dataset->longest, 10);
    assert_true(dataset->bytes >= 3 * 10 * 5 + 6 * sizeof(struct example));
    dataset_free(dataset);
}

static void assert_no_shared_prompt(const struct dataset *train, const struct dataset *eval)
{
    for (size_t i = 0; i < train->count; i++) {
        for (size_t j = 0; j < eval->count; j++) {
            assert_true(train->examples[i].prompt_hash != eval->examples[j].prompt_hash);
        }
    }
}

static void no_prompt_is_on_both_sides(void **state)
{
    (void)state;
    struct err err;
    struct strbuf lines = {0};
    for (int i = 0; i < 100; i++) {
        strbuf_printf(&lines, "{\"prompt\":\"question %d\",\"completion\":\"answer %d\"}\n", i % 20, i);
    }
    const struct dataset_source source = {.path = scratch_file("s.jsonl", lines.data), .weight = 2};
    strbuf_free(&lines);
    struct dataset *train = load_mixed(&source, 1), *eval;
    assert_int_equal(dataset_split(train, &eval, 0.25, 1, &err), 0);
    assert_int_equal(eval->count, 25); /* 5 of 20 prompts, 5 answers each, each once */
    assert_int_equal(train->count, 2 * 75);
    assert_int_equal(train->sources[0].examples, train->count);
    assert_no_shared_prompt(train, eval);
    dataset_free(train);
    assert_non_null(strstr(shown(&eval->examples[0]), "question")); /* the tokens live on */
    dataset_free(eval);
}

static void a_split_does_not_depend_on_order(void **state)
{
    (void)state;
    struct err err;
    struct strbuf lines = {0}, turned = {0};
    for (int i = 0; i < 50; i++) {
        strbuf_printf(&lines, "{\"text\":\"%d\"}\n", i);
        strbuf_printf(&turned, "{\"text\":\"%d\"}\n", 49 - i);
    }
    const struct dataset_source sources[] = {{.path = scratch_file("f.jsonl", lines.data)},
                                             {.path = scratch_file("b.jsonl", turned.data)}};
    strbuf_free(&lines);
    strbuf_free(&turned);
    struct dataset *forward = load_mixed(&sources[0], 1), *backward = load_mixed(&sources[1], 1), *first, *second;
    assert_int_equal(dataset_split(forward, &first, 0.1, 3, &err), 0);
    assert_int_equal(dataset_split(backward, &second, 0.1, 3, &err), 0);
    assert_int_equal(first->count, 5);
    assert_int_equal(second->count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(shown(&first->examples[i]), shown(&second->examples[4 - i]));
    }
    dataset_free(forward);
    dataset_free(backward);
    dataset_free(first);
    dataset_free(second);
}

static void one_prompt_cannot_be_split(void **state)
{
    (void)state;
    struct err err;
    const struct dataset_source source = {.path = scratch_file("o.jsonl", TURNS TURNS)};
    struct dataset *train = load_mixed(&source, 1), *eval = NULL;
    assert_int_equal(dataset_split(train, &eval, 0.5, 1, &err), -1);
    assert_non_null(strstr(err.text, "same prompt"));
    assert_null(eval);
    assert_int_equal(train->count, 2);
    dataset_free(train);
}

static void parts_of_files_and_folders(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(file_make_dirs(temporary("folder"), &err), 0);
    scratch_file("folder/train.jsonl", "{\"text\":\"learn\"}\n");
    scratch_gzip("folder/test.json.gz", "[{\"text\":\"check\"}]");
    const struct dataset_source folder = {.path = temporary("folder")},
                                test = {.path = temporary("folder"), .split = "test"},
                                missing = {.path = temporary("folder"), .split = "dev"};
    struct dataset *dataset = load_mixed(&folder, 1);
    assert_string_equal(shown(&dataset->examples[0]), "l[earn{end}]");
    dataset_free(dataset);
    dataset = load_mixed(&test, 1);
    assert_string_equal(shown(&dataset->examples[0]), "c[heck{end}]");
    dataset_free(dataset);
    struct dataset_options options = plain_options();
    assert_int_equal(dataset_load(&dataset, &missing, 1, &options, &err), -1);
    assert_non_null(strstr(err.text, "holds no dev.jsonl"));

    const char *path = scratch_file(
        "parts.jsonl", "{\"text\":\"learn\",\"split\":\"train\"}\n{\"text\":\"check\",\"split\":\"eval\"}\n");
    const struct dataset_source part = {.path = path, .split = "eval"}, none = {.path = path, .split = "dev"};
    dataset = load_mixed(&part, 1);
    assert_int_equal(dataset->count, 1);
    assert_int_equal(dataset->examples[0].line, 2);
    dataset_free(dataset);
    assert_int_equal(dataset_load(&dataset, &none, 1, &options, &err), -1);
    assert_non_null(strstr(err.text, "no record of split 'dev'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_but_the_first_token_with_train_on_prompt),
        cmocka_unit_test(other_roles_can_be_learned),
        cmocka_unit_test(too_long_examples_keep_their_beginning),
        cmocka_unit_test(too_long_examples_can_be_dropped),
        cmocka_unit_test(weights_repeat_and_draw),
        cmocka_unit_test(sums_are_right),
        cmocka_unit_test(no_prompt_is_on_both_sides),
        cmocka_unit_test(a_split_does_not_depend_on_order),
        cmocka_unit_test(one_prompt_cannot_be_split),
        cmocka_unit_test(parts_of_files_and_folders),
    };
    return cmocka_run_group_tests(tests, temporary_setup, dataset_teardown);
}
