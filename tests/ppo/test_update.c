/*
 * tests/ppo/test_update.c - one update of policy and critic on the answers of tests/fixtures/ppo, against PyTorch
 * (tests/reference/ppo_update.py): gradients, their norms, and the weights after the step.
 */
#include "support/cmocka.h"

#include "base/mem.h"
#include "ppo/helper_rollout.h"
#include "ppo/options.h"
#include "ppo/update.h"
#include "support/fixture.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define PROMPTS 8

/* What update_run() works with, put together around tiny-llama. */
struct stand {
    struct rollout rollout;
    struct ppo_recipe recipe;
    struct ppo_parts parts;
    struct loop loop;
    struct run run;
    struct prompt prompts[PROMPTS];
    const struct prompt *pointers[PROMPTS];
    int32_t ids[PROMPTS][64];
    struct safetensors *expected;
};

static struct trainable open_role(struct model *model, const char *name, bool scorer)
{
    struct trainable role = {.model = model, .borrows_model = true, .scorer = scorer};
    role.adapter = fixture_adapter(name, model, true);
    role.overlay = &role.adapter->overlay;
    role.parameters = &role.adapter->parameters;
    return role;
}

static void read_prompts(struct stand *stand)
{
    const json_t *list = json_object_get(stand->rollout.json, "episodes");
    int64_t group = stand->rollout.episodes.group_size, count = stand->rollout.episodes.count / group;
    assert_in_range(count, 1, PROMPTS);
    for (int64_t i = 0; i < count; i++) {
        const json_t *prompt = json_object_get(json_array_get(list, (size_t)(i * group)), "prompt");
        stand->prompts[i].ids = stand->ids[i];
        stand->prompts[i].count = (int32_t)rollout_ids(prompt, stand->ids[i], 64);
        stand->pointers[i] = &stand->prompts[i];
    }
}

static void make_numbers(struct stand *stand, size_t count)
{
    struct err err;
    struct ppo_numbers *numbers = &stand->parts.numbers;
    float **arrays[] = {&numbers->logprobs, &numbers->entropies, &numbers->dlogprobs, &numbers->dentropies};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        assert_non_null(*arrays[i] = mem_alloc(count, sizeof **arrays[i], &err));
    }
    assert_non_null(stand->parts.trained = mem_alloc(count, 1, &err));
    memset(stand->parts.trained, 1, count);
}

static void make_optimizers(struct stand *stand)
{
    struct err err;
    const struct recipe *recipe = &stand->recipe.common;
    struct ppo_parts *parts = &stand->parts;
    struct optimizer_options options = {recipe->adam_beta1, recipe->adam_beta2, recipe->adam_epsilon,
                                        recipe->weight_decay, recipe->max_grad_norm};
    must(optimizer_create(&parts->policy_optimizer, parts->backend, parts->roles.policy.parameters, &options, &err));
    if (parts->roles.has_critic) {
        must(
            optimizer_create(&parts->critic_optimizer, parts->backend, parts->roles.critic.parameters, &options, &err));
    }
}

static void open_stand(struct stand *stand, const char *name)
{
    struct err err;
    *stand = (struct stand){0};
    rollout_open(&stand->rollout);
    read_prompts(stand);
    stand->recipe = rollout_recipe(&stand->rollout, rollout_case_named(&stand->rollout, name));
    stand->recipe.common.gradient_accumulation_steps = 1;
    stand->recipe.common.lr_scheduler_type = SCHEDULE_CONSTANT;
    struct ppo_parts *parts = &stand->parts;
    parts->recipe = &stand->recipe.common;
    parts->backend = fixture_backend();
    struct model *model = fixture_model("tiny-llama", parts->backend, false);
    parts->roles.policy = open_role(model, "ppo/policy", false);
    parts->roles.has_critic = stand->recipe.advantage_estimator == PPO_ADVANTAGE_GAE;
    if (parts->roles.has_critic) {
        parts->roles.critic = open_role(model, "ppo/critic", true);
    }
    struct pass_limits limits = {.tokens = parts->backend->traits.pass_tokens,
                                 .segments = 64,
                                 .predictions = parts->backend->traits.pass_tokens,
                                 .max_rank = 16,
                                 .training = true};
    must(pass_create(&parts->pass, model, &limits, &err));
    must(batch_create(&parts->batch, limits.tokens, limits.segments, limits.predictions, &err));
    make_numbers(stand, (size_t)limits.predictions);
    make_optimizers(stand);
    loop_init(&stand->loop, &stand->recipe.common, &(struct step_counts){.per_epoch = 1, .total = 1});
    stand->loop.run = &stand->run;
    char file[64];
    snprintf(file, sizeof file, "%s.safetensors", name);
    must(safetensors_open(&stand->expected, fixture_path("ppo", file), &err));
}

static void close_stand(struct stand *stand)
{
    struct ppo_parts *parts = &stand->parts;
    struct model *model = parts->roles.policy.model;
    safetensors_close(stand->expected);
    optimizer_free(parts->policy_optimizer);
    optimizer_free(parts->critic_optimizer);
    pass_free(parts->pass);
    batch_free(&parts->batch);
    mem_free(parts->numbers.logprobs);
    mem_free(parts->numbers.entropies);
    mem_free(parts->numbers.dlogprobs);
    mem_free(parts->numbers.dentropies);
    mem_free(parts->trained);
    trainable_close(&parts->roles.policy);
    if (parts->roles.has_critic) {
        trainable_close(&parts->roles.critic);
    }
    model_free(model);
    parts->backend->free(parts->backend);
    rollout_close(&stand->rollout);
}

/* ---- comparisons ---- */

