/*
 * tests/train/test_run.c - the folder of a run: how it begins, is resumed, refused and left alone, which checkpoints
 * stay, and how it ends. Training is stood in for by a number that every trained tensor is set to.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "sft/recipe.h"
#include "support/fixture.h"
#include "support/recipe_texts.h"
#include "support/temporary.h"
#include "train/loop.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TOTAL 6

/* A run as a stage has it: an adapter and a second part, and a number of the stage's own. */
struct setting {
    struct backend *backend;
    struct recipe *recipe;
    struct trainable trainables[2];
    struct optimizer *optimizers[2];
    struct run_part parts[2];
    double number;
    struct run_numbers numbers;
    struct run *run;
};

static const struct run_identity identity = {
    .numerics = "avx2 f32", .base = "0123456789abcdef0123456789abcdef", .data = "fedcba9876543210fedcba9876543210"};

/* The recipe of the run in the temporary folder's `run`; `lines` are more keys. */
static struct recipe *recipe_with(const char *lines)
{
    char yaml[2048];
    snprintf(yaml, sizeof yaml,
             "model_name_or_path: %s\noutput_dir: %s\ndataset: d.jsonl\neval_dataset: e.jsonl\neval_steps: 1\n"
             "lora_r: 2\nlora_target_modules: [q_proj]\n%s",
             fixture_path("tiny-llama", NULL), temporary("run"), lines);
    return recipe_of(&sft_stage, yaml, NULL);
}

static void open_part(struct setting *setting, int number)
{
    struct err err;
    const struct optimizer_options options = {0.9, 0.999, 1e-8, 0, 0};
    must(trainable_open(&setting->trainables[number], setting->recipe, false, &err));
    must(trainable_load(&setting->trainables[number], setting->backend, &err));
    must(optimizer_create(&setting->optimizers[number], setting->backend, setting->trainables[number].parameters,
                          &options, &err));
    setting->parts[number] =
        (struct run_part){number ? "critic" : NULL, &setting->trainables[number], setting->optimizers[number]};
}

static int open_run(struct setting *setting, int64_t total_steps, const struct run_identity *as, struct err *err)
{
    int result = run_open(&setting->run, setting->recipe, as, total_steps, &setting->numbers, err);
    if (result == 0) {
        setting->run->parts = setting->parts;
        setting->run->part_count = 2;
    }
    return result;
}

static void begin(struct setting *setting, const char *lines)
{
    *setting = (struct setting){.recipe = recipe_with(lines), .number = 0.5};
    run_numbers_add(&setting->numbers, "beta", &setting->number);
    setting->backend = cpu_backend(DTYPE_F32, 1);
    open_part(setting, 0);
    open_part(setting, 1);
}

static void end(struct setting *setting)
{
    run_close(setting->run);
    for (int i = 0; i < 2; i++) {
        optimizer_free(setting->optimizers[i]);
        trainable_close(&setting->trainables[i]);
    }
    setting->backend->free(setting->backend);
    recipe_free(setting->recipe);
}

/* A setting whose run is open. */
static void begin_run(struct setting *setting, const char *lines)
{
    struct err err;
    begin(setting, lines);
    must(open_run(setting, TOTAL, &identity, &err));
}

/* Every number of a part's first tensor. */
static void set_tensor(struct setting *setting, int part, float value)
{
    struct err err;
    const struct parameter *parameter = &setting->trainables[part].parameters->items[0];
    size_t count = (size_t)parameter_size(parameter);
    float *values = mem_alloc(count, sizeof *values, &err);
    for (size_t i = 0; i < count; i++) {
        values[i] = value;
    }
    setting->backend->upload(setting->backend, parameter->master, values, count * sizeof *values);
    mem_free(values);
}

static float tensor_value(struct setting *setting, int part)
{
    const struct parameter *parameter = &setting->trainables[part].parameters->items[0];
    float *values = fetch(setting->backend, parameter->master, parameter_size(parameter)), value = values[0];
    mem_free(values);
    return value;
}

