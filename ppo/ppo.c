/* ppo/ppo.c - a PPO run from its recipe to its result; see ppo.h. */
#include "ppo/ppo.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "ppo/batches.h"
#include "ppo/loop.h"
#include "ppo/options.h"
#include "ppo/recipe.h"
#include "ppo/rollout.h"
#include "roles/folder.h"
#include "train/stop_tokens.h"
#include <string.h>

#define JOURNAL "rewards.jsonl"

/* The parts of a run in the order they are made; closed in the opposite one. */
struct ppo {
    const struct recipe *recipe;
    struct ppo_parts parts;
    struct pass_limits limits;
    struct ppo_loop loop;
    struct run_part trained[2]; /* policy, and critic where there is one */
};

/* ---- models and data ---- */

static int check_lengths(const struct ppo *ppo, struct err *err)
{
    const struct model_config *config = &ppo->parts.roles.policy.model->config;
    int32_t longest = ppo_data_longest(&ppo->parts.data) + ppo_data_longest_answer(&ppo->parts.data);
    if (trainable_check_ids(&ppo->parts.roles.policy, ppo_data_highest_id(&ppo->parts.data), err) != 0) {
        return -1;
    }
    if (longest > config->max_positions) {
        return err_set(err,
                       "a prompt with its answer may have %d tokens, but the model was made for %d positions "
                       "(max_position_embeddings); set max_length to %d or less, and sample_max_new_tokens to "
                       "response_length",
                       longest, config->max_positions, config->max_positions);
    }
    return 0;
}

/* A policy that answers prompts written otherwise than it was trained on is off the path from the first token. */
static int check_template(const struct recipe *recipe, struct err *err)
{
    char *trained = NULL;
    if (recipe->chat_template || !recipe->adapter_name_or_path) {
        return 0;
    }
    if (folder_chat_template(&trained, recipe->adapter_name_or_path, err) != 0) {
        return -1;
    }
    int result =
        trained ? err_set(err,
                          "adapter_name_or_path: %s was trained with chat_template: %s, and this recipe names none; "
                          "write the same here",
                          recipe->adapter_name_or_path, trained)
                : 0;
    mem_free(trained);
    return result;
}

static void warn(const struct recipe *recipe)
{
    if (ppo_keys(recipe)->top_k > 0 || ppo_keys(recipe)->top_p < 1) {
        log_warn("top_k and top_p leave tokens out that the policy could say: the KL and the ratios are those of "
                 "another distribution than the sampled one");
    }
}

/* An answer that nothing ends runs to response_length and is punished for it: worth a word before the first step. */
static void say_where_answers_end(const struct ppo *ppo)
{
    const struct model_text *text = &ppo->parts.data.text;
    struct stop_tokens stop = stop_tokens_of(&ppo->parts.roles.policy.model->config, text);
    struct strbuf names = {0};
    for (int i = 0; stop.ids[i] >= 0; i++) {
        const char *name = tokenizer_token(text->tokenizer, stop.ids[i]);
        strbuf_printf(&names, "%s%s", i ? ", " : "", name ? name : "a token without a name");
    }
    if (names.length) {
        log_info("  answers end at %s", strbuf_text(&names));
    } else {
        log_warn("no token ends an answer, so all of them run to response_length; add the model's end token to "
                 "eos_token_id in generation_config.json");
    }
    if (text->chat && text->closing_token < 0) {
        log_warn("the chat template closes an answer with no special token, so a model that was trained with it does "
                 "not end its answers; name a chat_template whose end of turn the tokenizer has as a special token, "
                 "and train with it");
    }
    strbuf_free(&names);
}

