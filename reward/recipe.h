/*
 * reward/recipe.h - the reward stage as the rest of the house knows it: its recipe, and what it measures.
 */
#ifndef ATTUNE_REWARD_RECIPE_H
#define ATTUNE_REWARD_RECIPE_H

#include "rankings/set.h"
#include "recipe/stage.h"
#include "report/metrics.h"
#include <assert.h>

enum reward_ties { REWARD_TIES_SKIP, REWARD_TIES_HALF };

struct reward_recipe {
    struct recipe common;
    enum ranking_margin margin;
    double margin_scale;
    enum reward_ties ties;
    double label_smoothing;
    double center_rewards_coefficient;
    bool weight_by_agreement;
    bool normalize_scores;
};

extern const struct recipe_stage reward_stage;
extern const struct metric_panel reward_panels[];

/* The keys of this stage in a recipe that was loaded for it. */
static inline const struct reward_recipe *reward_keys(const struct recipe *recipe)
{
    assert(recipe->stage == &reward_stage);
    return (const struct reward_recipe *)recipe;
}

#endif
