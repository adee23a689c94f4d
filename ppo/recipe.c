/* ppo/recipe.c - see recipe.h. */
#include "ppo/recipe.h"

static const struct key_choice advantages[] = {
    {"gae", PPO_ADVANTAGE_GAE, 0}, {"grpo", PPO_ADVANTAGE_GRPO, 0}, {"rloo", PPO_ADVANTAGE_RLOO, 0}, {0}};
static const struct key_choice reward_scales[] = {
    {"group", PPO_SCALE_GROUP, 0}, {"batch", PPO_SCALE_BATCH, 0}, {"none", PPO_SCALE_NONE, 0}, {0}};
static const struct key_choice policy_losses[] = {
    {"dapo", PPO_LOSS_DAPO, 0}, {"grpo", PPO_LOSS_GRPO, 0}, {"dr_grpo", PPO_LOSS_DR_GRPO, 0}, {0}};
static const struct key_choice kl_estimators[] = {
    {"k1", PPO_KL_K1, 0}, {"k2", PPO_KL_K2, 0}, {"k3", PPO_KL_K3, 0}, {0}};
static const struct key_choice critics[] = {
    {"auto", PPO_CRITIC_AUTO, 0}, {"reward", PPO_CRITIC_REWARD, 0}, {"fresh", PPO_CRITIC_FRESH, 0}, {0}};

#define SCORES    "PPO: scores and rewards"
#define ROLLOUTS  "PPO: rollouts"
#define UPDATE    "PPO: the update"
#define REFERENCE "PPO: distance to the reference"

#define FULL                                                                                                           \
    {                                                                                                                  \
        "finetuning_type", "full"                                                                                      \
    }
#define GRPO                                                                                                           \
    {                                                                                                                  \
        "advantage_estimator", "grpo"                                                                                  \
    }
#define RLOO                                                                                                           \
    {                                                                                                                  \
        "advantage_estimator", "rloo"                                                                                  \
    }

