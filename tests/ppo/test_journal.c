/* tests/ppo/test_journal.c - the file of scores: what is found in it, what a kill may leave of it, what breaks it. */
#include "support/cmocka.h"

#include "ppo/journal.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <float.h>
#include <stdio.h>
#include <string.h>

static struct journal *open_journal(bool fresh, int64_t first_iteration)
{
    struct journal *journal = NULL;
    struct err err;
    must(journal_open(&journal, temporary("rewards.jsonl"), fresh, first_iteration, &err));
    return journal;
}

static struct hash text_hash(const char *text)
{
    return hash_bytes(text, strlen(text));
}

static void append(struct journal *journal, int64_t iteration, int64_t index, const char *text, double score)
{
    struct err err;
    struct journal_entry entry = {.iteration = iteration, .index = index, .hash = text_hash(text), .score = score};
    must(journal_append(journal, &entry, &err));
}

static bool take(struct journal *journal, int64_t iteration, int64_t index, const char *text, double *score)
{
    return journal_take(journal, iteration, index, text_hash(text), score);
}

static void test_entries_come_back(void **state)
{
    (void)state;
    static const double scores[] = {0, -0.0, 0.1, -1.0 / 3, DBL_MIN, DBL_MAX, 5e-324, 17, 1e22};
    const int count = sizeof scores / sizeof *scores;
    struct journal *journal = open_journal(true, 0);
    double score;
    for (int i = count - 1; i >= 0; i--) {
        append(journal, i / 3, i, "text", scores[i]);
    }
    assert_false(take(journal, 0, 0, "text", &score)); /* only what stood there when it was opened */
    journal_close(journal);
    journal = open_journal(false, 0);
    for (int i = 0; i < count; i++) {
        assert_false(take(journal, i / 3, i, "another", &score));
        assert_false(take(journal, i / 3 + 1, i, "text", &score));
        assert_true(take(journal, i / 3, i, "text", &score));
        assert_memory_equal(&score, &scores[i], sizeof score);
        assert_false(take(journal, i / 3, i, "text", &score)); /* once */
    }
    journal_close(journal);
    journal = open_journal(false, 1);
    assert_false(take(journal, 0, 0, "text", &score)); /* before first_iteration */
    assert_true(take(journal, 1, 3, "text", &score));
    journal_close(journal);
    journal = open_journal(true, 0);
    assert_false(take(journal, 1, 3, "text", &score));
    journal_close(journal);
}

/* The same text may have been scored twice, by chance differently. */
static void test_order_of_equals(void **state)
{
    (void)state;
    struct journal *journal = open_journal(true, 0);
    double score;
    for (int i = 0; i < 50; i++) {
        append(journal, 1, 2, "same", i);
    }
    journal_close(journal);
    journal = open_journal(false, 0);
    for (int i = 0; i < 50; i++) {
        assert_true(take(journal, 1, 2, "same", &score) && score == i);
    }
    assert_false(take(journal, 1, 2, "same", &score));
    journal_close(journal);
}

/* Cut after any byte of the last line, as a kill may leave it. */
static void test_torn_line(void **state)
{
    (void)state;
    struct journal *journal = open_journal(true, 0);
    double score;
    append(journal, 0, 0, "a", 1.25);
    journal_close(journal);
    struct strbuf line = read_bytes(temporary("rewards.jsonl"));
    for (size_t length = 0; length < line.length; length++) {
        struct strbuf torn = {0};
        strbuf_append(&torn, line.data, line.length);
        strbuf_append(&torn, line.data, length);
        write_bytes(temporary("rewards.jsonl"), torn.data, torn.length);
        journal = open_journal(false, 0);
        append(journal, 0, 1, "b", 2.5);
        journal_close(journal);
        journal = open_journal(false, 0);
        assert_true(take(journal, 0, 0, "a", &score) && score == 1.25);
        assert_true(take(journal, 0, 1, "b", &score) && score == 2.5);
        journal_close(journal);
        strbuf_free(&torn);
    }
    strbuf_free(&line);
}

static void test_broken_lines(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "hello",
        "[]",
        "{\"index\": 0, \"hash\": \"00000000000000000000000000000000\", \"score\": 1}",
        "{\"iteration\": 0, \"index\": 0, \"hash\": \"0\", \"score\": 1}",
        "{\"iteration\": 0, \"index\": 0, \"hash\": \"0000000000000000000000000000000g\", \"score\": 1}",
        "{\"iteration\": 0, \"index\": 0, \"hash\": \"00000000000000000000000000000000\", \"score\": null}",
        "{\"iteration\": 0, \"index\": 0, \"hash\": \"00000000000000000000000000000000\"}",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct journal *journal = open_journal(true, 0);
        append(journal, 0, 0, "a", 1);
        journal_close(journal);
        FILE *file = fopen(temporary("rewards.jsonl"), "a");
        assert_non_null(file);
        fprintf(file, "%s\n", lines[i]);
        fclose(file);
        struct err err;
        assert_int_equal(journal_open(&journal, temporary("rewards.jsonl"), false, 0, &err), -1);
        if (!strstr(err.text, "rewards.jsonl:2") || !strstr(err.text, "remove the line")) {
            fail_msg("%s", err.text);
        }
        journal_close(open_journal(true, 0)); /* a fresh run does not care */
    }
}

static void test_forget(void **state)
{
    (void)state;
    struct err err;
    struct journal *journal = open_journal(true, 0);
    double score;
    append(journal, 0, 0, "a", 1);
    journal_mark(journal);
    append(journal, 0, 1, "b", 2);
    append(journal, 0, 2, "c", 3);
    must(journal_forget(journal, &err));
    append(journal, 0, 3, "d", 4);
    must(journal_sync(journal, &err));
    journal_close(journal);
    journal = open_journal(false, 0);
    assert_true(take(journal, 0, 0, "a", &score));
    assert_false(take(journal, 0, 1, "b", &score));
    assert_false(take(journal, 0, 2, "c", &score));
    assert_true(take(journal, 0, 3, "d", &score));
    journal_close(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_come_back),
        cmocka_unit_test(test_order_of_equals),
        cmocka_unit_test(test_torn_line),
        cmocka_unit_test(test_broken_lines),
        cmocka_unit_test(test_forget),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
