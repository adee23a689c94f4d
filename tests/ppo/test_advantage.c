/*
 * tests/ppo/test_advantage.c - rewards, advantages and returns: beside PyTorch's of the same answers, and where they
 * are known without it.
 */
#include "support/cmocka.h"

#include "base/mem.h"
#include "ppo/helper_rollout.h"
#include "ppo/options.h"
#include "support/fixture.h"
#include <math.h>
#include <string.h>

#define EPSILON 1e-9

/* ---- beside the equations in PyTorch ---- */

static void test_fixture(void **state)
{
    (void)state;
    struct rollout rollout;
    rollout_open(&rollout);
    struct episodes *episodes = &rollout.episodes;
    const json_t *one;
    size_t cases = 0;
    for (; (one = rollout_case(&rollout, cases)); cases++) {
        struct ppo_recipe recipe = rollout_recipe(&rollout, one);
        const struct advantage_options options = ppo_advantage_options(&recipe);
        struct score_statistics statistics = rollout_statistics(one, "statistics");
        struct score_statistics after = rollout_statistics(one, "statistics_after");
        struct advantage_summary summary;
        advantage_compute(episodes, &options, recipe.kl_coef, &statistics, &summary);
        expect_numbers(one, "rewards", episodes->rewards, episodes->token_count);
        expect_numbers(one, "advantages", episodes->advantages, episodes->token_count);
        expect_numbers(one, "returns", episodes->returns, episodes->token_count);
        expect_number(one, "kl", summary.kl);
        expect_number(one, "rlhf_reward", summary.rlhf_reward);
        expect_number(one, "equal_groups", (double)summary.equal_groups);
        if (recipe.advantage_estimator == PPO_ADVANTAGE_GAE) {
            expect_number(one, "explained_variance", explained_variance(episodes));
        }
        assert_near(statistics.count, recipe.use_score_norm ? after.count : 40, EPSILON);
        if (recipe.use_score_norm) {
            assert_near(statistics.mean, after.mean, EPSILON);
            assert_near(statistics.squares, after.squares, EPSILON);
        }
    }
    assert_int_equal(cases, 9);
    rollout_close(&rollout);
}

/* ---- known without it ---- */

/* Three answers of 1, 4 and 2 tokens; the second was cut. */
static void make_episodes(struct episodes *episodes, int64_t group_size)
{
    static const int64_t lengths[] = {1, 4, 2};
    static const double scores[] = {1, -3, 0.5};
    static const int32_t tokens[4] = {5, 6, 7, 8};
    struct err err;
    must(episodes_create(episodes, 3, 7, group_size, &err));
    for (int i = 0; i < 3; i++) {
        struct episode *episode = episodes_append(episodes, tokens, lengths[i], i != 1);
        episode->score = scores[i];
        assert_int_equal(episode->prompt, i / group_size);
        assert_int_equal(episode->sample, i % group_size);
    }
    for (int t = 0; t < 7; t++) {
        episodes->old_logprobs[t] = -1.0f - 0.25f * (float)t;
        episodes->reference_logprobs[t] = -1.5f;
        episodes->values[t] = 0.125f * (float)(t * t % 5);
    }
}

static const struct advantage_options plain_gae = {.estimator = PPO_ADVANTAGE_GAE, .gamma = 1, .lam = 1};

static void compute(struct episodes *episodes, const struct advantage_options *options, double kl_coef,
                    struct advantage_summary *summary)
{
    struct score_statistics statistics = {0};
    advantage_compute(episodes, options, kl_coef, &statistics, summary);
}

