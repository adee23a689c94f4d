/*
 * tests/reward/helper_data.h - the rankings of recipes, for the tests of reward/data*.h: a model folder that is only a
 * byte tokenizer with the template chatml, so that tokens can be read off by eye.
 *
 * Everything here fails the running test with a sentence where it cannot do what it is for.
 */
#ifndef ATTUNE_TESTS_REWARD_HELPER_DATA_H
#define ATTUNE_TESTS_REWARD_HELPER_DATA_H

#include "reward/data.h"

/* Group setup of cmocka: a temporary folder (support/temporary.h) with the model folder `model`. */
int data_setup(void **state);

/* Writes a file of the temporary folder. */
void data_write(const char *name, const char *text);

struct opened_data {
    struct recipe *recipe;
    struct reward_data data;
};
/* Opens the data of a recipe with these keys (support/stage_runs.h). */
struct opened_data data_open(const char *lines);
void data_close(struct opened_data *opened);
/* -1 with the sentence; 0 and closed again where it works. */
int data_try(const char *lines, struct err *err);
/* Expects an error with all these parts in it; NULL at the end. */
void data_refuse(const char *lines, ...) __attribute__((sentinel));

/*
 * Rankings as text, in a static buffer that the fourth next call overwrites. "Hi: 1 good, 2 bad, 2 poor" is what was
 * asked and ranked; "{start}user\nHi{end}\n{start}assistant\n|good{end}|..." the tokens.
 */
const char *data_shown(const struct ranking *ranking);
const char *data_tokens(const struct ranking *ranking);
/* All rankings of a set by data_shown(), joined by " / ". */
const char *data_shown_all(const struct ranking_set *set);

#endif
