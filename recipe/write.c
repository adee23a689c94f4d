/* The resolved recipe, and what two recipes of one run must have in common. */
#include "base/file.h"
#include "base/strbuf.h"
#include "recipe/internal.h"

#include <string.h>

/* Whether the run looks at the key: what it does not look at would be refused when the resolved recipe is read again.
 */
static bool applies(const struct recipe *recipe, const struct key *key)
{
    if (key_is_of_lora(key)) {
        bool own = !recipe->adapter_name_or_path || key->type == KEY_TEXT || recipe_is_set(recipe, key->name);
        return recipe->finetuning_type == RECIPE_LORA && own;
    }
    return !key->unless || !key_is_on(key_find(&recipe->given->keys, key->unless), recipe);
}

/* A dataset entry a line; everything else behind its name. */
static void put_key(struct strbuf *out, const struct recipe *recipe, const struct key *key)
{
    strbuf_printf(out, "%s: ", key->name);
    key_format(out, recipe, key);
    strbuf_putc(out, '\n');
}

int recipe_write(const struct recipe *recipe, const char *path, struct err *err)
{
    struct strbuf text = {0};
    strbuf_printf(&text,
                  "# The recipe of this run with every default written out (attune %s). Run it again: attune %s %s\n",
                  ATTUNE_VERSION, recipe->stage->name, "recipe.resolved.yaml");
    const struct key_table *keys = &recipe->given->keys;
    for (size_t i = 0; i < keys->count; i++) {
        const struct key *key = keys->rows[i];
        if (!applies(recipe, key)) {
            continue;
        }
        if (i == 0 || strcmp(keys->rows[i - 1]->group, key->group) != 0) {
            strbuf_printf(&text, "\n# %s\n", key->group);
        }
        put_key(&text, recipe, key);
    }
    int status = strbuf_check(&text, err);
    if (status == 0) {
        status = file_write_whole(path, text.data, text.length, err);
    }
    strbuf_free(&text);
    return status;
}

/* Appends "\n<key> is <now> in the recipe and was <then>" for a key that may not change and did. */
static int note_change(struct strbuf *out, const struct key *key, const struct recipe *now, const struct recipe *then,
                       struct err *err)
{
    struct strbuf value_now = {0}, value_then = {0};
    key_format(&value_now, now, key);
    key_format(&value_then, then, key);
    int status = strbuf_check(&value_now, err) == 0 ? strbuf_check(&value_then, err) : -1;
    if (status == 0 && strcmp(strbuf_text(&value_now), strbuf_text(&value_then)) != 0) {
        strbuf_printf(out, "\n%s is %s now and was %s", key->name, strbuf_text(&value_now), strbuf_text(&value_then));
    }
    strbuf_free(&value_now);
    strbuf_free(&value_then);
    return status;
}

int recipe_check_resume(const struct recipe *now, const struct recipe *then, struct err *err)
{
    if (now->stage != then->stage) {
        return err_set(err,
                       "the run was begun by attune %s, so attune %s cannot go on with it; choose another output_dir",
                       then->stage->name, now->stage->name);
    }
    struct strbuf changes = {0};
    int status = 0;
    for (size_t i = 0; i < now->given->keys.count && status == 0; i++) {
        const struct key *key = now->given->keys.rows[i];
        if (!key->may_change) {
            status = note_change(&changes, key, now, then, err);
        }
    }
    if (status == 0 && (status = strbuf_check(&changes, err)) == 0 && changes.length > 0) {
        status = err_set(
            err,
            "the run in '%s' was begun with another recipe, so its numbers would not be those of either; put the keys "
            "back, or choose another output_dir:%s",
            now->output_dir, strbuf_text(&changes));
    }
    strbuf_free(&changes);
    return status;
}
