/* roles/models.c - see models.h. */
#include "roles/models.h"
#include "base/mem.h"
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* The path that all paths to the folder have in common. A folder that is not there keeps its own: opening it says so.
 */
static char *real_path(const char *folder, struct err *err)
{
    char real[PATH_MAX];
    const char *path = realpath(folder, real) ? real : folder;
    return mem_copy_string(path, strlen(path), err);
}

/* An entry that serves this head too: a model is loaded with one head at most. */
static struct models_entry *find_entry(const struct models *models, const char *path, enum models_head head)
{
    for (size_t i = 0; i < models->count; i++) {
        struct models_entry *entry = &models->items[i];
        if (strcmp(entry->path, path) == 0 &&
            (entry->head == head || entry->head == MODELS_NO_HEAD || head == MODELS_NO_HEAD)) {
            return entry;
        }
    }
    return NULL;
}

static int add_entry(struct models *models, const char *folder, char *path, struct err *err)
{
    struct models_entry *items = mem_grow(models->items, &models->capacity, models->count + 1, sizeof *items, err);
    if (!items) {
        return -1;
    }
    models->items = items;
    struct models_entry entry = {.path = path};
    if (model_open(&entry.model, folder, err) != 0) {
        return -1;
    }
    items[models->count++] = entry;
    return 0;
}

int models_open(struct models *models, const char *folder, enum models_head head, bool backward, struct model **model,
                struct err *err)
{
    char *path = real_path(folder, err);
    if (!path) {
        return -1;
    }
    struct models_entry *entry = find_entry(models, path, head);
    if (entry) {
        mem_free(path);
    } else {
        if (add_entry(models, folder, path, err) != 0) {
            mem_free(path);
            return -1;
        }
        entry = &models->items[models->count - 1];
    }
    assert(!entry->model->backend);
    if (head != MODELS_NO_HEAD) {
        entry->head = head;
    }
    entry->backward = entry->backward || backward;
    *model = entry->model;
    return 0;
}

/* A scorer is loaded without the matrix of the vocabulary, which nobody would read. */
static struct model_options options_of(const struct models_entry *entry)
{
    return (struct model_options){.backward = entry->backward, .scorer = entry->head != MODELS_VOCABULARY};
}

int models_plan(const struct models *models, struct backend *backend, struct memory_plan *plan, struct err *err)
{
    for (size_t i = 0; i < models->count; i++) {
        struct memory_plan part = {0};
        struct model_options options = options_of(&models->items[i]);
        if (model_plan(models->items[i].model, backend, &options, &part, err) != 0) {
            return -1;
        }
        memory_plan_add(plan, &part);
    }
    return 0;
}

int models_load(struct models *models, struct backend *backend, struct err *err)
{
    for (size_t i = 0; i < models->count; i++) {
        struct model_options options = options_of(&models->items[i]);
        if (model_load(models->items[i].model, backend, &options, err) != 0) {
            return -1;
        }
    }
    return 0;
}

void models_close(struct models *models)
{
    for (size_t i = 0; i < models->count; i++) {
        model_free(models->items[i].model);
        mem_free(models->items[i].path);
    }
    mem_free(models->items);
    *models = (struct models){0};
}