static const float *expected_tensor(const struct stand *stand, const char *role, const char *what, const char *name)
{
    char full[256];
    snprintf(full, sizeof full, "%s.%s.%s", role, what, name);
    const struct safetensor *tensor = safetensors_find(stand->expected, full);
    if (!tensor) {
        fail_msg("the fixture has no tensor %s", full);
    }
    return tensor->data;
}

/* Gradients by norm of the difference over norm; weights by their distance relative to the learning rate. */
static void compare_role(const struct stand *stand, const char *role, const struct parameter_list *parameters)
{
    double worst_gradient = 0, worst_weight = 0;
    for (int32_t i = 0; i < parameters->count; i++) {
        const struct parameter *parameter = &parameters->items[i];
        int64_t count = parameter_size(parameter);
        float *gradient = fetch(stand->parts.backend, parameter->gradient, count);
        float *weight = fetch(stand->parts.backend, parameter->master, count);
        double difference =
            relative_difference(gradient, expected_tensor(stand, role, "grad", parameter->name), count, 1e-6);
        double moved = largest_difference(weight, expected_tensor(stand, role, "step", parameter->name), count) /
                       stand->recipe.common.learning_rate;
        if (!(difference < 1e-4)) {
            fail_msg("%s: the gradient of %s differs by %g", role, parameter->name, difference);
        }
        if (!(moved < 2e-2)) {
            fail_msg("%s: %s after the step differs by %g learning rates", role, parameter->name, moved);
        }
        worst_gradient = fmax(worst_gradient, difference);
        worst_weight = fmax(worst_weight, moved);
        mem_free(gradient);
        mem_free(weight);
    }
    print_message("%s: gradients within %.1e, weights within %.1e learning rates\n", role, worst_gradient,
                  worst_weight);
}

static double expected_norm(const struct stand *stand, const char *name, const char *key)
{
    const json_t *updates = json_object_get(stand->rollout.json, "updates");
    const json_t *norm = json_object_get(json_object_get(updates, name), key);
    assert_non_null(norm);
    return json_number_value(norm);
}

static void expect_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-4 * fabs(expected))) {
        fail_msg("%.9g instead of %.9g", value, expected);
    }
}

/* One update, its mini-batch computed in so many pieces. */
static void update(const char *name, int64_t pieces)
{
    struct err err;
    struct stand stand;
    struct advantage_summary advantages;
    struct update_summary summary;
    open_stand(&stand, name);
    stand.recipe.common.gradient_accumulation_steps = pieces;
    struct episodes *episodes = &stand.rollout.episodes;
    const json_t *one = rollout_case_named(&stand.rollout, name);
    struct score_statistics statistics = rollout_statistics(one, "statistics");
    const struct advantage_options options = ppo_advantage_options(&stand.recipe);
    advantage_compute(episodes, &options, stand.recipe.kl_coef, &statistics, &advantages);
    const struct ppo_view view = {episodes, stand.pointers, stand.parts.backend->traits.pass_tokens};
    must(update_run(&stand.parts, &stand.loop, &view, 0, stand.recipe.kl_coef, &summary, &err));
    assert_true(summary.finite);
    assert_int_equal(summary.updates, 1);
    expect_number(one, "objective", summary.policy.objective);
    expect_number(one, "approx_kl", summary.policy.approx_kl);
    expect_number(one, "ratio", summary.policy.ratio);
    expect_near(summary.grad_norm, expected_norm(&stand, name, "policy_grad_norm"));
    print_message("%s in %lld pieces: ", name, (long long)pieces);
    compare_role(&stand, "policy", stand.parts.roles.policy.parameters);
    if (stand.parts.roles.has_critic) {
        expect_number(one, "value_loss", summary.value_loss);
        expect_near(summary.critic_grad_norm, expected_norm(&stand, name, "critic_grad_norm"));
        compare_role(&stand, "critic", stand.parts.roles.critic.parameters);
    }
    close_stand(&stand);
}

static void gae(void **state)
{
    (void)state;
    update("gae", 1);
    update("gae", 5);
}

static void grpo(void **state)
{
    (void)state;
    update("grpo", 1);
    update("grpo", 5);
}

static void rloo(void **state)
{
    (void)state;
    update("rloo", 1);
    update("rloo", 12);
}

/* A family goes through the model whole, as many of them as fit, and pieces may cut one. */
static void passes(void **state)
{
    (void)state;
    struct stand stand;
    open_stand(&stand, "gae");
    const struct ppo_view view = {&stand.rollout.episodes, stand.pointers, stand.parts.backend->traits.pass_tokens};
    assert_int_equal(ppo_pass_answers(&view, stand.rollout.answers, 12), 12);
    assert_int_equal(ppo_pass_answers(&view, stand.rollout.answers, 3), 3);
    ppo_pass_load(&stand.parts, &view, stand.rollout.answers + 2, 4);
    const struct batch *batch = &stand.parts.batch;
    assert_int_equal(batch->segment_count, 6); /* two prompts, two answers to each */
    assert_int_equal(batch->segments[0].parent, -1);
    assert_int_equal(batch->segments[2].parent, 0);
    assert_int_equal(batch->segments[5].parent, 3);
    int64_t tokens = 0;
    for (int i = 2; i < 6; i++) {
        tokens += stand.rollout.episodes.items[i].length;
    }
    assert_int_equal(batch->prediction_count, tokens);
    stand.prompts[1].count = view.pass_tokens; /* only told so, not read: a long prompt goes alone */
    assert_int_equal(ppo_pass_answers(&view, stand.rollout.answers, 12), 4);
    assert_int_equal(ppo_pass_answers(&view, stand.rollout.answers + 4, 8), 4);
    close_stand(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gae),
        cmocka_unit_test(grpo),
        cmocka_unit_test(rloo),
        cmocka_unit_test(passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
