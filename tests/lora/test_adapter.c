/*
 * tests/lora/test_adapter.c - adapters against PEFT, from tests/fixtures (tests/reference/adapters.py): logits and
 * gradients of base + adapter, dropout, the written files read again, and what is refused.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/mem.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *base;
} cases[] = {
    {"tiny-lora", "tiny-llama"},      {"tiny-rslora", "tiny-llama"},          {"tiny-lora-pattern", "tiny-llama"},
    {"tiny-lora-head", "tiny-llama"}, {"tiny-lora-embed-head", "tiny-llama"}, {"tiny-lora-llama3", "tiny-llama3"},
};

struct setting {
    struct backend *backend;
    struct model *model;
    struct adapter *adapter;
    struct pass *pass;
    struct batch batch;
    struct safetensors *expected;
};

static void open_setting(struct setting *setting, const char *name, const char *base)
{
    struct err err;
    *setting = (struct setting){.backend = fixture_backend()};
    setting->model = fixture_model(base, setting->backend, false);
    setting->adapter = fixture_adapter(name, setting->model, true);
    must(safetensors_open(&setting->expected, fixture_path(name, "expected.safetensors"), &err));
    json_t *json = json_read_file(fixture_path(base, "expected.json"), 1 << 24, &err);
    assert_non_null(json);
    fixture_batch(&setting->batch, json_object_get(json, "sequences"));
    json_decref(json);
    struct pass_limits limits = {.tokens = setting->batch.tokens,
                                 .segments = setting->batch.segment_count,
                                 .predictions = setting->batch.prediction_count,
                                 .training = true,
                                 .max_rank = setting->adapter->overlay.max_rank};
    must(pass_create(&setting->pass, setting->model, &limits, &err));
    pass_load(setting->pass, &setting->batch);
}

static void close_setting(struct setting *setting)
{
    pass_free(setting->pass);
    batch_free(&setting->batch);
    safetensors_close(setting->expected);
    adapter_free(setting->adapter);
    model_free(setting->model);
    setting->backend->free(setting->backend);
}

/* Log-probabilities from the fixture's logits, in double. */
static void check_log_probabilities(const struct setting *setting, const float *logprob, const char *which,
                                    double tolerance)
{
    for (int32_t i = 0; i < setting->batch.prediction_count; i++) {
        const struct prediction *prediction = &setting->batch.predictions[i];
        char name[40];
        snprintf(name, sizeof name, "%s.%d", which, prediction->segment);
        const struct safetensor *tensor = safetensors_find(setting->expected, name);
        if (!tensor) {
            fail_msg("the fixture has no tensor '%s'", name);
        }
        int64_t vocabulary = tensor->shape[1];
        const float *logits = (const float *)tensor->data +
                              vocabulary * (prediction->row - setting->batch.segments[prediction->segment].start);
        double sum = 0;
        for (int64_t v = 0; v < vocabulary; v++) {
            sum += exp((double)logits[v]);
        }
        double want = (double)logits[prediction->target] - log(sum);
        if (!(fabs((double)logprob[i] - want) < tolerance)) {
            fail_msg("%s: token %d has log-probability %g instead of %g", name, i, (double)logprob[i], want);
        }
    }
}

static void predictions_and_gradients(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct err err;
        struct setting setting;
        open_setting(&setting, cases[c].name, cases[c].base);
        size_t count = (size_t)setting.batch.prediction_count;
        float *dlogprob = mem_alloc(count, sizeof *dlogprob, &err), *logprob = mem_alloc(count, sizeof *logprob, &err);
        for (size_t i = 0; i < count; i++) {
            dlogprob[i] = -1.0f / (float)count;
        }
        struct predictions out = {.logprob = logprob};
        pass_forward(setting.pass, &setting.adapter->overlay, true);
        must(pass_predict_and_backward(setting.pass, &setting.adapter->overlay, dlogprob, &out, &err));
        check_log_probabilities(&setting, logprob, "logits", 1e-4);
        const struct parameter_list *list = &setting.adapter->parameters;
        assert_true(list->count > 0);
        for (int32_t i = 0; i < list->count; i++) {
            char name[200];
            snprintf(name, sizeof name, "grad.%s", list->items[i].name);
            const struct safetensor *tensor = safetensors_find(setting.expected, name);
            if (!tensor) {
                fail_msg("%s: the fixture has no tensor '%s'", cases[c].name, name);
            }
            assert_int_equal(tensor->count, parameter_size(&list->items[i]));
            float *got = fetch(setting.backend, list->items[i].gradient, tensor->count);
            double difference = relative_difference(got, tensor->data, tensor->count, 1e-6);
            if (!(difference < 1e-4)) {
                fail_msg("%s: %s differs by %g of its norm", cases[c].name, name, difference);
            }
            mem_free(got);
        }
        mem_free(dlogprob);
        mem_free(logprob);
        close_setting(&setting);
    }
}

