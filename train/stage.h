/*
 * train/stage.h - what all stages go through: the command line, and the way from a recipe to a result.
 *
 *     stage_main()    a stage's main(): a recipe, keys set by options, a device, signals, exit codes
 *     stage_run()     the run. What differs between stages they say in struct stage_work, whose callbacks are called
 *                     in the order they stand in; between them
 *
 *         open_models, open_data, check     from files; no memory to speak of
 *         plan                              printed, held against what there is; a dry run ends here
 *         identify                          the run's folder is opened: fresh, resumed, or finished already
 *         make                              all memory, then the tensors; a checkpoint's are loaded after them
 *         resumed
 *         (train/loop.h: the steps, the result)
 *         close
 */
#ifndef ATTUNE_TRAIN_STAGE_H
#define ATTUNE_TRAIN_STAGE_H

#include "backend/backend.h"
#include "model/pass.h"
#include "recipe/stage.h"
#include "train/loop.h"
#include "train/order.h"

struct stage_options {
    bool dry_run; /* stop after the memory plan */
};

struct stage_command {
    const struct recipe_stage *stage;
    const struct recipe_stages *stages; /* all of them */
    /* Runs the recipe on the backend. */
    enum loop_outcome (*run)(const struct recipe *recipe, struct backend *backend, const struct stage_options *options,
                             struct err *err);
};

/* A stage's main(): the exit code. */
int stage_main(const struct stage_command *command, int argc, char **argv);

/* Callbacks return 0, or -1 with a sentence in *err, and are called with `context`. */
struct stage_work {
    void *context;
    struct backend *backend;
    struct loop *loop; /* zeroed; all of it is set here, but for loop->stage, which is there from the start */

    /* What is trained, and who else takes part; says which models they are. */
    int (*open_models)(void *context, struct err *err);
    /* Examples, prompts, rankings; *steps becomes how many steps they are. */
    int (*open_data)(void *context, struct step_counts *steps, struct err *err);
    /* What only shows when models and data stand side by side. */
    int (*check)(void *context, struct err *err);
    /* Adds what make() will take. */
    int (*plan)(void *context, struct memory_plan *plan, struct err *err);
    /* What decides the numbers besides the recipe, and those of the stage's own that a checkpoint keeps. */
    int (*identify)(void *context, struct run_identity *identity, struct run_numbers *numbers, struct err *err);
    /* Also sets the parts of loop->run. */
    int (*make)(void *context, struct err *err);
    /* A checkpoint was loaded; may be NULL. */
    int (*resumed)(void *context, struct err *err);
    /* Frees whatever was opened and made, however far it came, but for loop->run, which is closed before. */
    void (*close)(void *context);

    const char *shrink; /* what would make the plan smaller: "gradient_checkpointing: true, or ..." */
    /* What the finished run's folder holds: "the adapter". */
    const char *(*result)(const void *context);
};

enum loop_outcome stage_run(const struct stage_work *work, const struct recipe *recipe,
                            const struct stage_options *options, struct err *err);

/* ---- for the callbacks of a stage ---- */

/* A pass for training `trainable` on any batch within the limits. */
struct pass_limits stage_pass_limits(const struct recipe *recipe, const struct trainable *trainable,
                                     const struct batch_limits *batch);

#endif
