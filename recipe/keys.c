#include "recipe/keys.h"

#include <assert.h>

/* A field's place, with a check that it has the C type of its key's type. */
#define PLACE(record, field, c_type)                                                                                   \
    (offsetof(struct record, field) + 0 * (size_t) _Generic(((struct record *)0)->field, c_type : 1))
#define ROW(kind, record, field, c_type) .name = #field, .type = kind, .offset = PLACE(record, field, c_type)

#define SWITCH(field)   ROW(KEY_SWITCH, recipe, field, bool)
#define WHOLE(field)    ROW(KEY_WHOLE, recipe, field, int64_t)
#define REAL(field)     ROW(KEY_REAL, recipe, field, double)
#define TEXT(field)     ROW(KEY_TEXT, recipe, field, char *)
#define TEXTS(field)    ROW(KEY_TEXTS, recipe, field, struct recipe_strings)
#define DATASETS(field) ROW(KEY_DATASETS, recipe, field, struct recipe_datasets)
/* Every enum is stored as an int is. */
#define CHOICE(field) ROW(KEY_CHOICE, recipe, field, default)

static const struct key_choice finetuning_types[] = {{"lora", RECIPE_LORA, 0}, {"full", RECIPE_FULL, 0}, {0}};
static const struct key_choice dtypes[] = {
    {"auto", RECIPE_DTYPE_AUTO, 0},
    {"f32", RECIPE_DTYPE_F32, 0},
    {"bf16", RECIPE_DTYPE_BF16, 0},
    {"fp32", RECIPE_DTYPE_F32, 1},
    {"float32", RECIPE_DTYPE_F32, 1},
    {"bfloat16", RECIPE_DTYPE_BF16, 1},
    {0},
};
static const struct key_choice devices[] = {
    {"auto", RECIPE_DEVICE_AUTO, 0}, {"cpu", RECIPE_DEVICE_CPU, 0}, {"cuda", RECIPE_DEVICE_CUDA, 0}, {0}};
static const struct key_choice schedules[] = {
    {"constant", SCHEDULE_CONSTANT, 0},
    {"constant_with_warmup", SCHEDULE_CONSTANT_WITH_WARMUP, 0},
    {"linear", SCHEDULE_LINEAR, 0},
    {"cosine", SCHEDULE_COSINE, 0},
    {"cosine_with_min_lr", SCHEDULE_COSINE_WITH_MIN_LR, 0},
    {"warmup_stable_decay", SCHEDULE_WARMUP_STABLE_DECAY, 0},
    {0},
};
static const struct key_choice bad_records[] = {
    {"stop", RECIPE_BAD_RECORD_STOP, 0}, {"skip", RECIPE_BAD_RECORD_SKIP, 0}, {0}};
static const struct key_choice too_long[] = {{"truncate", RECIPE_TOO_LONG_TRUNCATE, 0},
                                             {"drop", RECIPE_TOO_LONG_DROP, 0},
                                             {"keep_end", RECIPE_TOO_LONG_KEEP_END, 0},
                                             {0}};
static const struct key_choice margins[] = {
    {"none", RECIPE_MARGIN_NONE, 0}, {"strength", RECIPE_MARGIN_STRENGTH, 0}, {"column", RECIPE_MARGIN_COLUMN, 0}, {0}};
static const struct key_choice ties[] = {{"skip", RECIPE_TIES_SKIP, 0}, {"half", RECIPE_TIES_HALF, 0}, {0}};
static const struct key_choice advantages[] = {
    {"gae", RECIPE_ADVANTAGE_GAE, 0}, {"grpo", RECIPE_ADVANTAGE_GRPO, 0}, {"rloo", RECIPE_ADVANTAGE_RLOO, 0}, {0}};
static const struct key_choice reward_scales[] = {
    {"group", RECIPE_SCALE_GROUP, 0}, {"batch", RECIPE_SCALE_BATCH, 0}, {"none", RECIPE_SCALE_NONE, 0}, {0}};
static const struct key_choice policy_losses[] = {
    {"dapo", RECIPE_LOSS_DAPO, 0}, {"grpo", RECIPE_LOSS_GRPO, 0}, {"dr_grpo", RECIPE_LOSS_DR_GRPO, 0}, {0}};
static const struct key_choice kl_estimators[] = {
    {"k1", RECIPE_KL_K1, 0}, {"k2", RECIPE_KL_K2, 0}, {"k3", RECIPE_KL_K3, 0}, {0}};
static const struct key_choice critics[] = {
    {"auto", RECIPE_CRITIC_AUTO, 0}, {"reward", RECIPE_CRITIC_REWARD, 0}, {"fresh", RECIPE_CRITIC_FRESH, 0}, {0}};
static const struct key_choice reports[] = {{"tensorboard", 0, 0}, {0}};
/* The names of text/data/dataset.h. */
static const struct key_choice formats[] = {
    {"auto", 0, 0},
    {"alpaca", 0, 0},
    {"sharegpt", 0, 0},
    {"messages", 0, 0},
    {"completion", 0, 0},
    {"text", 0, 0},
    {"prompt", 0, 0},
    {"trl", 0, 0},
    {"trl-implicit", 0, 0},
    {"hh", 0, 0},
    {"oasst", 0, 0},
    {"tldr", 0, 0},
    {"kto", 0, 0},
    {"ultrafeedback", 0, 0},
    {"pairs", 0, 0},
    {"prefs", 0, 0},
    {0},
};

