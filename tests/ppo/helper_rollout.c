/* tests/ppo/helper_rollout.c - see helper_rollout.h. */
#include "support/cmocka.h"

#include "base/mem.h"
#include "ppo/helper_rollout.h"
#include "ppo/recipe.h"
#include "support/fixture.h"
#include <math.h>
#include <string.h>

#define ANSWER_MAX 64
#define TOLERANCE  1e-5
#define LEAST      1e-2

static const json_t *member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!value) {
        fail_msg("the fixture has no '%s'", key);
    }
    return value;
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(member(object, key));
}

int64_t rollout_ids(const json_t *list, int32_t *ids, int64_t most)
{
    int64_t count = (int64_t)json_array_size(list);
    assert_in_range(count, 1, most);
    for (int64_t i = 0; i < count; i++) {
        ids[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    }
    return count;
}

/* Fills an array of the episodes, or makes one. */
static float *floats(const struct rollout *rollout, const char *key, float *values)
{
    struct err err;
    const json_t *list = member(rollout->json, key);
    size_t count = (size_t)rollout->episodes.token_count;
    assert_int_equal(json_array_size(list), count);
    if (!values) {
        values = mem_alloc(count, sizeof *values, &err);
    }
    assert_non_null(values);
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)json_number_value(json_array_get(list, i));
    }
    return values;
}

void rollout_open(struct rollout *rollout)
{
    struct err err;
    *rollout = (struct rollout){.json = json_read_file(fixture_path("ppo", "rollout.json"), 1 << 24, &err)};
    if (!rollout->json) {
        fail_msg("%s", err.text);
    }
    struct episodes *episodes = &rollout->episodes;
    const json_t *list = member(rollout->json, "episodes");
    int64_t count = (int64_t)json_array_size(list);
    must(episodes_create(episodes, count, count * ANSWER_MAX, (int64_t)number(rollout->json, "group_size"), &err));
    rollout->answers = mem_alloc((size_t)count, sizeof *rollout->answers, &err);
    assert_non_null(rollout->answers);
    for (int64_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        int32_t ids[ANSWER_MAX];
        int64_t length = rollout_ids(member(item, "answer"), ids, ANSWER_MAX);
        episodes_append(episodes, ids, length, json_is_true(member(item, "stopped")))->score = number(item, "score");
        rollout->answers[i] = i;
    }
    floats(rollout, "old_logprobs", episodes->old_logprobs);
    floats(rollout, "reference_logprobs", episodes->reference_logprobs);
    floats(rollout, "values", episodes->values);
    rollout->logprobs = floats(rollout, "logprobs", NULL);
    rollout->entropies = floats(rollout, "entropies", NULL);
    rollout->new_values = floats(rollout, "new_values", NULL);
}

void rollout_close(struct rollout *rollout)
{
    json_decref(rollout->json);
    episodes_free(&rollout->episodes);
    mem_free(rollout->logprobs);
    mem_free(rollout->entropies);
    mem_free(rollout->new_values);
    mem_free(rollout->answers);
}

const json_t *rollout_case(const struct rollout *rollout, size_t index)
{
    return json_array_get(member(rollout->json, "cases"), index);
}

const json_t *rollout_case_named(const struct rollout *rollout, const char *name)
{
    const json_t *one;
    for (size_t i = 0; (one = rollout_case(rollout, i)); i++) {
        if (strcmp(json_string_value(member(one, "name")), name) == 0) {
            return one;
        }
    }
    fail_msg("the fixture has no case '%s'", name);
    return NULL;
}

/* The number of the recipe's word among some words. */
static int choice(const json_t *recipe, const char *key, const char *const *words, int count)
{
    const char *word = json_string_value(member(recipe, key));
    for (int i = 0; i < count; i++) {
        if (strcmp(words[i], word) == 0) {
            return i;
        }
    }
    fail_msg("the fixture's recipe has %s: %s", key, word);
    return -1;
}

