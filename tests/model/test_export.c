/*
 * tests/model/test_export.c - a model folder written again: whole or not at all, whichever write fails; config.json
 * keeps its keys; trained masters stand in place of the base's weights.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/mem.h"
#include "model/export.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include "support/tiny_text.h"
#include <math.h>
#include <string.h>

static const struct export_options keep = {.keep_dtype = true};

static int setup(void **state)
{
    if (temporary_setup(state) != 0) {
        return -1;
    }
    tiny_text_make(temporary("model"));
    static const char generation[] = "{\"eos_token_id\": [2, 0],  \"temperature\": 0.7}\n";
    write_bytes(temporary("model/generation_config.json"), generation, strlen(generation));
    write_bytes(temporary("model/training_args.bin"), "not ours", 8);
    return 0;
}

static struct model *tiny_model(void)
{
    struct err err;
    struct model *model;
    must(model_open(&model, temporary("model"), &err));
    return model;
}

static void unchanged(void **state)
{
    (void)state;
    static const char *const copied[] = {"tokenizer.json", "tokenizer_config.json", "generation_config.json"};
    struct err err;
    struct model *model = tiny_model(), *again;
    must(model_export(model, temporary("out///"), &keep, &err));
    for (size_t i = 0; i < 3; i++) {
        assert_true(same_bytes(temporary("model/%s", copied[i]), temporary("out/%s", copied[i])));
    }
    assert_int_equal(names_in(temporary("out")), 5); /* with config.json and model.safetensors, nothing else */
    must(model_open(&again, temporary("out"), &err));
    struct hash a = model_fingerprint(model), b = model_fingerprint(again);
    assert_true(a.high == b.high && a.low == b.low);
    json_t *one = json_read_file(temporary("model/config.json"), 1 << 20, &err),
           *two = json_read_file(temporary("out/config.json"), 1 << 20, &err);
    assert_true(one && two && json_equal(one, two));
    json_decref(one);
    json_decref(two);
    model_free(again);
    model_free(model);
    remove_tree(temporary("out"));
}

/* What the template closes an answer with becomes an end, beside those that are named, or those of config.json. */
static void ends(void **state)
{
    (void)state;
    static const struct {
        const char *generation, *want;
    } cases[] = {
        {"{\"eos_token_id\": 0, \"temperature\": 0.7}", "{\"eos_token_id\": [0, 2], \"temperature\": 0.7}"},
        {"{\"eos_token_id\": [0, 3], \"top_k\": 5}", "{\"eos_token_id\": [0, 3, 2], \"top_k\": 5}"},
        {"{\"top_k\": 5}", "{\"top_k\": 5, \"eos_token_id\": [2]}"},
        {NULL, "{\"bos_token_id\": 0, \"eos_token_id\": [0, 2], \"pad_token_id\": 3}"},
    };
    struct err err;
    json_t *config = json_read_file(temporary("model/config.json"), 1 << 20, &err);
    assert_int_equal(json_object_set_new(config, "eos_token_id", json_integer(0)), 0);
    assert_int_equal(json_dump_file(config, temporary("model/config.json"), 0), 0);
    json_decref(config);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        remove_tree(temporary("model/generation_config.json"));
        if (cases[i].generation) {
            write_bytes(temporary("model/generation_config.json"), cases[i].generation, strlen(cases[i].generation));
        }
        struct model *model = tiny_model(), *again;
        must(model_export(model, temporary("out"), &keep, &err));
        json_t *got = json_read_file(temporary("out/generation_config.json"), 1 << 20, &err);
        json_t *want = json_loads(cases[i].want, 0, NULL);
        assert_true(got && want && json_equal(got, want));
        json_decref(got);
        json_decref(want);
        model_free(model);
        /* Now it is one, and nothing is added again. */
        must(model_open(&again, temporary("out"), &err));
        must(model_export(again, temporary("twice"), &keep, &err));
        assert_true(same_bytes(temporary("out/generation_config.json"), temporary("twice/generation_config.json")));
        model_free(again);
        remove_tree(temporary("out"));
        remove_tree(temporary("twice"));
    }
}

/* Whichever write or fsync fails, or whichever allocation: no folder, nothing beside it, an error that says why. */
static void whole_or_not_at_all(void **state)
{
    (void)state;
    struct err err = {{0}};
    struct model *model = tiny_model();
    size_t before = names_in(temporary("."));
    void (*const fail_at[])(long) = {file_fail_at, mem_fail_at};
    long (*const count[])(void) = {file_count, mem_count};
    for (int kind = 0; kind < 2; kind++) {
        fail_at[kind](0);
        must(model_export(model, temporary("out"), &keep, &err));
        long steps = count[kind]();
        assert_true(steps > 10);
        remove_tree(temporary("out"));
        for (long n = 1; n <= steps; n++) {
            err.text[0] = 0;
            fail_at[kind](n);
            int result = model_export(model, temporary("out"), &keep, &err);
            fail_at[kind](0);
            if (result == 0) {
                fail_msg("export succeeded although %s %ld of %ld failed", kind ? "allocation" : "write", n, steps);
            }
            assert_true(err.text[0] != 0);
            if (file_exists(temporary("out")) || names_in(temporary(".")) != before) {
                fail_msg("something was left after the failure of %s %ld of %ld", kind ? "allocation" : "write", n,
                         steps);
            }
        }
    }
    model_free(model);
}

