/* train/run.c - see run.h. */
#include "train/run.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "recipe/stage.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STATE_MAX      ((size_t)1 << 20)
#define STATE_FILE     "state.json"
#define CHECKPOINT     "checkpoint-"
#define OPTIMIZER_FILE "optimizer.safetensors"

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

/* ---- state.json ---- */

/* The members of struct run_state by type; each is a key of the same name. */
struct member {
    const char *key;
    size_t offset;
};
#define MEMBER(name)                                                                                                   \
    {                                                                                                                  \
#name, offsetof(struct run_state, name)                                                                        \
    }
static const struct member state_wholes[] = {
    MEMBER(step),           MEMBER(total_steps),  MEMBER(tokens),    MEMBER(skipped),
    MEMBER(skipped_in_row), MEMBER(window_steps), MEMBER(best_step), MEMBER(evaluations_without_gain),
};
static const struct member state_reals[] = {MEMBER(best_eval), MEMBER(window_loss)}; /* null where not finite */
static const struct member state_switches[] = {MEMBER(finished), MEMBER(stopped_early)};
#undef MEMBER
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A member on a line of its own; null where it is not finite. */
static void put_real(struct strbuf *text, const char *key, double value)
{
    strbuf_printf(text, isfinite(value) ? "  \"%s\": %.17g,\n" : "  \"%s\": null,\n", key, value);
}

static int write_state(const struct run *run, const char *folder, struct err *err)
{
    const char *state = (const char *)&run->state;
    char *path = file_join(folder, STATE_FILE, err);
    struct strbuf text = {0};
    if (!path)
        return -1;
    strbuf_puts(&text, "{\n");
    for (size_t i = 0; i < COUNT(state_wholes); i++) {
        int64_t value;
        memcpy(&value, state + state_wholes[i].offset, sizeof value);
        strbuf_printf(&text, "  \"%s\": %lld,\n", state_wholes[i].key, (long long)value);
    }
    for (size_t i = 0; i < COUNT(state_reals); i++) {
        double value;
        memcpy(&value, state + state_reals[i].offset, sizeof value);
        put_real(&text, state_reals[i].key, value);
    }
    for (size_t i = 0; i < run->numbers.count; i++)
        put_real(&text, run->numbers.items[i].name, *run->numbers.items[i].value);
    for (size_t i = 0; i < COUNT(state_switches); i++) {
        bool value;
        memcpy(&value, state + state_switches[i].offset, sizeof value);
        strbuf_printf(&text, "  \"%s\": %s,\n", state_switches[i].key, value ? "true" : "false");
    }
    strbuf_puts(&text, "  \"numerics\": ");
    strbuf_put_json(&text, run->identity.numerics, strlen(run->identity.numerics));
    strbuf_printf(&text, ",\n  \"base\": \"%s\",\n  \"data\": \"%s\"", run->identity.base, run->identity.data);
    for (size_t i = 0; i < run->identity.role_count; i++)
        strbuf_printf(&text, ",\n  \"%s\": \"%s\"", run->identity.roles[i].key, run->identity.roles[i].hash);
    strbuf_puts(&text, "\n}\n");
    int rc = strbuf_check(&text, err);
    if (rc == 0)
        rc = file_write_whole(path, text.data, text.length, err);
    strbuf_free(&text);
    mem_free(path);
    return rc;
}

static int check_roles(const json_t *root, const struct run_identity *identity, const char *where, struct err *err)
{
    for (size_t i = 0; i < identity->role_count; i++) {
        const struct run_role *role = &identity->roles[i];
        const char *then = NULL;
        if (json_need_string(root, role->key, &then, where, err) != 0)
            return -1;
        if (strcmp(then, role->hash) != 0)
            return err_set(err,
                           "%s: the %s of the run changed: %s does not hold what it held when the run began (%s then, "
                           "%s now), so it would not go on as it began; put back what the folder held, or start anew "
                           "in another output_dir",
                           where, role->key, role->folder, then, role->hash);
    }
    return 0;
}

