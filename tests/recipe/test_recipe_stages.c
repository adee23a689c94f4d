/* A stage that the house does not know: what it says about itself is all that recipe/ needs. */
#include "base/strbuf.h"
#include "recipe/stage.h"
#include "support/cmocka.h"
#include "support/recipe_texts.h"
#include "support/temporary.h"
#include <stdlib.h>
#include <string.h>

/* Its own keys: one under a common title, one that ppo has with other values, and one by a name that ppo accepts. */
enum loss { LOSS_SIGMOID, LOSS_HINGE };

struct contrast_recipe {
    struct recipe common;
    enum loss loss_type;
    double beta;
    bool precompute;
};

static const struct key_choice losses[] = {{"sigmoid", LOSS_SIGMOID, 0}, {"hinge", LOSS_HINGE, 0}, {0}};
static const struct key keys[] = {
    {CHOICE_KEY(contrast_recipe, loss_type), .group = "Contrast", .choices = losses, .initial = "sigmoid",
     .help = "how two answers are told apart"},
    {REAL_KEY(contrast_recipe, beta), .group = "Contrast", .range = "(0, 10]", .initial = "0.1",
     .instead = {{"1", {{"loss_type", "hinge"}}}}, .help = "how far the policy may go"},
    {SWITCH_KEY(contrast_recipe, precompute), .group = GROUP_DATA, .before = "on_bad_record", .initial = "false",
     .help = "whether the reference is computed first"},
};
static const struct stage_default defaults[] = {
    {"learning_rate", {"5e-7", {{"loss_type", "hinge"}}}},
    {"learning_rate", {.text = "5e-6"}},
    {"num_train_epochs", {.text = "1"}},
};

static void check(struct recipe_loader *loader, const struct recipe *recipe)
{
    const struct contrast_recipe *own = (const struct contrast_recipe *)recipe;
    if (own->precompute && check_given(loader, "beta")) {
        check_mistake(loader, "beta", "beta means nothing beside precompute");
    }
}

static const struct recipe_stage contrast = {
    .name = "contrast",
    .keys = keys,
    .key_count = sizeof keys / sizeof keys[0],
    .size = sizeof(struct contrast_recipe),
    .lacks = "sample_prompts sample_prompts_file sample_max_new_tokens annotators",
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof defaults[0],
    .check = check,
};

/* It among those of the house, which stand in front of it. */
static struct recipe_stages with_contrast(void)
{
    static const struct recipe_stage *items[STAGES_MAX];
    assert_true(all_stages.count < STAGES_MAX);
    for (size_t i = 0; i < all_stages.count; i++) {
        items[i] = all_stages.items[i];
    }
    items[all_stages.count] = &contrast;
    return (struct recipe_stages){.items = items, .count = all_stages.count + 1};
}

