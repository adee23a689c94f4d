/* What a recipe may look like, and what its fields are then. */
#include "ppo/recipe.h"
#include "reward/recipe.h"
#include "sft/recipe.h"
#include "support/cmocka.h"
#include "support/recipe_texts.h"
#include <string.h>

static void least(void **state)
{
    (void)state;
    struct recipe *recipe = recipe_of(&sft_stage, LEAST, NULL);
    assert_string_equal(recipe->model_name_or_path, "m");
    assert_string_equal(recipe->output_dir, "out");
    assert_int_equal(recipe->dataset.count, 1);
    assert_string_equal(recipe->dataset.items[0].path, "d.jsonl");
    assert_null(recipe->dataset.items[0].format);
    assert_true(recipe->dataset.items[0].weight == 1);
    assert_null(recipe->adapter_name_or_path);
    assert_int_equal(recipe->eval_dataset.count, 0);
    assert_int_equal(recipe->finetuning_type, RECIPE_LORA);
    assert_int_equal(recipe->lora_r, 16);
    assert_true(recipe->lora_alpha == 32);
    assert_true(recipe->lora_dropout == 0.05);
    assert_int_equal(recipe->lora_target_modules.count, 1);
    assert_string_equal(recipe->lora_target_modules.items[0], "all-linear");
    assert_int_equal(recipe->lora_modules_to_save.count, 0);
    assert_true(recipe->learning_rate == 2e-4);
    assert_int_equal(recipe->lr_scheduler_type, SCHEDULE_COSINE);
    assert_true(recipe->warmup_steps == 0.03);
    assert_true(recipe->adam_beta2 == 0.999);
    assert_int_equal(recipe->seed, 42);
    assert_int_equal(recipe->max_steps, -1);
    assert_true(recipe->shuffle);
    assert_false(sft_keys(recipe)->packing);
    assert_string_equal(recipe->resume_from_checkpoint, "auto");
    assert_int_equal(recipe->report_to.count, 0);
    assert_true(recipe_is_set(recipe, "dataset"));
    assert_false(recipe_is_set(recipe, "lora_r"));
    recipe_free(recipe);
}

