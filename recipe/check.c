/* What the keys of a recipe must be together, each of them being right by itself. */
#include "recipe/loader.h"

#include <stddef.h>

static bool given(const struct loader *loader, const char *key)
{
    return loader_place(loader, key).origin != ORIGIN_DEFAULT;
}

static void check_required(struct loader *loader)
{
    for (size_t i = 0; i < recipe_key_count; i++) {
        const struct key *key = &recipe_keys[i];
        if (key->required && key_in_stage(key, loader->recipe->stage) && loader->places[i].origin == ORIGIN_DEFAULT) {
            loader_mistake(loader, loader->places[i], "%s is missing: %s", key->name, key->help);
        }
    }
}

static void check_datasets(struct loader *loader)
{
    for (size_t i = 0; i < recipe_key_count; i++) {
        const struct key *key = &recipe_keys[i];
        if (key->type != KEY_DATASETS || !loader->filled[i]) {
            continue;
        }
        const struct recipe_datasets *list =
            (const struct recipe_datasets *)((const char *)loader->recipe + key->offset);
        if (list->count == 0) {
            loader_mistake(loader, loader->places[i], "%s has no entry; name a file, or leave the key out", key->name);
        }
        for (size_t entry = 0; entry < list->count; entry++) {
            if (!list->items[entry].path) {
                loader_mistake(loader, loader->places[i], "entry %zu of %s has no path", entry, key->name);
            }
        }
    }
}

static void check_method(struct loader *loader)
{
    const struct recipe *recipe = loader->recipe;
    for (size_t i = 0; i < recipe_key_count && recipe->finetuning_type == RECIPE_FULL; i++) {
        const struct key *key = &recipe_keys[i];
        if (key_is_of_lora(key) && loader->places[i].origin != ORIGIN_DEFAULT) {
            bool adapter = key->type == KEY_TEXT;
            loader_mistake(loader, loader->places[i], "%s has no meaning with finetuning_type: full; %s", key->name,
                           adapter ? "merge the adapter first, with attune export --merge" : "leave it out");
        }
    }
    if (recipe->lora_target_modules.count == 0) {
        loader_mistake(loader, loader_place(loader, "lora_target_modules"),
                       "lora_target_modules names no layer; write all-linear, or finetuning_type: full");
    }
    if (recipe->use_dora) {
        loader_mistake(loader, loader_place(loader, "use_dora"),
                       "use_dora: DoRA is not done yet; write false, or use_rslora: true");
    }
    if (recipe->stage == STAGE_PPO && recipe->lora_dropout > 0) {
        loader_mistake(
            loader, loader_place(loader, "lora_dropout"),
            "lora_dropout must be 0 in PPO: old and new probabilities of one policy would differ by the dropout");
    }
}

static bool has_eval_data(const struct loader *loader)
{
    return given(loader, "eval_dataset") || loader->recipe->eval_split > 0;
}

static void check_evaluation(struct loader *loader)
{
    const struct recipe *recipe = loader->recipe;
    bool data = has_eval_data(loader), prompts = recipe->sample_prompts.count > 0 || recipe->sample_prompts_file;
    if (given(loader, "eval_dataset") && recipe->eval_split > 0) {
        loader_mistake(loader, loader_place(loader, "eval_split"),
                       "eval_split holds a part of dataset back, and eval_dataset names other data; keep one of them");
    }
    if (recipe->eval_steps > 0 && !data && !prompts && recipe->stage != STAGE_PPO) { /* PPO samples anyway */
        loader_mistake(loader, loader_place(loader, "eval_steps"),
                       "eval_steps is %lld, but there is nothing to evaluate; add eval_split: 0.05, or an eval_dataset",
                       (long long)recipe->eval_steps);
    }
    if (recipe->early_stopping_patience > 0 && (!data || recipe->eval_steps == 0)) {
        loader_mistake(loader, loader_place(loader, "early_stopping_patience"), "early_stopping_patience needs %s",
                       data ? "eval_steps" : "eval_steps, and eval_split or eval_dataset");
    }
    if (recipe->load_best_model_at_end && (!data || recipe->eval_steps == 0)) {
        loader_mistake(loader, loader_place(loader, "load_best_model_at_end"), "load_best_model_at_end needs %s",
                       data ? "eval_steps" : "eval_steps, and eval_split or eval_dataset");
    }
    if (recipe->sample_prompts.count > 0 && recipe->sample_prompts_file) {
        loader_mistake(loader, loader_place(loader, "sample_prompts_file"),
                       "sample_prompts and sample_prompts_file are both given; keep one of them");
    }
}