static const struct key keys[] = {
    {TEXT_KEY(ppo_recipe, reward_model), .group = SCORES, .help = "folder of the reward stage's run, or of its export",
     .elsewhere = "TRL:reward_model_path OpenRLHF:reward_pretrain OpenRLHF:reward.model_name_or_path"},
    {TEXT_KEY(ppo_recipe, reward_command), .group = SCORES,
     .help = "program that scores answers, run by sh -c: reads {\"id\",\"prompt\",\"messages\",\"response\"} a line, "
             "answers {\"score\": 1.5} a line, in order",
     .elsewhere = "OpenRLHF:remote_rm_url TRL:reward_funcs"},
    {REAL_KEY(ppo_recipe, reward_timeout), .group = SCORES, .unit = "seconds", .range = "(0, 1e6]", .initial = "300",
     .may_change = true, .help = "how long reward_command may stay silent before the run stops"},
    {REAL_KEY(ppo_recipe, missing_eos_penalty), .group = SCORES, .range = "[0, 1e6]", .initial = "0",
     .help = "taken off the score of an answer that did not end; 0 is off", .elsewhere = "TRL:non_eos_penalty"},
    {REAL_KEY(ppo_recipe, score_clip), .group = SCORES, .range = "[0, 1e9]", .initial = "0",
     .help = "scores are clipped to -score_clip .. score_clip; 0 is off", .elsewhere = "OpenRLHF:reward_clip_range"},
    {SWITCH_KEY(ppo_recipe, use_score_norm), .group = SCORES, .initial = "false",
     .help = "bring scores to mean 0 and deviation 1 by running statistics",
     .elsewhere = "LLaMA-Factory:ppo_score_norm TRL:use_score_scaling OpenRLHF:normalize_reward"},
    {SWITCH_KEY(ppo_recipe, whiten_rewards), .group = SCORES, .initial = "false",
     .help = "divide token rewards by their deviation over the rollout batch",
     .elsewhere = "LLaMA-Factory:ppo_whiten_rewards"},

    {WHOLE_KEY(ppo_recipe, response_length), .group = ROLLOUTS, .unit = "tokens", .range = "[1, 1048576]",
     .initial = "53", .instead = {{"512", {GRPO}}, {"512", {RLOO}}}, .help = "longest answer",
     .synonyms = "max_completion_length",
     .elsewhere = "OpenRLHF:generate_max_len LLaMA-Factory:max_new_tokens torchtune:max_generated_tokens"},
    {WHOLE_KEY(ppo_recipe, num_generations), .group = ROLLOUTS, .range = "[1, 4096]", .initial = "1",
     .instead = {{"8", {GRPO}}, {"2", {RLOO}}}, .help = "answers sampled to each prompt",
     .elsewhere = "OpenRLHF:n_samples_per_prompt torchtune:grpo_samples TRL:rloo_k"},
    {WHOLE_KEY(ppo_recipe, rollout_batch_size), .group = ROLLOUTS, .unit = "answers", .range = "[1, 65536]",
     .initial = "16", .may_change = true,
     .help =
         "answers decoded side by side, a finished one replaced at once; costs KV cache, and no number depends on it",
     .elsewhere = "TRL:local_rollout_forward_batch_size OpenRLHF:micro_rollout_batch_size"},
    {REAL_KEY(ppo_recipe, temperature), .group = ROLLOUTS, .range = "(0, 100]", .initial = "0.7",
     .instead = {{"1", {GRPO}}, {"1", {RLOO}}},
     .help = "logits are divided by it, in sampling and wherever log-probabilities are taken"},
    {WHOLE_KEY(ppo_recipe, top_k), .group = ROLLOUTS, .range = "[0, 16777216]", .initial = "0",
     .help = "sample from the k likeliest tokens only; 0 is off, and anything else makes the measured KL wrong"},
    {REAL_KEY(ppo_recipe, top_p), .group = ROLLOUTS, .range = "(0, 1]", .initial = "1",
     .help = "sample from the likeliest tokens of this total probability; below 1 the measured KL is wrong"},

    {CHOICE_KEY(ppo_recipe, advantage_estimator), .group = UPDATE, .choices = advantages, .initial = "gae",
     .help = "gae learns a critic; grpo and rloo compare the answers to one prompt with each other and need none",
     .elsewhere = "OpenRLHF:algo.advantage.estimator"},
    {CHOICE_KEY(ppo_recipe, scale_rewards), .group = UPDATE, .choices = reward_scales, .initial = "group",
     .help = "grpo: divide advantages by the deviation of the group, of the batch, or not at all"},
    {CHOICE_KEY(ppo_recipe, loss_type), .group = UPDATE, .choices = policy_losses, .initial = "dapo",
     .help = "the policy loss is averaged over all tokens (dapo), over answers (grpo), or over answers of the "
             "longest length (dr_grpo)"},
    {WHOLE_KEY(ppo_recipe, num_ppo_epochs), .group = UPDATE, .range = "[1, 1000]", .initial = "4",
     .instead = {{"1", {GRPO}}, {"1", {RLOO}}}, .help = "passes over the answers of an iteration",
     .synonyms = "num_iterations", .elsewhere = "LLaMA-Factory:ppo_epochs torchtune:ppo_epochs"},
    {WHOLE_KEY(ppo_recipe, num_mini_batches), .group = UPDATE, .range = "[1, 65536]", .initial = "1",
     .help = "optimizer steps in each of these passes",
     .elsewhere =
         "TRL:mini_batch_size LLaMA-Factory:ppo_buffer_size torchtune:ppo_batch_size OpenRLHF:train_batch_size"},
    {REAL_KEY(ppo_recipe, cliprange), .group = UPDATE, .range = "(0, 10]", .initial = "0.2",
     .help = "the probability ratio is clipped to 1 - cliprange .. 1 + cliprange", .synonyms = "epsilon",
     .elsewhere = "OpenRLHF:eps_clip torchtune:loss.epsilon"},
    {REAL_KEY(ppo_recipe, epsilon_high), .group = UPDATE, .range = "[0, 10]", .initial = "0",
     .help = "another upper bound, 1 + epsilon_high; 0 takes cliprange", .elsewhere = "OpenRLHF:eps_clip_low_high"},
    {REAL_KEY(ppo_recipe, cliprange_value), .group = UPDATE, .range = "(0, 1e6]", .initial = "0.2",
     .help = "how far a value may move from the old one in one iteration",
     .elsewhere = "OpenRLHF:value_clip torchtune:loss.value_clip_range"},
    {REAL_KEY(ppo_recipe, vf_coef), .group = UPDATE, .range = "[0, 1e6]", .initial = "0.1",
     .help = "weight of the value loss", .elsewhere = "torchtune:loss.value_coeff"},
    {REAL_KEY(ppo_recipe, gamma), .group = UPDATE, .range = "[0, 1]", .initial = "1",
     .help = "discount of later rewards"},
    {REAL_KEY(ppo_recipe, lam), .group = UPDATE, .range = "[0, 1]", .initial = "0.95",
     .help = "lambda of generalised advantage estimation", .elsewhere = "OpenRLHF:lambd torchtune:lmbda"},
    {REAL_KEY(ppo_recipe, entropy_coef), .group = UPDATE, .range = "[0, 1e6]", .initial = "0",
     .help = "weight of an entropy bonus", .elsewhere = "OpenRLHF:entropy_loss_coef"},
    {REAL_KEY(ppo_recipe, target_kl), .group = UPDATE, .unit = "nats", .range = "[0, 1e6]", .initial = "0",
     .help = "end an iteration's updates once the policy moved this far from the one that sampled; 0 is off",
     .elsewhere = "TRL:early_stopping"},
    {REAL_KEY(ppo_recipe, ratio_threshold), .group = UPDATE, .range = "[0, 1e9]", .initial = "10",
     .help = "skip a minibatch whose mean probability ratio is larger; 0 is off"},
    {CHOICE_KEY(ppo_recipe, critic_init), .group = UPDATE, .choices = critics, .initial = "auto",
     .help =
         "the critic starts from the reward model or with a fresh head; auto takes the reward model where there is one",
     .elsewhere = "OpenRLHF:critic_pretrain TRL:value_model"},
    {WHOLE_KEY(ppo_recipe, critic_warmup_steps), .group = UPDATE, .unit = "iterations", .range = "[0, 1e9]",
     .initial = "0", .help = "iterations in which only the critic learns",
     .elsewhere = "OpenRLHF:freezing_actor_steps"},
    {REAL_KEY(ppo_recipe, ptx_coef), .group = UPDATE, .range = "[0, 1e6]", .initial = "0",
     .help = "weight of the next-token loss on ptx_dataset (PPO-ptx)"},
    {DATASETS_KEY(ppo_recipe, ptx_dataset), .group = UPDATE,
     .help = "text the policy should not forget, in the form of dataset", .elsewhere = "OpenRLHF:pretrain_data"},

    {REAL_KEY(ppo_recipe, kl_coef), .group = REFERENCE, .range = "[0, 1e6]", .initial = "0.05",
     .instead = {{"0", {GRPO}}},
     .help = "price of a nat between policy and reference; in grpo inside the loss, else in the reward",
     .synonyms = "beta",
     .elsewhere = "OpenRLHF:init_kl_coef OpenRLHF:algo.kl.init_coef TRL:init_kl_coef torchtune:kl_coeff"},
    {CHOICE_KEY(ppo_recipe, kl_estimator), .group = REFERENCE, .choices = kl_estimators, .initial = "k1",
     .instead = {{"k3", {GRPO}}}, .help = "with d = log p - log p_reference: k1 is d, k2 d^2 / 2, k3 exp(-d) - 1 + d",
     .elsewhere = "TRL:kl_penalty OpenRLHF:use_kl_estimator_k3"},
    {SWITCH_KEY(ppo_recipe, adaptive_kl), .group = REFERENCE, .initial = "false",
     .help = "steer kl_coef so that the KL of an answer stays near kl_target", .elsewhere = "TRL:adap_kl_ctrl"},
    {REAL_KEY(ppo_recipe, kl_target), .group = REFERENCE, .unit = "nats an answer", .range = "(0, 1e6]", .initial = "6",
     .help = "where adaptive_kl steers to", .synonyms = "target", .elsewhere = "LLaMA-Factory:ppo_target"},
    {REAL_KEY(ppo_recipe, kl_horizon), .group = REFERENCE, .unit = "answers", .range = "(0, 1e12]", .initial = "10000",
     .help = "how slowly it does", .synonyms = "horizon"},
};

