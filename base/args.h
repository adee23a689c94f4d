/*
 * base/args.h - the command line of a command, from one table that also makes its --help.
 *
 *     const char *model = NULL;
 *     int64_t count = 1;
 *     const struct args_operand operands[] = {{.name = "MODEL", .help = "folder of the model", .text = &model}};
 *     const struct args_option options[] = {
 *         {.name = "n", .argument = "K", .help = "answers to a prompt", .whole = &count, .least = 1, .most = 1024},
 *     };
 *     const struct args_command command = {.name = "attune generate", .summary = "Answers prompts.",
 *         .operands = operands, .operand_count = 1, .options = options, .option_count = 1};
 *     int status;
 *     if (!args_begin(&command, argc, argv, &status)) {
 *         return status;
 *     }
 *     ...
 *     return args_end(&command, run(..., &err), &err);
 *
 * Written as --name VALUE or --name=VALUE, with '-' and '_' alike; "--" ends the options; a lone "-" is an operand. A
 * value that itself begins with "--" needs the form with '='. An option given twice takes the last value, a list all of
 * them. An unknown option is answered with the nearest known one. Exit codes: 0, 1 for a failure, 2 for a command line
 * that was not understood.
 */
#ifndef ATTUNE_BASE_ARGS_H
#define ATTUNE_BASE_ARGS_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { ARGS_FAILURE = 1, ARGS_USAGE = 2 };

/* Words of the command line, borrowed from argv. Free with args_list_free(). */
struct args_list {
    const char **items;
    size_t count, capacity;
};
void args_list_free(struct args_list *list);

/*
 * What an option sets decides how it is read: exactly one of the pointers is set. Targets hold their default before.
 */
struct args_option {
    const char *name;     /* without the dashes */
    const char *argument; /* how --help calls the value: "N", "FILE"; NULL for a flag */
    const char *help;     /* a phrase, lower case, no full stop; defaults included */
    bool *flag;           /* becomes true; takes no value */
    const char **text;
    struct args_list *texts; /* may be given several times */
    int64_t *whole;
    double *real;
    int *choice;                /* the index of the word in `choices` */
    const char *const *choices; /* NULL at the end */
    double least, most;         /* of a number; both 0: any finite one */
    bool *given;                /* NULL, or becomes true when the option is there */
};

/* A word without dashes. Optional ones come last; one with `texts` is the last and takes the rest, one at least unless
 * optional. */
struct args_operand {
    const char *name; /* in capitals */
    const char *help;
    const char **text;
    struct args_list *texts;
    bool optional;
};

struct args_command {
    const char *name;    /* "attune generate" */
    const char *summary; /* a sentence or two for --help */
    const char *more;    /* paragraphs after the options of --help (examples), or NULL */
    const struct args_operand *operands;
    size_t operand_count;
    const struct args_option *options;
    size_t option_count;

    /*
     * Where set, options that the table does not have go here, in order, each with the word after it that does not
     * begin with "--": keys of a recipe, for recipe_load(). `passed_help` is what --help says after "--KEY VALUE".
     */
    struct args_list *passed;
    const char *passed_help;
};

#define ARGS_RUN  0
#define ARGS_HELP 1

/*
 * Sets the targets from argv[1 .. argc-1]. ARGS_RUN; ARGS_HELP where --help or -h stands among them (nothing is
 * printed); -1 with *err.
 */
int args_parse(const struct args_command *command, int argc, char **argv, struct err *err);

void args_print_help(FILE *out, const struct args_command *command);

/*
 * The beginning of a main(): parses, prints the help, or the error and how the command is called. False: return
 * *status.
 */
bool args_begin(const struct args_command *command, int argc, char **argv, int *status);

/*
 * The end of a main(): flushes standard output (a reader that went away or a full disk is a failure too), prints *err
 * as "attune generate: ..." when `result` is not 0, and returns the exit code.
 */
int args_end(const struct args_command *command, int result, const struct err *err);
/* The flush alone, of the command `name`: returns `status`, or ARGS_FAILURE with a line on standard error. */
int args_flush(const char *name, int status);

#endif
