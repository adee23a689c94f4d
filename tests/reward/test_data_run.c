/* The rankings of a run: train and eval without a common prompt, weights, steps, passes, and the same numbers always.
 */
#include "base/mem.h"
#include "base/random.h"
#include "base/strbuf.h"
#include "reward/helper_data.h"
#include "support/cmocka.h"
#include "support/temporary.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PASS_TOKENS 768 /* of these tests */

#define PROMPTS 40

/* Pairs 0, 1, ..: two judgments of each prompt, and every third prompt goes on to a second turn. */
static void write_talks(const char *name, int first, int count, bool backwards)
{
    struct strbuf text = {0};
    for (int i = 0; i < count; i++) {
        int n = first + (backwards ? count - 1 - i : i);
        const char *who[] = {"ann", "ben"};
        for (int w = 0; w < 2; w++) {
            strbuf_printf(&text,
                          "{\"prompt\": \"prompt %d\", \"chosen\": \"good %d\", \"rejected\": \"bad\", \"tie\": false, "
                          "\"annotator\": \"%s\"}\n",
                          n, n * n, who[w]);
        }
        if (n % 3 == 0) {
            strbuf_printf(&text,
                          "{\"prompt\": [{\"role\": \"user\", \"content\": \"prompt %d\"}, {\"role\": \"assistant\", "
                          "\"content\": \"good\"}, {\"role\": \"user\", \"content\": \"and?\"}], \"chosen\": \"good\", "
                          "\"rejected\": \"bad\", \"tie\": false}\n",
                          n);
        }
    }
    data_write(name, text.data);
    strbuf_free(&text);
}

static int run_setup(void **state)
{
    if (data_setup(state) != 0) {
        return -1;
    }
    write_talks("talks.jsonl", 0, PROMPTS, false);
    write_talks("backwards.jsonl", 0, PROMPTS, true);
    write_talks("others.jsonl", PROMPTS - 5, 20, false);
    return 0;
}

static bool holds(const struct ranking_set *set, uint64_t opening)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->rankings[i].opening_hash == opening) {
            return true;
        }
    }
    return false;
}

static int64_t openings(const struct ranking_set *set)
{
    int64_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++) {
            seen = set->rankings[j].opening_hash == set->rankings[i].opening_hash;
        }
        count += !seen;
    }
    return count;
}

/* ---- Train and eval ---- */

static void test_split_keeps_conversations_together(void **state)
{
    (void)state;
    struct opened_data opened = data_open("dataset: @/talks.jsonl\neval_split: 0.25\n");
    const struct ranking_set *train = opened.data.train, *eval = opened.data.eval;
    assert_int_equal(train->count + eval->count, 2 * PROMPTS + (PROMPTS + 2) / 3);
    assert_int_equal(openings(eval), PROMPTS / 4);
    assert_int_equal(openings(train), PROMPTS - PROMPTS / 4);
    for (size_t i = 0; i < train->count; i++) {
        assert_false(holds(eval, train->rankings[i].opening_hash));
    }

    struct opened_data other = data_open("dataset: @/backwards.jsonl\neval_split: 0.25\n");
    assert_int_equal(other.data.eval->count, eval->count); /* the order of the file decides nothing */
    for (size_t i = 0; i < eval->count; i++) {
        assert_true(holds(other.data.eval, eval->rankings[i].opening_hash));
    }
    data_close(&other);
    other = data_open("dataset: @/talks.jsonl\neval_split: 0.25\nseed: 7\n");
    int same = 0;
    for (size_t i = 0; i < eval->count; i++) {
        same += holds(other.data.eval, eval->rankings[i].opening_hash);
    }
    assert_in_range(same, 0, eval->count - 1);
    data_close(&other);
    data_close(&opened);

    data_write("one.jsonl", "{\"prompt\": \"Hi\", \"chosen\": \"a\", \"rejected\": \"b\"}\n");
    data_refuse("dataset: @/one.jsonl\neval_split: 0.5\n", "eval_split", "give an eval_dataset", NULL);
}

