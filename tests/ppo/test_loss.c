/*
 * tests/ppo/test_loss.c - the losses of an update and their slopes: beside PyTorch's autograd, against finite
 * differences, and in their limits.
 */
#include "support/cmocka.h"

#include "ppo/helper_rollout.h"
#include "ppo/options.h"
#include "support/fixture.h"
#include <math.h>
#include <string.h>

#define TOKENS_MAX 128

/* ---- beside PyTorch ---- */

static void begin_policy(struct policy_loss *loss, const struct ppo_recipe *recipe, double kl_coef,
                         const struct episodes *episodes, const int64_t *answers, int64_t count)
{
    struct policy_loss_options options = ppo_policy_loss_options(recipe, kl_coef);
    policy_loss_begin(loss, &options, episodes, answers, count);
}

static void begin_value(struct value_loss *loss, const struct ppo_recipe *recipe, const struct episodes *episodes,
                        const int64_t *answers, int64_t count)
{
    struct value_loss_options options = ppo_value_loss_options(recipe);
    value_loss_begin(loss, &options, episodes, answers, count);
}

/* Rewards to returns, as the case says. */
static struct ppo_recipe prepare(struct rollout *rollout, const json_t *one)
{
    struct ppo_recipe recipe = rollout_recipe(rollout, one);
    struct score_statistics statistics = rollout_statistics(one, "statistics");
    struct advantage_summary summary;
    const struct advantage_options options = ppo_advantage_options(&recipe);
    advantage_compute(&rollout->episodes, &options, recipe.kl_coef, &statistics, &summary);
    return recipe;
}

/* All answers, one after the other. */
static struct policy_loss policy_loss_of(const struct rollout *rollout, const struct ppo_recipe *recipe,
                                         const float *logprobs, const float *entropies, float *dlogprobs,
                                         float *dentropies)
{
    struct policy_loss loss;
    const struct episodes *episodes = &rollout->episodes;
    begin_policy(&loss, recipe, recipe->kl_coef, episodes, rollout->answers, episodes->count);
    for (int64_t i = 0; i < episodes->count; i++) {
        int64_t first = episodes->items[i].first;
        policy_loss_add(&loss, i, logprobs + first, entropies + first, dlogprobs + first, dentropies + first);
    }
    return loss;
}

static struct value_loss value_loss_of(const struct rollout *rollout, const struct ppo_recipe *recipe,
                                       const float *values, float *dvalues)
{
    struct value_loss loss;
    const struct episodes *episodes = &rollout->episodes;
    begin_value(&loss, recipe, episodes, rollout->answers, episodes->count);
    for (int64_t i = 0; i < episodes->count; i++) {
        value_loss_add(&loss, i, values + episodes->items[i].first, dvalues + episodes->items[i].first);
    }
    return loss;
}

static void test_fixture(void **state)
{
    (void)state;
    struct rollout rollout;
    rollout_open(&rollout);
    int64_t tokens = rollout.episodes.token_count;
    float dlogprobs[TOKENS_MAX], dentropies[TOKENS_MAX], dvalues[TOKENS_MAX];
    assert_true(tokens <= TOKENS_MAX);
    const json_t *one;
    size_t cases = 0;
    for (; (one = rollout_case(&rollout, cases)); cases++) {
        struct ppo_recipe recipe = prepare(&rollout, one);
        struct policy_loss loss =
            policy_loss_of(&rollout, &recipe, rollout.logprobs, rollout.entropies, dlogprobs, dentropies);
        struct policy_statistics statistics = policy_loss_statistics(&loss);
        expect_number(one, "loss", statistics.loss);
        expect_number(one, "objective", statistics.objective);
        expect_number(one, "kl_loss", loss.kl_term);
        expect_number(one, "approx_kl", statistics.approx_kl);
        expect_number(one, "clip_fraction", statistics.clip_fraction);
        expect_number(one, "ratio", statistics.ratio);
        expect_floats(one, "dlogprobs", dlogprobs, tokens);
        expect_floats(one, "dentropies", dentropies, tokens);
        if (recipe.advantage_estimator == PPO_ADVANTAGE_GAE) {
            struct value_loss value = value_loss_of(&rollout, &recipe, rollout.new_values, dvalues);
            expect_number(one, "value_loss", value_loss_mean(&value));
            expect_number(one, "value_clip_fraction", value_loss_clip_fraction(&value));
            expect_floats(one, "dvalues", dvalues, tokens);
        }
    }
    assert_int_equal(cases, 9);
    rollout_close(&rollout);
}

