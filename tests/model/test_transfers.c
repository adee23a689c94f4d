/*
 * tests/model/test_transfers.c - what goes between host and device in a pass: a batch goes there in one upload, what is
 * found comes back in one download, and nothing else moves.
 */
#include "support/cmocka.h"

#include "support/fixture.h"
#include "support/guarded_backend.h"

struct setting {
    struct backend *backend;
    struct model *model;
    struct pass *pass;
    struct batch batch;
    struct guarded_transfers before;
};

static void open_setting(struct setting *setting, int32_t cache_rows)
{
    struct err err;
    must(guarded_backend_create(&setting->backend, cpu_backend(DTYPE_F32, 1), &err));
    setting->model = fixture_model("tiny-llama", setting->backend, cache_rows == 0);
    json_t *json = json_read_file(fixture_path("tiny-llama", "expected.json"), 1 << 24, &err);
    assert_non_null(json);
    fixture_batch(&setting->batch, json_object_get(json, "sequences"));
    json_decref(json);
    const struct pass_limits limits = {.tokens = setting->batch.tokens,
                                       .segments = setting->batch.segment_count,
                                       .predictions = setting->batch.prediction_count,
                                       .training = cache_rows == 0,
                                       .cache_rows = cache_rows};
    must(pass_create(&setting->pass, setting->model, &limits, &err));
    must(setting->backend->synchronize(setting->backend, &err));
    setting->before = guarded_backend_transfers(setting->backend);
}

static void close_setting(struct setting *setting)
{
    pass_free(setting->pass);
    batch_free(&setting->batch);
    model_free(setting->model);
    setting->backend->free(setting->backend);
}

/* Since the last call, or open_setting(). */
static void expect(struct setting *setting, int64_t uploads, int64_t downloads, int64_t waits)
{
    const struct guarded_transfers now = guarded_backend_transfers(setting->backend);
    assert_int_equal(now.uploads - setting->before.uploads, uploads);
    assert_int_equal(now.downloads - setting->before.downloads, downloads);
    assert_int_equal(now.waits - setting->before.waits, waits);
    setting->before = now;
}

#define PREDICTIONS_MAX 256
struct numbers {
    float logprob[PREDICTIONS_MAX], entropy[PREDICTIONS_MAX], dlogprob[PREDICTIONS_MAX], dentropy[PREDICTIONS_MAX];
    int32_t argmax[PREDICTIONS_MAX];
};

/* A loss that is known before: it goes with the batch. */
static void one_step(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    struct numbers numbers = {0};
    open_setting(&setting, 0);
    struct predictions out = {.logprob = numbers.logprob, .argmax = numbers.argmax};
    assert_in_range(setting.batch.prediction_count, 1, PREDICTIONS_MAX);
    pass_load_loss(setting.pass, &setting.batch, numbers.dlogprob);
    pass_forward(setting.pass, NULL, true);
    expect(&setting, 1, 0, 0);
    must(pass_predict_and_backward(setting.pass, NULL, NULL, &out, &err));
    expect(&setting, 0, 1, 1);
    close_setting(&setting);
}

/* A loss that depends on the outcome: its gradient goes there after. */
static void two_steps(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    struct numbers numbers = {0};
    open_setting(&setting, 0);
    struct predictions out = {.logprob = numbers.logprob, .entropy = numbers.entropy, .argmax = numbers.argmax};
    pass_load(setting.pass, &setting.batch);
    pass_forward(setting.pass, NULL, true);
    must(pass_predict(setting.pass, NULL, 1, &out, &err));
    expect(&setting, 1, 1, 1);
    pass_backward(setting.pass, NULL, 1, numbers.dlogprob, numbers.dentropy);
    expect(&setting, 1, 0, 0);
    must(setting.backend->synchronize(setting.backend, &err));
    close_setting(&setting);
}

static void generation(void **state)
{
    (void)state;
    struct err err;
    struct setting setting;
    open_setting(&setting, 8);
    const int32_t ids[] = {1, 2, 3}, positions[] = {0, 1, 2}, slots[] = {5, 6, 7};
    const struct attention_span spans[] = {{.query = 0, .queries = 3, .key = 5, .keys = 3}};
    const struct cached_rows rows = {ids, positions, slots, spans, 3, 1};
    float *logits = calloc((size_t)setting.model->config.vocabulary, sizeof *logits);
    assert_non_null(logits);
    must(pass_extend(setting.pass, NULL, &rows, logits, &err));
    expect(&setting, 1, 1, 1);
    must(pass_extend(setting.pass, NULL, &rows, NULL, &err));
    expect(&setting, 1, 0, 0);
    free(logits);
    close_setting(&setting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_step),
        cmocka_unit_test(two_steps),
        cmocka_unit_test(generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
