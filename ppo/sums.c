/* ppo/sums.c - see sums.h. */
#include "ppo/sums.h"
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

void ppo_sums_add(struct ppo_sums *sums, enum ppo_metric metric, double value)
{
    if (!isfinite(value)) {
        return;
    }
    sums->sums[metric] += value;
    sums->counts[metric]++;
}

void ppo_sums_record(struct ppo_sums *sums, struct metrics *metrics)
{
    for (int m = 0; m < PPO_METRIC_COUNT; m++) {
        if (sums->counts[m] > 0) {
            metrics_real(metrics, names[m].metric, sums->sums[m] / sums->counts[m]);
        }
    }
    metrics_real(metrics, "val/decode_drift", sums->decode_drift);
    for (int p = 0; p < PPO_PHASE_COUNT; p++) {
        metrics_timing(metrics, phases[p], sums->seconds[p]);
    }
    *sums = (struct ppo_sums){0};
}

void ppo_sums_numbers(struct ppo_sums *sums, struct run_numbers *numbers)
{
    for (int m = 0; m < PPO_METRIC_COUNT; m++) {
        run_numbers_add(numbers, names[m].sum, &sums->sums[m]);
        run_numbers_add(numbers, names[m].count, &sums->counts[m]);
    }
    run_numbers_add(numbers, "largest val/decode_drift", &sums->decode_drift);
}