/* others.jsonl has five prompts of talks.jsonl: these are not trained on. */
static void test_prompts_of_eval_are_not_trained_on(void **state)
{
    (void)state;
    struct opened_data opened = data_open("dataset: @/talks.jsonl\neval_dataset: @/others.jsonl\n");
    assert_int_equal(openings(opened.data.train), PROMPTS - 5);
    assert_int_equal(openings(opened.data.eval), 20);
    for (size_t i = 0; i < opened.data.train->count; i++) {
        assert_false(holds(opened.data.eval, opened.data.train->rankings[i].opening_hash));
    }
    data_close(&opened);
    data_refuse("dataset: @/talks.jsonl\neval_dataset: @/talks.jsonl\n", "every prompt of dataset is in eval_dataset",
                NULL);
}

/* Of a file whose records name their split, and of a folder of files by splits. */
static void test_splits_of_files(void **state)
{
    (void)state;
    data_write("named.jsonl", "{\"prompt\": \"1\", \"chosen\": \"a\", \"rejected\": \"b\", \"split\": \"train\"}\n"
                              "{\"prompt\": \"2\", \"chosen\": \"a\", \"rejected\": \"b\", \"split\": \"valid\"}\n"
                              "{\"prompt\": \"3\", \"chosen\": \"a\", \"rejected\": \"b\"}\n");
    struct opened_data opened = data_open("dataset:\n  - {path: @/named.jsonl, split: train}\n"
                                          "eval_dataset:\n  - {path: @/named.jsonl, split: valid}\n");
    assert_string_equal(data_shown_all(opened.data.train), "1: 1 a, 2 b");
    assert_string_equal(data_shown_all(opened.data.eval), "2: 1 a, 2 b");
    assert_non_null(strstr(opened.data.train->sources[0].sentence, "of split 'train'"));
    data_close(&opened);
    data_refuse("dataset:\n  - {path: @/named.jsonl, split: test}\n", "no record of split 'test'",
                "its records name 'train', 'valid'", NULL);
    data_refuse("dataset:\n  - {path: @/talks.jsonl, split: test}\n", "have no member \"split\"; leave split out",
                NULL);

    opened = data_open("dataset:\n  - {path: @/, split: named}\n");
    assert_int_equal(opened.data.train->count, 3);
    data_close(&opened);
}

/* ---- Weights ---- */

static void test_weights(void **state)
{
    (void)state;
    struct opened_data opened = data_open("dataset:\n  - {path: @/talks.jsonl, weight: 2.5}\n"
                                          "  - {path: @/others.jsonl, weight: 0.5}\n");
    const struct ranking_set *set = opened.data.train;
    size_t talks = 2 * PROMPTS + (PROMPTS + 2) / 3, others = 2 * 20 + 7, count[4] = {0};
    assert_int_equal(set->count, 2 * talks + talks / 2 + (others + 1) / 2);
    for (size_t i = 0; i < set->count; i++) {
        const struct ranking *ranking = &set->rankings[i];
        count[ranking->source == 1 ? 3 : ranking->copy]++;
        assert_true(ranking->source == 0 || ranking->copy == 0);
        for (size_t j = 0; j < i; j++) {
            assert_true(ranking->record != set->rankings[j].record);
        }
    }
    assert_int_equal(count[0], talks);
    assert_int_equal(count[1], talks);
    assert_int_equal(count[2], talks / 2);
    assert_int_equal(set->contradicted, 0);
    data_close(&opened);
}

/* ---- Steps and passes ---- */

