/*
 * ppo/data.h - the prompts of a run, and which of them an iteration answers.
 *
 * Prompts come in one long row: every epoch is a new permutation of all of them, by seed and epoch, and iteration i of
 * batch size n answers the places i * n .. i * n + n - 1 of that row. So an iteration is always full, also where an
 * epoch ends inside it, and a position in the data is just a step number.
 *
 * A prompt may have max_length - response_length tokens; longer ones are left out and counted. An entry of weight 2.5
 * gives each of its prompts twice, and half of them a third time, drawn by the seed.
 */
#ifndef ATTUNE_PPO_DATA_H
#define ATTUNE_PPO_DATA_H

#include "base/hash.h"
#include "recipe/recipe.h"
#include "text/data/dataset.h"
#include "text/model_text.h"
#include "train/order.h"

/* Where the recipe has no sample_prompts, so many of the prompts are answered to be looked at. */
#define PPO_SAMPLES 4

/* Some of the prompts of a list. */
struct ppo_prompts {
    const struct prompt **items;
    size_t count, capacity;
};

struct ppo_data {
    const struct recipe *recipe;
    struct model_text text;
    struct prompt_list *list, *eval_list, *sample_list; /* what is loaded; NULL where there is nothing */
    struct ppo_prompts train, eval, samples;            /* what is used */
    struct dataset *ptx;                                /* NULL without ptx_dataset */
    int64_t *order;                                     /* [train.count] of `epoch` */
    int64_t epoch;
    int64_t *ptx_order; /* [ptx->count] of `ptx_epoch` */
    int64_t ptx_epoch;
    struct step_counts steps; /* iterations */
};

int ppo_data_open(struct ppo_data *data, const struct recipe *recipe, struct err *err);
void ppo_data_close(struct ppo_data *data);

/* Tokens of the longest prompt, and of the longest answer, samples included. */
int32_t ppo_data_longest(const struct ppo_data *data);
int32_t ppo_data_longest_answer(const struct ppo_data *data);
/* The highest token id of all prompts and texts. */
int32_t ppo_data_highest_id(const struct ppo_data *data);
/* Host memory that they take. */
size_t ppo_data_size(const struct ppo_data *data);
/* What decides the prompts: for telling at a resume that they changed. */
struct hash ppo_data_fingerprint(const struct ppo_data *data);

/* The prompt at a place of the row, from 0. */
const struct prompt *ppo_data_prompt(struct ppo_data *data, int64_t place);
/* The same for ptx_dataset. */
const struct example *ppo_data_ptx(struct ppo_data *data, int64_t place);

#endif
