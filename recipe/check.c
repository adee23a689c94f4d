/* What the keys of a recipe must be together, each of them being right by itself. */
#include "recipe/internal.h"

#include <stdarg.h>
#include <stdio.h>

bool check_given(const struct recipe_loader *loader, const char *key)
{
    return loader_place(loader, key).origin != ORIGIN_DEFAULT;
}

bool check_given_together(const struct recipe_loader *loader, const char *one, const char *other)
{
    return check_given(loader, one) && loader_place(loader, one).origin == loader_place(loader, other).origin;
}

void check_mistake(struct recipe_loader *loader, const char *key, const char *format, ...)
{
    char text[MISTAKE_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct key_place place = {.origin = ORIGIN_DEFAULT};
    loader_mistake(loader, key ? loader_place(loader, key) : place, "%s", text);
}

static void check_required(struct recipe_loader *loader)
{
    for (size_t i = 0; i < loader->keys.own.count; i++) {
        const struct key *key = loader->keys.own.rows[i];
        if (key->required && loader->places[i].origin == ORIGIN_DEFAULT) {
            loader_mistake(loader, loader->places[i], "%s is missing: %s", key->name, key->help);
        }
    }
}

static void check_datasets(struct recipe_loader *loader)
{
    for (size_t i = 0; i < loader->keys.own.count; i++) {
        const struct key *key = loader->keys.own.rows[i];
        if (key->type != KEY_DATASETS || !loader->filled[i]) {
            continue;
        }
        const struct recipe_datasets *list = key_datasets(key, loader->recipe);
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

static void check_method(struct recipe_loader *loader)
{
    const struct recipe *recipe = loader->recipe;
    for (size_t i = 0; i < loader->keys.own.count && recipe->finetuning_type == RECIPE_FULL; i++) {
        const struct key *key = loader->keys.own.rows[i];
        if (key_is_of_lora(key) && loader->places[i].origin != ORIGIN_DEFAULT) {
            bool adapter = key->type == KEY_TEXT;
            loader_mistake(loader, loader->places[i], "%s has no meaning with finetuning_type: full; %s", key->name,
                           adapter ? "merge the adapter first, with attune export --merge" : "leave it out");
        }
    }
    if (recipe->lora_target_modules.count == 0) {
        check_mistake(loader, "lora_target_modules",
                      "lora_target_modules names no layer; write all-linear, or finetuning_type: full");
    }
    if (recipe->use_dora) {
        check_mistake(loader, "use_dora", "use_dora: DoRA is not done yet; write false, or use_rslora: true");
    }
}

static bool has_eval_data(const struct recipe_loader *loader)
{
    return check_given(loader, "eval_dataset") || loader->recipe->eval_split > 0;
}

static void check_evaluation(struct recipe_loader *loader)
{
    const struct recipe *recipe = loader->recipe;
    bool data = has_eval_data(loader), prompts = recipe->sample_prompts.count > 0 || recipe->sample_prompts_file;
    if (check_given(loader, "eval_dataset") && recipe->eval_split > 0) {
        check_mistake(loader, "eval_split",
                      "eval_split holds a part of dataset back, and eval_dataset names other data; keep one of them");
    }
    if (recipe->eval_steps > 0 && !data && !prompts && !recipe->stage->always_samples) {
        check_mistake(loader, "eval_steps",
                      "eval_steps is %lld, but there is nothing to evaluate; add eval_split: 0.05, or an eval_dataset",
                      (long long)recipe->eval_steps);
    }
    if (recipe->early_stopping_patience > 0 && (!data || recipe->eval_steps == 0)) {
        check_mistake(loader, "early_stopping_patience", "early_stopping_patience needs %s",
                      data ? "eval_steps" : "eval_steps, and eval_split or eval_dataset");
    }
    if (recipe->load_best_model_at_end && (!data || recipe->eval_steps == 0)) {
        check_mistake(loader, "load_best_model_at_end", "load_best_model_at_end needs %s",
                      data ? "eval_steps" : "eval_steps, and eval_split or eval_dataset");
    }
    if (recipe->sample_prompts.count > 0 && recipe->sample_prompts_file) {
        check_mistake(loader, "sample_prompts_file",
                      "sample_prompts and sample_prompts_file are both given; keep one of them");
    }
}

static void check_schedule(struct recipe_loader *loader)
{
    const struct recipe *recipe = loader->recipe;
    enum schedule_kind kind = recipe->lr_scheduler_type;
    if (kind == SCHEDULE_CONSTANT && recipe->warmup_steps > 0) {
        const char *key = check_given(loader, "warmup_steps") ? "warmup_steps" : "warmup_ratio";
        check_mistake(loader, key,
                      "lr_scheduler_type: constant has no warm-up; write constant_with_warmup, or leave %s out", key);
    }
    if ((kind == SCHEDULE_CONSTANT || kind == SCHEDULE_CONSTANT_WITH_WARMUP) && recipe->min_lr_rate > 0) {
        check_mistake(loader, "min_lr_rate",
                      "min_lr_rate needs a schedule that falls: lr_scheduler_type: cosine or linear");
    }
    if (kind == SCHEDULE_COSINE_WITH_MIN_LR && !check_given(loader, "min_lr_rate")) {
        check_mistake(loader, "lr_scheduler_type",
                      "lr_scheduler_type: cosine_with_min_lr needs min_lr_rate, for example 0.1");
    }
}

void loader_check(struct recipe_loader *loader)
{
    check_required(loader);
    check_datasets(loader);
    check_method(loader);
    check_evaluation(loader);
    check_schedule(loader);
    if (loader->recipe->stage->check) {
        loader->recipe->stage->check(loader, loader->recipe);
    }
}
