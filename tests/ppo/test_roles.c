/*
 * tests/ppo/test_roles.c - who takes part: policy, reference, critic and reward model as adapters over one base, as
 * models of their own, and with a text side of its own.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/init.h"
#include "ppo/helper_ppo.h"
#include "ppo/reward_model.h"
#include "ppo/rollout.h"
#include "reward/recipe.h"
#include "reward/reward.h"
#include "sft/recipe.h"
#include "sft/sft.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include "support/tiny_text.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define PPO                                                                                                            \
    "response_length: 10\nper_device_train_batch_size: 8\nmax_steps: 3\nlearning_rate: 1e-3\ntemperature: 1\n"         \
    "num_ppo_epochs: 2\n"

#define WIDE "model_name_or_path: @/wide\n"

/* ---- what the roles are made of ---- */

static void write_records(void)
{
    struct strbuf answers = {0}, pairs = {0};
    for (int i = 0; i < 24; i++) {
        strbuf_printf(&answers,
                      "{\"messages\": [{\"role\": \"user\", \"content\": \"what is %d\"}, {\"role\": \"assistant\", "
                      "\"content\": \"it is the sea\"}]}\n",
                      i);
        strbuf_printf(&pairs,
                      "{\"prompt\": \"what is %d\", \"chosen\": \"the sea%*s%d\", \"rejected\": \"whale %d\"}\n", i,
                      i % 4 + 1, "", i * 5 % 7, i);
    }
    write_bytes(temporary("answers.jsonl"), answers.data, answers.length);
    write_bytes(temporary("pairs.jsonl"), pairs.data, pairs.length);
    strbuf_free(&answers);
    strbuf_free(&pairs);
}

/* A model with the same tokenizer whose config.json has `to` in place of `from`. */
static void make_other_model(const char *name, const char *from, const char *to)
{
    struct err err;
    tiny_text_make(temporary("%s", name));
    struct strbuf config = read_bytes(temporary("%s/config.json", name)), changed = {0};
    const char *at = strstr(config.data, from);
    assert_non_null(at);
    strbuf_append(&changed, config.data, (size_t)(at - config.data));
    strbuf_puts(&changed, to);
    strbuf_puts(&changed, at + strlen(from));
    write_bytes(temporary("%s/config.json", name), changed.data, changed.length);
    strbuf_free(&config);
    strbuf_free(&changed);
    must(file_remove_tree(temporary("%s/model.safetensors", name), &err));
    must(model_write_random(temporary("%s", name), TINY_TEXT_DEVIATION, 12, &err));
}

static void run_stage(const struct recipe_stage *stage, const char *model, const char *name, const char *data,
                      const char *lines)
{
    struct err err;
    struct recipe *recipe;
    struct strbuf yaml = {0};
    strbuf_printf(&yaml, "model_name_or_path: %s\noutput_dir: %s\ndataset: %s\nmax_steps: 4\nlearning_rate: 3e-3\n%s",
                  temporary("%s", model), temporary("%s", name), temporary("%s", data), lines);
    must(recipe_load_text(&recipe, &all_stages, stage, "recipe.yaml", yaml.data, yaml.length, 0, NULL, &err));
    strbuf_free(&yaml);
    struct backend *backend = cpu_backend(DTYPE_F32, 2);
    struct stage_options options = {0};
    must(stage == &sft_stage ? sft_run(recipe, backend, &options, &err) : reward_run(recipe, backend, &options, &err));
    backend->free(backend);
    recipe_free(recipe);
}

