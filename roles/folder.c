/* roles/folder.c - see folder.h. */
#include "roles/folder.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "recipe/recipe.h"
#include <string.h>

#define CONFIG_MAX ((size_t)16 << 20)

/* 1 or 0; -1 for want of memory. */
static int has_file(const char *folder, const char *name, struct err *err)
{
    char *path = file_join(folder, name, err);
    int there = path ? file_exists(path) : -1;
    mem_free(path);
    return there;
}

int folder_look(enum folder_kind *kind, const char *folder, struct err *err)
{
    int adapter = has_file(folder, "adapter_config.json", err), model = has_file(folder, "config.json", err),
        run = has_file(folder, "recipe.resolved.yaml", err);
    if (adapter < 0 || model < 0 || run < 0) {
        return -1;
    }
    *kind = adapter ? FOLDER_ADAPTER : FOLDER_MODEL;
    if (adapter || model) {
        return 0;
    }
    if (run) {
        return err_set(err,
                       "the run in '%s' is not finished; finish it with the same attune command, or give one of its "
                       "checkpoint-N folders",
                       folder);
    }
    return err_set(
        err, "'%s' is neither a run nor an adapter nor a model (no adapter_config.json or config.json in it)", folder);
}

char *folder_base(const char *adapter, struct err *err)
{
    char *path = file_join(adapter, "adapter_config.json", err), *base = NULL;
    json_t *config = path ? json_read_file(path, CONFIG_MAX, err) : NULL;
    const char *name = NULL;
    if (config && json_need_string(config, "base_model_name_or_path", &name, path, err) == 0) {
        if (file_is_dir(name)) {
            base = mem_copy_string(name, strlen(name), err);
        } else {
            err_set(err,
                    "%s names the base model '%s', which is no folder here; give the base's folder with --base "
                    "(--reward-base where it is a reward model's), or name it in that file",
                    path, name);
        }
    }
    if (config) {
        json_decref(config);
    }
    mem_free(path);
    return base;
}

int folder_chat_template(char **out, const char *folder, struct err *err)
{
    *out = NULL;
    char *path = file_join(folder, "recipe.resolved.yaml", err);
    if (!path) {
        return -1;
    }
    int result = file_exists(path) ? recipe_read_text(out, path, "chat_template", err) : 0;
    mem_free(path);
    return result;
}