static void check_schedule(struct loader *loader)
{
    const struct recipe *recipe = loader->recipe;
    enum schedule_kind kind = recipe->lr_scheduler_type;
    if (kind == SCHEDULE_CONSTANT && recipe->warmup_steps > 0) {
        const char *key = given(loader, "warmup_steps") ? "warmup_steps" : "warmup_ratio";
        loader_mistake(loader, loader_place(loader, key),
                       "lr_scheduler_type: constant has no warm-up; write constant_with_warmup, or leave %s out", key);
    }
    if ((kind == SCHEDULE_CONSTANT || kind == SCHEDULE_CONSTANT_WITH_WARMUP) && recipe->min_lr_rate > 0) {
        loader_mistake(loader, loader_place(loader, "min_lr_rate"),
                       "min_lr_rate needs a schedule that falls: lr_scheduler_type: cosine or linear");
    }
    if (kind == SCHEDULE_COSINE_WITH_MIN_LR && !given(loader, "min_lr_rate")) {
        loader_mistake(loader, loader_place(loader, "lr_scheduler_type"),
                       "lr_scheduler_type: cosine_with_min_lr needs min_lr_rate, for example 0.1");
    }
}

static void check_roles(struct loader *loader)
{
    if (loader->recipe->stage == STAGE_SFT && loader->recipe->train_on_prompt && given(loader, "train_roles") &&
        loader_place(loader, "train_on_prompt").origin == loader_place(loader, "train_roles").origin) {
        loader_mistake(
            loader, loader_place(loader, "train_roles"),
            "train_roles has no meaning with train_on_prompt: true, which learns every token; keep one of them");
    }
}

/* One key for two stages, of whose values each has one that is of no use to the other. */
static void check_too_long(struct loader *loader)
{
    const struct recipe *recipe = loader->recipe;
    if (recipe->stage == STAGE_SFT && recipe->on_too_long == RECIPE_TOO_LONG_KEEP_END) {
        loader_mistake(loader, loader_place(loader, "on_too_long"),
                       "on_too_long: keep_end is for the rankings of attune reward; write truncate or drop");
    }
    if (recipe->stage == STAGE_REWARD && recipe->on_too_long == RECIPE_TOO_LONG_TRUNCATE) {
        loader_mistake(loader, loader_place(loader, "on_too_long"),
                       "on_too_long: truncate would cut off the end of an answer, where its score is read; write drop "
                       "or keep_end");
    }
}

static void check_scores(struct loader *loader)
{
    const struct recipe *recipe = loader->recipe;
    if (!given(loader, "reward_model") && !given(loader, "reward_command")) {
        loader_mistake(loader, (struct place){.origin = ORIGIN_DEFAULT},
                       "PPO needs something that scores answers: reward_model, or reward_command");
    }
    if (recipe->reward_model && recipe->reward_command) {
        loader_mistake(loader, loader_place(loader, "reward_command"),
                       "reward_model and reward_command are both given; keep one of them");
    }
    if (recipe->critic_init == RECIPE_CRITIC_REWARD && !given(loader, "reward_model")) {
        loader_mistake(loader, loader_place(loader, "critic_init"),
                       "critic_init: reward needs a reward_model; write fresh");
    }
}

static void check_ppo(struct loader *loader)
{
    const struct recipe *recipe = loader->recipe;
    check_scores(loader);
    if (recipe->response_length >= recipe->max_length) {
        loader_mistake(loader, loader_place(loader, "response_length"),
                       "response_length is %lld, which leaves no room for a prompt in max_length, %lld",
                       (long long)recipe->response_length, (long long)recipe->max_length);
    }
    if (recipe->advantage_estimator != RECIPE_ADVANTAGE_GAE && recipe->num_generations < 2) {
        loader_mistake(
            loader, loader_place(loader, "num_generations"),
            "num_generations must be at least 2 where answers are compared with each other (advantage_estimator)");
    }
    if (recipe->num_mini_batches > recipe->per_device_train_batch_size * recipe->num_generations) {
        loader_mistake(
            loader, loader_place(loader, "num_mini_batches"),
            "num_mini_batches is %lld, but an iteration has only %lld answers (per_device_train_batch_size times "
            "num_generations)",
            (long long)recipe->num_mini_batches,
            (long long)(recipe->per_device_train_batch_size * recipe->num_generations));
    }
    if (recipe->adaptive_kl && !(recipe->kl_coef > 0)) {
        loader_mistake(loader, loader_place(loader, "adaptive_kl"),
                       "adaptive_kl multiplies kl_coef, so kl_coef must not be 0");
    }
    if (recipe->ptx_coef > 0 && !given(loader, "ptx_dataset")) {
        loader_mistake(loader, loader_place(loader, "ptx_coef"), "ptx_coef needs a ptx_dataset");
    }
    if (given(loader, "ptx_dataset") && !(recipe->ptx_coef > 0)) {
        loader_mistake(loader, loader_place(loader, "ptx_dataset"), "ptx_dataset has no effect while ptx_coef is 0");
    }
}

void loader_check(struct loader *loader)
{
    check_required(loader);
    check_datasets(loader);
    check_method(loader);
    check_evaluation(loader);
    check_schedule(loader);
    check_roles(loader);
    check_too_long(loader);
    if (loader->recipe->stage == STAGE_PPO) {
        check_ppo(loader);
    }
}
