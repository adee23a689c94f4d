/* train/run.c - see run.h. */
#include "train/run.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "recipe/stage.h"
#include "train/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char *run_path(const struct run *run, const char *name, struct err *err)
{
    return file_join(run->recipe->output_dir, name, err);
}

struct run_identity run_identity_of(const struct trainable *trainable, const struct backend *backend, struct hash data)
{
    struct run_identity identity = {.numerics = backend->numerics};
    hash_text(identity.base, model_fingerprint(trainable->model));
    hash_text(identity.data, data);
    return identity;
}

/* ---- opening ---- */

static int check_recipe_unchanged(const struct run *run, const char *folder, struct err *err)
{
    char *path = file_join(folder, "recipe.resolved.yaml", err);
    struct recipe *then = NULL;
    int result = path ? recipe_load(&then, run->recipe->stages, run->recipe->stage, path, 0, NULL, err) : -1;
    if (result == 0) {
        result = recipe_check_resume(run->recipe, then, err);
    }
    if (result != 0) {
        err_prefix(err, "cannot resume from %s", folder);
    }
    recipe_free(then);
    mem_free(path);
    return result;
}

/* The checkpoint to go on from: the one named, or the newest, or none. */
static int choose_checkpoint(struct run *run, struct err *err)
{
    const char *resume = run->recipe->resume_from_checkpoint;
    if (strcmp(resume, "never") == 0) {
        return 0;
    }
    if (strcmp(resume, "auto") != 0) {
        run->resume_folder = mem_copy_string(resume, strlen(resume), err);
        if (!run->resume_folder) {
            return -1;
        }
        if (!file_is_dir(resume)) {
            return err_set(
                err, "resume_from_checkpoint: there is no folder '%s'; give a checkpoint-N folder, auto, or never",
                resume);
        }
        return 0;
    }
    int64_t *steps;
    size_t count;
    if (checkpoint_list(run, &steps, &count, err) != 0) {
        return -1;
    }
    int result = 0;
    if (count) {
        run->resume_folder = checkpoint_path(run, steps[count - 1], "", err);
        result = run->resume_folder ? 0 : -1;
    }
    mem_free(steps);
    return result;
}

/* A finished run at the top of the folder: nothing to do when it went as far as this recipe wants. */
static int look_for_finished(struct run *run, int64_t total_steps, struct err *err)
{
    char *path = run_path(run, STATE_FILE, err);
    bool there = path && file_exists(path);
    int result = path ? 0 : -1;
    mem_free(path);
    if (!there) {
        return result;
    }
    if (strcmp(run->recipe->resume_from_checkpoint, "never") == 0) {
        return err_set(err, "%s already holds a finished run; give another output_dir, or remove the folder first",
                       run->recipe->output_dir);
    }
    if (check_recipe_unchanged(run, run->recipe->output_dir, err) != 0 ||
        state_read(run, run->recipe->output_dir, err) != 0) {
        return -1;
    }
    run->already_finished = run->state.finished && (run->state.stopped_early || run->state.total_steps == total_steps);
    return 0;
}

/* Whether the checkpoint to go on from is one of the output folder's own. */
static int resumes_itself(const struct run *run, bool *itself, struct err *err)
{
    *itself = false;
    if (!run->resume_folder) {
        return 0;
    }
    struct stat parent, folder;
    char *path = file_join(run->resume_folder, "..", err);
    if (!path) {
        return -1;
    }
    *itself = stat(path, &parent) == 0 && stat(run->recipe->output_dir, &folder) == 0 &&
              parent.st_dev == folder.st_dev && parent.st_ino == folder.st_ino;
    mem_free(path);
    return 0;
}

/*
 * A run that goes on from an older checkpoint leaves the later ones, as it leaves the records after them: they would
 * be in the way of its own. Checkpoints of another run are not touched.
 */
static int leave_future(struct run *run, struct err *err)
{
    int64_t *steps;
    size_t count;
    bool itself;
    if (resumes_itself(run, &itself, err) != 0 || checkpoint_list(run, &steps, &count, err) != 0) {
        return -1;
    }
    int result = 0;
    if (count && !itself) {
        result =
            err_set(err,
                    "%s holds checkpoints of a run; set resume_from_checkpoint: auto to go on with it, give another "
                    "output_dir, or remove the folder first",
                    run->recipe->output_dir);
    }
    for (size_t i = count; result == 0 && i-- > 0 && steps[i] > run->state.step;) {
        result = checkpoint_discard(run, steps[i], err);
    }
    mem_free(steps);
    return result;
}

