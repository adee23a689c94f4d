/*
 * tests/ppo/test_options.c - keys of the recipe seen from the outside: when updates are left out or ended, what the
 * critic does before the policy moves, text beside the rewards, prices and penalties, and samples.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/json.h"
#include "ppo/helper_ppo.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LINES                                                                                                          \
    "response_length: 10\nper_device_train_batch_size: 8\nmax_steps: 4\nlearning_rate: 3e-3\ntemperature: 1\n"         \
    "lora_r: 4\nsave_steps: 1\nsave_total_limit: 0\n"
#define ADAPTER "adapter_model.safetensors"

static void finish(const char *lines)
{
    char all[1024];
    snprintf(all, sizeof all, "%s%s", LINES, lines);
    remove_tree(temporary("run"));
    ppo_finish("run", all, NULL);
}

static double at(int step, const char *key)
{
    return run_metric("run", step, key);
}

/* Whether a record of that step has the key. */
static bool has(int step, const char *key)
{
    struct strbuf metrics = run_metrics("run");
    char begin[32], *record;
    snprintf(begin, sizeof begin, "{\"step\": %d,", step);
    record = strstr(metrics.data, begin);
    assert_non_null(record);
    *strchr(record, '\n') = 0;
    bool found = strstr(record, key) != NULL;
    strbuf_free(&metrics);
    return found;
}

static bool same_at(int step, int other, const char *file)
{
    return same_bytes(temporary("run/checkpoint-%d/%s", step, file), temporary("run/checkpoint-%d/%s", other, file));
}

static void the_critic_warms_up(void **state)
{
    (void)state;
    finish("critic_warmup_steps: 2\n");
    assert_true(same_at(1, 2, ADAPTER));
    assert_false(same_at(2, 3, ADAPTER));
    assert_false(same_at(1, 2, "critic/" ADAPTER));
    assert_false(has(2, "loss/policy_avg"));
    assert_true(has(2, "loss/value_avg"));
    assert_true(has(3, "loss/policy_avg"));
    assert_true(at(3, "objective/kl") == 0);
    assert_true(at(4, "objective/kl") != 0);
}

static void updates_end_at_target_kl(void **state)
{
    (void)state;
    finish("target_kl: 1e-12\n");
    for (int step = 1; step <= 4; step++) {
        assert_true(at(step, "policy/updates") == 1); /* the first moves the policy, the second would not be made */
    }
    finish("target_kl: 100\n");
    assert_true(at(1, "policy/updates") == 4);
}

static void mini_batches_of_a_high_ratio_are_skipped(void **state)
{
    (void)state;
    finish("ratio_threshold: 1e-3\n");
    assert_true(at(4, "policy/updates") == 0 && at(4, "objective/kl") == 0);
    assert_true(same_at(1, 4, ADAPTER) && same_at(1, 4, "critic/" ADAPTER));
    finish("ratio_threshold: 0\n");
    assert_true(at(4, "policy/updates") == 4);
}

static void text_beside_rewards(void **state)
{
    (void)state;
    struct strbuf texts = {0};
    for (int i = 0; i < 20; i++) {
        strbuf_puts(&texts, "{\"text\": \"the whale lives in the sea and the sun turns\"}\n");
    }
    write_bytes(temporary("texts.jsonl"), texts.data, texts.length);
    strbuf_free(&texts);
    char lines[512];
    snprintf(lines, sizeof lines, "ptx_coef: 50\nptx_dataset: %s\n", temporary("texts.jsonl"));
    finish(lines);
    double first = at(1, "loss/ptx_avg"), last = at(4, "loss/ptx_avg");
    assert_true(first > 3 && first < 10); /* nats a token; ln 320 is 5.8 */
    assert_true(last < 0.8 * first);
    /* However small the pieces of a mini-batch are, its texts fit. */
    snprintf(lines, sizeof lines, "ptx_coef: 50\ngradient_accumulation_steps: 8\nptx_dataset: %s\n",
             temporary("texts.jsonl"));
    finish(lines);
    assert_true(fabs(at(1, "loss/ptx_avg") - first) < 1e-4);
    finish("");
    assert_false(has(1, "loss/ptx_avg"));
}

static void the_price_of_a_nat(void **state)
{
    (void)state;
    finish("kl_coef: 0.2\n");
    assert_true(at(4, "objective/kl_coef") == 0.2);
    assert_true(fabs(at(4, "objective/non_score_reward") + 0.2 * at(4, "objective/kl")) < 1e-9);
    finish("kl_coef: 0.2\nadaptive_kl: true\nkl_target: 1000\nkl_horizon: 40\n");
    assert_true(fabs(at(2, "objective/kl_coef") - 0.2 * (1 - 0.2 * 8 / 40)) < 1e-9); /* far below the target */
    finish("kl_coef: 0.2\nadvantage_estimator: grpo\nnum_generations: 4\n");
    assert_true(at(4, "objective/non_score_reward") == 0); /* it stands in the loss */
    assert_true(at(1, "objective/equal_groups") >= 0);
}

static void penalties_and_bonuses(void **state)
{
    (void)state;
    finish("missing_eos_penalty: 2\nkl_coef: 0\n");
    double cut = 1 - at(1, "val/num_eos_tokens") / 8;
    assert_true(cut > 0);
    assert_true(fabs(at(1, "objective/rlhf_reward") - (at(1, "objective/scores") - 2 * cut)) < 1e-9);
    finish("score_clip: 0.25\nkl_coef: 0\n");
    assert_true(at(1, "objective/scores") > 0.25 && at(1, "objective/rlhf_reward") <= 0.25);
    finish("entropy_coef: 0\n");
    double without = at(4, "policy/entropy_avg");
    finish("entropy_coef: 10\n");
    assert_true(at(4, "policy/entropy_avg") > without + 0.05);
}

/* The same prompts before and after, with their scores. */
static void samples(void **state)
{
    (void)state;
    finish("eval_steps: 2\nsample_max_new_tokens: 6\n");
    struct err err;
    struct file_lines *lines;
    const char *line;
    size_t length;
    int count = 0;
    must(file_lines_open(&lines, temporary("run/samples.jsonl"), &err));
    while (file_lines_next(lines, &line, &length, &err) == 1) {
        json_t *record = json_read_text(line, length, "samples.jsonl", &err);
        assert_int_equal(json_integer_value(json_object_get(record, "step")), count / 4 * 2);
        assert_true(json_is_number(json_object_get(record, "score")));
        assert_true(json_is_string(json_object_get(record, "prompt")));
        json_decref(record);
        count++;
    }
    file_lines_close(lines);
    assert_int_equal(count, 12); /* four prompts before, in the middle, and after */
    finish("eval_split: 0.4\nsample_prompts: [the sea]\n");
    assert_true(isfinite(at(0, "eval_score")) && isfinite(at(4, "eval_score")));
    assert_true(at(0, "eval_response_length") > 0);
}

int main(int argc, char **argv)
{
    ppo_score_if_asked(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_critic_warms_up),
        cmocka_unit_test(updates_end_at_target_kl),
        cmocka_unit_test(mini_batches_of_a_high_ratio_are_skipped),
        cmocka_unit_test(text_beside_rewards),
        cmocka_unit_test(the_price_of_a_nat),
        cmocka_unit_test(penalties_and_bonuses),
        cmocka_unit_test(samples),
    };
    return cmocka_run_group_tests(tests, ppo_setup, temporary_teardown);
}
