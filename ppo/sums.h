/*
 * ppo/sums.h - the metrics of the iterations since the last record: sums that go into checkpoints, so that a resumed
 * run writes the same record.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_PPO_SUMS_H
#define ATTUNE_PPO_SUMS_H

#include "train/metrics.h"
#include "train/run.h"

/* Means over iterations, written in this order under TRL's names where it has one. */
enum ppo_metric {
    PPO_SCORES,
    PPO_RLHF_REWARD,
    PPO_NON_SCORE_REWARD,
    PPO_KL,
    PPO_KL_COEF,
    PPO_ENTROPY,
    PPO_RESPONSE_LENGTH,
    PPO_EQUAL_GROUPS,
    PPO_POLICY_LOSS,
    PPO_VALUE_LOSS,
    PPO_PTX_LOSS,
    PPO_APPROX_KL,
    PPO_CLIP_FRACTION,
    PPO_TOKEN_ENTROPY,
    PPO_UPDATES,
    PPO_RATIO,
    PPO_RATIO_VARIANCE,
    PPO_VALUE_CLIP_FRACTION,
    PPO_EXPLAINED_VARIANCE,
    PPO_EOS_TOKENS,
    PPO_REFERENCE_PERPLEXITY,
    PPO_GRAD_NORM,
    PPO_CRITIC_GRAD_NORM,
    PPO_METRIC_COUNT
};

/* Where the time of an iteration goes; not kept over a kill. */
enum ppo_phase { PPO_ROLLOUT, PPO_SCORING, PPO_FORWARD, PPO_UPDATE, PPO_PHASE_COUNT };

struct ppo_sums {
    double sums[PPO_METRIC_COUNT], counts[PPO_METRIC_COUNT];
    double decode_drift; /* the largest */
    double seconds[PPO_PHASE_COUNT];
};

/* Counts a value, unless it is not finite. */
void ppo_sums_add(struct ppo_sums *sums, enum ppo_metric metric, double value);

/* Writes the means of what was counted into a record that was begun, and starts anew. */
void ppo_sums_record(struct ppo_sums *sums, struct metrics *metrics);

/* The numbers that outlive a kill. */
void ppo_sums_numbers(struct ppo_sums *sums, struct run_numbers *numbers);

#endif
