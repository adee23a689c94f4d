/*
 * Any bytes as a recipe. The first byte picks the stage; a line of 0xFF divides the YAML from options, one a line. What
 * loads must be written and load again to the same fingerprint.
 */
#include "base/mem.h"
#include "recipe/stage.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPTIONS_MAX 16
#define PATH_SIZE   64

static void check_again(const struct recipe *recipe)
{
    struct err err;
    struct recipe *again;
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "/tmp/fuzz-recipe-%ld.yaml", (long)getpid());
    if (recipe_write(recipe, path, &err) != 0) {
        return;
    }
    int status = recipe_load(&again, &all_stages, recipe->stage, path, 0, NULL, &err);
    assert(status == 0);
    assert(recipe_check_resume(again, recipe, &err) == 0);
    recipe_free(again);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    if (size == 0) {
        return 0;
    }
    char *text = mem_copy_string((const char *)data + 1, size - 1, &err);
    if (!text) {
        return 0;
    }
    char *options[OPTIONS_MAX], *rest, *divide = memchr(text, 0xFF, size - 1);
    int count = 0;
    size_t length = divide ? (size_t)(divide - text) : size - 1;
    if (divide) {
        for (char *line = strtok_r(divide + 1, "\n", &rest); line && count < OPTIONS_MAX;
             line = strtok_r(NULL, "\n", &rest)) {
            options[count++] = line;
        }
    }
    struct recipe *recipe;
    if (recipe_load_text(&recipe, &all_stages, all_stages.items[data[0] % all_stages.count], "fuzz", text, length,
                         count, options, &err) == 0) {
        check_again(recipe);
        recipe_free(recipe);
    } else {
        assert(err.text[0] != '\0' && memchr(err.text, '\0', sizeof err.text));
    }
    mem_free(text);
    return 0;
}
