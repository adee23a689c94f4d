#include "support/recipe_texts.h"

#include "base/file.h"
#include "recipe/stage.h"
#include "support/cmocka.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 16

static int load(struct recipe **out, const struct recipe_stage *stage, const char *yaml, va_list options,
                struct err *err)
{
    char *argv[OPTIONS_MAX];
    int argc = 0;
    for (char *option; (option = va_arg(options, char *));) {
        assert_true(argc < OPTIONS_MAX);
        argv[argc++] = option;
    }
    return recipe_load_text(out, &all_stages, stage, "r.yaml", yaml, strlen(yaml), argc, argv, err);
}

struct recipe *recipe_of(const struct recipe_stage *stage, const char *yaml, ...)
{
    struct recipe *recipe = NULL;
    struct err err;
    va_list options;
    va_start(options, yaml);
    int status = load(&recipe, stage, yaml, options, &err);
    va_end(options);
    if (status != 0) {
        fail_msg("%s", err.text);
    }
    return recipe;
}

const char *mistakes_of(const struct recipe_stage *stage, const char *yaml, ...)
{
    static struct err err;
    struct recipe *recipe = NULL;
    va_list options;
    va_start(options, yaml);
    int status = load(&recipe, stage, yaml, options, &err);
    va_end(options);
    if (status == 0) {
        fail_msg("nothing wrong was found in:\n%s", yaml);
    }
    return err.text;
}

void assert_says(const char *where, ...)
{
    va_list texts;
    va_start(texts, where);
    for (const char *text; (text = va_arg(texts, const char *));) {
        if (!strstr(where, text)) {
            fail_msg("'%s' is not in:\n%s", text, where);
        }
    }
    va_end(texts);
}