static int halve(void *context, const char *name, float *values, int64_t first, int64_t count, struct err *err)
{
    (void)first;
    if (strcmp(name, context) == 0) {
        return err_set(err, "'%s' is not to be changed", name);
    }
    for (int64_t i = 0; i < count; i++) {
        values[i] /= 2;
    }
    return 0;
}

static int overflow(void *context, const char *name, float *values, int64_t first, int64_t count, struct err *err)
{
    (void)first;
    (void)err;
    if (strcmp(name, context) == 0) {
        values[count - 1] = INFINITY;
    }
    return 0;
}

static void changes(void **state)
{
    (void)state;
    struct err err = {{0}};
    struct model *model = tiny_model(), *again;
    struct export_options options = {.dtype = DTYPE_BF16, .change = halve, .context = (char[]){"no such tensor"}};
    must(model_export(model, temporary("out"), &options, &err));
    must(model_open(&again, temporary("out"), &err));
    assert_int_equal(again->config.dtype, DTYPE_BF16);
    const struct safetensor *a = safetensors_find(model->files, "model.layers.1.mlp.up_proj.weight"),
                            *b = safetensors_find(again->files, "model.layers.1.mlp.up_proj.weight");
    for (int64_t i = 0; i < a->count; i++) {
        uint16_t want = bf16_from_f32(((const float *)a->data)[i] / 2);
        assert_memory_equal((const char *)b->data + 2 * i, &want, sizeof want);
    }
    model_free(again);
    remove_tree(temporary("out"));
    /* A hook that fails, and values that are not finite, in f32 or in the narrower dtype. */
    options.context = (char[]){"model.norm.weight"};
    assert_int_equal(model_export(model, temporary("out"), &options, &err), -1);
    assert_non_null(strstr(err.text, "is not to be changed"));
    options.change = overflow;
    assert_int_equal(model_export(model, temporary("out"), &options, &err), -1);
    assert_non_null(strstr(err.text, "model.norm.weight"));
    assert_false(file_exists(temporary("out")));
    model_free(model);
}

/* A head of its own beside a tied embedding. */
static void untied(void **state)
{
    (void)state;
    struct err err;
    struct model *model = tiny_model(), *again;
    struct export_options options = {.keep_dtype = true, .untie = true};
    must(model_export(model, temporary("out"), &options, &err));
    must(model_open(&again, temporary("out"), &err));
    assert_true(model->config.tied && !again->config.tied);
    const struct safetensor *head = safetensors_find(again->files, "lm_head.weight"),
                            *embedding = safetensors_find(again->files, "model.embed_tokens.weight");
    assert_non_null(head);
    assert_memory_equal(head->data, embedding->data, (size_t)head->count * sizeof(float));
    model_free(again);
    model_free(model);
    remove_tree(temporary("out"));
}

static void masters(void **state)
{
    (void)state;
    struct err err;
    struct backend *backend = fixture_backend();
    struct model *model = fixture_model("tiny-llama3", backend, true), *again;
    const struct parameter *parameter = find_parameter(&model->parameters, "model.layers.1.self_attn.q_proj.bias");
    float *values = fetch(backend, parameter->master, parameter_size(parameter));
    values[0] = 123.25f;
    backend->upload(backend, parameter->master, values, (size_t)parameter_size(parameter) * sizeof *values);
    struct export_options options = {.dtype = DTYPE_F32, .change = model_change_to_masters, .context = model};
    must(model_export(model, temporary("out"), &options, &err));
    must(model_open(&again, temporary("out"), &err));
    assert_int_equal(safetensors_count(again->files), safetensors_count(model->files));
    for (int32_t i = 0; i < safetensors_count(again->files); i++) {
        const struct safetensor *got = safetensors_at(again->files, i), *was = safetensors_at(model->files, i);
        const float *want = strcmp(got->name, parameter->name) == 0 ? values : was->data;
        assert_memory_equal(got->data, want, (size_t)got->count * sizeof *want);
    }
    mem_free(values);
    model_free(again);
    model_free(model);
    backend->free(backend);
    remove_tree(temporary("out"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unchanged), cmocka_unit_test(ends),   cmocka_unit_test(whole_or_not_at_all),
        cmocka_unit_test(changes),   cmocka_unit_test(untied), cmocka_unit_test(masters),
    };
    return cmocka_run_group_tests(tests, setup, temporary_teardown);
}
