/*
 * tests/reward/test_loss.c - the loss of a ranking against its formula written out, and against finite differences.
 */
#include "support/cmocka.h"

#include "base/random.h"
#include "reward/loss.h"
#include <math.h>
#include <string.h>

enum { ANSWERS = 9 };

static const struct reward_loss_options plain = {0};

static void expect_near(const char *what, double got, double want, double bound)
{
    if (!(fabs(got - want) <= bound)) {
        fail_msg("%s is %.12g instead of %.12g", what, got, want);
    }
}

/* -log sigmoid(z), by the formula: fine for moderate z. */
static double minus_log_sigmoid(double z)
{
    return -log(1 / (1 + exp(-z)));
}

static void draw(float *values, int32_t count, uint64_t seed, double deviation)
{
    for (int32_t i = 0; i < count; i++) {
        values[i] = (float)(deviation * random_normal(seed, RANDOM_MIX, (uint64_t)i, 0));
    }
}

static void two_answers_are_the_pairwise_loss(void **state)
{
    (void)state;
    struct reward_outcome outcome;
    const int32_t ranks[] = {2, 1};
    for (uint64_t seed = 0; seed < 20; seed++) {
        float scores[2], slopes[2];
        const float levels[] = {1, 1 + (float)random_uniform(seed, RANDOM_MIX, 7, 7)};
        double margin = (double)levels[1] - 1;
        draw(scores, 2, seed, 2);
        reward_loss(scores, ranks, levels, 2, &plain, 1, slopes, &outcome);
        double apart = (double)scores[1] - (double)scores[0];
        expect_near("the loss", outcome.loss, minus_log_sigmoid(apart - margin), 1e-12);
        expect_near("the better one's slope", slopes[1], 1 / (1 + exp(margin - apart)) - 1, 1e-7);
        assert_true(slopes[0] == -slopes[1]);
        assert_int_equal(outcome.pairs, 1);
        assert_int_equal(outcome.decided, 1);
        assert_int_equal(outcome.correct, apart > 0);
        expect_near("the margin", outcome.margin, apart, 1e-12);
    }
}

static void a_ranking_is_the_mean_of_its_pairs(void **state)
{
    (void)state;
    const int32_t ranks[ANSWERS] = {3, 1, 0, 2, 2, 5, 4, 1, 6}; /* two ties, and one that nobody ranked */
    float scores[ANSWERS];
    struct reward_outcome outcome;
    double loss = 0, margin = 0;
    int32_t pairs = 0, correct = 0;
    draw(scores, ANSWERS, 3, 1.5);
    for (int i = 0; i < ANSWERS; i++) {
        for (int j = 0; j < ANSWERS; j++) {
            if (ranks[i] && ranks[j] && ranks[i] < ranks[j]) {
                double apart = (double)scores[i] - (double)scores[j];
                loss += minus_log_sigmoid(apart);
                margin += apart;
                correct += apart > 0;
                pairs++;
            }
        }
    }
    assert_int_equal(pairs, 26);
    reward_loss(scores, ranks, NULL, ANSWERS, &plain, 1, NULL, &outcome);
    expect_near("the loss", outcome.loss, loss / pairs, 1e-12);
    expect_near("the margin", outcome.margin, margin, 1e-12);
    assert_int_equal(outcome.pairs, pairs);
    assert_int_equal(outcome.decided, pairs);
    assert_int_equal(outcome.correct, correct);
    reward_loss(scores, ranks, NULL, ANSWERS, &(struct reward_loss_options){.ties = true}, 1, NULL, &outcome);
    assert_int_equal(outcome.pairs, pairs + 2);
}

static void ties(void **state)
{
    (void)state;
    const int32_t ranks[] = {1, 1};
    const float scores[] = {0.75f, -0.5f}, levels[] = {3, 1};
    float slopes[2] = {7, 7};
    struct reward_outcome outcome;
    reward_loss(scores, ranks, levels, 2, &plain, 1, slopes, &outcome); /* left out: nothing is learned */
    assert_int_equal(outcome.pairs, 0);
    assert_true(outcome.loss == 0 && slopes[0] == 0 && slopes[1] == 0);
    /* Pulled together, without the margin. */
    reward_loss(scores, ranks, levels, 2, &(struct reward_loss_options){.ties = true}, 1, slopes, &outcome);
    expect_near("the loss", outcome.loss, 0.5 * minus_log_sigmoid(1.25) + 0.5 * minus_log_sigmoid(-1.25), 1e-12);
    expect_near("the higher one's slope", slopes[0], 1 / (1 + exp(-1.25)) - 0.5, 1e-7);
    assert_int_equal(outcome.pairs, 1);
    assert_int_equal(outcome.decided, 0);
}