/* ---- finite differences ---- */

static double whole_loss(const struct rollout *rollout, const struct ppo_recipe *recipe, const float *logprobs,
                         const float *entropies)
{
    float dlogprobs[TOKENS_MAX], dentropies[TOKENS_MAX];
    struct policy_loss loss = policy_loss_of(rollout, recipe, logprobs, entropies, dlogprobs, dentropies);
    return policy_loss_statistics(&loss).loss;
}

/* (f(x + step) - f(x - step)) over the step that f32 makes of it. */
static double difference(double (*f)(const void *context), const void *context, float *x)
{
    float middle = *x, above = middle + 1e-4f, below = middle - 1e-4f;
    *x = above;
    double high = f(context);
    *x = below;
    double low = f(context);
    *x = middle;
    return (high - low) / ((double)above - (double)below);
}

struct policy_point {
    const struct rollout *rollout;
    const struct ppo_recipe *recipe;
    float *logprobs, *entropies;
};

static double policy_at(const void *context)
{
    const struct policy_point *point = context;
    return whole_loss(point->rollout, point->recipe, point->logprobs, point->entropies);
}

/* Every loss type with every estimator and KL, both slopes. */
static void check_policy_slopes(struct rollout *rollout, const struct ppo_recipe *recipe)
{
    int64_t tokens = rollout->episodes.token_count;
    float dlogprobs[TOKENS_MAX], dentropies[TOKENS_MAX];
    struct policy_point point = {rollout, recipe, rollout->logprobs, rollout->entropies};
    policy_loss_of(rollout, recipe, rollout->logprobs, rollout->entropies, dlogprobs, dentropies);
    double worst = 0, largest = 0;
    for (int64_t t = 0; t < tokens; t++) {
        double slope = difference(policy_at, &point, &rollout->logprobs[t]);
        worst = fmax(worst, fabs(slope - (double)dlogprobs[t]));
        largest = fmax(largest, fabs(slope));
        slope = difference(policy_at, &point, &rollout->entropies[t]);
        worst = fmax(worst, fabs(slope - (double)dentropies[t]));
    }
    assert_true(largest > 1e-3);
    if (worst > 1e-4 * largest) {
        fail_msg("slopes differ by %g, the largest is %g", worst, largest);
    }
}

static void test_policy_slopes(void **state)
{
    (void)state;
    struct rollout rollout;
    rollout_open(&rollout);
    struct ppo_recipe recipe = prepare(&rollout, rollout_case_named(&rollout, "gae"));
    recipe.kl_coef = 0.3;
    recipe.entropy_coef = 0.05;
    for (int estimator = PPO_ADVANTAGE_GAE; estimator <= PPO_ADVANTAGE_RLOO; estimator++) {
        for (int type = PPO_LOSS_DAPO; type <= PPO_LOSS_DR_GRPO; type++) {
            for (int kl = PPO_KL_K1; kl <= PPO_KL_K3; kl++) {
                recipe.advantage_estimator = (enum ppo_advantage)estimator;
                recipe.loss_type = (enum ppo_policy_loss)type;
                recipe.kl_estimator = (enum ppo_kl_estimator)kl;
                check_policy_slopes(&rollout, &recipe);
            }
        }
    }
    rollout_close(&rollout);
}

struct value_point {
    const struct rollout *rollout;
    const struct ppo_recipe *recipe;
};

static double value_at(const void *context)
{
    const struct value_point *point = context;
    float dvalues[TOKENS_MAX];
    struct value_loss loss = value_loss_of(point->rollout, point->recipe, point->rollout->new_values, dvalues);
    return point->recipe->vf_coef * value_loss_mean(&loss);
}

