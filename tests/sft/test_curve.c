/*
 * tests/sft/test_curve.c - 24 steps of LoRA on SmolLM2 and alpaca-1k follow TRL's SFTTrainer step by step.
 *
 * tests/fixtures/trl_curve.json holds TRL's curve; tests/reference/trl_curve.py says how its adapter is drawn, which
 * records are used, and what the numbers are. Needs a real model and data (support/real.h).
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "lora/peft.h"
#include "sft/data.h"
#include "sft/helper_sft.h"
#include "sft/recipe.h"
#include "support/fixture.h"
#include "support/real.h"
#include "support/temporary.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define STEPS        24
#define TRAIN_FIRST  0
#define TRAIN_COUNT  192
#define EVAL_FIRST   900
#define EVAL_COUNT   64
#define RANK         16
#define LAYERS_MAX   64
#define TENSORS_MAX  (2 * LINEAR_ROLE_COUNT * LAYERS_MAX)
#define LOSS_BOUND   5e-4 /* issue: 2e-3; measured: 1e-5 */
#define NORM_BOUND   0.01
#define EVAL_BOUND   1e-3
#define ROUNDED_AWAY 0.01 /* what products in bf16 may change of the last eval loss */

/* ---- the adapter that TRL began with ---- */

struct tensor {
    char name[PEFT_NAME_MAX];
    int64_t number; /* 7 * layer + module, of A; -1: B, which is zero */
    int32_t rows, columns;
};

/* Element `element` of A number `number`: one step of splitmix64 from state number << 32 | element. */
static float drawn(int64_t number, int64_t element, int32_t inputs)
{
    uint64_t x = ((uint64_t)number << 32 | (uint64_t)element) + 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    x = x ^ x >> 31;
    double u = (double)(x >> 11) * 0x1p-53;
    return (float)((2 * u - 1) * (1 / sqrt((double)inputs)));
}

static int fill(void *context, float *out, int64_t first, int64_t count, struct err *err)
{
    (void)err;
    const struct tensor *tensor = context;
    for (int64_t i = 0; i < count; i++) {
        out[i] = tensor->number >= 0 ? drawn(tensor->number, first + i, tensor->columns) : 0;
    }
    return 0;
}

static void write_first_adapter(const char *folder, const char *model)
{
    static struct tensor tensors[TENSORS_MAX];
    static struct safetensor_spec specs[TENSORS_MAX];
    struct err err;
    struct model_config config;
    struct linear_spec *linears;
    int32_t linear_count, count = 0;
    must(model_config_read(&config, model, &err));
    must(architecture_linears(&linears, &linear_count, &config, &err));
    assert_in_range(config.layers, 1, LAYERS_MAX);
    for (int32_t n = 0; n < linear_count; n++) {
        for (int b = 0; b < 2; b++, count++) {
            struct tensor *tensor = &tensors[count];
            peft_tensor_name(tensor->name, linears[n].path, b ? "lora_B.weight" : "lora_A.weight");
            tensor->number = b ? -1 : n;
            tensor->rows = b ? linears[n].outputs : RANK;
            tensor->columns = b ? RANK : linears[n].inputs;
            specs[count] = (struct safetensor_spec){.name = tensor->name,
                                                    .dtype = DTYPE_F32,
                                                    .rank = 2,
                                                    .shape = {tensor->rows, tensor->columns},
                                                    .read = fill,
                                                    .context = tensor};
        }
    }
    mem_free(linears);
    static const char adapter_config[] =
        "{\"peft_type\": \"LORA\", \"r\": 16, \"lora_alpha\": 32, \"lora_dropout\": 0.0, \"target_modules\": "
        "[\"q_proj\", \"k_proj\", \"v_proj\", \"o_proj\", \"gate_proj\", \"up_proj\", \"down_proj\"]}\n";
    must(file_make_dirs(folder, &err));
    must(safetensors_write(temporary("first/adapter_model.safetensors"), specs, count, NULL, &err));
    write_bytes(temporary("first/adapter_config.json"), adapter_config, strlen(adapter_config));
}

/* The formula's first values as the fixture has them ("6 mlp.down_proj.lora_A": number, then what it is). */
static void check_formula(const json_t *fixture, const char *model)
{
    struct err err;
    struct model_config config;
    struct linear_spec *linears;
    int32_t linear_count;
    const char *key;
    json_t *values;
    must(model_config_read(&config, model, &err));
    must(architecture_linears(&linears, &linear_count, &config, &err));
    assert_true(json_object_size(json_object_get(fixture, "first_values")) > 1);
    json_object_foreach(json_object_get(fixture, "first_values"), key, values)
    {
        long number = strtol(key, NULL, 10);
        assert_in_range(number, 0, linear_count - 1);
        for (size_t i = 0; i < json_array_size(values); i++) {
            assert_true(drawn(number, (int64_t)i, linears[number].inputs) ==
                        (float)json_number_value(json_array_get(values, i)));
        }
    }
    mem_free(linears);
}