static int setup(void **state)
{
    if (ppo_setup(state) != 0) {
        return -1;
    }
    write_records();
    run_stage(&sft_stage, "model", "sft", "answers.jsonl", "lora_r: 4\nlora_dropout: 0.1\n");
    run_stage(&reward_stage, "model", "reward", "pairs.jsonl", "lora_r: 8\nlora_dropout: 0\n");
    run_stage(&reward_stage, "model", "reward-full", "pairs.jsonl", "finetuning_type: full\n");
    make_other_model("deep", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    make_other_model("wide", "\"vocab_size\": 320", "\"vocab_size\": 352");
    run_stage(&reward_stage, "deep", "reward-deep", "pairs.jsonl", "lora_r: 4\nlora_dropout: 0\n");
    return 0;
}

/* PPO with further lines; `reward` and `adapter` (or NULL) are folders of the temporary one. */
static struct recipe *recipe_with(const char *reward, const char *adapter, const char *lines)
{
    struct strbuf all = {0};
    strbuf_printf(&all, PPO "reward_model: %s\n", temporary("%s", reward));
    if (adapter) {
        strbuf_printf(&all, "adapter_name_or_path: %s\n", temporary("%s", adapter));
    }
    strbuf_puts(&all, lines);
    struct recipe *recipe = ppo_recipe("run", all.data);
    strbuf_free(&all);
    return recipe;
}

static int run_with(struct recipe *recipe, struct err *err)
{
    struct backend *backend = cpu_backend(DTYPE_F32, 2);
    enum loop_outcome outcome = ppo_run(recipe, backend, &(struct stage_options){0}, err);
    backend->free(backend);
    return outcome;
}

static void finish(const char *reward, const char *adapter, const char *lines)
{
    struct err err;
    struct recipe *recipe = recipe_with(reward, adapter, lines);
    must(run_with(recipe, &err));
    recipe_free(recipe);
}

/* ---- tests ---- */

/* Three trained overlays and the frozen reference over one base, which is there once. */
static void one_base(void **state)
{
    (void)state;
    struct err err;
    struct ppo_roles roles;
    struct memory_plan plan = {0}, base = {0};
    struct recipe *recipe = recipe_with("reward", "sft", "");
    must(ppo_roles_open(&roles, recipe, &err));
    assert_int_equal(roles.models.count, 1);
    assert_ptr_equal(roles.policy.model, roles.critic.model);
    assert_ptr_equal(roles.policy.model, roles.reward.model);
    assert_ptr_equal(roles.policy.model, roles.reference_model);
    assert_non_null(roles.reference_adapter);
    assert_false(roles.critic_is_fresh);
    struct backend *backend = cpu_backend(DTYPE_F32, 1);
    must(ppo_roles_plan(&roles, backend, &plan, &err));
    must(model_plan(roles.policy.model, backend, &(struct model_options){.backward = true}, &base, &err));
    assert_int_equal(plan.bytes[MEMORY_PREPARED], base.bytes[MEMORY_PREPARED]);
    assert_int_equal(plan.bytes[MEMORY_WEIGHTS], base.bytes[MEMORY_WEIGHTS]);
    must(ppo_roles_load(&roles, backend, &err));
    assert_true(roles.policy.overlay->dropout == 0); /* the SFT adapter was trained with 0.1 */
    ppo_roles_close(&roles);
    backend->free(backend);
    recipe_free(recipe);
}

/* From an SFT adapter, which is the reference, against a reward adapter, with which the critic begins. */
static void from_adapters(void **state)
{
    (void)state;
    finish("reward", "sft", "save_steps: 1\nsave_total_limit: 0\n");
    assert_true(run_metric("run", 1, "objective/kl") == 0);
    assert_true(run_metric("run", 2, "objective/kl") != 0);
    assert_false(same_bytes(temporary("sft/adapter_model.safetensors"), temporary("run/adapter_model.safetensors")));
    assert_true(file_exists(temporary("run/critic/adapter_config.json")));
    assert_true(isfinite(run_metric("run", 3, "val/explained_variance")));
    remove_tree(temporary("run"));
}

/* The critic's first values are the reward model's numbers, a learning rate of 0 leaves them. */
static void critic_begins_as_the_reward_model(void **state)
{
    (void)state;
    struct err err;
    struct recipe *recipe = recipe_with("reward", NULL, "lora_r: 4\n");
    recipe->learning_rate = 0;
    must(run_with(recipe, &err));
    struct safetensors *critic, *reward;
    must(safetensors_open(&critic, temporary("run/critic/adapter_model.safetensors"), &err));
    must(safetensors_open(&reward, temporary("reward/adapter_model.safetensors"), &err));
    assert_int_equal(safetensors_count(critic), safetensors_count(reward));
    for (int32_t i = 0; i < safetensors_count(critic); i++) {
        const struct safetensor *a = safetensors_at(critic, i), *b = safetensors_find(reward, a->name);
        assert_non_null(b);
        assert_int_equal(a->count, b->count);
        assert_memory_equal(a->data, b->data, (size_t)a->count * sizeof(float));
    }
    safetensors_close(critic);
    safetensors_close(reward);
    recipe_free(recipe);
    remove_tree(temporary("run"));
}

/* ---- memory ---- */

/* What alloc() was asked for: the slot of a backend's table is replaced by one that counts. */
static size_t taken;
static int (*inner_alloc)(struct backend *, void **, size_t, struct err *);

static int counting_alloc(struct backend *backend, void **out, size_t size, struct err *err)
{
    taken += size;
    return inner_alloc(backend, out, size, err);
}

/* The plan of memory.json is what was taken from the device; scratch and the answers on the host are not in it. */
static void planned_is_taken(const char *reward, const char *adapter, const char *lines)
{
    struct err err;
    struct recipe *recipe = recipe_with(reward, adapter, lines);
    struct backend *backend = cpu_backend(DTYPE_F32, 1);
    inner_alloc = backend->alloc;
    backend->alloc = counting_alloc;
    taken = 0;
    must(ppo_run(recipe, backend, &(struct stage_options){0}, &err));
    json_t *root = json_read_file(temporary("run/memory.json"), 1 << 16, &err);
    const json_t *plan = json_object_get(root, "plan");
    static const enum memory_kind others[] = {MEMORY_SCRATCH, MEMORY_HOST, MEMORY_DATA, MEMORY_PROGRAM};
    json_int_t elsewhere = 0;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        elsewhere += json_integer_value(json_object_get(plan, memory_kind_name(others[i])));
    }
    size_t planned = (size_t)(json_integer_value(json_object_get(root, "total")) - elsewhere);
    assert_in_range(taken, planned, planned + 1024); /* optimizers round their arrays up */
    json_decref(root);
    backend->free(backend);
    recipe_free(recipe);
    remove_tree(temporary("run"));
}