/* Log-probabilities of the batch's predictions, and the gradients of all parameters, one after the other. */
static float *run_dropping(struct setting *setting, const struct batch *batch, const float *dlogprob, float *logprob,
                           int64_t *total)
{
    struct err err;
    const struct parameter_list *list = &setting->adapter->parameters;
    struct backend *backend = setting->backend;
    struct predictions out = {.logprob = logprob};
    *total = 0;
    for (int32_t i = 0; i < list->count; i++) {
        int64_t count = parameter_size(&list->items[i]);
        backend->fill(backend, &(struct fill_args){.x = list->items[i].gradient, .count = count});
        *total += count;
    }
    pass_load(setting->pass, batch);
    pass_forward(setting->pass, &setting->adapter->overlay, true);
    must(pass_predict_and_backward(setting->pass, &setting->adapter->overlay, dlogprob, &out, &err));
    float *all = mem_alloc((size_t)*total, sizeof *all, &err), *next = all;
    assert_non_null(all);
    for (int32_t i = 0; i < list->count; i++) {
        size_t size = (size_t)parameter_size(&list->items[i]) * sizeof *all;
        must(backend_download(backend, next, list->items[i].gradient, size, &err));
        next += parameter_size(&list->items[i]);
    }
    return all;
}

/* Which rows predict decides what the last layer computes. It does not decide what is dropped there. */
static void dropout_where_few_rows_predict(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    open_setting(&setting, "tiny-lora", "tiny-llama");
    setting.adapter->overlay.dropout = 0.3f;
    setting.adapter->overlay.seed = 5;
    struct batch few = setting.batch;
    int32_t count = setting.batch.prediction_count;
    few.predictions = mem_alloc((size_t)count, sizeof *few.predictions, &err);
    assert_non_null(few.predictions);
    few.prediction_count = 0;
    float dlogprob[256] = {0}, few_dlogprob[256], logprob[256], few_logprob[256];
    assert_in_range(count, 6, 256);
    for (int32_t i = 0; i < count; i += 3) {
        few_dlogprob[few.prediction_count] = dlogprob[i] = 0.1f * (float)(i - 4);
        few.predictions[few.prediction_count++] = setting.batch.predictions[i];
    }
    int64_t size;
    float *gradients = run_dropping(&setting, &setting.batch, dlogprob, logprob, &size);
    float *few_gradients = run_dropping(&setting, &few, few_dlogprob, few_logprob, &size);
    for (int32_t i = 0; i < few.prediction_count; i++) {
        assert_true(few_logprob[i] == logprob[3 * i]);
    }
    assert_true(relative_difference(few_gradients, gradients, size, 1e-6) < 1e-6);
    setting.adapter->overlay.dropout = 0;
    float *without = run_dropping(&setting, &few, few_dlogprob, few_logprob, &size);
    assert_true(relative_difference(without, gradients, size, 1e-6) > 1e-2);
    mem_free(gradients);
    mem_free(few_gradients);
    mem_free(without);
    mem_free(few.predictions);
    close_setting(&setting);
}

/* An empty folder of this name. */
static const char *fresh_folder(const char *name)
{
    struct err err;
    remove_tree(temporary("%s", name));
    must(file_make_dirs(temporary("%s", name), &err));
    return temporary("%s", name);
}

