/* sft/recipe.c - see recipe.h. */
#include "sft/recipe.h"

static const struct key keys[] = {
    {SWITCH_KEY(sft_recipe, packing), .group = GROUP_DATA, .before = "on_bad_record", .initial = "false",
     .help = "fill rows of max_length with whole examples that do not see each other; batches then count rows",
     .elsewhere = "axolotl:sample_packing LLaMA-Factory:neat_packing torchtune:dataset.packed torchtune:packed "
                  "OpenRLHF:ds.packing_samples TRL:padding_free"},
    {SWITCH_KEY(sft_recipe, train_on_prompt), .group = GROUP_DATA, .before = "on_bad_record", .initial = "false",
     .help = "learn every token of an example, not only those of train_roles",
     .elsewhere = "axolotl:train_on_inputs torchtune:dataset.train_on_input torchtune:train_on_input"},
    {TEXTS_KEY(sft_recipe, train_roles), .group = GROUP_DATA, .before = "on_bad_record", .initial = "assistant",
     .unless = "train_on_prompt", .help = "roles whose turns are learned, through their end-of-turn token",
     .elsewhere = "axolotl:roles_to_train"},
};

static const struct stage_default defaults[] = {
    {"on_too_long", {.text = "truncate"}},
    {"learning_rate", {"2e-5", {{"finetuning_type", "full"}}}},
};

static void check(struct recipe_loader *loader, const struct recipe *recipe)
{
    if (sft_keys(recipe)->train_on_prompt && check_given_together(loader, "train_roles", "train_on_prompt")) {
        check_mistake(
            loader, "train_roles",
            "train_roles has no meaning with train_on_prompt: true, which learns every token; keep one of them");
    }
    if (recipe->on_too_long == RECIPE_TOO_LONG_KEEP_END) {
        check_mistake(loader, "on_too_long",
                      "on_too_long: keep_end is for the rankings of attune reward; write truncate or drop");
    }
}

const struct recipe_stage sft_stage = {
    .name = "sft",
    .purpose = "supervised fine-tuning on instructions, chats or plain text",
    .summary = "Fine-tunes a model on examples, with LoRA or of all weights.",
    .examples = "  attune sft recipes/sft-lora.yaml\n"
                "  attune sft recipes/sft-lora.yaml --learning_rate 1e-4 --output_dir runs/second",
    .keys = keys,
    .key_count = sizeof keys / sizeof keys[0],
    .size = sizeof(struct sft_recipe),
    .lacks = "project annotators min_agreement",
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof defaults[0],
    .check = check,
    .title = "Supervised fine-tuning",
    .title_joint = "of",
    .panels = sft_panels,
};
