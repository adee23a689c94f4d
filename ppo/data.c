/* ppo/data.c - see data.h. */
#include "ppo/data.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "base/random.h"
#include "ppo/recipe.h"
#include "text/data/dataset_arena.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct dataset_options dataset_options_of(const struct ppo_data *data)
{
    const struct recipe *recipe = data->recipe;
    return (struct dataset_options){
        .tokenizer = data->text.tokenizer,
        .chat = data->text.chat,
        .skip_bad_records = recipe->on_bad_record == RECIPE_BAD_RECORD_SKIP,
        .seed = (uint64_t)recipe->seed,
    };
}

static struct dataset_source source_of(const struct recipe_dataset *entry)
{
    return (struct dataset_source){
        .path = entry->path, .format = entry->format, .split = entry->split, .weight = entry->weight};
}

static int push(struct ppo_prompts *prompts, const struct prompt *prompt, struct err *err)
{
    const struct prompt **items =
        mem_grow((void *)prompts->items, &prompts->capacity, prompts->count + 1, sizeof *items, err);
    if (!items) {
        return -1;
    }
    prompts->items = items;
    items[prompts->count++] = prompt;
    return 0;
}

/* How often a prompt is there through its entry's weight. */
static int64_t copies_of(const struct recipe *recipe, const struct recipe_dataset *entry, const struct prompt *prompt)
{
    double whole = floor(entry->weight), share = entry->weight - whole;
    bool once_more = random_uniform((uint64_t)recipe->seed, RANDOM_SPLIT, prompt->record, 1) < share;
    return (int64_t)whole + once_more;
}

