/*
 * tests/commands/test_memory.c - the plan of a run's memory.json is the peak that its process reaches, from the program
 * itself to the files that are written at the end.
 *
 * Each run is a process of its own with a model of about 60 MiB, and rows, prompts and answers that are all as long as
 * the longest, so that every page that was planned is touched.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "model/init.h"
#include "model/memory.h"
#include "ppo/ppo.h"
#include "ppo/recipe.h"
#include "reward/recipe.h"
#include "reward/reward.h"
#include "sft/recipe.h"
#include "sft/sft.h"
#include "support/fixture.h"
#include "support/sanitized.h"
#include "support/stage_runs.h"
#include "support/temporary.h"
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOLERANCE 0.03
#define ROWS      16

static const char config[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_act\": \"silu\","
    " \"vocab_size\": 16000, \"hidden_size\": 384, \"intermediate_size\": 1536, \"num_hidden_layers\": 4,"
    " \"num_attention_heads\": 8, \"num_key_value_heads\": 4, \"max_position_embeddings\": 512, \"rms_norm_eps\": 1e-5,"
    " \"rope_theta\": 10000.0, \"attention_bias\": false, \"mlp_bias\": false, \"tie_word_embeddings\": true,"
    " \"torch_dtype\": \"float32\", \"bos_token_id\": 0, \"eos_token_id\": 2, \"pad_token_id\": 3}\n";

/* A run, and the folder that it leaves. */
struct setting {
    const struct tested_stage *stage;
    const char *name;
    enum dtype compute;
    const char *lines;
};

static const struct tested_stage tested_sft = {.stage = &sft_stage, .run = sft_run};
static const struct tested_stage tested_reward = {.stage = &reward_stage, .run = reward_run};
static const struct tested_stage tested_ppo = {.stage = &ppo_stage, .run = ppo_run};

