/*
 * commands/data_show.h - examples printed for a person to check: their text, and what of it is learned.
 *
 * Text comes from outside: control characters are printed as \xNN, so that no data set can steer a terminal.
 */
#ifndef ATTUNE_COMMANDS_DATA_SHOW_H
#define ATTUNE_COMMANDS_DATA_SHOW_H

#include "sft/data.h"
#include <stdbool.h>
#include <stdint.h>

struct data_options {
    const char *recipe;
    int64_t show;  /* examples to print; 0: the summary instead */
    int64_t first; /* from 1; 0 is 1 */
    bool tokens, eval, json;
};

/* Prints to standard output. */
int data_show(const struct sft_data *data, const struct data_options *options, struct err *err);

#endif