static void defaults_by_stage_and_method(void **state)
{
    (void)state;
    static const struct {
        const struct recipe_stage *stage;
        const char *more;
        double learning_rate, num_train_epochs, adam_epsilon, warmup_steps;
    } cases[] = {
        {&sft_stage, "", 2e-4, 3, 1e-8, 0.03},
        {&sft_stage, "finetuning_type: full\n", 2e-5, 3, 1e-8, 0.03},
        {&reward_stage, "", 1e-4, 1, 1e-8, 0.03},
        {&reward_stage, "finetuning_type: full\n", 1e-5, 1, 1e-8, 0.03},
        {&ppo_stage, "reward_model: r\n", 3e-5, 1, 1e-5, 0},
        {&ppo_stage, "reward_model: r\nfinetuning_type: full\n", 3e-6, 1, 1e-5, 0},
        {&ppo_stage, "reward_model: r\nmax_length: 2048\nadvantage_estimator: grpo\n", 1e-5, 1, 1e-5, 0},
        {&ppo_stage, "reward_model: r\nadvantage_estimator: rloo\nfinetuning_type: full\n", 1e-6, 1, 1e-5, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[512];
        snprintf(yaml, sizeof yaml, "%s%s", cases[i].more, LEAST);
        struct recipe *recipe = recipe_of(cases[i].stage, yaml, NULL);
        assert_true(recipe->learning_rate == cases[i].learning_rate);
        assert_true(recipe->num_train_epochs == cases[i].num_train_epochs);
        assert_true(recipe->adam_epsilon == cases[i].adam_epsilon);
        assert_true(recipe->warmup_steps == cases[i].warmup_steps);
        recipe_free(recipe);
    }
}

static void too_long_by_stage(void **state)
{
    (void)state;
    struct recipe *sft = recipe_of(&sft_stage, LEAST, NULL), *reward = recipe_of(&reward_stage, LEAST, NULL);
    assert_int_equal(sft->on_too_long, RECIPE_TOO_LONG_TRUNCATE);
    assert_int_equal(reward->on_too_long, RECIPE_TOO_LONG_DROP);
    recipe_free(sft);
    recipe_free(reward);
}

static void the_stage_that_the_keys_belong_to(void **state)
{
    (void)state;
    char *none[] = {NULL}, *packing[] = {"--packing", "--margin=strength", "--ties", "half"},
         *unknown[] = {"--rewardd", "x", "--reward_model", "r", "--lora_r", "none"};
    assert_ptr_equal(recipe_find_stage(&all_stages, NULL, 0, none), &sft_stage);
    assert_ptr_equal(recipe_find_stage(&all_stages, NULL, 1, packing), &sft_stage);
    assert_ptr_equal(recipe_find_stage(&all_stages, NULL, 4, packing),
                     &reward_stage); /* misses one of the three keys */
    assert_ptr_equal(recipe_find_stage(&all_stages, NULL, 6, unknown), &ppo_stage);
    assert_ptr_equal(recipe_find_stage(&all_stages, "nowhere.yaml", 0, none), &sft_stage);
}

static void defaults_of_ppo(void **state)
{
    (void)state;
    struct recipe *gae = recipe_of(&ppo_stage, LEAST_PPO, NULL);
    assert_int_equal(ppo_keys(gae)->response_length, 53);
    assert_int_equal(ppo_keys(gae)->num_generations, 1);
    assert_int_equal(ppo_keys(gae)->num_ppo_epochs, 4);
    assert_true(ppo_keys(gae)->temperature == 0.7);
    assert_true(ppo_keys(gae)->kl_coef == 0.05);
    assert_int_equal(ppo_keys(gae)->kl_estimator, PPO_KL_K1);
    assert_true(gae->lora_dropout == 0);
    assert_int_equal(gae->lr_scheduler_type, SCHEDULE_WARMUP_STABLE_DECAY);
    recipe_free(gae);
    struct recipe *grpo = recipe_of(&ppo_stage, LEAST_PPO "advantage_estimator: grpo\n", NULL);
    assert_int_equal(ppo_keys(grpo)->response_length, 512);
    assert_int_equal(ppo_keys(grpo)->num_generations, 8);
    assert_int_equal(ppo_keys(grpo)->num_ppo_epochs, 1);
    assert_true(ppo_keys(grpo)->temperature == 1);
    assert_true(ppo_keys(grpo)->kl_coef == 0);
    assert_int_equal(ppo_keys(grpo)->kl_estimator, PPO_KL_K3);
    recipe_free(grpo);
    struct recipe *rloo = recipe_of(&ppo_stage, LEAST_PPO "advantage_estimator: rloo\n", NULL);
    assert_int_equal(ppo_keys(rloo)->num_generations, 2);
    assert_true(ppo_keys(rloo)->kl_coef == 0.05);
    assert_int_equal(ppo_keys(rloo)->kl_estimator, PPO_KL_K1);
    recipe_free(rloo);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } reals[] = {{"2e-4", 2e-4}, {"2.0e-4", 2e-4}, {"0.0002", 2e-4}, {".5", 0.5},
                 {"5.", 5},      {"1", 1},         {"'2e-4'", 2e-4}, {"+1E0", 1}};
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        char yaml[128];
        snprintf(yaml, sizeof yaml, LEAST "learning_rate: %s\n", reals[i].text);
        struct recipe *recipe = recipe_of(&sft_stage, yaml, NULL);
        assert_true(recipe->learning_rate == reals[i].value);
        recipe_free(recipe);
    }
    static const struct {
        const char *text;
        int64_t value;
    } wholes[] = {{"1000", 1000},   {"1_000", 1000},    {"1e3", 1000},
                  {"1000.0", 1000}, {"\"1000\"", 1000}, {"9223372036854775807", INT64_MAX}};
    for (size_t i = 0; i < sizeof wholes / sizeof wholes[0]; i++) {
        char yaml[128];
        snprintf(yaml, sizeof yaml, LEAST "seed: %s\n", wholes[i].text);
        struct recipe *recipe = recipe_of(&sft_stage, yaml, NULL);
        assert_int_equal(recipe->seed, wholes[i].value);
        recipe_free(recipe);
    }
    static const char *const refused[] = {"1,000", "1.5", "ten", "0x10", "1__0", "_1", "1_", "9223372036854775808",
                                          "1e400", "nan", ""};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char yaml[128];
        snprintf(yaml, sizeof yaml, LEAST "seed: '%s'\n", refused[i]);
        assert_says(mistakes_of(&sft_stage, yaml, NULL), "r.yaml:4:7: seed must be a whole number", refused[i], NULL);
    }
}