static void introduce(const struct ppo *ppo)
{
    const struct ppo_roles *roles = &ppo->parts.roles;
    const struct model *model = roles->policy.model;
    double all = (double)model_parameter_count(model), trained = (double)trainable_count(&roles->policy);
    log_info("model %s: %.1f M parameters on %s", model->folder, all / 1e6, ppo->parts.backend->name);
    log_info("  policy: %.2f M trained (%.2f %%), reference: %s", trained / 1e6, 100 * trained / all,
             roles->reference_adapter ? ppo->recipe->adapter_name_or_path : "the model as it is");
    if (roles->has_critic) {
        log_info("  critic: %.2f M trained", (double)trainable_count(&roles->critic) / 1e6);
    }
}

static int open_models(void *context, struct err *err)
{
    struct ppo *ppo = context;
    if (ppo_roles_open(&ppo->parts.roles, ppo->recipe, err) != 0) {
        return -1;
    }
    introduce(ppo);
    warn(ppo->recipe);
    return check_template(ppo->recipe, err);
}

static int open_data(void *context, struct step_counts *steps, struct err *err)
{
    struct ppo *ppo = context;
    if (ppo_data_open(&ppo->parts.data, ppo->recipe, err) != 0) {
        return -1;
    }
    *steps = ppo->parts.data.steps;
    return 0;
}

static int check(void *context, struct err *err)
{
    struct ppo *ppo = context;
    struct ppo_parts *parts = &ppo->parts;
    if (check_lengths(ppo, err) != 0) {
        return -1;
    }
    say_where_answers_end(ppo);
    return scoring_open(&parts->scoring, ppo->recipe, &parts->data, &parts->roles, parts->backend->traits.pass_tokens,
                        err);
}

/* ---- memory ---- */

static struct answer_most most_to_score(const struct ppo_data *data)
{
    return (struct answer_most){.group = ppo_keys(data->recipe)->num_generations,
                                .prompt = ppo_data_longest(data),
                                .length = ppo_data_longest_answer(data)};
}

/* What will stand on the host: the answers of an iteration, those of an evaluation, and what either needs while it is
 * sampled and scored. */
static size_t answers_size(const struct ppo *ppo)
{
    const struct ppo_data *data = &ppo->parts.data;
    const struct recipe *recipe = ppo->recipe;
    const struct answer_most most = most_to_score(data);
    int64_t answers = recipe->per_device_train_batch_size * ppo_keys(recipe)->num_generations;
    int64_t looks = ppo_loop_most_prompts(data);
    size_t sampled = rollout_size(answers, ppo_keys(recipe)->response_length),
           looked_at = rollout_size(looks, most.length);
    return (size_t)episodes_size(answers, answers * ppo_keys(recipe)->response_length) +
           (size_t)episodes_size(looks, looks * most.length) + (sampled > looked_at ? sampled : looked_at) +
           scoring_size(&ppo->parts.scoring, &most);
}

/* One pass serves policy, reference, critic, and a reward model of the same shape. */
static struct pass_limits limits_of(const struct ppo *ppo)
{
    const struct ppo_parts *parts = &ppo->parts;
    struct pass_limits limits =
        ppo_pass_limits(&parts->data, ppo_roles_max_rank(&parts->roles), parts->backend->traits.pass_tokens);
    if (!parts->roles.has_reward ||
        !reward_model_shares_pass(&parts->scoring.reward_model, parts->roles.policy.model)) {
        return limits;
    }
    const struct pass_limits *reward = &parts->scoring.reward_model.limits;
    limits.tokens = max(limits.tokens, reward->tokens);
    limits.segments = max(limits.segments, reward->segments);
    limits.predictions = max(limits.predictions, reward->predictions);
    return limits;
}

