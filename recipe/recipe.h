/*
 * recipe/recipe.h - the recipe of a run: what the user wrote in YAML and on the command line, checked and filled with
 * defaults.
 *
 *     struct recipe *recipe;
 *     if (recipe_load(&recipe, stages, stage, argv[1], argc - 2, argv + 2, &err) != 0) ...
 *     ... recipe->learning_rate ...
 *     recipe_free(recipe);
 *
 * Every field is one key of the same name; what it means, its unit, range and default stand in one table
 * (recipe/keys.c), which also feeds the help and docs/recipes.md. Fields of keys that the stage does not have hold
 * their zero. A stage that has keys of its own has a struct that begins with this one (recipe/stage.h): what is loaded
 * for it is of that struct.
 *
 * Paths are relative to the current directory, as TRL users expect. Text that was not given is NULL.
 */
#ifndef ATTUNE_RECIPE_RECIPE_H
#define ATTUNE_RECIPE_RECIPE_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recipe_stage;  /* recipe/stage.h */
struct recipe_stages; /* recipe/stage.h */
struct recipe_given;  /* private */

/* The curves of train/schedule.h. */
enum schedule_kind {
    SCHEDULE_CONSTANT,
    SCHEDULE_CONSTANT_WITH_WARMUP,
    SCHEDULE_LINEAR,
    SCHEDULE_COSINE,
    SCHEDULE_COSINE_WITH_MIN_LR,
    SCHEDULE_WARMUP_STABLE_DECAY,
};

enum recipe_dtype { RECIPE_DTYPE_AUTO, RECIPE_DTYPE_F32, RECIPE_DTYPE_BF16 };
enum recipe_device { RECIPE_DEVICE_AUTO, RECIPE_DEVICE_CPU, RECIPE_DEVICE_CUDA };
enum recipe_finetuning { RECIPE_LORA, RECIPE_FULL };
enum recipe_bad_record { RECIPE_BAD_RECORD_STOP, RECIPE_BAD_RECORD_SKIP };
enum recipe_too_long { RECIPE_TOO_LONG_DROP, RECIPE_TOO_LONG_KEEP_END, RECIPE_TOO_LONG_TRUNCATE };

struct recipe_strings {
    char **items; /* zero-terminated, not NULL */
    size_t count;
};

/* One entry of dataset, eval_dataset or ptx_dataset. */
struct recipe_dataset {
    char *path;
    char *format;                     /* a name of text/data/dataset.h; NULL: detected from the first records */
    char *split;                      /* NULL: all of it */
    double weight;                    /* > 0: how often the entry is drawn, relative to its size */
    char *project;                    /* this and the next two: prefs.db only; NULL: all projects */
    struct recipe_strings annotators; /* none: all of them */
    double min_agreement;             /* 0 .. 1 */
};

struct recipe_datasets {
    struct recipe_dataset *items;
    size_t count;
};

struct recipe {
    const struct recipe_stage *stage;
    const struct recipe_stages *stages; /* all there are, as they were given to recipe_load() */

    /* Model and adapter */
    char *model_name_or_path;
    char *adapter_name_or_path;
    enum recipe_finetuning finetuning_type;
    int64_t lora_r;
    double lora_alpha;
    double lora_dropout;
    struct recipe_strings lora_target_modules;
    struct recipe_strings lora_modules_to_save;
    bool use_rslora;
    bool use_dora;

    /* Data */
    struct recipe_datasets dataset;
    struct recipe_datasets eval_dataset;
    double eval_split;
    bool shuffle;
    char *chat_template;
    int64_t max_length;
    enum recipe_too_long on_too_long;
    enum recipe_bad_record on_bad_record;

    /* Batches and steps */
    double num_train_epochs;
    int64_t max_steps; /* > 0: wins over num_train_epochs */
    int64_t per_device_train_batch_size;
    int64_t per_device_eval_batch_size;
    int64_t gradient_accumulation_steps;
    bool gradient_checkpointing;

