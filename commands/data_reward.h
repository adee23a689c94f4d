/*
 * commands/data_reward.h - the rankings of a recipe of attune reward: their numbers, and some of them printed for a
 * person to check, answer by answer with the token marked at which its score is read.
 */
#ifndef ATTUNE_COMMANDS_DATA_REWARD_H
#define ATTUNE_COMMANDS_DATA_REWARD_H

#include "commands/data_text.h"

/* Prints to standard output what the options ask for. */
int data_reward(const struct recipe *recipe, const struct data_options *options, struct err *err);

#endif
