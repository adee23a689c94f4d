/* ppo/main.c - the command line of attune-ppo. */
#include "ppo/ppo.h"
#include "ppo/recipe.h"

int main(int argc, char **argv)
{
    const struct stage_command command = {.stage = &ppo_stage, .stages = &all_stages, .run = ppo_run};
    return stage_main(&command, argc, argv);
}
