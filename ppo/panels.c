/* ppo/panels.c - what the report shows of the stage beside the metrics of all stages. */
#include "ppo/recipe.h"

#define REWARD "Reward and distance"
#define UPDATE "Policy update"
#define VALUES "Value model"

const struct metric_panel ppo_panels[] = {
    {.title = "Score",
     .section = REWARD,
     .unit = "score",
     .scale = METRIC_LINEAR,
     .names = {{.name = "objective/scores",
                .headline = METRIC_BESIDE_FIRST,
                .sentence = "Mean score that the reward model gives the sampled answers, before any penalty."},
               {.name = "eval_score", .sentence = "Mean score of the answers to the held-out prompts."}}},
    {.title = "Reward less the KL penalty",
     .section = REWARD,
     .unit = "score",
     .scale = METRIC_LINEAR,
     .names = {{.name = "objective/rlhf_reward",
                .sentence = "Score plus KL penalty, the sum that is maximised. It should rise."}}},
    {.title = "KL to the reference",
     .section = REWARD,
     .unit = "nats per answer",
     .scale = METRIC_FROM_ZERO,
     .names =
         {{.name = "objective/kl",
           .headline = METRIC_BESIDE_FIRST,
           .sentence =
               "How far the policy went from the reference: log-probability of an answer under the one less that "
               "under the other, averaged over answers. A score that rises only while this runs away is the reward "
               "model being fooled."}}},
    {.title = "KL penalty",
     .section = REWARD,
     .unit = "score",
     .scale = METRIC_LINEAR,
     .names = {{.name = "objective/non_score_reward",
                .sentence = "The part of the reward that is no score: -kl_coef times the KL, summed over an answer."}}},
    {.title = "Length of the answers",
     .section = REWARD,
     .unit = "tokens",
     .scale = METRIC_FROM_ZERO,
     .names = {{.name = "objective/response_length",
                .headline = METRIC_BESIDE_FIRST,
                .sentence =
                    "Mean tokens of a sampled answer. Answers that only grow longer often mean that the reward model "
                    "pays for length."},
               {.name = "eval_response_length", .sentence = "Mean tokens of an answer to the held-out prompts."}}},
    {.title = "Answers that ended",
     .section = REWARD,
     .unit = "answers",
     .scale = METRIC_FROM_ZERO,
     .names = {{.name = "val/num_eos_tokens",
                .sentence =
                    "Answers that ended with an end-of-text token of their own instead of being cut off at the limit."},
               {.name = "eval_num_eos_tokens",
                .sentence = "Answers to the held-out prompts that ended with an end-of-text token of their own."}}},
    {.title = "Entropy of the answers",
     .section = REWARD,
     .unit = "nats per answer",
     .scale = METRIC_FROM_ZERO,
     .names =
         {{.name = "objective/entropy",
           .sentence =
               "Negative log-probability of an answer, averaged over answers: how much choice is left in sampling. "
               "A sudden fall is a policy that collapses onto few answers."}}},
    {.title = "KL coefficient",
     .section = REWARD,
     .unit = "",
     .scale = METRIC_FROM_ZERO,
     .names = {{.name = "objective/kl_coef",
                .sentence = "What a nat of KL costs; with adaptive_kl it is steered towards kl_target."}}},
    {.title = "Groups without a difference",
     .section = REWARD,
     .unit = "share of prompts",
     .scale = METRIC_FROM_ZERO,
     .names =
         {{.name = "objective/equal_groups",
           .sentence =
               "Share of the prompts whose sampled answers all had the same score: with group advantages nothing is "
               "learned from those."}}},
    {.title = "Policy loss",
     .section = UPDATE,
     .unit = "",
     .scale = METRIC_LINEAR,
     .names = {{.name = "loss/policy_avg",
                .sentence =
                    "The clipped surrogate loss, averaged over the updates of an iteration. Its level says little; "
                    "wild swings say that the steps are too large."}}},
    {.title = "Loss of the texts trained along",
     .section = UPDATE,
     .unit = "nats",
     .scale = METRIC_LINEAR,
     .names =
         {{.name = "loss/ptx_avg",
           .sentence =
               "Loss on the texts of ptx_dataset, which are trained along so that the policy keeps what it knew."}}},
    {.title = "Clipped tokens",
     .section = UPDATE,
     .unit = "share",
     .scale = METRIC_FROM_ZERO,
     .names =
         {{.name = "policy/clipfrac_avg",
           .sentence =
               "Share of the tokens whose ratio left the clip range, so that they no longer push the policy. Above "
               "0.2 or so the steps are too large."}}},
    {.title = "KL of an update",
     .section = UPDATE,
     .unit = "nats per token",
     .scale = METRIC_FROM_ZERO,
     .names = {{.name = "policy/approxkl_avg",
                .sentence =
                    "Half the mean squared change of a token's log-probability since the rollout: how far an iteration "
                    "moved the policy."}}},
    {.title = "Entropy",
     .section = UPDATE,
     .unit = "nats per token",
     .scale = METRIC_FROM_ZERO,
     .names = {{.name = "policy/entropy_avg",
                .sentence = "Entropy of the distribution that a token is sampled from, averaged over tokens."}}},
    {.title = "Ratio of probabilities",
     .section = UPDATE,
     .unit = "",
     .scale = METRIC_LINEAR,
     .names = {{.name = "val/ratio",
                .sentence = "Probability of a token now over that at the rollout, averaged; it stays near 1."}}},
    {.title = "Variance of the ratio",
     .section = UPDATE,
     .unit = "",
     .scale = METRIC_LOG,
     .names = {{.name = "val/ratio_var",
                .sentence = "Variance of the ratio's mean over the mini-batches of an iteration."}}},
    {.title = "Updates of an iteration",
     .section = UPDATE,
     .unit = "optimizer steps",
     .scale = METRIC_FROM_ZERO,
     .names =
         {{.name = "policy/updates",
           .sentence =
               "Optimizer steps of the policy in an iteration; fewer than usual where target_kl ended them early."}}},
    {.title = "Value loss",
     .section = VALUES,
     .unit = "",
     .scale = METRIC_LOG,
     .names = {{.name = "loss/value_avg", .sentence = "Clipped squared error of the predicted returns."}}},
    {.title = "Explained variance",
     .section = VALUES,
     .unit = "share",
     .scale = METRIC_LINEAR,
     .names = {{.name = "val/explained_variance",
                .headline = METRIC_BESIDE_FIRST,
                .sentence =
                    "Share of the returns' variance that the value model predicts: 1 is all of it, 0 is no better than "
                    "their mean, below 0 is worse."}}},
    {.title = "Clipped values",
     .section = VALUES,
     .unit = "share",
     .scale = METRIC_FROM_ZERO,
     .names = {{.name = "val/clipfrac_avg",
                .sentence = "Share of the tokens whose value moved further than cliprange_value in an iteration."}}},
    {.title = "Drift of decoding",
     .section = METRICS_CHECKS,
     .unit = "nats",
     .scale = METRIC_LOG,
     .before = "Skipped steps",
     .names =
         {{.name = "val/decode_drift",
           .sentence =
               "Largest difference between a token's log-probability while sampling and in the training pass. It is "
               "rounding; anything larger means that sampler and policy differ."}}},
    {.title = "Perplexity under the reference",
     .section = METRICS_CHECKS,
     .unit = "",
     .scale = METRIC_LOG,
     .before = "Skipped steps",
     .names =
         {{.name = "val/reference_perplexity",
           .sentence =
               "Perplexity of the sampled answers under the reference model: when it runs away, the answers are no "
               "longer language to it."}}},
    {.title = "Gradient norm",
     .names = {{.name = "critic_grad_norm",
                .sentence = "Norm of the gradient of the value model, before it is clipped."}}},
    {.title = "Learning rate", .names = {{.name = "lr", .sentence = "Learning rate of the record's last step."}}},
    {.title = "Episodes",
     .section = METRICS_PACE,
     .unit = "answers",
     .scale = METRIC_FROM_ZERO,
     .before = "Speed",
     .names = {{.name = "episode", .sentence = "Answers sampled so far."}}},
    {0},
};
