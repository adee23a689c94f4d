/*
 * tests/ppo/helper_ppo.h - PPO runs of the tiny-text model: made from a few lines of YAML, and looked at afterwards.
 *
 * Answers are scored by this test's own executable: `<itself> count WORD` reads what reward_command reads, and answers
 * with how often the word is in the response.
 *
 * Everything here fails the running test with a sentence where it cannot do what it is for.
 */
#ifndef ATTUNE_TESTS_PPO_HELPER_PPO_H
#define ATTUNE_TESTS_PPO_HELPER_PPO_H

#include "base/strbuf.h"
#include "ppo/ppo.h"

/* First thing in main(): the program that scores, where this was started as one; does not return then. */
void ppo_score_if_asked(int argc, char **argv);

/* Group setup of cmocka: a temporary folder (support/temporary.h) with `model` and prompts.jsonl in it. */
int ppo_setup(void **state);

/* The CPU's backend. */
struct backend *ppo_cpu(enum dtype compute, int threads);

/* The line of a recipe that makes this executable its reward_command; valid until the next call. */
const char *ppo_counting(const char *word);

/*
 * A recipe for the temporary folder's model and prompts.jsonl, with `name` in that folder as output_dir; `lines` are
 * more keys, in YAML. Without a reward_ key in them, the score is the number of letters e. Free with recipe_free().
 */
struct recipe *ppo_recipe(const char *name, const char *lines);

/* Runs it to its end; frees the backend where it is not NULL, and takes the CPU's with two threads where it is. */
void ppo_finish(const char *name, const char *lines, struct backend *backend);

#endif
