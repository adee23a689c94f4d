/*
 * tests/model/test_parity.c - the transformer against PyTorch and transformers, from tests/fixtures
 * (tests/reference/tiny_models.py): hidden states, logits, log-probabilities, loss, and the gradient of every weight.
 */
#include "support/cmocka.h"

#include "base/mem.h"
#include "model/internal.h"
#include "support/fixture.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {"tiny-llama", "tiny-llama3", "tiny-sharded"};

struct setting {
    struct backend *backend;
    struct model *model;
    struct pass *pass;
    struct batch batch;
    struct safetensors *expected;
    json_t *json;
};

static void open_setting(struct setting *setting, const char *name, bool checkpointing)
{
    struct err err;
    setting->backend = fixture_backend();
    setting->model = fixture_model(name, setting->backend, true);
    setting->json = json_read_file(fixture_path(name, "expected.json"), 1 << 24, &err);
    assert_non_null(setting->json);
    must(safetensors_open(&setting->expected, fixture_path(name, "expected.safetensors"), &err));
    fixture_batch(&setting->batch, json_object_get(setting->json, "sequences"));
    struct pass_limits limits = {.tokens = setting->batch.tokens,
                                 .segments = setting->batch.segment_count,
                                 .predictions = setting->batch.tokens,
                                 .training = true,
                                 .checkpointing = checkpointing};
    must(pass_create(&setting->pass, setting->model, &limits, &err));
    pass_load(setting->pass, &setting->batch);
}

static void close_setting(struct setting *setting)
{
    pass_free(setting->pass);
    batch_free(&setting->batch);
    safetensors_close(setting->expected);
    json_decref(setting->json);
    model_free(setting->model);
    setting->backend->free(setting->backend);
}

/* Values of a tensor of the fixture as f32; free with mem_free(). */
static float *expected_values(const struct setting *setting, const char *name, int64_t *count)
{
    struct err err;
    const struct safetensor *tensor = safetensors_find(setting->expected, name);
    if (!tensor) {
        fail_msg("the fixture has no tensor '%s'", name);
    }
    float *values = mem_alloc((size_t)tensor->count + 1, sizeof *values, &err);
    assert_non_null(values);
    safetensor_widen(values, tensor->data, tensor->dtype, tensor->count);
    *count = tensor->count;
    return values;
}

/* logits = hidden W^T on the host, in double. */
static float *logits_of(const float *hidden, int32_t rows, const struct model *model)
{
    struct err err;
    const struct safetensor *head =
        safetensors_find(model->files, model->config.tied ? "model.embed_tokens.weight" : "lm_head.weight");
    int32_t vocabulary = model->config.vocabulary, width = model->config.hidden;
    float *weights = mem_alloc((size_t)head->count, sizeof *weights, &err);
    float *logits = mem_alloc((size_t)rows * (size_t)vocabulary, sizeof *logits, &err);
    assert_non_null(weights);
    assert_non_null(logits);
    safetensor_widen(weights, head->data, head->dtype, head->count);
    for (int32_t t = 0; t < rows; t++) {
        for (int32_t v = 0; v < vocabulary; v++) {
            double sum = 0;
            for (int32_t i = 0; i < width; i++) {
                sum += (double)hidden[t * width + i] * (double)weights[v * width + i];
            }
            logits[t * vocabulary + v] = (float)sum;
        }
    }
    mem_free(weights);
    return logits;
}

/* The last hidden states of all tokens; free with mem_free(). */
static float *all_hidden(struct setting *setting)
{
    struct err err;
    struct batch batch = setting->batch;
    batch.prediction_count = batch.tokens;
    batch.predictions = mem_alloc((size_t)batch.tokens, sizeof *batch.predictions, &err);
    assert_non_null(batch.predictions);
    for (int32_t t = 0; t < batch.tokens; t++) {
        batch.predictions[t].row = t;
    }
    pass_load(setting->pass, &batch);
    pass_forward(setting->pass, NULL, false);
    mem_free(batch.predictions);
    return fetch(setting->backend, setting->pass->hidden, (int64_t)batch.tokens * setting->model->config.hidden);
}

