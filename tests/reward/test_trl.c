/*
 * tests/reward/test_trl.c - 20 steps on 64 pairs follow TRL's RewardTrainer, in full and with LoRA, from the same
 * model, head and adapter; and the first step's gradients are PyTorch's.
 *
 * tests/reference/reward_trl.py made tests/fixtures/reward-trl, and says what is in it.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "reward/data.h"
#include "reward/helper_reward.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <math.h>
#include <string.h>

#define STEPS      20
#define LOSS_BOUND 1e-5
#define GRADIENT_BOUND                                                                                                 \
    1e-4 /* norm of the difference over norm; largest for the whole, ten times that for one tensor                     \
          */

static const struct {
    const char *name, *lines;
} methods[] = {
    {"full", "finetuning_type: full\nlearning_rate: 1e-3\n"},
    {"lora", "adapter_name_or_path: @/adapter\nlearning_rate: 2e-3\n"},
};

static const char *lines_of(size_t method, const char *more)
{
    static char lines[1024];
    snprintf(lines, sizeof lines,
             "model_name_or_path: @/trl\ndataset: @/pairs.jsonl\nmax_length: 256\nshuffle: false\n"
             "per_device_train_batch_size: 8\nlr_scheduler_type: linear\nwarmup_ratio: 0\nweight_decay: 0\n"
             "logging_steps: 1\nnormalize_scores: false\n%s%s",
             methods[method].lines, more);
    return lines;
}

static json_t *fixture(void)
{
    struct err err;
    json_t *root = json_read_file(fixture_path("reward-trl", "expected.json"), 1 << 24, &err);
    assert_non_null(root);
    return root;
}

/* A conversation's ids: what is shared, then the answer's own. */
static void check_ids(const struct family *family, int32_t answer, const json_t *want, int64_t pair)
{
    assert_int_equal(family_length(family, answer), json_array_size(want));
    for (int32_t t = 0; t < family_length(family, answer); t++) {
        int32_t at = t < family->shared ? t : family->starts[answer] + t - family->shared;
        if (family->ids[at] != json_integer_value(json_array_get(want, (size_t)t))) {
            fail_msg("pair %lld: token %d of answer %d differs", (long long)pair, t, answer);
        }
    }
}

static void same_ids(void **state)
{
    (void)state;
    struct err err;
    struct reward_data data;
    struct recipe *recipe = reward_recipe("none", lines_of(0, ""));
    json_t *root = fixture();
    const json_t *ids = json_object_get(root, "ids");
    must(reward_data_open(&data, recipe, &err));
    assert_int_equal(data.train->count, json_array_size(ids));
    for (size_t r = 0; r < data.train->count; r++) {
        const struct family *family = &data.train->rankings[r].family;
        assert_int_equal(family->count, 2);
        for (int32_t a = 0; a < 2; a++) {
            check_ids(family, a, json_array_get(json_array_get(ids, r), (size_t)a), (int64_t)r);
        }
    }
    reward_data_close(&data);
    json_decref(root);
    recipe_free(recipe);
}

static void same_curve(void **state)
{
    (void)state;
    json_t *root = fixture();
    for (size_t m = 0; m < 2; m++) {
        const json_t *log = json_object_get(json_object_get(root, methods[m].name), "log");
        double apart = 0;
        reward_finish(methods[m].name, lines_of(m, "max_steps: 20\nsave_steps: 0\n"), NULL);
        assert_int_equal(json_array_size(log), STEPS);
        for (int step = 1; step <= STEPS; step++) {
            const struct {
                const char *name;
                double bound;
            } numbers[] = {{"loss", LOSS_BOUND}, {"grad_norm", 1e-3},  {"learning_rate", 1e-12}, {"accuracy", 1e-7},
                           {"margin", 1e-4},     {"min_reward", 1e-4}, {"mean_reward", 1e-4},    {"max_reward", 1e-4}};
            const json_t *want = json_array_get(log, (size_t)step - 1);
            for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
                double difference = run_metric(methods[m].name, step, numbers[n].name) -
                                    json_number_value(json_object_get(want, numbers[n].name));
                if (!(fabs(difference) <= numbers[n].bound)) {
                    fail_msg("%s, step %d: %s is %.3g from TRL's", methods[m].name, step, numbers[n].name, difference);
                }
                if (n == 0) {
                    apart = fmax(apart, fabs(difference));
                }
            }
        }
        print_message("%s: the loss is at most %.1e from TRL's over %d steps\n", methods[m].name, apart, STEPS);
    }
    json_decref(root);
}

static void same_gradients(void **state)
{
    (void)state;
    for (size_t m = 0; m < 2; m++) {
        struct err err;
        struct safetensors *wanted;
        char run[32], file[32];
        double square = 0, difference = 0;
        snprintf(run, sizeof run, "%s-first", methods[m].name);
        snprintf(file, sizeof file, "%s.safetensors", methods[m].name);
        reward_finish(run, lines_of(m, "max_steps: 1\nsave_steps: 1\nmax_grad_norm: 0\n"), NULL);
        must(safetensors_open(&wanted, fixture_path("reward-trl", file), &err));
        assert_true(safetensors_count(wanted) > 20);
        for (int32_t t = 0; t < safetensors_count(wanted); t++) {
            const struct safetensor *want = safetensors_at(wanted, t);
            int64_t count;
            float *got = reward_first_gradient(run, want->name, &count),
                  *values = mem_alloc((size_t)want->count, 4, &err);
            assert_int_equal(count, want->count);
            safetensor_widen(values, want->data, want->dtype, count);
            double apart = relative_difference(got, values, count, 1e-3);
            if (!(apart <= 10 * GRADIENT_BOUND)) {
                fail_msg("%s: the gradient of %s is %.2g of its norm from PyTorch's", methods[m].name, want->name,
                         apart);
            }
            for (int64_t i = 0; i < count; i++) {
                square += (double)values[i] * (double)values[i];
                difference += ((double)got[i] - (double)values[i]) * ((double)got[i] - (double)values[i]);
            }
            mem_free(got);
            mem_free(values);
        }
        safetensors_close(wanted);
        print_message("%s: all gradients are %.1e of their norm from PyTorch's\n", methods[m].name,
                      sqrt(difference / square));
        assert_true(sqrt(difference / square) <= GRADIENT_BOUND);
    }
}

/* The fixture's model with tiny-text's tokenizer, its adapter and its pairs. */
static int setup(void **state)
{
    struct err err;
    if (temporary_setup(state) != 0) {
        return -1;
    }
    log_set_quiet(true);
    must(file_make_dirs(temporary("trl"), &err));
    must(file_make_dirs(temporary("adapter"), &err));
    const struct {
        const char *from, *file, *to;
    } copies[] = {
        {"reward-trl/model", "config.json", "trl"},
        {"reward-trl/model", "model.safetensors", "trl"},
        {"tiny-text", "tokenizer.json", "trl"},
        {"tiny-text", "tokenizer_config.json", "trl"},
        {"reward-trl/adapter", "adapter_config.json", "adapter"},
        {"reward-trl/adapter", "adapter_model.safetensors", "adapter"},
        {"reward-trl", "pairs.jsonl", "."},
    };
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
        must(file_copy(fixture_path(copies[i].from, copies[i].file), temporary("%s/%s", copies[i].to, copies[i].file),
                       &err));
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_ids),
        cmocka_unit_test(same_curve),
        cmocka_unit_test(same_gradients),
    };
    return cmocka_run_group_tests(tests, setup, temporary_teardown);
}
