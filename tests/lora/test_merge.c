/*
 * tests/lora/test_merge.c - base and adapter as one model: the weights PEFT's merge gives, the log-probabilities of
 * base and adapter, and what is refused without leaving anything behind.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/mem.h"
#include "lora/merge.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *base;
    bool untied; /* merging gives a tied base a head of its own */
} cases[] = {
    {"tiny-lora", "tiny-llama", false},           {"tiny-rslora", "tiny-llama", false},
    {"tiny-lora-pattern", "tiny-llama", false},   {"tiny-lora-head", "tiny-llama", true},
    {"tiny-lora-embed-head", "tiny-llama", true}, {"tiny-lora-llama3", "tiny-llama3", false},
};
#define CASES (sizeof cases / sizeof *cases)

struct setting {
    struct backend *backend;
    struct model *model;
    struct adapter *adapter;
};

static void open_setting(struct setting *setting, const char *adapter, const char *base)
{
    setting->backend = fixture_backend();
    setting->model = fixture_model(base, setting->backend, false);
    setting->adapter = adapter ? fixture_adapter(adapter, setting->model, false) : NULL;
}

static void close_setting(struct setting *setting)
{
    adapter_free(setting->adapter);
    model_free(setting->model);
    setting->backend->free(setting->backend);
}

/* Log-probabilities of the base's sequences, `count` of them; free with mem_free(). */
static float *log_probabilities(struct model *model, const struct overlay *overlay, const char *base, int32_t *count)
{
    struct err err;
    struct batch batch;
    struct pass *pass;
    json_t *json = json_read_file(fixture_path(base, "expected.json"), 1 << 24, &err);
    assert_non_null(json);
    fixture_batch(&batch, json_object_get(json, "sequences"));
    json_decref(json);
    struct pass_limits limits = {.tokens = batch.tokens,
                                 .segments = batch.segment_count,
                                 .predictions = batch.prediction_count,
                                 .max_rank = overlay ? overlay->max_rank : 0};
    must(pass_create(&pass, model, &limits, &err));
    *count = batch.prediction_count;
    float *logprob = mem_alloc((size_t)*count, sizeof *logprob, &err);
    assert_non_null(logprob);
    pass_load(pass, &batch);
    pass_forward(pass, overlay, false);
    must(pass_predict(pass, overlay, 1.0f, &(struct predictions){.logprob = logprob}, &err));
    pass_free(pass);
    batch_free(&batch);
    return logprob;
}

/* Every weight of the fixture's merged.<name> in the exported file, and everything else as in the base. */
static void check_weights(const struct safetensors *merged, const struct model *base, const char *name)
{
    struct err err;
    struct safetensors *expected;
    int32_t changed = 0;
    must(safetensors_open(&expected, fixture_path(name, "expected.safetensors"), &err));
    for (int32_t i = 0; i < safetensors_count(merged); i++) {
        const struct safetensor *got = safetensors_at(merged, i), *want;
        char key[160];
        snprintf(key, sizeof key, "merged.%s", got->name);
        want = safetensors_find(expected, key);
        changed += want != NULL;
        if (!want) {
            want = safetensors_find(base->files, got->name);
        }
        if (!want) {
            fail_msg("%s: the merged model has a tensor '%s' that nobody expects", name, got->name);
        }
        assert_int_equal(got->count, want->count);
        assert_int_equal(got->dtype, DTYPE_F32);
        double difference = relative_difference(got->data, want->data, got->count, 1e-6);
        if (!(difference < 1e-6)) {
            fail_msg("%s: the merged '%s' differs by %g of its norm", name, got->name, difference);
        }
    }
    for (int32_t i = 0; i < safetensors_count(expected); i++) {
        changed -= strncmp(safetensors_at(expected, i)->name, "merged.", strlen("merged.")) == 0;
    }
    assert_int_equal(changed, 0);
    safetensors_close(expected);
}

/* The fixture's merged_logits.<i> as log-probabilities of the batch's predictions. */
static void check_logits(const char *name, const char *base, const float *logprob)
{
    struct err err;
    struct safetensors *expected;
    must(safetensors_open(&expected, fixture_path(name, "expected.safetensors"), &err));
    json_t *json = json_read_file(fixture_path(base, "expected.json"), 1 << 24, &err), *sequence;
    size_t s;
    assert_non_null(json);
    json_array_foreach(json_object_get(json, "sequences"), s, sequence)
    {
        char key[48];
        snprintf(key, sizeof key, "merged_logits.%zu", s);
        const struct safetensor *logits = safetensors_find(expected, key);
        assert_non_null(logits);
        const json_t *ids = json_object_get(sequence, "ids"), *mask = json_object_get(sequence, "mask");
        for (size_t t = 1; t < json_array_size(ids); t++) {
            const float *row = (const float *)logits->data + (int64_t)(t - 1) * logits->shape[1];
            double sum = 0;
            if (!json_integer_value(json_array_get(mask, t))) {
                continue;
            }
            for (int64_t v = 0; v < logits->shape[1]; v++) {
                sum += exp((double)row[v]);
            }
            double want = (double)row[json_integer_value(json_array_get(ids, t))] - log(sum);
            if (!(fabs((double)*logprob - want) < 1e-4)) {
                fail_msg("%s: %s, token %zu: log-probability %g instead of %g", name, key, t, (double)*logprob, want);
            }
            logprob++;
        }
    }
    json_decref(json);
    safetensors_close(expected);
}