static int plan(void *context, struct memory_plan *plan, struct err *err)
{
    struct ppo *ppo = context;
    struct ppo_parts *parts = &ppo->parts;
    ppo->limits = limits_of(ppo);
    struct generator_limits generator = rollout_limits(&parts->data, ppo->limits.max_rank);
    struct model *policy = parts->roles.policy.model;
    if (ppo_roles_plan(&parts->roles, parts->backend, plan, err) != 0 ||
        pass_plan(policy, &ppo->limits, parts->backend, plan, err) != 0 ||
        generator_plan(policy, &generator, parts->backend, plan, err) != 0 ||
        scoring_plan(&parts->scoring, policy, parts->backend, plan, err) != 0) {
        return -1;
    }
    optimizer_plan(parts->roles.policy.parameters, plan);
    if (parts->roles.has_critic) {
        optimizer_plan(parts->roles.critic.parameters, plan);
    }
    plan->bytes[MEMORY_HOST] += answers_size(ppo);
    memory_plan_add_held(plan, ppo_data_size(&parts->data));
    return 0;
}

static int make_numbers(struct ppo *ppo, struct err *err)
{
    struct ppo_numbers *numbers = &ppo->parts.numbers;
    float **arrays[] = {&numbers->logprobs, &numbers->entropies, &numbers->dlogprobs, &numbers->dentropies};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        *arrays[i] = mem_alloc((size_t)ppo->limits.predictions, sizeof **arrays[i], err);
        if (!*arrays[i]) {
            return -1;
        }
    }
    size_t longest = (size_t)ppo_keys(ppo->recipe)->response_length;
    ppo->parts.trained = mem_alloc(longest, sizeof *ppo->parts.trained, err);
    if (ppo->parts.trained) {
        memset(ppo->parts.trained, 1, longest);
    }
    return ppo->parts.trained ? 0 : -1;
}

static int make_optimizers(struct ppo *ppo, struct err *err)
{
    struct ppo_parts *parts = &ppo->parts;
    const struct recipe *recipe = ppo->recipe;
    struct optimizer_options options = optimizer_options_of(recipe);
    if (optimizer_create(&parts->policy_optimizer, parts->backend, parts->roles.policy.parameters, &options, err) !=
        0) {
        return -1;
    }
    ppo->trained[0] = (struct run_part){.trainable = &parts->roles.policy, .optimizer = parts->policy_optimizer};
    if (!parts->roles.has_critic) {
        return 0;
    }
    if (optimizer_create(&parts->critic_optimizer, parts->backend, parts->roles.critic.parameters, &options, err) !=
        0) {
        return -1;
    }
    ppo->trained[1] =
        (struct run_part){.name = "critic", .trainable = &parts->roles.critic, .optimizer = parts->critic_optimizer};
    return 0;
}

static int start_scoring(struct ppo *ppo, struct err *err)
{
    const struct recipe *recipe = ppo->recipe;
    const struct run *run = ppo->loop.steps.run;
    const struct answer_most most = most_to_score(&ppo->parts.data);
    char *journal = run_path(run, JOURNAL, err);
    if (!journal) {
        return -1;
    }
    struct reward_command_options options = {.command = ppo_keys(recipe)->reward_command,
                                             .timeout = ppo_keys(recipe)->reward_timeout,
                                             .journal = journal,
                                             .fresh = strcmp(recipe->resume_from_checkpoint, "never") == 0,
                                             .first_iteration = run->state.step};
    int result = scoring_start(&ppo->parts.scoring, ppo->parts.pass, &most, &options, err);
    mem_free(journal);
    return result;
}

