/* What a user is told about a recipe that is not right: all of it, each with its place and a way out. */
#include "ppo/recipe.h"
#include "recipe/keys.h"
#include "reward/recipe.h"
#include "sft/recipe.h"
#include "support/cmocka.h"
#include "support/recipe_texts.h"
#include "support/temporary.h"
#include <stdlib.h>
#include <string.h>

static void five_at_once(void **state)
{
    (void)state;
    const char *text = mistakes_of(&sft_stage,
                                   "model_name_or_path: m\n"
                                   "output_dir: out\n"
                                   "sequence_len: 512\n"
                                   "dataset:\n"
                                   "  - pth: a.jsonl\n"
                                   "lora_r: sixteen\n"
                                   "warmup_ratio: 1.5\n"
                                   "  \n"
                                   "leraning_rate: 1e-4\n",
                                   NULL);
    assert_says(text, "5 mistakes", "\nr.yaml:3:1: 'sequence_len' is the name in axolotl; here it is max_length",
                "\nr.yaml:5:5: unknown key 'pth'; did you mean path?",
                "\nr.yaml:6:9: lora_r must be a whole number in [1, 65536], not 'sixteen'",
                "\nr.yaml:7:15: warmup_ratio must be a number in [0, 1), not '1.5'",
                "\nr.yaml:9:1: unknown key 'leraning_rate'; did you mean learning_rate?", NULL);
}

static void in_the_order_of_the_file(void **state)
{
    (void)state;
    const char *text = mistakes_of(&sft_stage, "seed: x\neval_steps: 5\npacking: 3\n", "--lora_r", "0", NULL);
    const char *places[] = {
        "r.yaml:1:7",      "r.yaml:2:1",        "r.yaml:3:10", "--lora_r", "r.yaml: model_name_or_path",
        "r.yaml: dataset", "r.yaml: output_dir"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *found = strstr(text, places[i]);
        assert_non_null(found);
        text = found;
    }
}

