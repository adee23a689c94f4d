/* report/metric_names.c - see metric_names.h. */
#include "report/metric_names.h"
#include <string.h>

#define LEARNING "Learning"
#define REWARD   "Reward and distance"
#define UPDATE   "Policy update"
#define VALUES   "Value model"
#define CHECKS   "Checks"
#define PACE     "Optimizer and pace"

enum panel {
    PANEL_SCORES,
    PANEL_RLHF_REWARD,
    PANEL_KL,
    PANEL_NON_SCORE_REWARD,
    PANEL_LENGTH,
    PANEL_ENDED,
    PANEL_ENTROPY,
    PANEL_KL_COEF,
    PANEL_EQUAL,
    PANEL_POLICY_LOSS,
    PANEL_PTX_LOSS,
    PANEL_CLIPPED,
    PANEL_APPROXIMATE_KL,
    PANEL_TOKEN_ENTROPY,
    PANEL_RATIO,
    PANEL_RATIO_VARIANCE,
    PANEL_UPDATES,
    PANEL_VALUE_LOSS,
    PANEL_EXPLAINED,
    PANEL_VALUE_CLIPPED,
    PANEL_LOSS,
    PANEL_TOKEN_ACCURACY,
    PANEL_PERPLEXITY,
    PANEL_ACCURACY,
    PANEL_MARGIN,
    PANEL_REWARD,
    PANEL_DRIFT,
    PANEL_REFERENCE,
    PANEL_SKIPPED,
    PANEL_GRADIENT,
    PANEL_RATE,
    PANEL_TOKENS,
    PANEL_EPISODES,
    PANEL_SPEED,
    PANEL_MEMORY,
    PANEL_SECONDS,
    PANEL_COUNT
};

const struct metric_panel metric_panels[] = {
    [PANEL_SCORES] = {REWARD, "Score", "score", METRIC_LINEAR},
    [PANEL_RLHF_REWARD] = {REWARD, "Reward less the KL penalty", "score", METRIC_LINEAR},
    [PANEL_KL] = {REWARD, "KL to the reference", "nats per answer", METRIC_FROM_ZERO},
    [PANEL_NON_SCORE_REWARD] = {REWARD, "KL penalty", "score", METRIC_LINEAR},
    [PANEL_LENGTH] = {REWARD, "Length of the answers", "tokens", METRIC_FROM_ZERO},
    [PANEL_ENDED] = {REWARD, "Answers that ended", "answers", METRIC_FROM_ZERO},
    [PANEL_ENTROPY] = {REWARD, "Entropy of the answers", "nats per answer", METRIC_FROM_ZERO},
    [PANEL_KL_COEF] = {REWARD, "KL coefficient", "", METRIC_FROM_ZERO},
    [PANEL_EQUAL] = {REWARD, "Groups without a difference", "share of prompts", METRIC_FROM_ZERO},
    [PANEL_POLICY_LOSS] = {UPDATE, "Policy loss", "", METRIC_LINEAR},
    [PANEL_PTX_LOSS] = {UPDATE, "Loss of the texts trained along", "nats", METRIC_LINEAR},
    [PANEL_CLIPPED] = {UPDATE, "Clipped tokens", "share", METRIC_FROM_ZERO},
    [PANEL_APPROXIMATE_KL] = {UPDATE, "KL of an update", "nats per token", METRIC_FROM_ZERO},
    [PANEL_TOKEN_ENTROPY] = {UPDATE, "Entropy", "nats per token", METRIC_FROM_ZERO},
    [PANEL_RATIO] = {UPDATE, "Ratio of probabilities", "", METRIC_LINEAR},
    [PANEL_RATIO_VARIANCE] = {UPDATE, "Variance of the ratio", "", METRIC_LOG},
    [PANEL_UPDATES] = {UPDATE, "Updates of an iteration", "optimizer steps", METRIC_FROM_ZERO},
    [PANEL_VALUE_LOSS] = {VALUES, "Value loss", "", METRIC_LOG},
    [PANEL_EXPLAINED] = {VALUES, "Explained variance", "share", METRIC_LINEAR},
    [PANEL_VALUE_CLIPPED] = {VALUES, "Clipped values", "share", METRIC_FROM_ZERO},
    [PANEL_LOSS] = {LEARNING, "Loss", "nats", METRIC_LOG},
    [PANEL_TOKEN_ACCURACY] = {LEARNING, "Token accuracy", "share", METRIC_FROM_ZERO},
    [PANEL_PERPLEXITY] = {LEARNING, "Perplexity", "", METRIC_LOG},
    [PANEL_ACCURACY] = {LEARNING, "Accuracy", "share of comparisons", METRIC_LINEAR},
    [PANEL_MARGIN] = {LEARNING, "Margin", "score", METRIC_LINEAR},
    [PANEL_REWARD] = {LEARNING, "Scores in training", "score", METRIC_LINEAR},
    [PANEL_DRIFT] = {CHECKS, "Drift of decoding", "nats", METRIC_LOG},
    [PANEL_REFERENCE] = {CHECKS, "Perplexity under the reference", "", METRIC_LOG},
    [PANEL_SKIPPED] = {CHECKS, "Skipped steps", "steps", METRIC_FROM_ZERO},
    [PANEL_GRADIENT] = {PACE, "Gradient norm", "", METRIC_LOG},
    [PANEL_RATE] = {PACE, "Learning rate", "", METRIC_FROM_ZERO},
    [PANEL_TOKENS] = {PACE, "Tokens seen", "tokens", METRIC_FROM_ZERO},
    [PANEL_EPISODES] = {PACE, "Episodes", "answers", METRIC_FROM_ZERO},
    [PANEL_SPEED] = {PACE, "Speed", "tokens per second", METRIC_FROM_ZERO},
    [PANEL_MEMORY] = {PACE, "Memory", "MiB", METRIC_FROM_ZERO},
    [PANEL_SECONDS] = {PACE, "Time", "seconds", METRIC_FROM_ZERO},
};
const size_t metric_panel_count = PANEL_COUNT;

