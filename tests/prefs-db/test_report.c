/* Reading labels back and the figures of the report, on a database small enough to count by hand. */
#include "base/json.h"
#include "prefs-db/helper_prefs.h"
#include "prefs-db/rankings.h"
#include "prefs-db/report.h"
#include "support/cmocka.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct err err;

/*
 * Three hands. Items 1..4 are pairs of "strong" (slot 0) and "weak" (slot 1); item 5 ranks four answers; item 6 is a
 * thumb. item   1     2     3     4      5 (ranks of slots)   6 ann    0>1   0>1   0>1   0=1    1 2 3 -              up
 *     ben    0>1   0>1   1>0   0=1    1 3 2 4              up
 *     cid    0>1                                           down
 */
static struct prefs *labelled(const char *name)
{
    static const int pairs[4][2] = {{1, 2}, {1, 2}, {1, 2}, {1, 1}};
    struct prefs *store = new_store(name);
    int64_t hands[3], models[2], item = 0;
    bool added = false;
    hands[0] = add_person(store, "ann", PREFS_ROLE_IMPORT, NULL);
    hands[1] = add_person(store, "ben", PREFS_ROLE_IMPORT, NULL);
    hands[2] = add_person(store, "cid", PREFS_ROLE_IMPORT, NULL);
    assert_int_equal(prefs_add_model(store, "strong", &models[0], &err), 0);
    assert_int_equal(prefs_add_model(store, "weak", &models[1], &err), 0);
    for (int i = 0; i < 4; i++) {
        struct prefs_new_item new_item = {.project = 1, .count = 2, .models = {models[0], models[1]}};
        char prompt[64];
        snprintf(prompt, sizeof prompt, "[{\"role\":\"user\",\"content\":\"%d\"}]", i);
        assert_int_equal(prefs_add_prompt(store, prompt, "en", 0, &new_item.prompt, &err), 0);
        assert_int_equal(prefs_add_answer(store, new_item.prompt, "longer", 6, &new_item.answers[0], &err), 0);
        assert_int_equal(prefs_add_answer(store, new_item.prompt, "short", 5, &new_item.answers[1], &err), 0);
        assert_int_equal(prefs_add_item(store, &new_item, &item, NULL, NULL, &err), 0);
        int ann[PREFS_ANSWERS_MAX] = {pairs[i][0], pairs[i][1]},
            ben[PREFS_ANSWERS_MAX] = {i == 2 ? 2 : 1, i == 2 || i == 3 ? 1 : 2};
        assert_int_equal(prefs_add_label(store, item, hands[0], ann, -1, 0, &added, &err), 0);
        assert_int_equal(prefs_add_label(store, item, hands[1], ben, -1, 0, &added, &err), 0);
        if (i == 0) {
            assert_int_equal(prefs_add_label(store, item, hands[2], ann, -1, 0, &added, &err), 0);
        }
    }
    const char *const texts[] = {"w", "x", "y", "z"};
    const int first[PREFS_ANSWERS_MAX] = {1, 2, 3, 0}, second[PREFS_ANSWERS_MAX] = {1, 3, 2, 4},
              none[PREFS_ANSWERS_MAX] = {0};
    item = add_texts(store, "many", texts, 4);
    assert_int_equal(prefs_add_label(store, item, hands[0], first, -1, 0, &added, &err), 0);
    assert_int_equal(prefs_add_label(store, item, hands[1], second, -1, 0, &added, &err), 0);
    item = add_texts(store, "one", texts, 1);
    assert_int_equal(prefs_add_label(store, item, hands[0], none, -1, 1, &added, &err), 0);
    assert_int_equal(prefs_add_label(store, item, hands[1], none, -1, 1, &added, &err), 0);
    assert_int_equal(prefs_add_label(store, item, hands[2], none, -1, -1, &added, &err), 0);
    return store;
}