static bool config_ties(const char *folder)
{
    struct err err;
    char *path = file_join(folder, "config.json", &err);
    json_t *config = json_read_file(path, 1 << 20, &err);
    assert_non_null(config);
    const json_t *tie = json_object_get(config, "tie_word_embeddings");
    assert_true(json_is_boolean(tie));
    bool ties = json_is_true(tie);
    json_decref(config);
    mem_free(path);
    return ties;
}

static void merged_equals_unmerged(void **state)
{
    (void)state;
    for (size_t c = 0; c < CASES; c++) {
        struct err err;
        struct setting setting;
        struct model *merged;
        const char *folder = temporary("merged");
        int32_t count;
        open_setting(&setting, cases[c].name, cases[c].base);
        float *want = log_probabilities(setting.model, &setting.adapter->overlay, cases[c].base, &count);
        must(adapter_merge(setting.adapter, folder, &(struct merge_options){.dtype = DTYPE_F32}, &err));
        must(model_open(&merged, folder, &err));
        check_weights(merged->files, setting.model, cases[c].name);
        assert_int_equal(config_ties(folder), setting.model->config.tied && !cases[c].untied);
        must(model_load(merged, setting.backend, &(struct model_options){0}, &err));
        float *got = log_probabilities(merged, NULL, cases[c].base, &count);
        check_logits(cases[c].name, cases[c].base, got);
        /* Rounding grows with the numbers: these tiny models have log-probabilities down to -20 (PEFT's own merge
         * differs by 4e-5). */
        double largest = 1, difference = largest_difference(got, want, count);
        for (int32_t i = 0; i < count; i++) {
            largest = fmax(largest, fabs((double)want[i]));
        }
        if (!(difference < 1e-5 * largest)) {
            fail_msg("%s: merged and unmerged differ by %g", cases[c].name, difference);
        }
        mem_free(got);
        mem_free(want);
        model_free(merged);
        close_setting(&setting);
        remove_tree(folder);
    }
}

/* A reward adapter becomes what PEFT's merge and transformers' writing make of it. */
static void merged_scorer(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    struct safetensors *got, *want;
    open_setting(&setting, "tiny-score/adapter", "tiny-score/base");
    setting.adapter->score.offset = 0.1;
    must(adapter_merge(setting.adapter, temporary("scorer"), &(struct merge_options){.dtype = DTYPE_F32}, &err));
    must(safetensors_open_folder(&got, temporary("scorer"), &err));
    must(safetensors_open_folder(&want, fixture_path("tiny-score/merged", NULL), &err));
    assert_int_equal(safetensors_count(got), safetensors_count(want));
    for (int32_t i = 0; i < safetensors_count(want); i++) {
        const struct safetensor *theirs = safetensors_at(want, i), *ours = safetensors_find(got, theirs->name);
        if (!ours || ours->count != theirs->count || ours->rank != theirs->rank) {
            fail_msg("the merged reward model has no '%s', or another shape of it", theirs->name);
        }
        double difference = relative_difference(ours->data, theirs->data, theirs->count, 1e-6);
        if (!(difference < 1e-6)) {
            fail_msg("the merged '%s' differs by %g of its norm", theirs->name, difference);
        }
    }
    safetensors_close(got);
    safetensors_close(want);
    /* Without a tokenizer nobody knows which token is free to pad with, and the config's own ends answers. */
    json_t *config = json_read_file(temporary("scorer/config.json"), 1 << 20, &err),
           *peft = json_read_file(fixture_path("tiny-score/merged", "config.json"), 1 << 20, &err);
    assert_true(config && peft);
    static const char *const same[] = {"architectures", "id2label", "label2id", "tie_word_embeddings"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        if (!json_equal(json_object_get(config, same[i]), json_object_get(peft, same[i]))) {
            fail_msg("'%s' of config.json is not what transformers writes", same[i]);
        }
    }
    assert_true(json_is_null(json_object_get(config, "pad_token_id")));
    assert_true(json_real_value(json_object_get(config, SCORE_OFFSET_KEY)) == 0.1);
    json_decref(config);
    json_decref(peft);
    close_setting(&setting);
    remove_tree(temporary("scorer"));
}

