/*
 * tests/ppo/test_data.c - the prompts of a run: which are used and how often, which are held back, and in what order
 * they are answered.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/mem.h"
#include "ppo/data.h"
#include "ppo/helper_ppo.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <stdio.h>
#include <string.h>

#define PROMPTS 24 /* of helper_ppo.c */
#define LINES   "response_length: 10\nper_device_train_batch_size: 7\n"

struct opened {
    struct recipe *recipe;
    struct ppo_data data;
};

static struct opened open_data(const char *lines)
{
    struct err err;
    char all[1024];
    struct opened opened;
    snprintf(all, sizeof all, "%s%s", LINES, lines);
    opened.recipe = ppo_recipe("run", all);
    must(ppo_data_open(&opened.data, opened.recipe, &err));
    return opened;
}

static void close_data(struct opened *opened)
{
    ppo_data_close(&opened->data);
    recipe_free(opened->recipe);
}

static void order(void **state)
{
    (void)state;
    struct opened opened = open_data("num_train_epochs: 2\n");
    struct ppo_data *data = &opened.data;
    assert_int_equal(data->train.count, PROMPTS);
    assert_int_equal(data->steps.total, 7); /* 48 prompts by 7 */
    const struct prompt *row[3 * PROMPTS];
    for (int64_t place = 0; place < 3 * PROMPTS; place++) {
        row[place] = ppo_data_prompt(data, place);
    }
    for (int epoch = 0; epoch < 3; epoch++) { /* each epoch has every prompt once */
        for (size_t i = 0; i < PROMPTS; i++) {
            int found = 0;
            for (int n = 0; n < PROMPTS; n++) {
                found += row[epoch * PROMPTS + n] == data->train.items[i];
            }
            assert_int_equal(found, 1);
        }
    }
    assert_memory_not_equal(row, row + PROMPTS, PROMPTS * sizeof *row);
    for (int64_t place = 3 * PROMPTS; place-- > 0;) { /* in whatever order one asks */
        assert_ptr_equal(ppo_data_prompt(data, place), row[place]);
    }
    close_data(&opened);
    opened = open_data("shuffle: false\nmax_steps: 3\n");
    assert_int_equal(opened.data.steps.total, 3);
    assert_ptr_equal(ppo_data_prompt(&opened.data, PROMPTS + 5), opened.data.train.items[5]);
    close_data(&opened);
}

static void held_back(void **state)
{
    (void)state;
    struct opened opened = open_data("eval_split: 0.25\n");
    struct ppo_data *data = &opened.data;
    assert_true(data->eval.count > 0 && data->train.count > 0);
    assert_int_equal(data->train.count + data->eval.count, PROMPTS);
    for (size_t e = 0; e < data->eval.count; e++) {
        for (size_t t = 0; t < data->train.count; t++) {
            assert_true(data->eval.items[e]->record != data->train.items[t]->record);
        }
    }
    assert_int_equal(data->samples.count, data->eval.count < PPO_SAMPLES ? data->eval.count : PPO_SAMPLES);
    assert_ptr_equal(data->samples.items[0], data->eval.items[0]);
    close_data(&opened);
    opened = open_data("sample_prompts: [the sea, the moon]\n");
    assert_int_equal(opened.data.samples.count, 2);
    assert_string_equal(opened.data.samples.items[1]->text, "the moon");
    close_data(&opened);
}

static void weights(void **state)
{
    (void)state;
    struct err err;
    struct opened opened = {.recipe = ppo_recipe("run", LINES)};
    opened.recipe->dataset.items[0].weight = 2.5;
    must(ppo_data_open(&opened.data, opened.recipe, &err));
    size_t copies = opened.data.train.count;
    assert_in_range(copies, 2 * PROMPTS + 1, 3 * PROMPTS - 1);
    assert_ptr_equal(opened.data.train.items[0], opened.data.train.items[1]);
    assert_int_equal(opened.data.samples.count, PPO_SAMPLES);
    assert_ptr_not_equal(opened.data.samples.items[0], opened.data.samples.items[1]);
    close_data(&opened);
}

static void too_long(void **state)
{
    (void)state;
    struct opened opened = open_data("");
    int32_t longest = ppo_data_longest(&opened.data);
    close_data(&opened);
    char lines[64];
    snprintf(lines, sizeof lines, "max_length: %d\n", longest + 10);
    opened = open_data(lines);
    assert_int_equal(opened.data.train.count, PROMPTS);
    close_data(&opened);
    snprintf(lines, sizeof lines, "max_length: %d\n", longest + 9);
    opened = open_data(lines);
    assert_in_range(opened.data.train.count, 1, PROMPTS - 1);
    assert_int_equal(ppo_data_longest(&opened.data), longest - 1);
    close_data(&opened);
    struct err err;
    struct recipe *recipe = ppo_recipe("run", LINES "max_length: 12\n");
    assert_int_equal(ppo_data_open(&opened.data, recipe, &err), -1);
    assert_non_null(strstr(err.text, "raise max_length"));
    recipe_free(recipe);
}

static void fingerprint(void **state)
{
    (void)state;
    struct opened one = open_data(""), same = open_data("sample_prompts: [the sea]\nmax_steps: 9\n"),
                  other = open_data("eval_split: 0.25\n");
    struct hash a = ppo_data_fingerprint(&one.data), b = ppo_data_fingerprint(&same.data),
                c = ppo_data_fingerprint(&other.data);
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_not_equal(&a, &c, sizeof a);
    close_data(&one);
    close_data(&same);
    close_data(&other);
}

/* The prompt part of every format that has one. */
static void formats(void **state)
{
    (void)state;
    static const char records[] =
        "{\"prompt\": \"what is the sea\", \"chosen\": \"it is\", \"rejected\": \"it lives\"}\n"
        "{\"prompt\": \"what is the moon\", \"chosen\": \"it is\", \"rejected\": \"it lives\"}\n";
    write_bytes(temporary("pairs.jsonl"), records, strlen(records));
    struct err err;
    struct opened opened = {.recipe = ppo_recipe("run", LINES)};
    mem_free(opened.recipe->dataset.items[0].path);
    const char *path = temporary("pairs.jsonl");
    opened.recipe->dataset.items[0].path = mem_copy_string(path, strlen(path), &err);
    must(ppo_data_open(&opened.data, opened.recipe, &err));
    assert_int_equal(opened.data.train.count, 2);
    assert_string_equal(opened.data.train.items[1]->text, "what is the moon");
    close_data(&opened);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order),    cmocka_unit_test(held_back),   cmocka_unit_test(weights),
        cmocka_unit_test(too_long), cmocka_unit_test(fingerprint), cmocka_unit_test(formats),
    };
    return cmocka_run_group_tests(tests, ppo_setup, temporary_teardown);
}