static const struct stage_default defaults[] = {
    {"lora_dropout", {.text = "0"}},
    {"num_train_epochs", {.text = "1"}},
    {"per_device_train_batch_size", {.text = "64"}},
    {"learning_rate", {"1e-6", {FULL, GRPO}}},
    {"learning_rate", {"1e-6", {FULL, RLOO}}},
    {"learning_rate", {"3e-6", {FULL}}},
    {"learning_rate", {"1e-5", {GRPO}}},
    {"learning_rate", {"1e-5", {RLOO}}},
    {"learning_rate", {.text = "3e-5"}},
    {"lr_scheduler_type", {.text = "warmup_stable_decay"}},
    {"warmup_ratio", {.text = "0"}},
    {"adam_epsilon", {.text = "1e-5"}},
    {"logging_steps", {.text = "1"}},
    {"save_steps", {.text = "50"}},
};

static void check_scores(struct recipe_loader *loader, const struct ppo_recipe *recipe)
{
    if (!check_given(loader, "reward_model") && !check_given(loader, "reward_command")) {
        check_mistake(loader, NULL, "PPO needs something that scores answers: reward_model, or reward_command");
    }
    if (recipe->reward_model && recipe->reward_command) {
        check_mistake(loader, "reward_command", "reward_model and reward_command are both given; keep one of them");
    }
    if (recipe->critic_init == PPO_CRITIC_REWARD && !check_given(loader, "reward_model")) {
        check_mistake(loader, "critic_init", "critic_init: reward needs a reward_model; write fresh");
    }
}