/* A step: tensors that tell which, a record, and a checkpoint. */
static void make_step(struct setting *setting)
{
    struct err err;
    struct run *run = setting->run;
    int64_t step = ++run->state.step;
    run->state.tokens += 10;
    set_tensor(setting, 0, (float)step);
    set_tensor(setting, 1, (float)-step);
    setting->number = (double)step / 8;
    metrics_begin(run->metrics, step, 0);
    must(metrics_end(run->metrics, &err));
    must(run_save_checkpoint(run, &err));
}

static void make_steps(struct setting *setting, int64_t last)
{
    while (setting->run->state.step < last) {
        make_step(setting);
    }
}

static void expect_checkpoints(const char *expected)
{
    struct err err;
    char **names, there[256] = "";
    size_t count, length = 0;
    must(file_list(&names, &count, temporary("run"), &err));
    for (size_t i = 0; i < count; i++) {
        if (strncmp(names[i], "checkpoint-", 11) == 0) {
            length += (size_t)snprintf(there + length, sizeof there - length, "%s%s", length ? " " : "", names[i] + 11);
        }
    }
    file_names_free(names, count);
    assert_string_equal(there, expected);
}

static void expect_records(const char *expected)
{
    struct strbuf text = read_bytes(temporary("run/metrics.jsonl"));
    assert_string_equal(strbuf_text(&text), expected);
    strbuf_free(&text);
}

/* The fingerprint of all that a folder holds, names included. */
static struct hash folder_hash(const char *path)
{
    struct err err;
    char **names;
    size_t count;
    struct hash sum = {0};
    must(file_list(&names, &count, path, &err));
    for (size_t i = 0; i < count; i++) {
        char *inner = file_join(path, names[i], &err);
        struct hash link[3] = {sum, hash_bytes(names[i], strlen(names[i])), {0}};
        if (file_is_dir(inner)) {
            link[2] = folder_hash(inner);
        } else {
            struct strbuf bytes = read_bytes(inner);
            link[2] = hash_bytes(strbuf_text(&bytes), bytes.length);
            strbuf_free(&bytes);
        }
        sum = hash_bytes(link, sizeof link);
        mem_free(inner);
    }
    file_names_free(names, count);
    return sum;
}

/* A run that may not be opened, for this reason, and whose folder stays as it is. */
static void expect_refusal(const char *lines, const struct run_identity *as, const char *reason, const char *other)
{
    struct err err = {{0}};
    struct setting setting;
    struct hash before = folder_hash(temporary("run"));
    begin(&setting, lines);
    if (open_run(&setting, TOTAL, as, &err) == 0) {
        fail_msg("a run that should be refused (%s) was opened", reason);
    }
    if (!strstr(err.text, reason) || !strstr(err.text, other)) {
        fail_msg("'%s' does not speak of '%s' and '%s'", err.text, reason, other);
    }
    struct hash after = folder_hash(temporary("run"));
    assert_true(before.high == after.high && before.low == after.low);
    end(&setting);
}

static int clean(void **state)
{
    (void)state;
    remove_tree(temporary("run"));
    return 0;
}

/* ---- beginning and going on ---- */

static void a_fresh_run(void **state)
{
    (void)state;
    struct setting setting;
    begin_run(&setting, "");
    const struct run *run = setting.run;
    assert_null(run->resume_folder);
    assert_false(run->already_finished);
    assert_int_equal(run->state.step, 0);
    assert_int_equal(run->state.total_steps, TOTAL);
    assert_true(isnan(run->state.best_eval));
    assert_true(file_exists(temporary("run/recipe.resolved.yaml")));
    assert_false(file_exists(temporary("run/samples.jsonl")));
    expect_records("");
    end(&setting);
    /* Without a checkpoint a second start is a fresh one too, and forgets the first one's records. */
    begin_run(&setting, "");
    struct err err;
    metrics_begin(setting.run->metrics, 0, 0);
    must(metrics_end(setting.run->metrics, &err));
    end(&setting);
    begin_run(&setting, "sample_prompts: [a]\n");
    expect_records("");
    assert_true(file_exists(temporary("run/samples.jsonl")));
    end(&setting);
}