static struct recipe *load(const struct recipe_stage *stage, const char *yaml)
{
    struct recipe_stages stages = with_contrast();
    struct recipe *recipe = NULL;
    struct err err;
    if (recipe_load_text(&recipe, &stages, stage, "r.yaml", yaml, strlen(yaml), 0, NULL, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return recipe;
}

static const struct contrast_recipe *own(const struct recipe *recipe)
{
    assert_ptr_equal(recipe->stage, &contrast);
    return (const struct contrast_recipe *)recipe;
}

static void its_keys_have_values(void **state)
{
    (void)state;
    struct recipe *plain = load(&contrast, LEAST);
    assert_int_equal(own(plain)->loss_type, LOSS_SIGMOID);
    assert_true(own(plain)->beta == 0.1 && plain->learning_rate == 5e-6 && plain->num_train_epochs == 1);
    assert_true(!recipe_is_set(plain, "beta"));
    struct recipe *hinge = load(&contrast, LEAST "loss_type: hinge\n");
    assert_true(own(hinge)->beta == 1 && hinge->learning_rate == 5e-7);
    assert_string_equal(recipe_choice(hinge, "loss_type"), "hinge");
    struct recipe *given = load(&contrast, LEAST "loss_type: hinge\nbeta: 0.3\nprecompute: false\n");
    assert_true(own(given)->beta == 0.3 && recipe_is_set(given, "beta"));
    struct err err;
    assert_int_equal(recipe_check_resume(given, given, &err), 0);
    assert_int_equal(recipe_check_resume(given, hinge, &err), -1);
    assert_says(err.text, "beta is 0.3 now and was 1", NULL);
    recipe_free(plain);
    recipe_free(hinge);
    recipe_free(given);
}

static void its_resolved_recipe_reads_back(void **state)
{
    (void)state;
    struct recipe_stages stages = with_contrast();
    struct recipe *recipe = load(&contrast, LEAST "loss_type: hinge\n"), *again = NULL;
    struct err err;
    assert_int_equal(recipe_write(recipe, temporary("recipe.resolved.yaml"), &err), 0);
    const struct recipe_stage *found = recipe_find_stage(&stages, temporary("recipe.resolved.yaml"), 0, NULL);
    assert_ptr_equal(found, &contrast);
    assert_int_equal(recipe_load(&again, &stages, found, temporary("recipe.resolved.yaml"), 0, NULL, &err), 0);
    assert_int_equal(recipe_check_resume(again, recipe, &err), 0);
    assert_true(own(again)->beta == 1);
    recipe_free(recipe);
    recipe_free(again);
}

static void assert_mistake(const struct recipe_stage *stage, const char *yaml, const char *answer)
{
    struct recipe_stages stages = with_contrast();
    struct recipe *recipe = NULL;
    struct err err;
    assert_int_equal(recipe_load_text(&recipe, &stages, stage, "r.yaml", yaml, strlen(yaml), 0, NULL, &err), -1);
    assert_says(err.text, answer, NULL);
}

static void mistakes_name_its_keys(void **state)
{
    (void)state;
    const struct recipe_stage *sft = all_stages.items[0];
    assert_mistake(sft, LEAST "precompute: true\n", "precompute is a key of attune contrast, not of attune sft");
    assert_mistake(sft, LEAST "loss_type: x\n",
                   "loss_type is a key of attune ppo and attune contrast, not of attune sft");
    assert_mistake(&contrast, LEAST "loss_type: dapo\n", "loss_type must be one of sigmoid, hinge, not 'dapo'");
    assert_mistake(&contrast, LEAST "kl_coef: 1\n", "kl_coef is a key of attune ppo, not of attune contrast");
    assert_mistake(&contrast, LEAST "init_kl_coef: 1\n", "here it is kl_coef, a key of attune ppo");
    assert_mistake(&contrast, LEAST "sample_prompts: x\n", "sample_prompts is a key of attune sft and attune ppo");
    assert_mistake(&contrast, "dataset: {path: a, annotators: b}\nmodel_name_or_path: m\noutput_dir: o\n",
                   "annotators is a key of attune reward, not of attune contrast");
    assert_mistake(&contrast, LEAST "precomptue: true\n", "did you mean precompute?");
    assert_mistake(&contrast, LEAST "precompute: true\nbeta: 1\n", "r.yaml:5:1: beta means nothing beside precompute");
    assert_mistake(sft, LEAST "stage: sft\n", "attune sft, attune reward, attune ppo or attune contrast");
}

static void assert_in_order(const char *text, const char *const *parts)
{
    for (const char *at = text; *parts; parts++) {
        at = strstr(at, *parts);
        if (!at) {
            fail_msg("'%s' is not there, or not in its place:\n%s", *parts, text);
        }
    }
}

static void help_tells_its_keys(void **state)
{
    (void)state;
    struct recipe_stages stages = with_contrast();
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    keys_print_help(out, &contrast);
    assert_int_equal(fclose(out), 0);
    assert_in_order(text, (const char *const[]){"\nData\n", "--on_too_long", "--precompute", "--on_bad_record",
                                                "\nOptimizer\n", "--learning_rate  a number in [0, 10]; default 5e-6\n",
                                                "\nContrast\n", "--loss_type",
                                                "--beta  a number in (0, 10]; default 0.1", "\nEvaluation\n", NULL});
    assert_null(strstr(text, "--sample_prompts"));
    free(text);
    out = open_memstream(&text, &length);
    keys_print_markdown(out, &stages);
    assert_int_equal(fclose(out), 0);
    assert_in_order(text,
                    (const char *const[]){"| `num_train_epochs` |", "| 3; 1 in reward, ppo and contrast |",
                                          "; 3e-5 in ppo; 5e-7 in contrast with loss_type: hinge; 5e-6 in contrast |",
                                          "## PPO: distance to the reference", "## Contrast",
                                          "| `beta` | a number in (0, 10] | 0.1; 1 with loss_type: hinge | contrast |",
                                          "## Evaluation", NULL});
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_keys_have_values),
        cmocka_unit_test(its_resolved_recipe_reads_back),
        cmocka_unit_test(mistakes_name_its_keys),
        cmocka_unit_test(help_tells_its_keys),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
