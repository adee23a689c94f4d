/* sft/data.c - see data.h. */
#include "sft/data.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "base/random.h"
#include "sft/recipe.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct dataset_options dataset_options_of(const struct sft_data *data, struct pool *pool)
{
    const struct recipe *recipe = data->recipe;
    return (struct dataset_options){
        .tokenizer = data->text.tokenizer,
        .chat = data->text.chat,
        .max_length = (int32_t)recipe->max_length,
        .train_on_prompt = sft_keys(recipe)->train_on_prompt,
        .roles = sft_keys(recipe)->train_roles.count ? (const char *const *)sft_keys(recipe)->train_roles.items : NULL,
        .role_count = sft_keys(recipe)->train_roles.count,
        .skip_bad_records = recipe->on_bad_record == RECIPE_BAD_RECORD_SKIP,
        .too_long = recipe->on_too_long == RECIPE_TOO_LONG_DROP ? DATASET_DROP : DATASET_TRUNCATE,
        .seed = (uint64_t)recipe->seed,
        .pool = pool,
        .show_progress = true,
    };
}

static int load_entries(struct dataset **out, const struct recipe_datasets *entries,
                        const struct dataset_options *options, struct err *err)
{
    struct dataset_source *sources = mem_alloc(entries->count, sizeof *sources, err);
    if (!sources) {
        return -1;
    }
    for (size_t i = 0; i < entries->count; i++) {
        sources[i] = (struct dataset_source){.path = entries->items[i].path,
                                             .format = entries->items[i].format,
                                             .split = entries->items[i].split,
                                             .weight = entries->items[i].weight};
    }
    int result = dataset_load(out, sources, entries->count, options, err);
    mem_free(sources);
    return result;
}

static int load_samples(struct sft_data *data, const struct dataset_options *options, struct err *err)
{
    const struct recipe *recipe = data->recipe;
    struct dataset_options prompts = *options;
    prompts.max_length = (int32_t)recipe->max_length;
    for (size_t i = 0; i < recipe->sample_prompts.count; i++) {
        if (prompt_list_add_text(&data->samples, recipe->sample_prompts.items[i], &prompts, err) != 0) {
            return err_prefix(err, "sample_prompts");
        }
    }
    if (recipe->sample_prompts_file &&
        prompt_list_load(&data->samples, recipe->sample_prompts_file, NULL, &prompts, err) != 0) {
        return err_prefix(err, "sample_prompts_file");
    }
    return 0;
}

static void report(const struct dataset *dataset, const char *what)
{
    for (size_t i = 0; i < dataset->source_count; i++) {
        log_info("%s: %s", what, dataset->sources[i].sentence);
        if (dataset->sources[i].first_bad) {
            log_warn("%lld bad records were skipped; the first: %s", (long long)dataset->sources[i].counts.bad,
                     dataset->sources[i].first_bad);
        }
    }
    const struct dataset_counts *counts = &dataset->counts;
    log_info("  %zu examples, %lld tokens, %lld of them trained (%.0f %%), the longest %d", dataset->count,
             (long long)dataset->tokens, (long long)dataset->trained_tokens,
             100.0 * (double)dataset->trained_tokens / (double)dataset->tokens, dataset->longest);
    if (counts->truncated || counts->dropped || counts->untrained) {
        log_info("  %lld cut to max_length (%lld lost the end of an answer), %lld too long and left out, %lld without "
                 "a trained token and left out",
                 (long long)counts->truncated, (long long)counts->cut_turns, (long long)counts->dropped,
                 (long long)counts->untrained);
    }
    if (dataset->alpaca_template) {
        log_info("  the model has no chat template; the built-in one 'alpaca' is used");
    }
}

static int load_all(struct sft_data *data, struct pool *pool, struct err *err)
{
    const struct recipe *recipe = data->recipe;
    if (model_text_open(&data->text, recipe->model_name_or_path, recipe->chat_template, err) != 0) {
        return -1;
    }
    struct dataset_options options = dataset_options_of(data, pool);
    if (load_entries(&data->train, &recipe->dataset, &options, err) != 0) {
        return err_prefix(err, "dataset");
    }
    if (recipe->eval_dataset.count && load_entries(&data->eval, &recipe->eval_dataset, &options, err) != 0) {
        return err_prefix(err, "eval_dataset");
    }
    if (recipe->eval_split > 0 &&
        dataset_split(data->train, &data->eval, recipe->eval_split, (uint64_t)recipe->seed, err) != 0) {
        return err_prefix(err, "eval_split");
    }
    if (load_samples(data, &options, err) != 0) {
        return -1;
    }
    if (sft_keys(recipe)->packing && packed_rows_fill(&data->packed, data->train->examples, NULL, data->train->count,
                                                      (int32_t)recipe->max_length, err) != 0) {
        return -1;
    }
    return row_order_open(&data->order, recipe,
                          sft_keys(recipe)->packing ? data->packed.rows : (int64_t)data->train->count, err);
}

