/* reward/recipe.c - see recipe.h. */
#include "reward/recipe.h"

static const struct key_choice margins[] = {{"none", RANKING_MARGIN_NONE, 0},
                                            {"strength", RANKING_MARGIN_STRENGTH, 0},
                                            {"column", RANKING_MARGIN_COLUMN, 0},
                                            {0}};
static const struct key_choice ties[] = {{"skip", REWARD_TIES_SKIP, 0}, {"half", REWARD_TIES_HALF, 0}, {0}};

static const struct key keys[] = {
    {CHOICE_KEY(reward_recipe, margin), .group = "Reward model", .choices = margins, .initial = "none",
     .help = "distance asked for between two scores: from the label's strength, or from a `margin` column or ratings "
             "in the file"},
    {REAL_KEY(reward_recipe, margin_scale), .group = "Reward model", .range = "[0, 1e6]", .initial = "1",
     .help = "what the margin is multiplied with"},
    {CHOICE_KEY(reward_recipe, ties), .group = "Reward model", .choices = ties, .initial = "skip",
     .help = "pairs of equal rank are left out, or pulled together with target 0.5"},
    {REAL_KEY(reward_recipe, label_smoothing), .group = "Reward model", .range = "[0, 0.5)", .initial = "0",
     .help = "share of labels taken to be wrong", .elsewhere = "transformers:label_smoothing_factor"},
    {REAL_KEY(reward_recipe, center_rewards_coefficient), .group = "Reward model", .range = "[0, 1e6]", .initial = "0",
     .help = "weight of (r_chosen + r_rejected)^2, which keeps scores around 0; 0.01 is usual"},
    {SWITCH_KEY(reward_recipe, weight_by_agreement), .group = "Reward model", .initial = "false",
     .help = "weigh a ranking by how far its annotators agree"},
    {SWITCH_KEY(reward_recipe, normalize_scores), .group = "Reward model", .initial = "true",
     .help = "after training, scale the head so that scores of the training answers have mean 0 and deviation 1"},
};

static const struct stage_default defaults[] = {
    {"num_train_epochs", {.text = "1"}},
    {"learning_rate", {"1e-5", {{"finetuning_type", "full"}}}},
    {"learning_rate", {.text = "1e-4"}},
};

static void check(struct recipe_loader *loader, const struct recipe *recipe)
{
    if (recipe->on_too_long == RECIPE_TOO_LONG_TRUNCATE) {
        check_mistake(loader, "on_too_long",
                      "on_too_long: truncate would cut off the end of an answer, where its score is read; write drop "
                      "or keep_end");
    }
}

const struct recipe_stage reward_stage = {
    .name = "reward",
    .purpose = "train a reward model from rankings of answers",
    .summary = "Trains a reward model from rankings of answers, with LoRA or of all weights.",
    .examples = "  attune reward recipes/reward.yaml\n"
                "  attune reward recipes/reward.yaml --dataset.0.path prefs.db --dry-run",
    .keys = keys,
    .key_count = sizeof keys / sizeof keys[0],
    .size = sizeof(struct reward_recipe),
    .lacks = "sample_prompts sample_prompts_file sample_max_new_tokens",
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof defaults[0],
    .check = check,
    .title = "Reward model",
    .title_joint = "from",
    .panels = reward_panels,
};
