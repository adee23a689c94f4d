/*
 * tests/ppo/helper_ppo.h - PPO runs of the tiny-text model (support/stage_runs.h).
 *
 * Answers are scored by this test's own executable: `<itself> count WORD [N]` reads what reward_command reads, and
 * answers (N lines at most) with how often the word is in the response.
 *
 * Everything here fails the running test with a sentence where it cannot do what it is for.
 */
#ifndef ATTUNE_TESTS_PPO_HELPER_PPO_H
#define ATTUNE_TESTS_PPO_HELPER_PPO_H

#include "base/strbuf.h"
#include "ppo/ppo.h"
#include "support/run_files.h"
#include "support/stage_runs.h"

/* First thing in main(): the program that scores, where this was started as one; does not return then. */
void ppo_score_if_asked(int argc, char **argv);

/* Group setup of cmocka: a temporary folder (support/temporary.h) with `model` and prompts.jsonl in it. */
int ppo_setup(void **state);

/* The line of a recipe that makes this executable its reward_command; valid until the next call. */
const char *ppo_counting(const char *word);

/* With prompts.jsonl as dataset; where the lines have no reward_ key, the score is the number of letters e. */
extern const struct tested_stage tested_ppo;

/* stage_recipe() and stage_finish() of it. */
struct recipe *ppo_recipe(const char *name, const char *lines);
void ppo_finish(const char *name, const char *lines, struct backend *backend);

#endif