static void the_newest_checkpoint_is_gone_on_from(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    begin_run(&setting, "");
    setting.run->state.best_eval = 0.25;
    setting.run->state.best_step = 1;
    setting.run->state.window_loss = 1.0 / 3;
    make_steps(&setting, 3);
    metrics_begin(setting.run->metrics, 4, 0); /* of a step whose checkpoint was not to be */
    must(metrics_end(setting.run->metrics, &err));
    set_tensor(&setting, 0, 99);
    end(&setting);
    begin_run(&setting, "");
    const struct run_state *now = &setting.run->state;
    assert_string_equal(setting.run->resume_folder, temporary("run/checkpoint-3"));
    assert_int_equal(now->step, 3);
    assert_int_equal(now->tokens, 30);
    assert_int_equal(now->best_step, 1);
    assert_true(now->best_eval == 0.25 && now->window_loss == 1.0 / 3 && setting.number == 0.375);
    must(run_load_checkpoint(setting.run, &err));
    assert_true(tensor_value(&setting, 0) == 3 && tensor_value(&setting, 1) == -3);
    expect_records("{\"step\": 1, \"epoch\": 0.0}\n{\"step\": 2, \"epoch\": 0.0}\n{\"step\": 3, \"epoch\": 0.0}\n");
    make_steps(&setting, 4);
    expect_checkpoints("2 3 4"); /* by default three are kept */
    end(&setting);
}

static void a_named_checkpoint_is_gone_on_from(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    char lines[512];
    begin_run(&setting, "save_total_limit: 4\n");
    make_steps(&setting, 4);
    end(&setting);
    expect_refusal("resume_from_checkpoint: nowhere/checkpoint-2\n", &identity, "there is no folder", "nowhere");
    snprintf(lines, sizeof lines, "save_total_limit: 4\nresume_from_checkpoint: %s/\n",
             temporary("run/../run/checkpoint-2"));
    begin_run(&setting, lines);
    assert_int_equal(setting.run->state.step, 2);
    must(run_load_checkpoint(setting.run, &err));
    assert_true(tensor_value(&setting, 0) == 2);
    /* What came behind it is another future: its records are gone, and its checkpoints must not be taken for ours. */
    expect_records("{\"step\": 1, \"epoch\": 0.0}\n{\"step\": 2, \"epoch\": 0.0}\n");
    expect_checkpoints("1 2");
    make_steps(&setting, 4);
    expect_checkpoints("1 2 3 4");
    end(&setting);
    /* Those of another run are left to it. */
    must(file_make_dirs(temporary("other"), &err));
    must(file_publish_dir(temporary("run/checkpoint-2"), temporary("other/checkpoint-2"), &err));
    snprintf(lines, sizeof lines, "resume_from_checkpoint: %s\n", temporary("other/checkpoint-2"));
    expect_refusal(lines, &identity, "holds checkpoints", "another output_dir");
    remove_tree(temporary("run"));
    begin_run(&setting, lines);
    assert_int_equal(setting.run->state.step, 2);
    make_steps(&setting, 3);
    expect_checkpoints("3");
    end(&setting);
    remove_tree(temporary("other"));
}

static void never_touches_a_run_that_is_there(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    begin_run(&setting, "resume_from_checkpoint: never\n");
    make_steps(&setting, 1);
    end(&setting);
    expect_refusal("resume_from_checkpoint: never\n", &identity, "holds checkpoints", "resume_from_checkpoint: auto");
    begin_run(&setting, "");
    must(run_finish(setting.run, &err));
    end(&setting);
    expect_refusal("resume_from_checkpoint: never\n", &identity, "already holds a finished run", "another output_dir");
}

