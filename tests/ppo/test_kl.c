/* tests/ppo/test_kl.c - the three estimates of the KL, their slopes, and the controller of its price. */
#include "support/cmocka.h"

#include "ppo/helper_rollout.h"
#include "ppo/options.h"
#include <math.h>

static const enum ppo_kl_estimator estimators[] = {PPO_KL_K1, PPO_KL_K2, PPO_KL_K3};

static void test_values(void **state)
{
    (void)state;
    for (double d = -5; d <= 5; d += 0.37) {
        assert_true(kl_estimate(PPO_KL_K1, d) == d);
        assert_near(kl_estimate(PPO_KL_K2, d), d * d / 2, 1e-12);
        assert_near(kl_estimate(PPO_KL_K3, d), exp(-d) - 1 + d, 1e-12);
        assert_true(kl_estimate(PPO_KL_K3, d) >= 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_true(kl_estimate(estimators[i], 0) == 0);
    }
    /* Near 0, k3 is d^2 / 2; exp(-d) - 1 + d itself would have lost all its digits. */
    assert_near(kl_estimate(PPO_KL_K3, 1e-6) / 0.5e-12, 1, 1e-3);
}

/* Over all tokens of two distributions, k1 and k3 have the KL as their mean. */
static void test_means(void **state)
{
    (void)state;
    static const double p[] = {0.5, 0.2, 0.2, 0.1}, q[] = {0.1, 0.3, 0.2, 0.4};
    double kl = 0, mean1 = 0, mean3 = 0;
    for (int i = 0; i < 4; i++) {
        double d = log(p[i]) - log(q[i]);
        kl += p[i] * d;
        mean1 += p[i] * kl_estimate(PPO_KL_K1, d);
        mean3 += p[i] * kl_estimate(PPO_KL_K3, d);
    }
    assert_near(mean1, kl, 1e-12);
    assert_near(mean3, kl, 1e-12);
}

static void test_slopes(void **state)
{
    (void)state;
    const double step = 1e-5;
    for (int i = 0; i < 3; i++) {
        for (double d = -4; d <= 4; d += 0.21) {
            double difference =
                (kl_estimate(estimators[i], d + step) - kl_estimate(estimators[i], d - step)) / 2 / step;
            assert_near(kl_slope(estimators[i], d), difference, 1e-6 * fmax(1, fabs(difference)));
        }
    }
}

static void test_extremes(void **state)
{
    (void)state;
    static const double far[] = {-1e6, -1000, -21, 21, 1000, 1e6};
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 6; j++) {
            assert_true(isfinite(kl_estimate(estimators[i], far[j])));
            assert_true(isfinite(kl_slope(estimators[i], far[j])));
        }
        assert_true(isnan(kl_estimate(estimators[i], NAN)));
    }
    assert_true(kl_slope(PPO_KL_K3, -1000) == 0);
    assert_true(log_ratio_clamp(30) == LOG_RATIO_MAX);
    assert_true(log_ratio_clamp(-INFINITY) == -LOG_RATIO_MAX);
    assert_true(log_ratio_clamp(-3.5) == -3.5);
    assert_true(isnan(log_ratio_clamp(NAN)));
}

static void test_fixed(void **state)
{
    (void)state;
    struct ppo_recipe recipe = {.kl_coef = 0.05, .kl_target = 6, .kl_horizon = 10};
    struct kl_controller controller = ppo_kl_controller(&recipe);
    kl_controller_update(&controller, 100, 64);
    assert_true(controller.kl_coef == 0.05);
}

static void test_adaptive(void **state)
{
    (void)state;
    struct ppo_recipe recipe = {.kl_coef = 0.1, .adaptive_kl = true, .kl_target = 6, .kl_horizon = 10000};
    static const struct {
        double kl, error;
    } cases[] = {{6, 0}, {6.6, 0.1}, {5.4, -0.1}, {7.2, 0.2}, {60, 0.2}, {0, -0.2}, {-3, -0.2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kl_controller controller = ppo_kl_controller(&recipe);
        kl_controller_update(&controller, cases[i].kl, 512);
        assert_near(controller.kl_coef, 0.1 * (1 + cases[i].error * 512 / 10000), 1e-12);
    }
    struct kl_controller controller = ppo_kl_controller(&recipe);
    kl_controller_update(&controller, NAN, 512);
    assert_true(controller.kl_coef == 0.1);
    /* More episodes than the horizon has: never below 0. */
    kl_controller_update(&controller, 0, 1000000);
    assert_true(controller.kl_coef == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),   cmocka_unit_test(test_means), cmocka_unit_test(test_slopes),
        cmocka_unit_test(test_extremes), cmocka_unit_test(test_fixed), cmocka_unit_test(test_adaptive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
