/*
 * tests/reward/test_evaluation.c - shares with intervals, correlation, groups, calibration and the figures, on scores
 * made up for the purpose.
 */
#include "support/cmocka.h"

#include "base/json.h"
#include "base/random.h"
#include "reward/evaluation_figures.h"
#include "reward/evaluation_groups.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <math.h>
#include <string.h>

static void expect_near(const char *what, double got, double want, double bound)
{
    if (!(fabs(got - want) <= bound)) {
        fail_msg("%s is %.9g instead of %.9g", what, got, want);
    }
}

/* ---- measures ---- */

static void independent_trials_have_wilsons_interval(void **state)
{
    (void)state;
    struct share_sums sums = {0};
    for (int i = 0; i < 100; i++) {
        share_add(&sums, i, i % 10 < 8);
    }
    struct share share = share_of(&sums);
    expect_near("the value", share.value, 0.8, 1e-12);
    /* v has C / (C - 1), so 99 of 100 count. Wilson for 0.8 of 99 (by its formula): 0.7107 .. 0.8670 */
    expect_near("the effective number", share.effective, 99, 1e-6);
    expect_near("the lower bound", share.low, 0.7107, 2e-4);
    expect_near("the upper bound", share.high, 0.8670, 2e-4);
    expect_near("the standard error", share.error, sqrt(0.8 * 0.2 / 99), 1e-9);
}

/* The same trial told four times is no more than one. */
static void repeated_trials_are_one(void **state)
{
    (void)state;
    struct share_sums once = {0}, often = {0};
    for (int prompt = 0; prompt < 50; prompt++) {
        for (int i = 0; i < 4; i++) {
            if (i == 0) {
                share_add(&once, prompt, prompt % 3 > 0);
            }
            share_add(&often, prompt, prompt % 3 > 0);
        }
    }
    struct share a = share_of(&once), b = share_of(&often);
    assert_int_equal(b.trials, 200);
    assert_int_equal(b.prompts, 50);
    expect_near("the lower bound", b.low, a.low, 1e-12);
    expect_near("the upper bound", b.high, a.high, 1e-12);
}

static void shares_at_their_ends(void **state)
{
    (void)state;
    struct share_sums none = {0}, all = {0}, lone = {0};
    assert_true(isnan(share_of(&none).value) && isnan(share_of(&none).low));
    for (int i = 0; i < 30; i++) {
        share_add(&all, i / 3, 1);
    }
    struct share share = share_of(&all);
    assert_true(share.value == 1 && share.effective == 10);
    expect_near("the upper bound", share.high, 1, 1e-12);
    expect_near("the lower bound", share.low, 10 / (10 + 1.959964 * 1.959964), 1e-6); /* Wilson of 10 of 10 */
    share_add(&lone, 0, 1);
    share_add(&lone, 0, 0);
    share = share_of(&lone);
    assert_true(share.value == 0.5 && share.low > 0 && share.low < 0.1 && share.high > 0.9);
}

/* Nineteen of twenty intervals hold the truth, though the trials of a prompt hang together. */
static void intervals_hold_the_truth(void **state)
{
    (void)state;
    int held = 0;
    for (uint64_t run = 0; run < 2000; run++) {
        struct share_sums sums = {0};
        for (uint64_t prompt = 0; prompt < 60; prompt++) {
            double of_prompt = random_uniform(run, RANDOM_MIX, prompt, 0) < 0.7 ? 0.9 : 0.3; /* 0.72 on average */
            uint64_t trials = 1 + random_u64(run, RANDOM_MIX, prompt, 1) % 6;
            for (uint64_t i = 0; i < trials; i++) {
                share_add(&sums, (int64_t)prompt, random_uniform(run, RANDOM_MIX, prompt, 2 + i) < of_prompt);
            }
        }
        struct share share = share_of(&sums);
        held += share.low <= 0.72 && 0.72 <= share.high;
    }
    assert_in_range(held, 1860, 1940); /* 95 % of 2000, give or take */
}

static void correlations(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3, 4, 5}, y[] = {2, 4, 5, 4, 5}; /* 6 / sqrt(10 * 6) */
    struct correlation up = {0}, far = {0}, flat = {0};
    for (int i = 0; i < 5; i++) {
        correlation_add(&up, x[i], y[i]);
        correlation_add(&far, x[i] + 1e9, -y[i]);
        correlation_add(&flat, x[i], 3);
    }
    expect_near("the correlation", correlation_of(&up), 6 / sqrt(60), 1e-12);
    expect_near("the correlation far from zero", correlation_of(&far), -6 / sqrt(60), 1e-6);
    assert_true(isnan(correlation_of(&flat)));
}