static void switches(void **state)
{
    (void)state;
    static const char *const yes[] = {"true", "True", "yes", "on", "'true'"}, *const no[] = {"false", "FALSE", "no",
                                                                                             "Off"};
    char yaml[128];
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        snprintf(yaml, sizeof yaml, LEAST "packing: %s\n", yes[i]);
        struct recipe *recipe = recipe_of(&sft_stage, yaml, NULL);
        assert_true(sft_keys(recipe)->packing);
        recipe_free(recipe);
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        snprintf(yaml, sizeof yaml, LEAST "shuffle: %s\n", no[i]);
        struct recipe *recipe = recipe_of(&sft_stage, yaml, NULL);
        assert_false(recipe->shuffle);
        recipe_free(recipe);
    }
    assert_says(mistakes_of(&sft_stage, LEAST "packing: 1\n", NULL),
                "r.yaml:4:10: packing must be true or false, not '1'", NULL);
}

static void lists(void **state)
{
    (void)state;
    static const char *const two[] = {"q_proj, v_proj", "[q_proj, v_proj]", "\n  - q_proj\n  - v_proj",
                                      "'q_proj,v_proj'", "[\"q_proj\", 'v_proj']"};
    for (size_t i = 0; i < sizeof two / sizeof two[0]; i++) {
        char yaml[256];
        snprintf(yaml, sizeof yaml, LEAST "lora_target_modules: %s\n", two[i]);
        struct recipe *recipe = recipe_of(&sft_stage, yaml, NULL);
        assert_int_equal(recipe->lora_target_modules.count, 2);
        assert_string_equal(recipe->lora_target_modules.items[0], "q_proj");
        assert_string_equal(recipe->lora_target_modules.items[1], "v_proj");
        recipe_free(recipe);
    }
    struct recipe *recipe = recipe_of(
        &sft_stage, LEAST "sample_prompts: One, two?\nlora_modules_to_save: none\nreport_to: tensorboard\n", NULL);
    assert_int_equal(recipe->sample_prompts.count, 1);
    assert_string_equal(recipe->sample_prompts.items[0], "One, two?");
    assert_int_equal(recipe->lora_modules_to_save.count, 0);
    assert_int_equal(recipe->report_to.count, 1);
    recipe_free(recipe);
    recipe = recipe_of(&sft_stage,
                       LEAST "sample_prompts:\n- |\n  Two\n  lines\n- none\nreport_to: [none, tensorboard]\n", NULL);
    assert_int_equal(recipe->sample_prompts.count, 2);
    assert_string_equal(recipe->sample_prompts.items[0], "Two\nlines\n");
    assert_int_equal(recipe->report_to.count, 1);
    recipe_free(recipe);
}

