/*
 * What keys are called: here, and by the tools that users come from. The lists of other tools' names follow their
 * documentation: axolotl's config reference, LLaMA-Factory's hparams, torchtune's recipes, OpenRLHF's command line,
 * TRL's and transformers' argument classes, old and new.
 */
#include "base/suggest.h"
#include "recipe/internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Names that need no key here, or a key with a certain value. Several names of one meaning are separated by blanks. */
static const struct {
    const char *names;
    const char *advice;
} advices[] = {
    {"stage do_train do_eval do_predict rl recipe", NULL}, /* the list of stages is the answer */
    {"bf16 pure_bf16 bf16_full_eval fp16 fp16_full_eval tf32", "write dtype: bf16, f32 or auto"},
    {"use_cpu no_cuda", "write device: cpu"},
    {"load_in_8bit load_in_4bit quantization_bit quantization_method bnb_4bit_quant_type bnb_config gptq "
     "double_quantization",
     "attune trains beside unquantised weights; leave it out"},
    {"optim optimizer optim_args", "the optimizer is AdamW; leave it out"},
    {"eval_strategy evaluation_strategy evals_per_epoch", "write eval_steps"},
    {"save_strategy saves_per_epoch save_first_step", "write save_steps"},
    {"logging_strategy logging_first_step", "write logging_steps"},
    {"metric_for_best_model greater_is_better",
     "the best is the lowest eval_loss (SFT) or the highest eval_accuracy (reward)"},
    {"eval_on_start", "evaluation always runs before the first step"},
    {"assistant_only_loss completion_only_loss",
     "only the turns of train_roles are learned, unless train_on_prompt is true"},
    {"mask_history", "write train_roles, or one record a turn"},
    {"lr_scheduler_kwargs min_lr min_learning_rate", "write min_lr_rate, a share of learning_rate"},
    {"deepspeed fsdp fsdp_config zero_stage ddp_timeout ddp_find_unused_parameters local_rank",
     "leave it out; ranks come from mpirun"},
    {"flash_attention flash_attn sdp_attention xformers_attention attn_implementation use_liger_kernel compile "
     "torch_compile enable_liger_kernel",
     "attention is always blocked and exact; leave it out"},
    {"wandb_project wandb_entity wandb_watch wandb_name wandb_log_model wandb_run_id use_wandb use_swanlab "
     "mlflow_experiment_name comet_project_name run_name logging_dir plot_loss log_with",
     "metrics go to metrics.jsonl and report.html in output_dir; report_to: tensorboard adds event files"},
    {"push_to_hub hub_model_id hub_token hub_strategy push_dataset_to_hub", "attune uploads nothing; leave it out"},
    {"trust_remote_code trust_remote_code_model model_type tokenizer_type tokenizer_config is_llama_derived_model "
     "tokenizer_name tokenizer_name_or_path _component_",
     "config.json and tokenizer.json say it; leave it out"},
    {"preprocessing_num_workers dataset_processes dataset_num_proc dataloader_num_workers dataloader_pin_memory "
     "dataset_prepared_path overwrite_cache tokenized_path remove_unused_columns",
     "data is read and tokenised as it is needed; leave it out"},
    {"pad_to_sequence_len pad_to_multiple_of group_by_length special_tokens pad_token",
     "batches have no padding; leave it out"},
    {"strict overwrite_output_dir", "write resume_from_checkpoint: never and a fresh output_dir"},
    {"dataset_dir dataset_info data_dir", "write the whole path of each file in dataset"},
    {"dataset_text_field field_instruction field_output field_messages message_property_mappings",
     "see format: records are alpaca, sharegpt, messages, completion or text"},
    {"max_samples", "cut the file, or write a weight below 1 in its dataset entry"},
    {"reward_tokenizer_path value_model_path ref_model ref_model_adapters",
     "the reference is adapter_name_or_path or the base, the critic comes from critic_init"},
    {"bias fan_in_fan_out lora_fan_in_fan_out lora_bias lora_task_type task_type",
     "the model's architecture says it; leave it out"},
    {"neftune_noise_alpha noisy_embedding_alpha", "attune adds no noise to embeddings; leave it out"},
    {"ema_beta enable_ema", "attune keeps no running average of the weights; leave it out"},
    {"use_vllm vllm_mode vllm_gpu_memory_utilization vllm_num_engines", "attune samples by itself; leave it out"},
    {"<<", "merge keys are not part of recipes; write the keys out"},
};

