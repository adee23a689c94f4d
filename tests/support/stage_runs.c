/* tests/support/stage_runs.c - see stage_runs.h. */
#include "support/cmocka.h"

#include "recipe/stage.h"
#include "support/fixture.h"
#include "support/stage_runs.h"
#include "support/temporary.h"
#include <string.h>

/* Appends the lines, the @ of "@/" being the temporary folder. */
static void put_lines(struct strbuf *yaml, const char *lines)
{
    for (; *lines; lines++) {
        if (strncmp(lines, "@/", 2) == 0) {
            strbuf_puts(yaml, temporary("."));
        } else {
            strbuf_putc(yaml, *lines);
        }
    }
}

struct recipe *stage_recipe(const struct tested_stage *stage, const char *name, const char *lines)
{
    struct err err;
    struct recipe *recipe;
    struct strbuf yaml = {0};
    strbuf_printf(&yaml, "output_dir: %s\nthreads: 1\ndtype: f32\n", temporary("%s", name));
    if (!strstr(lines, "model_name_or_path")) {
        strbuf_printf(&yaml, "model_name_or_path: %s\n", temporary("model"));
    }
    if (stage->put_defaults) {
        stage->put_defaults(&yaml, lines);
    }
    put_lines(&yaml, lines);
    must(strbuf_check(&yaml, &err));
    must(recipe_load_text(&recipe, &all_stages, stage->stage, "recipe.yaml", yaml.data, yaml.length, 0, NULL, &err));
    strbuf_free(&yaml);
    return recipe;
}

void stage_finish(const struct tested_stage *stage, const char *name, const char *lines, struct backend *backend)
{
    struct err err;
    struct recipe *recipe = stage_recipe(stage, name, lines);
    if (!backend) {
        backend = cpu_backend(DTYPE_F32, 2);
    }
    must(stage->run(recipe, backend, &(struct stage_options){0}, &err));
    backend->free(backend);
    recipe_free(recipe);
}

void stage_fail(const struct tested_stage *stage, const char *name, const char *lines, struct backend *backend,
                struct err *err)
{
    struct recipe *recipe = stage_recipe(stage, name, lines);
    err->text[0] = 0;
    assert_int_equal(stage->run(recipe, backend, &(struct stage_options){0}, err), LOOP_FAILED);
    assert_true(err->text[0] != 0);
    backend->free(backend);
    recipe_free(recipe);
}
