/*
 * tests/train/test_optimizer.c - twenty AdamW steps of full tuning and of LoRA against torch.optim.AdamW
 * (tests/reference/adamw_curves.py), and the optimizer's state through a file.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/mem.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include "train/optimizer.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct setting {
    struct backend *backend;
    struct model *model;
    struct adapter *adapter; /* NULL: full tuning */
    const struct parameter_list *parameters;
    struct optimizer *optimizer;
    struct pass *pass;
    json_t *json;
    const json_t *curve; /* "full" or "lora" of the fixture */
};

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void open_setting(struct setting *setting, const char *kind)
{
    struct err err;
    bool full = strcmp(kind, "full") == 0;
    *setting = (struct setting){.backend = fixture_backend()};
    setting->model = fixture_model("tiny-llama", setting->backend, full);
    setting->parameters = &setting->model->parameters;
    if (!full) {
        setting->adapter = fixture_adapter("tiny-lora-init", setting->model, true);
        setting->parameters = &setting->adapter->parameters;
    }
    setting->json = json_read_file(fixture_path("adamw", "curves.json"), 1 << 24, &err);
    assert_non_null(setting->json);
    setting->curve = json_object_get(setting->json, kind);
    const json_t *options = json_object_get(setting->curve, "optimizer"), *betas = json_object_get(options, "betas");
    struct optimizer_options optimizer = {json_number_value(json_array_get(betas, 0)),
                                          json_number_value(json_array_get(betas, 1)), number(options, "eps"),
                                          number(options, "weight_decay"), number(options, "max_grad_norm")};
    must(optimizer_create(&setting->optimizer, setting->backend, setting->parameters, &optimizer, &err));
    struct pass_limits limits = {
        .tokens = 256, .segments = 8, .predictions = 256, .training = true, .max_rank = full ? 0 : 4};
    must(pass_create(&setting->pass, setting->model, &limits, &err));
}

static void close_setting(struct setting *setting)
{
    pass_free(setting->pass);
    optimizer_free(setting->optimizer);
    adapter_free(setting->adapter);
    model_free(setting->model);
    setting->backend->free(setting->backend);
    json_decref(setting->json);
}

/* One step on the fixture's sequences; its loss and gradient norm. */
static void take_step(struct setting *setting, size_t step, double *loss, double *grad_norm)
{
    struct err err;
    struct batch batch;
    const struct overlay *overlay = setting->adapter ? &setting->adapter->overlay : NULL;
    fixture_batch(&batch, json_array_get(json_object_get(setting->json, "steps"), step));
    size_t count = (size_t)batch.prediction_count;
    float *dlogprob = mem_alloc(count, sizeof *dlogprob, &err), *logprob = mem_alloc(count, sizeof *logprob, &err);
    for (size_t i = 0; i < count; i++) {
        dlogprob[i] = -1.0f / (float)count;
    }
    optimizer_clear_gradients(setting->optimizer);
    pass_load(setting->pass, &batch);
    pass_forward(setting->pass, overlay, true);
    struct predictions out = {.logprob = logprob};
    must(pass_predict_and_backward(setting->pass, overlay, dlogprob, &out, &err));
    *loss = 0;
    for (size_t i = 0; i < count; i++) {
        *loss -= (double)logprob[i] / (double)count;
    }
    bool applied;
    must(optimizer_step(setting->optimizer, number(json_object_get(setting->curve, "optimizer"), "lr"), grad_norm,
                        &applied, &err));
    assert_true(applied);
    mem_free(dlogprob);
    mem_free(logprob);
    batch_free(&batch);
}

/* Weights after a step against the fixture's, relative to the learning rate: an absolute bound would always hold. */
static void check_weights(const struct setting *setting, const char *file, const char *which, double tolerance)
{
    struct err err;
    struct safetensors *expected;
    must(safetensors_open(&expected, fixture_path("adamw", file), &err));
    double lr = number(json_object_get(setting->curve, "optimizer"), "lr");
    for (int32_t i = 0; i < setting->parameters->count; i++) {
        const struct parameter *parameter = &setting->parameters->items[i];
        char name[200];
        snprintf(name, sizeof name, "%s.%s", which, parameter->name);
        const struct safetensor *tensor = safetensors_find(expected, name);
        if (!tensor) {
            fail_msg("the fixture has no tensor '%s'", name);
        }
        float *got = fetch(setting->backend, parameter->master, tensor->count);
        double difference = largest_difference(got, tensor->data, tensor->count);
        if (!(difference < tolerance * lr)) {
            fail_msg("%s differs by %g learning rates", name, difference / lr);
        }
        mem_free(got);
    }
    safetensors_close(expected);
}