/* ---- the records ---- */

static void write_records(const char *path, const json_t *rows, size_t first, size_t count)
{
    struct strbuf text = {0};
    assert_true(json_array_size(rows) >= first + count);
    for (size_t i = first; i < first + count; i++) {
        const json_t *row = json_array_get(rows, i);
        const char *input = json_string_value(json_object_get(row, "input"));
        struct strbuf user = {0};
        strbuf_puts(&user, json_string_value(json_object_get(row, "instruction")));
        if (input && *input) {
            strbuf_printf(&user, "\n%s", input);
        }
        json_t *record = json_pack("{s: [{s: s, s: s}, {s: s, s: O}]}", "messages", "role", "user", "content",
                                   strbuf_text(&user), "role", "assistant", "content", json_object_get(row, "output"));
        assert_non_null(record);
        char *line = json_dumps(record, JSON_COMPACT);
        strbuf_printf(&text, "%s\n", line);
        free(line);
        json_decref(record);
        strbuf_free(&user);
    }
    write_bytes(path, text.data, text.length);
    strbuf_free(&text);
}

/*
 * Tokens, trained tokens and ids of each record against the fixture's [tokens, trained, FNV-1a of the ids]. The
 * template puts a newline behind the last turn; TRL's script leaves it out, and no loss sees it.
 */
static void check_records(const struct dataset *dataset, const json_t *want, const char *what)
{
    assert_int_equal(dataset->count, json_array_size(want));
    for (size_t i = 0; i < dataset->count; i++) {
        const struct example *example = &dataset->examples[i];
        const json_t *record = json_array_get(want, i);
        uint64_t hash = 0xCBF29CE484222325u;
        int32_t length = example->length - (example->trained[example->length - 1] ? 0 : 1);
        char text[20];
        for (int32_t t = 0; t < length; t++) {
            for (int byte = 0; byte < 4; byte++) {
                hash = (hash ^ ((uint32_t)example->ids[t] >> (8 * byte) & 255)) * 0x100000001B3u;
            }
        }
        snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
        if (length != json_integer_value(json_array_get(record, 0)) ||
            example->trained_count != json_integer_value(json_array_get(record, 1)) ||
            strcmp(text, json_string_value(json_array_get(record, 2))) != 0) {
            fail_msg("%s record %zu has %d tokens, %d trained, %s; TRL has %lld, %lld, %s", what, i, length,
                     example->trained_count, text, (long long)json_integer_value(json_array_get(record, 0)),
                     (long long)json_integer_value(json_array_get(record, 1)),
                     json_string_value(json_array_get(record, 2)));
        }
    }
}

/* ---- the curve ---- */

static struct recipe *recipe_of(const char *name)
{
    struct err err;
    struct recipe *recipe;
    struct strbuf yaml = {0};
    strbuf_printf(
        &yaml, "model_name_or_path: %s\nadapter_name_or_path: %s\noutput_dir: %s\ndataset: %s\neval_dataset: %s\n",
        real_model(), temporary("first"), temporary("%s", name), temporary("train.jsonl"), temporary("eval.jsonl"));
    strbuf_puts(&yaml, "max_length: 640\nshuffle: false\nper_device_train_batch_size: 4\n"
                       "gradient_accumulation_steps: 2\nnum_train_epochs: 1\nlearning_rate: 2e-4\n"
                       "lr_scheduler_type: linear\nwarmup_ratio: 0\nweight_decay: 0\nmax_grad_norm: 1\n"
                       "logging_steps: 1\neval_steps: 0\nsave_steps: 0\nseed: 7\n");
    must(recipe_load_text(&recipe, &all_stages, &sft_stage, "curve.yaml", yaml.data, yaml.length, 0, NULL, &err));
    strbuf_free(&yaml);
    return recipe;
}

static void run(const char *name, enum dtype compute)
{
    struct err err;
    struct recipe *recipe = recipe_of(name);
    struct backend *backend = cpu_backend(compute, 0);
    must(sft_run(recipe, backend, &(struct stage_options){0}, &err));
    backend->free(backend);
    recipe_free(recipe);
}

static json_t *fixture(void)
{
    struct err err;
    json_t *root = json_read_file(fixture_path("trl_curve.json", NULL), 1 << 24, &err);
    assert_non_null(root);
    return root;
}

