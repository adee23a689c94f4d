#include "recipe/recipe.h"

#include "base/file.h"
#include "base/mem.h"
#include "recipe/loader.h"

#include <assert.h>
#include <string.h>

#define RECIPE_BYTES_MAX ((size_t)256 << 10)

const char *stage_name(enum stage stage)
{
    static const char *const names[STAGE_COUNT] = {[STAGE_SFT] = "sft", [STAGE_REWARD] = "reward", [STAGE_PPO] = "ppo"};
    assert((int)stage >= 0 && stage < STAGE_COUNT);
    return names[stage];
}

void recipe_free(struct recipe *recipe)
{
    if (!recipe) {
        return;
    }
    for (size_t i = 0; i < recipe_key_count; i++) {
        key_clear(recipe, &recipe_keys[i]);
    }
    mem_free(recipe->origins);
    mem_free(recipe);
}

bool recipe_is_set(const struct recipe *recipe, const char *key)
{
    const struct key *row = key_find(recipe_keys, recipe_key_count, key);
    assert(row);
    return recipe->origins[loader_row(row)] != ORIGIN_DEFAULT;
}

const char *recipe_choice(const struct recipe *recipe, const char *key)
{
    const struct key *row = key_find(recipe_keys, recipe_key_count, key);
    assert(row);
    return key_choice_name(row, recipe);
}

/* Whether the default of a key depends on the value of another one: such keys are filled last. */
static bool depends_on_others(const struct key *key)
{
    for (size_t i = 0; i < KEY_DEFAULTS_MAX && key->instead[i].stages; i++) {
        if (key->instead[i].when[0].key) {
            return true;
        }
    }
    return false;
}

static int fill_defaults(struct loader *loader, bool dependent, struct err *err)
{
    for (size_t i = 0; i < recipe_key_count; i++) {
        const struct key *key = &recipe_keys[i];
        if (loader->filled[i] || depends_on_others(key) != dependent || !key_in_stage(key, loader->recipe->stage)) {
            continue;
        }
        const char *text = key_default_text(key, loader->recipe);
        struct err problem;
        int status = text ? key_set(loader->recipe, key, text, &problem) : 0;
        assert(status <= 0); /* a default that its own key refuses is a bug in the table */
        if (status < 0) {
            *err = problem;
            return -1;
        }
    }
    return 0;
}

/*
 * warmup_ratio is the older way to write a warmup_steps below 1. Of the two, the command line's wins over the file's,
 * then warmup_steps wins, as in transformers. Both are left saying the same, so a resolved recipe reads back alike.
 */
static void fold_warmup(struct loader *loader)
{
    struct recipe *recipe = loader->recipe;
    enum origin steps = loader_place(loader, "warmup_steps").origin,
                ratio = loader_place(loader, "warmup_ratio").origin;
    if (steps == ORIGIN_DEFAULT || ratio > steps) {
        bool without = recipe->lr_scheduler_type == SCHEDULE_CONSTANT && ratio == ORIGIN_DEFAULT;
        recipe->warmup_steps = without ? 0 : recipe->warmup_ratio;
    }
    recipe->warmup_ratio = recipe->warmup_steps < 1 ? recipe->warmup_steps : 0;
}

/* transformers' users say true and false. */
static int fold_resume(struct loader *loader, struct err *err)
{
    static const char *const words[][2] = {{"true", "auto"}, {"yes", "auto"}, {"false", "never"}, {"no", "never"}};
    const struct key *key = key_find(recipe_keys, recipe_key_count, "resume_from_checkpoint");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(loader->recipe->resume_from_checkpoint, words[i][0]) == 0) {
            return key_set(loader->recipe, key, words[i][1], err);
        }
    }
    return 0;
}

static int load_parts(struct loader *loader, const char *text, size_t length, int argc, char **argv, struct err *err)
{
    if (text && loader_read_yaml(loader, text, length, err) != 0) {
        return -1;
    }
    if (loader->unreadable) {
        return loader_verdict(loader, err);
    }
    if (loader_read_options(loader, argc, argv, err) != 0 || fill_defaults(loader, false, err) != 0 ||
        fill_defaults(loader, true, err) != 0 || fold_resume(loader, err) != 0) {
        return -1;
    }
    fold_warmup(loader);
    loader_check(loader);
    for (size_t i = 0; i < recipe_key_count; i++) {
        loader->recipe->origins[i] = (unsigned char)loader->places[i].origin;
    }
    return loader_verdict(loader, err);
}

/* What is loaded, and where `foreign` is not NULL how many keys were given that each stage does not have. */
static int load(struct recipe **out, int foreign[STAGE_COUNT], enum stage stage, const char *name, const char *text,
                size_t length, int argc, char **argv, struct err *err)
{
    struct loader *loader = mem_alloc(1, sizeof *loader, err);
    struct recipe *recipe = loader ? mem_alloc(1, sizeof *recipe, err) : NULL;
    int status = -1;
    if (recipe) {
        recipe->stage = stage;
        recipe->origins = mem_alloc(recipe_key_count, sizeof *recipe->origins, err);
    }
    if (recipe && recipe->origins) {
        loader->recipe = recipe;
        loader->name = name;
        status = load_parts(loader, text, length, argc, argv, err);
    }
    if (loader && foreign) {
        memcpy(foreign, loader->foreign, sizeof loader->foreign);
    }
    mem_free(loader);
    if (status != 0) {
        recipe_free(recipe);
        return -1;
    }
    *out = recipe;
    return 0;
}

int recipe_load_text(struct recipe **out, enum stage stage, const char *name, const char *text, size_t length, int argc,
                     char **argv, struct err *err)
{
    return load(out, NULL, stage, name, text, length, argc, argv, err);
}

static int load_file(struct recipe **out, int foreign[STAGE_COUNT], enum stage stage, const char *path, int argc,
                     char **argv, struct err *err)
{
    if (!path) {
        return load(out, foreign, stage, NULL, NULL, 0, argc, argv, err);
    }
    struct strbuf text = {0};
    int status = file_read(&text, path, RECIPE_BYTES_MAX, err);
    if (status == 0) {
        status = load(out, foreign, stage, path, strbuf_text(&text), text.length, argc, argv, err);
    }
    strbuf_free(&text);
    return status;
}

int recipe_load(struct recipe **out, enum stage stage, const char *path, int argc, char **argv, struct err *err)
{
    return load_file(out, NULL, stage, path, argc, argv, err);
}

enum stage recipe_find_stage(const char *path, int argc, char **argv)
{
    struct err mistakes;
    struct recipe *recipe = NULL;
    int foreign[STAGE_COUNT] = {0}, best = STAGE_SFT;
    (void)load_file(&recipe, foreign, STAGE_SFT, path, argc, argv, &mistakes);
    recipe_free(recipe);
    for (int stage = 0; stage < STAGE_COUNT; stage++) {
        best = foreign[stage] < foreign[best] ? stage : best;
    }
    return (enum stage)best;
}