/* Written and read again: the same names, ranks, scales and bits. */
static void round_trip(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct err err;
        const char *folder = fresh_folder("again");
        struct backend *backend = fixture_backend();
        struct model *model = fixture_model(cases[c].base, backend, false);
        struct adapter *first = fixture_adapter(cases[c].name, model, false), *second;
        must(adapter_save(first, folder, cases[c].base, &err));
        must(adapter_open(&second, model, folder, &err));
        must(adapter_load(second, backend, false, &err));
        assert_int_equal(first->parameters.count, second->parameters.count);
        assert_int_equal(first->target_count, second->target_count);
        for (int32_t i = 0; i < first->target_count; i++) {
            assert_true(adapter_scale(first, &first->targets[i]) == adapter_scale(second, &second->targets[i]));
        }
        for (int32_t i = 0; i < first->parameters.count; i++) {
            int64_t count = parameter_size(&first->parameters.items[i]);
            assert_string_equal(first->parameters.items[i].name, second->parameters.items[i].name);
            float *a = fetch(backend, first->parameters.items[i].master, count),
                  *b = fetch(backend, second->parameters.items[i].master, count);
            assert_memory_equal(a, b, (size_t)count * sizeof *a);
            mem_free(a);
            mem_free(b);
        }
        adapter_free(first);
        adapter_free(second);
        model_free(model);
        backend->free(backend);
    }
}

/* A fresh adapter leaves the model as it is, draws the same A for the same seed, and another for another. */
static void fresh_adapters(void **state)
{
    (void)state;
    struct err err;
    struct backend *backend = fixture_backend();
    struct model *model = fixture_model("tiny-llama", backend, false);
    static const char *const all[] = {"all-linear"};
    struct adapter_options options = {.rank = 4, .alpha = 8, .targets = all, .target_count = 1, .seed = 3};
    float *drawn[3] = {NULL};
    int64_t count = 0;
    for (int i = 0; i < 3; i++) {
        struct adapter *adapter;
        options.seed = i == 2 ? 4 : 3;
        must(adapter_describe(&adapter, model, &options, &err));
        must(adapter_load(adapter, backend, true, &err));
        assert_int_equal(adapter->target_count, 2 * 7);
        const struct parameter *a =
            find_parameter(&adapter->parameters, "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight");
        const struct parameter *b =
            find_parameter(&adapter->parameters, "base_model.model.model.layers.0.mlp.down_proj.lora_B.weight");
        count = parameter_size(a);
        drawn[i] = fetch(backend, a->master, count);
        double bound = 1 / sqrt((double)a->columns), most = 0;
        for (int64_t j = 0; j < count; j++) {
            most = fmax(most, fabs((double)drawn[i][j]));
        }
        assert_true(most <= bound && most > 0.9 * bound);
        float *zeros = fetch(backend, b->master, parameter_size(b));
        for (int64_t j = 0; j < parameter_size(b); j++) {
            assert_true(zeros[j] == 0);
        }
        mem_free(zeros);
        adapter_free(adapter);
    }
    assert_memory_equal(drawn[0], drawn[1], (size_t)count * sizeof(float));
    assert_memory_not_equal(drawn[0], drawn[2], (size_t)count * sizeof(float));
    for (int i = 0; i < 3; i++) {
        mem_free(drawn[i]);
    }
    model_free(model);
    backend->free(backend);
}

static int fill_with_ones(void *context, float *out, int64_t first, int64_t count, struct err *err)
{
    (void)context;
    (void)first;
    (void)err;
    for (int64_t i = 0; i < count; i++) {
        out[i] = 1;
    }
    return 0;
}

/* A folder with the config of `from` and its tensors, but a score head of `rows` rows and this metadata. */
static void write_with_score(const char *folder, const char *from, int64_t rows, const char *const *metadata)
{
    struct err err;
    struct safetensors *files;
    struct safetensor_spec specs[64];
    must(safetensors_open(&files, fixture_path(from, "adapter_model.safetensors"), &err));
    int32_t count = safetensors_count(files);
    int64_t ones = 0;
    assert_true(count < 64);
    for (int32_t i = 0; i < count; i++) {
        const struct safetensor *tensor = safetensors_at(files, i);
        specs[i] = copied_tensor(tensor);
        if (strstr(tensor->name, "score.weight")) {
            ones = rows * tensor->shape[1];
            specs[i].shape[0] = rows;
            specs[i].read = fill_with_ones;
            specs[i].context = &ones;
        }
    }
    assert_true(ones > 0);
    char *path = file_join(folder, "adapter_model.safetensors", &err),
         *config = file_join(folder, "adapter_config.json", &err);
    must(safetensors_write(path, specs, count, metadata, &err));
    must(file_copy(fixture_path(from, "adapter_config.json"), config, &err));
    mem_free(path);
    mem_free(config);
    safetensors_close(files);
}