/* Of the prompts items[first .. end - 1] those that leave room for an answer, as often as their entry's weight says. */
static int choose(const struct ppo_data *data, const struct prompt *items, size_t count,
                  const struct recipe_dataset *entry, struct ppo_prompts *out, int64_t *dropped, struct err *err)
{
    int64_t longest = data->recipe->max_length - ppo_keys(data->recipe)->response_length;
    for (size_t i = 0; i < count; i++) {
        int64_t copies = items[i].count <= longest ? copies_of(data->recipe, entry, &items[i]) : 0;
        *dropped += items[i].count > longest;
        for (int64_t c = 0; c < copies; c++) {
            if (push(out, &items[i], err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* ends[i]: of the i-th entry's prompts in the list. All are loaded before any is pointed at: a growing list moves. */
static int load_entries(struct ppo_data *data, struct prompt_list **list, const struct recipe_datasets *entries,
                        struct ppo_prompts *out, size_t *ends, int64_t *dropped, struct err *err)
{
    struct dataset_options options = dataset_options_of(data);
    for (size_t i = 0; i < entries->count; i++) {
        struct dataset_source source = source_of(&entries->items[i]);
        if (prompt_list_load_source(list, &source, &options, err) != 0) {
            return -1;
        }
        ends[i] = (*list)->count;
    }
    for (size_t i = 0; i < entries->count; i++) {
        size_t first = i ? ends[i - 1] : 0;
        if (choose(data, (*list)->items + first, ends[i] - first, &entries->items[i], out, dropped, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int load_prompts(struct ppo_data *data, struct prompt_list **list, const struct recipe_datasets *entries,
                        struct ppo_prompts *out, const char *what, struct err *err)
{
    const struct recipe *recipe = data->recipe;
    size_t *ends = mem_alloc(entries->count, sizeof *ends, err);
    int64_t dropped = 0;
    int result = ends ? load_entries(data, list, entries, out, ends, &dropped, err) : -1;
    mem_free(ends);
    if (result != 0) {
        return err_prefix(err, "%s", what);
    }
    log_info("%s: %zu prompts, the longest of %d tokens", what, (*list)->count, prompt_list_longest(*list));
    if (dropped) {
        log_info("  %lld of them leave no room for response_length in max_length and are left out", (long long)dropped);
    }
    if ((*list)->skipped) {
        log_warn("%lld bad records of %s were skipped", (long long)(*list)->skipped, what);
    }
    if (out->count == 0) {
        return err_set(err,
                       "%s: every prompt has more than max_length - response_length = %lld tokens, so none is left; "
                       "raise max_length",
                       what, (long long)(recipe->max_length - ppo_keys(recipe)->response_length));
    }
    return 0;
}

/* Moves the prompts of eval_split to `eval`: by a hash of the prompt, so that no prompt is in both. */
static int split(struct ppo_data *data, struct err *err)
{
    const struct recipe *recipe = data->recipe;
    size_t all = data->train.count, kept = 0;
    for (size_t i = 0; i < all; i++) {
        const struct prompt *prompt = data->train.items[i];
        if (random_uniform((uint64_t)recipe->seed, RANDOM_SPLIT, prompt->record, 0) >= recipe->eval_split) {
            data->train.items[kept++] = prompt;
        } else if (push(&data->eval, prompt, err) != 0) {
            return -1;
        }
    }
    data->train.count = kept;
    if (kept == 0 || kept == all) {
        return err_set(err,
                       "eval_split: %g of %zu prompts leaves nothing to %s; give another share, or an eval_dataset",
                       recipe->eval_split, all, kept ? "evaluate on" : "train on");
    }
    return 0;
}

static int load_samples(struct ppo_data *data, struct err *err)
{
    const struct recipe *recipe = data->recipe;
    struct dataset_options options = dataset_options_of(data);
    options.max_length = (int32_t)(recipe->max_length - ppo_keys(recipe)->response_length);
    for (size_t i = 0; i < recipe->sample_prompts.count; i++) {
        if (prompt_list_add_text(&data->sample_list, recipe->sample_prompts.items[i], &options, err) != 0) {
            return err_prefix(err, "sample_prompts");
        }
    }
    if (recipe->sample_prompts_file &&
        prompt_list_load(&data->sample_list, recipe->sample_prompts_file, NULL, &options, err) != 0) {
        return err_prefix(err, "sample_prompts_file");
    }
    for (size_t i = 0; data->sample_list && i < data->sample_list->count; i++) {
        if (push(&data->samples, &data->sample_list->items[i], err) != 0) {
            return -1;
        }
    }
    const struct ppo_prompts *others = data->eval.count ? &data->eval : &data->train;
    for (size_t i = 0; !data->sample_list && i < others->count && data->samples.count < PPO_SAMPLES; i++) {
        if ((i == 0 || others->items[i] != others->items[i - 1]) && push(&data->samples, others->items[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int load_ptx(struct ppo_data *data, struct err *err)
{
    const struct recipe_datasets *entries = &ppo_keys(data->recipe)->ptx_dataset;
    struct dataset_options options = dataset_options_of(data);
    options.max_length = (int32_t)data->recipe->max_length;
    struct dataset_source *sources = mem_alloc(entries->count, sizeof *sources, err);
    if (!sources) {
        return -1;
    }
    for (size_t i = 0; i < entries->count; i++) {
        sources[i] = source_of(&entries->items[i]);
    }
    int result = dataset_load(&data->ptx, sources, entries->count, &options, err);
    mem_free(sources);
    if (result != 0) {
        return err_prefix(err, "ptx_dataset");
    }
    log_info("ptx_dataset: %zu examples, %lld trained tokens", data->ptx->count, (long long)data->ptx->trained_tokens);
    data->ptx_order = mem_alloc(data->ptx->count, sizeof *data->ptx_order, err);
    return data->ptx_order ? 0 : -1;
}

static void count_steps(struct ppo_data *data)
{
    const struct recipe *recipe = data->recipe;
    data->steps = step_counts_of(recipe, (double)data->train.count / (double)recipe->per_device_train_batch_size);
    log_info("  %lld prompts with %lld answers each in an iteration, %lld iterations",
             (long long)recipe->per_device_train_batch_size, (long long)ppo_keys(recipe)->num_generations,
             (long long)data->steps.total);
}

static int load_all(struct ppo_data *data, struct err *err)
{
    const struct recipe *recipe = data->recipe;
    if (model_text_open(&data->text, recipe->model_name_or_path, recipe->chat_template, err) != 0 ||
        load_prompts(data, &data->list, &recipe->dataset, &data->train, "dataset", err) != 0) {
        return -1;
    }
    if (recipe->eval_dataset.count &&
        load_prompts(data, &data->eval_list, &recipe->eval_dataset, &data->eval, "eval_dataset", err) != 0) {
        return -1;
    }
    if (recipe->eval_split > 0 && split(data, err) != 0) {
        return -1;
    }
    if (load_samples(data, err) != 0 || (ppo_keys(recipe)->ptx_dataset.count && load_ptx(data, err) != 0)) {
        return -1;
    }
    data->order = mem_alloc(data->train.count, sizeof *data->order, err);
    data->epoch = data->ptx_epoch = -1;
    return data->order ? 0 : -1;
}

int ppo_data_open(struct ppo_data *data, const struct recipe *recipe, struct err *err)
{
    *data = (struct ppo_data){.recipe = recipe};
    if (load_all(data, err) != 0) {
        ppo_data_close(data);
        return -1;
    }
    count_steps(data);
    return 0;
}

void ppo_data_close(struct ppo_data *data)
{
    mem_free((void *)data->train.items);
    mem_free((void *)data->eval.items);
    mem_free((void *)data->samples.items);
    prompt_list_free(data->list);
    prompt_list_free(data->eval_list);
    prompt_list_free(data->sample_list);
    dataset_free(data->ptx);
    mem_free(data->order);
    mem_free(data->ptx_order);
    model_text_close(&data->text);
    *data = (struct ppo_data){0};
}

#define PROMPT_KINDS 3
static void prompts_of(const struct ppo_data *data, const struct ppo_prompts *kinds[PROMPT_KINDS])
{
    kinds[0] = &data->train;
    kinds[1] = &data->eval;
    kinds[2] = &data->samples;
}

int32_t ppo_data_longest(const struct ppo_data *data)
{
    const struct ppo_prompts *kinds[PROMPT_KINDS];
    int32_t longest = 1;
    prompts_of(data, kinds);
    for (int k = 0; k < PROMPT_KINDS; k++) {
        for (size_t i = 0; i < kinds[k]->count; i++) {
            longest = max(longest, kinds[k]->items[i]->count);
        }
    }
    return longest;
}

int32_t ppo_data_longest_answer(const struct ppo_data *data)
{
    int64_t rollout = ppo_keys(data->recipe)->response_length, sample = data->recipe->sample_max_new_tokens;
    return (int32_t)max(rollout, sample);
}

static int32_t highest_of(const int32_t *ids, int32_t count, int32_t highest)
{
    for (int32_t i = 0; i < count; i++) {
        highest = max(highest, ids[i]);
    }
    return highest;
}

int32_t ppo_data_highest_id(const struct ppo_data *data)
{
    const struct ppo_prompts *kinds[PROMPT_KINDS];
    int32_t highest = 0;
    prompts_of(data, kinds);
    for (int k = 0; k < PROMPT_KINDS; k++) {
        for (size_t i = 0; i < kinds[k]->count; i++) {
            highest = highest_of(kinds[k]->items[i]->ids, kinds[k]->items[i]->count, highest);
        }
    }
    for (size_t i = 0; data->ptx && i < data->ptx->count; i++) {
        highest = highest_of(data->ptx->examples[i].ids, data->ptx->examples[i].length, highest);
    }
    return highest;
}

static size_t list_size(const struct prompt_list *list)
{
    return list ? arena_bytes(list->arena) + list->capacity * sizeof *list->items : 0;
}

size_t ppo_data_size(const struct ppo_data *data)
{
    const struct ppo_prompts *kinds[PROMPT_KINDS];
    size_t size = list_size(data->list) + list_size(data->eval_list) + list_size(data->sample_list);
    size += data->train.count * sizeof *data->order;
    if (data->ptx) {
        size += data->ptx->bytes + data->ptx->count * sizeof *data->ptx_order;
    }
    prompts_of(data, kinds);
    for (int k = 0; k < PROMPT_KINDS; k++) {
        size += kinds[k]->capacity * sizeof *kinds[k]->items;
    }
    return size;
}

struct hash ppo_data_fingerprint(const struct ppo_data *data)
{
    /* What is only looked at (evaluations, samples) may change when a run goes on. */
    struct hash sum = {0};
    for (size_t i = 0; i < data->train.count; i++) {
        const struct prompt *prompt = data->train.items[i];
        struct hash link[2] = {sum, hash_bytes(prompt->ids, (size_t)prompt->count * sizeof *prompt->ids)};
        sum = hash_bytes(link, sizeof link);
    }
    for (size_t i = 0; data->ptx && i < data->ptx->count; i++) {
        const struct example *example = &data->ptx->examples[i];
        struct hash link[3] = {sum, hash_bytes(example->ids, (size_t)example->length * sizeof *example->ids),
                               hash_bytes(example->trained, (size_t)example->length)};
        sum = hash_bytes(link, sizeof link);
    }
    return sum;
}

/* The item at a place of a row of permutations of `count` items. */
static int64_t item_at(const struct recipe *recipe, int64_t *order, int64_t *order_epoch, size_t count, int64_t place,
                       uint64_t what)
{
    int64_t epoch = place / (int64_t)count, within = place % (int64_t)count;
    if (!recipe->shuffle) {
        return within;
    }
    if (epoch != *order_epoch) {
        random_permutation(order, count, random_u64((uint64_t)recipe->seed, RANDOM_MIX, what, 0), RANDOM_SHUFFLE,
                           (uint64_t)epoch);
    }
    *order_epoch = epoch;
    return order[within];
}

const struct prompt *ppo_data_prompt(struct ppo_data *data, int64_t place)
{
    return data->train.items[item_at(data->recipe, data->order, &data->epoch, data->train.count, place, 0)];
}

const struct example *ppo_data_ptx(struct ppo_data *data, int64_t place)
{
    return &data->ptx->examples[item_at(data->recipe, data->ptx_order, &data->ptx_epoch, data->ptx->count, place, 1)];
}