static void memory(void **state)
{
    (void)state;
    planned_is_taken("reward", "sft", "");
    planned_is_taken("reward", NULL, "num_generations: 3\ngradient_checkpointing: true\n");
    planned_is_taken("reward-full", NULL, "lora_r: 4\n");
    planned_is_taken("reward-deep", NULL, "rollout_batch_size: 2\n");
    planned_is_taken("reward-full", NULL, "finetuning_type: full\n");
    planned_is_taken("reward", NULL, "finetuning_type: full\nadvantage_estimator: grpo\n");
}

/* Bytes that the plan of a run has for what stands on the host. */
static json_int_t planned_on_host(const char *lines)
{
    struct err err;
    finish("reward", NULL, lines);
    json_t *root = json_read_file(temporary("run/memory.json"), 1 << 16, &err);
    json_int_t bytes =
        json_integer_value(json_object_get(json_object_get(root, "plan"), memory_kind_name(MEMORY_HOST)));
    json_decref(root);
    remove_tree(temporary("run"));
    return bytes;
}

/* Answers of an evaluation are kept as those of an iteration are, and a reward model makes them ready beside that. */
static void what_stands_on_the_host(void **state)
{
    (void)state;
    enum { PROMPTS = 24, ITERATION = 8 };
    char lines[256];
    json_int_t plain = planned_on_host("sample_max_new_tokens: 100\n"), evaluated[2];
    for (int i = 0; i < 2; i++) {
        snprintf(lines, sizeof lines, "sample_max_new_tokens: %d\neval_dataset: %s\n", 100 * (i + 1),
                 temporary("prompts.jsonl"));
        evaluated[i] = planned_on_host(lines);
    }
    int64_t answers = PROMPTS - ITERATION; /* more than there are in an iteration */
    assert_true(evaluated[0] - plain >= episodes_size(answers, answers * 100) + (int64_t)rollout_size(answers, 100));
    int64_t tokens = PROMPTS * 100, ids = (2 * REWARD_MODEL_FAMILIES + 1) * 100 * (int64_t)sizeof(int32_t);
    int64_t decoded = ITERATION * 100 * (int64_t)(sizeof(int32_t) + sizeof(float)); /* side by side */
    assert_int_equal(evaluated[1] - evaluated[0], episodes_size(0, tokens) + (int64_t)rollout_size(PROMPTS, 200) -
                                                      (int64_t)rollout_size(PROMPTS, 100) + ids + decoded);
}

