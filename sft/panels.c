/* sft/panels.c - what the report shows of the stage beside the metrics of all stages. */
#include "sft/recipe.h"

const struct metric_panel sft_panels[] = {
    {.title = "Token accuracy",
     .section = METRICS_LEARNING,
     .unit = "share",
     .scale = METRIC_FROM_ZERO,
     .names = {{.name = "mean_token_accuracy",
                .sentence = "Share of the trained tokens that the model itself finds most likely."},
               {.name = "eval_mean_token_accuracy",
                .headline = METRIC_BESIDE_FIRST,
                .sentence = "Share of the held-out trained tokens that the model itself finds most likely."}}},
    {.title = "Perplexity",
     .section = METRICS_LEARNING,
     .unit = "",
     .scale = METRIC_LOG,
     .names = {{.name = "eval_perplexity",
                .sentence = "e to the power of the eval loss: among how many equally likely tokens the model might as "
                            "well be choosing."}}},
    {0},
};