static void test_value_slopes(void **state)
{
    (void)state;
    struct rollout rollout;
    rollout_open(&rollout);
    struct ppo_recipe recipe = prepare(&rollout, rollout_case_named(&rollout, "gae-plain"));
    struct value_point point = {&rollout, &recipe};
    float dvalues[TOKENS_MAX];
    value_loss_of(&rollout, &recipe, rollout.new_values, dvalues);
    double worst = 0, largest = 0;
    for (int64_t t = 0; t < rollout.episodes.token_count; t++) {
        double slope = difference(value_at, &point, &rollout.new_values[t]);
        worst = fmax(worst, fabs(slope - (double)dvalues[t]));
        largest = fmax(largest, fabs(slope));
    }
    assert_true(largest > 1e-3);
    if (worst > 1e-4 * largest) {
        fail_msg("slopes differ by %g, the largest is %g", worst, largest);
    }
    rollout_close(&rollout);
}

/* ---- limits ---- */

/* The policy is the one that sampled: ratio 1, nothing clipped, exactly; the slope is that of policy gradient. */
static void test_ratio_one(void **state)
{
    (void)state;
    struct rollout rollout;
    rollout_open(&rollout);
    const struct episodes *episodes = &rollout.episodes;
    struct ppo_recipe recipe = prepare(&rollout, rollout_case_named(&rollout, "gae-plain"));
    float dlogprobs[TOKENS_MAX], dentropies[TOKENS_MAX];
    struct policy_loss loss =
        policy_loss_of(&rollout, &recipe, episodes->old_logprobs, rollout.entropies, dlogprobs, dentropies);
    struct policy_statistics statistics = policy_loss_statistics(&loss);
    assert_true(statistics.ratio == 1);
    assert_true(statistics.approx_kl == 0 && statistics.clip_fraction == 0);
    assert_near(statistics.objective, 0, 1e-12); /* whitened advantages add up to 0 */
    for (int64_t t = 0; t < episodes->token_count; t++) {
        double expected = -episodes->advantages[t] / (double)episodes->token_count;
        assert_near((double)dlogprobs[t], expected, 1e-7 * fabs(expected));
        assert_true(dentropies[t] == 0);
    }
    float dvalues[TOKENS_MAX];
    struct value_loss value = value_loss_of(&rollout, &recipe, episodes->values, dvalues);
    assert_true(value_loss_clip_fraction(&value) == 0);
    rollout_close(&rollout);
}

/* However a mini-batch is cut, and in whatever order, each answer's slopes have the same bits. */
static void test_pieces(void **state)
{
    (void)state;
    struct rollout rollout;
    rollout_open(&rollout);
    const struct episodes *episodes = &rollout.episodes;
    struct ppo_recipe recipe = prepare(&rollout, rollout_case_named(&rollout, "grpo-batch"));
    float dlogprobs[TOKENS_MAX], dentropies[TOKENS_MAX], slopes[TOKENS_MAX];
    struct policy_loss forward =
        policy_loss_of(&rollout, &recipe, rollout.logprobs, rollout.entropies, dlogprobs, dentropies);
    struct policy_loss backward;
    begin_policy(&backward, &recipe, recipe.kl_coef, episodes, rollout.answers, episodes->count);
    for (int64_t i = episodes->count - 1; i >= 0; i--) {
        int64_t first = episodes->items[i].first;
        policy_loss_add(&backward, i, rollout.logprobs + first, NULL, slopes, NULL);
        assert_memory_equal(slopes, dlogprobs + first, (size_t)episodes->items[i].length * sizeof *slopes);
    }
    assert_near(policy_loss_statistics(&forward).loss, policy_loss_statistics(&backward).loss, 1e-12);
    /* Half of the answers are a mini-batch of their own, with its own denominators. */
    int64_t half = episodes->count / 2;
    begin_policy(&backward, &recipe, recipe.kl_coef, episodes, rollout.answers + half, half);
    policy_loss_add(&backward, half, rollout.logprobs + episodes->items[half].first, NULL, slopes, NULL);
    for (int64_t t = 0; t < episodes->items[half].length; t++) {
        assert_near((double)slopes[t], 2 * (double)dlogprobs[episodes->items[half].first + t], 1e-6);
    }
    rollout_close(&rollout);
}

