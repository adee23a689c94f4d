/* ppo/window.c - see window.h. */
#include "ppo/window.h"
#include <math.h>

/* The metric's name, and those of its sum and its count in state.json. */
#define NAMES(name)                                                                                                    \
    {                                                                                                                  \
        name, "sum " name, "count " name                                                                               \
    }
static const struct {
    const char *metric, *sum, *count;
} names[PPO_METRIC_COUNT] = {
    [PPO_SCORES] = NAMES("objective/scores"),
    [PPO_RLHF_REWARD] = NAMES("objective/rlhf_reward"),
    [PPO_NON_SCORE_REWARD] = NAMES("objective/non_score_reward"),
    [PPO_KL] = NAMES("objective/kl"),
    [PPO_KL_COEF] = NAMES("objective/kl_coef"),
    [PPO_ENTROPY] = NAMES("objective/entropy"),
    [PPO_RESPONSE_LENGTH] = NAMES("objective/response_length"),
    [PPO_EQUAL_GROUPS] = NAMES("objective/equal_groups"),
    [PPO_POLICY_LOSS] = NAMES("loss/policy_avg"),
    [PPO_VALUE_LOSS] = NAMES("loss/value_avg"),
    [PPO_PTX_LOSS] = NAMES("loss/ptx_avg"),
    [PPO_APPROX_KL] = NAMES("policy/approxkl_avg"),
    [PPO_CLIP_FRACTION] = NAMES("policy/clipfrac_avg"),
    [PPO_TOKEN_ENTROPY] = NAMES("policy/entropy_avg"),
    [PPO_UPDATES] = NAMES("policy/updates"),
    [PPO_RATIO] = NAMES("val/ratio"),
    [PPO_RATIO_VARIANCE] = NAMES("val/ratio_var"),
    [PPO_VALUE_CLIP_FRACTION] = NAMES("val/clipfrac_avg"),
    [PPO_EXPLAINED_VARIANCE] = NAMES("val/explained_variance"),
    [PPO_EOS_TOKENS] = NAMES("val/num_eos_tokens"),
    [PPO_REFERENCE_PERPLEXITY] = NAMES("val/reference_perplexity"),
    [PPO_GRAD_NORM] = NAMES("grad_norm"),
    [PPO_CRITIC_GRAD_NORM] = NAMES("critic_grad_norm"),
};
static const char *const phases[PPO_PHASE_COUNT] = {
    [PPO_ROLLOUT] = "time/rollout",
    [PPO_SCORING] = "time/scoring",
    [PPO_FORWARD] = "time/forward",
    [PPO_UPDATE] = "time/update",
};

void ppo_window_add(struct ppo_window *window, enum ppo_metric metric, double value)
{
    if (!isfinite(value))
        return;
    window->sums[metric] += value;
    window->counts[metric]++;
}

void ppo_window_record(struct ppo_window *window, struct metrics *metrics)
{
    for (int m = 0; m < PPO_METRIC_COUNT; m++)
        if (window->counts[m] > 0)
            metrics_real(metrics, names[m].metric, window->sums[m] / window->counts[m]);
    metrics_real(metrics, "val/decode_drift", window->decode_drift);
    for (int p = 0; p < PPO_PHASE_COUNT; p++)
        metrics_timing(metrics, phases[p], window->seconds[p]);
    *window = (struct ppo_window){0};
}

void ppo_window_numbers(struct ppo_window *window, struct run_numbers *numbers)
{
    for (int m = 0; m < PPO_METRIC_COUNT; m++) {
        run_numbers_add(numbers, names[m].sum, &window->sums[m]);
        run_numbers_add(numbers, names[m].count, &window->counts[m]);
    }
    run_numbers_add(numbers, "largest val/decode_drift", &window->decode_drift);
}
