#include "recipe/recipe.h"

#include "base/file.h"
#include "base/mem.h"
#include "recipe/internal.h"

#include <assert.h>
#include <string.h>

#define RECIPE_BYTES_MAX ((size_t)256 << 10)

void recipe_free(struct recipe *recipe)
{
    if (!recipe) {
        return;
    }
    for (size_t i = 0; recipe->given && i < recipe->given->keys.count; i++) {
        key_clear(recipe, recipe->given->keys.rows[i]);
    }
    mem_free(recipe->given);
    mem_free(recipe);
}

bool recipe_is_set(const struct recipe *recipe, const char *key)
{
    const struct key_table *keys = &recipe->given->keys;
    size_t row = 0;
    while (row < keys->count && !key_has_name(keys->rows[row], key)) {
        row++;
    }
    assert(row < keys->count);
    return recipe->given->origins[row] != ORIGIN_DEFAULT;
}

const char *recipe_choice(const struct recipe *recipe, const char *key)
{
    const struct key *row = key_find(&recipe->given->keys, key);
    assert(row);
    return key_choice_name(row, recipe);
}

/* Whether the default of a key depends on the value of another one: such keys are filled last. */
static bool depends_on_others(const struct key *key, const struct recipe_stage *stage)
{
    const struct key_default *instead;
    for (size_t i = 0; (instead = key_instead(key, stage, i)); i++) {
        if (instead->when[0].key) {
            return true;
        }
    }
    return false;
}

static int fill_defaults(struct recipe_loader *loader, bool dependent, struct err *err)
{
    const struct recipe_stage *stage = loader->recipe->stage;
    for (size_t i = 0; i < loader->keys.own.count; i++) {
        const struct key *key = loader->keys.own.rows[i];
        if (loader->filled[i] || depends_on_others(key, stage) != dependent) {
            continue;
        }
        const char *text = key_default_text(key, stage, loader->recipe);
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
static void fold_warmup(struct recipe_loader *loader)
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
static int fold_resume(struct recipe_loader *loader, struct err *err)
{
    static const char *const words[][2] = {{"true", "auto"}, {"yes", "auto"}, {"false", "never"}, {"no", "never"}};
    const struct key *key = key_find(&loader->keys.own, "resume_from_checkpoint");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(loader->recipe->resume_from_checkpoint, words[i][0]) == 0) {
            return key_set(loader->recipe, key, words[i][1], err);
        }
    }
    return 0;
}

static int load_parts(struct recipe_loader *loader, const char *text, size_t length, int argc, char **argv,
                      struct err *err)
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
    for (size_t i = 0; i < loader->keys.own.count; i++) {
        loader->recipe->given->origins[i] = (unsigned char)loader->places[i].origin;
    }
    return loader_verdict(loader, err);
}

/* What is loaded, for whom and from what. */
struct request {
    const struct recipe_stages *stages;
    const struct recipe_stage *stage;
    const char *name; /* of the text, in messages */
    const char *text; /* NULL: none */
    size_t length;
    int argc;
    char **argv;
    int *foreign; /* [stages->count], gets how many keys were given that each stage does not have; or NULL */
};

static struct recipe *new_recipe(const struct request *request, struct err *err)
{
    assert(request->stage->size >= sizeof(struct recipe) && request->stages->count <= STAGES_MAX);
    struct recipe *recipe = mem_alloc(1, request->stage->size, err);
    if (!recipe) {
        return NULL;
    }
    recipe->stage = request->stage;
    recipe->stages = request->stages;
    recipe->given = mem_alloc(1, sizeof *recipe->given, err);
    if (!recipe->given) {
        mem_free(recipe);
        return NULL;
    }
    keys_of_stage(&recipe->given->keys, request->stage);
    return recipe;
}

static int load(struct recipe **out, const struct request *request, struct err *err)
{
    struct recipe_loader *loader = mem_alloc(1, sizeof *loader, err);
    struct recipe *recipe = loader ? new_recipe(request, err) : NULL;
    int status = -1;
    if (recipe) {
        loader->recipe = recipe;
        loader->stages = request->stages;
        loader->name = request->name;
        keys_of_stage(&loader->keys.own, request->stage);
        keys_of_stages(&loader->keys.all, request->stages);
        members_of_stage(&loader->members.own, request->stage);
        members_of_stages(&loader->members.all, request->stages);
        status = load_parts(loader, request->text, request->length, request->argc, request->argv, err);
    }
    if (recipe && request->foreign) {
        memcpy(request->foreign, loader->foreign, request->stages->count * sizeof *request->foreign);
    }
    mem_free(loader);
    if (status != 0) {
        recipe_free(recipe);
        return -1;
    }
    *out = recipe;
    return 0;
}

int recipe_load_text(struct recipe **out, const struct recipe_stages *stages, const struct recipe_stage *stage,
                     const char *name, const char *text, size_t length, int argc, char **argv, struct err *err)
{
    struct request request = {stages, stage, name, text, length, argc, argv, NULL};
    return load(out, &request, err);
}

/* The request's text is that of the file, if there is one. */
static int load_file(struct recipe **out, struct request *request, const char *path, struct err *err)
{
    struct strbuf text = {0};
    int status = path ? file_read(&text, path, RECIPE_BYTES_MAX, err) : 0;
    if (status == 0) {
        request->name = path;
        request->text = path ? strbuf_text(&text) : NULL;
        request->length = text.length;
        status = load(out, request, err);
    }
    strbuf_free(&text);
    return status;
}

int recipe_load(struct recipe **out, const struct recipe_stages *stages, const struct recipe_stage *stage,
                const char *path, int argc, char **argv, struct err *err)
{
    struct request request = {.stages = stages, .stage = stage, .argc = argc, .argv = argv};
    return load_file(out, &request, path, err);
}

const struct recipe_stage *recipe_find_stage(const struct recipe_stages *stages, const char *path, int argc,
                                             char **argv)
{
    struct err mistakes;
    struct recipe *recipe = NULL;
    int foreign[STAGES_MAX] = {0};
    struct request request = {
        .stages = stages, .stage = stages->items[0], .argc = argc, .argv = argv, .foreign = foreign};
    (void)load_file(&recipe, &request, path, &mistakes);
    recipe_free(recipe);
    size_t best = 0;
    for (size_t i = 0; i < stages->count; i++) {
        best = foreign[i] < foreign[best] ? i : best;
    }
    return stages->items[best];
}

int recipe_read_text(char **out, const char *path, const char *key, struct err *err)
{
    static const struct recipe_stages none;
    const struct recipe_stage any = {.size = sizeof(struct recipe)};
    const struct key *row = stage_find_key(&any, key);
    assert(row && row->type == KEY_TEXT);
    struct recipe_loader *loader = mem_alloc(1, sizeof *loader, err);
    struct recipe *recipe = loader ? mem_alloc(1, sizeof *recipe, err) : NULL;
    struct strbuf text = {0};
    int status = recipe ? file_read(&text, path, RECIPE_BYTES_MAX, err) : -1;
    if (status == 0) {
        *loader = (struct recipe_loader){.recipe = recipe, .stages = &none, .only = row, .name = path};
        loader->keys.own.rows[loader->keys.own.count++] = row;
        status = loader_read_yaml(loader, strbuf_text(&text), text.length, err);
    }
    if (status == 0) {
        status = loader_verdict(loader, err);
    }
    if (status == 0) {
        *out = key_take_text(row, recipe);
    } else if (recipe) {
        key_clear(recipe, row);
    }
    strbuf_free(&text);
    mem_free(recipe);
    mem_free(loader);
    return status;
}