static int make(void *context, struct err *err)
{
    struct ppo *ppo = context;
    struct ppo_parts *parts = &ppo->parts;
    struct ppo_loop *loop = &ppo->loop;
    const struct recipe *recipe = ppo->recipe;
    struct generator_limits generator = rollout_limits(&parts->data, ppo->limits.max_rank);
    int64_t prompts = recipe->per_device_train_batch_size, answers = prompts * ppo_keys(recipe)->num_generations;
    int64_t most_prompts = ppo_loop_most_prompts(&parts->data);
    if (ppo_roles_load(&parts->roles, parts->backend, err) != 0 || make_optimizers(ppo, err) != 0 ||
        pass_create(&parts->pass, parts->roles.policy.model, &ppo->limits, err) != 0 ||
        batch_create(&parts->batch, ppo->limits.tokens, ppo->limits.segments, ppo->limits.predictions, err) != 0 ||
        generator_create(&parts->generator, parts->roles.policy.model, &generator, err) != 0 ||
        make_numbers(ppo, err) != 0 ||
        episodes_create(&loop->episodes, answers, answers * ppo_keys(recipe)->response_length,
                        ppo_keys(recipe)->num_generations, err) != 0 ||
        episodes_create(&loop->looks, most_prompts, most_prompts * generator.max_new, 1, err) != 0) {
        return -1;
    }
    loop->prompts = mem_alloc((size_t)most_prompts, sizeof *loop->prompts, err);
    loop->keys = mem_alloc((size_t)most_prompts, sizeof *loop->keys, err);
    if (!loop->prompts || !loop->keys) {
        return -1;
    }
    loop->steps.run->parts = ppo->trained;
    loop->steps.run->part_count = parts->roles.has_critic ? 2 : 1;
    return start_scoring(ppo, err);
}

/* ---- the run ---- */

static int identify(void *context, struct run_identity *identity, struct run_numbers *numbers, struct err *err)
{
    struct ppo *ppo = context;
    identity->numerics = ppo->parts.backend->numerics;
    if (ppo_roles_identify(&ppo->parts.roles, identity, err) != 0) {
        return -1;
    }
    hash_text(identity->data, ppo_data_fingerprint(&ppo->parts.data));
    ppo->loop.controller = ppo_kl_controller(ppo_keys(ppo->recipe));
    ppo_loop_numbers(&ppo->loop, numbers);
    return 0;
}

static int resumed(void *context, struct err *err)
{
    struct ppo *ppo = context;
    return ppo_loop_set_critic_offset(&ppo->loop, err);
}

static void close_all(void *context)
{
    struct ppo *ppo = context;
    struct ppo_parts *parts = &ppo->parts;
    scoring_close(&parts->scoring);
    episodes_free(&ppo->loop.episodes);
    episodes_free(&ppo->loop.looks);
    mem_free((void *)ppo->loop.prompts);
    mem_free(ppo->loop.keys);
    generator_free(parts->generator);
    pass_free(parts->pass);
    optimizer_free(parts->policy_optimizer);
    optimizer_free(parts->critic_optimizer);
    batch_free(&parts->batch);
    mem_free(parts->numbers.logprobs);
    mem_free(parts->numbers.entropies);
    mem_free(parts->numbers.dlogprobs);
    mem_free(parts->numbers.dentropies);
    mem_free(parts->trained);
    ppo_roles_close(&parts->roles);
    ppo_data_close(&parts->data);
}

static const char *result_name(const void *context)
{
    const struct ppo *ppo = context;
    return ppo->parts.roles.policy.adapter ? "the adapter (attune export merges it into the model)" : "the model";
}

enum loop_outcome ppo_run(const struct recipe *recipe, struct backend *backend, const struct stage_options *options,
                          struct err *err)
{
    struct ppo *ppo = mem_alloc(1, sizeof *ppo, err);
    if (!ppo) {
        return LOOP_FAILED;
    }
    ppo->recipe = ppo->parts.recipe = recipe;
    ppo->parts.backend = backend;
    ppo->loop.parts = &ppo->parts;
    ppo->loop.steps.stage = ppo_loop_stage(&ppo->loop);
    const struct stage_work work = {
        .context = ppo,
        .backend = backend,
        .loop = &ppo->loop.steps,
        .open_models = open_models,
        .open_data = open_data,
        .check = check,
        .plan = plan,
        .identify = identify,
        .make = make,
        .resumed = resumed,
        .close = close_all,
        .shrink = "gradient_checkpointing: true, a smaller rollout_batch_size or response_length, more "
                  "gradient_accumulation_steps, or finetuning_type: lora would shrink it",
        .result = result_name,
    };
    enum loop_outcome outcome = stage_run(&work, recipe, options, err);
    mem_free(ppo);
    return outcome;
}
