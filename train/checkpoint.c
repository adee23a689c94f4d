/* train/checkpoint.c - checkpoints in the folder of a run: found, written, pruned, loaded; see run.h. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/internal.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECKPOINT     "checkpoint-"
#define OPTIMIZER_FILE "optimizer.safetensors"

/* ---- which there are ---- */

/* The step of "checkpoint-12", -1 for any other name (a half-written one has a suffix). */
static int64_t checkpoint_step(const char *name)
{
    if (strncmp(name, CHECKPOINT, strlen(CHECKPOINT)) != 0) {
        return -1;
    }
    const char *digits = name + strlen(CHECKPOINT);
    char *end;
    if (*digits < '0' || *digits > '9') {
        return -1;
    }
    long long step = strtoll(digits, &end, 10);
    return *end ? -1 : step;
}

char *checkpoint_path(const struct run *run, int64_t step, const char *suffix, struct err *err)
{
    char name[64];
    snprintf(name, sizeof name, CHECKPOINT "%lld%s", (long long)step, suffix);
    return run_path(run, name, err);
}

static int compare_steps(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

int checkpoint_list(const struct run *run, int64_t **out, size_t *count, struct err *err)
{
    char **names;
    size_t names_count;
    if (file_list(&names, &names_count, run->recipe->output_dir, err) != 0) {
        return -1;
    }
    int64_t *steps = mem_alloc(names_count + 1, sizeof *steps, err);
    *count = 0;
    for (size_t i = 0; steps && i < names_count; i++) {
        if (checkpoint_step(names[i]) >= 0) {
            steps[(*count)++] = checkpoint_step(names[i]);
        }
    }
    file_names_free(names, names_count);
    if (!steps) {
        return -1;
    }
    qsort(steps, *count, sizeof *steps, compare_steps);
    *out = steps;
    return 0;
}

int checkpoint_remove_partials(const struct run *run, struct err *err)
{
    char **names;
    size_t count;
    if (file_list(&names, &count, run->recipe->output_dir, err) != 0) {
        return -1;
    }
    int result = 0;
    for (size_t i = 0; result == 0 && i < count; i++) {
        size_t length = strlen(names[i]);
        if (strncmp(names[i], CHECKPOINT, strlen(CHECKPOINT)) != 0 || length < 8 ||
            strcmp(names[i] + length - 8, ".partial") != 0) {
            continue;
        }
        char *path = run_path(run, names[i], err);
        result = path ? file_remove_tree(path, err) : -1;
        mem_free(path);
    }
    file_names_free(names, count);
    return result;
}

int checkpoint_discard(const struct run *run, int64_t step, struct err *err)
{
    char *place = checkpoint_path(run, step, "", err), *aside = checkpoint_path(run, step, ".old.partial", err);
    int result = place && aside ? file_remove_tree(aside, err) : -1;
    if (result == 0 && rename(place, aside) != 0) {
        result = err_set_errno(err, "cannot remove the old checkpoint %s", place);
    }
    if (result == 0) {
        result = file_remove_tree(aside, err);
    }
    mem_free(place);
    mem_free(aside);
    return result;
}

/* ---- what is in one ---- */

char *run_part_path(const struct run_part *part, const char *folder, struct err *err)
{
    return part->name ? file_join(folder, part->name, err) : mem_copy_string(folder, strlen(folder), err);
}

static int load_part(const struct run_part *part, const char *folder, bool with_optimizer, struct err *err)
{
    char *place = run_part_path(part, folder, err), *path = place ? file_join(place, OPTIMIZER_FILE, err) : NULL;
    int result = path ? trainable_load_checkpoint(part->trainable, place, err) : -1;
    if (result == 0 && with_optimizer) {
        result = optimizer_load(part->optimizer, path, err);
    }
    mem_free(place);
    mem_free(path);
    return result;
}

static int save_part(const struct run_part *part, const char *folder, struct err *err)
{
    char *place = run_part_path(part, folder, err), *path = place ? file_join(place, OPTIMIZER_FILE, err) : NULL;
    int result = path ? file_make_dirs(place, err) : -1;
    if (result == 0) {
        result = trainable_save_checkpoint(part->trainable, place, err);
    }
    if (result == 0) {
        result = optimizer_save(part->optimizer, path, err);
    }
    mem_free(place);
    mem_free(path);
    return result;
}

int run_load_checkpoint(struct run *run, struct err *err)
{
    assert(run->resume_folder && run->part_count > 0);
    for (size_t i = 0; i < run->part_count; i++) {
        if (load_part(&run->parts[i], run->resume_folder, true, err) != 0) {
            return -1;
        }
    }
    log_info("resumed from %s", run->resume_folder);
    return 0;
}

static bool best_is_needed(const struct run *run, int64_t step)
{
    return run->recipe->load_best_model_at_end && step == run->state.best_step;
}

/* Keeps the newest save_total_limit checkpoints, and the best one where the end of the run needs it. */
static int prune(const struct run *run, struct err *err)
{
    int64_t *steps;
    size_t count, limit = (size_t)run->recipe->save_total_limit;
    if (limit == 0) {
        return 0;
    }
    if (checkpoint_list(run, &steps, &count, err) != 0) {
        return -1;
    }
    int result = 0;
    for (size_t i = 0; result == 0 && i + limit < count; i++) {
        if (!best_is_needed(run, steps[i])) {
            result = checkpoint_discard(run, steps[i], err);
        }
    }
    mem_free(steps);
    return result;
}

static int fill_checkpoint(const struct run *run, const char *folder, struct err *err)
{
    char *recipe_path = file_join(folder, "recipe.resolved.yaml", err);
    int result = recipe_path ? file_make_dirs(folder, err) : -1;
    for (size_t i = 0; result == 0 && i < run->part_count; i++) {
        result = save_part(&run->parts[i], folder, err);
    }
    if (result == 0) {
        result = recipe_write(run->recipe, recipe_path, err);
    }
    if (result == 0) {
        result = state_write(run, folder, err);
    }
    mem_free(recipe_path);
    return result;
}

int run_save_checkpoint(struct run *run, struct err *err)
{
    char *place = checkpoint_path(run, run->state.step, "", err),
         *beside = checkpoint_path(run, run->state.step, ".partial", err);
    int result = place && beside ? run_sync_records(run, err) : -1;
    if (result == 0) {
        result = file_remove_tree(beside, err);
    }
    if (result == 0) {
        result = fill_checkpoint(run, beside, err);
    }
    if (result == 0) {
        result = file_publish_dir(beside, place, err);
    }
    if (result != 0 && place && beside) {
        struct err ignored;
        file_remove_tree(beside, &ignored);
        err_prefix(err, "cannot write checkpoint %s", place);
    }
    if (result == 0) {
        result = prune(run, err);
    }
    mem_free(place);
    mem_free(beside);
    return result;
}

int checkpoint_load_best(const struct run *run, struct err *err)
{
    char *best = checkpoint_path(run, run->state.best_step, "", err);
    int result = best ? 0 : -1;
    for (size_t i = 0; result == 0 && i < run->part_count; i++) {
        result = load_part(&run->parts[i], best, false, err);
    }
    mem_free(best);
    return result;
}