static void count(struct prefs *store, const struct prefs_query *query, int64_t rankings_wanted, int64_t pairs_wanted)
{
    struct prefs_rankings *rankings = NULL;
    const struct prefs_ranking *ranking = NULL;
    struct prefs_pair pair;
    int64_t count = 0;
    assert_int_equal(prefs_rankings_open(&rankings, store, query, &err), 0);
    while (prefs_rankings_next(rankings, &ranking, &err) == 1) {
        count++;
    }
    prefs_rankings_close(rankings);
    assert_int_equal(count, rankings_wanted);
    assert_int_equal(prefs_rankings_open(&rankings, store, query, &err), 0);
    for (count = 0; prefs_rankings_next_pair(rankings, &pair, &err) == 1; count++) {
        assert_true(pair.tie ? pair.chosen->rank == pair.rejected->rank : pair.chosen->rank < pair.rejected->rank);
        assert_int_equal(pair.rank_gap, pair.rejected->rank - pair.chosen->rank);
        assert_true(pair.chosen->text != NULL && strlen(pair.chosen->text) == pair.chosen->length);
    }
    prefs_rankings_close(rankings);
    assert_int_equal(count, pairs_wanted);
}

static void test_rankings_and_pairs(void **state)
{
    (void)state;
    static const char *const ann[] = {"ann"}, *const nobody[] = {"nobody"};
    struct prefs *store = labelled("rankings.db");
    struct prefs_query all = {.project = 1}, only_ann = {.project = 1, .annotators = ann, .annotator_count = 1};
    struct prefs_query agreed = {.project = 1, .min_agreement = 0.6},
                       unknown = {.project = 1, .annotators = nobody, .annotator_count = 1};
    struct prefs_rankings *rankings = NULL;
    count(store, &all, 14, 9 + 3 + 6);
    assert_int_equal(number_of(scratch_path("rankings.db"), "SELECT count(*) FROM pair"), 18);
    assert_int_equal(number_of(scratch_path("rankings.db"), "SELECT sum(rank_gap) FROM pair"),
                     7 + (1 + 2 + 1) + (1 + 1 + 1 + 2 + 2 + 3));
    count(store, &only_ann, 6, 4 + 3);
    /* Item 3 agrees on nothing; 5 on two of three pairs; 6 on one of three. */
    count(store, &agreed, 9, 7 + 3 + 6);
    assert_int_equal(prefs_rankings_open(&rankings, store, &unknown, &err), PREFS_REFUSED);
    int64_t splits = 0;
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"train", "valid", "test"};
        struct prefs_query query = {.project = 1, .split = names[i]};
        const struct prefs_ranking *ranking = NULL;
        assert_int_equal(prefs_rankings_open(&rankings, store, &query, &err), 0);
        while (prefs_rankings_next(rankings, &ranking, &err) == 1) {
            assert_string_equal(ranking->split, names[i]);
            splits++;
        }
        prefs_rankings_close(rankings);
    }
    assert_int_equal(splits, 14);
    assert_int_equal(prefs_add_gold(store, 1, 0, 1, 0, "", &err), 0);
    count(store, &all, 11, 15);
    prefs_close(store);
    assert_clean(scratch_path("rankings.db"));
}

static void near(double value, double wanted)
{
    if (!(fabs(value - wanted) < 1e-9)) {
        fail_msg("%.12g instead of %.12g", value, wanted);
    }
}