/* ---- a set with scores ---- */

enum { RANKINGS = 40, MOST = 3 };

/* Rankings of three answers on twenty prompts; scores of a known kind. */
struct made {
    struct ranking rankings[RANKINGS];
    int32_t ranks[RANKINGS][MOST], positions[RANKINGS][MOST], characters[RANKINGS][MOST], starts[RANKINGS][MOST + 1];
    struct recipe_dataset entries[2];
    struct recipe_datasets list;
    struct ranking_set set;
    struct evaluation evaluation;
};

static const char *const texts[MOST] = {"the first \"answer\"", "the second\nanswer", "the third"};

static void made_open(struct made *made)
{
    struct err err;
    memset(made, 0, sizeof *made);
    made->entries[0].path = (char *)(uintptr_t) "folder/one.jsonl";
    made->entries[1].path = (char *)(uintptr_t) "two.jsonl";
    made->entries[1].split = (char *)(uintptr_t) "valid";
    made->list = (struct recipe_datasets){.items = made->entries, .count = 2};
    for (int r = 0; r < RANKINGS; r++) {
        struct ranking *ranking = &made->rankings[r];
        for (int a = 0; a < MOST; a++) {
            made->ranks[r][a] = a == 2 ? 2 + r % 3 : a + 1; /* 1 2 2, 1 2 3, 1 2 4 */
            made->positions[r][a] = r % 2 ? -1 : (a + r / 2) % MOST;
            made->characters[r][a] = 10 * (1 + (a + r) % 3);
            made->starts[r][a] = a;
        }
        *ranking = (struct ranking){
            .family = {.starts = made->starts[r], .count = MOST},
            .ranks = made->ranks[r],
            .positions = made->positions[r],
            .characters = made->characters[r],
            .texts = texts,
            .prompt = "what is it?",
            .annotator = r % 2 ? "ann" : NULL,
            .strength = -1,
            .agreement = r % 4 ? 0.25 * (r % 4) : (double)NAN,
            .weight = 1 + r % 2,
            .prompt_hash = (uint64_t)(r % 20 * 7919 % 20), /* not in order */
            .place = r + 1,
            .source = r % 2,
            .copy = r == 39,
        };
    }
    made->set = (struct ranking_set){.rankings = made->rankings, .count = RANKINGS, .best_accuracy = 0.9};
    must(evaluation_open(&made->evaluation, &made->set, &made->list, INT64_MAX, &err));
    for (int64_t i = 0; i < made->evaluation.count; i++) {
        for (int a = 0; a < MOST; a++) { /* the third answer too high in every fifth ranking */
            made->evaluation.scores[made->evaluation.starts[i] + a] =
                (float)(made->evaluation.rankings[i] % 5 == 0 && a == 2 ? 1.5 + 0.01 * (double)i : 1 - a);
        }
    }
}

static void summary(void **state)
{
    (void)state;
    struct made made;
    struct evaluation_summary summary;
    made_open(&made);
    const struct reward_loss_options options = {0};
    evaluation_measure(&made.evaluation, &options, &summary);
    int64_t comparisons = 0, right = 0;
    double longer = 0, margin = 0, loss = 0, weights = 0, sum = 0;
    for (int r = 0; r < RANKINGS - 1; r++) { /* the copy does not count */
        double of_ranking = 0;
        int pairs = 0;
        const float *scores = made.evaluation.scores + made.evaluation.starts[r];
        for (int a = 0; a < MOST; a++) {
            sum += (double)scores[a];
            for (int b = a + 1; b < MOST; b++) {
                if (made.ranks[r][a] == made.ranks[r][b]) {
                    continue;
                }
                double apart = (double)scores[a] - (double)scores[b];
                int32_t more = made.characters[r][a] - made.characters[r][b];
                comparisons++;
                right += apart > 0;
                longer += more > 0 ? 1 : more < 0 ? 0 : 0.5;
                margin += apart;
                of_ranking += log1p(exp(-apart));
                pairs++;
            }
        }
        loss += made.rankings[r].weight * of_ranking / pairs;
        weights += made.rankings[r].weight;
    }
    assert_int_equal(summary.accuracy.trials, comparisons);
    assert_int_equal(summary.accuracy.prompts, 20);
    expect_near("the accuracy", summary.accuracy.value, (double)right / (double)comparisons, 1e-12);
    expect_near("the longer answer's", summary.length_accuracy.value, longer / (double)comparisons, 1e-12);
    expect_near("the advantage", summary.advantage.value, summary.accuracy.value - summary.length_accuracy.value,
                1e-12);
    expect_near("the margin", summary.margin, margin / (double)comparisons, 1e-9);
    expect_near("the loss", summary.loss, loss / weights, 1e-9);
    expect_near("the mean", summary.mean, sum / (3 * 39), 1e-9);
    assert_int_equal(summary.answers, 3 * 39);
    assert_int_equal(summary.positions, 3 * 20);
    assert_true(summary.least == -1 && summary.most > 1.8);
    evaluation_close(&made.evaluation);
}

