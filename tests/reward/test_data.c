/* The rankings of preference files: what is kept, what is left out and counted, and what is said of them. */
#include "base/mem.h"
#include "base/strbuf.h"
#include "reward/helper_data.h"
#include "support/cmocka.h"
#include "support/temporary.h"
#include <math.h>
#include <string.h>

#define PAIR(prompt, better, worse)                                                                                    \
    "{\"prompt\": \"" prompt "\", \"chosen\": \"" better "\", \"rejected\": \"" worse "\""
#define END "}\n"

/* ---- Formats ---- */

static void test_pairs(void **state)
{
    (void)state;
    data_write("pairs.jsonl", PAIR("Hi", "good", "bad") END PAIR("Ho", "yes", "yet") END);
    struct opened_data opened = data_open("dataset: @/pairs.jsonl\n");
    const struct ranking_set *set = opened.data.train;
    assert_string_equal(data_shown_all(set), "Hi: 1 good, 2 bad / Ho: 1 yes, 2 yet");
    assert_string_equal(data_tokens(&set->rankings[0]), "{start}user\nHi{end}\n{start}assistant\n|good{end}|bad{end}");
    assert_string_equal(data_tokens(&set->rankings[1]), "{start}user\nHo{end}\n{start}assistant\nye|s{end}|t{end}");
    const struct ranking *first = &set->rankings[0];
    assert_int_equal(first->pairs, 1);
    assert_int_equal(first->ties, 0);
    assert_int_equal(first->strength, -1);
    assert_int_equal(first->characters[0], 4);
    assert_int_equal(first->positions[0], -1);
    assert_int_equal(first->place, 1);
    assert_true(isnan(first->agreement) && first->weight == 1 && !first->levels && !first->annotator);
    assert_true(first->record != set->rankings[1].record && first->prompt_hash != set->rankings[1].prompt_hash);
    assert_int_equal(set->answers, 4);
    assert_int_equal(set->pairs, 2);
    assert_int_equal(set->prompts, 2);
    assert_int_equal(set->tokens, 21 + 5 + 4 + 23 + 2 + 2);
    assert_int_equal(set->unshared_tokens, set->tokens + 21 + 23);
    assert_int_equal(set->longest, 26);
    assert_null(opened.data.eval);
    data_close(&opened);
}

/* Best first, equals in their order; nobody ranked "unseen". */
static void test_ranked_answers(void **state)
{
    (void)state;
    data_write("trees.jsonl",
               "{\"message_tree_id\": \"t\", \"prompt\": {\"role\": \"prompter\", \"text\": \"Hi\", \"replies\": ["
               "{\"role\": \"assistant\", \"text\": \"poor\", \"rank\": 2},"
               "{\"role\": \"assistant\", \"text\": \"unseen\"},"
               "{\"role\": \"assistant\", \"text\": \"good\", \"rank\": 0},"
               "{\"role\": \"assistant\", \"text\": \"fair\", \"rank\": 1},"
               "{\"role\": \"assistant\", \"text\": \"even\", \"rank\": 1}]}}\n");
    struct opened_data opened = data_open("dataset: @/trees.jsonl\n");
    const struct ranking_set *set = opened.data.train;
    assert_string_equal(data_shown_all(set), "Hi: 1 good, 2 fair, 2 even, 3 poor");
    assert_int_equal(set->pairs, 5);
    assert_int_equal(set->ties, 1);
    assert_int_equal(set->counts.unranked_answers, 1);
    data_close(&opened);
}

