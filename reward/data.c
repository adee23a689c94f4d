/* reward/data.c - see data.h. */
#include "reward/data.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include <math.h>

static int open_eval(struct reward_data *data, const struct reward_set_options *options, struct err *err)
{
    const struct recipe *recipe = data->recipe;
    if (recipe->eval_dataset.count > 0) {
        int64_t prompts = 0;
        size_t before = data->train->count;
        if (reward_set_load(&data->eval, &recipe->eval_dataset, options, err) != 0 ||
            reward_set_apply_weights(data->eval, false, (uint64_t)recipe->seed, err) != 0) {
            return err_prefix(err, "eval_dataset");
        }
        if (reward_set_remove_prompts(data->train, data->eval, &prompts, err) != 0) {
            return -1;
        }
        if (prompts > 0) {
            log_warn("%lld prompts of dataset are in eval_dataset too; their %zu rankings are not trained on",
                     (long long)prompts, before - data->train->count);
        }
    } else if (recipe->eval_split > 0 &&
               reward_set_split(data->train, &data->eval, recipe->eval_split, (uint64_t)recipe->seed, err) != 0) {
        return err_prefix(err, "eval_split");
    }
    return 0;
}

static int64_t *take_order(const struct reward_set *set, struct err *err)
{
    int64_t *order = mem_alloc(set->count, sizeof *order, err);
    for (size_t i = 0; order && i < set->count; i++) {
        order[i] = (int64_t)i;
    }
    return order;
}

static void count_steps(struct reward_data *data)
{
    const struct recipe *recipe = data->recipe;
    int64_t rankings = (int64_t)data->train->count;
    data->rankings_per_step = recipe->per_device_train_batch_size * recipe->gradient_accumulation_steps;
    data->steps_per_epoch = (rankings + data->rankings_per_step - 1) / data->rankings_per_step;
    data->total_steps = recipe->max_steps > 0
                            ? recipe->max_steps
                            : (int64_t)ceil(recipe->num_train_epochs * (double)data->steps_per_epoch - 1e-9);
    data->total_steps = data->total_steps < 1 ? 1 : data->total_steps;
}

static int check_margins(const struct reward_data *data, struct err *err)
{
    for (size_t i = 0; i < data->train->count; i++) {
        if (data->recipe->margin == RECIPE_MARGIN_NONE || data->train->rankings[i].levels) {
            return 0;
        }
    }
    return err_set(err, "margin: %s, but no ranking of dataset has one%s; leave margin out",
                   recipe_choice(data->recipe, "margin"),
                   data->recipe->margin == RECIPE_MARGIN_STRENGTH
                       ? " (only pairs that were labelled with a strength do)"
                       : " (a number \"margin\" beside chosen and rejected, or ratings of the answers)");
}

static int load_all(struct reward_data *data, struct pool *pool, struct err *err)
{
    const struct recipe *recipe = data->recipe;
    if (model_text_open(&data->text, recipe->model_name_or_path, recipe->chat_template, err) != 0) {
        return -1;
    }
    struct reward_set_options options = reward_set_options(recipe, &data->text, pool);
    if (reward_set_load(&data->train, &recipe->dataset, &options, err) != 0) {
        return err_prefix(err, "dataset");
    }
    if (open_eval(data, &options, err) != 0) {
        return -1;
    }
    if (reward_set_apply_weights(data->train, recipe->weight_by_agreement, (uint64_t)recipe->seed, err) != 0) {
        return err_prefix(err, "dataset");
    }
    if (check_margins(data, err) != 0) {
        return -1;
    }
    count_steps(data);
    data->epoch = -1;
    data->order = take_order(data->train, err);
    data->eval_order = data->order && data->eval ? take_order(data->eval, err) : NULL;
    return data->order && (!data->eval || data->eval_order) ? 0 : -1;
}

int reward_data_open(struct reward_data *data, const struct recipe *recipe, struct err *err)
{
    struct pool *pool;
    *data = (struct reward_data){.recipe = recipe};
    if (pool_create(&pool, (int)recipe->threads, err) != 0) {
        return -1;
    }
    int result = load_all(data, pool, err);
    pool_free(pool);
    if (result != 0) {
        reward_data_close(data);
        return -1;
    }
    reward_set_report(data->train, "dataset");
    if (data->eval) {
        reward_set_report(data->eval, recipe->eval_dataset.count > 0 ? "eval_dataset" : "eval_split");
    }
    log_info("  %.1f rankings and %.0f tokens per optimizer step, %lld steps an epoch, %lld in all",
             (double)data->train->count / (double)data->steps_per_epoch,
             (double)data->train->tokens / (double)data->steps_per_epoch, (long long)data->steps_per_epoch,
             (long long)data->total_steps);
    return 0;
}

void reward_data_close(struct reward_data *data)
{
    reward_set_free(data->eval);
    reward_set_free(data->train);
    model_text_close(&data->text);
    mem_free(data->order);
    mem_free(data->eval_order);
    *data = (struct reward_data){0};
}

int64_t reward_data_step(struct reward_data *data, int64_t step, const int64_t **numbers)
{
    int64_t epoch = step / data->steps_per_epoch, first = step % data->steps_per_epoch * data->rankings_per_step;
    int64_t left = (int64_t)data->train->count - first;
    if (epoch != data->epoch && data->recipe->shuffle) {
        random_permutation(data->order, data->train->count, (uint64_t)data->recipe->seed, RANDOM_SHUFFLE,
                           (uint64_t)epoch);
    }
    data->epoch = epoch;
    *numbers = data->order + first;
    return left < data->rankings_per_step ? left : data->rankings_per_step;
}

struct reward_batch_limits reward_data_limits(const struct reward_data *data)
{
    struct reward_batch_limits limits = {1, 1, 1};
    reward_set_widen(data->train, data->recipe->per_device_train_batch_size, &limits);
    if (data->eval) {
        reward_set_widen(data->eval, data->recipe->per_device_eval_batch_size, &limits);
    }
    return limits;
}

int32_t reward_data_longest(const struct reward_data *data)
{
    return data->eval && data->eval->longest > data->train->longest ? data->eval->longest : data->train->longest;
}

int32_t reward_data_highest_id(const struct reward_data *data)
{
    int32_t train = reward_set_highest_id(data->train), eval = data->eval ? reward_set_highest_id(data->eval) : 0;
    return eval > train ? eval : train;
}

struct hash reward_data_fingerprint(const struct reward_data *data)
{
    const struct hash both[] = {reward_set_fingerprint(data->train),
                                data->eval ? reward_set_fingerprint(data->eval) : (struct hash){0}};
    return hash_bytes(both, sizeof both);
}

size_t reward_data_bytes(const struct reward_data *data)
{
    return data->train->bytes + (data->eval ? data->eval->bytes : 0);
}