static void check(struct recipe_loader *loader, const struct recipe *common)
{
    const struct ppo_recipe *recipe = ppo_keys(common);
    if (common->lora_dropout > 0) {
        check_mistake(
            loader, "lora_dropout",
            "lora_dropout must be 0 in PPO: old and new probabilities of one policy would differ by the dropout");
    }
    check_scores(loader, recipe);
    if (recipe->response_length >= common->max_length) {
        check_mistake(loader, "response_length",
                      "response_length is %lld, which leaves no room for a prompt in max_length, %lld",
                      (long long)recipe->response_length, (long long)common->max_length);
    }
    if (recipe->advantage_estimator != PPO_ADVANTAGE_GAE && recipe->num_generations < 2) {
        check_mistake(
            loader, "num_generations",
            "num_generations must be at least 2 where answers are compared with each other (advantage_estimator)");
    }
    if (recipe->num_mini_batches > common->per_device_train_batch_size * recipe->num_generations) {
        check_mistake(
            loader, "num_mini_batches",
            "num_mini_batches is %lld, but an iteration has only %lld answers (per_device_train_batch_size times "
            "num_generations)",
            (long long)recipe->num_mini_batches,
            (long long)(common->per_device_train_batch_size * recipe->num_generations));
    }
    if (recipe->adaptive_kl && !(recipe->kl_coef > 0)) {
        check_mistake(loader, "adaptive_kl", "adaptive_kl multiplies kl_coef, so kl_coef must not be 0");
    }
    if (recipe->ptx_coef > 0 && !check_given(loader, "ptx_dataset")) {
        check_mistake(loader, "ptx_coef", "ptx_coef needs a ptx_dataset");
    }
    if (check_given(loader, "ptx_dataset") && !(recipe->ptx_coef > 0)) {
        check_mistake(loader, "ptx_dataset", "ptx_dataset has no effect while ptx_coef is 0");
    }
}

const struct recipe_stage ppo_stage = {
    .name = "ppo",
    .purpose = "optimise a model against a reward by PPO",
    .summary = "Trains a policy against a reward model or a program that scores answers (PPO, GRPO, RLOO).",
    .examples = "  attune ppo recipes/ppo.yaml\n"
                "  attune ppo recipes/ppo.yaml --kl_coef 0.1 --output_dir runs/second",
    .keys = keys,
    .key_count = sizeof keys / sizeof keys[0],
    .size = sizeof(struct ppo_recipe),
    .lacks = "on_too_long per_device_eval_batch_size early_stopping_patience early_stopping_threshold "
             "load_best_model_at_end project annotators min_agreement",
    .defaults = defaults,
    .default_count = sizeof defaults / sizeof defaults[0],
    .check = check,
    .always_samples = true,
    .title = "PPO training",
    .title_joint = "of",
    .panels = ppo_panels,
};
