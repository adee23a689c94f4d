/*
 * sft/data.h - the examples of a run, the rows they are trained in, and which rows a step takes.
 *
 * A row is one example, or with packing as many whole examples as fit into max_length.
 */
#ifndef ATTUNE_SFT_DATA_H
#define ATTUNE_SFT_DATA_H

#include "base/hash.h"
#include "recipe/recipe.h"
#include "text/data/batch.h"
#include "text/data/dataset.h"
#include "text/data/packing.h"
#include "text/model_text.h"
#include "train/order.h"

struct sft_data {
    const struct recipe *recipe;
    struct model_text text;
    struct dataset *train, *eval; /* eval: NULL where there is none */
    struct packed_rows packed;    /* of train, with packing */
    struct row_order order;       /* of the rows */
    struct prompt_list *samples;  /* sample_prompts, or NULL */
    int32_t pass_tokens;          /* of the backend; set by who opened the data, before they are cut into passes */
};

int sft_data_open(struct sft_data *data, const struct recipe *recipe, struct err *err);
void sft_data_close(struct sft_data *data);

/*
 * Rows go through the model in passes, one after the other: as many of the next rows as batch_takes() and the recipe's
 * batch size allow. The step's loss and gradients are the same sums.
 */
int64_t sft_data_pass_rows(const struct sft_data *data, const int64_t *rows, int64_t count);
/* The same for eval examples first, first + 1, ... */
size_t sft_data_pass_eval(const struct sft_data *data, size_t first);

/* Largest sums over any pass the run can make, training and evaluation. */
int sft_data_limits(const struct sft_data *data, struct batch_limits *limits, struct err *err);

/* The highest token id of all examples and samples. */
int32_t sft_data_highest_id(const struct sft_data *data);

/* What decides the examples: for telling at a resume that they changed. */
struct hash sft_data_fingerprint(const struct sft_data *data);

/* Trained tokens of a row. */
int64_t sft_data_row_trained(const struct sft_data *data, int64_t row);
/* Puts `count` rows, or eval examples `first` .., into an empty batch. */
void sft_data_fill(const struct sft_data *data, struct batch *batch, const int64_t *rows, int64_t count, int64_t epoch);
void sft_data_fill_eval(const struct sft_data *data, struct batch *batch, size_t first, size_t count);

#endif
