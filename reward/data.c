/* reward/data.c - see data.h. */
#include "reward/data.h"

#include "base/log.h"
#include "reward/recipe.h"

static int open_eval(struct reward_data *data, const struct ranking_set_options *options, struct err *err)
{
    const struct recipe *recipe = data->recipe;
    if (recipe->eval_dataset.count > 0) {
        int64_t prompts = 0;
        size_t before = data->train->count;
        if (ranking_set_load(&data->eval, &recipe->eval_dataset, options, err) != 0 ||
            ranking_set_apply_weights(data->eval, false, (uint64_t)recipe->seed, err) != 0) {
            return err_prefix(err, "eval_dataset");
        }
        if (ranking_set_remove_prompts(data->train, data->eval, &prompts, err) != 0) {
            return -1;
        }
        if (prompts > 0) {
            log_warn("%lld prompts of dataset are in eval_dataset too; their %zu rankings are not trained on",
                     (long long)prompts, before - data->train->count);
        }
    } else if (recipe->eval_split > 0 &&
               ranking_set_split(data->train, &data->eval, recipe->eval_split, (uint64_t)recipe->seed, err) != 0) {
        return err_prefix(err, "eval_split");
    }
    return 0;
}

static int check_margins(const struct reward_data *data, struct err *err)
{
    for (size_t i = 0; i < data->train->count; i++) {
        if (reward_keys(data->recipe)->margin == RANKING_MARGIN_NONE || data->train->rankings[i].levels) {
            return 0;
        }
    }
    return err_set(err, "margin: %s, but no ranking of dataset has one%s; leave margin out",
                   recipe_choice(data->recipe, "margin"),
                   reward_keys(data->recipe)->margin == RANKING_MARGIN_STRENGTH
                       ? " (only pairs that were labelled with a strength do)"
                       : " (a number \"margin\" beside chosen and rejected, or ratings of the answers)");
}

static int load_all(struct reward_data *data, struct pool *pool, struct err *err)
{
    const struct recipe *recipe = data->recipe;
    if (model_text_open(&data->text, recipe->model_name_or_path, recipe->chat_template, err) != 0) {
        return -1;
    }
    struct ranking_set_options options = ranking_set_options(recipe, &data->text, pool);
    options.margin = reward_keys(recipe)->margin;
    options.margin_scale = reward_keys(recipe)->margin_scale;
    options.ties = reward_keys(recipe)->ties == REWARD_TIES_HALF;
    if (ranking_set_load(&data->train, &recipe->dataset, &options, err) != 0) {
        return err_prefix(err, "dataset");
    }
    if (open_eval(data, &options, err) != 0) {
        return -1;
    }
    if (ranking_set_apply_weights(data->train, reward_keys(recipe)->weight_by_agreement, (uint64_t)recipe->seed, err) !=
        0) {
        return err_prefix(err, "dataset");
    }
    if (check_margins(data, err) != 0) {
        return -1;
    }
    return row_order_open(&data->order, recipe, (int64_t)data->train->count, err);
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
    const struct step_counts *steps = &data->order.steps;
    ranking_set_report(data->train, "dataset");
    if (data->eval) {
        ranking_set_report(data->eval, recipe->eval_dataset.count > 0 ? "eval_dataset" : "eval_split");
    }
    log_info("  %.1f rankings and %.0f tokens per optimizer step, %lld steps an epoch, %lld in all",
             (double)data->train->count / (double)steps->per_epoch,
             (double)data->train->tokens / (double)steps->per_epoch, (long long)steps->per_epoch,
             (long long)steps->total);
    return 0;
}

void reward_data_close(struct reward_data *data)
{
    ranking_set_free(data->eval);
    ranking_set_free(data->train);
    model_text_close(&data->text);
    row_order_close(&data->order);
    *data = (struct reward_data){0};
}

struct batch_limits reward_data_limits(const struct reward_data *data, int32_t pass_tokens)
{
    struct batch_limits limits = {1, 1, 1};
    ranking_set_widen(data->train, data->recipe->per_device_train_batch_size, pass_tokens, &limits);
    if (data->eval) {
        ranking_set_widen(data->eval, data->recipe->per_device_eval_batch_size, pass_tokens, &limits);
    }
    return limits;
}

int32_t reward_data_longest(const struct reward_data *data)
{
    return data->eval && data->eval->longest > data->train->longest ? data->eval->longest : data->train->longest;
}

int32_t reward_data_highest_id(const struct reward_data *data)
{
    int32_t train = ranking_set_highest_id(data->train), eval = data->eval ? ranking_set_highest_id(data->eval) : 0;
    return eval > train ? eval : train;
}

struct hash reward_data_fingerprint(const struct reward_data *data)
{
    const struct hash both[] = {ranking_set_fingerprint(data->train),
                                data->eval ? ranking_set_fingerprint(data->eval) : (struct hash){0}};
    return hash_bytes(both, sizeof both);
}

size_t reward_data_bytes(const struct reward_data *data)
{
    return data->train->bytes + (data->eval ? data->eval->bytes : 0);
}