/* Reward models and policies, trained by adapters and in full, in every combination. */
static void combinations(void **state)
{
    (void)state;
    static const char *const methods[] = {"lora_r: 4\n", "finetuning_type: full\n"};
    static const char *const rewards[] = {"reward", "reward-full", "reward-deep"};
    static const char *const estimators[] = {"", "critic_init: fresh\n",
                                             "advantage_estimator: grpo\nnum_generations: 3\n"};
    for (int m = 0; m < 2; m++) {
        for (int r = 0; r < 3; r++) {
            for (int e = 0; e < 3; e++) {
                char lines[256];
                snprintf(lines, sizeof lines, "%s%s", methods[m], estimators[e]);
                finish(rewards[r], NULL, lines);
                assert_true(run_metric("run", 1, "objective/kl") == 0);
                assert_true(run_metric("run", 3, "val/decode_drift") < 1e-5);
                assert_int_equal(file_exists(temporary("run/critic")), e < 2);
                remove_tree(temporary("run"));
            }
        }
    }
}

static void refuse(const char *reward, const char *lines, const char *text)
{
    struct err err;
    struct recipe *recipe = recipe_with(reward, NULL, lines);
    assert_int_equal(run_with(recipe, &err), LOOP_FAILED);
    if (!strstr(err.text, text)) {
        fail_msg("'%s' does not say '%s'", err.text, text);
    }
    recipe_free(recipe);
}

static void mistakes(void **state)
{
    (void)state;
    refuse("reward", "finetuning_type: full\ncritic_init: reward\n", "attune export --merge");
    refuse("sft", "", "without a score head");
    refuse("reward-deep", "critic_init: reward\n", "another shape");
    refuse("nowhere", "", "nowhere");
    refuse("reward", "max_memory_mib: 1\n", "rollout_batch_size");
    refuse("reward", "max_length: 12\n", "raise max_length");
    struct err err;
    struct recipe *recipe = recipe_with("reward", "sft", "lora_r: 8\n");
    assert_int_equal(run_with(recipe, &err), LOOP_FAILED);
    assert_non_null(strstr(err.text, "lora_r says what a fresh adapter is like"));
    recipe_free(recipe);
    finish("reward", "sft", "lora_r: 8\ncritic_init: fresh\n");
    remove_tree(temporary("run"));
    recipe = recipe_with("reward", NULL, "");
    mem_free(recipe->model_name_or_path);
    recipe->model_name_or_path = mem_copy_string(temporary("reward-full"), strlen(temporary("reward-full")), &err);
    assert_int_equal(run_with(recipe, &err), LOOP_FAILED);
    assert_non_null(strstr(err.text, "is a reward model"));
    recipe_free(recipe);
}