int sft_data_open(struct sft_data *data, const struct recipe *recipe, struct err *err)
{
    struct pool *pool;
    *data = (struct sft_data){.recipe = recipe};
    if (pool_create(&pool, (int)recipe->threads, err) != 0) {
        return -1;
    }
    int result = load_all(data, pool, err);
    pool_free(pool);
    if (result != 0) {
        sft_data_close(data);
        return -1;
    }
    const struct step_counts *steps = &data->order.steps;
    report(data->train, "dataset");
    if (data->eval) {
        report(data->eval, recipe->eval_split > 0 ? "eval_split" : "eval_dataset");
    }
    if (sft_keys(recipe)->packing) {
        log_info("  packed into %lld rows of %lld tokens, %.1f %% full", (long long)data->order.count,
                 (long long)recipe->max_length,
                 100.0 * (double)data->packed.tokens / ((double)data->order.count * (double)recipe->max_length));
    }
    log_info("  %.1f examples and %.0f tokens per optimizer step, %lld steps an epoch, %lld in all",
             (double)data->train->count / (double)steps->per_epoch,
             (double)data->train->tokens / (double)steps->per_epoch, (long long)steps->per_epoch,
             (long long)steps->total);
    return 0;
}

void sft_data_close(struct sft_data *data)
{
    prompt_list_free(data->samples);
    packed_rows_free(&data->packed);
    dataset_free(data->eval);
    dataset_free(data->train);
    model_text_close(&data->text);
    row_order_close(&data->order);
    *data = (struct sft_data){0};
}

/* Examples of a row: their number, and the first one's place in `packed.examples` (or the example itself). */
static int32_t row_examples(const struct sft_data *data, int64_t row, int32_t *first)
{
    if (!sft_keys(data->recipe)->packing) {
        *first = (int32_t)row;
        return 1;
    }
    *first = data->packed.starts[row];
    return data->packed.starts[row + 1] - *first;
}

static const struct example *row_example(const struct sft_data *data, int32_t place)
{
    return &data->train->examples[sft_keys(data->recipe)->packing ? data->packed.examples[place] : place];
}

int64_t sft_data_row_trained(const struct sft_data *data, int64_t row)
{
    int32_t first, count = row_examples(data, row, &first);
    int64_t trained = 0;
    for (int32_t i = 0; i < count; i++) {
        trained += row_example(data, first + i)->trained_count;
    }
    return trained;
}

static int compare_down(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x > y ? -1 : x < y;
}

/* The sum of the `most` largest of values[count]; sorts them. */
static int32_t sum_of_largest(int32_t *values, int64_t count, int64_t most)
{
    int64_t sum = 0;
    qsort(values, (size_t)count, sizeof *values, compare_down);
    for (int64_t i = 0; i < count && i < most; i++) {
        sum += values[i];
    }
    assert(sum <= INT32_MAX);
    return (int32_t)sum;
}

static int64_t row_tokens(const struct sft_data *data, int64_t row)
{
    int32_t first, count = row_examples(data, row, &first);
    int64_t tokens = 0;
    for (int32_t i = 0; i < count; i++) {
        tokens += row_example(data, first + i)->length;
    }
    return tokens;
}

int64_t sft_data_pass_rows(const struct sft_data *data, const int64_t *rows, int64_t count)
{
    int64_t most = data->recipe->per_device_train_batch_size, taken = 0, tokens = 0;
    while (taken < most && taken < count && batch_takes(&tokens, row_tokens(data, rows[taken]), data->pass_tokens)) {
        taken++;
    }
    return taken;
}

size_t sft_data_pass_eval(const struct sft_data *data, size_t first)
{
    const struct dataset *eval = data->eval;
    size_t most = (size_t)data->recipe->per_device_eval_batch_size, taken = 0;
    int64_t tokens = 0;
    while (taken < most && first + taken < eval->count &&
           batch_takes(&tokens, eval->examples[first + taken].length, data->pass_tokens)) {
        taken++;
    }
    return taken;
}