struct ppo_recipe rollout_recipe(const struct rollout *rollout, const json_t *one)
{
    static const char *const estimators[] = {"gae", "grpo", "rloo"}, *const scales[] = {"group", "batch", "none"},
                             *const losses[] = {"dapo", "grpo", "dr_grpo"}, *const kls[] = {"k1", "k2", "k3"};
    const json_t *keys = member(one, "recipe"), *optimizer = member(rollout->json, "optimizer");
    return (struct ppo_recipe){.common.stage = &ppo_stage,
                               .advantage_estimator =
                                   (enum ppo_advantage)choice(keys, "advantage_estimator", estimators, 3),
                               .scale_rewards = (enum ppo_scale_rewards)choice(keys, "scale_rewards", scales, 3),
                               .loss_type = (enum ppo_policy_loss)choice(keys, "loss_type", losses, 3),
                               .kl_estimator = (enum ppo_kl_estimator)choice(keys, "kl_estimator", kls, 3),
                               .kl_coef = number(keys, "kl_coef"),
                               .gamma = number(keys, "gamma"),
                               .lam = number(keys, "lam"),
                               .cliprange = number(keys, "cliprange"),
                               .epsilon_high = number(keys, "epsilon_high"),
                               .cliprange_value = number(keys, "cliprange_value"),
                               .vf_coef = number(keys, "vf_coef"),
                               .entropy_coef = number(keys, "entropy_coef"),
                               .missing_eos_penalty = number(keys, "missing_eos_penalty"),
                               .score_clip = number(keys, "score_clip"),
                               .use_score_norm = json_is_true(member(keys, "use_score_norm")),
                               .whiten_rewards = json_is_true(member(keys, "whiten_rewards")),
                               .response_length = (int64_t)number(keys, "response_length"),
                               .num_generations = rollout->episodes.group_size,
                               .num_ppo_epochs = 1,
                               .num_mini_batches = 1,
                               .temperature = number(rollout->json, "temperature"),
                               .common.learning_rate = number(optimizer, "learning_rate"),
                               .common.adam_beta1 = number(optimizer, "adam_beta1"),
                               .common.adam_beta2 = number(optimizer, "adam_beta2"),
                               .common.adam_epsilon = number(optimizer, "adam_epsilon"),
                               .common.max_grad_norm = number(optimizer, "max_grad_norm")};
}

struct score_statistics rollout_statistics(const json_t *one, const char *key)
{
    const json_t *statistics = member(one, key);
    return (struct score_statistics){.count = number(statistics, "count"),
                                     .mean = number(statistics, "mean"),
                                     .squares = number(statistics, "squares")};
}

static void compare(const json_t *one, const char *key, int64_t place, double value, const json_t *wanted)
{
    double expected = json_number_value(wanted);
    if (!(fabs(value - expected) <= TOLERANCE * fmax(LEAST, fabs(expected)))) {
        fail_msg("%s: %s[%lld] is %.9g, expected %.9g", json_string_value(member(one, "name")), key, (long long)place,
                 value, expected);
    }
}

void expect_number(const json_t *one, const char *key, double value)
{
    compare(one, key, 0, value, member(member(one, "expected"), key));
}

void expect_numbers(const json_t *one, const char *key, const double *values, int64_t count)
{
    const json_t *list = member(member(one, "expected"), key);
    assert_int_equal(json_array_size(list), count);
    for (int64_t i = 0; i < count; i++) {
        compare(one, key, i, values[i], json_array_get(list, (size_t)i));
    }
}

void expect_floats(const json_t *one, const char *key, const float *values, int64_t count)
{
    const json_t *list = member(member(one, "expected"), key);
    assert_int_equal(json_array_size(list), count);
    for (int64_t i = 0; i < count; i++) {
        compare(one, key, i, (double)values[i], json_array_get(list, (size_t)i));
    }
}