/* A score head of PEFT's goes through our files with its values, its offset and its task. */
static void score_heads(void **state)
{
    (void)state;
    struct err err = {{0}};
    const char *folder = fresh_folder("scored");
    struct backend *backend = fixture_backend();
    struct model *model = fixture_model("tiny-score/base", backend, false);
    struct adapter *first = fixture_adapter("tiny-score/adapter", model, true), *second;
    struct safetensors *files;
    must(safetensors_open(&files, fixture_path("tiny-score/adapter", "adapter_model.safetensors"), &err));
    const struct safetensor *score = safetensors_find(files, "base_model.model.score.weight");
    float *values = fetch(backend, first->score.weight, model->config.hidden);
    assert_memory_equal(values, score->data, (size_t)score->count * sizeof *values);
    assert_true(first->save_score && first->score.offset == 0 && first->score.gradient);
    assert_int_equal(first->parameters.count, 2 * first->target_count + 1);
    assert_int_equal(adapter_parameter_count(first), 2 * 4 * (2 * (16 + 16) + 2 * (16 + 8) + 3 * (16 + 24)) + 16);

    first->score.offset = -1.0 / 3;
    must(adapter_save(first, folder, "base", &err));
    char *path = file_join(folder, "adapter_config.json", &err);
    json_t *config = json_read_file(path, 1 << 20, &err);
    assert_non_null(config);
    assert_string_equal(json_string_value(json_object_get(config, "task_type")), "SEQ_CLS");
    const json_t *saved = json_object_get(config, "modules_to_save");
    assert_int_equal(json_array_size(saved), 1);
    assert_string_equal(json_string_value(json_array_get(saved, 0)), "score");
    json_decref(config);
    mem_free(path);
    must(adapter_open(&second, model, folder, &err));
    must(adapter_load(second, backend, false, &err));
    assert_true(second->score.offset == -1.0 / 3);
    assert_null(second->score.gradient);
    float *again = fetch(backend, second->score.weight, model->config.hidden);
    assert_memory_equal(values, again, (size_t)score->count * sizeof *values);
    adapter_free(second);

    /* Two labels are no reward model; an offset is a number. */
    write_with_score(folder, "tiny-score/adapter", 2, (const char *const[]){NULL});
    assert_int_equal(adapter_open(&second, model, folder, &err), -1);
    assert_non_null(strstr(err.text, "one label"));
    static const char *const offsets[] = {"nan", "0.5x", ""};
    for (size_t i = 0; i < 3; i++) {
        write_with_score(folder, "tiny-score/adapter", 1, (const char *const[]){SCORE_OFFSET_KEY, offsets[i], NULL});
        assert_int_equal(adapter_open(&second, model, folder, &err), -1);
        assert_non_null(strstr(err.text, SCORE_OFFSET_KEY));
    }
    mem_free(values);
    mem_free(again);
    safetensors_close(files);
    adapter_free(first);
    model_free(model);
    backend->free(backend);
}