/* Limits of passes of up to `batch` examples out of a dataset, or of rows where it is the packed one. */
static int widen_limits(struct batch_limits *limits, const struct sft_data *data, const struct dataset *dataset,
                        bool rows, int64_t batch, struct err *err)
{
    int64_t count = rows ? data->order.count : (int64_t)dataset->count;
    int32_t *values = mem_alloc((size_t)count, 3 * sizeof *values, err);
    if (!values) {
        return -1;
    }
    int32_t *tokens = values, *segments = values + count, *trained = values + 2 * count;
    for (int64_t r = 0; r < count; r++) {
        int32_t first = (int32_t)r, examples = rows ? row_examples(data, r, &first) : 1;
        segments[r] = examples;
        for (int32_t i = 0; i < examples; i++) {
            const struct example *example = rows ? row_example(data, first + i) : &dataset->examples[r];
            tokens[r] += example->length;
            trained[r] += example->trained_count;
        }
    }
    int32_t sum = sum_of_largest(tokens, count, batch), longest = max(tokens[0], data->pass_tokens);
    int32_t most = min(sum, longest);
    int32_t predictions = sum_of_largest(trained, count, batch);
    limits->tokens = max(limits->tokens, most);
    limits->segments = max(limits->segments, sum_of_largest(segments, count, batch));
    limits->predictions = max(limits->predictions, min(predictions, most));
    mem_free(values);
    return 0;
}

int sft_data_limits(const struct sft_data *data, struct batch_limits *limits, struct err *err)
{
    *limits = (struct batch_limits){1, 1, 1};
    if (widen_limits(limits, data, data->train, true, data->recipe->per_device_train_batch_size, err) != 0) {
        return -1;
    }
    return data->eval ? widen_limits(limits, data, data->eval, false, data->recipe->per_device_eval_batch_size, err)
                      : 0;
}

int32_t sft_data_highest_id(const struct sft_data *data)
{
    int32_t highest = 0;
    const struct dataset *datasets[] = {data->train, data->eval};
    for (int d = 0; d < 2; d++) {
        for (size_t e = 0; datasets[d] && e < datasets[d]->count; e++) {
            for (int32_t i = 0; i < datasets[d]->examples[e].length; i++) {
                highest = max(highest, datasets[d]->examples[e].ids[i]);
            }
        }
    }
    for (size_t p = 0; data->samples && p < data->samples->count; p++) {
        for (int32_t i = 0; i < data->samples->items[p].count; i++) {
            highest = max(highest, data->samples->items[p].ids[i]);
        }
    }
    return highest;
}

struct hash sft_data_fingerprint(const struct sft_data *data)
{
    struct hash sum = {0};
    const struct dataset *datasets[] = {data->train, data->eval};
    for (int d = 0; d < 2; d++) {
        for (size_t e = 0; datasets[d] && e < datasets[d]->count; e++) {
            const struct example *example = &datasets[d]->examples[e];
            struct hash link[3] = {sum, hash_bytes(example->ids, (size_t)example->length * sizeof *example->ids),
                                   hash_bytes(example->trained, (size_t)example->length)};
            link[0].low += (uint64_t)d; /* moving an example from train to eval is a change */
            sum = hash_bytes(link, sizeof link);
        }
    }
    return sum;
}

static void append_example(struct batch *batch, const struct example *example, uint64_t epoch)
{
    /* Dropout must differ between epochs, and nothing else may matter. */
    uint64_t key = random_u64(example->record, RANDOM_MIX, epoch, 0);
    batch_append(batch, example->ids, example->trained, example->length, -1, key);
}

void sft_data_fill(const struct sft_data *data, struct batch *batch, const int64_t *rows, int64_t count, int64_t epoch)
{
    batch_clear(batch);
    for (int64_t r = 0; r < count; r++) {
        int32_t first, examples = row_examples(data, rows[r], &first);
        for (int32_t i = 0; i < examples; i++) {
            append_example(batch, row_example(data, first + i), (uint64_t)epoch);
        }
    }
}

void sft_data_fill_eval(const struct sft_data *data, struct batch *batch, size_t first, size_t count)
{
    batch_clear(batch);
    for (size_t i = 0; i < count; i++) {
        append_example(batch, &data->eval->examples[first + i], 0);
    }
}