/* The prompt that is shown is what the user said last; the opening what came before the first answer. */
static void test_conversations(void **state)
{
    (void)state;
    data_write(
        "talk.jsonl",
        "{\"chosen\": \"\\n\\nHuman: 1\\n\\nAssistant: 2\\n\\nHuman: 3\\n\\nAssistant: 4\", \"rejected\": "
        "\"\\n\\nHuman: 1\\n\\nAssistant: 2\\n\\nHuman: 3\\n\\nAssistant: 5\"}\n"
        "{\"chosen\": \"\\n\\nHuman: 1\\n\\nAssistant: 6\", \"rejected\": \"\\n\\nHuman: 1\\n\\nAssistant: 7\"}\n");
    struct opened_data opened = data_open("dataset: @/talk.jsonl\n");
    const struct ranking *rankings = opened.data.train->rankings;
    assert_string_equal(data_shown_all(opened.data.train), "3: 1 4, 2 5 / 1: 1 6, 2 7");
    assert_true(rankings[0].prompt_hash != rankings[1].prompt_hash);
    assert_true(rankings[0].opening_hash == rankings[1].opening_hash);
    data_close(&opened);
}

static void test_long_texts_are_cut_to_be_shown(void **state)
{
    (void)state;
    struct strbuf text = {0};
    strbuf_puts(&text, "{\"prompt\": \"Hi\", \"chosen\": \"");
    for (int i = 0; i < RANKING_SHOWN_MAX; i++) {
        strbuf_puts(&text, "\xC3\xA9");
    }
    strbuf_puts(&text, "x\", \"rejected\": \"bad\"}\n");
    data_write("long.jsonl", text.data);
    struct opened_data opened = data_open("dataset: @/long.jsonl\nmax_length: 8000\n");
    const struct ranking *ranking = &opened.data.train->rankings[0];
    assert_int_equal(ranking->characters[0], RANKING_SHOWN_MAX + 1);
    assert_int_equal(strlen(ranking->texts[0]), RANKING_SHOWN_MAX + 3);
    assert_string_equal(ranking->texts[0] + RANKING_SHOWN_MAX - 2, "\xC3\xA9...");
    data_close(&opened);
    strbuf_free(&text);
}

/* ---- What is left out ---- */

static void test_ties(void **state)
{
    (void)state;
    data_write("ties.jsonl",
               PAIR("Hi", "good", "bad") ", \"tie\": false" END PAIR("Ho", "yes", "yet") ", \"tie\": true" END);
    struct opened_data opened = data_open("dataset: @/ties.jsonl\n");
    assert_string_equal(data_shown_all(opened.data.train), "Hi: 1 good, 2 bad");
    assert_int_equal(opened.data.train->counts.all_ties, 1);
    data_close(&opened);

    opened = data_open("dataset: @/ties.jsonl\nties: half\n");
    assert_string_equal(data_shown_all(opened.data.train), "Hi: 1 good, 2 bad / Ho: 1 yes, 1 yet");
    assert_int_equal(opened.data.train->ties, 1);
    assert_int_equal(opened.data.train->counts.all_ties, 0);
    data_close(&opened);

    data_write("all-ties.jsonl", PAIR("Ho", "yes", "yet") ", \"tie\": true" END);
    data_refuse("dataset: @/all-ties.jsonl\n", "all-ties.jsonl", "all of its 1 judgments are ties", "ties: half", NULL);
}

static void test_one_answer(void **state)
{
    (void)state;
    data_write("one.jsonl", "{\"instruction\": \"Hi\", \"completions\": [{\"response\": \"a\", \"annotations\": {}}]}\n"
                            "{\"instruction\": \"Ho\", \"completions\": ["
                            "{\"response\": \"a\", \"annotations\": {\"x\": {\"Rating\": \"1\"}}},"
                            "{\"response\": \"b\", \"annotations\": {\"x\": {\"Rating\": \"4\"}}}]}\n");
    struct opened_data opened = data_open("dataset: @/one.jsonl\n");
    assert_string_equal(data_shown_all(opened.data.train), "Ho: 1 b, 2 a");
    assert_int_equal(opened.data.train->counts.one_answer, 1);
    assert_int_equal(opened.data.train->counts.read, 2);
    data_close(&opened);

    data_write("only-one.jsonl", "{\"instruction\": \"Hi\", \"completions\": [{\"response\": \"a\"}]}\n");
    data_refuse("dataset: @/only-one.jsonl\n", "only-one.jsonl' gives no ranking", "1 rank fewer than two answers",
                NULL);
}

