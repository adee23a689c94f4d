/* tests/support/recipe_texts.h - recipes made from text in a test. */
#ifndef ATTUNE_TESTS_SUPPORT_RECIPE_TEXTS_H
#define ATTUNE_TESTS_SUPPORT_RECIPE_TEXTS_H

#include "recipe/stage.h"

/* The least a recipe of each stage must have. */
#define LEAST     "model_name_or_path: m\noutput_dir: out\ndataset: d.jsonl\n"
#define LEAST_PPO LEAST "reward_model: r\n"

/* A recipe from YAML and options ("--key", "value", ..., NULL); fails the test when there is a mistake. Free with
 * recipe_free(). */
struct recipe *recipe_of(const struct recipe_stage *stage, const char *yaml, ...) __attribute__((sentinel));
/* What recipe_load_text() says about it; fails the test when it finds nothing wrong. Valid until the next call. */
const char *mistakes_of(const struct recipe_stage *stage, const char *yaml, ...) __attribute__((sentinel));
/* Fails the test unless each text (NULL ends) is in `where`. */
void assert_says(const char *where, ...) __attribute__((sentinel));

#endif