static void same_examples(void **state)
{
    (void)state;
    struct err err;
    json_t *want = fixture();
    struct recipe *recipe = recipe_of("none");
    struct sft_data data;
    check_formula(want, real_model());
    must(sft_data_open(&data, recipe, &err));
    check_records(data.train, json_object_get(want, "train_records"), "train");
    check_records(data.eval, json_object_get(want, "eval_records"), "eval");
    sft_data_close(&data);
    recipe_free(recipe);
    json_decref(want);
}

static void expect_near(const char *what, int step, double got, double want, double bound)
{
    if (!(fabs(got - want) <= bound)) {
        fail_msg("step %d: %s is %.6f, TRL's is %.6f", step, what, got, want);
    }
}

static void curve_in_f32(void **state)
{
    (void)state;
    json_t *want = fixture();
    const json_t *log = json_object_get(want, "log");
    double loss_apart = 0, norm_apart = 0;
    run("f32", DTYPE_F32);
    assert_int_equal(json_array_size(log), STEPS);
    for (int step = 1; step <= STEPS; step++) {
        const json_t *entry = json_array_get(log, (size_t)step - 1);
        double loss = json_number_value(json_object_get(entry, "loss")),
               norm = json_number_value(json_object_get(entry, "grad_norm"));
        expect_near("loss", step, run_metric("f32", step, "loss"), loss, LOSS_BOUND);
        expect_near("grad_norm", step, run_metric("f32", step, "grad_norm"), norm, NORM_BOUND * norm);
        expect_near("learning_rate", step, run_metric("f32", step, "learning_rate"),
                    json_number_value(json_object_get(entry, "learning_rate")), 1e-12);
        loss_apart = fmax(loss_apart, fabs(run_metric("f32", step, "loss") - loss));
        norm_apart = fmax(norm_apart, fabs(run_metric("f32", step, "grad_norm") / norm - 1));
    }
    double before = json_number_value(json_object_get(want, "eval_before")),
           after = json_number_value(json_object_get(want, "eval_after"));
    expect_near("eval_loss", 0, run_metric("f32", 0, "eval_loss"), before, EVAL_BOUND);
    expect_near("eval_loss", STEPS, run_metric("f32", STEPS, "eval_loss"), after, EVAL_BOUND);
    print_message("apart from TRL at most: loss %.1e, grad_norm %.1e of it, eval loss %.1e before and %.1e after\n",
                  loss_apart, norm_apart, fabs(run_metric("f32", 0, "eval_loss") - before),
                  fabs(run_metric("f32", STEPS, "eval_loss") - after));
    json_decref(want);
}

static bool has_bf16(void)
{
    struct err err;
    struct file_lines *lines;
    const char *line;
    size_t length;
    bool found = false;
    if (file_lines_open(&lines, "/proc/cpuinfo", &err) != 0) {
        return false;
    }
    while (!found && file_lines_next(lines, &line, &length, &err) == 1) {
        found = memmem(line, length, "amx_bf16", 8) || memmem(line, length, "avx512_bf16", 11);
    }
    file_lines_close(lines);
    return found;
}

static void curve_in_bf16(void **state)
{
    (void)state;
    if (!has_bf16()) {
        print_message("the run in bf16 is skipped: this CPU has no products in it (amx_bf16, avx512_bf16)\n");
        skip();
    }
    run("bf16", DTYPE_BF16);
    double apart = fabs(run_metric("bf16", STEPS, "eval_loss") - run_metric("f32", STEPS, "eval_loss"));
    print_message("the run in bf16 ends %.1e from the one in f32\n", apart);
    assert_true(apart <= ROUNDED_AWAY);
}

static int setup(void **state)
{
    struct err err;
    if (temporary_setup(state) != 0) {
        return -1;
    }
    log_set_quiet(true);
    json_t *rows = json_read_file(real_data("alpaca-1k.json"), 1 << 26, &err);
    assert_non_null(rows);
    write_records(temporary("train.jsonl"), rows, TRAIN_FIRST, TRAIN_COUNT);
    write_records(temporary("eval.jsonl"), rows, EVAL_FIRST, EVAL_COUNT);
    json_decref(rows);
    write_first_adapter(temporary("first"), real_model());
    return 0;
}

int main(void)
{
    if (!real_model() || !real_data("alpaca-1k.json")) {
        return SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_examples),
        cmocka_unit_test(curve_in_f32),
        cmocka_unit_test(curve_in_bf16),
    };
    return cmocka_run_group_tests(tests, setup, temporary_teardown);
}