#define CONDITION(key, value)                                                                                          \
    {                                                                                                                  \
        key, value                                                                                                     \
    }
#define FULL   CONDITION("finetuning_type", RECIPE_FULL)
#define GRPO   CONDITION("advantage_estimator", RECIPE_ADVANTAGE_GRPO)
#define RLOO   CONDITION("advantage_estimator", RECIPE_ADVANTAGE_RLOO)
#define ALWAYS CONDITION(NULL, 0)

const struct key recipe_keys[] = {
    /* Model */
    {TEXT(model_name_or_path), .group = GROUP_MODEL, .stages = IN_ALL, .required = true,
     .help = "folder of a Hugging Face model: config.json, safetensors weights and tokenizer.json",
     .elsewhere = "axolotl:base_model torchtune:checkpointer.checkpoint_dir OpenRLHF:actor.model_name_or_path "
                  "OpenRLHF:pretrain TRL:model_name TRL:sft_model_path"},
    {CHOICE(dtype), .group = GROUP_MODEL, .stages = IN_ALL, .choices = dtypes, .initial = "auto",
     .help = "number format of the matrix products; auto takes bf16 where the CPU has AMX or there is a GPU, else "
             "f32. Sums, losses and trained weights are f32 either way",
     .elsewhere = "TRL:torch_dtype OpenRLHF:param_dtype LLaMA-Factory:infer_dtype"},
    {CHOICE(device), .group = GROUP_MODEL, .stages = IN_ALL, .choices = devices, .initial = "auto",
     .help = "where to compute; auto takes a GPU where there is one"},
    {WHOLE(threads), .group = GROUP_MODEL, .stages = IN_ALL, .range = "[0, 1024]", .initial = "0", .may_change = true,
     .help = "threads on the CPU; 0 takes as many as the process may use. The numbers do not depend on it"},
    {WHOLE(max_memory_mib), .group = GROUP_MODEL, .stages = IN_ALL, .unit = "MiB", .range = "[0, 1e9]", .initial = "0",
     .may_change = true,
     .help = "refuse a run whose memory plan is larger; 0 takes what the machine or its cgroup has free",
     .elsewhere = "axolotl:max_memory"},

    /* LoRA */
    {CHOICE(finetuning_type), .group = GROUP_LORA, .stages = IN_ALL, .choices = finetuning_types, .initial = "lora",
     .help = "lora trains a low-rank adapter beside frozen weights, full trains every weight",
     .elsewhere = "axolotl:adapter TRL:use_peft"},
    {TEXT(adapter_name_or_path), .group = GROUP_LORA, .stages = IN_ALL,
     .help = "folder of a PEFT adapter to start from; its own rank, alpha, targets and dropout hold. In PPO it is "
             "the reference policy as well",
     .elsewhere = "axolotl:lora_model_dir TRL:adapter_path"},
    {WHOLE(lora_r), .group = GROUP_LORA, .stages = IN_ALL, .range = "[1, 65536]", .initial = "16",
     .help = "rank of the adapter: more learns more and costs more",
     .elsewhere = "LLaMA-Factory:lora_rank torchtune:lora_rank torchtune:model.lora_rank OpenRLHF:ds.lora.rank"},
    {REAL(lora_alpha), .group = GROUP_LORA, .stages = IN_ALL, .range = "(0, 1e6]", .initial = "32",
     .help = "the adapter's output is scaled by lora_alpha / lora_r, or lora_alpha / sqrt(lora_r) with use_rslora",
     .elsewhere = "torchtune:model.lora_alpha OpenRLHF:ds.lora.alpha"},
    {REAL(lora_dropout), .group = GROUP_LORA, .stages = IN_ALL, .range = "[0, 1)", .initial = "0.05",
     .instead = {{IN_PPO, {ALWAYS}, "0"}},
     .help = "share of the adapter's inputs set to zero in training; PPO runs without (dropout would break its ratios)",
     .elsewhere = "torchtune:model.lora_dropout OpenRLHF:ds.lora.dropout"},
    {TEXTS(lora_target_modules), .group = GROUP_LORA, .stages = IN_ALL, .initial = "all-linear",
     .help = "names of the linear layers to adapt (q_proj, v_proj, ...), or all-linear for every one but the head",
     .elsewhere = "LLaMA-Factory:lora_target torchtune:lora_attn_modules torchtune:apply_lora_to_mlp "
                  "torchtune:apply_lora_to_output axolotl:lora_target_linear OpenRLHF:target_modules "
                  "OpenRLHF:ds.lora.target_modules"},
    {TEXTS(lora_modules_to_save), .group = GROUP_LORA, .stages = IN_ALL, .initial = "none",
     .help = "modules trained in full beside the adapter and saved with it (embed_tokens, lm_head)",
     .elsewhere = "LLaMA-Factory:additional_target PEFT:modules_to_save"},
    {SWITCH(use_rslora), .group = GROUP_LORA, .stages = IN_ALL, .initial = "false",
     .help = "scale by the root of the rank, which keeps large ranks learning", .elsewhere = "axolotl:peft_use_rslora"},
    {SWITCH(use_dora), .group = GROUP_LORA, .stages = IN_ALL, .initial = "false",
     .help = "weight-decomposed LoRA; not done yet, so only false is taken", .elsewhere = "axolotl:peft_use_dora"},

    /* Data */
    {DATASETS(dataset), .group = GROUP_DATA, .stages = IN_ALL, .required = true,
     .help = "what to train on: a path, or a list of entries {path, format, split, weight}. PPO takes the prompts",
     .elsewhere = "axolotl:datasets TRL:dataset_name OpenRLHF:data.dataset OpenRLHF:prompt_data TRL:dataset_path"},
    {DATASETS(eval_dataset), .group = GROUP_DATA, .stages = IN_ALL,
     .help =
         "what to evaluate on, in the same form; evaluated before the first step, every eval_steps and after the last",
     .elsewhere = "axolotl:test_datasets torchtune:dataset_val TRL:dataset_test_split"},
    {REAL(eval_split), .group = GROUP_DATA, .stages = IN_ALL, .unit = "share of the prompts", .range = "[0, 1)",
     .initial = "0",
     .help =
         "hold this share of dataset back for evaluation, chosen by a hash of the prompt so that no prompt is in both",
     .elsewhere = "axolotl:val_set_size LLaMA-Factory:val_size TRL:test_split_size"},
    {SWITCH(shuffle), .group = GROUP_DATA, .stages = IN_ALL, .initial = "true",
     .help = "draw the examples in a new order every epoch",
     .elsewhere = "TRL:shuffle_dataset axolotl:shuffle_merged_datasets"},
    {TEXT(chat_template), .group = GROUP_DATA, .stages = IN_ALL,
     .help = "name of a built-in chat template, or path of a Jinja file; without it the model's own is used",
     .elsewhere =
         "LLaMA-Factory:template torchtune:prompt_template OpenRLHF:apply_chat_template TRL:chat_template_path"},
    {WHOLE(max_length), .group = GROUP_DATA, .stages = IN_ALL, .unit = "tokens", .range = "[2, 16777216]",
     .initial = "1024",
     .help = "longest example; on_too_long says what becomes of longer ones. PPO drops prompts that leave no room for "
             "response_length",
     .elsewhere = "axolotl:sequence_len LLaMA-Factory:cutoff_len torchtune:tokenizer.max_seq_len "
                  "OpenRLHF:data.max_len OpenRLHF:max_len TRL:max_seq_length TRL:max_prompt_length "
                  "OpenRLHF:prompt_max_len"},
    {CHOICE(on_too_long), .group = GROUP_DATA, .stages = IN_SFT | IN_REWARD, .choices = too_long, .initial = "drop",
     .instead = {{IN_SFT, {ALWAYS}, "truncate"}},
     .help = "what to do with an example longer than max_length: truncate keeps its first tokens (SFT), drop leaves it "
             "out (in the reward stage: an answer out of its ranking), keep_end takes the beginning of its prompt away "
             "(reward stage). Counted each time",
     .elsewhere = "TRL:truncation_mode"},
    {SWITCH(packing), .group = GROUP_DATA, .stages = IN_SFT, .initial = "false",
     .help = "fill rows of max_length with whole examples that do not see each other; batches then count rows",
     .elsewhere = "axolotl:sample_packing LLaMA-Factory:neat_packing torchtune:dataset.packed torchtune:packed "
                  "OpenRLHF:ds.packing_samples TRL:padding_free"},
    {SWITCH(train_on_prompt), .group = GROUP_DATA, .stages = IN_SFT, .initial = "false",
     .help = "learn every token of an example, not only those of train_roles",
     .elsewhere = "axolotl:train_on_inputs torchtune:dataset.train_on_input torchtune:train_on_input"},
    {TEXTS(train_roles), .group = GROUP_DATA, .stages = IN_SFT, .initial = "assistant",
     .help = "roles whose turns are learned, through their end-of-turn token", .elsewhere = "axolotl:roles_to_train"},
    {CHOICE(on_bad_record), .group = GROUP_DATA, .stages = IN_ALL, .choices = bad_records, .initial = "stop",
     .help = "what to do with a record that cannot be read: stop with its file and line, or skip and count it"},

    /* Steps */
    {REAL(num_train_epochs), .group = GROUP_STEPS, .stages = IN_ALL, .unit = "passes over the data",
     .range = "(0, 1e6]", .initial = "3", .instead = {{IN_REWARD | IN_PPO, {ALWAYS}, "1"}}, .may_change = true,
     .help = "how long to train; parts of an epoch are fine",
     .elsewhere =
         "axolotl:num_epochs torchtune:epochs OpenRLHF:train.max_epochs OpenRLHF:max_epochs OpenRLHF:num_episodes"},
    {WHOLE(max_steps), .group = GROUP_STEPS, .stages = IN_ALL, .unit = "optimizer steps; iterations in PPO",
     .range = "[-1, 1e12]", .initial = "-1", .may_change = true,
     .help = "stop after so many steps, whatever num_train_epochs says; -1 leaves it to the epochs",
     .elsewhere = "torchtune:max_steps_per_epoch TRL:total_episodes TRL:total_ppo_epochs"},
    {WHOLE(per_device_train_batch_size), .group = GROUP_STEPS, .stages = IN_ALL,
     .unit = "examples; rankings in the reward stage; prompts of an iteration in PPO", .range = "[1, 1048576]",
     .initial = "8", .instead = {{IN_PPO, {ALWAYS}, "64"}},
     .help = "a micro-batch: what is counted together; memory may be saved by computing it in several passes (in PPO: "
             "an iteration)",
     .elsewhere = "axolotl:micro_batch_size torchtune:batch_size OpenRLHF:train.micro_batch_size "
                  "OpenRLHF:micro_train_batch_size TRL:generation_batch_size"},
    {WHOLE(per_device_eval_batch_size), .group = GROUP_STEPS, .stages = IN_SFT | IN_REWARD, .unit = "examples",
     .range = "[1, 1048576]", .initial = "8", .may_change = true,
     .help = "what is evaluated at once; no number depends on it",
     .elsewhere = "axolotl:eval_batch_size torchtune:batch_size_val"},
    {WHOLE(gradient_accumulation_steps), .group = GROUP_STEPS, .stages = IN_ALL, .range = "[1, 1048576]",
     .initial = "1",
     .help = "micro-batches of an optimizer step; the loss is that of the whole batch. In PPO a minibatch is "
             "computed in so many pieces",
     .elsewhere = "TRL:steps_per_generation"},
    {SWITCH(gradient_checkpointing), .group = GROUP_STEPS, .stages = IN_ALL, .initial = "false", .may_change = true,
     .help =
         "keep only each layer's input and compute the rest again: less memory, about a third more time, the same bits",
     .elsewhere = "torchtune:enable_activation_checkpointing OpenRLHF:gradient_checkpointing_enable "
                  "transformers:activation_checkpointing"},

    /* Optimizer */
    {REAL(learning_rate), .group = GROUP_OPTIMIZER, .stages = IN_ALL, .range = "[0, 10]", .initial = "2e-4",
     .instead = {{IN_SFT, {FULL}, "2e-5"},
                 {IN_REWARD, {FULL}, "1e-5"},
                 {IN_REWARD, {ALWAYS}, "1e-4"},
                 {IN_PPO, {FULL, GRPO}, "1e-6"},
                 {IN_PPO, {FULL, RLOO}, "1e-6"},
                 {IN_PPO, {FULL}, "3e-6"},
                 {IN_PPO, {GRPO}, "1e-5"},
                 {IN_PPO, {RLOO}, "1e-5"},
                 {IN_PPO, {ALWAYS}, "3e-5"}},
     .help = "peak learning rate of AdamW; an adapter wants about ten times that of full tuning",
     .elsewhere = "torchtune:optimizer.lr torchtune:lr OpenRLHF:adam.lr OpenRLHF:actor_learning_rate"},
    {CHOICE(lr_scheduler_type), .group = GROUP_OPTIMIZER, .stages = IN_ALL, .choices = schedules, .initial = "cosine",
     .instead = {{IN_PPO, {ALWAYS}, "warmup_stable_decay"}},
     .help = "how the learning rate falls after the warm-up; the curves are those of transformers",
     .elsewhere = "axolotl:lr_scheduler OpenRLHF:lr_scheduler"},
    {REAL(warmup_steps), .group = GROUP_OPTIMIZER, .stages = IN_ALL,
     .unit = "optimizer steps, or below 1 a share of the run", .range = "[0, 1e12]",
     .help = "steps in which the learning rate rises from 0; where it is not given, warmup_ratio holds",
     .elsewhere = "torchtune:lr_scheduler.num_warmup_steps torchtune:num_warmup_steps"},
    {REAL(warmup_ratio), .group = GROUP_OPTIMIZER, .stages = IN_ALL, .unit = "share of the run", .range = "[0, 1)",
     .initial = "0.03", .instead = {{IN_PPO, {ALWAYS}, "0"}},
     .help = "the older name of a warmup_steps below 1; a warmup_steps beside it wins",
     .elsewhere = "OpenRLHF:lr_warmup_ratio"},
    {REAL(min_lr_rate), .group = GROUP_OPTIMIZER, .stages = IN_ALL, .unit = "share of learning_rate", .range = "[0, 1]",
     .initial = "0", .help = "where a schedule that falls ends",
     .elsewhere = "axolotl:cosine_min_lr_ratio transformers:lr_scheduler_kwargs.min_lr_rate"},
    {REAL(weight_decay), .group = GROUP_OPTIMIZER, .stages = IN_ALL, .range = "[0, 10]", .initial = "0",
     .help = "AdamW's decoupled decay; norms and biases are left out",
     .elsewhere = "torchtune:optimizer.weight_decay OpenRLHF:l2 OpenRLHF:adam.weight_decay"},
    {REAL(adam_beta1), .group = GROUP_OPTIMIZER, .stages = IN_ALL, .range = "[0, 1)", .initial = "0.9",
     .help = "AdamW's memory of the gradient"},
    {REAL(adam_beta2), .group = GROUP_OPTIMIZER, .stages = IN_ALL, .range = "[0, 1)", .initial = "0.999",
     .help = "AdamW's memory of the squared gradient"},
    {REAL(adam_epsilon), .group = GROUP_OPTIMIZER, .stages = IN_ALL, .range = "(0, 1]", .initial = "1e-8",
     .instead = {{IN_PPO, {ALWAYS}, "1e-5"}}, .help = "AdamW's epsilon, added to the root as PyTorch does",
     .elsewhere = "OpenRLHF:adam.eps torchtune:optimizer.eps"},
    {REAL(max_grad_norm), .group = GROUP_OPTIMIZER, .stages = IN_ALL, .range = "[0, 1e9]", .initial = "1",
     .help = "the gradient is scaled down to this norm; 0 leaves it",
     .elsewhere = "torchtune:clip_grad_norm OpenRLHF:max_norm"},
    {WHOLE(max_skipped_steps), .group = GROUP_OPTIMIZER, .stages = IN_ALL, .range = "[0, 1e6]", .initial = "5",
     .may_change = true,
     .help = "steps with a loss or gradient that is not finite are skipped; after so many in a row the run stops"},

    /* Reward model */
    {CHOICE(margin), .group = GROUP_REWARD, .stages = IN_REWARD, .choices = margins, .initial = "none",
     .help = "distance asked for between two scores: from the label's strength, or from a `margin` column or ratings "
             "in the file"},
    {REAL(margin_scale), .group = GROUP_REWARD, .stages = IN_REWARD, .range = "[0, 1e6]", .initial = "1",
     .help = "what the margin is multiplied with"},
    {CHOICE(ties), .group = GROUP_REWARD, .stages = IN_REWARD, .choices = ties, .initial = "skip",
     .help = "pairs of equal rank are left out, or pulled together with target 0.5"},
    {REAL(label_smoothing), .group = GROUP_REWARD, .stages = IN_REWARD, .range = "[0, 0.5)", .initial = "0",
     .help = "share of labels taken to be wrong", .elsewhere = "transformers:label_smoothing_factor"},
    {REAL(center_rewards_coefficient), .group = GROUP_REWARD, .stages = IN_REWARD, .range = "[0, 1e6]", .initial = "0",
     .help = "weight of (r_chosen + r_rejected)^2, which keeps scores around 0; 0.01 is usual"},
    {SWITCH(weight_by_agreement), .group = GROUP_REWARD, .stages = IN_REWARD, .initial = "false",
     .help = "weigh a ranking by how far its annotators agree"},
    {SWITCH(normalize_scores), .group = GROUP_REWARD, .stages = IN_REWARD, .initial = "true",
     .help = "after training, scale the head so that scores of the training answers have mean 0 and deviation 1"},

    /* Scores in PPO */
    {TEXT(reward_model), .group = GROUP_SCORES, .stages = IN_PPO,
     .help = "folder of the reward stage's run, or of its export",
     .elsewhere = "TRL:reward_model_path OpenRLHF:reward_pretrain OpenRLHF:reward.model_name_or_path"},
    {TEXT(reward_command), .group = GROUP_SCORES, .stages = IN_PPO,
     .help = "program that scores answers, run by sh -c: reads {\"id\",\"prompt\",\"messages\",\"response\"} a line, "
             "answers {\"score\": 1.5} a line, in order",
     .elsewhere = "OpenRLHF:remote_rm_url TRL:reward_funcs"},
    {REAL(reward_timeout), .group = GROUP_SCORES, .stages = IN_PPO, .unit = "seconds", .range = "(0, 1e6]",
     .initial = "300", .may_change = true, .help = "how long reward_command may stay silent before the run stops"},
    {REAL(missing_eos_penalty), .group = GROUP_SCORES, .stages = IN_PPO, .range = "[0, 1e6]", .initial = "0",
     .help = "taken off the score of an answer that did not end; 0 is off", .elsewhere = "TRL:non_eos_penalty"},
    {REAL(score_clip), .group = GROUP_SCORES, .stages = IN_PPO, .range = "[0, 1e9]", .initial = "0",
     .help = "scores are clipped to -score_clip .. score_clip; 0 is off", .elsewhere = "OpenRLHF:reward_clip_range"},
    {SWITCH(use_score_norm), .group = GROUP_SCORES, .stages = IN_PPO, .initial = "false",
     .help = "bring scores to mean 0 and deviation 1 by running statistics",
     .elsewhere = "LLaMA-Factory:ppo_score_norm TRL:use_score_scaling OpenRLHF:normalize_reward"},
    {SWITCH(whiten_rewards), .group = GROUP_SCORES, .stages = IN_PPO, .initial = "false",
     .help = "divide token rewards by their deviation over the rollout batch",
     .elsewhere = "LLaMA-Factory:ppo_whiten_rewards"},

    /* Rollouts */
    {WHOLE(response_length), .group = GROUP_ROLLOUTS, .stages = IN_PPO, .unit = "tokens", .range = "[1, 1048576]",
     .initial = "53", .instead = {{IN_PPO, {GRPO}, "512"}, {IN_PPO, {RLOO}, "512"}}, .help = "longest answer",
     .synonyms = "max_completion_length",
     .elsewhere = "OpenRLHF:generate_max_len LLaMA-Factory:max_new_tokens torchtune:max_generated_tokens"},
    {WHOLE(num_generations), .group = GROUP_ROLLOUTS, .stages = IN_PPO, .range = "[1, 4096]", .initial = "1",
     .instead = {{IN_PPO, {GRPO}, "8"}, {IN_PPO, {RLOO}, "2"}}, .help = "answers sampled to each prompt",
     .elsewhere = "OpenRLHF:n_samples_per_prompt torchtune:grpo_samples TRL:rloo_k"},
    {WHOLE(rollout_batch_size), .group = GROUP_ROLLOUTS, .stages = IN_PPO, .unit = "answers", .range = "[1, 65536]",
     .initial = "16", .may_change = true,
     .help =
         "answers decoded side by side, a finished one replaced at once; costs KV cache, and no number depends on it",
     .elsewhere = "TRL:local_rollout_forward_batch_size OpenRLHF:micro_rollout_batch_size"},
    {REAL(temperature), .group = GROUP_ROLLOUTS, .stages = IN_PPO, .range = "(0, 100]", .initial = "0.7",
     .instead = {{IN_PPO, {GRPO}, "1"}, {IN_PPO, {RLOO}, "1"}},
     .help = "logits are divided by it, in sampling and wherever log-probabilities are taken"},
    {WHOLE(top_k), .group = GROUP_ROLLOUTS, .stages = IN_PPO, .range = "[0, 16777216]", .initial = "0",
     .help = "sample from the k likeliest tokens only; 0 is off, and anything else makes the measured KL wrong"},
    {REAL(top_p), .group = GROUP_ROLLOUTS, .stages = IN_PPO, .range = "(0, 1]", .initial = "1",
     .help = "sample from the likeliest tokens of this total probability; below 1 the measured KL is wrong"},

    /* The update of PPO */
    {CHOICE(advantage_estimator), .group = GROUP_UPDATE, .stages = IN_PPO, .choices = advantages, .initial = "gae",
     .help = "gae learns a critic; grpo and rloo compare the answers to one prompt with each other and need none",
     .elsewhere = "OpenRLHF:algo.advantage.estimator"},
    {CHOICE(scale_rewards), .group = GROUP_UPDATE, .stages = IN_PPO, .choices = reward_scales, .initial = "group",
     .help = "grpo: divide advantages by the deviation of the group, of the batch, or not at all"},
    {CHOICE(loss_type), .group = GROUP_UPDATE, .stages = IN_PPO, .choices = policy_losses, .initial = "dapo",
     .help = "the policy loss is averaged over all tokens (dapo), over answers (grpo), or over answers of the "
             "longest length (dr_grpo)"},
    {WHOLE(num_ppo_epochs), .group = GROUP_UPDATE, .stages = IN_PPO, .range = "[1, 1000]", .initial = "4",
     .instead = {{IN_PPO, {GRPO}, "1"}, {IN_PPO, {RLOO}, "1"}}, .help = "passes over the answers of an iteration",
     .synonyms = "num_iterations", .elsewhere = "LLaMA-Factory:ppo_epochs torchtune:ppo_epochs"},
    {WHOLE(num_mini_batches), .group = GROUP_UPDATE, .stages = IN_PPO, .range = "[1, 65536]", .initial = "1",
     .help = "optimizer steps in each of these passes",
     .elsewhere =
         "TRL:mini_batch_size LLaMA-Factory:ppo_buffer_size torchtune:ppo_batch_size OpenRLHF:train_batch_size"},
    {REAL(cliprange), .group = GROUP_UPDATE, .stages = IN_PPO, .range = "(0, 10]", .initial = "0.2",
     .help = "the probability ratio is clipped to 1 - cliprange .. 1 + cliprange", .synonyms = "epsilon",
     .elsewhere = "OpenRLHF:eps_clip torchtune:loss.epsilon"},
    {REAL(epsilon_high), .group = GROUP_UPDATE, .stages = IN_PPO, .range = "[0, 10]", .initial = "0",
     .help = "another upper bound, 1 + epsilon_high; 0 takes cliprange", .elsewhere = "OpenRLHF:eps_clip_low_high"},
    {REAL(cliprange_value), .group = GROUP_UPDATE, .stages = IN_PPO, .range = "(0, 1e6]", .initial = "0.2",
     .help = "how far a value may move from the old one in one iteration",
     .elsewhere = "OpenRLHF:value_clip torchtune:loss.value_clip_range"},
    {REAL(vf_coef), .group = GROUP_UPDATE, .stages = IN_PPO, .range = "[0, 1e6]", .initial = "0.1",
     .help = "weight of the value loss", .elsewhere = "torchtune:loss.value_coeff"},
    {REAL(gamma), .group = GROUP_UPDATE, .stages = IN_PPO, .range = "[0, 1]", .initial = "1",
     .help = "discount of later rewards"},
    {REAL(lam), .group = GROUP_UPDATE, .stages = IN_PPO, .range = "[0, 1]", .initial = "0.95",
     .help = "lambda of generalised advantage estimation", .elsewhere = "OpenRLHF:lambd torchtune:lmbda"},
    {REAL(entropy_coef), .group = GROUP_UPDATE, .stages = IN_PPO, .range = "[0, 1e6]", .initial = "0",
     .help = "weight of an entropy bonus", .elsewhere = "OpenRLHF:entropy_loss_coef"},
    {REAL(target_kl), .group = GROUP_UPDATE, .stages = IN_PPO, .unit = "nats", .range = "[0, 1e6]", .initial = "0",
     .help = "end an iteration's updates once the policy moved this far from the one that sampled; 0 is off",
     .elsewhere = "TRL:early_stopping"},
    {REAL(ratio_threshold), .group = GROUP_UPDATE, .stages = IN_PPO, .range = "[0, 1e9]", .initial = "10",
     .help = "skip a minibatch whose mean probability ratio is larger; 0 is off"},
    {CHOICE(critic_init), .group = GROUP_UPDATE, .stages = IN_PPO, .choices = critics, .initial = "auto",
     .help =
         "the critic starts from the reward model or with a fresh head; auto takes the reward model where there is one",
     .elsewhere = "OpenRLHF:critic_pretrain TRL:value_model"},
    {WHOLE(critic_warmup_steps), .group = GROUP_UPDATE, .stages = IN_PPO, .unit = "iterations", .range = "[0, 1e9]",
     .initial = "0", .help = "iterations in which only the critic learns",
     .elsewhere = "OpenRLHF:freezing_actor_steps"},
    {REAL(ptx_coef), .group = GROUP_UPDATE, .stages = IN_PPO, .range = "[0, 1e6]", .initial = "0",
     .help = "weight of the next-token loss on ptx_dataset (PPO-ptx)"},
    {DATASETS(ptx_dataset), .group = GROUP_UPDATE, .stages = IN_PPO,
     .help = "text the policy should not forget, in the form of dataset", .elsewhere = "OpenRLHF:pretrain_data"},

    /* Distance to the reference policy */
    {REAL(kl_coef), .group = GROUP_REFERENCE, .stages = IN_PPO, .range = "[0, 1e6]", .initial = "0.05",
     .instead = {{IN_PPO, {GRPO}, "0"}},
     .help = "price of a nat between policy and reference; in grpo inside the loss, else in the reward",
     .synonyms = "beta",
     .elsewhere = "OpenRLHF:init_kl_coef OpenRLHF:algo.kl.init_coef TRL:init_kl_coef torchtune:kl_coeff"},
    {CHOICE(kl_estimator), .group = GROUP_REFERENCE, .stages = IN_PPO, .choices = kl_estimators, .initial = "k1",
     .instead = {{IN_PPO, {GRPO}, "k3"}},
     .help = "with d = log p - log p_reference: k1 is d, k2 d^2 / 2, k3 exp(-d) - 1 + d",
     .elsewhere = "TRL:kl_penalty OpenRLHF:use_kl_estimator_k3"},
    {SWITCH(adaptive_kl), .group = GROUP_REFERENCE, .stages = IN_PPO, .initial = "false",
     .help = "steer kl_coef so that the KL of an answer stays near kl_target", .elsewhere = "TRL:adap_kl_ctrl"},
    {REAL(kl_target), .group = GROUP_REFERENCE, .stages = IN_PPO, .unit = "nats an answer", .range = "(0, 1e6]",
     .initial = "6", .help = "where adaptive_kl steers to", .synonyms = "target",
     .elsewhere = "LLaMA-Factory:ppo_target"},
    {REAL(kl_horizon), .group = GROUP_REFERENCE, .stages = IN_PPO, .unit = "answers", .range = "(0, 1e12]",
     .initial = "10000", .help = "how slowly it does", .synonyms = "horizon"},

    /* Evaluation */
    {WHOLE(eval_steps), .group = GROUP_EVALUATION, .stages = IN_ALL, .unit = "optimizer steps", .range = "[0, 1e12]",
     .initial = "0", .may_change = true,
     .help = "evaluate (and sample) every so many steps; 0: before the first and after the last only",
     .elsewhere = "torchtune:run_val_every_n_steps OpenRLHF:eval.steps"},
    {WHOLE(early_stopping_patience), .group = GROUP_EVALUATION, .stages = IN_SFT | IN_REWARD, .unit = "evaluations",
     .range = "[0, 1e6]", .initial = "0", .may_change = true,
     .help = "stop when eval_loss (SFT) or eval_accuracy (reward) has not become better so many times; 0 is off",
     .elsewhere = "LLaMA-Factory:early_stopping_steps"},
    {REAL(early_stopping_threshold), .group = GROUP_EVALUATION, .stages = IN_SFT | IN_REWARD, .range = "[0, 1e6]",
     .initial = "0", .may_change = true, .help = "better means better by at least this much"},
    {SWITCH(load_best_model_at_end), .group = GROUP_EVALUATION, .stages = IN_SFT | IN_REWARD, .initial = "false",
     .may_change = true,
     .help = "end with the checkpoint of the best evaluation, which is kept whatever save_total_limit says"},
    {TEXTS(sample_prompts), .group = GROUP_EVALUATION, .stages = IN_SFT | IN_PPO, .may_change = true, .verbatim = true,
     .help = "prompts to answer at every evaluation, to look at: a list of texts"},
    {TEXT(sample_prompts_file), .group = GROUP_EVALUATION, .stages = IN_SFT | IN_PPO, .may_change = true,
     .help = "the same from a dataset file of any format that has prompts"},
    {WHOLE(sample_max_new_tokens), .group = GROUP_EVALUATION, .stages = IN_SFT | IN_PPO, .unit = "tokens",
     .range = "[1, 1048576]", .initial = "64", .may_change = true, .help = "longest of these answers",
     .elsewhere = "axolotl:eval_table_max_new_tokens"},

    /* The run */
    {TEXT(output_dir), .group = GROUP_RUN, .stages = IN_ALL, .required = true, .may_change = true,
     .help = "folder of the run: checkpoints, metrics, report and the result",
     .elsewhere = "OpenRLHF:save_path OpenRLHF:ckpt.output_dir OpenRLHF:ckpt_path"},
    {TEXT(resume_from_checkpoint), .group = GROUP_RUN, .stages = IN_ALL, .initial = "auto", .may_change = true,
     .help = "auto goes on from the newest whole checkpoint of output_dir and begins where there is none; never "
             "begins anew; or a checkpoint's folder",
     .elsewhere = "axolotl:auto_resume_from_checkpoints OpenRLHF:ckpt.load_enable OpenRLHF:load_checkpoint"},
    {WHOLE(logging_steps), .group = GROUP_RUN, .stages = IN_ALL, .unit = "optimizer steps", .range = "[1, 1e12]",
     .initial = "10", .instead = {{IN_PPO, {ALWAYS}, "1"}}, .may_change = true,
     .help = "how often metrics.jsonl gets a record", .elsewhere = "torchtune:log_every_n_steps"},
    {WHOLE(save_steps), .group = GROUP_RUN, .stages = IN_ALL, .unit = "optimizer steps", .range = "[0, 1e12]",
     .initial = "500", .instead = {{IN_PPO, {ALWAYS}, "50"}}, .may_change = true,
     .help = "how often a checkpoint is written; 0: at the end only",
     .elsewhere = "torchtune:save_every_n_steps OpenRLHF:ckpt.save_steps"},
    {WHOLE(save_total_limit), .group = GROUP_RUN, .stages = IN_ALL, .unit = "checkpoints", .range = "[0, 1e6]",
     .initial = "3", .may_change = true, .help = "older checkpoints of the run are removed; 0 keeps all",
     .elsewhere = "OpenRLHF:ckpt.max_num OpenRLHF:max_ckpt_num torchtune:keep_last_n_checkpoints"},
    {TEXTS(report_to), .group = GROUP_RUN, .stages = IN_ALL, .choices = reports, .initial = "none", .may_change = true,
     .help = "tensorboard writes its event files beside metrics.jsonl, which is always written",
     .elsewhere =
         "torchtune:metric_logger axolotl:use_tensorboard OpenRLHF:use_tensorboard OpenRLHF:logger.tensorboard"},
    {WHOLE(seed), .group = GROUP_RUN, .stages = IN_ALL, .range = "[0, 9223372036854775807]", .initial = "42",
     .help = "the same recipe and seed give the same numbers", .elsewhere = "TRL:data_seed"},
};
const size_t recipe_key_count = sizeof recipe_keys / sizeof recipe_keys[0];
static_assert(sizeof recipe_keys / sizeof recipe_keys[0] <= KEY_COUNT_MAX, "KEY_COUNT_MAX is too small");

