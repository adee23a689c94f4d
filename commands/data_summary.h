/*
 * commands/data_summary.h - the numbers of a recipe's data, and a drawing of how long the examples are.
 */
#ifndef ATTUNE_COMMANDS_DATA_SUMMARY_H
#define ATTUNE_COMMANDS_DATA_SUMMARY_H

#include "sft/data.h"

/* One dataset alone. */
void data_print_dataset(const struct dataset *dataset, const char *title);
json_t *data_dataset_json(const struct dataset *dataset);

/* Both print to standard output. */
int data_summary_print(const struct sft_data *data, struct err *err);
int data_summary_json(const struct sft_data *data, struct err *err);

#endif
