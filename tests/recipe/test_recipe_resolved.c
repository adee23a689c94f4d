/* The resolved recipe reads back as it was, and what may change between two parts of a run. */
#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "ppo/recipe.h"
#include "reward/recipe.h"
#include "sft/recipe.h"
#include "support/cmocka.h"
#include "support/recipe_texts.h"
#include "support/temporary.h"
#include <string.h>

static char *written(const struct recipe *recipe)
{
    struct err err;
    struct strbuf text = {0};
    assert_int_equal(recipe_write(recipe, temporary("recipe.resolved.yaml"), &err), 0);
    assert_int_equal(file_read(&text, temporary("recipe.resolved.yaml"), 1 << 20, &err), 0);
    return text.data;
}

static void reads_back(void **state)
{
    (void)state;
    static const struct {
        const struct recipe_stage *stage;
        const char *yaml;
    } cases[] = {
        {&sft_stage, LEAST},
        {&reward_stage, LEAST},
        {&ppo_stage, LEAST_PPO},
        {&ppo_stage, LEAST_PPO "advantage_estimator: grpo\n"},
        {&sft_stage, LEAST "finetuning_type: full\n"},
        {&sft_stage, LEAST "adapter_name_or_path: a\n"},
        {&sft_stage, LEAST "adapter_name_or_path: a\nlora_r: 4\n"},
        {&sft_stage, LEAST "train_on_prompt: true\n"},
        {&sft_stage, LEAST "lr_scheduler_type: constant\n"},
        {&sft_stage, LEAST "lr_scheduler_type: cosine_with_min_lr\nmin_lr_rate: 0.1\n"},
        {&sft_stage, LEAST "warmup_steps: 30\n"},
        {&sft_stage, LEAST "warmup_ratio: 0.3\nseed: 9223372036854775807\nlearning_rate: 1.0000000000000002e-5\n"},
        {&sft_stage,
         LEAST "eval_dataset: [{path: 'a b: c', format: text, split: eval, weight: 0.1}, d]\neval_steps: 5\n"},
        {&sft_stage, LEAST "sample_prompts: ['none', \"tab\\t quote\\\" back\\\\ \\x7f \\u0085 \\u2028 \\ufeff\", "
                           "'na\u00efve \U0001F600', ' a, b ']\n"},
        {&sft_stage,
         LEAST "chat_template: 'null'\nreport_to: tensorboard\nlora_modules_to_save: [lm_head, embed_tokens]\n"},
        {&sft_stage, LEAST "sample_prompts: x\neval_steps: 3\nresume_from_checkpoint: never\n"},
        {&reward_stage, LEAST "eval_dataset: {path: p.db, project: x, annotators: [a, 'b, c'], min_agreement: 0.7}\n"},
        {&ppo_stage, LEAST_PPO "ptx_coef: 0.5\nptx_dataset: t\n"},
        {&ppo_stage, LEAST "reward_command: \"python3 'x y.py' # not a comment\"\ncritic_init: fresh\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct recipe *first = recipe_of(cases[i].stage, cases[i].yaml, NULL), *again;
        struct err err;
        char *once = written(first);
        if (recipe_load(&again, &all_stages, cases[i].stage, temporary("recipe.resolved.yaml"), 0, NULL, &err) != 0) {
            fail_msg("%s", err.text);
        }
        char *twice = written(again);
        assert_string_equal(once, twice);
        assert_int_equal(recipe_check_resume(again, first, &err), 0);
        mem_free(once);
        mem_free(twice);
        recipe_free(first);
        recipe_free(again);
    }
}

static void holds_every_key_that_applies(void **state)
{
    (void)state;
    struct recipe *recipe = recipe_of(&sft_stage, LEAST, NULL);
    char *text = written(recipe);
    assert_says(text, "\nmodel_name_or_path: \"m\"\n", "\nlora_r: 16\n", "\nlearning_rate: 0.0002\n",
                "\nadam_epsilon: 1.0e-08\n",
                "\ndataset: [{path: \"d.jsonl\", format: null, split: null, weight: 1.0}]\n", "\nwarmup_steps: 0.03\n",
                "\neval_dataset: null\n", "\n# Optimizer\n", NULL);
    assert_null(strstr(text, "kl_coef"));
    assert_null(strstr(text, "project"));
    mem_free(text);
    recipe_free(recipe);
    recipe = recipe_of(&sft_stage, LEAST "adapter_name_or_path: a\nlora_alpha: 8\n", NULL);
    text = written(recipe);
    assert_says(text, "\nadapter_name_or_path: \"a\"\n", "\nlora_alpha: 8.0\n", NULL);
    assert_null(strstr(text, "lora_r:"));
    mem_free(text);
    recipe_free(recipe);
}

static void what_may_change(void **state)
{
    (void)state;
    static const char *const may[] = {"output_dir", "logging_steps",    "save_steps",      "max_steps",
                                      "threads",    "save_total_limit", "num_train_epochs"};
    struct recipe *then = recipe_of(&sft_stage, LEAST, NULL);
    struct err err;
    for (size_t i = 0; i < sizeof may / sizeof may[0]; i++) {
        char option[64];
        snprintf(option, sizeof option, "--%s=7", may[i]);
        struct recipe *now = recipe_of(&sft_stage, LEAST, option, NULL);
        assert_int_equal(recipe_check_resume(now, then, &err), 0);
        recipe_free(now);
    }
    recipe_free(then);
}

static void what_may_not_change(void **state)
{
    (void)state;
    static const char *const options[] = {"--learning_rate=1e-5",
                                          "--seed=1",
                                          "--lora_r=8",
                                          "--dataset=other",
                                          "--dtype=f32",
                                          "--max_length=7",
                                          "--packing",
                                          "--shuffle=no",
                                          "--model_name_or_path=n",
                                          "--warmup_steps=3",
                                          "--gradient_accumulation_steps=2",
                                          "--lora_target_modules=q_proj"};
    struct recipe *then = recipe_of(&sft_stage, LEAST, NULL);
    struct err err;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        struct recipe *now = recipe_of(&sft_stage, LEAST, options[i], NULL);
        char name[64];
        snprintf(name, sizeof name, "\n%.*s is ", (int)strcspn(options[i] + 2, "="), options[i] + 2);
        assert_int_equal(recipe_check_resume(now, then, &err), -1);
        assert_says(err.text, "'out'", "choose another output_dir", name, NULL);
        recipe_free(now);
    }
    struct recipe *now = recipe_of(&sft_stage, LEAST, "--seed=1", "--lora_r=8", "--logging_steps=3", NULL);
    assert_int_equal(recipe_check_resume(now, then, &err), -1);
    assert_says(err.text, "\nlora_r is 8 now and was 16\nseed is 1 now and was 42", NULL);
    assert_null(strstr(err.text, "logging_steps"));
    recipe_free(now);
    now = recipe_of(&reward_stage, LEAST, NULL);
    assert_int_equal(recipe_check_resume(now, then, &err), -1);
    assert_says(err.text, "begun by attune sft, so attune reward cannot go on", NULL);
    recipe_free(now);
    recipe_free(then);
}