/* The word at *list, which is moved behind it; returns its length, 0 at the end. */
static size_t next_word(const char **list, const char **word)
{
    *word = *list + strspn(*list, " ");
    size_t length = strcspn(*word, " ");
    *list = *word + length;
    return length;
}

static bool is_word(const char *word, size_t length, const char *name)
{
    return strlen(name) == length && memcmp(word, name, length) == 0;
}

bool name_among(const char *list, const char *name)
{
    const char *word;
    for (size_t length; list && (length = next_word(&list, &word)) > 0;) {
        if (is_word(word, length, name)) {
            return true;
        }
    }
    return false;
}

bool key_has_name(const struct key *key, const char *name)
{
    return strcmp(key->name, name) == 0 || name_among(key->synonyms, name);
}

bool key_is_of_lora(const struct key *key)
{
    return strcmp(key->group, GROUP_LORA) == 0 && strcmp(key->name, "finetuning_type") != 0;
}

/* Looks `name` up among the "tool:name" words of a row. */
static bool called_elsewhere(const struct key *key, const char *name, struct key_meaning *meaning)
{
    const char *list = key->elsewhere, *word;
    for (size_t length; list && (length = next_word(&list, &word)) > 0;) {
        const char *colon = memchr(word, ':', length);
        assert(colon);
        size_t tool = (size_t)(colon - word);
        if (is_word(colon + 1, length - tool - 1, name)) {
            assert(tool < sizeof meaning->tool);
            *meaning = (struct key_meaning){.key = key};
            memcpy(meaning->tool, word, tool);
            return true;
        }
    }
    return false;
}

static void advise(struct key_meaning *meaning, const struct key_table *table, const char *advice)
{
    *meaning = (struct key_meaning){0};
    if (advice) {
        assert(strlen(advice) < sizeof meaning->advice);
        strcpy(meaning->advice, advice);
        return;
    }
    struct strbuf text = {0};
    strbuf_puts(&text, "the stage is the command: ");
    stages_put_names(&text, table->stages, "attune ", ", ", " or ");
    snprintf(meaning->advice, sizeof meaning->advice, "%s",
             text.failed ? "the stage is the command" : strbuf_text(&text));
    strbuf_free(&text);
}

static bool exact_meaning(const struct key_table *table, const char *name, struct key_meaning *meaning)
{
    for (size_t i = 0; i < table->count; i++) {
        if (called_elsewhere(table->rows[i], name, meaning)) {
            return true;
        }
    }
    for (size_t i = 0; table->stages && i < sizeof advices / sizeof advices[0]; i++) {
        if (name_among(advices[i].names, name)) {
            advise(meaning, table, advices[i].advice);
            return true;
        }
    }
    return false;
}

bool key_meaning_of(const struct key_table *table, const char *name, struct key_meaning *meaning)
{
    const char *dot = strrchr(name, '.');
    return exact_meaning(table, name, meaning) || (dot && exact_meaning(table, dot + 1, meaning));
}

const struct key *key_nearest(const struct key_table *table, const char *name)
{
    const char *names[KEY_COUNT_MAX] = {0};
    for (size_t i = 0; i < table->count; i++) {
        names[i] = table->rows[i]->name;
    }
    const char *nearest = suggest_nearest(name, names, table->count);
    for (size_t i = 0; nearest && i < table->count; i++) {
        if (names[i] == nearest) {
            return table->rows[i];
        }
    }
    return NULL;
}