/* A run does not go on against another reward model, or from another reference, and says which it is. */
static void roles_that_changed(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *file, *from, *to; /* from NULL: one of the last bytes */
        const char *key;
    } cases[] = {
        {"reward", "adapter_model.safetensors", NULL, NULL, "the reward_model of the run changed"},
        {"reward", "recipe.resolved.yaml", "chat_template: null", "chat_template: phi3", "the reward_model of the run"},
        {"sft", "adapter_model.safetensors", NULL, NULL, "the adapter_name_or_path of the run changed"},
        {"sft", "adapter_config.json", "\"lora_alpha\": 32", "\"lora_alpha\": 31", "the adapter_name_or_path of the"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        finish("reward", "sft", "");
        const char *path = temporary("%s/%s", cases[i].folder, cases[i].file);
        struct strbuf bytes = read_bytes(path), kept = read_bytes(path);
        char *at = cases[i].from ? strstr(bytes.data, cases[i].from) : NULL;
        assert_true(at || !cases[i].from);
        if (at) {
            memcpy(at, cases[i].to, strlen(cases[i].to));
        } else {
            bytes.data[bytes.length - 2] ^= 1;
        }
        write_bytes(path, bytes.data, bytes.length);
        struct err err;
        struct recipe *recipe = recipe_with("reward", "sft", "");
        recipe->max_steps = 5;
        assert_int_equal(run_with(recipe, &err), LOOP_FAILED);
        if (!strstr(err.text, cases[i].key) || !strstr(err.text, temporary("%s", cases[i].folder))) {
            fail_msg("'%s' does not say '%s' and the folder", err.text, cases[i].key);
        }
        write_bytes(path, kept.data, kept.length);
        strbuf_free(&kept);
        strbuf_free(&bytes);
        must(run_with(recipe, &err));
        recipe_free(recipe);
        remove_tree(temporary("run"));
    }
}

/* ---- the reward model's own text ---- */

/* A reward model that stands alone. */
struct alone {
    struct recipe *recipe;
    struct backend *backend;
    struct ppo_roles roles;
    struct ppo_data data;
    struct pass *pass;
    struct reward_model reward;
};

static void alone_open(struct alone *alone, const char *reward, const char *lines)
{
    struct err err;
    alone->recipe = recipe_with(reward, NULL, lines);
    alone->backend = cpu_backend(DTYPE_F32, 1);
    must(ppo_roles_open(&alone->roles, alone->recipe, &err));
    must(ppo_data_open(&alone->data, alone->recipe, &err));
    must(reward_model_open(&alone->reward, alone->recipe, &alone->data, &alone->roles.reward, alone->roles.policy.model,
                           alone->backend->traits.pass_tokens, &err));
    must(ppo_roles_load(&alone->roles, alone->backend, &err));
    struct pass_limits limits = alone->reward.limits;
    limits.scorer = false;
    must(pass_create(&alone->pass, alone->roles.policy.model, &limits, &err));
    must(reward_model_start(&alone->reward, alone->pass, &(struct answer_most){.group = 2, .prompt = 64, .length = 64},
                            &err));
}

static void alone_close(struct alone *alone)
{
    reward_model_close(&alone->reward);
    pass_free(alone->pass);
    ppo_roles_close(&alone->roles);
    ppo_data_close(&alone->data);
    alone->backend->free(alone->backend);
    recipe_free(alone->recipe);
}

/* The tokens of a text as an answer, which was cut off or ended with its end-of-turn token. */
static void add_answer(const struct alone *alone, struct episodes *episodes, const char *text, bool ended)
{
    struct err err;
    struct token_list tokens = {0};
    must(tokenizer_encode(alone->data.text.tokenizer, text, strlen(text), 0, &tokens, &err));
    if (ended) {
        must(tokenizer_encode(alone->data.text.tokenizer, "<|im_end|>", 10, 0, &tokens, &err));
    }
    episodes_append(episodes, tokens.ids, (int64_t)tokens.count, ended);
    token_list_free(&tokens);
}

/* Scores of two texts that were tokenised as the tokenizer does it, one cut off and one that ended. */
static void score_texts(const char *reward, const char *lines, bool *anew, double scores[2])
{
    static const char *const texts[] = {"the sea is a whale", "it lives"};
    struct err err;
    struct alone alone;
    struct episodes episodes;
    struct strbuf words[2] = {{0}};
    char all[256];
    snprintf(all, sizeof all, "%sadvantage_estimator: grpo\nnum_generations: 2\n", lines);
    alone_open(&alone, reward, all);
    must(episodes_create(&episodes, 2, 128, 2, &err));
    for (int i = 0; i < 2; i++) {
        strbuf_puts(&words[i], texts[i]);
        add_answer(&alone, &episodes, texts[i], i == 1);
    }
    must(reward_model_score(&alone.reward, alone.data.train.items, &episodes, words, &err));
    *anew = alone.reward.anew;
    for (int i = 0; i < 2; i++) {
        scores[i] = episodes.items[i].score;
        strbuf_free(&words[i]);
    }
    episodes_free(&episodes);
    alone_close(&alone);
}

