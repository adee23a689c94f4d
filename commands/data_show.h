/* commands/data_show.h - examples of attune sft printed for a person to check: their text, and what of it is learned.
 */
#ifndef ATTUNE_COMMANDS_DATA_SHOW_H
#define ATTUNE_COMMANDS_DATA_SHOW_H

#include "commands/data_text.h"
#include "sft/data.h"

/* Prints to standard output. */
int data_show(const struct sft_data *data, const struct data_options *options, struct err *err);

#endif