static void follow_curve(const char *kind, const char *file)
{
    struct setting setting;
    open_setting(&setting, kind);
    const json_t *log = json_object_get(setting.curve, "log");
    assert_int_equal(json_array_size(log), 20);
    for (size_t step = 0; step < 20; step++) {
        double loss, grad_norm;
        take_step(&setting, step, &loss, &grad_norm);
        const json_t *want = json_array_get(log, step);
        if (!(fabs(loss - number(want, "loss")) < 1e-4)) {
            fail_msg("%s step %zu: loss %.7f instead of %.7f", kind, step + 1, loss, number(want, "loss"));
        }
        if (!(fabs(grad_norm / number(want, "grad_norm") - 1) < 1e-3)) {
            fail_msg("%s step %zu: gradient norm %.7f instead of %.7f", kind, step + 1, grad_norm,
                     number(want, "grad_norm"));
        }
        if (step == 0) {
            check_weights(&setting, file, "step1", 0.02);
        }
    }
    check_weights(&setting, file, "final", 0.1);
    close_setting(&setting);
}

static void full_tuning(void **state)
{
    (void)state;
    follow_curve("full", "full.safetensors");
}

static void lora(void **state)
{
    (void)state;
    follow_curve("lora", "lora.safetensors");
}

/* Saved after three steps and loaded into a second setting: the fourth step gives the same bits. */
static void state_through_files(void **state)
{
    (void)state;
    struct err err;
    struct setting first, second;
    double loss[2], norm[2];
    open_setting(&first, "lora");
    for (size_t step = 0; step < 3; step++) {
        take_step(&first, step, &loss[0], &norm[0]);
    }
    must(optimizer_save(first.optimizer, temporary("optimizer.safetensors"), &err));
    must(adapter_save(first.adapter, temporary("."), "tiny-llama", &err));
    open_setting(&second, "lora");
    must(parameters_load(second.parameters, second.backend, temporary("adapter_model.safetensors"), &err));
    must(optimizer_load(second.optimizer, temporary("optimizer.safetensors"), &err));
    assert_int_equal(second.optimizer->steps, 3);
    take_step(&first, 3, &loss[0], &norm[0]);
    take_step(&second, 3, &loss[1], &norm[1]);
    assert_true(loss[0] == loss[1] && norm[0] == norm[1]);
    for (int32_t i = 0; i < first.parameters->count; i++) {
        int64_t count = parameter_size(&first.parameters->items[i]);
        float *a = fetch(first.backend, first.parameters->items[i].master, count),
              *b = fetch(second.backend, second.parameters->items[i].master, count);
        assert_memory_equal(a, b, (size_t)count * sizeof *a);
        mem_free(a);
        mem_free(b);
    }
    close_setting(&first);
    close_setting(&second);
}

/* A gradient that is not finite changes nothing. */
static void not_finite(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    double norm;
    bool applied = true;
    open_setting(&setting, "lora");
    const struct parameter *parameter = &setting.parameters->items[0];
    float *before = fetch(setting.backend, parameter->master, parameter_size(parameter)), nan = NAN;
    setting.backend->upload(setting.backend, parameter->gradient, &nan, sizeof nan);
    must(optimizer_step(setting.optimizer, 1e-3, &norm, &applied, &err));
    assert_false(applied);
    assert_true(isnan(norm));
    assert_int_equal(setting.optimizer->steps, 0);
    float *after = fetch(setting.backend, parameter->master, parameter_size(parameter));
    assert_memory_equal(before, after, (size_t)parameter_size(parameter) * sizeof *before);
    mem_free(before);
    mem_free(after);
    close_setting(&setting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_tuning),
        cmocka_unit_test(lora),
        cmocka_unit_test(state_through_files),
        cmocka_unit_test(not_finite),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