static void names_of_other_tools(void **state)
{
    (void)state;
    static const struct {
        const char *name, *answer;
    } cases[] = {
        {"base_model", "axolotl; here it is model_name_or_path"},
        {"lora_rank", "LLaMA-Factory; here it is lora_r"},
        {"lora_target", "lora_target_modules"},
        {"lora_target_linear", "lora_target_modules"},
        {"additional_target", "lora_modules_to_save"},
        {"peft_use_rslora", "use_rslora"},
        {"lora_model_dir", "adapter_name_or_path"},
        {"lr_scheduler", "lr_scheduler_type"},
        {"micro_batch_size", "per_device_train_batch_size"},
        {"batch_size", "torchtune; here it is per_device_train_batch_size"},
        {"num_epochs", "num_train_epochs"},
        {"epochs", "num_train_epochs"},
        {"cutoff_len", "max_length"},
        {"max_seq_length", "TRL; here it is max_length"},
        {"sample_packing", "packing"},
        {"neat_packing", "packing"},
        {"train_on_inputs", "train_on_prompt"},
        {"enable_activation_checkpointing", "gradient_checkpointing"},
        {"clip_grad_norm", "max_grad_norm"},
        {"val_set_size", "eval_split"},
        {"val_size", "eval_split"},
        {"template", "chat_template"},
        {"datasets", "axolotl; here it is dataset"},
        {"test_datasets", "eval_dataset"},
        {"early_stopping_steps", "early_stopping_patience"},
        {"auto_resume_from_checkpoints", "resume_from_checkpoint"},
        {"torch_dtype", "dtype"},
        {"lr_warmup_ratio", "OpenRLHF; here it is warmup_ratio"},
        {"bf16", "dtype: bf16"},
        {"pure_bf16", "dtype: bf16"},
        {"wandb_project", "report_to"},
        {"optim", "AdamW"},
        {"stage", "attune sft"},
        {"load_in_4bit", "unquantised"},
        {"eval_strategy", "eval_steps"},
        {"reward_pretrain", "reward_model, a key of attune ppo"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[256];
        snprintf(yaml, sizeof yaml, "%s: x\n" LEAST, cases[i].name);
        assert_says(mistakes_of(&sft_stage, yaml, NULL), "r.yaml:1:1: ", cases[i].name, cases[i].answer, NULL);
    }
}

/* torchtune and OpenRLHF nest their keys. */
static void nested_names(void **state)
{
    (void)state;
    const char *text =
        mistakes_of(&sft_stage,
                    "tokenizer:\n  _component_: x\n  max_seq_len: 2048\noptimizer: {lr: 1e-4}\n"
                    "ds:\n  lora: {rank: 8}\n"
                    "checkpointer:\n  checkpoint_dir: m\n"
                    "dataset: {path: d, packed: true, train_on_input: false, type: alpaca}\noutput_dir: o\n",
                    NULL);
    assert_says(text, "r.yaml:3:3: 'tokenizer.max_seq_len' is the name in torchtune; here it is max_length",
                "r.yaml:4:13: 'optimizer.lr'", "here it is learning_rate",
                "r.yaml:6:10: 'ds.lora.rank' is the name in OpenRLHF; here it is lora_r",
                "r.yaml:8:3: 'checkpointer.checkpoint_dir'", "r.yaml:9:20: 'dataset.packed'", "here it is packing",
                "'dataset.train_on_input'", "'type' is the name in axolotl; here it is format", NULL);
    assert_says(mistakes_of(&sft_stage, LEAST "flavour: {sweet: 1}\n", NULL),
                "r.yaml:4:1: unknown key 'flavour'; `attune help`", NULL);
}

static void keys_of_other_stages(void **state)
{
    (void)state;
    assert_says(mistakes_of(&ppo_stage, LEAST_PPO "packing: true\n", NULL),
                "packing is a key of attune sft, not of attune ppo", NULL);
    assert_says(mistakes_of(&sft_stage, LEAST "kl_coef: 1\n", NULL),
                "kl_coef is a key of attune ppo, not of attune sft", NULL);
    assert_says(mistakes_of(&sft_stage, LEAST, "--beta", "1", NULL), "--beta: kl_coef is a key of attune ppo", NULL);
    assert_says(mistakes_of(&ppo_stage, LEAST_PPO "early_stopping_patience: 2\n", NULL),
                "of attune sft and attune reward, not of attune ppo", NULL);
    assert_says(
        mistakes_of(&sft_stage, "dataset: [{path: a, project: b}]\nmodel_name_or_path: m\noutput_dir: o\n", NULL),
        "r.yaml:1:21: project is a key of attune reward", NULL);
}

static void given_twice(void **state)
{
    (void)state;
    assert_says(mistakes_of(&sft_stage, LEAST "seed: 1\nlora_r: 2\nseed: 3\n", NULL),
                "r.yaml:6:1: seed stands here a second time; the first is in line 4, column 1", NULL);
    assert_says(mistakes_of(&sft_stage, LEAST "seed:\nseed: 3\n", NULL), "r.yaml:5:1: seed stands here a second time",
                NULL);
    assert_says(mistakes_of(&ppo_stage, LEAST_PPO "cliprange: 0.1\nepsilon: 0.2\n", NULL),
                "r.yaml:6:1: cliprange stands here a second", NULL);
    assert_says(mistakes_of(&sft_stage, "dataset: [{path: a, path: b}]\nmodel_name_or_path: m\noutput_dir: o\n", NULL),
                "r.yaml:1:21: path stands here a second time", NULL);
}

static void wrong_values(void **state)
{
    (void)state;
    static const struct {
        const char *line, *answer;
    } cases[] = {
        {"dtype: fp8", "dtype must be one of auto, f32, bf16, not 'fp8'"},
        {"lora_dropout: 1", "lora_dropout must be a number in [0, 1), not '1'"},
        {"lora_alpha: 0", "lora_alpha must be a number in (0, 1e6], not '0'"},
        {"save_steps: -1", "save_steps must be a whole number, at least 0, not '-1'"},
        {"seed: [1, 2]", "r.yaml:4:7: seed must be a single value, not a list"},
        {"seed: {a: 1}", "seed must be a single value, not a mapping"},
        {"output_dir: ''", "output_dir"},
        {"chat_template: ''", "chat_template is empty"},
        {"report_to: wandb", "report_to must be any of tensorboard, not 'wandb'"},
        {"report_to: [tensorboard, wandb]", "r.yaml:4:26: report_to: an item must be any of tensorboard, not 'wandb'"},
        {"lora_target_modules: [[q_proj]]", "lora_target_modules must be a single value, not a list"},
        {"lora_target_modules: []", "lora_target_modules names no layer"},
        {"lora_target_modules: 'a,,b'", "lora_target_modules is empty"},
        {"eval_dataset: []", "eval_dataset has no entry"},
        {"eval_dataset: [{format: text}]", "entry 0 of eval_dataset has no path"},
        {"eval_dataset: [{path: a, format: jsonl}]", "format must be one of auto, alpaca, sharegpt"},
        {"eval_dataset: [{path: a, weight: 0}]", "weight must be a number in (0, 1e6], not '0'"},
        {"chat_template: \"a\\0b\"", "chat_template holds a zero byte"},
        {"? [a]\n: b", "r.yaml:4:3: the name of a key must be a single value, not a list"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[256];
        snprintf(yaml, sizeof yaml, LEAST "%s\n", cases[i].line);
        assert_says(mistakes_of(&sft_stage, yaml, NULL), cases[i].answer, NULL);
    }
}

static void keys_that_do_not_fit_together(void **state)
{
    (void)state;
    static const struct {
        const struct recipe_stage *stage;
        const char *lines, *answer;
    } cases[] = {
        {&sft_stage, "eval_steps: 10",
         "r.yaml:5:1: eval_steps is 10, but there is nothing to evaluate; add eval_split"},
        {&sft_stage, "eval_split: 0.1\neval_dataset: e", "r.yaml:5:1: eval_split holds a part of dataset back"},
        {&sft_stage, "early_stopping_patience: 2\neval_split: 0.1", "early_stopping_patience needs eval_steps"},
        {&sft_stage, "early_stopping_patience: 2", "needs eval_steps, and eval_split or eval_dataset"},
        {&sft_stage, "load_best_model_at_end: true", "load_best_model_at_end needs eval_steps"},
        {&sft_stage, "finetuning_type: full\nlora_r: 8",
         "r.yaml:6:1: lora_r has no meaning with finetuning_type: full; leave it out"},
        {&sft_stage, "finetuning_type: full\nadapter_name_or_path: a",
         "merge the adapter first, with attune export --merge"},
        {&sft_stage, "use_dora: true", "DoRA is not done yet"},
        {&sft_stage, "lr_scheduler_type: constant\nwarmup_steps: 5",
         "r.yaml:6:1: lr_scheduler_type: constant has no warm-up"},
        {&sft_stage, "lr_scheduler_type: constant\nwarmup_ratio: 0.1", "or leave warmup_ratio out"},
        {&sft_stage, "lr_scheduler_type: constant_with_warmup\nmin_lr_rate: 0.1",
         "min_lr_rate needs a schedule that falls"},
        {&sft_stage, "lr_scheduler_type: cosine_with_min_lr", "needs min_lr_rate, for example 0.1"},
        {&sft_stage, "train_on_prompt: true\ntrain_roles: [user]",
         "train_roles has no meaning with train_on_prompt: true"},
        {&sft_stage, "sample_prompts: [a]\nsample_prompts_file: b",
         "sample_prompts and sample_prompts_file are both given"},
        {&sft_stage, "on_too_long: keep_end", "r.yaml:5:1: on_too_long: keep_end is for the rankings of attune reward"},
        {&reward_stage, "on_too_long: truncate", "where its score is read; write drop or keep_end"},
        {&ppo_stage, "", "PPO needs something that scores answers"},
        {&ppo_stage, "reward_model: a\nreward_command: b", "reward_model and reward_command are both given"},
        {&ppo_stage, "reward_command: b\ncritic_init: reward", "critic_init: reward needs a reward_model"},
        {&ppo_stage, "reward_model: a\nlora_dropout: 0.1", "lora_dropout must be 0 in PPO"},
        {&ppo_stage, "reward_model: a\nmax_length: 40",
         "response_length is 53, which leaves no room for a prompt in max_length, 40"},
        {&ppo_stage, "reward_model: a\nadvantage_estimator: grpo\nnum_generations: 1",
         "num_generations must be at least 2"},
        {&ppo_stage, "reward_model: a\nnum_mini_batches: 100",
         "num_mini_batches is 100, but an iteration has only 64 answers"},
        {&ppo_stage, "reward_model: a\nadaptive_kl: true\nkl_coef: 0", "adaptive_kl multiplies kl_coef"},
        {&ppo_stage, "reward_model: a\nptx_coef: 1", "ptx_coef needs a ptx_dataset"},
        {&ppo_stage, "reward_model: a\nptx_dataset: t", "ptx_dataset has no effect while ptx_coef is 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[256];
        snprintf(yaml, sizeof yaml, "# a comment\n" LEAST "%s\n", cases[i].lines);
        const char *text = mistakes_of(cases[i].stage, yaml, NULL);
        assert_says(text, cases[i].answer, NULL);
        assert_null(strstr(text, "mistakes:")); /* one thing wrong is told as one */
    }
}

static void wrong_options(void **state)
{
    (void)state;
    static const struct {
        const char *one, *two, *answer;
    } cases[] = {
        {"learning_rate", "1", "'learning_rate' is no option; write --key value"},
        {"--", NULL, "'--' is no option"},
        {"--lora_r", NULL, "--lora_r: needs a value: --lora_r VALUE"},
        {"--lora_r", "--packing", "--lora_r: needs a value"},
        {"--lora-rank=8", NULL, "--lora-rank: 'lora_rank' is the name in LLaMA-Factory; here it is lora_r"},
        {"--lora_r=x", NULL, "--lora_r: lora_r must be a whole number"},
        {"--dataset.2.path", "a", "--dataset.2.path: write --dataset.N.path with N from 0 to 1"},
        {"--dataset.x.path", "a", "write --dataset.N.path"},
        {"--dataset.0.pth", "a", "--dataset.0.pth: unknown key 'pth'; did you mean path?"},
        {"--dataset.0", "a", "write --dataset.N.path"},
        {"--tokenizer.max_seq_len", "5", "here it is max_length"},
        {"--dataset", "[{path: a", "--dataset: this is not YAML"},
        {"--dataset", "[{pth: a}]", "--dataset: unknown key 'pth'; did you mean path?"},
        {"--eval_steps", "5", "--eval_steps: eval_steps is 5, but there is nothing to evaluate"},
        {"--output_dir", "\xff", "--output_dir: output_dir is not UTF-8"},
        {"--output_dir=", NULL, "--output_dir: output_dir is empty"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_says(mistakes_of(&sft_stage, LEAST, cases[i].one, cases[i].two, NULL), cases[i].answer, NULL);
    }
}

static void no_yaml(void **state)
{
    (void)state;
    assert_says(mistakes_of(&sft_stage, LEAST "seed: [1\n", NULL), "r.yaml:5:1: this is not YAML:", NULL);
    assert_says(mistakes_of(&sft_stage, LEAST "\tseed: 1\n", NULL), "r.yaml:4:1: this is not YAML:", NULL);
    assert_says(mistakes_of(&sft_stage, LEAST "seed: \xff\n", NULL), "this is not YAML: invalid leading UTF-8 octet",
                NULL);
    assert_says(mistakes_of(&sft_stage, LEAST "---\nseed: 1\n", NULL), "r.yaml:5:1: a second document begins here",
                NULL);
    assert_says(mistakes_of(&sft_stage, "- a\n- b\n", NULL), "r.yaml:1:1: a recipe is a list of `key: value` lines",
                NULL);
    assert_says(mistakes_of(&sft_stage, "", NULL), "3 mistakes",
                "r.yaml: model_name_or_path is missing: folder of a Hugging Face model", "r.yaml: dataset is missing",
                "r.yaml: output_dir is missing", NULL);
    assert_says(mistakes_of(&sft_stage, LEAST "seed: *nowhere\n", NULL), "this is not YAML: found undefined alias",
                NULL);
}

/* Time of libyaml grows with the square of the depth, and aliases make much of little: both end early. */
static void hostile(void **state)
{
    (void)state;
    size_t size = 250000;
    char *yaml = calloc(size + 1, 1);
    assert_non_null(yaml);
    memset(yaml, '[', size);
    const char *text = mistakes_of(&sft_stage, yaml, NULL);
    assert_says(text, "r.yaml:1:33: lists and mappings are nested deeper than 32 here", NULL);
    assert_null(strstr(text, "is missing")); /* nothing is known of such a file */
    assert_says(mistakes_of(&sft_stage, LEAST, "--dataset", yaml, NULL), "--dataset: lists and mappings are nested",
                NULL);
    char *end = yaml + sprintf(yaml, "x: &many {");
    for (int i = 0; i < 3000; i++) {
        end += sprintf(end, "unheard_of_%d: 1,", i);
    }
    end += sprintf(end, "}\ny: &more {");
    for (int i = 0; i < 3000; i++) {
        end += sprintf(end, "member_%d: *many,", i);
    }
    end += sprintf(end, "}\nz: *more\ndataset: [");
    for (int i = 0; i < 3000; i++) {
        end += sprintf(end, "*many,");
    }
    sprintf(end, "]\n");
    assert_says(mistakes_of(&sft_stage, yaml, NULL), "at least", "unknown key 'unheard_of_0'", NULL);
    free(yaml);
}

static void very_many(void **state)
{
    (void)state;
    char yaml[20000] = "";
    size_t length = 0;
    for (int i = 0; i < 500; i++) {
        length += (size_t)snprintf(yaml + length, sizeof yaml - length, "nonsense_number_%d: 1\n", i);
    }
    const char *text = mistakes_of(&sft_stage, yaml, NULL);
    assert_says(text, "r.yaml:1:1: unknown key 'nonsense_number_0'", "r.yaml:20:1", "more", NULL);
    assert_true(strlen(text) < ERR_TEXT_MAX);
}

static void files(void **state)
{
    (void)state;
    struct recipe *recipe;
    struct err err;
    assert_int_equal(recipe_load(&recipe, &all_stages, &sft_stage, temporary("none.yaml"), 0, NULL, &err), -1);
    assert_says(err.text, "none.yaml", NULL);
    assert_int_equal(recipe_load(&recipe, &all_stages, &sft_stage, temporary("."), 0, NULL, &err), -1);
    assert_says(err.text, "directory", NULL);
    FILE *file = fopen(temporary("big.yaml"), "w");
    for (int i = 0; i < 300000; i++) {
        fputs("#\n", file);
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(recipe_load(&recipe, &all_stages, &sft_stage, temporary("big.yaml"), 0, NULL, &err), -1);
    assert_says(err.text, "big.yaml", NULL);
    assert_int_equal(recipe_load(&recipe, &all_stages, &sft_stage, NULL, 0, NULL, &err), -1);
    assert_says(err.text, "command line: model_name_or_path is missing", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_at_once),
        cmocka_unit_test(in_the_order_of_the_file),
        cmocka_unit_test(names_of_other_tools),
        cmocka_unit_test(nested_names),
        cmocka_unit_test(keys_of_other_stages),
        cmocka_unit_test(given_twice),
        cmocka_unit_test(wrong_values),
        cmocka_unit_test(keys_that_do_not_fit_together),
        cmocka_unit_test(wrong_options),
        cmocka_unit_test(no_yaml),
        cmocka_unit_test(hostile),
        cmocka_unit_test(very_many),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