static void logits_and_log_probabilities(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        struct err err;
        struct setting setting;
        open_setting(&setting, names[n], false);
        float *hidden = all_hidden(&setting);
        for (int32_t s = 0; s < setting.batch.segment_count; s++) {
            const struct segment *segment = &setting.batch.segments[s];
            char name[32];
            int64_t count;
            snprintf(name, sizeof name, "logits.%d", s);
            float *want = expected_values(&setting, name, &count);
            float *got = logits_of(hidden + (int64_t)segment->start * setting.model->config.hidden, segment->length,
                                   setting.model);
            assert_int_equal(count, (int64_t)segment->length * setting.model->config.vocabulary);
            double difference = largest_difference(got, want, count);
            if (!(difference < 1e-4)) {
                fail_msg("%s: %s differ by %g", names[n], name, difference);
            }
            mem_free(want);
            mem_free(got);
        }
        float *logprob = mem_alloc((size_t)setting.batch.prediction_count, sizeof *logprob, &err);
        struct predictions out = {.logprob = logprob};
        pass_load(setting.pass, &setting.batch);
        pass_forward(setting.pass, NULL, false);
        must(pass_predict(setting.pass, NULL, 1.0f, &out, &err));
        double sum = 0;
        for (int32_t i = 0; i < setting.batch.prediction_count; i++) {
            sum -= (double)logprob[i];
        }
        assert_int_equal(setting.batch.prediction_count, json_integer_value(json_object_get(setting.json, "tokens")));
        assert_true(fabs(sum - json_real_value(json_object_get(setting.json, "sum_nll"))) < 1e-3);
        mem_free(logprob);
        mem_free(hidden);
        close_setting(&setting);
    }
}

/* Gradients of the token-mean loss for every weight, in both ways of going back, with and without checkpointing. */
static void run_backward(struct setting *setting, bool both)
{
    struct err err;
    size_t count = (size_t)setting->batch.prediction_count;
    float *dlogprob = mem_alloc(count, sizeof *dlogprob, &err), *logprob = mem_alloc(count, sizeof *logprob, &err);
    struct predictions out = {.logprob = logprob};
    for (size_t i = 0; i < count; i++) {
        dlogprob[i] = -1.0f / (float)count;
    }
    pass_forward(setting->pass, NULL, true);
    if (both) {
        must(pass_predict_and_backward(setting->pass, NULL, dlogprob, &out, &err));
    } else {
        must(pass_predict(setting->pass, NULL, 1.0f, &out, &err));
        pass_backward(setting->pass, NULL, 1.0f, dlogprob, NULL);
    }
    must(setting->backend->synchronize(setting->backend, &err));
    mem_free(dlogprob);
    mem_free(logprob);
}

static void gradients(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        for (int both = 0; both < 2; both++) {
            struct setting setting;
            open_setting(&setting, names[n], false);
            run_backward(&setting, both);
            const struct parameter_list *list = &setting.model->parameters;
            assert_true(list->count > 10);
            for (int32_t i = 0; i < list->count; i++) {
                char name[160];
                int64_t count;
                snprintf(name, sizeof name, "grad.%s", list->items[i].name);
                float *want = expected_values(&setting, name, &count),
                      *got = fetch(setting.backend, list->items[i].gradient, count);
                assert_int_equal(count, parameter_size(&list->items[i]));
                double difference = relative_difference(got, want, count, 1e-6);
                if (!(difference < 1e-4)) {
                    fail_msg("%s: %s differs by %g of its norm", names[n], name, difference);
                }
                mem_free(want);
                mem_free(got);
            }
            close_setting(&setting);
        }
    }
}

static void checkpointing_is_bit_identical(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        struct setting plain, checkpointed;
        open_setting(&plain, names[n], false);
        open_setting(&checkpointed, names[n], true);
        assert_true(checkpointed.pass->regions.plan.bytes[MEMORY_ACTIVATIONS] <
                    plain.pass->regions.plan.bytes[MEMORY_ACTIVATIONS]);
        run_backward(&plain, true);
        run_backward(&checkpointed, true);
        for (int32_t i = 0; i < plain.model->parameters.count; i++) {
            int64_t count = parameter_size(&plain.model->parameters.items[i]);
            float *a = fetch(plain.backend, plain.model->parameters.items[i].gradient, count);
            float *b = fetch(checkpointed.backend, checkpointed.model->parameters.items[i].gradient, count);
            assert_memory_equal(a, b, (size_t)count * sizeof *a);
            mem_free(a);
            mem_free(b);
        }
        close_setting(&plain);
        close_setting(&checkpointed);
    }
}