/* Identity against what the checkpoint was written with. */
static int check_identity(const json_t *root, const struct run_identity *identity, const char *where, struct err *err)
{
    const struct {
        const char *key, *now, *what, *remedy;
    } checks[] = {
        {"numerics", identity->numerics, "instruction set or dtype",
         "go on where the run began, set dtype as it was, or start anew in another output_dir"},
        {"base", identity->base, "base weights",
         "give the model the run began with, or start anew in another output_dir"},
        {"data", identity->data, "training examples",
         "give the files the run began with, or start anew in another output_dir"},
    };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        const char *then = NULL;
        if (json_need_string(root, checks[i].key, &then, where, err) != 0)
            return -1;
        if (strcmp(then, checks[i].now) != 0)
            return err_set(err,
                           "%s: the %s of the run changed (%s then, %s now), so it would not go on as it began; %s",
                           where, checks[i].what, then, checks[i].now, checks[i].remedy);
    }
    return check_roles(root, identity, where, err);
}

static bool is_member(const char *key, const struct member *members, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(key, members[i].key) == 0)
            return true;
    return false;
}

static bool is_of_state(const char *key)
{
    return is_member(key, state_wholes, COUNT(state_wholes)) || is_member(key, state_reals, COUNT(state_reals)) ||
           is_member(key, state_switches, COUNT(state_switches));
}

static bool is_of_identity(const char *key, const struct run_identity *identity)
{
    for (size_t i = 0; i < identity->role_count; i++)
        if (strcmp(key, identity->roles[i].key) == 0)
            return true;
    return strcmp(key, "numerics") == 0 || strcmp(key, "base") == 0 || strcmp(key, "data") == 0;
}

static bool is_number(const char *key, const struct run_numbers *numbers)
{
    for (size_t i = 0; i < numbers->count; i++)
        if (strcmp(key, numbers->items[i].name) == 0)
            return true;
    return false;
}

void run_numbers_add(struct run_numbers *numbers, const char *name, double *value)
{
    assert(numbers->count < RUN_NUMBERS_MAX && !is_number(name, numbers) && !is_of_state(name));
    numbers->items[numbers->count++] = (struct run_number){name, value};
}

/* A number that is there and not known would be forgotten, and the run would not go on as it began. */
static int check_names(const struct run *run, json_t *root, const char *where, struct err *err)
{
    for (void *member = json_object_iter(root); member; member = json_object_iter_next(root, member)) {
        const char *key = json_object_iter_key(member);
        if (!is_of_state(key) && !is_of_identity(key, &run->identity) && !is_number(key, &run->numbers))
            return err_set(err,
                           "%s: '%s' is nothing that this stage keeps: the file is of another stage or version of "
                           "attune; go on with the attune that wrote it, or start anew in another output_dir",
                           where, key);
    }
    return 0;
}

static int parse_numbers(const struct run_numbers *numbers, const json_t *root, const char *where, struct err *err)
{
    for (size_t i = 0; i < numbers->count; i++) {
        const struct run_number *number = &numbers->items[i];
        const json_t *value = json_object_get(root, number->name);
        if (!json_is_number(value) && !json_is_null(value))
            return err_set(err,
                           "%s: the number '%s' is missing: the file is damaged, or of another stage or version of "
                           "attune; go on with the attune that wrote it, or start anew in another output_dir",
                           where, number->name);
        *number->value = json_is_null(value) ? (double)NAN : json_number_value(value);
    }
    return 0;
}

