/* The recipes that are shipped: all of them load, open with what a user has to know, and none is forgotten here. */
#include "base/file.h"
#include "base/strbuf.h"
#include "sft/recipe.h"
#include "support/cmocka.h"
#include "support/recipe_texts.h"
#include <string.h>

#define RECIPES ATTUNE_FIXTURES "/../../recipes"
#define SHIPPED 4

/* "sft-lora.yaml" is a recipe of attune sft. */
static const struct recipe_stage *stage_of(const char *name)
{
    for (size_t i = 0; i < all_stages.count; i++) {
        const char *prefix = all_stages.items[i]->name;
        if (strncmp(name, prefix, strlen(prefix)) == 0) {
            return all_stages.items[i];
        }
    }
    fail_msg("the name of recipes/%s begins with no stage", name);
    return NULL;
}

static void assert_good(const char *name)
{
    char path[512], command[256];
    snprintf(path, sizeof path, "%s/%s", RECIPES, name);
    const struct recipe_stage *stage = stage_of(name);
    struct err err;
    struct recipe *recipe;
    if (recipe_load(&recipe, &all_stages, stage, path, 0, NULL, &err) != 0) {
        fail_msg("%s", err.text);
    }
    recipe_free(recipe);
    assert_ptr_equal(recipe_find_stage(&all_stages, path, 0, NULL), stage);

    struct strbuf text = {0};
    assert_int_equal(file_read(&text, path, 1 << 20, &err), 0);
    snprintf(command, sizeof command, "attune %s recipes/%s", stage->name, name);
    assert_int_equal(text.data[0], '#');
    assert_says(text.data, "# Needs ", "# Run ", "# Change ", "# Gives ", "# Memory ", command, NULL);
    strbuf_free(&text);
}

static void every_shipped_recipe(void **state)
{
    (void)state;
    char **names;
    size_t count, recipes = 0;
    struct err err;
    assert_int_equal(file_list(&names, &count, RECIPES, &err), 0);
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(names[i]);
        if (length > 5 && strcmp(names[i] + length - 5, ".yaml") == 0) {
            assert_good(names[i]);
            recipes++;
        }
    }
    file_names_free(names, count);
    assert_int_equal(recipes, SHIPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_shipped_recipe)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