static void datasets(void **state)
{
    (void)state;
    struct recipe *recipe =
        recipe_of(&sft_stage,
                  "model_name_or_path: m\noutput_dir: out\n"
                  "dataset:\n- path: a.json\n  format: alpaca\n  split: train\n  weight: 0.5\n- b.jsonl\n"
                  "eval_dataset: {path: c.jsonl.gz, format: messages}\n",
                  NULL);
    assert_int_equal(recipe->dataset.count, 2);
    assert_string_equal(recipe->dataset.items[0].path, "a.json");
    assert_string_equal(recipe->dataset.items[0].format, "alpaca");
    assert_string_equal(recipe->dataset.items[0].split, "train");
    assert_true(recipe->dataset.items[0].weight == 0.5);
    assert_string_equal(recipe->dataset.items[1].path, "b.jsonl");
    assert_true(recipe->dataset.items[1].weight == 1);
    assert_int_equal(recipe->eval_dataset.count, 1);
    assert_string_equal(recipe->eval_dataset.items[0].format, "messages");
    recipe_free(recipe);
    recipe = recipe_of(
        &reward_stage,
        "model_name_or_path: m\noutput_dir: out\n"
        "dataset:\n- {path: prefs.db, project: tone, annotators: [ann, bo], split: train, min_agreement: 0.6}\n",
        NULL);
    assert_string_equal(recipe->dataset.items[0].project, "tone");
    assert_int_equal(recipe->dataset.items[0].annotators.count, 2);
    assert_string_equal(recipe->dataset.items[0].annotators.items[1], "bo");
    assert_true(recipe->dataset.items[0].min_agreement == 0.6);
    recipe_free(recipe);
}

static void anchors_and_aliases(void **state)
{
    (void)state;
    struct recipe *recipe =
        recipe_of(&sft_stage,
                  "model_name_or_path: m\noutput_dir: out\n"
                  "dataset: &data\n- path: &file a.jsonl\n- {path: *file, weight: 2}\neval_dataset: *data\n",
                  NULL);
    assert_int_equal(recipe->eval_dataset.count, 2);
    assert_string_equal(recipe->eval_dataset.items[1].path, "a.jsonl");
    recipe_free(recipe);
    assert_says(mistakes_of(&sft_stage, LEAST "eval_dataset: &loop\n- *loop\n", NULL), "r.yaml:4:15", "not a list",
                NULL);
    assert_says(mistakes_of(&sft_stage, LEAST "<<: {seed: 1}\n", NULL), "r.yaml:4:1", "merge keys", NULL);
}

static void nothing_given(void **state)
{
    (void)state;
    struct recipe *recipe = recipe_of(
        &sft_stage, LEAST "adapter_name_or_path:\nlora_r: ~\neval_dataset: null\nseed: 7 # a comment\n", NULL);
    assert_null(recipe->adapter_name_or_path);
    assert_int_equal(recipe->lora_r, 16);
    assert_false(recipe_is_set(recipe, "lora_r"));
    assert_false(recipe_is_set(recipe, "eval_dataset"));
    assert_true(recipe_is_set(recipe, "seed"));
    recipe_free(recipe);
    recipe = recipe_of(&sft_stage, LEAST "chat_template: 'null'\n", NULL);
    assert_string_equal(recipe->chat_template, "null");
    recipe_free(recipe);
}

static void options(void **state)
{
    (void)state;
    struct recipe *recipe =
        recipe_of(&sft_stage, LEAST "learning_rate: 1e-3\nlora_target_modules: [q_proj]\nlora_r: 4\n",
                  "--learning_rate", "1e-4", "--packing", "--max-length=64", "--lora_target_modules=q_proj,k_proj",
                  "--shuffle", "no", "--max_steps", "-1", "--lora_r", "null", NULL);
    assert_true(recipe->learning_rate == 1e-4);
    assert_true(sft_keys(recipe)->packing);
    assert_int_equal(recipe->max_length, 64);
    assert_int_equal(recipe->lora_target_modules.count, 2);
    assert_string_equal(recipe->lora_target_modules.items[1], "k_proj");
    assert_false(recipe->shuffle);
    assert_int_equal(recipe->max_steps, -1);
    assert_int_equal(recipe->lora_r, 16);
    assert_true(recipe_is_set(recipe, "max_length"));
    assert_false(recipe_is_set(recipe, "lora_r"));
    recipe_free(recipe);
}