/* gamma = lam = 1: the return is what is still to come, whatever the values are. */
static void test_monte_carlo(void **state)
{
    (void)state;
    struct episodes episodes;
    struct advantage_summary summary;
    make_episodes(&episodes, 1);
    compute(&episodes, &plain_gae, 0.1, &summary);
    for (int64_t i = 0; i < 3; i++) {
        const struct episode *episode = &episodes.items[i];
        double left = episode->score;
        for (int64_t t = episode->first + episode->length - 1; t >= episode->first; t--) {
            double kl = (double)episodes.old_logprobs[t] - (double)episodes.reference_logprobs[t];
            left -= 0.1 * kl;
            assert_near(episodes.returns[t], left, EPSILON);
        }
    }
    assert_near(summary.score, -0.5, EPSILON);
    assert_near(summary.score_deviation, sqrt((2.25 + 6.25 + 1) / 3), EPSILON);
    assert_near(summary.length, 7.0 / 3, EPSILON);
    assert_near(summary.rlhf_reward, summary.score + summary.non_score_reward, EPSILON);
    assert_near(summary.non_score_reward, -0.1 * summary.kl, EPSILON);
    assert_int_equal(summary.stopped, 2);
    assert_int_equal(summary.groups, 3);
    assert_int_equal(summary.equal_groups, 0);
    episodes_free(&episodes);
}

/* lam = 0: the return is the reward and the value of the next state, 0 behind the last token. */
static void test_one_step(void **state)
{
    (void)state;
    struct episodes episodes;
    struct advantage_summary summary;
    struct advantage_options options = {.estimator = PPO_ADVANTAGE_GAE, .gamma = 0.5, .lam = 0};
    make_episodes(&episodes, 1);
    compute(&episodes, &options, 0, &summary);
    for (int64_t i = 0; i < 3; i++) {
        const struct episode *episode = &episodes.items[i];
        for (int64_t t = 0; t < episode->length; t++) {
            bool last = t == episode->length - 1;
            double expected = last ? episode->score : 0.5 * (double)episodes.values[episode->first + t + 1];
            assert_near(episodes.returns[episode->first + t], expected, EPSILON);
        }
    }
    episodes_free(&episodes);
}

/* Advantages have mean 0 and deviation 1 over all tokens; whitened rewards deviation 1 and the mean they had. */
static void test_whitening(void **state)
{
    (void)state;
    struct episodes episodes;
    struct advantage_summary summary;
    struct advantage_options options = plain_gae;
    make_episodes(&episodes, 1);
    compute(&episodes, &options, 0.1, &summary);
    double before = 0, mean = 0, squares = 0, rewards = 0, reward_squares = 0;
    for (int t = 0; t < 7; t++) {
        before += episodes.rewards[t] / 7;
        mean += episodes.advantages[t] / 7;
        squares += episodes.advantages[t] * episodes.advantages[t] / 7;
    }
    assert_near(mean, 0, EPSILON);
    assert_near(squares, 1, 1e-7);
    options.whiten_rewards = true;
    compute(&episodes, &options, 0.1, &summary);
    for (int t = 0; t < 7; t++) {
        rewards += episodes.rewards[t] / 7;
    }
    for (int t = 0; t < 7; t++) {
        reward_squares += (episodes.rewards[t] - rewards) * (episodes.rewards[t] - rewards) / 7;
    }
    assert_near(rewards, before, EPSILON);
    assert_near(reward_squares, 1, 1e-7);
    episodes_free(&episodes);
}

/* Nothing to tell apart: advantages of 0, not of 0 / 0. */
static void test_no_variance(void **state)
{
    (void)state;
    struct episodes episodes;
    struct advantage_summary summary;
    make_episodes(&episodes, 1);
    memset(episodes.values, 0, 7 * sizeof *episodes.values);
    for (int i = 0; i < 3; i++) {
        episodes.items[i].score = 0;
    }
    compute(&episodes, &plain_gae, 0, &summary);
    for (int t = 0; t < 7; t++) {
        assert_true(episodes.advantages[t] == 0);
    }
    assert_true(isnan(explained_variance(&episodes)));
    episodes_free(&episodes);
}

static double last_reward(const struct episodes *episodes, int64_t answer)
{
    const struct episode *episode = &episodes->items[answer];
    return episodes->rewards[episode->first + episode->length - 1];
}

static void test_scores(void **state)
{
    (void)state;
    struct episodes episodes;
    struct advantage_summary summary;
    struct advantage_options options = plain_gae;
    make_episodes(&episodes, 1);
    options.score_clip = 0.75;
    options.missing_eos_penalty = 2;
    compute(&episodes, &options, 0, &summary);
    assert_near(last_reward(&episodes, 0), 0.75, EPSILON);
    assert_near(last_reward(&episodes, 1), -2.75, EPSILON); /* the penalty is not clipped away */
    assert_near(last_reward(&episodes, 2), 0.5, EPSILON);
    assert_near(summary.score, -0.5, EPSILON); /* as given */
    episodes.items[0].score = NAN;             /* is not clipped into a number */
    compute(&episodes, &options, 0, &summary);
    assert_true(isnan(last_reward(&episodes, 0)));
    episodes_free(&episodes);
}

