/* train/state.c - state.json of a checkpoint and of a finished run: written, read, and held against the run it is for.
 */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "recipe/stage.h"
#include "train/internal.h"
#include <assert.h>
#include <math.h>
#include <string.h>

#define STATE_MAX ((size_t)1 << 20)

/* The members of struct run_state by type; each is a key of the same name. */
struct state_member {
    const char *key;
    size_t offset;
};
#define MEMBER(name)                                                                                                   \
    {                                                                                                                  \
#name, offsetof(struct run_state, name)                                                                        \
    }
static const struct state_member state_wholes[] = {
    MEMBER(step),           MEMBER(total_steps),  MEMBER(tokens),    MEMBER(skipped),
    MEMBER(skipped_in_row), MEMBER(window_steps), MEMBER(best_step), MEMBER(evaluations_without_gain),
};
static const struct state_member state_reals[] = {MEMBER(best_eval), MEMBER(window_loss)}; /* null where not finite */
static const struct state_member state_switches[] = {MEMBER(finished), MEMBER(stopped_early)};
#undef MEMBER
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A member on a line of its own; null where it is not finite. */
static void put_real(struct strbuf *text, const char *key, double value)
{
    strbuf_printf(text, isfinite(value) ? "  \"%s\": %.17g,\n" : "  \"%s\": null,\n", key, value);
}

int state_write(const struct run *run, const char *folder, struct err *err)
{
    const char *state = (const char *)&run->state;
    char *path = file_join(folder, STATE_FILE, err);
    struct strbuf text = {0};
    if (!path) {
        return -1;
    }
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
    for (size_t i = 0; i < run->numbers.count; i++) {
        put_real(&text, run->numbers.items[i].name, *run->numbers.items[i].value);
    }
    for (size_t i = 0; i < COUNT(state_switches); i++) {
        bool value;
        memcpy(&value, state + state_switches[i].offset, sizeof value);
        strbuf_printf(&text, "  \"%s\": %s,\n", state_switches[i].key, value ? "true" : "false");
    }
    strbuf_puts(&text, "  \"numerics\": ");
    strbuf_put_json(&text, run->identity.numerics, strlen(run->identity.numerics));
    strbuf_printf(&text, ",\n  \"base\": \"%s\",\n  \"data\": \"%s\"", run->identity.base, run->identity.data);
    for (size_t i = 0; i < run->identity.role_count; i++) {
        strbuf_printf(&text, ",\n  \"%s\": \"%s\"", run->identity.roles[i].key, run->identity.roles[i].hash);
    }
    strbuf_puts(&text, "\n}\n");
    int result = strbuf_check(&text, err);
    if (result == 0) {
        result = file_write_whole(path, text.data, text.length, err);
    }
    strbuf_free(&text);
    mem_free(path);
    return result;
}

static int check_roles(const json_t *root, const struct run_identity *identity, const char *where, struct err *err)
{
    for (size_t i = 0; i < identity->role_count; i++) {
        const struct run_role *role = &identity->roles[i];
        const char *then = NULL;
        if (json_need_string(root, role->key, &then, where, err) != 0) {
            return -1;
        }
        if (strcmp(then, role->hash) != 0) {
            return err_set(err,
                           "%s: the %s of the run changed: %s does not hold what it held when the run began (%s then, "
                           "%s now), so it would not go on as it began; put back what the folder held, or start anew "
                           "in another output_dir",
                           where, role->key, role->folder, then, role->hash);
        }
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
        if (json_need_string(root, checks[i].key, &then, where, err) != 0) {
            return -1;
        }
        if (strcmp(then, checks[i].now) != 0) {
            return err_set(err,
                           "%s: the %s of the run changed (%s then, %s now), so it would not go on as it began; %s",
                           where, checks[i].what, then, checks[i].now, checks[i].remedy);
        }
    }
    return check_roles(root, identity, where, err);
}

static bool is_member(const char *key, const struct state_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(key, members[i].key) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_of_state(const char *key)
{
    return is_member(key, state_wholes, COUNT(state_wholes)) || is_member(key, state_reals, COUNT(state_reals)) ||
           is_member(key, state_switches, COUNT(state_switches));
}

static bool is_of_identity(const char *key, const struct run_identity *identity)
{
    for (size_t i = 0; i < identity->role_count; i++) {
        if (strcmp(key, identity->roles[i].key) == 0) {
            return true;
        }
    }
    return strcmp(key, "numerics") == 0 || strcmp(key, "base") == 0 || strcmp(key, "data") == 0;
}

static bool is_number(const char *key, const struct run_numbers *numbers)
{
    for (size_t i = 0; i < numbers->count; i++) {
        if (strcmp(key, numbers->items[i].name) == 0) {
            return true;
        }
    }
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
        if (!is_of_state(key) && !is_of_identity(key, &run->identity) && !is_number(key, &run->numbers)) {
            return err_set(err,
                           "%s: '%s' is nothing that this stage keeps: the file is of another stage or version of "
                           "attune; go on with the attune that wrote it, or start anew in another output_dir",
                           where, key);
        }
    }
    return 0;
}

static int parse_numbers(const struct run_numbers *numbers, const json_t *root, const char *where, struct err *err)
{
    for (size_t i = 0; i < numbers->count; i++) {
        const struct run_number *number = &numbers->items[i];
        const json_t *value = json_object_get(root, number->name);
        if (!json_is_number(value) && !json_is_null(value)) {
            return err_set(err,
                           "%s: the number '%s' is missing: the file is damaged, or of another stage or version of "
                           "attune; go on with the attune that wrote it, or start anew in another output_dir",
                           where, number->name);
        }
        *number->value = json_is_null(value) ? (double)NAN : json_number_value(value);
    }
    return 0;
}

static int parse_state(struct run *run, const json_t *root, const char *where, struct err *err)
{
    char *state = (char *)&run->state;
    if (parse_numbers(&run->numbers, root, where, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < COUNT(state_wholes); i++) {
        int64_t value;
        if (json_need_int(root, state_wholes[i].key, &value, 0, INT64_MAX, where, err) != 0) {
            return -1;
        }
        memcpy(state + state_wholes[i].offset, &value, sizeof value);
    }
    for (size_t i = 0; i < COUNT(state_reals); i++) {
        double value = NAN;
        if (json_get_double(root, state_reals[i].key, &value, where, err) != 0) {
            return -1;
        }
        memcpy(state + state_reals[i].offset, &value, sizeof value);
    }
    for (size_t i = 0; i < COUNT(state_switches); i++) {
        bool value = false;
        if (json_get_bool(root, state_switches[i].key, &value, where, err) != 0) {
            return -1;
        }
        memcpy(state + state_switches[i].offset, &value, sizeof value);
    }
    return 0;
}

int state_read(struct run *run, const char *folder, struct err *err)
{
    char *path = file_join(folder, STATE_FILE, err);
    json_t *root = path ? json_read_file(path, STATE_MAX, err) : NULL;
    int result = root ? parse_state(run, root, path, err) : -1;
    if (result == 0) {
        result = check_identity(root, &run->identity, path, err);
    }
    if (result == 0) {
        result = check_names(run, root, path, err);
    }
    if (root) {
        json_decref(root);
    }
    mem_free(path);
    return result;
}
