/*
 * train/stage.h - what the stages' command lines share: a recipe, keys set by options, a device, signals, exit codes.
 */
#ifndef ATTUNE_TRAIN_STAGE_H
#define ATTUNE_TRAIN_STAGE_H

#include "backend/backend.h"
#include "train/loop.h"

struct stage_options {
    bool dry_run; /* stop after the memory plan */
};

struct stage_command {
    enum stage stage;
    const char *name;    /* "attune sft" */
    const char *summary; /* one sentence, for --help */
    const char *more;    /* examples */
    /* Runs the recipe on the backend. */
    enum loop_outcome (*run)(const struct recipe *recipe, struct backend *backend, const struct stage_options *options,
                             struct err *err);
};

/* A stage's main(): the exit code. */
int stage_main(const struct stage_command *command, int argc, char **argv);

#endif