static void test_too_long(void **state)
{
    (void)state;
    data_write("long.jsonl", PAIR("Hi", "good", "bad") END PAIR("Hello there", "good", "bad")
                                 END PAIR("Ho", "012345678901234567890123456789", "bad") END);
    struct opened_data opened = data_open("dataset: @/long.jsonl\nmax_length: 26\n");
    const struct ranking_counts *counts = &opened.data.train->counts;
    assert_string_equal(data_shown_all(opened.data.train), "Hi: 1 good, 2 bad");
    assert_int_equal(counts->too_long_answers, 3);
    assert_int_equal(counts->too_long, 2);
    assert_int_equal(counts->truncated, 0);
    data_close(&opened);

    opened = data_open("dataset: @/long.jsonl\nmax_length: 26\non_too_long: keep_end\n");
    counts = &opened.data.train->counts;
    assert_string_equal(data_shown_all(opened.data.train), "Hi: 1 good, 2 bad / Hello there: 1 good, 2 bad");
    assert_string_equal(data_tokens(&opened.data.train->rankings[1]),
                        "lo there{end}\n{start}assistant\n|good{end}|bad{end}");
    assert_int_equal(counts->too_long_answers, 1);
    assert_int_equal(counts->too_long, 1);
    assert_int_equal(counts->truncated, 1);
    assert_int_equal(opened.data.train->longest, 26);
    data_close(&opened);

    data_refuse("dataset: @/long.jsonl\nmax_length: 10\n", "gives no ranking", "3 too long", "look at max_length",
                NULL);
}

static void test_bad_records(void **state)
{
    (void)state;
    data_write("bad.jsonl", PAIR("Hi", "good", "bad") END PAIR("Ho", "same", "same") END "{]\n");
    data_refuse("dataset: @/bad.jsonl\n", "bad.jsonl:2: two answers are the same", "on_bad_record: skip", NULL);
    struct opened_data opened = data_open("dataset: @/bad.jsonl\non_bad_record: skip\n");
    const struct ranking_source *source = &opened.data.train->sources[0];
    assert_int_equal(opened.data.train->count, 1);
    assert_int_equal(source->counts.bad, 2);
    assert_int_equal(source->counts.read, 3);
    assert_non_null(strstr(source->first_bad, "bad.jsonl:2: two answers"));
    assert_non_null(strstr(source->sentence, "bad.jsonl: trl records"));
    data_close(&opened);
}

/* A template that cannot render a record makes it a bad one. */
static void test_records_the_template_refuses(void **state)
{
    (void)state;
    data_write("picky.jinja", "{% for m in messages %}{% if m.content == 'Ho' %}{{ raise_exception('no Ho') }}{% endif "
                              "%}{{ m.content }}{% endfor %}");
    data_write("pairs.jsonl", PAIR("Hi", "good", "bad") END PAIR("Ho", "yes", "no") END);
    data_refuse("dataset: @/pairs.jsonl\nchat_template: @/picky.jinja\n", "pairs.jsonl:2: ", "no Ho", NULL);
    struct opened_data opened =
        data_open("dataset: @/pairs.jsonl\nchat_template: @/picky.jinja\non_bad_record: skip\n");
    assert_int_equal(opened.data.train->count, 1);
    assert_int_equal(opened.data.train->counts.bad, 1);
    data_close(&opened);
}