/* A process's exit status where all went well. */
static int in_a_process(int (*body)(void *context), void *context)
{
    pid_t child = fork();
    int status = -1;
    assert_true(child >= 0);
    if (child == 0) {
        _exit(body(context));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int write_weights(void *context)
{
    struct err err;
    return model_write_random(context, 0.05, 11, &err) == 0 ? 0 : 1;
}

/* `words` words that differ from text to text and are all as long, in tokens too. */
static void put_words(struct strbuf *text, int number, int words)
{
    for (int w = 0; w < words; w++) {
        strbuf_printf(text, "%s%c%c", w ? " " : "", 'a' + (number + w) % 26, 'a' + (number * 7 + w * 3) % 26);
    }
}

static void write_records(const char *name, int first)
{
    struct strbuf text = {0};
    for (int r = first; r < first + ROWS; r++) {
        strbuf_puts(&text, "{\"messages\": [{\"role\": \"user\", \"content\": \"");
        put_words(&text, r, 10);
        strbuf_puts(&text, "\"}, {\"role\": \"assistant\", \"content\": \"");
        put_words(&text, r + 5, 60);
        strbuf_puts(&text, "\"}]}\n");
    }
    write_bytes(temporary("%s", name), text.data, text.length);
    strbuf_free(&text);
}

static void write_rankings(const char *name)
{
    struct strbuf text = {0};
    for (int r = 0; r < ROWS; r++) {
        strbuf_puts(&text, "{\"prompt\": \"");
        put_words(&text, r, 10);
        strbuf_puts(&text, "\", \"chosen\": \"");
        put_words(&text, r + 5, 60);
        strbuf_puts(&text, "\", \"rejected\": \"");
        put_words(&text, r + 9, 60);
        strbuf_puts(&text, "\"}\n");
    }
    write_bytes(temporary("%s", name), text.data, text.length);
    strbuf_free(&text);
}

static void write_prompts(const char *name)
{
    struct strbuf text = {0};
    for (int r = 0; r < ROWS; r++) {
        strbuf_puts(&text, "{\"prompt\": \"");
        put_words(&text, r, 30);
        strbuf_puts(&text, "\"}\n");
    }
    write_bytes(temporary("%s", name), text.data, text.length);
    strbuf_free(&text);
}

static int setup(void **state)
{
    if (temporary_setup(state) != 0) {
        return -1;
    }
    log_set_quiet(true);
    struct err err;
    must(file_make_dirs(temporary("model"), &err));
    write_bytes(temporary("model/config.json"), config, strlen(config));
    must(file_copy(fixture_path("tiny-text", "tokenizer.json"), temporary("model/tokenizer.json"), &err));
    must(file_copy(fixture_path("tiny-text", "tokenizer_config.json"), temporary("model/tokenizer_config.json"), &err));
    char folder[512];
    snprintf(folder, sizeof folder, "%s", temporary("model"));
    assert_int_equal(in_a_process(write_weights, folder), 0);
    write_records("train.jsonl", 0);
    write_records("eval.jsonl", ROWS);
    write_rankings("rankings.jsonl");
    write_prompts("prompts.jsonl");
    return 0;
}

struct process {
    const struct setting *setting;
    const struct recipe *recipe;
    int answer; /* a pipe's end: the peak goes there */
};

static int run_stage(void *context)
{
    const struct process *process = context;
    struct err err;
    struct backend *backend = cpu_backend(process->setting->compute, 2);
    const struct stage_options options = {0};
    enum loop_outcome outcome = process->setting->stage->run(process->recipe, backend, &options, &err);
    backend->free(backend);
    size_t peak = memory_peak();
    if (outcome != LOOP_FINISHED) {
        fprintf(stderr, "%s\n", err.text);
    }
    return outcome == LOOP_FINISHED && write(process->answer, &peak, sizeof peak) == sizeof peak ? 0 : 1;
}

static double planned(const char *name, struct strbuf *shown)
{
    struct err err;
    json_t *root = json_read_file(temporary("%s/memory.json", name), 1 << 16, &err);
    assert_non_null(root);
    const char *kind;
    json_t *bytes;
    json_object_foreach(json_object_get(root, "plan"), kind, bytes)
        strbuf_printf(shown, "\n  %-18s %9.2f MiB", kind, json_number_value(bytes) / (1 << 20));
    double total = json_number_value(json_object_get(root, "total"));
    json_decref(root);
    return total;
}

static void planned_is_the_peak(void **state)
{
    const struct setting *setting = *state;
    int ends[2];
    size_t peak = 0;
    struct recipe *recipe = stage_recipe(setting->stage, setting->name, setting->lines);
    assert_int_equal(pipe(ends), 0);
    struct process process = {setting, recipe, ends[1]};
    assert_int_equal(in_a_process(run_stage, &process), 0);
    assert_int_equal(read(ends[0], &peak, sizeof peak), sizeof peak);
    close(ends[0]);
    close(ends[1]);
    recipe_free(recipe);
    struct strbuf shown = {0};
    double plan = planned(setting->name, &shown), ratio = (double)peak / plan;
    print_message("planned %.2f MiB, peak %.2f MiB (%+.2f %%)\n", plan / (1 << 20), (double)peak / (1 << 20),
                  100 * (ratio - 1));
    if (ratio > 1 + TOLERANCE || ratio < 1 - TOLERANCE) {
        fail_msg("the peak is not what was planned:%s", strbuf_text(&shown));
    }
    strbuf_free(&shown);
    if (setting->stage != &tested_reward) { /* PPO is scored by what that made */
        remove_tree(temporary("%s", setting->name));
    }
}

#define SFT      "dataset: @/train.jsonl\nper_device_train_batch_size: 4\nmax_length: 256\n"
#define EVALUATE "eval_dataset: @/eval.jsonl\neval_steps: 1\n"
#define REWARD   "dataset: @/rankings.jsonl\nper_device_train_batch_size: 2\nmax_length: 256\nmax_steps: 1\n"
#define PPO                                                                                                            \
    "dataset: @/prompts.jsonl\nreward_model: @/reward\nresponse_length: 64\nper_device_train_batch_size: 8\n"          \
    "num_generations: 2\nrollout_batch_size: 16\nmax_steps: 1\n"

static const struct setting settings[] = {
    {&tested_sft, "sft-lora", DTYPE_F32, SFT "max_steps: 1\n"},
    {&tested_sft, "sft-lora-bf16", DTYPE_BF16, SFT "max_steps: 1\nlora_dropout: 0.1\n"},
    {&tested_sft, "sft-checkpointing", DTYPE_F32,
     SFT "max_steps: 1\ngradient_checkpointing: true\nlora_modules_to_save: [lm_head]\n"},
    /* The second step is worse, and the first one's weights are read again. */
    {&tested_sft, "sft-full-best", DTYPE_F32,
     SFT EVALUATE "max_steps: 2\nsave_steps: 1\nfinetuning_type: full\nlearning_rate: 0.05\nwarmup_ratio: 0\n"
                  "load_best_model_at_end: true\n"},
    {&tested_sft, "sft-samples", DTYPE_F32,
     SFT EVALUATE "max_steps: 1\nsample_max_new_tokens: 100\n"
                  "sample_prompts: [what is the sea, name an animal, what is four, who]\n"},
    {&tested_reward, "reward", DTYPE_F32, REWARD},
    {&tested_reward, "reward-full", DTYPE_F32, REWARD "finetuning_type: full\n"},
    {&tested_ppo, "ppo-gae", DTYPE_F32, PPO},
    {&tested_ppo, "ppo-grpo", DTYPE_F32, PPO "advantage_estimator: grpo\n"},
    {&tested_ppo, "ppo-gae-full", DTYPE_F32, PPO "finetuning_type: full\n"},
};
#define SETTINGS (sizeof settings / sizeof *settings)

int main(void)
{
    if (SANITIZED) {
        printf("skipped: a sanitizer takes memory of its own\n");
        return 77;
    }
    struct CMUnitTest tests[SETTINGS];
    for (size_t i = 0; i < SETTINGS; i++) {
        tests[i] = (struct CMUnitTest){.name = settings[i].name,
                                       .test_func = planned_is_the_peak,
                                       .initial_state = (void *)(uintptr_t)&settings[i]};
    }
    return cmocka_run_group_tests(tests, setup, temporary_teardown);
}