static int parse_state(struct run *run, const json_t *root, const char *where, struct err *err)
{
    char *state = (char *)&run->state;
    if (parse_numbers(&run->numbers, root, where, err) != 0)
        return -1;
    for (size_t i = 0; i < COUNT(state_wholes); i++) {
        int64_t value;
        if (json_need_int(root, state_wholes[i].key, &value, 0, INT64_MAX, where, err) != 0)
            return -1;
        memcpy(state + state_wholes[i].offset, &value, sizeof value);
    }
    for (size_t i = 0; i < COUNT(state_reals); i++) {
        double value = NAN;
        if (json_get_double(root, state_reals[i].key, &value, where, err) != 0)
            return -1;
        memcpy(state + state_reals[i].offset, &value, sizeof value);
    }
    for (size_t i = 0; i < COUNT(state_switches); i++) {
        bool value = false;
        if (json_get_bool(root, state_switches[i].key, &value, where, err) != 0)
            return -1;
        memcpy(state + state_switches[i].offset, &value, sizeof value);
    }
    return 0;
}

static int read_state(struct run *run, const char *folder, struct err *err)
{
    char *path = file_join(folder, STATE_FILE, err);
    json_t *root = path ? json_read_file(path, STATE_MAX, err) : NULL;
    int rc = root ? parse_state(run, root, path, err) : -1;
    if (rc == 0)
        rc = check_identity(root, &run->identity, path, err);
    if (rc == 0)
        rc = check_names(run, root, path, err);
    if (root)
        json_decref(root);
    mem_free(path);
    return rc;
}

/* ---- checkpoints in a folder ---- */

/* The step of "checkpoint-12", -1 for any other name (a half-written one has a suffix). */
static int64_t checkpoint_step(const char *name)
{
    if (strncmp(name, CHECKPOINT, strlen(CHECKPOINT)) != 0)
        return -1;
    const char *digits = name + strlen(CHECKPOINT);
    char *end;
    if (*digits < '0' || *digits > '9')
        return -1;
    long long step = strtoll(digits, &end, 10);
    return *end ? -1 : step;
}

static char *checkpoint_path(const struct run *run, int64_t step, const char *suffix, struct err *err)
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

/* Steps of the whole checkpoints, ascending; free with mem_free(). */
static int list_checkpoints(const struct run *run, int64_t **out, size_t *count, struct err *err)
{
    char **names;
    size_t names_count;
    if (file_list(&names, &names_count, run->recipe->output_dir, err) != 0)
        return -1;
    int64_t *steps = mem_alloc(names_count + 1, sizeof *steps, err);
    *count = 0;
    for (size_t i = 0; steps && i < names_count; i++)
        if (checkpoint_step(names[i]) >= 0)
            steps[(*count)++] = checkpoint_step(names[i]);
    file_names_free(names, names_count);
    if (!steps)
        return -1;
    qsort(steps, *count, sizeof *steps, compare_steps);
    *out = steps;
    return 0;
}

/* Half-written checkpoints of a run that was killed. */
static int remove_partials(const struct run *run, struct err *err)
{
    char **names;
    size_t count;
    if (file_list(&names, &count, run->recipe->output_dir, err) != 0)
        return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        size_t length = strlen(names[i]);
        if (strncmp(names[i], CHECKPOINT, strlen(CHECKPOINT)) != 0 || length < 8 ||
            strcmp(names[i] + length - 8, ".partial") != 0)
            continue;
        char *path = run_path(run, names[i], err);
        rc = path ? file_remove_tree(path, err) : -1;
        mem_free(path);
    }
    file_names_free(names, count);
    return rc;
}

/* Removes a whole checkpoint; killed half way, it no longer looks whole, and the next start removes the rest. */
static int discard_checkpoint(const struct run *run, int64_t step, struct err *err)
{
    char *place = checkpoint_path(run, step, "", err), *aside = checkpoint_path(run, step, ".old.partial", err);
    int rc = place && aside ? file_remove_tree(aside, err) : -1;
    if (rc == 0 && rename(place, aside) != 0)
        rc = err_set_errno(err, "cannot remove the old checkpoint %s", place);
    if (rc == 0)
        rc = file_remove_tree(aside, err);
    mem_free(place);
    mem_free(aside);
    return rc;
}