static void test_files_that_hold_nothing(void **state)
{
    (void)state;
    data_write("empty.jsonl", "\n");
    data_refuse("dataset: @/empty.jsonl\n", "dataset: '", "empty.jsonl' holds no preference record", NULL);
    data_refuse("dataset: @/missing.jsonl\n", "missing.jsonl", NULL);
    data_write("pairs.jsonl", PAIR("Hi", "good", "bad") END);
    data_refuse("dataset:\n  - {path: @/pairs.jsonl, project: p}\n", "is no prefs.db, so 'project' says nothing", NULL);
    data_refuse("dataset:\n  - {path: @/pairs.jsonl, annotators: [a]}\n", "'annotators'", NULL);
    data_refuse("dataset:\n  - {path: @/pairs.jsonl, format: prefs}\n", "is no prefs.db", NULL);
    data_refuse("dataset:\n  - {path: @/pairs.jsonl, format: alpaca}\n", "unknown format 'alpaca'", NULL);
    data_write("chat.jsonl", "{\"messages\": []}\n");
    data_refuse("dataset: @/chat.jsonl\n", "chat.jsonl:1: this looks like no preference format", NULL);
}

/* ---- Thumbs ---- */

#define THUMB(prompt, answer, label)                                                                                   \
    "{\"prompt\": \"" prompt "\", \"completion\": \"" answer "\", \"label\": " label "}\n"

static void test_thumbs(void **state)
{
    (void)state;
    data_write("thumbs.jsonl", THUMB("Hi", "good", "true") THUMB("Ho", "alone", "true") THUMB("Hi", "bad", "false")
                                   THUMB("Hi", "poor", "false") THUMB("Hi", "mixed", "true")
                                       THUMB("Hi", "mixed", "false") THUMB("Hi", "poor", "false"));
    struct opened_data opened = data_open("dataset: @/thumbs.jsonl\n");
    const struct ranking_set *set = opened.data.train;
    assert_int_equal(set->count, 1);
    const struct ranking *ranking = &set->rankings[0];
    assert_int_equal(ranking->family.count, 3);
    assert_string_equal(ranking->texts[0], "good");
    assert_int_equal(ranking->ranks[0], 1);
    assert_int_equal(ranking->ranks[1], 2);
    assert_int_equal(ranking->ranks[2], 2);
    assert_int_equal(ranking->pairs, 2);
    assert_int_equal(ranking->ties, 1);
    assert_int_equal(set->counts.thumbs, 7);
    assert_int_equal(set->counts.unpaired_thumbs, 3); /* "alone", and "mixed" twice */
    data_close(&opened);

    data_write("up.jsonl", THUMB("Hi", "good", "true") THUMB("Hi", "better", "true"));
    data_refuse("dataset: @/up.jsonl\n", "2 are thumbs without a counterpart", NULL);
}

/* 20 good and 18 bad answers to a prompt: rankings of at most 16, no answer twice, what is left over is counted. */
static void test_many_thumbs(void **state)
{
    (void)state;
    struct strbuf text = {0};
    for (int i = 0; i < 38; i++) {
        strbuf_printf(&text, "{\"prompt\": \"Hi\", \"completion\": \"answer %d\", \"label\": %s}\n", i,
                      i < 20 ? "true" : "false");
    }
    data_write("many.jsonl", text.data);
    struct opened_data opened = data_open("dataset: @/many.jsonl\n");
    const struct ranking_set *set = opened.data.train;
    int64_t answers = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct ranking *ranking = &set->rankings[i];
        answers += ranking->family.count;
        assert_true(ranking->pairs > 0 && ranking->family.count <= RANKING_ANSWERS_MAX);
        for (size_t j = 0; j < i; j++) {
            assert_true(ranking->record != set->rankings[j].record);
        }
    }
    assert_int_equal(set->count, 3);
    assert_int_equal(answers + set->counts.unpaired_thumbs, 38);
    assert_int_equal(answers, 38);
    data_close(&opened);
    strbuf_free(&text);
}

/* ---- Duplicates, agreement, contradictions ---- */

#define SAYS(name) ", \"tie\": false, \"annotator\": \"" name "\"" END