const struct key dataset_keys[] = {
    {ROW(KEY_TEXT, recipe_dataset, path, char *), .group = GROUP_DATASET_ENTRY, .stages = IN_ALL, .required = true,
     .help = "file: .json, .jsonl, either of them as .gz, or prefs.db",
     .elsewhere = "axolotl:data_files torchtune:source"},
    {ROW(KEY_TEXT, recipe_dataset, format, char *), .group = GROUP_DATASET_ENTRY, .stages = IN_ALL, .choices = formats,
     .help = "form of the records; without it, or with auto, told from the first ones and reported",
     .elsewhere = "axolotl:type"},
    {ROW(KEY_TEXT, recipe_dataset, split, char *), .group = GROUP_DATASET_ENTRY, .stages = IN_ALL,
     .help = "only this part, of files and databases that name parts (train, eval, ...)"},
    {ROW(KEY_REAL, recipe_dataset, weight, double), .group = GROUP_DATASET_ENTRY, .stages = IN_ALL, .range = "(0, 1e6]",
     .initial = "1", .help = "how often its records are drawn in an epoch: 0.5 takes half of them, 2 each twice",
     .elsewhere = "TRL:fraction"},
    {ROW(KEY_TEXT, recipe_dataset, project, char *), .group = GROUP_DATASET_ENTRY, .stages = IN_REWARD,
     .help = "of a prefs.db, only this project"},
    {ROW(KEY_TEXTS, recipe_dataset, annotators, struct recipe_strings), .group = GROUP_DATASET_ENTRY,
     .stages = IN_REWARD, .initial = "none",
     .help = "of a prefs.db, only the judgments of these; none given takes all"},
    {ROW(KEY_REAL, recipe_dataset, min_agreement, double), .group = GROUP_DATASET_ENTRY, .stages = IN_REWARD,
     .range = "[0, 1]", .initial = "0", .help = "of a prefs.db, only items whose annotators agree at least this far"},
};
const size_t dataset_key_count = sizeof dataset_keys / sizeof dataset_keys[0];

const char *key_group_title(enum key_group group)
{
    static const char *const titles[GROUP_COUNT] = {
        [GROUP_MODEL] = "Model",
        [GROUP_LORA] = "Method and adapter",
        [GROUP_DATA] = "Data",
        [GROUP_STEPS] = "Batches and steps",
        [GROUP_OPTIMIZER] = "Optimizer",
        [GROUP_REWARD] = "Reward model",
        [GROUP_SCORES] = "PPO: scores and rewards",
        [GROUP_ROLLOUTS] = "PPO: rollouts",
        [GROUP_UPDATE] = "PPO: the update",
        [GROUP_REFERENCE] = "PPO: distance to the reference",
        [GROUP_EVALUATION] = "Evaluation",
        [GROUP_RUN] = "The run",
        [GROUP_DATASET_ENTRY] = "An entry of dataset, eval_dataset or ptx_dataset",
    };
    assert(group < GROUP_COUNT);
    return titles[group];
}