/* After any number of batches the statistics are those of all scores at once. */
static void test_score_norm(void **state)
{
    (void)state;
    struct episodes episodes;
    struct advantage_summary summary;
    struct score_statistics statistics = {0};
    struct advantage_options options = plain_gae;
    options.use_score_norm = true;
    make_episodes(&episodes, 1);
    double all[30], mean = 0, squares = 0;
    for (int batch = 0; batch < 10; batch++) {
        for (int i = 0; i < 3; i++) {
            all[3 * batch + i] = episodes.items[i].score = 100 + batch * batch - 7 * i * batch;
        }
        advantage_compute(&episodes, &options, 0, &statistics, &summary);
    }
    for (int i = 0; i < 30; i++) {
        mean += all[i] / 30;
    }
    for (int i = 0; i < 30; i++) {
        squares += (all[i] - mean) * (all[i] - mean);
    }
    assert_true(statistics.count == 30);
    assert_near(statistics.mean, mean, 1e-9);
    assert_near(statistics.squares, squares, 1e-6);
    for (int i = 0; i < 3; i++) {
        assert_near(last_reward(&episodes, i), (all[27 + i] - mean) / sqrt(squares / 30), 1e-6);
    }
    statistics = (struct score_statistics){0};
    for (int i = 0; i < 3; i++) {
        episodes.items[i].score = 0.1;
    }
    advantage_compute(&episodes, &options, 0, &statistics, &summary);
    assert_near(last_reward(&episodes, 0), 0, 1e-6); /* all equal so far */
    episodes_free(&episodes);
}

/* ---- groups ---- */

static void test_groups(void **state)
{
    (void)state;
    struct episodes episodes;
    struct advantage_summary summary;
    struct advantage_options options = {.estimator = PPO_ADVANTAGE_GRPO};
    make_episodes(&episodes, 3);
    const double mean = -0.5, deviation = sqrt((2.25 + 6.25 + 1) / 2);
    static const enum ppo_scale_rewards scales[] = {PPO_SCALE_GROUP, PPO_SCALE_BATCH, PPO_SCALE_NONE};
    for (int s = 0; s < 3; s++) {
        options.scale_rewards = scales[s];
        compute(&episodes, &options, 5, &summary); /* its KL is in the loss: the price does not matter here */
        for (int64_t i = 0; i < 3; i++) {
            const struct episode *episode = &episodes.items[i];
            double divisor = options.scale_rewards == PPO_SCALE_NONE ? 1 : deviation + 1e-4;
            for (int64_t t = episode->first; t < episode->first + episode->length; t++) {
                assert_near(episodes.advantages[t], (episode->score - mean) / divisor, EPSILON);
                assert_near(episodes.returns[t], episode->score, EPSILON);
            }
        }
    }
    options.estimator = PPO_ADVANTAGE_RLOO;
    compute(&episodes, &options, 0, &summary);
    assert_near(episodes.advantages[0], 1 - (-3 + 0.5) / 2, EPSILON);
    assert_near(episodes.advantages[1], -3 - (1 + 0.5) / 2, EPSILON);
    assert_near(episodes.advantages[4], -3 - (1 + 0.5) / 2, EPSILON);
    assert_near(episodes.advantages[6], 0.5 - (1 - 3) / 2.0, EPSILON);
    assert_int_equal(summary.equal_groups, 0);
    episodes_free(&episodes);
}