static int open_folder(struct run *run, int64_t total_steps, struct err *err)
{
    const char *folder = run->recipe->output_dir;
    if (file_exists(folder)) {
        if (!file_is_dir(folder)) {
            return err_set(err, "output_dir: '%s' is a file; give a folder", folder);
        }
        if (look_for_finished(run, total_steps, err) != 0) {
            return -1;
        }
        if (run->already_finished) {
            return 0;
        }
    }
    if (file_make_dirs(folder, err) != 0 || choose_checkpoint(run, err) != 0) {
        return -1;
    }
    run->state = (struct run_state){.best_eval = NAN};
    if (run->resume_folder &&
        (check_recipe_unchanged(run, run->resume_folder, err) != 0 || state_read(run, run->resume_folder, err) != 0)) {
        return -1;
    }
    if (leave_future(run, err) != 0) {
        return -1;
    }
    run->state.finished = false;
    run->state.total_steps = total_steps;
    return checkpoint_remove_partials(run, err);
}

static int open_tensorboard(struct run *run, int64_t step, struct err *err)
{
    if (tensorboard_open(&run->tensorboard, run->recipe->output_dir, step, err) != 0) {
        return -1;
    }
    metrics_set_sink(run->metrics, tensorboard_add, run->tensorboard);
    return 0;
}

int run_open(struct run **out, const struct recipe *recipe, const struct run_identity *identity, int64_t total_steps,
             const struct run_numbers *numbers, struct err *err)
{
    struct run *run = mem_alloc(1, sizeof *run, err);
    if (!run) {
        return -1;
    }
    run->recipe = recipe;
    run->identity = *identity;
    run->numbers = *numbers;
    char *metrics_path = run_path(run, "metrics.jsonl", err), *recipe_path = run_path(run, "recipe.resolved.yaml", err);
    char *finished_path = run_path(run, STATE_FILE, err), *samples_path = run_path(run, "samples.jsonl", err);
    int result = metrics_path && recipe_path && finished_path && samples_path ? open_folder(run, total_steps, err) : -1;
    if (result == 0 && !run->already_finished) {
        result = file_remove_tree(finished_path, err);
        int64_t last = run->resume_folder ? run->state.step : -1;
        if (result == 0) {
            result = metrics_cut(metrics_path, last, err);
        }
        if (result == 0) {
            result = metrics_cut(samples_path, last, err);
        }
        if (result == 0) {
            result = tensorboard_cut(recipe->output_dir, last, err);
        }
        if (result == 0) {
            result = recipe_write(recipe, recipe_path, err);
        }
        if (result == 0) {
            result = metrics_open(&run->metrics, metrics_path, err);
        }
        if (result == 0 && recipe->report_to.count > 0) {
            result = open_tensorboard(run, last, err);
        }
        if (result == 0 &&
            (recipe->sample_prompts.count || recipe->sample_prompts_file || recipe->stage->always_samples)) {
            result = metrics_open(&run->samples, samples_path, err);
        }
    }
    mem_free(metrics_path);
    mem_free(recipe_path);
    mem_free(finished_path);
    mem_free(samples_path);
    if (result != 0) {
        run_close(run);
        return -1;
    }
    if (run->already_finished) {
        log_info("%s is finished (%lld steps); nothing to do", recipe->output_dir, (long long)run->state.step);
    }
    *out = run;
    return 0;
}

void run_close(struct run *run)
{
    if (!run) {
        return;
    }
    metrics_close(run->metrics);
    metrics_close(run->samples);
    tensorboard_close(run->tensorboard);
    mem_free(run->resume_folder);
    mem_free(run);
}

/* ---- the end ---- */

int run_sync_records(struct run *run, struct err *err)
{
    if (metrics_sync(run->metrics, err) != 0) {
        return -1;
    }
    if (run->tensorboard && tensorboard_sync(run->tensorboard, err) != 0) {
        return -1;
    }
    return run->samples ? metrics_sync(run->samples, err) : 0;
}

static int save_result(const struct run *run, const struct run_part *part, struct err *err)
{
    char *place = run_part_path(part, run->recipe->output_dir, err);
    int result = place ? file_make_dirs(place, err) : -1;
    if (result == 0) {
        result = trainable_save_result(part->trainable, place, err);
    }
    mem_free(place);
    return result;
}

int run_finish(struct run *run, struct err *err)
{
    const struct run_state *state = &run->state;
    if (run->recipe->load_best_model_at_end && state->best_step > 0 && state->best_step != state->step &&
        checkpoint_load_best(run, err) != 0) {
        return -1;
    }
    if (run_sync_records(run, err) != 0) {
        return -1;
    }
    if (run->before_result && run->before_result(run->context, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < run->part_count; i++) {
        if (save_result(run, &run->parts[i], err) != 0) {
            return -1;
        }
    }
    run->state.finished = true;
    return state_write(run, run->recipe->output_dir, err);
}