/* More prompts than are made ready at once: the same ones over and over, which get the same scores each time. */
static void many_prompts(void **state)
{
    (void)state;
    enum { MANY = 2 * REWARD_MODEL_FAMILIES + 5 };
    static const char *const texts[] = {"the sea", "a whale", "it is the sea and a whale"};
    struct err err;
    struct alone alone;
    struct episodes episodes;
    const struct prompt *prompts[MANY];
    alone_open(&alone, "reward", "");
    int period = (int)alone.data.train.count * 3;
    assert_in_range(period, REWARD_MODEL_FAMILIES / 2, MANY - REWARD_MODEL_FAMILIES / 2);
    must(episodes_create(&episodes, MANY, MANY * 64, 1, &err));
    for (int i = 0; i < MANY; i++) {
        prompts[i] = alone.data.train.items[i % (int)alone.data.train.count];
        add_answer(&alone, &episodes, texts[i % 3], true);
    }
    must(reward_model_score(&alone.reward, prompts, &episodes, NULL, &err));
    assert_true(episodes.items[0].score != episodes.items[1].score);
    for (int i = period; i < MANY; i++) {
        assert_true(episodes.items[i].score == episodes.items[i - period].score);
    }
    episodes_free(&episodes);
    alone_close(&alone);
}

/* A tokenizer that is the policy's but for a byte of its file: the words are rendered anew, to the same scores. */
static void another_tokenizer(void **state)
{
    (void)state;
    struct err err;
    bool anew;
    double scores[2], again[2];
    score_texts("reward-full", "", &anew, scores);
    assert_false(anew);
    assert_true(scores[0] != scores[1]);
    must(file_make_dirs(temporary("other"), &err));
    static const char *const files[] = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        must(file_copy(temporary("reward-full/%s", files[i]), temporary("other/%s", files[i]), &err));
    }
    struct strbuf text = read_bytes(temporary("other/tokenizer.json"));
    strbuf_puts(&text, "\n");
    write_bytes(temporary("other/tokenizer.json"), text.data, text.length);
    strbuf_free(&text);
    score_texts("other", "", &anew, again);
    assert_true(anew);
    assert_true(scores[0] == again[0] && scores[1] == again[1]);
    finish("other", NULL, "lora_r: 4\n"); /* with a fresh critic */
    assert_true(run_metric("run", 1, "objective/kl") == 0);
    remove_tree(temporary("run"));
    refuse("other", "lora_r: 4\ncritic_init: reward\n", "another tokenizer");
}

/* The chat template that the reward run was trained with: chatml, and `system` for system messages. */
static void set_template(const char *system)
{
    struct strbuf template = {0}, recipe = {0}, kept = read_bytes(temporary("kept.yaml"));
    strbuf_printf(&template,
                  "{%% for m in messages %%}{%% if m.role == 'system' %%}%s{%% else %%}<|im_start|>{{ m.role }}\n"
                  "{{ m.content }}<|im_end|>\n{%% endif %%}{%% endfor %%}{%% if add_generation_prompt %%}"
                  "<|im_start|>assistant\n{%% endif %%}",
                  system);
    write_bytes(temporary("other.jinja"), template.data, template.length);
    const char *at = strstr(kept.data, "chat_template: null");
    assert_non_null(at);
    strbuf_append(&recipe, kept.data, (size_t)(at - kept.data));
    strbuf_printf(&recipe, "chat_template: %s", temporary("other.jinja"));
    strbuf_puts(&recipe, at + strlen("chat_template: null"));
    write_bytes(temporary("reward/recipe.resolved.yaml"), recipe.data, recipe.length);
    strbuf_free(&template);
    strbuf_free(&recipe);
    strbuf_free(&kept);
}