static void options_of_datasets(void **state)
{
    (void)state;
    struct recipe *recipe =
        recipe_of(&sft_stage, LEAST, "--dataset.0.path", "x.jsonl", "--dataset.0.weight=3", "--dataset.1.path",
                  "y.jsonl", "--eval_dataset", "[{path: e.jsonl, format: text}, f.jsonl]", NULL);
    assert_int_equal(recipe->dataset.count, 2);
    assert_string_equal(recipe->dataset.items[0].path, "x.jsonl");
    assert_true(recipe->dataset.items[0].weight == 3);
    assert_string_equal(recipe->dataset.items[1].path, "y.jsonl");
    assert_int_equal(recipe->eval_dataset.count, 2);
    assert_string_equal(recipe->eval_dataset.items[0].format, "text");
    recipe_free(recipe);
    recipe = recipe_of(&sft_stage, "dataset: [a, b]\nmodel_name_or_path: m\noutput_dir: o\n", "--dataset",
                       "other.jsonl", NULL);
    assert_int_equal(recipe->dataset.count, 1);
    assert_string_equal(recipe->dataset.items[0].path, "other.jsonl");
    recipe_free(recipe);
    recipe = recipe_of(&sft_stage, "", "--model_name_or_path", "m", "--output_dir", "o", "--dataset.0.path", "a", NULL);
    assert_string_equal(recipe->dataset.items[0].path, "a");
    recipe_free(recipe);
}

/* What the older and the newer name of a warm-up come to. */
static void warmup(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        double warmup_steps;
    } cases[] = {
        {"", 0.03},
        {"warmup_ratio: 0.1\n", 0.1},
        {"warmup_steps: 0.1\n", 0.1},
        {"warmup_steps: 20\n", 20},
        {"warmup_steps: 0\n", 0},
        {"warmup_ratio: 0.1\nwarmup_steps: 5\n", 5},
        {"lr_scheduler_type: constant\n", 0},
        {"lr_scheduler_type: constant_with_warmup\nwarmup_ratio: 0.2\n", 0.2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[256];
        snprintf(yaml, sizeof yaml, "%s%s", cases[i].yaml, LEAST);
        struct recipe *recipe = recipe_of(&sft_stage, yaml, NULL);
        assert_true(recipe->warmup_steps == cases[i].warmup_steps);
        recipe_free(recipe);
    }
    struct recipe *recipe = recipe_of(&sft_stage, LEAST "warmup_steps: 5\n", "--warmup_ratio", "0.25", NULL);
    assert_true(recipe->warmup_steps == 0.25);
    recipe_free(recipe);
    recipe = recipe_of(&sft_stage, LEAST "warmup_ratio: 0.1\n", "--warmup_steps", "7", NULL);
    assert_true(recipe->warmup_steps == 7);
    recipe_free(recipe);
}

static void names_also_understood(void **state)
{
    (void)state;
    struct recipe *recipe =
        recipe_of(&ppo_stage,
                  LEAST_PPO "max_completion_length: 40\nepsilon: 0.3\nbeta: 0.01\ntarget: 5\nhorizon: 2000\n"
                            "num_iterations: 2\n",
                  NULL);
    assert_int_equal(ppo_keys(recipe)->response_length, 40);
    assert_true(ppo_keys(recipe)->cliprange == 0.3);
    assert_true(ppo_keys(recipe)->kl_coef == 0.01);
    assert_true(ppo_keys(recipe)->kl_target == 5);
    assert_true(ppo_keys(recipe)->kl_horizon == 2000);
    assert_int_equal(ppo_keys(recipe)->num_ppo_epochs, 2);
    assert_true(recipe_is_set(recipe, "kl_coef"));
    recipe_free(recipe);
    recipe = recipe_of(&sft_stage, LEAST "dtype: bfloat16\n", NULL);
    assert_int_equal(recipe->dtype, RECIPE_DTYPE_BF16);
    recipe_free(recipe);
    recipe = recipe_of(&sft_stage, LEAST "dtype: float32\n", NULL);
    assert_int_equal(recipe->dtype, RECIPE_DTYPE_F32);
    recipe_free(recipe);
}