/* ---- opening ---- */

static int check_recipe_unchanged(const struct run *run, const char *folder, struct err *err)
{
    char *path = file_join(folder, "recipe.resolved.yaml", err);
    struct recipe *then = NULL;
    int rc = path ? recipe_load(&then, run->recipe->stages, run->recipe->stage, path, 0, NULL, err) : -1;
    if (rc == 0)
        rc = recipe_check_resume(run->recipe, then, err);
    if (rc != 0)
        err_prefix(err, "cannot resume from %s", folder);
    recipe_free(then);
    mem_free(path);
    return rc;
}

/* The checkpoint to go on from: the one named, or the newest, or none. */
static int choose_checkpoint(struct run *run, struct err *err)
{
    const char *resume = run->recipe->resume_from_checkpoint;
    if (strcmp(resume, "never") == 0)
        return 0;
    if (strcmp(resume, "auto") != 0) {
        run->resume_folder = mem_copy_string(resume, strlen(resume), err);
        if (!run->resume_folder)
            return -1;
        if (!file_is_dir(resume))
            return err_set(
                err, "resume_from_checkpoint: there is no folder '%s'; give a checkpoint-N folder, auto, or never",
                resume);
        return 0;
    }
    int64_t *steps;
    size_t count;
    if (list_checkpoints(run, &steps, &count, err) != 0)
        return -1;
    int rc = 0;
    if (count) {
        run->resume_folder = checkpoint_path(run, steps[count - 1], "", err);
        rc = run->resume_folder ? 0 : -1;
    }
    mem_free(steps);
    return rc;
}

/* A finished run at the top of the folder: nothing to do when it went as far as this recipe wants. */
static int look_for_finished(struct run *run, int64_t total_steps, struct err *err)
{
    char *path = run_path(run, STATE_FILE, err);
    bool there = path && file_exists(path);
    int rc = path ? 0 : -1;
    mem_free(path);
    if (!there)
        return rc;
    if (strcmp(run->recipe->resume_from_checkpoint, "never") == 0)
        return err_set(err, "%s already holds a finished run; give another output_dir, or remove the folder first",
                       run->recipe->output_dir);
    if (check_recipe_unchanged(run, run->recipe->output_dir, err) != 0 ||
        read_state(run, run->recipe->output_dir, err) != 0)
        return -1;
    run->already_finished = run->state.finished && (run->state.stopped_early || run->state.total_steps == total_steps);
    return 0;
}

/* Whether the checkpoint to go on from is one of the output folder's own. */
static int resumes_itself(const struct run *run, bool *itself, struct err *err)
{
    *itself = false;
    if (!run->resume_folder)
        return 0;
    struct stat parent, folder;
    char *path = file_join(run->resume_folder, "..", err);
    if (!path)
        return -1;
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
    if (resumes_itself(run, &itself, err) != 0 || list_checkpoints(run, &steps, &count, err) != 0)
        return -1;
    int rc = 0;
    if (count && !itself)
        rc = err_set(err,
                     "%s holds checkpoints of a run; set resume_from_checkpoint: auto to go on with it, give another "
                     "output_dir, or remove the folder first",
                     run->recipe->output_dir);
    for (size_t i = count; rc == 0 && i-- > 0 && steps[i] > run->state.step;)
        rc = discard_checkpoint(run, steps[i], err);
    mem_free(steps);
    return rc;
}

static int open_folder(struct run *run, int64_t total_steps, struct err *err)
{
    const char *folder = run->recipe->output_dir;
    if (file_exists(folder)) {
        if (!file_is_dir(folder))
            return err_set(err, "output_dir: '%s' is a file; give a folder", folder);
        if (look_for_finished(run, total_steps, err) != 0)
            return -1;
        if (run->already_finished)
            return 0;
    }
    if (file_make_dirs(folder, err) != 0 || choose_checkpoint(run, err) != 0)
        return -1;
    run->state = (struct run_state){.best_eval = NAN};
    if (run->resume_folder &&
        (check_recipe_unchanged(run, run->resume_folder, err) != 0 || read_state(run, run->resume_folder, err) != 0))
        return -1;
    if (leave_future(run, err) != 0)
        return -1;
    run->state.finished = false;
    run->state.total_steps = total_steps;
    return remove_partials(run, err);
}

