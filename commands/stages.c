/*
 * commands/stages.c - the stages there are, in the order in which they are listed. A new one is a folder with a
 * recipe_stage (recipe/stage.h), and a line here.
 */
#include "ppo/recipe.h"
#include "recipe/stage.h"
#include "reward/recipe.h"
#include "sft/recipe.h"

static const struct recipe_stage *const stages[] = {
    &sft_stage,
    &reward_stage,
    &ppo_stage,
};
const struct recipe_stages all_stages = {.items = stages, .count = sizeof stages / sizeof stages[0]};
