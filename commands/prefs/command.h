/*
 * commands/prefs/command.h - what the commands of attune-prefs share: options, and their exit codes.
 *
 * A command takes the words behind its name and answers with the exit code: 0, COMMAND_FAILED or COMMAND_USAGE. It
 * prints what went wrong itself.
 */
#ifndef ATTUNE_COMMANDS_PREFS_COMMAND_H
#define ATTUNE_COMMANDS_PREFS_COMMAND_H

#include "base/err.h"
#include "prefs-db/store.h"
#include <stddef.h>
#include <stdint.h>

#define COMMAND_FAILED 1
#define COMMAND_USAGE  2

enum prefs_option_kind { OPTION_TEXT, OPTION_NUMBER, OPTION_REAL, OPTION_FLAG };
struct prefs_option {
    const char *name; /* without the dashes */
    enum prefs_option_kind kind;
    void *value;          /* const char **, int64_t *, double * or bool *; set only where the option is given */
    const char *argument; /* what --help calls the value; NULL for a flag */
    const char *help;
    int64_t least, most; /* of a number or a real */
};
#define PREFS_WORDS_MAX 4
struct prefs_usage {
    const char *name;   /* "import" */
    const char *words;  /* "DB FILE" */
    size_t least, most; /* words that must and may be there */
    const char *text;   /* what it does, one or more lines */
    const struct prefs_option *options;
    size_t option_count;
};
/* Sets the options and words[]: -1 to go on (missing words are NULL), else the exit code (help was printed, or the
 * mistake was). */
int prefs_read_words(const struct prefs_usage *usage, int argc, char **argv, const char *words[PREFS_WORDS_MAX]);

/* Prints "attune prefs: <sentence>" and answers COMMAND_FAILED. */
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
