/* reward/main.c - the command line of attune-reward. */
#include "reward/reward.h"

int main(int argc, char **argv)
{
    const struct stage_command command = {
        .stage = STAGE_REWARD,
        .name = "attune reward",
        .summary = "Trains a reward model from rankings of answers, with LoRA or of all weights.",
        .more = "attune help lists the recipe's keys, attune help KEY explains one.\n\nExamples:\n  attune reward "
                "recipes/reward.yaml\n  attune reward recipes/reward.yaml --dataset.0.path prefs.db --dry-run",
        .run = reward_run,
    };
    return stage_main(&command, argc, argv);
}