/* Templates that agree on all prompts but the last. */
static void the_last_prompt_counts(void **state)
{
    (void)state;
    static const char last[] = "{\"prompt\": [{\"role\": \"system\", \"content\": \"be brief\"}, "
                               "{\"role\": \"user\", \"content\": \"what is it\"}]}\n";
    bool anew;
    double scores[2];
    struct strbuf prompts = read_bytes(temporary("prompts.jsonl")), more = {0};
    struct strbuf recipe = read_bytes(temporary("reward/recipe.resolved.yaml"));
    write_bytes(temporary("kept.yaml"), recipe.data, recipe.length);
    strbuf_printf(&more, "%s%s", strbuf_text(&prompts), last);
    set_template("<|im_start|>system\nNote: {{ m.content }}<|im_end|>\n");
    score_texts("reward", "", &anew, scores);
    assert_false(anew);
    write_bytes(temporary("prompts.jsonl"), more.data, more.length);
    score_texts("reward", "", &anew, scores);
    assert_true(anew);
    set_template("{{ raise_exception('no notes, please') }}");
    refuse("reward", "", "no notes, please");
    refuse("reward", "", "the prompt 'what is it'");
    write_bytes(temporary("reward/recipe.resolved.yaml"), recipe.data, recipe.length);
    write_bytes(temporary("prompts.jsonl"), prompts.data, prompts.length);
    strbuf_free(&recipe);
    strbuf_free(&prompts);
    strbuf_free(&more);
}

/*
 * A policy whose vocabulary is padded to more rows than the tokenizer has tokens, as many are, and a reward model that
 * has no such rows: the same scores, and a token that is no text counts for nothing.
 */
static void a_larger_vocabulary(void **state)
{
    (void)state;
    static const char *const rewards[] = {"reward", "reward-full"};
    static const int32_t no_text[] = {351, 320};
    for (size_t r = 0; r < 2; r++) {
        struct err err;
        struct alone alone;
        struct episodes episodes;
        bool anew;
        double narrow[2], wide[2];
        score_texts(rewards[r], "", &anew, narrow);
        score_texts(rewards[r], WIDE, &anew, wide);
        assert_false(anew);
        assert_memory_equal(narrow, wide, sizeof wide);

        alone_open(&alone, rewards[r], WIDE "advantage_estimator: grpo\nnum_generations: 2\n");
        assert_false(reward_model_shares_pass(&alone.reward, alone.roles.policy.model));
        must(episodes_create(&episodes, 2, 128, 2, &err));
        struct token_list tokens = {0};
        must(tokenizer_encode(alone.data.text.tokenizer, "it lives", 8, 0, &tokens, &err));
        episodes_append(&episodes, tokens.ids, (int64_t)tokens.count, false);
        int32_t padded[64] = {no_text[0]};
        memcpy(padded + 1, tokens.ids, tokens.count * sizeof *tokens.ids);
        padded[tokens.count + 1] = no_text[1];
        episodes_append(&episodes, padded, (int64_t)tokens.count + 2, false);
        token_list_free(&tokens);
        must(reward_model_score(&alone.reward, alone.data.train.items, &episodes, NULL, &err));
        assert_true(episodes.items[0].score == wide[1]);
        assert_true(episodes.items[1].score == wide[1]);
        episodes_free(&episodes);
        alone_close(&alone);

        finish(rewards[r], NULL, WIDE "lora_r: 4\n"); /* with a fresh critic */
        assert_true(run_metric("run", 1, "objective/kl") == 0);
        assert_true(isfinite(run_metric("run", 3, "objective/scores")));
        remove_tree(temporary("run"));
        refuse(rewards[r], WIDE "lora_r: 4\ncritic_init: reward\n", "another shape");
    }
}

int main(int argc, char **argv)
{
    ppo_score_if_asked(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_base),
        cmocka_unit_test(from_adapters),
        cmocka_unit_test(combinations),
        cmocka_unit_test(critic_begins_as_the_reward_model),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(memory),
        cmocka_unit_test(roles_that_changed),
        cmocka_unit_test(another_tokenizer),
        cmocka_unit_test(a_larger_vocabulary),
        cmocka_unit_test(the_last_prompt_counts),
        cmocka_unit_test(many_prompts),
        cmocka_unit_test(what_stands_on_the_host),
    };
    return cmocka_run_group_tests(tests, setup, temporary_teardown);
}