static void a_file_is_no_folder(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    write_bytes(temporary("run"), "x", 1);
    begin(&setting, "");
    assert_int_equal(open_run(&setting, TOTAL, &identity, &err), -1);
    assert_non_null(strstr(err.text, "is a file; give a folder"));
    end(&setting);
}

static void a_damaged_state_is_named(void **state)
{
    (void)state;
    struct setting setting;
    begin_run(&setting, "");
    make_steps(&setting, 1);
    end(&setting);
    static const char *const texts[] = {"{\"step\": 1", "[]", "{\"beta\": 1, \"step\": -1}", "{\"beta\": \"x\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_bytes(temporary("run/checkpoint-1/state.json"), texts[i], strlen(texts[i]));
        expect_refusal("", &identity, "checkpoint-1/state.json", "");
    }
}

/* One that the stage does not know would be forgotten, one that is not there would be made up. */
static void numbers_are_known_by_name(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    begin_run(&setting, "");
    make_steps(&setting, 1);
    setting.number = NAN; /* null in the file */
    setting.run->state.step++;
    must(run_save_checkpoint(setting.run, &err));
    end(&setting);
    begin_run(&setting, "");
    assert_true(isnan(setting.number));
    end(&setting);

    begin(&setting, "");
    double other = 0;
    run_numbers_add(&setting.numbers, "gamma", &other);
    assert_int_equal(open_run(&setting, TOTAL, &identity, &err), -1);
    assert_non_null(strstr(err.text, "the number 'gamma' is missing"));
    assert_non_null(strstr(err.text, "checkpoint-2/state.json"));
    end(&setting);

    begin(&setting, "");
    setting.numbers.count = 0;
    assert_int_equal(open_run(&setting, TOTAL, &identity, &err), -1);
    assert_non_null(strstr(err.text, "'beta' is nothing that this stage keeps"));
    end(&setting);
}

/* ---- what may not change ---- */

static void a_changed_recipe(void **state)
{
    (void)state;
    struct setting setting;
    begin_run(&setting, "learning_rate: 1e-3\n");
    make_steps(&setting, 1);
    end(&setting);
    expect_refusal("learning_rate: 3e-4\n", &identity, "learning_rate", "0.001");
    expect_refusal("learning_rate: 3e-4\n", &identity, "cannot resume from", "0.0003");
    /* Saving and logging may change. */
    begin_run(&setting, "learning_rate: 1e-3\nsave_steps: 50\nlogging_steps: 7\n");
    assert_int_equal(setting.run->state.step, 1);
    end(&setting);
}

static void another_machine_model_or_data(void **state)
{
    (void)state;
    struct setting setting;
    begin_run(&setting, "");
    make_steps(&setting, 1);
    end(&setting);
    struct run_identity other = identity;
    other.numerics = "amx bf16";
    expect_refusal("", &other, "instruction set or dtype of the run changed", "avx2 f32 then, amx bf16 now");
    other = identity;
    other.base[0] = 'x';
    expect_refusal("", &other, "base weights of the run changed", "x123456789abcdef0123456789abcdef now");
    other = identity;
    other.data[0] = 'x';
    expect_refusal("", &other, "training examples of the run changed", "fedcba9876543210fedcba9876543210 then");
}