/* In rloo the KL is part of what is compared. */
static void test_rloo_kl(void **state)
{
    (void)state;
    struct episodes episodes;
    struct advantage_summary summary;
    struct advantage_options options = {.estimator = PPO_ADVANTAGE_RLOO};
    make_episodes(&episodes, 3);
    compute(&episodes, &options, 0.1, &summary);
    double totals[3], kls[3] = {0};
    for (int i = 0; i < 3; i++) {
        const struct episode *episode = &episodes.items[i];
        for (int64_t t = episode->first; t < episode->first + episode->length; t++) {
            kls[i] += (double)episodes.old_logprobs[t] - (double)episodes.reference_logprobs[t];
        }
        totals[i] = episode->score - 0.1 * kls[i];
    }
    assert_near(episodes.advantages[0], totals[0] - (totals[1] + totals[2]) / 2, EPSILON);
    assert_near(summary.kl, (kls[0] + kls[1] + kls[2]) / 3, EPSILON);
    episodes_free(&episodes);
}

static void test_nothing_to_compare(void **state)
{
    (void)state;
    static const enum ppo_advantage estimators[] = {PPO_ADVANTAGE_GRPO, PPO_ADVANTAGE_RLOO};
    for (int e = 0; e < 2; e++) {
        for (int64_t group_size = 1; group_size <= 3; group_size += 2) {
            struct episodes episodes;
            struct advantage_summary summary;
            struct advantage_options options = {.estimator = estimators[e]};
            make_episodes(&episodes, group_size);
            for (int i = 0; i < 3 && group_size == 3; i++) {
                episodes.items[i].score = 0.1; /* all equal */
            }
            compute(&episodes, &options, 0, &summary);
            for (int t = 0; t < 7; t++) {
                assert_near(episodes.advantages[t], 0, 1e-10);
            }
            assert_int_equal(summary.equal_groups, summary.groups);
            assert_int_equal(summary.groups, 3 / group_size);
            episodes_free(&episodes);
        }
    }
}

static void test_explained_variance(void **state)
{
    (void)state;
    struct episodes episodes;
    make_episodes(&episodes, 1);
    for (int t = 0; t < 7; t++) {
        episodes.returns[t] = (double)episodes.values[t] + 3; /* a constant does not matter */
    }
    assert_near(explained_variance(&episodes), 1, EPSILON);
    memset(episodes.values, 0, 7 * sizeof *episodes.values);
    assert_near(explained_variance(&episodes), 0, EPSILON);
    for (int t = 0; t < 7; t++) {
        episodes.values[t] = -(float)episodes.returns[t];
    }
    assert_near(explained_variance(&episodes), -3, 1e-5); /* worse than a constant */
    episodes_free(&episodes);
}

/* Cleared and filled again, nothing of before is left. */
static void test_episodes_again(void **state)
{
    (void)state;
    struct episodes episodes;
    struct advantage_summary summary;
    static const int32_t tokens[7] = {1, 2, 3, 4, 5, 6, 7};
    make_episodes(&episodes, 1);
    compute(&episodes, &plain_gae, 0.1, &summary);
    episodes_clear(&episodes);
    const struct episode *episode = episodes_append(&episodes, tokens, 7, true);
    assert_int_equal(episode->first, 0);
    assert_true(episode->score == 0);
    assert_memory_equal(episodes.tokens, tokens, sizeof tokens);
    for (int t = 0; t < 7; t++) {
        assert_true(episodes.old_logprobs[t] == 0 && episodes.reference_logprobs[t] == 0 && episodes.values[t] == 0);
        assert_true(episodes.rewards[t] == 0 && episodes.advantages[t] == 0 && episodes.returns[t] == 0);
    }
    episodes_free(&episodes);
}

static void test_no_memory(void **state)
{
    (void)state;
    int status = -1;
    long n = 0;
    while (status != 0) {
        struct episodes episodes;
        struct err err;
        mem_fail_at(++n);
        status = episodes_create(&episodes, 3, 7, 1, &err);
        mem_fail_at(0);
        if (status == 0) {
            episodes_free(&episodes);
        }
    }
    assert_int_equal(n, 10); /* nine arrays */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixture),
        cmocka_unit_test(test_monte_carlo),
        cmocka_unit_test(test_one_step),
        cmocka_unit_test(test_whitening),
        cmocka_unit_test(test_no_variance),
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_score_norm),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_rloo_kl),
        cmocka_unit_test(test_nothing_to_compare),
        cmocka_unit_test(test_explained_variance),
        cmocka_unit_test(test_episodes_again),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