static void test_steps(void **state)
{
    (void)state;
    struct opened_data opened = data_open("dataset: @/talks.jsonl\nper_device_train_batch_size: 4\n"
                                          "gradient_accumulation_steps: 2\nnum_train_epochs: 1.5\n");
    struct reward_data *data = &opened.data;
    int64_t rankings = (int64_t)data->train->count, taken = 0;
    assert_int_equal(data->order.steps.per_epoch, (rankings + 7) / 8);
    assert_int_equal(data->order.steps.total, (int64_t)ceil(1.5 * (double)data->order.steps.per_epoch));
    const int64_t *indices;
    bool *seen = calloc((size_t)rankings, 1);
    int64_t first = -1;
    for (int64_t step = 0; step < data->order.steps.per_epoch; step++) {
        int64_t count = row_order_step(&data->order, step, &indices);
        assert_int_equal(count, step + 1 < data->order.steps.per_epoch ? 8 : rankings - 8 * step);
        first = step == 0 ? indices[0] : first;
        for (int64_t i = 0; i < count; i++) {
            assert_false(seen[indices[i]]);
            seen[indices[i]] = true;
            taken++;
        }
    }
    assert_int_equal(taken, rankings);
    free(seen);
    int64_t changed = 0, later[8];
    row_order_step(&data->order, data->order.steps.per_epoch, &indices);
    memcpy(later, indices, sizeof later);
    row_order_step(&data->order, 0, &indices); /* a step can be asked for again: a run is resumed anywhere */
    assert_int_equal(indices[0], first);
    for (int i = 0; i < 8; i++) {
        changed += later[i] != indices[i];
    }
    assert_true(changed > 0);
    data_close(&opened);

    opened = data_open("dataset: @/talks.jsonl\nshuffle: false\nper_device_train_batch_size: 3\nmax_steps: 1000\n");
    assert_int_equal(opened.data.order.steps.total, 1000);
    assert_int_equal(row_order_step(&opened.data.order, 1, &indices), 3);
    assert_int_equal(indices[0], 3);
    data_close(&opened);
}

/* Passes are whole rankings, fit the limits, and ask for a number at the end of every answer. */
static void test_passes(void **state)
{
    (void)state;
    struct opened_data opened = data_open("dataset: @/talks.jsonl\neval_dataset: @/others.jsonl\n"
                                          "per_device_train_batch_size: 64\nper_device_eval_batch_size: 2\n");
    struct reward_data *data = &opened.data;
    struct batch_limits limits = reward_data_limits(data, PASS_TOKENS);
    struct batch batch;
    struct err err;
    const int64_t *indices;
    assert_int_equal(batch_create(&batch, limits.tokens, limits.segments, limits.predictions, &err), 0);
    int64_t count = row_order_step(&data->order, 0, &indices), passes = 0;
    for (int64_t at = 0, taken; at < count; at += taken, passes++) {
        taken = ranking_set_pass(data->train, indices + at, count - at, 64, PASS_TOKENS);
        ranking_set_fill(data->train, &batch, indices + at, taken, 0);
        assert_true(batch.tokens <= PASS_TOKENS || taken == 1);
        int32_t read = 0;
        for (int64_t i = 0; i < taken; i++) {
            const struct family *family = &data->train->rankings[indices[at + i]].family;
            for (int32_t k = 0; k < family->count; k++, read++) {
                const struct segment *segment = &batch.segments[batch.predictions[read].segment];
                assert_int_equal(batch.predictions[read].row, segment->start + segment->length - 1);
                assert_int_equal(batch.ids[batch.predictions[read].row], 257); /* <|im_end|> */
                assert_int_equal(segment->length, family->starts[k + 1] - family->starts[k]);
            }
        }
        assert_int_equal(batch.prediction_count, read);
    }
    assert_true(passes > 1 && passes < count);
    assert_int_equal(ranking_set_pass(data->eval, (const int64_t[]){0, 1, 2}, 3, 2, PASS_TOKENS), 2);

    ranking_set_fill(data->train, &batch, indices, 1, 0);
    uint64_t key = batch.segments[1].key;
    ranking_set_fill(data->train, &batch, indices, 1, 0);
    assert_true(batch.segments[1].key == key);
    ranking_set_fill(data->train, &batch, indices, 1, 1); /* dropout differs between epochs */
    assert_true(batch.segments[1].key != key);
    batch_free(&batch);
    assert_int_equal(reward_data_highest_id(data), 257);
    assert_true(reward_data_longest(data) == data->train->longest && reward_data_bytes(data) > 0);
    data_close(&opened);
}