static void smoothing_and_centering(void **state)
{
    (void)state;
    const int32_t ranks[] = {1, 2};
    const float scores[] = {1.5f, 0.25f}, levels[] = {0.5f, 0};
    struct reward_outcome outcome;
    reward_loss(scores, ranks, levels, 2, &(struct reward_loss_options){.label_smoothing = 0.1, .centering = 0.01}, 1,
                NULL, &outcome);
    expect_near("the loss", outcome.loss,
                0.9 * minus_log_sigmoid(0.75) + 0.1 * minus_log_sigmoid(-0.75) + 0.01 * 1.75 * 1.75, 1e-12);
}

/* Central differences of the loss, over every option at once. */
static void slopes_are_derivatives(void **state)
{
    (void)state;
    const int32_t rankings[][ANSWERS] = {
        {1, 2, 3, 4, 5, 6, 7, 8, 9}, {2, 1, 1, 0, 3, 3, 3, 4, 2}, {1, 1, 1, 1, 1, 1, 1, 1, 2}};
    for (int32_t r = 0; r < 3; r++) {
        for (int32_t count = 2; count <= ANSWERS; count++) {
            for (unsigned options = 0; options < 16; options++) {
                const struct reward_loss_options chosen = {
                    .ties = options & 1, .label_smoothing = options & 2 ? 0.2 : 0, .centering = options & 4 ? 0.05 : 0};
                double weight = 0.25;
                float scores[ANSWERS], slopes[ANSWERS], levels[ANSWERS];
                struct reward_outcome outcome, up, down;
                draw(scores, count, options, 1);
                for (int32_t i = 0; i < count; i++) {
                    levels[i] = -0.7f * (float)rankings[r][i];
                }
                reward_loss(scores, rankings[r], options & 8 ? levels : NULL, count, &chosen, weight, slopes, &outcome);
                for (int32_t i = 0; i < count; i++) {
                    float moved[ANSWERS];
                    memcpy(moved, scores, sizeof moved);
                    moved[i] = scores[i] + 0x1p-8f;
                    reward_loss(moved, rankings[r], options & 8 ? levels : NULL, count, &chosen, weight, NULL, &up);
                    double above = moved[i];
                    moved[i] = scores[i] - 0x1p-8f;
                    reward_loss(moved, rankings[r], options & 8 ? levels : NULL, count, &chosen, weight, NULL, &down);
                    expect_near("a slope", slopes[i], weight * (up.loss - down.loss) / (above - (double)moved[i]),
                                1e-5);
                }
            }
        }
    }
}

/* A shift of all scores is not seen, unless scores are centered. */
static void only_differences_count(void **state)
{
    (void)state;
    const int32_t ranks[] = {2, 1, 3, 3};
    const float scores[] = {0.5f, -1, 2, 0.25f}, shifted[] = {8.5f, 7, 10, 8.25f};
    struct reward_outcome here, there;
    float slopes[4];
    reward_loss(scores, ranks, NULL, 4, &plain, 1, slopes, &here);
    reward_loss(shifted, ranks, NULL, 4, &plain, 1, NULL, &there);
    assert_true(here.loss == there.loss && here.margin == there.margin);
    expect_near("the sum of the slopes", (double)slopes[0] + slopes[1] + slopes[2] + slopes[3], 0, 1e-7);
}

static void extreme_scores(void **state)
{
    (void)state;
    const int32_t ranks[] = {1, 2};
    const float right[] = {3e38f, -3e38f}, wrong[] = {-3e38f, 3e38f}, far[] = {-500, 500}, equal[] = {2, 2};
    float slopes[2];
    struct reward_outcome outcome;
    reward_loss(right, ranks, NULL, 2, &plain, 1, slopes, &outcome);
    assert_true(outcome.loss == 0 && slopes[0] == 0 && slopes[1] == 0);
    reward_loss(wrong, ranks, NULL, 2, &plain, 1, slopes, &outcome);
    assert_true(isfinite(outcome.loss) && outcome.loss > 5e38 && slopes[0] == -1 && slopes[1] == 1);
    reward_loss(far, ranks, NULL, 2, &(struct reward_loss_options){.label_smoothing = 0.25}, 1, slopes, &outcome);
    expect_near("the loss of 1000 apart", outcome.loss, 750, 1e-9);
    assert_true(slopes[0] == -0.75f && slopes[1] == 0.75f);
    reward_loss(equal, ranks, NULL, 2, &plain, 1, slopes, &outcome);
    expect_near("the loss of equal scores", outcome.loss, log(2), 1e-12);
    assert_int_equal(outcome.correct, 0); /* not higher */
    const float broken[] = {NAN, 1};
    reward_loss(broken, ranks, NULL, 2, &plain, 1, slopes, &outcome);
    assert_true(isnan(outcome.loss)); /* the loop skips such a step */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_answers_are_the_pairwise_loss),
        cmocka_unit_test(a_ranking_is_the_mean_of_its_pairs),
        cmocka_unit_test(ties),
        cmocka_unit_test(smoothing_and_centering),
        cmocka_unit_test(slopes_are_derivatives),
        cmocka_unit_test(only_differences_count),
        cmocka_unit_test(extreme_scores),
    };
    return cmocka_run_group_tests_name("loss", tests, NULL, NULL);
}
