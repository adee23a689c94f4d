/* reward/main.c - the command line of attune-reward. */
#include "reward/recipe.h"
#include "reward/reward.h"

int main(int argc, char **argv)
{
    const struct stage_command command = {.stage = &reward_stage, .stages = &all_stages, .run = reward_run};
    return stage_main(&command, argc, argv);
}