/* Every single allocation of a load, a write and a comparison fails once: a clean error each time, and (with a
 * sanitizer) no leak. */
static void without_memory(void **state)
{
    (void)state;
    const char *yaml =
        LEAST "eval_dataset: [{path: a, format: text}, {path: b}]\nlora_target_modules: [q_proj, v_proj]\n"
              "sample_prompts: ['one', 'two']\nbase_model: x\nseed: -1\n";
    char *good[] = {"--seed=3", "--dataset.1.path", "c"};
    for (int bad = 0; bad < 2; bad++) {
        long n = 1;
        for (bool done = false; !done; n++) {
            struct recipe *recipe = NULL;
            struct err err = {{0}};
            size_t length = bad ? strlen(yaml) : (size_t)(strstr(yaml, "base_model") - yaml);
            mem_fail_at(n);
            int status =
                recipe_load_text(&recipe, &all_stages, &sft_stage, "r.yaml", yaml, length, bad ? 0 : 3, good, &err);
            done = mem_count() < n;
            mem_fail_at(0);
            assert_int_equal(status, bad || !done ? -1 : 0);
            assert_says(err.text, done ? (bad ? "2 mistakes" : "") : "out of memory", NULL);
            recipe_free(recipe);
        }
        assert_true(n > 10);
    }
}

static void writes_without_memory(void **state)
{
    (void)state;
    struct recipe *one = recipe_of(&ppo_stage, LEAST_PPO, NULL),
                  *other = recipe_of(&ppo_stage, LEAST_PPO "seed: 1\n", NULL);
    struct err err;
    for (int what = 0; what < 2; what++) {
        long n = 1;
        for (bool done = false; !done; n++) {
            mem_fail_at(n);
            int status =
                what == 0 ? recipe_write(one, temporary("r.yaml"), &err) : recipe_check_resume(one, other, &err);
            done = mem_count() < n;
            mem_fail_at(0);
            assert_int_equal(status, done && what == 0 ? 0 : -1);
            assert_says(err.text, done ? "" : "out of memory", NULL);
        }
        assert_true(n > 2);
    }
    recipe_free(one);
    recipe_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back),      cmocka_unit_test(holds_every_key_that_applies),
        cmocka_unit_test(what_may_change), cmocka_unit_test(what_may_not_change),
        cmocka_unit_test(without_memory),  cmocka_unit_test(writes_without_memory),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