static int open_tensorboard(struct run *run, int64_t step, struct err *err)
{
    if (tensorboard_open(&run->tensorboard, run->recipe->output_dir, step, err) != 0)
        return -1;
    metrics_set_sink(run->metrics, tensorboard_add, run->tensorboard);
    return 0;
}

int run_open(struct run **out, const struct recipe *recipe, const struct run_identity *identity, int64_t total_steps,
             const struct run_numbers *numbers, struct err *err)
{
    struct run *run = mem_alloc(1, sizeof *run, err);
    if (!run)
        return -1;
    run->recipe = recipe;
    run->identity = *identity;
    run->numbers = *numbers;
    char *metrics_path = run_path(run, "metrics.jsonl", err), *recipe_path = run_path(run, "recipe.resolved.yaml", err);
    char *finished_path = run_path(run, STATE_FILE, err), *samples_path = run_path(run, "samples.jsonl", err);
    int rc = metrics_path && recipe_path && finished_path && samples_path ? open_folder(run, total_steps, err) : -1;
    if (rc == 0 && !run->already_finished) {
        rc = file_remove_tree(finished_path, err);
        int64_t last = run->resume_folder ? run->state.step : -1;
        if (rc == 0)
            rc = metrics_cut(metrics_path, last, err);
        if (rc == 0)
            rc = metrics_cut(samples_path, last, err);
        if (rc == 0)
            rc = tensorboard_cut(recipe->output_dir, last, err);
        if (rc == 0)
            rc = recipe_write(recipe, recipe_path, err);
        if (rc == 0)
            rc = metrics_open(&run->metrics, metrics_path, err);
        if (rc == 0 && recipe->report_to.count > 0)
            rc = open_tensorboard(run, last, err);
        if (rc == 0 && (recipe->sample_prompts.count || recipe->sample_prompts_file || recipe->stage->always_samples))
            rc = metrics_open(&run->samples, samples_path, err);
    }
    mem_free(metrics_path);
    mem_free(recipe_path);
    mem_free(finished_path);
    mem_free(samples_path);
    if (rc != 0) {
        run_close(run);
        return -1;
    }
    if (run->already_finished)
        log_info("%s is finished (%lld steps); nothing to do", recipe->output_dir, (long long)run->state.step);
    *out = run;
    return 0;
}

void run_close(struct run *run)
{
    if (!run)
        return;
    metrics_close(run->metrics);
    metrics_close(run->samples);
    tensorboard_close(run->tensorboard);
    mem_free(run->resume_folder);
    mem_free(run);
}

/* ---- checkpoints ---- */

/* The folder of a part in `folder`. Free with mem_free(). */
static char *part_path(const struct run_part *part, const char *folder, struct err *err)
{
    return part->name ? file_join(folder, part->name, err) : mem_copy_string(folder, strlen(folder), err);
}

static int load_part(const struct run_part *part, const char *folder, bool with_optimizer, struct err *err)
{
    char *place = part_path(part, folder, err), *path = place ? file_join(place, OPTIMIZER_FILE, err) : NULL;
    int rc = path ? trainable_load_checkpoint(part->trainable, place, err) : -1;
    if (rc == 0 && with_optimizer)
        rc = optimizer_load(part->optimizer, path, err);
    mem_free(place);
    mem_free(path);
    return rc;
}