const struct metric_name metric_names[] = {
    /* PPO: what the policy earns, and how far it went from the reference for it. */
    {.name = "objective/scores",
     .panel = PANEL_SCORES,
     .headline = METRIC_BESIDE_FIRST,
     .sentence = "Mean score that the reward model gives the sampled answers, before any penalty."},
    {.name = "eval_score", .panel = PANEL_SCORES, .sentence = "Mean score of the answers to the held-out prompts."},
    {.name = "objective/rlhf_reward",
     .panel = PANEL_RLHF_REWARD,
     .sentence = "Score plus KL penalty, the sum that is maximised. It should rise."},
    {.name = "objective/kl",
     .panel = PANEL_KL,
     .headline = METRIC_BESIDE_FIRST,
     .sentence = "How far the policy went from the reference: log-probability of an answer under the one less that "
                 "under the other, averaged over answers. A score that rises only while this runs away is the reward "
                 "model being fooled."},
    {.name = "objective/non_score_reward",
     .panel = PANEL_NON_SCORE_REWARD,
     .sentence = "The part of the reward that is no score: -kl_coef times the KL, summed over an answer."},
    {.name = "objective/response_length",
     .panel = PANEL_LENGTH,
     .headline = METRIC_BESIDE_FIRST,
     .sentence = "Mean tokens of a sampled answer. Answers that only grow longer often mean that the reward model "
                 "pays for length."},
    {.name = "eval_response_length",
     .panel = PANEL_LENGTH,
     .sentence = "Mean tokens of an answer to the held-out prompts."},
    {.name = "val/num_eos_tokens",
     .panel = PANEL_ENDED,
     .sentence = "Answers that ended with an end-of-text token of their own instead of being cut off at the limit."},
    {.name = "eval_num_eos_tokens",
     .panel = PANEL_ENDED,
     .sentence = "Answers to the held-out prompts that ended with an end-of-text token of their own."},
    {.name = "objective/equal_groups",
     .panel = PANEL_EQUAL,
     .sentence = "Share of the prompts whose sampled answers all had the same score: with group advantages nothing is "
                 "learned from those."},
    {.name = "objective/entropy",
     .panel = PANEL_ENTROPY,
     .sentence = "Negative log-probability of an answer, averaged over answers: how much choice is left in sampling. "
                 "A sudden fall is a policy that collapses onto few answers."},
    {.name = "objective/kl_coef",
     .panel = PANEL_KL_COEF,
     .sentence = "What a nat of KL costs; with adaptive_kl it is steered towards kl_target."},

    /* PPO: the update of the policy. */
    {.name = "loss/policy_avg",
     .panel = PANEL_POLICY_LOSS,
     .sentence = "The clipped surrogate loss, averaged over the updates of an iteration. Its level says little; "
                 "wild swings say that the steps are too large."},
    {.name = "loss/ptx_avg",
     .panel = PANEL_PTX_LOSS,
     .sentence = "Loss on the texts of ptx_dataset, which are trained along so that the policy keeps what it knew."},
    {.name = "policy/clipfrac_avg",
     .panel = PANEL_CLIPPED,
     .sentence = "Share of the tokens whose ratio left the clip range, so that they no longer push the policy. Above "
                 "0.2 or so the steps are too large."},
    {.name = "policy/approxkl_avg",
     .panel = PANEL_APPROXIMATE_KL,
     .sentence = "Half the mean squared change of a token's log-probability since the rollout: how far an iteration "
                 "moved the policy."},
    {.name = "policy/entropy_avg",
     .panel = PANEL_TOKEN_ENTROPY,
     .sentence = "Entropy of the distribution that a token is sampled from, averaged over tokens."},
    {.name = "val/ratio",
     .panel = PANEL_RATIO,
     .sentence = "Probability of a token now over that at the rollout, averaged; it stays near 1."},
    {.name = "val/ratio_var",
     .panel = PANEL_RATIO_VARIANCE,
     .sentence = "Variance of the ratio's mean over the mini-batches of an iteration."},
    {.name = "policy/updates",
     .panel = PANEL_UPDATES,
     .sentence = "Optimizer steps of the policy in an iteration; fewer than usual where target_kl ended them early."},

    /* PPO: the value model. */
    {.name = "loss/value_avg",
     .panel = PANEL_VALUE_LOSS,
     .sentence = "Clipped squared error of the predicted returns."},
    {.name = "val/explained_variance",
     .panel = PANEL_EXPLAINED,
     .headline = METRIC_BESIDE_FIRST,
     .sentence = "Share of the returns' variance that the value model predicts: 1 is all of it, 0 is no better than "
                 "their mean, below 0 is worse."},
    {.name = "val/clipfrac_avg",
     .panel = PANEL_VALUE_CLIPPED,
     .sentence = "Share of the tokens whose value moved further than cliprange_value in an iteration."},

    /* What is learned, on the training examples and on those held out. */
    {.name = "loss",
     .panel = PANEL_LOSS,
     .headline = METRIC_BESIDE_FIRST,
     .sentence = "Mean loss of the training examples since the last record; for language modelling, nats per trained "
                 "token."},
    {.name = "eval_loss",
     .panel = PANEL_LOSS,
     .headline = METRIC_BESIDE_FIRST,
     .sentence =
         "Mean loss of the held-out examples. Where it rises while the training loss falls, the model is learning "
         "its examples by heart."},
    {.name = "mean_token_accuracy",
     .panel = PANEL_TOKEN_ACCURACY,
     .sentence = "Share of the trained tokens that the model itself finds most likely."},
    {.name = "eval_mean_token_accuracy",
     .panel = PANEL_TOKEN_ACCURACY,
     .headline = METRIC_BESIDE_FIRST,
     .sentence = "Share of the held-out trained tokens that the model itself finds most likely."},
    {.name = "eval_perplexity",
     .panel = PANEL_PERPLEXITY,
     .sentence = "e to the power of the eval loss: among how many equally likely tokens the model might as well be "
                 "choosing."},
    {.name = "accuracy",
     .panel = PANEL_ACCURACY,
     .sentence = "Share of the training comparisons whose preferred answer has the higher score; 0.5 is guessing."},
    {.name = "eval_accuracy",
     .panel = PANEL_ACCURACY,
     .headline = METRIC_BESIDE_FIRST,
     .sentence = "Share of the held-out comparisons whose preferred answer has the higher score; the band is its 95 % "
                 "interval."},
    {.name = "eval_accuracy_low", .panel = PANEL_ACCURACY, .role = METRIC_LOW, .of = "eval_accuracy"},
    {.name = "eval_accuracy_high", .panel = PANEL_ACCURACY, .role = METRIC_HIGH, .of = "eval_accuracy"},
    {.name = "margin",
     .panel = PANEL_MARGIN,
     .sentence = "Mean score of the preferred answer less that of the other, on the training comparisons."},
    {.name = "eval_margin",
     .panel = PANEL_MARGIN,
     .sentence = "Mean score of the preferred answer less that of the other, on the held-out comparisons."},
    {.name = "mean_reward",
     .panel = PANEL_REWARD,
     .sentence = "Mean score of the training answers; the band reaches from the least to the greatest. The loss does "
                 "not see where the scores stand, only how far apart they are, so their mean may wander."},
    {.name = "eval_mean_reward", .panel = PANEL_REWARD, .sentence = "Mean score of the held-out answers."},
    {.name = "min_reward", .panel = PANEL_REWARD, .role = METRIC_LOW, .of = "mean_reward"},
    {.name = "max_reward", .panel = PANEL_REWARD, .role = METRIC_HIGH, .of = "mean_reward"},

    /* Whether the machinery is sound. */
    {.name = "val/decode_drift",
     .panel = PANEL_DRIFT,
     .sentence = "Largest difference between a token's log-probability while sampling and in the training pass. It is "
                 "rounding; anything larger means that sampler and policy differ."},
    {.name = "val/reference_perplexity",
     .panel = PANEL_REFERENCE,
     .sentence = "Perplexity of the sampled answers under the reference model: when it runs away, the answers are no "
                 "longer language to it."},
    {.name = "skipped_steps",
     .panel = PANEL_SKIPPED,
     .sentence = "Steps so far that were left out because a loss or gradient was not finite."},

    /* Optimizer and pace. */
    {.name = "grad_norm",
     .panel = PANEL_GRADIENT,
     .sentence = "Norm of the gradient before it is clipped to max_grad_norm. Spikes come before a loss that "
                 "diverges."},
    {.name = "critic_grad_norm",
     .panel = PANEL_GRADIENT,
     .sentence = "Norm of the gradient of the value model, before it is clipped."},
    {.name = "learning_rate", .panel = PANEL_RATE, .sentence = "Learning rate of the record's last step."},
    {.name = "lr", .panel = PANEL_RATE, .sentence = "Learning rate of the record's last step."},
    {.name = "num_tokens",
     .panel = PANEL_TOKENS,
     .sentence = "Tokens that went through the model in training so far, prompts included."},
    {.name = "episode", .panel = PANEL_EPISODES, .sentence = "Answers sampled so far."},
    {.name = "tokens_per_second",
     .panel = PANEL_SPEED,
     .headline = METRIC_BESIDE_UNIT,
     .sentence = "Tokens of the steps since the last record over the seconds they took."},
    {.name = "peak_memory_mib",
     .panel = PANEL_MEMORY,
     .headline = METRIC_BESIDE_UNIT,
     .sentence = "The most memory the process has held so far."},
    {.name = "eval_seconds", .panel = PANEL_SECONDS, .sentence = "Seconds that an evaluation took."},
    {.name = "seconds", .panel = PANEL_SECONDS, .sentence = "Seconds since the last record."},
};
const size_t metric_name_count = sizeof metric_names / sizeof *metric_names;

const struct metric_name *metric_find(const char *name)
{
    for (size_t i = 0; i < metric_name_count; i++)
        if (strcmp(metric_names[i].name, name) == 0)
            return &metric_names[i];
    return NULL;
}

const char *metric_phase(const char *name)
{
    static const char prefix[] = "time/";
    return strncmp(name, prefix, sizeof prefix - 1) == 0 ? name + sizeof prefix - 1 : NULL;
}
