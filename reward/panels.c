/* reward/panels.c - what the report shows of the stage beside the metrics of all stages. */
#include "reward/recipe.h"

const struct metric_panel reward_panels[] = {
    {.title = "Accuracy",
     .section = METRICS_LEARNING,
     .unit = "share of comparisons",
     .scale = METRIC_LINEAR,
     .names = {{.name = "accuracy",
                .sentence =
                    "Share of the training comparisons whose preferred answer has the higher score; 0.5 is guessing."},
               {.name = "eval_accuracy",
                .headline = METRIC_BESIDE_FIRST,
                .sentence = "Share of the held-out comparisons whose preferred answer has the higher score; the band "
                            "is its 95 % interval."},
               {.name = "eval_accuracy_low", .role = METRIC_LOW, .of = "eval_accuracy"},
               {.name = "eval_accuracy_high", .role = METRIC_HIGH, .of = "eval_accuracy"}}},
    {.title = "Margin",
     .section = METRICS_LEARNING,
     .unit = "score",
     .scale = METRIC_LINEAR,
     .names = {{.name = "margin",
                .sentence = "Mean score of the preferred answer less that of the other, on the training comparisons."},
               {.name = "eval_margin",
                .sentence =
                    "Mean score of the preferred answer less that of the other, on the held-out comparisons."}}},
    {.title = "Scores in training",
     .section = METRICS_LEARNING,
     .unit = "score",
     .scale = METRIC_LINEAR,
     .names = {{.name = "mean_reward",
                .sentence =
                    "Mean score of the training answers; the band reaches from the least to the greatest. The loss "
                    "does not see where the scores stand, only how far apart they are, so their mean may wander."},
               {.name = "eval_mean_reward", .sentence = "Mean score of the held-out answers."},
               {.name = "min_reward", .role = METRIC_LOW, .of = "mean_reward"},
               {.name = "max_reward", .role = METRIC_HIGH, .of = "mean_reward"}}},
    {0},
};