/* A fresh adapter with a head: drawn by the seed, or what the base's files hold, with its offset. */
static void fresh_score_heads(void **state)
{
    (void)state;
    struct err err;
    struct backend *backend = fixture_backend();
    struct model *plain = fixture_model("tiny-llama", backend, false), *scorer;
    must(model_open(&scorer, fixture_path("tiny-score/merged", NULL), &err));
    must(model_load(scorer, backend, &(struct model_options){.scorer = true}, &err));
    scorer->score_offset = 2.5;
    static const char *const all[] = {"all-linear"};
    struct adapter_options options = {
        .rank = 4, .alpha = 8, .targets = all, .target_count = 1, .score = true, .seed = 3};
    struct adapter *adapter;
    float *drawn[2];
    for (int i = 0; i < 2; i++) {
        must(adapter_describe(&adapter, plain, &options, &err));
        must(adapter_load(adapter, backend, true, &err));
        drawn[i] = fetch(backend, adapter->score.weight, plain->config.hidden);
        assert_true(adapter->score.offset == 0);
        adapter_free(adapter);
        options.seed++;
    }
    size_t size = (size_t)plain->config.hidden * sizeof(float);
    double sum = 0;
    for (int32_t i = 0; i < plain->config.hidden; i++) {
        sum += (double)drawn[0][i] * (double)drawn[0][i];
    }
    assert_true(sum > 0.4 && sum < 2); /* 32 numbers of variance 1/33 */
    assert_memory_not_equal(drawn[0], drawn[1], size);

    must(adapter_describe(&adapter, scorer, &options, &err));
    must(adapter_load(adapter, backend, true, &err));
    float *head = fetch(backend, adapter->score.weight, scorer->config.hidden),
          *own = fetch(backend, scorer->score.weight, scorer->config.hidden);
    assert_memory_equal(head, own, (size_t)scorer->config.hidden * sizeof(float));
    assert_true(adapter->score.offset == 2.5);
    adapter_free(adapter);
    mem_free(head);
    mem_free(own);
    mem_free(drawn[0]);
    mem_free(drawn[1]);
    model_free(plain);
    model_free(scorer);
    backend->free(backend);
}

static void expect_refusal(struct model *model, const struct adapter_options *options, const char *words)
{
    struct err err = {{0}};
    struct adapter *adapter;
    assert_int_equal(adapter_describe(&adapter, model, options, &err), -1);
    if (!strstr(err.text, words)) {
        fail_msg("'%s' does not speak of '%s'", err.text, words);
    }
}

static void refusals(void **state)
{
    (void)state;
    struct err err;
    struct backend *backend = fixture_backend();
    struct model *model = fixture_model("tiny-llama", backend, false),
                 *other = fixture_model("tiny-sharded", backend, false);
    static const char *const wrong[] = {"q_porj"}, *const head[] = {"lm_head"}, *const all[] = {"all-linear"},
                             *const norm[] = {"norm"};
    expect_refusal(model, &(struct adapter_options){.rank = 4, .alpha = 8, .targets = wrong, .target_count = 1},
                   "did you mean 'q_proj'");
    expect_refusal(model, &(struct adapter_options){.rank = 4, .alpha = 8, .targets = head, .target_count = 1},
                   "lora_modules_to_save");
    expect_refusal(model, &(struct adapter_options){.rank = 33, .alpha = 8, .targets = all, .target_count = 1},
                   "rank 33");
    expect_refusal(
        model,
        &(struct adapter_options){
            .rank = 4, .alpha = 8, .targets = all, .target_count = 1, .modules_to_save = norm, .module_count = 1},
        "embed_tokens and lm_head");
    expect_refusal(model, &(struct adapter_options){.rank = 4, .alpha = 8}, "empty");
    /* An adapter of ours on another base of the same shapes is told by its fingerprint; PEFT's by shapes only. */
    struct adapter *adapter = fixture_adapter("tiny-lora", model, false), *opened;
    const char *folder = fresh_folder("other");
    must(adapter_save(adapter, folder, "tiny-llama", &err));
    assert_int_equal(adapter_open(&opened, other, folder, &err), -1);
    assert_non_null(strstr(err.text, "another base model"));
    char *metadata_path = file_join(folder, "adapter_model.safetensors", &err);
    struct strbuf bytes = {0};
    must(file_read(&bytes, metadata_path, 1 << 24, &err));
    char *place = strstr(bytes.data + 8, adapter->base);
    assert_non_null(place);
    place[0] = place[0] == '0' ? '1' : '0';
    must(file_write_whole(metadata_path, bytes.data, bytes.length, &err));
    assert_int_equal(adapter_open(&opened, model, folder, &err), -1);
    assert_non_null(strstr(err.text, "other weights"));
    strbuf_free(&bytes);
    mem_free(metadata_path);
    adapter_free(adapter);
    model_free(model);
    model_free(other);
    backend->free(backend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predictions_and_gradients),
        cmocka_unit_test(dropout_where_few_rows_predict),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(fresh_adapters),
        cmocka_unit_test(score_heads),
        cmocka_unit_test(fresh_score_heads),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