static void test_duplicates(void **state)
{
    (void)state;
    data_write("twice.jsonl",
               PAIR("Hi", "good", "bad") SAYS("ann") PAIR("Hi", "good", "bad") SAYS("ben") PAIR("Hi", "good", "bad")
                   SAYS("ann") PAIR("Hi", "bad", "good") SAYS("ann") PAIR(
                       "Ho", "good", "bad") ", \"tie\": false" END PAIR("Ho", "good", "bad") ", \"tie\": false" END);
    struct opened_data opened = data_open("dataset: @/twice.jsonl\n");
    assert_int_equal(opened.data.train->count, 4);
    assert_int_equal(opened.data.train->counts.duplicates, 2);
    assert_int_equal(opened.data.train->rankings[2].place, 4); /* the first of each stays */
    data_close(&opened);

    opened =
        data_open("dataset:\n  - path: @/twice.jsonl\n  - path: @/twice.jsonl\n"); /* named twice is wanted twice */
    assert_int_equal(opened.data.train->count, 8);
    assert_int_equal(opened.data.train->counts.duplicates, 4);
    data_close(&opened);
}

/* Three of four say good > bad: 3 of the 6 pairs of judgments agree, and 4 of 5 pairs can be got right. */
static void test_agreement_and_contradictions(void **state)
{
    (void)state;
    data_write("split.jsonl",
               PAIR("Hi", "good", "bad") SAYS("a") PAIR("Hi", "good", "bad") SAYS("b") PAIR("Hi", "bad", "good")
                   SAYS("c") PAIR("Hi", "good", "bad") SAYS("d") PAIR("Ho", "good", "bad") SAYS("a"));
    struct opened_data opened = data_open("dataset: @/split.jsonl\n");
    const struct ranking_set *set = opened.data.train;
    for (int i = 0; i < 4; i++) {
        assert_true(set->rankings[i].agreement == 0.5);
    }
    assert_true(isnan(set->rankings[4].agreement));
    assert_int_equal(set->contradicted_pairs, 1);
    assert_int_equal(set->contradicted, 4);
    assert_true(fabs(set->best_accuracy - 0.8) < 1e-12);
    assert_string_equal(set->rankings[0].annotator, "a");
    assert_true(set->rankings[0].weight == 1);
    data_close(&opened);

    opened = data_open("dataset: @/split.jsonl\nweight_by_agreement: true\n");
    assert_true(opened.data.train->rankings[0].weight == 0.5 && opened.data.train->rankings[4].weight == 1);
    data_close(&opened);
}

static void test_no_agreement_at_all(void **state)
{
    (void)state;
    data_write("quarrel.jsonl", PAIR("Hi", "good", "bad") SAYS("a") PAIR("Hi", "bad", "good") SAYS("b")
                                    PAIR("Ho", "good", "bad") SAYS("a"));
    struct opened_data opened = data_open("dataset: @/quarrel.jsonl\nweight_by_agreement: true\n");
    assert_string_equal(data_shown_all(opened.data.train), "Ho: 1 good, 2 bad");
    assert_int_equal(opened.data.train->counts.weightless, 2);
    data_close(&opened);
    data_write("only-quarrel.jsonl", PAIR("Hi", "good", "bad") SAYS("a") PAIR("Hi", "bad", "good") SAYS("b"));
    data_refuse("dataset: @/only-quarrel.jsonl\nweight_by_agreement: true\n", "agree on none of them", NULL);
}

/* ---- Margins ---- */

