/*
 * commands/data_prompts.h - the prompts of a recipe of attune ppo: their numbers, and the tokens of some.
 */
#ifndef ATTUNE_COMMANDS_DATA_PROMPTS_H
#define ATTUNE_COMMANDS_DATA_PROMPTS_H

#include "commands/data_text.h"

/* Prints to standard output what the options ask for. */
int data_prompts(const struct recipe *recipe, const struct data_options *options, struct err *err);

#endif
