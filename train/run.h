/*
 * train/run.h - the folder of a run: what is in it, how it is resumed, and how it ends.
 *
 *     recipe.resolved.yaml     every key, as this run uses it
 *     metrics.jsonl            train/metrics.h
 *     samples.jsonl            answers at evaluations, where there are some: {"step","epoch","prompt","answer"}
 *     memory.json              the memory plan
 *     report.html              report/report.h
 *     checkpoint-N/            trained tensors, optimizer.safetensors, state.json, recipe.resolved.yaml
 *     adapter_*.*, model.*     the result, once the run is finished
 *     state.json               written last: the run is finished
 *
 * A run killed at any moment and resumed gives the same bytes as one that was never killed. So a checkpoint is written
 * beside its place, synced and renamed; it remembers what decides the numbers besides the recipe (instruction set,
 * dtype of products, base weights, examples), and resuming refuses to go on when one of them changed.
 */
#ifndef ATTUNE_TRAIN_RUN_H
#define ATTUNE_TRAIN_RUN_H

#include "recipe/recipe.h"
#include "report/tensorboard.h"
#include "roles/trainable.h"
#include "train/metrics.h"
#include "train/optimizer.h"

/* What a checkpoint remembers beside the tensors. */
struct run_state {
    int64_t step;                    /* optimizer steps done */
    int64_t total_steps;             /* planned when it was written */
    int64_t tokens;                  /* tokens that went through the model in training */
    int64_t skipped, skipped_in_row; /* steps left out because a gradient was not finite */
    double best_eval;                /* the least error an evaluation had (train/loop.h); NaN: none yet */
    int64_t best_step;
    int64_t evaluations_without_gain;
    bool finished, stopped_early;
    /* Sums since the last record in metrics.jsonl: a resumed run writes the same record. */
    double window_loss;
    int64_t window_steps;
};

/*
 * Further numbers of the stage that decide what comes: kept in checkpoints under their names, and set when a run is
 * resumed. A checkpoint that lacks one of them, or has another, is refused.
 */
struct run_number {
    const char *name; /* borrowed */
    double *value;    /* borrowed */
};
#define RUN_NUMBERS_MAX 96
struct run_numbers {
    struct run_number items[RUN_NUMBERS_MAX];
    size_t count;
};
/* A name is given once, and is none of struct run_state. */
void run_numbers_add(struct run_numbers *numbers, const char *name, double *value);

/* What is trained, with its optimizer. */
struct run_part {
    const char *name; /* its folder in a checkpoint and in the result; NULL: it stands there itself */
    struct trainable *trainable;
    struct optimizer *optimizer;
};

/* A folder that takes part in a run without being trained: what it holds when the run goes on must be what it held. */
struct run_role {
    const char *key;    /* of the recipe, and in state.json */
    const char *folder; /* its value */
    char hash[HASH_TEXT_SIZE];
};
#define RUN_ROLES_MAX 2

/* What decides the numbers besides the recipe; two runs that differ in it do not give the same bytes. */
struct run_identity {
    const char *numerics; /* of the backend */
    char base[HASH_TEXT_SIZE];
    char data[HASH_TEXT_SIZE]; /* fingerprint of the tokenised examples */
    struct run_role roles[RUN_ROLES_MAX];
    size_t role_count;
};

/* `backend` lives as long as the identity. */
struct run_identity run_identity_of(const struct trainable *trainable, const struct backend *backend, struct hash data);

struct run {
    const struct recipe *recipe;
    struct run_identity identity;
    struct run_state state;
    struct run_numbers numbers;
    const struct run_part *parts; /* borrowed; set by the stage once they are made */
    size_t part_count;
    /* Called with `context` when training is over and the tensors are those of the result, before it is written. May be
     * NULL. */
    int (*before_result)(void *context, struct err *err);
    void *context;
    struct metrics *metrics, *samples; /* metrics.jsonl, samples.jsonl */
    struct tensorboard *tensorboard;   /* with report_to: tensorboard */
    char *resume_folder;               /* the checkpoint to load, or NULL: a fresh start */
    bool already_finished;
};

/*
 * Looks at recipe->output_dir and decides: fresh, resumed (resume_folder), or already finished. Makes the folder, cuts
 * metrics.jsonl back, removes the checkpoints after the one it goes on from, writes recipe.resolved.yaml. Fails,
 * touching nothing, when the folder holds a run that this recipe would not continue.
 */
int run_open(struct run **out, const struct recipe *recipe, const struct run_identity *identity, int64_t total_steps,
             const struct run_numbers *numbers, struct err *err);
void run_close(struct run *run);

/* Loads the parts' tensors and optimizer states from run->resume_folder. */
int run_load_checkpoint(struct run *run, struct err *err);
/* Writes checkpoint-<state.step>, and removes the oldest past save_total_limit (never the best one when it is still
 * needed). */
int run_save_checkpoint(struct run *run, struct err *err);
/* Writes the result and marks the run finished. With load_best_model_at_end the trained tensors are first set back to
 * the best checkpoint's. */
int run_finish(struct run *run, struct err *err);

/* output_dir/name; free with mem_free(). */
char *run_path(const struct run *run, const char *name, struct err *err);

#endif
