/* The keys that stages have in common; each stage's own stand in its folder. */
#include "recipe/internal.h"

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

const struct key common_keys[] = {
    /* Model */
    {TEXT_KEY(recipe, model_name_or_path), .group = GROUP_MODEL, .required = true,
     .help = "folder of a Hugging Face model: config.json, safetensors weights and tokenizer.json",
     .elsewhere = "axolotl:base_model torchtune:checkpointer.checkpoint_dir OpenRLHF:actor.model_name_or_path "
                  "OpenRLHF:pretrain TRL:model_name TRL:sft_model_path"},
    {CHOICE_KEY(recipe, dtype), .group = GROUP_MODEL, .choices = dtypes, .initial = "auto",
     .help = "number format of the matrix products; auto takes bf16 where the CPU has AMX or there is a GPU, else "
             "f32. Sums, losses and trained weights are f32 either way",
     .elsewhere = "TRL:torch_dtype OpenRLHF:param_dtype LLaMA-Factory:infer_dtype"},
    {CHOICE_KEY(recipe, device), .group = GROUP_MODEL, .choices = devices, .initial = "auto",
     .help = "where to compute; auto takes a GPU where there is one"},
    {WHOLE_KEY(recipe, threads), .group = GROUP_MODEL, .range = "[0, 1024]", .initial = "0", .may_change = true,
     .help = "threads on the CPU; 0 takes as many as the process may use. The numbers do not depend on it"},
    {WHOLE_KEY(recipe, max_memory_mib), .group = GROUP_MODEL, .unit = "MiB", .range = "[0, 1e9]", .initial = "0",
     .may_change = true,
     .help = "refuse a run whose memory plan is larger; 0 takes what the machine or its cgroup has free",
     .elsewhere = "axolotl:max_memory"},

    /* LoRA */
    {CHOICE_KEY(recipe, finetuning_type), .group = GROUP_LORA, .choices = finetuning_types, .initial = "lora",
     .help = "lora trains a low-rank adapter beside frozen weights, full trains every weight",
     .elsewhere = "axolotl:adapter TRL:use_peft"},
    {TEXT_KEY(recipe, adapter_name_or_path), .group = GROUP_LORA,
     .help = "folder of a PEFT adapter to start from; its own rank, alpha, targets and dropout hold. In PPO it is "
             "the reference policy as well",
     .elsewhere = "axolotl:lora_model_dir TRL:adapter_path"},
    {WHOLE_KEY(recipe, lora_r), .group = GROUP_LORA, .range = "[1, 65536]", .initial = "16",
     .help = "rank of the adapter: more learns more and costs more",
     .elsewhere = "LLaMA-Factory:lora_rank torchtune:lora_rank torchtune:model.lora_rank OpenRLHF:ds.lora.rank"},
    {REAL_KEY(recipe, lora_alpha), .group = GROUP_LORA, .range = "(0, 1e6]", .initial = "32",
     .help = "the adapter's output is scaled by lora_alpha / lora_r, or lora_alpha / sqrt(lora_r) with use_rslora",
     .elsewhere = "torchtune:model.lora_alpha OpenRLHF:ds.lora.alpha"},
    {REAL_KEY(recipe, lora_dropout), .group = GROUP_LORA, .range = "[0, 1)", .initial = "0.05",
     .help = "share of the adapter's inputs set to zero in training; PPO runs without (dropout would break its ratios)",
     .elsewhere = "torchtune:model.lora_dropout OpenRLHF:ds.lora.dropout"},
    {TEXTS_KEY(recipe, lora_target_modules), .group = GROUP_LORA, .initial = "all-linear",
     .help = "names of the linear layers to adapt (q_proj, v_proj, ...), or all-linear for every one but the head",
     .elsewhere = "LLaMA-Factory:lora_target torchtune:lora_attn_modules torchtune:apply_lora_to_mlp "
                  "torchtune:apply_lora_to_output axolotl:lora_target_linear OpenRLHF:target_modules "
                  "OpenRLHF:ds.lora.target_modules"},
    {TEXTS_KEY(recipe, lora_modules_to_save), .group = GROUP_LORA, .initial = "none",
     .help = "modules trained in full beside the adapter and saved with it (embed_tokens, lm_head)",
     .elsewhere = "LLaMA-Factory:additional_target PEFT:modules_to_save"},
    {SWITCH_KEY(recipe, use_rslora), .group = GROUP_LORA, .initial = "false",
     .help = "scale by the root of the rank, which keeps large ranks learning", .elsewhere = "axolotl:peft_use_rslora"},
    {SWITCH_KEY(recipe, use_dora), .group = GROUP_LORA, .initial = "false",
     .help = "weight-decomposed LoRA; not done yet, so only false is taken", .elsewhere = "axolotl:peft_use_dora"},

    /* Data */
    {DATASETS_KEY(recipe, dataset), .group = GROUP_DATA, .required = true,
     .help = "what to train on: a path, or a list of entries {path, format, split, weight}. PPO takes the prompts",
     .elsewhere = "axolotl:datasets TRL:dataset_name OpenRLHF:data.dataset OpenRLHF:prompt_data TRL:dataset_path"},
    {DATASETS_KEY(recipe, eval_dataset), .group = GROUP_DATA,
     .help =
         "what to evaluate on, in the same form; evaluated before the first step, every eval_steps and after the last",
     .elsewhere = "axolotl:test_datasets torchtune:dataset_val TRL:dataset_test_split"},
    {REAL_KEY(recipe, eval_split), .group = GROUP_DATA, .unit = "share of the prompts", .range = "[0, 1)",
     .initial = "0",
     .help =
         "hold this share of dataset back for evaluation, chosen by a hash of the prompt so that no prompt is in both",
     .elsewhere = "axolotl:val_set_size LLaMA-Factory:val_size TRL:test_split_size"},
    {SWITCH_KEY(recipe, shuffle), .group = GROUP_DATA, .initial = "true",
     .help = "draw the examples in a new order every epoch",
     .elsewhere = "TRL:shuffle_dataset axolotl:shuffle_merged_datasets"},
    {TEXT_KEY(recipe, chat_template), .group = GROUP_DATA,
     .help = "name of a built-in chat template, or path of a Jinja file; without it the model's own is used",
     .elsewhere =
         "LLaMA-Factory:template torchtune:prompt_template OpenRLHF:apply_chat_template TRL:chat_template_path"},
    {WHOLE_KEY(recipe, max_length), .group = GROUP_DATA, .unit = "tokens", .range = "[2, 16777216]", .initial = "1024",
     .help = "longest example; on_too_long says what becomes of longer ones. PPO drops prompts that leave no room for "
             "response_length",
     .elsewhere = "axolotl:sequence_len LLaMA-Factory:cutoff_len torchtune:tokenizer.max_seq_len "
                  "OpenRLHF:data.max_len OpenRLHF:max_len TRL:max_seq_length TRL:max_prompt_length "
                  "OpenRLHF:prompt_max_len"},
    {CHOICE_KEY(recipe, on_too_long), .group = GROUP_DATA, .choices = too_long, .initial = "drop",
     .help = "what to do with an example longer than max_length: truncate keeps its first tokens (SFT), drop leaves it "
             "out (in the reward stage: an answer out of its ranking), keep_end takes the beginning of its prompt away "
             "(reward stage). Counted each time",
     .elsewhere = "TRL:truncation_mode"},
    {CHOICE_KEY(recipe, on_bad_record), .group = GROUP_DATA, .choices = bad_records, .initial = "stop",
     .help = "what to do with a record that cannot be read: stop with its file and line, or skip and count it"},

    /* Steps */
    {REAL_KEY(recipe, num_train_epochs), .group = GROUP_STEPS, .unit = "passes over the data", .range = "(0, 1e6]",
     .initial = "3", .may_change = true, .help = "how long to train; parts of an epoch are fine",
     .elsewhere =
         "axolotl:num_epochs torchtune:epochs OpenRLHF:train.max_epochs OpenRLHF:max_epochs OpenRLHF:num_episodes"},
    {WHOLE_KEY(recipe, max_steps), .group = GROUP_STEPS, .unit = "optimizer steps; iterations in PPO",
     .range = "[-1, 1e12]", .initial = "-1", .may_change = true,
     .help = "stop after so many steps, whatever num_train_epochs says; -1 leaves it to the epochs",
     .elsewhere = "torchtune:max_steps_per_epoch TRL:total_episodes TRL:total_ppo_epochs"},
    {WHOLE_KEY(recipe, per_device_train_batch_size), .group = GROUP_STEPS,
     .unit = "examples; rankings in the reward stage; prompts of an iteration in PPO", .range = "[1, 1048576]",
     .initial = "8",
     .help = "a micro-batch: what is counted together; memory may be saved by computing it in several passes (in PPO: "
             "an iteration)",
     .elsewhere = "axolotl:micro_batch_size torchtune:batch_size OpenRLHF:train.micro_batch_size "
                  "OpenRLHF:micro_train_batch_size TRL:generation_batch_size"},
    {WHOLE_KEY(recipe, per_device_eval_batch_size), .group = GROUP_STEPS, .unit = "examples", .range = "[1, 1048576]",
     .initial = "8", .may_change = true, .help = "what is evaluated at once; no number depends on it",
     .elsewhere = "axolotl:eval_batch_size torchtune:batch_size_val"},
    {WHOLE_KEY(recipe, gradient_accumulation_steps), .group = GROUP_STEPS, .range = "[1, 1048576]", .initial = "1",
     .help = "micro-batches of an optimizer step; the loss is that of the whole batch. In PPO a minibatch is "
             "computed in so many pieces",
     .elsewhere = "TRL:steps_per_generation"},
    {SWITCH_KEY(recipe, gradient_checkpointing), .group = GROUP_STEPS, .initial = "false", .may_change = true,
     .help =
         "keep only each layer's input and compute the rest again: less memory, about a third more time, the same bits",
     .elsewhere = "torchtune:enable_activation_checkpointing OpenRLHF:gradient_checkpointing_enable "
                  "transformers:activation_checkpointing"},

    /* Optimizer */
    {REAL_KEY(recipe, learning_rate), .group = GROUP_OPTIMIZER, .range = "[0, 10]", .initial = "2e-4",
     .help = "peak learning rate of AdamW; an adapter wants about ten times that of full tuning",
     .elsewhere = "torchtune:optimizer.lr torchtune:lr OpenRLHF:adam.lr OpenRLHF:actor_learning_rate"},
    {CHOICE_KEY(recipe, lr_scheduler_type), .group = GROUP_OPTIMIZER, .choices = schedules, .initial = "cosine",
     .help = "how the learning rate falls after the warm-up; the curves are those of transformers",
     .elsewhere = "axolotl:lr_scheduler OpenRLHF:lr_scheduler"},
    {REAL_KEY(recipe, warmup_steps), .group = GROUP_OPTIMIZER, .unit = "optimizer steps, or below 1 a share of the run",
     .range = "[0, 1e12]",
     .help = "steps in which the learning rate rises from 0; where it is not given, warmup_ratio holds",
     .elsewhere = "torchtune:lr_scheduler.num_warmup_steps torchtune:num_warmup_steps"},
    {REAL_KEY(recipe, warmup_ratio), .group = GROUP_OPTIMIZER, .unit = "share of the run", .range = "[0, 1)",
     .initial = "0.03", .help = "the older name of a warmup_steps below 1; a warmup_steps beside it wins",
     .elsewhere = "OpenRLHF:lr_warmup_ratio"},
    {REAL_KEY(recipe, min_lr_rate), .group = GROUP_OPTIMIZER, .unit = "share of learning_rate", .range = "[0, 1]",
     .initial = "0", .help = "where a schedule that falls ends",
     .elsewhere = "axolotl:cosine_min_lr_ratio transformers:lr_scheduler_kwargs.min_lr_rate"},
    {REAL_KEY(recipe, weight_decay), .group = GROUP_OPTIMIZER, .range = "[0, 10]", .initial = "0",
     .help = "AdamW's decoupled decay; norms and biases are left out",
     .elsewhere = "torchtune:optimizer.weight_decay OpenRLHF:l2 OpenRLHF:adam.weight_decay"},
    {REAL_KEY(recipe, adam_beta1), .group = GROUP_OPTIMIZER, .range = "[0, 1)", .initial = "0.9",
     .help = "AdamW's memory of the gradient"},
    {REAL_KEY(recipe, adam_beta2), .group = GROUP_OPTIMIZER, .range = "[0, 1)", .initial = "0.999",
     .help = "AdamW's memory of the squared gradient"},
    {REAL_KEY(recipe, adam_epsilon), .group = GROUP_OPTIMIZER, .range = "(0, 1]", .initial = "1e-8",
     .help = "AdamW's epsilon, added to the root as PyTorch does",
     .elsewhere = "OpenRLHF:adam.eps torchtune:optimizer.eps"},
    {REAL_KEY(recipe, max_grad_norm), .group = GROUP_OPTIMIZER, .range = "[0, 1e9]", .initial = "1",
     .help = "the gradient is scaled down to this norm; 0 leaves it",
     .elsewhere = "torchtune:clip_grad_norm OpenRLHF:max_norm"},
    {WHOLE_KEY(recipe, max_skipped_steps), .group = GROUP_OPTIMIZER, .range = "[0, 1e6]", .initial = "5",
     .may_change = true,
     .help = "steps with a loss or gradient that is not finite are skipped; after so many in a row the run stops"},

    /* Evaluation */
    {WHOLE_KEY(recipe, eval_steps), .group = GROUP_EVALUATION, .unit = "optimizer steps", .range = "[0, 1e12]",
     .initial = "0", .may_change = true,
     .help = "evaluate (and sample) every so many steps; 0: before the first and after the last only",
     .elsewhere = "torchtune:run_val_every_n_steps OpenRLHF:eval.steps"},
    {WHOLE_KEY(recipe, early_stopping_patience), .group = GROUP_EVALUATION, .unit = "evaluations", .range = "[0, 1e6]",
     .initial = "0", .may_change = true,
     .help = "stop when eval_loss (SFT) or eval_accuracy (reward) has not become better so many times; 0 is off",
     .elsewhere = "LLaMA-Factory:early_stopping_steps"},
    {REAL_KEY(recipe, early_stopping_threshold), .group = GROUP_EVALUATION, .range = "[0, 1e6]", .initial = "0",
     .may_change = true, .help = "better means better by at least this much"},
    {SWITCH_KEY(recipe, load_best_model_at_end), .group = GROUP_EVALUATION, .initial = "false", .may_change = true,
     .help = "end with the checkpoint of the best evaluation, which is kept whatever save_total_limit says"},
    {TEXTS_KEY(recipe, sample_prompts), .group = GROUP_EVALUATION, .may_change = true, .verbatim = true,
     .help = "prompts to answer at every evaluation, to look at: a list of texts"},
    {TEXT_KEY(recipe, sample_prompts_file), .group = GROUP_EVALUATION, .may_change = true,
     .help = "the same from a dataset file of any format that has prompts"},
    {WHOLE_KEY(recipe, sample_max_new_tokens), .group = GROUP_EVALUATION, .unit = "tokens", .range = "[1, 1048576]",
     .initial = "64", .may_change = true, .help = "longest of these answers",
     .elsewhere = "axolotl:eval_table_max_new_tokens"},

    /* The run */
    {TEXT_KEY(recipe, output_dir), .group = GROUP_RUN, .required = true, .may_change = true,
     .help = "folder of the run: checkpoints, metrics, report and the result",
     .elsewhere = "OpenRLHF:save_path OpenRLHF:ckpt.output_dir OpenRLHF:ckpt_path"},
    {TEXT_KEY(recipe, resume_from_checkpoint), .group = GROUP_RUN, .initial = "auto", .may_change = true,
     .help = "auto goes on from the newest whole checkpoint of output_dir and begins where there is none; never "
             "begins anew; or a checkpoint's folder",
     .elsewhere = "axolotl:auto_resume_from_checkpoints OpenRLHF:ckpt.load_enable OpenRLHF:load_checkpoint"},
    {WHOLE_KEY(recipe, logging_steps), .group = GROUP_RUN, .unit = "optimizer steps", .range = "[1, 1e12]",
     .initial = "10", .may_change = true, .help = "how often metrics.jsonl gets a record",
     .elsewhere = "torchtune:log_every_n_steps"},
    {WHOLE_KEY(recipe, save_steps), .group = GROUP_RUN, .unit = "optimizer steps", .range = "[0, 1e12]",
     .initial = "500", .may_change = true, .help = "how often a checkpoint is written; 0: at the end only",
     .elsewhere = "torchtune:save_every_n_steps OpenRLHF:ckpt.save_steps"},
    {WHOLE_KEY(recipe, save_total_limit), .group = GROUP_RUN, .unit = "checkpoints", .range = "[0, 1e6]",
     .initial = "3", .may_change = true, .help = "older checkpoints of the run are removed; 0 keeps all",
     .elsewhere = "OpenRLHF:ckpt.max_num OpenRLHF:max_ckpt_num torchtune:keep_last_n_checkpoints"},
    {TEXTS_KEY(recipe, report_to), .group = GROUP_RUN, .choices = reports, .initial = "none", .may_change = true,
     .help = "tensorboard writes its event files beside metrics.jsonl, which is always written",
     .elsewhere =
         "torchtune:metric_logger axolotl:use_tensorboard OpenRLHF:use_tensorboard OpenRLHF:logger.tensorboard"},
    {WHOLE_KEY(recipe, seed), .group = GROUP_RUN, .range = "[0, 9223372036854775807]", .initial = "42",
     .help = "the same recipe and seed give the same numbers", .elsewhere = "TRL:data_seed"},
};
const size_t common_key_count = sizeof common_keys / sizeof common_keys[0];