/* A prompt shared by three answers, computed once, equals three whole sequences: log-probabilities and gradients. */
static void shared_prompts(void **state)
{
    (void)state;
    struct err err;
    static const int32_t prompt[] = {5, 17, 60, 3, 44},
                         answers[3][4] = {{7, 8, 9, 10}, {80, 2, 11, 12}, {61, 61, 5, 90}};
    static const uint8_t trained[9] = {0, 0, 0, 0, 0, 1, 1, 1, 1};
    float *gradient[2] = {NULL, NULL};
    float logprob[2][12];
    int64_t count = 0;
    for (int shared = 0; shared < 2; shared++) {
        struct backend *backend = fixture_backend();
        struct model *model = fixture_model("tiny-llama3", backend, true);
        struct batch batch;
        struct pass *pass;
        must(batch_create(&batch, 64, 8, 64, &err));
        int32_t parent = shared ? batch_append(&batch, prompt, NULL, 5, -1, 0) : -1;
        for (int k = 0; k < 3; k++) {
            int32_t whole[9];
            memcpy(whole, prompt, sizeof prompt);
            memcpy(whole + 5, answers[k], sizeof answers[k]);
            if (shared) {
                batch_append(&batch, answers[k], trained + 5, 4, parent, 1);
            } else {
                batch_append(&batch, whole, trained, 9, -1, 1);
            }
        }
        struct pass_limits limits = {.tokens = 64, .segments = 8, .predictions = 64, .training = true};
        must(pass_create(&pass, model, &limits, &err));
        pass_load(pass, &batch);
        assert_int_equal(batch.prediction_count, 12);
        float dlogprob[12];
        for (int i = 0; i < 12; i++) {
            dlogprob[i] = 0.1f * (float)(i - 5);
        }
        struct predictions out = {.logprob = logprob[shared]};
        pass_forward(pass, NULL, true);
        must(pass_predict_and_backward(pass, NULL, dlogprob, &out, &err));
        count = parameter_size(find_parameter(&model->parameters, "model.layers.0.self_attn.k_proj.weight"));
        gradient[shared] = fetch(
            backend, find_parameter(&model->parameters, "model.layers.0.self_attn.k_proj.weight")->gradient, count);
        pass_free(pass);
        batch_free(&batch);
        model_free(model);
        backend->free(backend);
    }
    assert_true(largest_difference(logprob[0], logprob[1], 12) < 1e-5);
    assert_true(relative_difference(gradient[0], gradient[1], count, 1e-6) < 1e-5);
    mem_free(gradient[0]);
    mem_free(gradient[1]);
}

/* Tokens one by one and in chunks against the cache give the logits of the whole sequence at once. */
static void cache_equals_whole(void **state)
{
    (void)state;
    struct err err;
    struct backend *backend = fixture_backend();
    struct model *model = fixture_model("tiny-llama3", backend, false);
    struct pass *pass;
    struct pass_limits limits = {.tokens = 16, .segments = 2, .predictions = 0, .cache_rows = 40};
    must(pass_create(&pass, model, &limits, &err));
    int32_t ids[20], positions[20], slots[20];
    for (int32_t i = 0; i < 20; i++) {
        ids[i] = (i * 37 + 11) % 96, positions[i] = i, slots[i] = i + 3;
    }
    size_t vocabulary = (size_t)model->config.vocabulary;
    float *logits[2] = {mem_alloc(vocabulary, sizeof(float), &err), mem_alloc(vocabulary, sizeof(float), &err)};
    static const int32_t chunks[2][5] = {{16, 4}, {7, 1, 1, 10, 1}};
    for (int way = 0; way < 2; way++) {
        int32_t at = 0;
        for (int c = 0; c < 5 && chunks[way][c]; c++) {
            int32_t length = chunks[way][c];
            struct attention_span span = {.query = 0, .queries = length, .key = 3, .keys = at + length};
            struct cached_rows rows = {.ids = ids + at,
                                       .positions = positions + at,
                                       .slots = slots + at,
                                       .spans = &span,
                                       .rows = length,
                                       .span_count = 1};
            at += length;
            must(pass_extend(pass, NULL, &rows, at == 20 ? logits[way] : NULL, &err));
        }
        assert_int_equal(at, 20);
    }
    assert_true(largest_difference(logits[0], logits[1], (int64_t)vocabulary) < 1e-5);
    assert_true(fabs((double)logits[0][0]) > 0);
    mem_free(logits[0]);
    mem_free(logits[1]);
    pass_free(pass);
    model_free(model);
    backend->free(backend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_and_log_probabilities),
        cmocka_unit_test(gradients),
        cmocka_unit_test(checkpointing_is_bit_identical),
        cmocka_unit_test(shared_prompts),
        cmocka_unit_test(cache_equals_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