/* A folder beside what is trained is named by its key and its path. */
static void another_role(void **state)
{
    (void)state;
    struct setting setting;
    struct run_identity with = identity, other;
    struct err err;
    with.role_count = 2;
    with.roles[0] = (struct run_role){"adapter_name_or_path", "runs/first", "00000000000000000000000000000001"};
    with.roles[1] = (struct run_role){"reward_model", "runs/judge", "00000000000000000000000000000002"};
    begin(&setting, "");
    must(open_run(&setting, TOTAL, &with, &err));
    make_steps(&setting, 1);
    end(&setting);
    other = with;
    other.roles[1].hash[31] = '3';
    expect_refusal("", &other, "the reward_model of the run changed: runs/judge does not hold",
                   "00000000000000000000000000000002 then, 00000000000000000000000000000003 now");
    other = with;
    other.roles[0].hash[0] = 'x';
    expect_refusal("", &other, "the adapter_name_or_path of the run changed: runs/first", "another output_dir");
    begin(&setting, "");
    must(open_run(&setting, TOTAL, &with, &err));
    assert_int_equal(setting.run->state.step, 1);
    end(&setting);
}

/* ---- which checkpoints stay ---- */

static void only_the_newest_stay(void **state)
{
    (void)state;
    struct setting setting;
    begin_run(&setting, "save_total_limit: 2\n");
    make_steps(&setting, 1);
    expect_checkpoints("1");
    make_steps(&setting, 5);
    expect_checkpoints("4 5");
    end(&setting);
}

static void the_best_one_stays_as_well(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    begin_run(&setting, "save_total_limit: 2\nload_best_model_at_end: true\n");
    make_steps(&setting, 2);
    setting.run->state.best_step = 2;
    setting.run->state.best_eval = 1;
    make_steps(&setting, 5);
    expect_checkpoints("2 4 5");
    end(&setting);
    /* Also when the run is resumed; and the result is the best one's. */
    begin_run(&setting, "save_total_limit: 2\nload_best_model_at_end: true\n");
    must(run_load_checkpoint(setting.run, &err));
    make_steps(&setting, TOTAL);
    expect_checkpoints("2 5 6");
    must(run_finish(setting.run, &err));
    assert_true(tensor_value(&setting, 0) == 2 && tensor_value(&setting, 1) == -2);
    assert_true(same_bytes(temporary("run/adapter_model.safetensors"),
                           temporary("run/checkpoint-2/adapter_model.safetensors")));
    assert_true(same_bytes(temporary("run/critic/adapter_model.safetensors"),
                           temporary("run/checkpoint-2/critic/adapter_model.safetensors")));
    end(&setting);
    /* A better one lets the older go. */
    remove_tree(temporary("run"));
    begin_run(&setting, "save_total_limit: 1\nload_best_model_at_end: true\n");
    setting.run->state.best_step = 1;
    make_steps(&setting, 3);
    expect_checkpoints("1 3");
    setting.run->state.best_step = 3;
    make_steps(&setting, 4);
    expect_checkpoints("3 4");
    end(&setting);
}

static void what_was_half_written_goes(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    begin_run(&setting, "");
    make_steps(&setting, 2);
    end(&setting);
    must(file_make_dirs(temporary("run/checkpoint-3.partial/critic"), &err));
    write_bytes(temporary("run/checkpoint-3.partial/adapter_model.safetensors"), "half", 4);
    must(file_make_dirs(temporary("run/checkpoint-1.old.partial"), &err));
    must(file_make_dirs(temporary("run/checkpoint-notes"), &err));
    begin_run(&setting, "");
    assert_int_equal(setting.run->state.step, 2);
    expect_checkpoints("1 2 notes");
    make_steps(&setting, 3);
    expect_checkpoints("1 2 3 notes");
    end(&setting);
}