const struct key dataset_keys[] = {
    {TEXT_KEY(recipe_dataset, path), .group = GROUP_DATASET_ENTRY, .required = true,
     .help = "file: .json, .jsonl, either of them as .gz, or prefs.db",
     .elsewhere = "axolotl:data_files torchtune:source"},
    {TEXT_KEY(recipe_dataset, format), .group = GROUP_DATASET_ENTRY, .choices = formats,
     .help = "form of the records; without it, or with auto, told from the first ones and reported",
     .elsewhere = "axolotl:type"},
    {TEXT_KEY(recipe_dataset, split), .group = GROUP_DATASET_ENTRY,
     .help = "only this part, of files and databases that name parts (train, eval, ...)"},
    {REAL_KEY(recipe_dataset, weight), .group = GROUP_DATASET_ENTRY, .range = "(0, 1e6]", .initial = "1",
     .help = "how often its records are drawn in an epoch: 0.5 takes half of them, 2 each twice",
     .elsewhere = "TRL:fraction"},
    {TEXT_KEY(recipe_dataset, project), .group = GROUP_DATASET_ENTRY, .help = "of a prefs.db, only this project"},
    {TEXTS_KEY(recipe_dataset, annotators), .group = GROUP_DATASET_ENTRY, .initial = "none",
     .help = "of a prefs.db, only the judgments of these; none given takes all"},
    {REAL_KEY(recipe_dataset, min_agreement), .group = GROUP_DATASET_ENTRY, .range = "[0, 1]", .initial = "0",
     .help = "of a prefs.db, only items whose annotators agree at least this far"},
};
const size_t dataset_key_count = sizeof dataset_keys / sizeof dataset_keys[0];
