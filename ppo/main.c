/* ppo/main.c - the command line of attune-ppo. */
#include "ppo/ppo.h"

int main(int argc, char **argv)
{
    const struct stage_command command = {
        .stage = STAGE_PPO,
        .name = "attune ppo",
        .summary = "Trains a policy against a reward model or a program that scores answers (PPO, GRPO, RLOO).",
        .more = "attune help lists the recipe's keys, attune help KEY explains one.\n\nExamples:\n  attune ppo "
                "recipes/ppo.yaml\n  attune ppo recipes/ppo.yaml --kl_coef 0.1 --output_dir runs/second",
        .run = ppo_run,
    };
    return stage_main(&command, argc, argv);
}
