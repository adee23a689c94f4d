/*
 * commands/prefs/command.h - what the verbs of attune prefs share.
 *
 * A verb takes its command line, argv[0] being its own name, and answers with the exit code (base/args.h). It prints
 * what went wrong itself.
 */
#ifndef ATTUNE_COMMANDS_PREFS_COMMAND_H
#define ATTUNE_COMMANDS_PREFS_COMMAND_H

#include "base/err.h"
#include "prefs-db/store.h"
#include <stdint.h>

/* Prints "attune prefs: <sentence>" and answers ARGS_FAILURE. */
int prefs_fail(const struct err *err);
/* Opens the database and finds the project (name may be NULL): -1 to go on, else the exit code. */
int prefs_open_project(struct prefs **store, const char *path, enum prefs_mode mode, const char *name,
                       int64_t *project);

int prefs_command_init(int argc, char **argv);
int prefs_command_import(int argc, char **argv);
int prefs_command_sample(int argc, char **argv);
int prefs_command_export(int argc, char **argv);
int prefs_command_serve(int argc, char **argv);
int prefs_command_label(int argc, char **argv);
int prefs_command_annotator(int argc, char **argv);
int prefs_command_set(int argc, char **argv);
int prefs_command_gold(int argc, char **argv);
int prefs_command_score(int argc, char **argv);
int prefs_command_stats(int argc, char **argv);
int prefs_command_check(int argc, char **argv);
int prefs_command_backup(int argc, char **argv);

#endif