/* One answer of one token with an advantage, at a log ratio. */
static double slope_at(const struct ppo_recipe *recipe, double advantage, double log_ratio,
                       struct policy_statistics *out)
{
    struct err err;
    struct episodes episodes;
    struct policy_loss loss;
    const int32_t token = 1;
    const int64_t answer = 0;
    must(episodes_create(&episodes, 1, 1, 1, &err));
    episodes_append(&episodes, &token, 1, true);
    episodes.old_logprobs[0] = -2;
    episodes.advantages[0] = advantage;
    float logprob = (float)(log_ratio - 2), dlogprob;
    begin_policy(&loss, recipe, 0, &episodes, &answer, 1);
    policy_loss_add(&loss, 0, &logprob, NULL, &dlogprob, NULL);
    *out = policy_loss_statistics(&loss);
    episodes_free(&episodes);
    return (double)dlogprob;
}

static void test_clipping(void **state)
{
    (void)state;
    struct ppo_recipe recipe = {.cliprange = 0.2};
    struct policy_statistics out;
    /* Better already, by more than the clip allows: nothing more to gain. */
    assert_true(slope_at(&recipe, 1, log(1.3), &out) == 0 && out.clip_fraction == 1);
    assert_near(out.objective, -1.2, 1e-6);
    assert_true(slope_at(&recipe, -1, log(0.7), &out) == 0 && out.clip_fraction == 1);
    assert_near(out.objective, 0.8, 1e-6);
    /* Moved the wrong way: the way back is open. */
    assert_near(slope_at(&recipe, -1, log(1.3), &out), 1.3, 1e-6);
    assert_true(out.clip_fraction == 0);
    assert_near(slope_at(&recipe, 1, log(0.7), &out), -0.7, 1e-6);
    /* Another upper bound. */
    recipe.epsilon_high = 0.4;
    assert_near(slope_at(&recipe, 1, log(1.3), &out), -1.3, 1e-6);
    assert_true(slope_at(&recipe, 1, log(1.5), &out) == 0);
    assert_near(slope_at(&recipe, 1, log(0.85), &out), -0.85, 1e-6);
    assert_true(slope_at(&recipe, -1, log(0.75), &out) == 0); /* the lower bound is cliprange's still */
}

static void test_extremes(void **state)
{
    (void)state;
    struct ppo_recipe recipe = {.cliprange = 0.2};
    struct policy_statistics out;
    for (int sign = -1; sign <= 1; sign += 2) {
        assert_true(slope_at(&recipe, 3, sign * 5000.0, &out) == 0);
        assert_true(isfinite(out.loss) && isfinite(out.ratio));
        assert_true(slope_at(&recipe, -3, sign * 5000.0, &out) == 0); /* where the clamp is flat */
        assert_true(isfinite(out.loss) && isfinite(out.ratio));
    }
    assert_true(isnan(slope_at(&recipe, 1, NAN, &out)));
    assert_true(isnan(out.loss)); /* no clip makes a number of it */
    assert_true(isnan(slope_at(&recipe, NAN, 0.1, &out)));
}

static enum update_verdict verdict_at(struct ppo_recipe recipe, double log_ratio)
{
    struct err err;
    struct episodes episodes;
    struct policy_loss loss;
    static const int32_t tokens[2] = {1, 2};
    const int64_t answer = 0;
    must(episodes_create(&episodes, 1, 2, 1, &err));
    episodes_append(&episodes, tokens, 2, true);
    float logprobs[2] = {(float)log_ratio, 0}, slopes[2];
    begin_policy(&loss, &recipe, 0, &episodes, &answer, 1);
    policy_loss_add(&loss, 0, logprobs, NULL, slopes, NULL);
    enum update_verdict verdict = policy_loss_verdict(&loss);
    episodes_free(&episodes);
    return verdict;
}

