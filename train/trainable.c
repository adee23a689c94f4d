/* train/trainable.c - see trainable.h. */
#include "train/trainable.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/export.h"
#include "train/optimizer.h"
#include <math.h>
#include <string.h>

/* An adapter that goes on keeps its own rank, alpha, dropout and targets; a recipe that says otherwise is a mistake. */
static int check_against_recipe(const struct adapter *adapter, const struct recipe *recipe, struct err *err)
{
    const struct {
        const char *key;
        double said, is;
    } keys[] = {
        {"lora_r", (double)recipe->lora_r, (double)adapter->rank},
        {"lora_alpha", recipe->lora_alpha, adapter->alpha},
        {"lora_dropout", recipe->lora_dropout, adapter->dropout},
        {"use_rslora", recipe->use_rslora, adapter->rank_stabilized},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (recipe_is_set(recipe, keys[i].key) && fabs(keys[i].said - keys[i].is) > 1e-9)
            return err_set(
                err, "%s is %g in the recipe but %g in the adapter %s; the adapter's own holds, so leave the key out",
                keys[i].key, keys[i].said, keys[i].is, recipe->adapter_name_or_path);
    return 0;
}

/* Targets of the recipe against those of the adapter it goes on with. */
static int check_targets(const struct adapter *adapter, const struct adapter_options *options,
                         const struct recipe *recipe, struct err *err)
{
    if (!recipe_is_set(recipe, "lora_target_modules") && !recipe_is_set(recipe, "lora_modules_to_save"))
        return 0;
    struct adapter *described;
    if (adapter_describe(&described, adapter->model, options, err) != 0)
        return -1;
    bool same = !recipe_is_set(recipe, "lora_target_modules") || described->target_count == adapter->target_count;
    for (int32_t i = 0; same && recipe_is_set(recipe, "lora_target_modules") && i < adapter->target_count; i++)
        same = described->targets[i].layer == adapter->targets[i].layer &&
               described->targets[i].kind == adapter->targets[i].kind;
    bool saved = described->save_embedding == adapter->save_embedding &&
                 (described->save_head || described->tied) == (adapter->save_head || adapter->tied);
    if (recipe_is_set(recipe, "lora_modules_to_save"))
        same = same && saved;
    adapter_free(described);
    return same ? 0
                : err_set(err,
                          "lora_target_modules or lora_modules_to_save in the recipe differ from those of the adapter "
                          "%s; the adapter's own hold, so leave the keys out",
                          recipe->adapter_name_or_path);
}

static struct adapter_options options_of(const struct recipe *recipe)
{
    return (struct adapter_options){
        .rank = (int32_t)recipe->lora_r,
        .alpha = recipe->lora_alpha,
        .dropout = recipe->lora_dropout,
        .rank_stabilized = recipe->use_rslora,
        .targets = (const char *const *)recipe->lora_target_modules.items,
        .target_count = recipe->lora_target_modules.count,
        .modules_to_save = (const char *const *)recipe->lora_modules_to_save.items,
        .module_count = recipe->lora_modules_to_save.count,
        .seed = (uint64_t)recipe->seed,
    };
}

int trainable_open(struct trainable *trainable, const struct recipe *recipe, struct err *err)
{
    *trainable = (struct trainable){0};
    if (model_open(&trainable->model, recipe->model_name_or_path, err) != 0)
        return -1;
    struct adapter_options options = options_of(recipe);
    int rc = 0;
    if (recipe->finetuning_type == RECIPE_FULL)
        return 0;
    if (recipe->adapter_name_or_path) {
        rc = adapter_open(&trainable->adapter, trainable->model, recipe->adapter_name_or_path, err);
        if (rc == 0)
            rc = check_against_recipe(trainable->adapter, recipe, err);
        if (rc == 0)
            rc = check_targets(trainable->adapter, &options, recipe, err);
        if (rc == 0)
            trainable->adapter->seed = options.seed;
    } else {
        rc = adapter_describe(&trainable->adapter, trainable->model, &options, err);
    }
    if (rc == 0 && trainable->model->config.tied && trainable->adapter->save_head)
        log_info("note: the model's head is tied to its embedding; lora_modules_to_save: lm_head gives it a head of "
                 "its own");
    if (rc != 0)
        trainable_close(trainable);
    return rc;
}

static struct model_options model_options_of(const struct trainable *trainable)
{
    return (struct model_options){.trainable = !trainable->adapter, .backward = true};
}

int trainable_plan(struct trainable *trainable, struct backend *backend, struct memory_plan *plan, struct err *err)
{
    struct memory_plan model_memory = {0};
    struct model_options options = model_options_of(trainable);
    if (model_plan(trainable->model, backend, &options, &model_memory, err) != 0)
        return -1;
    memory_plan_add(plan, &model_memory);
    return trainable->adapter ? adapter_plan(trainable->adapter, backend, true, plan, err) : 0;
}

int trainable_load(struct trainable *trainable, struct backend *backend, struct err *err)
{
    struct model_options options = model_options_of(trainable);
    if (model_load(trainable->model, backend, &options, err) != 0)
        return -1;
    trainable->parameters = &trainable->model->parameters;
    if (!trainable->adapter)
        return 0;
    if (adapter_load(trainable->adapter, backend, true, err) != 0)
        return -1;
    trainable->parameters = &trainable->adapter->parameters;
    trainable->overlay = &trainable->adapter->overlay;
    return 0;
}

void trainable_close(struct trainable *trainable)
{
    adapter_free(trainable->adapter);
    model_free(trainable->model);
    *trainable = (struct trainable){0};
}

int64_t trainable_count(const struct trainable *trainable)
{
    return trainable->adapter ? adapter_parameter_count(trainable->adapter) : model_parameter_count(trainable->model);
}

int32_t trainable_max_rank(const struct trainable *trainable)
{
    int32_t most = 0;
    for (int32_t i = 0; trainable->adapter && i < trainable->adapter->target_count; i++)
        if (trainable->adapter->targets[i].rank > most)
            most = trainable->adapter->targets[i].rank;
    return most;
}

int trainable_save_checkpoint(const struct trainable *trainable, const char *folder, struct err *err)
{
    if (trainable->adapter)
        return adapter_save(trainable->adapter, folder, trainable->model->folder, err);
    struct export_options options = {
        .dtype = DTYPE_F32, .change = model_change_to_masters, .context = trainable->model};
    return model_export_weights(trainable->model, folder, &options, err);
}

int trainable_load_checkpoint(struct trainable *trainable, const char *folder, struct err *err)
{
    char *path = file_join(folder, trainable->adapter ? "adapter_model.safetensors" : "model.safetensors", err);
    int rc = path ? parameters_load(trainable->parameters, trainable->model->backend, path, err) : -1;
    mem_free(path);
    return rc;
}

int trainable_save_result(const struct trainable *trainable, const char *folder, struct err *err)
{
    if (trainable->adapter)
        return adapter_save(trainable->adapter, folder, trainable->model->folder, err);
    struct export_options options = {
        .keep_dtype = true, .change = model_change_to_masters, .context = trainable->model};
    return model_export_weights(trainable->model, folder, &options, err) == 0
               ? model_copy_texts(trainable->model, folder, err)
               : -1;
}
