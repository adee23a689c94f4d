/* ppo/kl.c - see kl.h. */
#include "ppo/kl.h"
#include <math.h>

double log_ratio_clamp(double log_ratio)
{
    return log_ratio > LOG_RATIO_MAX ? LOG_RATIO_MAX : log_ratio < -LOG_RATIO_MAX ? -LOG_RATIO_MAX : log_ratio;
}

double kl_estimate(enum ppo_kl_estimator estimator, double d)
{
    switch (estimator) {
    case PPO_KL_K1:
        return d;
    case PPO_KL_K2:
        return d * d / 2;
    case PPO_KL_K3:
        break;
    }
    d = log_ratio_clamp(d);
    return expm1(-d) + d;
}

double kl_slope(enum ppo_kl_estimator estimator, double d)
{
    switch (estimator) {
    case PPO_KL_K1:
        return 1;
    case PPO_KL_K2:
        return d;
    case PPO_KL_K3:
        break;
    }
    return fabs(d) > LOG_RATIO_MAX ? 0 : -expm1(-d);
}

void kl_controller_update(struct kl_controller *controller, double kl, int64_t episodes)
{
    if (!controller->adaptive || !isfinite(kl)) {
        return;
    }
    double error = fmax(-0.2, fmin(0.2, kl / controller->target - 1));
    controller->kl_coef *= fmax(0, 1 + error * (double)episodes / controller->horizon);
}
