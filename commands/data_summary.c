#include "commands/data_summary.h"
#include "commands/data_lengths.h"
#include "commands/data_text.h"
#include "sft/recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct data_lengths lengths_of(const struct dataset *dataset)
{
    struct data_lengths lengths = data_lengths_for(dataset->longest);
    for (size_t i = 0; i < dataset->count; i++) {
        data_lengths_add(&lengths, dataset->examples[i].length);
    }
    return lengths;
}

static double percent(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

static void print_sources(const struct dataset *dataset)
{
    for (size_t i = 0; i < dataset->source_count; i++) {
        const struct dataset_report *source = &dataset->sources[i];
        printf("  %s: %lld read, %zu examples\n", source->sentence, (long long)source->counts.read, source->examples);
        if (source->counts.bad > 0) {
            printf("    %lld bad records skipped; the first: %s\n", (long long)source->counts.bad, source->first_bad);
        }
    }
}

void data_print_dataset(const struct dataset *dataset, const char *title)
{
    const struct dataset_counts *counts = &dataset->counts;
    printf("%s\n", title);
    print_sources(dataset);
    printf("  %zu examples, %lld tokens, %lld of them learned (%.1f %%), the longest has %d\n", dataset->count,
           (long long)dataset->tokens, (long long)dataset->trained_tokens,
           percent((double)dataset->trained_tokens, (double)dataset->tokens), dataset->longest);
    data_print_count(counts->truncated, "are cut to max_length");
    data_print_count(counts->cut_turns,
                     "of those have lost the end of an answer: the model would not learn to stop there");
    data_print_count(counts->dropped, "are too long and left out");
    data_print_count(counts->untrained, "have nothing to learn and are left out");
    const struct data_lengths lengths = lengths_of(dataset);
    data_lengths_print(&lengths, "examples");
    putchar('\n');
}

static const char *template_name(const struct sft_data *data)
{
    return data->train->alpaca_template ? "alpaca, built in, since the model has none"
                                        : data_template_name(data->recipe, &data->text);
}

struct packing {
    int64_t rows;
    double fill;  /* share of the rows' tokens that are used */
    int32_t most; /* examples in a row */
};

/* What packing makes, or would make, of the training data. */
static int packing_of(struct packing *packing, const struct sft_data *data, struct err *err)
{
    int32_t max_length = (int32_t)data->recipe->max_length;
    struct packed_rows packed;
    if (packed_rows_fill(&packed, data->train->examples, NULL, data->train->count, max_length, err) != 0) {
        return -1;
    }
    packing->rows = packed.rows;
    packing->fill = (double)packed.tokens / ((double)packed.rows * max_length);
    packing->most = packed.most;
    packed_rows_free(&packed);
    return 0;
}

static void print_steps(const struct sft_data *data, const struct packing *packing)
{
    const struct recipe *recipe = data->recipe;
    printf("training\n  chat template: %s\n", template_name(data));
    printf("  %s %lld rows of %lld tokens, %.1f %% full, up to %d examples each\n",
           sft_keys(recipe)->packing ? "packed into" : "packing: true would make", (long long)packing->rows,
           (long long)recipe->max_length, 100 * packing->fill, packing->most);
    printf("  %.1f examples and %.0f tokens per optimizer step, %lld steps an epoch, %lld in all\n",
           (double)data->train->count / (double)data->order.steps.per_epoch,
           (double)data->train->tokens / (double)data->order.steps.per_epoch, (long long)data->order.steps.per_epoch,
           (long long)data->order.steps.total);
}

int data_summary_print(const struct sft_data *data, struct err *err)
{
    struct packing packing;
    if (packing_of(&packing, data, err) != 0) {
        return -1;
    }
    data_print_dataset(data->train, "dataset");
    if (data->eval) {
        data_print_dataset(data->eval,
                           data->eval->source_count > 0 ? "eval_dataset" : "eval_split, held back from dataset");
    }
    print_steps(data, &packing);
    return 0;
}

static json_t *counts_json(const struct dataset_counts *counts)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "read", (json_int_t)counts->read, "bad", (json_int_t)counts->bad,
                     "truncated", (json_int_t)counts->truncated, "cut_turns", (json_int_t)counts->cut_turns, "dropped",
                     (json_int_t)counts->dropped, "untrained", (json_int_t)counts->untrained);
}

static json_t *sources_json(const struct dataset *dataset)
{
    json_t *list = json_array();
    for (size_t i = 0; i < dataset->source_count; i++) {
        const struct dataset_report *source = &dataset->sources[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:s?, s:o}", "path", source->path, "format",
                                              source->format, "examples", (json_int_t)source->examples, "first_bad",
                                              source->first_bad, "counts", counts_json(&source->counts)));
    }
    return list;
}

json_t *data_dataset_json(const struct dataset *dataset)
{
    const struct data_lengths lengths = lengths_of(dataset);
    return json_pack("{s:I, s:I, s:I, s:i, s:o, s:o, s:o}", "examples", (json_int_t)dataset->count, "tokens",
                     (json_int_t)dataset->tokens, "trained_tokens", (json_int_t)dataset->trained_tokens, "longest",
                     (int)dataset->longest, "counts", counts_json(&dataset->counts), "histogram",
                     data_lengths_json(&lengths, "examples"), "sources", sources_json(dataset));
}

int data_summary_json(const struct sft_data *data, struct err *err)
{
    struct packing packing;
    if (packing_of(&packing, data, err) != 0) {
        return -1;
    }
    json_t *summary = json_pack(
        "{s:s, s:o, s:o, s:s, s:{s:b, s:I, s:f, s:i}, s:I, s:I}", "stage", "sft", "dataset",
        data_dataset_json(data->train), "eval", data->eval ? data_dataset_json(data->eval) : json_null(),
        "chat_template", template_name(data), "packing", "used", (int)sft_keys(data->recipe)->packing, "rows",
        (json_int_t)packing.rows, "fill", packing.fill, "examples_in_a_row", (int)packing.most, "steps_per_epoch",
        (json_int_t)data->order.steps.per_epoch, "total_steps", (json_int_t)data->order.steps.total);
    return data_print_json(summary, err);
}