static void a_sample_is_spread_evenly(void **state)
{
    (void)state;
    struct made made;
    struct err err;
    struct evaluation sample;
    made_open(&made);
    must(evaluation_open(&sample, &made.set, &made.list, 10, &err));
    assert_int_equal(sample.count, 10);
    for (int64_t i = 0; i < sample.count; i++) {
        assert_in_range(sample.rankings[i], 39 * i / 10, 39 * i / 10 + 1);
    }
    evaluation_close(&sample);
    evaluation_close(&made.evaluation);
}

static void groups(void **state)
{
    (void)state;
    struct made made;
    made_open(&made);
    int64_t of_sources = 0;
    struct evaluation_summary summary;
    const struct reward_loss_options options = {0};
    evaluation_measure(&made.evaluation, &options, &summary);
    for (int g = 0; g < grouping_count; g++) {
        struct share shares[GROUPS_MAX];
        int64_t trials = 0;
        int filled = grouping_measure(&groupings[g], &made.evaluation, shares);
        for (int i = 0; i < groupings[g].count; i++) {
            trials += shares[i].trials;
        }
        if (strstr(groupings[g].title, "strength")) { /* nobody said */
            assert_int_equal(filled, 0);
        } else if (strstr(groupings[g].title, "position")) {
            assert_true(filled == 2 && trials < summary.accuracy.trials && trials > 0);
        } else {
            assert_true(filled >= 2 && trials == summary.accuracy.trials);
        }
    }
    for (int32_t s = 0; s < 2; s++) {
        of_sources += evaluation_of_source(&made.evaluation, s).trials;
    }
    assert_int_equal(of_sources, summary.accuracy.trials);
    evaluation_close(&made.evaluation);
}

static void the_worst(void **state)
{
    (void)state;
    struct made made;
    struct comparison worst[WORST_MAX];
    made_open(&made);
    int count = worst_find(&made.evaluation, worst);
    assert_int_equal(count, 4); /* rankings 0, 5, .., 35 are wrong; on prompts 0, 5, 10, 15 */
    for (int i = 0; i < count; i++) {
        assert_int_equal(worst[i].worse, 2);
        for (int j = 0; j < i; j++) {
            assert_true(worst[j].prompt != worst[i].prompt &&
                        comparison_margin(&worst[j]) <= comparison_margin(&worst[i]));
        }
    }
    expect_near("the worst margin", comparison_margin(&worst[0]), 0 - (1.5 + 0.35), 1e-6);
    evaluation_close(&made.evaluation);
}

/* Labels drawn with the probability that the scores say: calibrated by construction. */
static void calibrated_scores(void **state)
{
    (void)state;
    static struct ranking rankings[4000];
    static const int32_t first[] = {1, 2}, second[] = {2, 1}, starts[] = {0, 1, 2}, other[] = {-1, -1},
                         long_[] = {9, 9};
    struct err err;
    struct evaluation evaluation;
    struct calibration calibration;
    for (int r = 0; r < 4000; r++) {
        double apart = 6 * random_uniform(1, RANDOM_MIX, (uint64_t)r, 0) - 3;
        bool wins = random_uniform(1, RANDOM_MIX, (uint64_t)r, 1) < 1 / (1 + exp(-apart));
        rankings[r] = (struct ranking){.family = {.starts = (int32_t *)(uintptr_t)starts, .count = 2},
                                       .ranks = wins ? first : second,
                                       .positions = other,
                                       .characters = long_,
                                       .prompt_hash = (uint64_t)r,
                                       .weight = 1};
    }
    struct ranking_set set = {.rankings = rankings, .count = 4000, .best_accuracy = 1};
    must(evaluation_open(&evaluation, &set, NULL, INT64_MAX, &err));
    for (int64_t r = 0; r < 4000; r++) {
        evaluation.scores[2 * r] = (float)(6 * random_uniform(1, RANDOM_MIX, (uint64_t)r, 0) - 3);
        evaluation.scores[2 * r + 1] = 0;
    }
    calibration_measure(&evaluation, &calibration);
    for (int b = 0; b < CALIBRATION_BINS; b++) {
        assert_true(calibration.predicted[b] >= 0.5 + 0.05 * b && calibration.predicted[b] <= 0.55 + 0.05 * b);
        expect_near("the observed share", calibration.observed[b].value, calibration.predicted[b], 0.09);
    }
    assert_true(calibration.error < 0.03);
    for (int64_t i = 0; i < 8000; i++) {
        evaluation.scores[i] *= 10; /* too sure of itself */
    }
    calibration_measure(&evaluation, &calibration);
    assert_true(calibration.error > 0.1);
    evaluation_close(&evaluation);
}

