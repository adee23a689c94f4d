/*
 * tests/sft/helper_sft.h - SFT runs of the tiny-text model: made from a few lines of YAML, and looked at afterwards.
 *
 * Everything here fails the running test with a sentence where it cannot do what it is for.
 */
#ifndef ATTUNE_TESTS_SFT_HELPER_SFT_H
#define ATTUNE_TESTS_SFT_HELPER_SFT_H

#include "sft/sft.h"
#include "support/run_files.h"

/* Group setup of cmocka: a temporary folder (support/temporary.h) with `model`, train.jsonl and eval.jsonl in it. */
int sft_setup(void **state);

/* The CPU's backend in f32. */
struct backend *sft_cpu(int threads);

/*
 * A recipe for the temporary folder's model and train.jsonl, with `name` in that folder as output_dir; `lines` are more
 * keys, in YAML. Free with recipe_free().
 */
struct recipe *sft_recipe(const char *name, const char *lines);

/* Runs it to its end; frees the backend where it is not NULL, and takes the CPU's with two threads where it is. */
void sft_finish(const char *name, const char *lines, struct backend *backend);

#endif