static int save_part(const struct run_part *part, const char *folder, struct err *err)
{
    char *place = part_path(part, folder, err), *path = place ? file_join(place, OPTIMIZER_FILE, err) : NULL;
    int rc = path ? file_make_dirs(place, err) : -1;
    if (rc == 0)
        rc = trainable_save_checkpoint(part->trainable, place, err);
    if (rc == 0)
        rc = optimizer_save(part->optimizer, path, err);
    mem_free(place);
    mem_free(path);
    return rc;
}

int run_load_checkpoint(struct run *run, struct err *err)
{
    assert(run->resume_folder && run->part_count > 0);
    for (size_t i = 0; i < run->part_count; i++)
        if (load_part(&run->parts[i], run->resume_folder, true, err) != 0)
            return -1;
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
    if (limit == 0)
        return 0;
    if (list_checkpoints(run, &steps, &count, err) != 0)
        return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i + limit < count; i++) {
        if (!best_is_needed(run, steps[i]))
            rc = discard_checkpoint(run, steps[i], err);
    }
    mem_free(steps);
    return rc;
}

static int fill_checkpoint(const struct run *run, const char *folder, struct err *err)
{
    char *recipe_path = file_join(folder, "recipe.resolved.yaml", err);
    int rc = recipe_path ? file_make_dirs(folder, err) : -1;
    for (size_t i = 0; rc == 0 && i < run->part_count; i++)
        rc = save_part(&run->parts[i], folder, err);
    if (rc == 0)
        rc = recipe_write(run->recipe, recipe_path, err);
    if (rc == 0)
        rc = write_state(run, folder, err);
    mem_free(recipe_path);
    return rc;
}

/* Records reach the disk before the checkpoint that follows them. */
static int sync_records(struct run *run, struct err *err)
{
    if (metrics_sync(run->metrics, err) != 0)
        return -1;
    if (run->tensorboard && tensorboard_sync(run->tensorboard, err) != 0)
        return -1;
    return run->samples ? metrics_sync(run->samples, err) : 0;
}

int run_save_checkpoint(struct run *run, struct err *err)
{
    char *place = checkpoint_path(run, run->state.step, "", err),
         *beside = checkpoint_path(run, run->state.step, ".partial", err);
    int rc = place && beside ? sync_records(run, err) : -1;
    if (rc == 0)
        rc = file_remove_tree(beside, err);
    if (rc == 0)
        rc = fill_checkpoint(run, beside, err);
    if (rc == 0)
        rc = file_publish_dir(beside, place, err);
    if (rc != 0 && place && beside) {
        struct err ignored;
        file_remove_tree(beside, &ignored);
        err_prefix(err, "cannot write checkpoint %s", place);
    }
    if (rc == 0)
        rc = prune(run, err);
    mem_free(place);
    mem_free(beside);
    return rc;
}

/* The trained tensors as they were at the best evaluation. */
static int load_best(const struct run *run, struct err *err)
{
    char *best = checkpoint_path(run, run->state.best_step, "", err);
    int rc = best ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < run->part_count; i++)
        rc = load_part(&run->parts[i], best, false, err);
    mem_free(best);
    return rc;
}

static int save_result(const struct run *run, const struct run_part *part, struct err *err)
{
    char *place = part_path(part, run->recipe->output_dir, err);
    int rc = place ? file_make_dirs(place, err) : -1;
    if (rc == 0)
        rc = trainable_save_result(part->trainable, place, err);
    mem_free(place);
    return rc;
}

int run_finish(struct run *run, struct err *err)
{
    const struct run_state *state = &run->state;
    if (run->recipe->load_best_model_at_end && state->best_step > 0 && state->best_step != state->step &&
        load_best(run, err) != 0)
        return -1;
    if (sync_records(run, err) != 0)
        return -1;
    if (run->before_result && run->before_result(run->context, err) != 0)
        return -1;
    for (size_t i = 0; i < run->part_count; i++)
        if (save_result(run, &run->parts[i], err) != 0)
            return -1;
    run->state.finished = true;
    return write_state(run, run->recipe->output_dir, err);
}