/* ---- figures.json ---- */

static json_t *write_figures(const struct figures *figures)
{
    struct err err;
    must(figures_write(figures, temporary("."), &err));
    json_t *root = json_read_file(temporary("figures.json"), 1 << 24, &err);
    if (!root) {
        fail_msg("%s", err.text);
    }
    return root;
}

/* Every figure has the members that report/report.h asks for. */
static void check_figure(const json_t *figure)
{
    const char *kind = json_string_value(json_object_get(figure, "kind"));
    const json_t *list;
    size_t i, p;
    json_t *item;
    assert_non_null(json_string_value(json_object_get(figure, "title")));
    assert_non_null(kind);
    if (strcmp(kind, "chart") == 0) {
        list = json_object_get(figure, "series");
        assert_true(json_array_size(list) > 0);
        json_array_foreach(list, i, item)
        {
            const json_t *points = json_object_get(item, "points"), *low = json_object_get(item, "low");
            assert_non_null(json_string_value(json_object_get(item, "mark")));
            for (p = 0; p < json_array_size(points); p++) {
                assert_int_equal(json_array_size(json_array_get(points, p)), 2);
            }
            if (low) {
                assert_int_equal(json_array_size(low), json_array_size(points));
                assert_int_equal(json_array_size(json_object_get(item, "high")), json_array_size(points));
            }
        }
    } else if (strcmp(kind, "table") == 0) {
        list = json_object_get(figure, "rows");
        assert_true(json_array_size(list) > 0);
        json_array_foreach(list, i, item)
            assert_int_equal(json_array_size(item), json_array_size(json_object_get(figure, "columns")));
    } else {
        assert_string_equal(kind, "texts");
        list = json_object_get(figure, "items");
        assert_true(json_array_size(list) > 0);
        json_array_foreach(list, i, item)
        {
            assert_non_null(strstr(json_string_value(json_object_get(item, "heading")), "apart"));
            assert_non_null(strstr(json_string_value(json_object_get(item, "body")), "what is it?"));
        }
    }
}

static void figures(void **state)
{
    (void)state;
    struct made made;
    const struct reward_loss_options options = {0};
    made_open(&made);
    struct evaluation sample = made.evaluation; /* the same numbers, as of the training */
    struct figures figures = {.held_out = &made.evaluation, .sample = &sample, .options = &options, .step = 7};
    for (int round = 0; round < 2; round++) {
        json_t *root = write_figures(&figures), *figure;
        size_t i;
        json_array_foreach(json_object_get(root, "figures"), i, figure) check_figure(figure);
        /* Accuracy, by gap, agreement, length, position, calibration, scores, correlations, worst. */
        assert_int_equal(i, 9);
        const json_t *accuracy = json_array_get(json_object_get(root, "figures"), 0);
        const char *text = json_string_value(json_object_get(accuracy, "text"));
        assert_non_null(strstr(text, "the longer answer wins"));
        assert_non_null(strstr(text, "more than 90.0 %")); /* labels contradict each other */
        assert_true((strstr(text, "Nothing was held out") != NULL) == (round == 1));
        /* The held-out set, its two entries, and the training's sample. */
        assert_int_equal(json_array_size(json_object_get(accuracy, "rows")), round == 0 ? 4 : 1);
        json_decref(root);
        figures.held_out = NULL;
    }
    evaluation_close(&made.evaluation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(independent_trials_have_wilsons_interval),
        cmocka_unit_test(repeated_trials_are_one),
        cmocka_unit_test(shares_at_their_ends),
        cmocka_unit_test(intervals_hold_the_truth),
        cmocka_unit_test(correlations),
        cmocka_unit_test(summary),
        cmocka_unit_test(a_sample_is_spread_evenly),
        cmocka_unit_test(groups),
        cmocka_unit_test(the_worst),
        cmocka_unit_test(calibrated_scores),
        cmocka_unit_test(figures),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