/* A bf16 base stays bf16, each value the nearest to what the merge in f32 gives. */
static void dtypes(void **state)
{
    (void)state;
    static const char *const all[] = {"all-linear"};
    struct err err;
    struct setting setting;
    open_setting(&setting, NULL, "tiny-sharded");
    struct adapter_options options = {.rank = 2, .alpha = 4, .targets = all, .target_count = 1, .seed = 5};
    must(adapter_describe(&setting.adapter, setting.model, &options, &err));
    must(adapter_load(setting.adapter, setting.backend, true, &err));
    for (int32_t i = 0; i < setting.adapter->parameters.count; i++) { /* B must not be zero */
        const struct parameter *parameter = &setting.adapter->parameters.items[i];
        float *values = fetch(setting.backend, parameter->master, parameter_size(parameter));
        for (int64_t j = 0; j < parameter_size(parameter); j++) {
            values[j] += 0.01f * (float)(j % 7 - 3);
        }
        setting.backend->upload(setting.backend, parameter->master, values,
                                (size_t)parameter_size(parameter) * sizeof *values);
        mem_free(values);
    }
    must(adapter_merge(setting.adapter, temporary("f32"), &(struct merge_options){.dtype = DTYPE_F32}, &err));
    must(adapter_merge(setting.adapter, temporary("keep"), &(struct merge_options){.keep_dtype = true}, &err));
    must(adapter_merge(setting.adapter, temporary("f16"), &(struct merge_options){.dtype = DTYPE_F16}, &err));
    static const char *const folders[] = {"keep", "f16"}, *const names[] = {"bfloat16", "float16"};
    static const enum dtype dtypes[] = {DTYPE_BF16, DTYPE_F16};
    struct safetensors *wide;
    must(safetensors_open_folder(&wide, temporary("f32"), &err));
    for (int d = 0; d < 2; d++) {
        struct safetensors *narrow;
        must(safetensors_open_folder(&narrow, temporary("%s", folders[d]), &err));
        assert_int_equal(safetensors_count(narrow), safetensors_count(wide));
        for (int32_t i = 0; i < safetensors_count(narrow); i++) {
            const struct safetensor *a = safetensors_at(narrow, i), *b = safetensors_at(wide, i);
            assert_int_equal(a->dtype, dtypes[d]);
            for (int64_t j = 0; j < a->count; j++) {
                float want = ((const float *)b->data)[j];
                uint16_t bits = d ? f16_from_f32(want) : bf16_from_f32(want);
                assert_memory_equal((const char *)a->data + 2 * j, &bits, sizeof bits);
            }
        }
        safetensors_close(narrow);
        struct strbuf config = read_bytes(temporary("%s/config.json", folders[d]));
        assert_non_null(strstr(config.data, names[d]));
        strbuf_free(&config);
    }
    safetensors_close(wide);
    close_setting(&setting);
}

static void refusals(void **state)
{
    (void)state;
    struct err err = {{0}};
    struct setting setting;
    const char *folder = temporary("refused");
    open_setting(&setting, "tiny-lora", "tiny-llama");
    /* A folder with something in it, and a file, are not touched. */
    must(file_make_dirs(folder, &err));
    write_bytes(temporary("refused/mine"), "work", 4);
    assert_int_equal(adapter_merge(setting.adapter, folder, &(struct merge_options){.dtype = DTYPE_F32}, &err), -1);
    assert_non_null(strstr(err.text, "is not empty"));
    assert_int_equal(names_in(folder), 1);
    assert_int_equal(
        adapter_merge(setting.adapter, temporary("refused/mine"), &(struct merge_options){.dtype = DTYPE_F32}, &err),
        -1);
    assert_non_null(strstr(err.text, "is a file"));
    remove_tree(folder);
    /* One value that is not finite. */
    const struct parameter *parameter = &setting.adapter->parameters.items[3];
    float *values = fetch(setting.backend, parameter->master, parameter_size(parameter));
    values[parameter_size(parameter) - 1] = NAN;
    setting.backend->upload(setting.backend, parameter->master, values,
                            (size_t)parameter_size(parameter) * sizeof *values);
    mem_free(values);
    size_t before = names_in(temporary("."));
    assert_int_equal(adapter_merge(setting.adapter, folder, &(struct merge_options){.dtype = DTYPE_F32}, &err), -1);
    assert_non_null(strstr(err.text, "not finite"));
    assert_non_null(strstr(err.text, "k_proj"));
    assert_int_equal(names_in(temporary(".")), before);
    assert_false(file_exists(folder));
    close_setting(&setting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merged_equals_unmerged),
        cmocka_unit_test(merged_scorer),
        cmocka_unit_test(dtypes),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