static void test_margins(void **state)
{
    (void)state;
    data_write("strength.jsonl", PAIR("Hi", "good", "bad") ", \"tie\": false, \"strength\": 3" END PAIR(
                                     "Ho", "good", "bad") ", \"tie\": false" END);
    struct opened_data opened = data_open("dataset: @/strength.jsonl\nmargin: strength\nmargin_scale: 0.5\n");
    const struct ranking *rankings = opened.data.train->rankings;
    assert_int_equal(rankings[0].strength, 3);
    assert_float_equal(ranking_margin_between(&rankings[0], 0, 1), 1.5, 0);
    assert_float_equal(ranking_margin_between(&rankings[1], 0, 1), 0, 0);
    assert_int_equal(opened.data.train->counts.without_margin, 1);
    data_close(&opened);

    data_write("column.jsonl", PAIR("Hi", "good", "bad") ", \"margin\": 0.25" END PAIR(
                                   "Ho", "good", "bad") ", \"score_chosen\": 4, \"score_rejected\": 1.5" END);
    opened = data_open("dataset: @/column.jsonl\nmargin: column\nmargin_scale: 2\n");
    rankings = opened.data.train->rankings;
    assert_float_equal(ranking_margin_between(&rankings[0], 0, 1), 0.5, 0);
    assert_float_equal(ranking_margin_between(&rankings[1], 0, 1), 5, 0);
    assert_int_equal(opened.data.train->counts.without_margin, 0);
    data_close(&opened);

    data_write("rated.jsonl", "{\"instruction\": \"Ho\", \"completions\": ["
                              "{\"response\": \"a\", \"annotations\": {\"x\": {\"Rating\": \"1\"}}},"
                              "{\"response\": \"b\", \"annotations\": {\"x\": {\"Rating\": \"4\"}}},"
                              "{\"response\": \"c\", \"annotations\": {\"x\": {\"Rating\": \"2\"}}}]}\n");
    opened = data_open("dataset: @/rated.jsonl\nmargin: column\n");
    rankings = opened.data.train->rankings;
    assert_string_equal(data_shown(&rankings[0]), "Ho: 1 b, 2 c, 3 a");
    assert_float_equal(ranking_margin_between(&rankings[0], 0, 2), 3, 0);
    assert_float_equal(ranking_margin_between(&rankings[0], 1, 2), 1, 0);
    data_close(&opened);

    data_refuse("dataset: @/column.jsonl\nmargin: strength\n", "margin: strength, but no ranking of dataset has one",
                "leave margin out", NULL);
    data_refuse("dataset: @/strength.jsonl\nmargin: column\n", "margin: column, but no ranking", NULL);
}

/* ---- Want of memory ---- */

static void test_allocations_may_fail(void **state)
{
    (void)state;
    data_write("pairs.jsonl", PAIR("Hi", "good", "bad") END THUMB("Ho", "x", "true") THUMB("Ho", "y", "false"));
    struct err err;
    bool done = false;
    for (long n = 1; !done; n += 1 + n / 16) {
        struct recipe_dataset entry = {.path = (char *)temporary("pairs.jsonl"), .weight = 1.5};
        struct recipe_datasets entries = {&entry, 1};
        struct model_text text;
        struct ranking_set *set = NULL;
        assert_int_equal(model_text_open(&text, temporary("model"), NULL, &err), 0);
        struct ranking_set_options options = {.text = {.tokenizer = text.tokenizer, .chat = text.chat},
                                              .skip_bad_records = true};
        mem_fail_at(n);
        int result = ranking_set_load(&set, &entries, &options, &err);
        if (result == 0) {
            result = ranking_set_apply_weights(set, true, 1, &err);
        }
        done = mem_count() < n;
        mem_fail_at(0);
        if (result != (done ? 0 : -1)) {
            fail_msg("allocation %ld failed unnoticed", n);
        }
        ranking_set_free(set);
        model_text_close(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_ranked_answers),
        cmocka_unit_test(test_conversations),
        cmocka_unit_test(test_long_texts_are_cut_to_be_shown),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_one_answer),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_bad_records),
        cmocka_unit_test(test_records_the_template_refuses),
        cmocka_unit_test(test_files_that_hold_nothing),
        cmocka_unit_test(test_thumbs),
        cmocka_unit_test(test_many_thumbs),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_agreement_and_contradictions),
        cmocka_unit_test(test_no_agreement_at_all),
        cmocka_unit_test(test_margins),
        cmocka_unit_test(test_allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, data_setup, temporary_teardown);
}