static void test_verdicts(void **state)
{
    (void)state;
    /* The mean ratio of (e^d, 1) is (e^d + 1) / 2, the approximate KL d^2 / 4. */
    struct ppo_recipe recipe = {.cliprange = 0.2, .ratio_threshold = 10};
    assert_int_equal(verdict_at(recipe, log(18.9)), UPDATE_STEP);
    assert_int_equal(verdict_at(recipe, log(19.1)), UPDATE_SKIP);
    recipe.ratio_threshold = 0;
    assert_int_equal(verdict_at(recipe, log(19.1)), UPDATE_STEP);
    recipe.target_kl = 0.01;
    assert_int_equal(verdict_at(recipe, 0.19), UPDATE_STEP);
    assert_int_equal(verdict_at(recipe, 0.21), UPDATE_STOP);
    assert_int_equal(verdict_at(recipe, -0.21), UPDATE_STOP);
    recipe.ratio_threshold = 1.001;
    assert_int_equal(verdict_at(recipe, 0.21), UPDATE_STOP);
}

/* The value: inside its range both losses are one; outside, the worse of the two holds. */
static void test_value_clipping(void **state)
{
    (void)state;
    static const struct {
        double value, gain; /* the old value is 1 */
        double loss, slope;
    } cases[] = {
        {1.1, 2, 0.5 * 0.9 * 0.9, -0.9}, /* within the range */
        {1.5, 2, 0.5 * 0.8 * 0.8, 0},    /* clipped at 1.2, which is further off */
        {1.5, 1, 0.5 * 0.5 * 0.5, 0.5},  /* clipped at 1.2 it would be nearer: the way back is open */
        {0.2, -1, 0.5 * 1.8 * 1.8, 0},   /* clipped at 0.8 */
    };
    struct ppo_recipe recipe = {.cliprange_value = 0.2, .vf_coef = 1};
    struct err err;
    struct episodes episodes;
    const int32_t token = 1;
    const int64_t answer = 0;
    must(episodes_create(&episodes, 1, 1, 1, &err));
    episodes_append(&episodes, &token, 1, true);
    episodes.values[0] = 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct value_loss loss;
        float value = (float)cases[i].value, slope;
        episodes.returns[0] = cases[i].gain;
        begin_value(&loss, &recipe, &episodes, &answer, 1);
        value_loss_add(&loss, 0, &value, &slope);
        assert_near(value_loss_mean(&loss), cases[i].loss, 1e-6);
        assert_near((double)slope, cases[i].slope, 1e-6);
        assert_true((value_loss_clip_fraction(&loss) == 1) == (cases[i].slope == 0));
    }
    struct value_loss loss;
    float value = NAN, slope;
    begin_value(&loss, &recipe, &episodes, &answer, 1);
    value_loss_add(&loss, 0, &value, &slope);
    assert_true(isnan(value_loss_mean(&loss)) && isnan(slope));
    episodes_free(&episodes);
}

static void test_ptx(void **state)
{
    (void)state;
    struct ppo_recipe recipe = {.ptx_coef = 27.8};
    static const float logprobs[5] = {-1, -2, -0.5f, -4, -0.25f};
    float slopes[5];
    double whole = ptx_loss_add(recipe.ptx_coef, 5, logprobs, 5, slopes);
    assert_near(whole, 27.8 * 7.75 / 5, 1e-9);
    for (int i = 0; i < 5; i++) {
        assert_near((double)slopes[i], -27.8 / 5, 1e-6);
    }
    double parts = ptx_loss_add(recipe.ptx_coef, 5, logprobs, 2, slopes) +
                   ptx_loss_add(recipe.ptx_coef, 5, logprobs + 2, 3, slopes);
    assert_near(parts, whole, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixture),   cmocka_unit_test(test_policy_slopes), cmocka_unit_test(test_value_slopes),
        cmocka_unit_test(test_ratio_one), cmocka_unit_test(test_pieces),        cmocka_unit_test(test_clipping),
        cmocka_unit_test(test_extremes),  cmocka_unit_test(test_verdicts),      cmocka_unit_test(test_value_clipping),
        cmocka_unit_test(test_ptx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