static void resuming(void **state)
{
    (void)state;
    static const char *const words[][2] = {{"true", "auto"},   {"auto", "auto"},
                                           {"false", "never"}, {"never", "never"},
                                           {"no", "never"},    {"runs/a/checkpoint-5", "runs/a/checkpoint-5"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct recipe *recipe = recipe_of(&sft_stage, LEAST, "--resume_from_checkpoint", words[i][0], NULL);
        assert_string_equal(recipe->resume_from_checkpoint, words[i][1]);
        recipe_free(recipe);
    }
}

static void words_of_choices(void **state)
{
    (void)state;
    struct recipe *recipe = recipe_of(&sft_stage, LEAST "dtype: fp32\nlr_scheduler_type: linear\n", NULL);
    assert_string_equal(recipe_choice(recipe, "dtype"), "f32");
    assert_string_equal(recipe_choice(recipe, "device"), "auto");
    assert_string_equal(recipe_choice(recipe, "lr_scheduler_type"), "linear");
    recipe_free(recipe);
}

/* The forms other people's scripts write. */
static void scripts_of_others(void **state)
{
    (void)state;
    struct recipe *recipe =
        recipe_of(&sft_stage,
                  "model_name_or_path: /lab/smollm2\nadapter_name_or_path: /lab/quality/init\noutput_dir: /tmp/x/run\n"
                  "dataset:\n  - path: /tmp/x/train.jsonl\neval_dataset:\n  - path: /tmp/x/eval.jsonl\n"
                  "max_length: 640\npacking: false\nshuffle: false\nper_device_train_batch_size: 4\n"
                  "gradient_accumulation_steps: 2\nnum_train_epochs: 1\nlearning_rate: 2.0e-4\n"
                  "lr_scheduler_type: linear\nwarmup_ratio: 0.0\nweight_decay: 0.0\nmax_grad_norm: 1.0\n"
                  "logging_steps: 1\neval_steps: 12\ndtype: f32\nseed: 7\n",
                  NULL);
    assert_true(recipe->warmup_steps == 0);
    assert_int_equal(recipe->lr_scheduler_type, SCHEDULE_LINEAR);
    assert_int_equal(recipe->dtype, RECIPE_DTYPE_F32);
    recipe_free(recipe);
    recipe = recipe_of(
        &ppo_stage,
        "model_name_or_path: /lab/smollm2\noutput_dir: /tmp/x/run\ndataset:\n  - path: /tmp/x/p.jsonl\n"
        "reward_command: /usr/bin/python3 /tmp/x/score.py\nresponse_length: 40\nper_device_train_batch_size: 32\n"
        "max_steps: 24\nnum_ppo_epochs: 4\nlearning_rate: 1.0e-4\nkl_coef: 0.02\ntemperature: 1.0\n"
        "logging_steps: 1\nlora_r: 16\nlora_target_modules: all-linear\n",
        NULL);
    assert_string_equal(ppo_keys(recipe)->reward_command, "/usr/bin/python3 /tmp/x/score.py");
    assert_int_equal(recipe->max_steps, 24);
    recipe_free(recipe);
    recipe = recipe_of(
        &reward_stage,
        LEAST
        "max_length: 512\nper_device_train_batch_size: 8\nnum_train_epochs: 1\nlearning_rate: 5.0e-4\nlora_r: 16\n"
        "lora_target_modules: all-linear\nlogging_steps: 1\n",
        NULL);
    assert_true(recipe->learning_rate == 5e-4);
    recipe_free(recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(least),
        cmocka_unit_test(defaults_by_stage_and_method),
        cmocka_unit_test(too_long_by_stage),
        cmocka_unit_test(the_stage_that_the_keys_belong_to),
        cmocka_unit_test(defaults_of_ppo),
        cmocka_unit_test(numbers),
        cmocka_unit_test(switches),
        cmocka_unit_test(lists),
        cmocka_unit_test(datasets),
        cmocka_unit_test(anchors_and_aliases),
        cmocka_unit_test(nothing_given),
        cmocka_unit_test(options),
        cmocka_unit_test(options_of_datasets),
        cmocka_unit_test(warmup),
        cmocka_unit_test(names_also_understood),
        cmocka_unit_test(scripts_of_others),
        cmocka_unit_test(resuming),
        cmocka_unit_test(words_of_choices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