/* A disk that is full while a checkpoint is written: nothing of it is left, and the run can go on. */
static void a_checkpoint_that_finds_no_room(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    begin_run(&setting, "save_total_limit: 1\n");
    make_steps(&setting, 1);
    struct hash before = folder_hash(temporary("run/checkpoint-1"));
    setting.run->state.step = 2;
    long failures = 0;
    for (long n = 1; n == failures + 1; n++) {
        file_fail_at(n);
        int result = run_save_checkpoint(setting.run, &err);
        bool reached = file_count() >= n;
        file_fail_at(0);
        if (!reached) {
            break;
        }
        failures++;
        assert_int_equal(result, -1);
        assert_non_null(strstr(err.text, "No space left on device"));
        if (!file_exists(temporary("run/checkpoint-2"))) { /* only the sync of the folder comes behind the rename */
            struct hash after = folder_hash(temporary("run/checkpoint-1"));
            expect_checkpoints("1");
            assert_true(before.high == after.high && before.low == after.low);
        } else {
            remove_tree(temporary("run/checkpoint-2"));
        }
    }
    assert_true(failures > 20);
    expect_checkpoints("2");
    end(&setting);
}

/* ---- the end ---- */

static void a_finished_run_is_left_alone(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    begin_run(&setting, "");
    make_steps(&setting, TOTAL);
    must(run_finish(setting.run, &err));
    end(&setting);
    struct hash before = folder_hash(temporary("run"));
    begin_run(&setting, "");
    assert_true(setting.run->already_finished);
    assert_int_equal(setting.run->state.step, TOTAL);
    end(&setting);
    struct hash after = folder_hash(temporary("run"));
    assert_true(before.high == after.high && before.low == after.low);
    /* More steps: it goes on, and is not finished any more. */
    begin(&setting, "");
    must(open_run(&setting, TOTAL + 2, &identity, &err));
    assert_false(setting.run->already_finished);
    assert_string_equal(setting.run->resume_folder, temporary("run/checkpoint-%d", TOTAL));
    assert_false(file_exists(temporary("run/state.json")));
    end(&setting);
}

static int step_too_many(void *context, int64_t step, struct loop_step *result, struct err *err)
{
    (void)context;
    (void)result;
    return err_set(err, "step %lld was made of a run that had stopped early", (long long)step);
}

static void an_early_stop_survives_a_kill(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    struct loop loop = {0};
    begin_run(&setting, "early_stopping_patience: 2\n");
    make_steps(&setting, 2);
    setting.run->state.step = 3;
    setting.run->state.stopped_early = true;
    must(run_save_checkpoint(setting.run, &err));
    end(&setting); /* killed before the result was written */
    begin_run(&setting, "early_stopping_patience: 2\n");
    assert_true(setting.run->state.stopped_early);
    must(run_load_checkpoint(setting.run, &err));
    loop_init(&loop, setting.recipe, &(struct step_counts){.per_epoch = TOTAL, .total = TOTAL});
    loop.run = setting.run;
    loop.stage.step = step_too_many;
    if (loop_run(&loop, &err) != LOOP_FINISHED) {
        fail_msg("%s", err.text);
    }
    assert_true(file_exists(temporary("run/adapter_model.safetensors")));
    end(&setting);
    begin_run(&setting, "early_stopping_patience: 2\n");
    assert_true(setting.run->already_finished);
    end(&setting);
}

int main(void)
{
    mem_hook_libraries();
    log_set_quiet(true);
#define IN_FOLDER(test) cmocka_unit_test_teardown(test, clean)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_fresh_run),
        IN_FOLDER(the_newest_checkpoint_is_gone_on_from),
        IN_FOLDER(a_named_checkpoint_is_gone_on_from),
        IN_FOLDER(never_touches_a_run_that_is_there),
        IN_FOLDER(a_file_is_no_folder),
        IN_FOLDER(a_damaged_state_is_named),
        IN_FOLDER(numbers_are_known_by_name),
        IN_FOLDER(a_changed_recipe),
        IN_FOLDER(another_machine_model_or_data),
        IN_FOLDER(another_role),
        IN_FOLDER(only_the_newest_stay),
        IN_FOLDER(the_best_one_stays_as_well),
        IN_FOLDER(what_was_half_written_goes),
        IN_FOLDER(a_checkpoint_that_finds_no_room),
        IN_FOLDER(a_finished_run_is_left_alone),
        IN_FOLDER(an_early_stop_survives_a_kill),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
