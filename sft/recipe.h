/*
 * sft/recipe.h - supervised fine-tuning as the rest of the house knows it: its recipe, and what it measures.
 */
#ifndef ATTUNE_SFT_RECIPE_H
#define ATTUNE_SFT_RECIPE_H

#include "recipe/stage.h"
#include "report/metrics.h"
#include <assert.h>

struct sft_recipe {
    struct recipe common;
    bool packing;
    bool train_on_prompt;
    struct recipe_strings train_roles;
};

extern const struct recipe_stage sft_stage;
extern const struct metric_panel sft_panels[];

/* The keys of this stage in a recipe that was loaded for it. */
static inline const struct sft_recipe *sft_keys(const struct recipe *recipe)
{
    assert(recipe->stage == &sft_stage);
    return (const struct sft_recipe *)recipe;
}

#endif