static void test_figures(void **state)
{
    (void)state;
    struct prefs *store = labelled("report.db");
    struct report *report = NULL;
    assert_int_equal(report_make(&report, store, 1, &err), 0);
    assert_int_equal(report->judgments, 14);
    assert_int_equal(report->pairs, 18);
    assert_int_equal(report->ties, 2);
    /* Pairs of annotators: item 1 three of three, 2 and 4 one of one, 3 none of one, 5 two of three, 6 one of three. */
    assert_int_equal(report->agreement.trials, 12);
    assert_int_equal(report->agreement.hits, 8);
    assert_int_equal(report->decided_agreement.trials, 11);
    assert_int_equal(report->decided_agreement.hits, 7);
    /* ann and ben: 8 units, 6 the same; they say first, tie, second 7, 1, 0 and 5, 1, 2 times. */
    assert_int_equal(report->kappas[0].units, 8);
    near(report->kappas[0].kappa, (6.0 / 8 - (7 * 5 + 1) / 64.0) / (1 - (7 * 5 + 1) / 64.0));
    /* Longer won 6 of 7 decided pairs of different length; no order was recorded. */
    assert_int_equal(report->longer_wins.trials, 7);
    assert_int_equal(report->longer_wins.hits, 6);
    assert_int_equal(report->first_wins.trials, 0);
    /* "strong" won 6, tied 2, lost 1. */
    assert_int_equal(report->model_count, 2);
    assert_string_equal(report->models[0].name, "strong");
    near(report->models[0].wins, 7);
    near(report->models[0].comparisons, 9);
    assert_true(report->models[0].low < report->models[0].strength &&
                report->models[0].strength < report->models[0].high);
    struct strbuf text = {0};
    report_json(&text, report);
    json_t *json = json_read_text(text.data, text.length, "the report", &err);
    assert_non_null(json);
    assert_int_equal(json_integer_value(json_object_get(json, "pairs")), 18);
    assert_true(json_is_null(json_object_get(json_object_get(json, "first_wins"), "share")));
    json_decref(json);
    strbuf_free(&text);
    report_free(report);
    prefs_close(store);
}

/* People's work: gold, positions, repeats, times. */
static void test_people(void **state)
{
    (void)state;
    struct prefs *store = new_store("people.db");
    int64_t ann = add_person(store, "ann", PREFS_ROLE_ANNOTATOR, NULL), id = 0;
    struct prefs_settings settings;
    struct report *report = NULL;
    add_items(store, 0, 60, 2);
    assert_int_equal(prefs_add_gold(store, 60, 0, 1, 0, "", &err), 0);
    assert_int_equal(prefs_get_settings(store, 1, &settings, &err), 0);
    settings.gold_permille = 1000;
    settings.repeat_permille = 1000;
    assert_int_equal(prefs_set_settings(store, 1, &settings, &err), 0);
    int first_wins = 0;
    for (int i = 0; i < 30; i++) {
        struct prefs_task task = {0};
        assert_int_equal(prefs_next_task(store, 1, ann, &task, &err), 1);
        struct prefs_judgment judgment = ranked_as_shown(&task);
        bool slot_zero_first = strncmp(prefs_task_answer(&task, 0), "answer 0", 8) == 0;
        /* Always slot 0, wherever it is shown: right on gold, the same on repeats. */
        judgment.ranks[0] = slot_zero_first ? 1 : 2;
        judgment.ranks[1] = slot_zero_first ? 2 : 1;
        judgment.active_ms = 1000 * (i + 1);
        assert_int_equal(prefs_submit(store, ann, &judgment, &id, &err), 0);
        first_wins += slot_zero_first;
        prefs_task_free(&task);
    }
    assert_int_equal(report_make(&report, store, 1, &err), 0);
    const struct report_annotator *person = &report->annotators[0];
    assert_int_equal(person->judged, 30);
    assert_int_equal(person->gold.trials, 1);
    assert_int_equal(person->gold.hits, 1);
    assert_true(person->self.trials >= 5);
    assert_int_equal(person->self.hits, person->self.trials);
    assert_int_equal(report->first_wins.trials, 30 - 1 - person->self.trials);
    assert_true(report->first_wins.hits <= first_wins);
    assert_true(person->median_seconds > 10 && person->median_seconds < 20);
    report_free(report);
    prefs_close(store);
    assert_clean(scratch_path("people.db"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rankings_and_pairs),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_people),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