/* A single long ranking decides the limits alone. */
static void test_limits_of_a_long_ranking(void **state)
{
    (void)state;
    struct strbuf text = {0};
    strbuf_puts(&text, "{\"prompt\": \"a\", \"chosen\": \"");
    for (int i = 0; i < 1500; i++) {
        strbuf_putc(&text, 'x');
    }
    strbuf_puts(&text, "\", \"rejected\": \"b\"}\n{\"prompt\": \"b\", \"chosen\": \"c\", \"rejected\": \"d\"}\n");
    data_write("long.jsonl", text.data);
    strbuf_free(&text);
    struct opened_data opened = data_open("dataset: @/long.jsonl\nmax_length: 4000\nper_device_train_batch_size: 8\n");
    struct batch_limits limits = reward_data_limits(&opened.data, PASS_TOKENS);
    assert_int_equal(limits.tokens, family_tokens(&opened.data.train->rankings[0].family));
    assert_int_equal(limits.segments, 6);
    assert_int_equal(limits.predictions, 4);
    const int64_t indices[] = {1, 0};
    assert_int_equal(ranking_set_pass(opened.data.train, indices, 2, 8, PASS_TOKENS), 1);
    data_close(&opened);
}

/* ---- The same always ---- */

static struct hash fingerprint(const char *lines)
{
    struct opened_data opened = data_open(lines);
    struct hash hash = reward_data_fingerprint(&opened.data);
    data_close(&opened);
    return hash;
}

static void test_fingerprint(void **state)
{
    (void)state;
    struct hash two = fingerprint("dataset: @/talks.jsonl\neval_split: 0.1\n");
    struct hash again = fingerprint("dataset: @/talks.jsonl\neval_split: 0.1\n");
    struct hash seed = fingerprint("dataset: @/talks.jsonl\neval_split: 0.1\nseed: 2\n");
    struct hash order = fingerprint("dataset: @/backwards.jsonl\neval_split: 0.1\n");
    struct hash weighted = fingerprint("dataset:\n  - {path: @/talks.jsonl, weight: 2}\neval_split: 0.1\n");
    assert_memory_equal(&two, &again, sizeof two);
    assert_memory_not_equal(&two, &seed, sizeof two);
    assert_memory_not_equal(&two, &order, sizeof two);
    assert_memory_not_equal(&two, &weighted, sizeof two);
}

/* Encoded by one thread or by three. */
static void test_threads_change_nothing(void **state)
{
    (void)state;
    struct model_text text;
    struct err err;
    struct hash hashes[2];
    assert_int_equal(model_text_open(&text, temporary("model"), NULL, &err), 0);
    for (int i = 0; i < 2; i++) {
        struct recipe_dataset entry = {.path = (char *)temporary("talks.jsonl"), .weight = 1};
        struct recipe_datasets entries = {&entry, 1};
        struct ranking_set_options options = {.text = {.tokenizer = text.tokenizer, .chat = text.chat}};
        struct ranking_set *set;
        if (i == 1) {
            assert_int_equal(pool_create(&options.pool, 3, &err), 0);
        }
        assert_int_equal(ranking_set_load(&set, &entries, &options, &err), 0);
        hashes[i] = ranking_set_fingerprint(set);
        ranking_set_free(set);
        pool_free(options.pool);
    }
    assert_memory_equal(&hashes[0], &hashes[1], sizeof hashes[0]);
    model_text_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_keeps_conversations_together),
        cmocka_unit_test(test_prompts_of_eval_are_not_trained_on),
        cmocka_unit_test(test_splits_of_files),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_limits_of_a_long_ranking),
        cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, run_setup, temporary_teardown);
}