    /* Optimizer. warmup_ratio is folded into warmup_steps, which alone is to be read: schedule_warmup_steps(). */
    double learning_rate;
    enum schedule_kind lr_scheduler_type;
    double warmup_steps; /* below 1: a share of the run */
    double warmup_ratio;
    double min_lr_rate;
    double weight_decay;
    double adam_beta1;
    double adam_beta2;
    double adam_epsilon;
    double max_grad_norm; /* 0: no clipping */
    int64_t max_skipped_steps;

    /* Evaluation */
    int64_t eval_steps;              /* 0: before the first step and after the last only */
    int64_t early_stopping_patience; /* evaluations; 0: off */
    double early_stopping_threshold;
    bool load_best_model_at_end;
    struct recipe_strings sample_prompts;
    char *sample_prompts_file;
    int64_t sample_max_new_tokens;

    /* The run */
    char *output_dir;
    char *resume_from_checkpoint; /* "auto", "never", or the folder of a checkpoint */
    int64_t logging_steps;
    int64_t save_steps;              /* 0: at the end only */
    int64_t save_total_limit;        /* 0: all are kept */
    struct recipe_strings report_to; /* "tensorboard"; empty: none */
    int64_t seed;
    enum recipe_dtype dtype;
    enum recipe_device device;
    int64_t threads;        /* 0: as many as the process may use */
    int64_t max_memory_mib; /* 0: what the machine has free */

    struct recipe_given *given; /* the keys of the stage, and which of them the user gave */
};

/*
 * Makes *out for `stage`, one of `stages`, from the YAML file `path` (NULL: none, all keys come from the command line),
 * then from `argv`:
 * "--key value", "--key=value", "--switch" for a yes, "--dataset.0.path value" for a member of an entry.
 *
 * All mistakes are reported at once in *err, one a line, each with file:line:column, or with the option where it came
 * from the command line; an unknown key with the nearest known one, another tool's name with ours. Free with
 * recipe_free().
 */
int recipe_load(struct recipe **out, const struct recipe_stages *stages, const struct recipe_stage *stage,
                const char *path, int argc, char **argv, struct err *err);
/* The same with the YAML text given, for tests and benchmarks; `name` is what messages call it. */
int recipe_load_text(struct recipe **out, const struct recipe_stages *stages, const struct recipe_stage *stage,
                     const char *name, const char *text, size_t length, int argc, char **argv, struct err *err);
void recipe_free(struct recipe *recipe);
/*
 * A recipe does not say which stage it is for. The first one to which all its keys belong, or the one that misses the
 * fewest of them; what else is wrong with it recipe_load() tells.
 */
const struct recipe_stage *recipe_find_stage(const struct recipe_stages *stages, const char *path, int argc,
                                             char **argv);
/*
 * One key that every stage has, and that is a text, from a recipe of any stage; the rest of the file is not looked at.
 * *out is NULL where it is not set, else to be freed.
 */
int recipe_read_text(char **out, const char *path, const char *key, struct err *err);

/*
 * Whether the user gave `key`, in the file or on the command line; a name that is no key is a bug. In a recipe loaded
 * from a resolved one, every key that was written counts as given.
 */
bool recipe_is_set(const struct recipe *recipe, const char *key);

/* The word of a key that is one of several: recipe_choice(recipe, "dtype") is "auto", "f32" or "bf16". */
const char *recipe_choice(const struct recipe *recipe, const char *key);

/*
 * Writes recipe.resolved.yaml: every key that applies, in the order of the table, so that loading it gives the same
 * values. Keys that this run does not look at (lora_* in full tuning; lora_* not given beside adapter_name_or_path,
 * whose own hold; what key.unless rules out) are left out.
 */
int recipe_write(const struct recipe *recipe, const char *path, struct err *err);

/* Fails when a key that may not change differs, naming each with both values; `then` is the recipe of the run's folder.
 */
int recipe_check_resume(const struct recipe *now, const struct recipe *then, struct err *err);

#endif
