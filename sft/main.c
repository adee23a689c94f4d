/* sft/main.c - the command line of attune-sft. */
#include "sft/recipe.h"
#include "sft/sft.h"

int main(int argc, char **argv)
{
    const struct stage_command command = {.stage = &sft_stage, .stages = &all_stages, .run = sft_run};
    return stage_main(&command, argc, argv);
}
