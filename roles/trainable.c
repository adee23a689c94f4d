/* roles/trainable.c - see trainable.h. */
#include "roles/trainable.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/export.h"
#include "model/parameter.h"
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
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (recipe_is_set(recipe, keys[i].key) && fabs(keys[i].said - keys[i].is) > 1e-9) {
            return err_set(
                err, "%s is %g in the recipe but %g in the adapter %s; the adapter's own holds, so leave the key out",
                keys[i].key, keys[i].said, keys[i].is, recipe->adapter_name_or_path);
        }
    }
    return 0;
}

/* Targets of the recipe against those of the adapter it goes on with. */
static int check_targets(const struct adapter *adapter, const struct adapter_options *options,
                         const struct recipe *recipe, struct err *err)
{
    if (!recipe_is_set(recipe, "lora_target_modules") && !recipe_is_set(recipe, "lora_modules_to_save")) {
        return 0;
    }
    struct adapter *described;
    if (adapter_describe(&described, adapter->model, options, err) != 0) {
        return -1;
    }
    bool same = !recipe_is_set(recipe, "lora_target_modules") || described->target_count == adapter->target_count;
    for (int32_t i = 0; same && recipe_is_set(recipe, "lora_target_modules") && i < adapter->target_count; i++) {
        same = described->targets[i].linear == adapter->targets[i].linear;
    }
    bool saved = described->save_embedding == adapter->save_embedding &&
                 (described->save_head || described->tied) == (adapter->save_head || adapter->tied);
    if (recipe_is_set(recipe, "lora_modules_to_save")) {
        same = same && saved;
    }
    adapter_free(described);
    return same ? 0
                : err_set(err,
                          "lora_target_modules or lora_modules_to_save in the recipe differ from those of the adapter "
                          "%s; the adapter's own hold, so leave the keys out",
                          recipe->adapter_name_or_path);
}

static struct adapter_options options_of(const struct recipe *recipe, const struct trainable_role *role)
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
        .score = role->scorer,
        .seed = role->seed,
    };
}

int trainable_open(struct trainable *trainable, const struct recipe *recipe, bool scorer, struct err *err)
{
    struct trainable_role role = {
        .model_folder = recipe->model_name_or_path,
        .adapter_folder = recipe->finetuning_type == RECIPE_LORA ? recipe->adapter_name_or_path : NULL,
        .scorer = scorer,
        .seed = (uint64_t)recipe->seed,
    };
    if (trainable_open_role(trainable, recipe, &role, err) != 0) {
        return -1;
    }
    if (!role.adapter_folder) {
        return 0;
    }
    struct adapter_options options = options_of(recipe, &role);
    if (check_against_recipe(trainable->adapter, recipe, err) != 0 ||
        check_targets(trainable->adapter, &options, recipe, err) != 0) {
        trainable_close(trainable);
        return -1;
    }
    return 0;
}

int trainable_open_role(struct trainable *trainable, const struct recipe *recipe, const struct trainable_role *role,
                        struct err *err)
{
    *trainable = (struct trainable){
        .model = role->model,
        .borrows_model = role->model != NULL,
        .scorer = role->scorer,
        .seed = role->seed,
        .chat_template = recipe->chat_template,
    };
    if (!role->model && model_open(&trainable->model, role->model_folder, err) != 0) {
        return -1;
    }
    if (recipe->finetuning_type == RECIPE_FULL) {
        return 0;
    }
    struct adapter_options options = options_of(recipe, role);
    int result = 0;
    if (role->adapter_folder) {
        result = adapter_open(&trainable->adapter, trainable->model, role->adapter_folder, err);
        if (result == 0) {
            trainable->adapter->seed = role->seed;
            trainable->adapter->save_score = role->scorer; /* a fresh head where the file has none */
        }
    } else {
        result = adapter_describe(&trainable->adapter, trainable->model, &options, err);
    }
    if (result == 0 && trainable->model->config.tied && trainable->adapter->save_head) {
        log_info("note: the model's head is tied to its embedding; lora_modules_to_save: lm_head gives it a head of "
                 "its own");
    }
    if (result != 0) {
        trainable_close(trainable);
    }
    return result;
}

static struct model_options model_options_of(const struct trainable *trainable)
{
    return (struct model_options){
        .trainable = !trainable->adapter, .backward = true, .scorer = trainable->scorer, .seed = trainable->seed};
}

static const struct parameter_list *parameters_of(const struct trainable *trainable)
{
    return trainable->adapter ? &trainable->adapter->parameters : &trainable->model->parameters;
}

int trainable_plan(struct trainable *trainable, struct backend *backend, struct memory_plan *plan, struct err *err)
{
    struct memory_plan model_memory = {0};
    struct model_options options = model_options_of(trainable);
    if (!trainable->borrows_model && model_plan(trainable->model, backend, &options, &model_memory, err) != 0) {
        return -1;
    }
    memory_plan_add(plan, &model_memory);
    trainable->parameters = parameters_of(trainable);
    return trainable->adapter ? adapter_plan(trainable->adapter, backend, true, plan, err) : 0;
}

int trainable_load(struct trainable *trainable, struct backend *backend, struct err *err)
{
    struct model_options options = model_options_of(trainable);
    if (!trainable->borrows_model && model_load(trainable->model, backend, &options, err) != 0) {
        return -1;
    }
    trainable->parameters = parameters_of(trainable);
    if (!trainable->adapter) {
        return 0;
    }
    if (adapter_load(trainable->adapter, backend, true, err) != 0) {
        return -1;
    }
    trainable->overlay = &trainable->adapter->overlay;
    return 0;
}

void trainable_close(struct trainable *trainable)
{
    adapter_free(trainable->adapter);
    if (!trainable->borrows_model) {
        model_free(trainable->model);
    }
    *trainable = (struct trainable){0};
}

void trainable_introduce(const struct trainable *trainable, const struct backend *backend)
{
    const struct model *model = trainable->model;
    double all = (double)model_parameter_count(model), trained = (double)trainable_count(trainable);
    log_info("model %s: %.1f M parameters on %s", model->folder, all / 1e6, backend->name);
    if (trainable->adapter) {
        log_info("  LoRA of rank %d on %d linear layers%s: %.2f M trained (%.2f %%)", trainable->adapter->rank,
                 trainable->adapter->target_count, trainable->scorer ? ", and a score head" : "", trained / 1e6,
                 100 * trained / all);
    } else {
        log_info("  all %.1f M trained%s", trained / 1e6,
                 trainable->scorer ? ", a score head in place of the vocabulary's" : "");
    }
}

int trainable_check_ids(const struct trainable *trainable, int32_t highest, struct err *err)
{
    int32_t vocabulary = trainable->model->config.vocabulary;
    if (highest < vocabulary) {
        return 0;
    }
    return err_set(err,
                   "the tokenizer of %s makes the id %d, but the model's vocabulary has %d; the tokenizer belongs to "
                   "another model",
                   trainable->model->folder, highest, vocabulary);
}

int trainable_check_tokens(const struct trainable *trainable, int32_t highest, int32_t longest, const char *what,
                           struct err *err)
{
    const struct model_config *config = &trainable->model->config;
    if (trainable_check_ids(trainable, highest, err) != 0) {
        return -1;
    }
    if (longest > config->max_positions) {
        return err_set(err,
                       "%s has %d tokens, but the model was made for %d positions (max_position_embeddings); set "
                       "max_length to %d or less",
                       what, longest, config->max_positions, config->max_positions);
    }
    return 0;
}

int64_t trainable_count(const struct trainable *trainable)
{
    if (trainable->adapter) {
        return adapter_parameter_count(trainable->adapter);
    }
    const struct model *model = trainable->model;
    const struct safetensor *head = model_tensor(model, TENSOR_HEAD);
    int64_t count = model_parameter_count(model);
    if (trainable->scorer) { /* one head in place of the other */
        count += (model_tensor(model, TENSOR_SCORE) ? 0 : model->config.hidden) - (head ? head->count : 0);
    }
    return count;
}

int32_t trainable_max_rank(const struct trainable *trainable)
{
    return trainable->adapter ? adapter_max_rank(trainable->adapter) : 0;
}

const struct score_head *trainable_score(const struct trainable *trainable)
{
    return trainable->adapter ? &trainable->adapter->score : &trainable->model->score;
}

int trainable_scale_score(struct trainable *trainable, double gain, double offset, struct err *err)
{
    struct score_head *head = trainable->adapter ? &trainable->adapter->score : &trainable->model->score;
    struct backend *backend = trainable->model->backend;
    size_t hidden = (size_t)trainable->model->config.hidden;
    float *values = mem_alloc(hidden, sizeof *values, err);
    int result = values ? backend_download(backend, values, head->weight, hidden * sizeof *values, err) : -1;
    for (size_t i = 0; result == 0 && i < hidden; i++) {
        values[i] = (float)(gain * (double)values[i] + 0.0); /* a gain of 0 leaves no -0 */
    }
    if (result == 0) {
        backend->upload(backend, head->weight, values, hidden * sizeof *values);
        head->offset = gain * head->offset + offset;
        result = backend->synchronize(backend, err);
    }
    mem_free(values);
    return result;
}

/* All weights as they were trained. */
static struct export_options export_options_of(const struct trainable *trainable)
{
    return (struct export_options){.change = model_change_to_masters,
                                   .context = trainable->model,
                                   .score = trainable->scorer ? &trainable->model->score : NULL,
                                   .chat_template = trainable->chat_template};
}

int trainable_save_checkpoint(const struct trainable *trainable, const char *folder, struct err *err)
{
    if (trainable->adapter) {
        return adapter_save(trainable->adapter, folder, trainable->model->folder, err);
    }
    struct export_options options = export_options_of(trainable);
    options.dtype = DTYPE_F32;
    return model_export_weights(trainable->model, folder, &options, err);
}

int trainable_load_checkpoint(struct trainable *trainable, const char *folder, struct err *err)
{
    char *path = file_join(folder, trainable->adapter ? "adapter_model.safetensors" : "model.safetensors", err);
    int result = path ? parameters_load(trainable->parameters, trainable->model->backend, path, err) : -1;
    mem_free(path);
    return result;
}

int trainable_save_result(const struct trainable *trainable, const char *folder, struct err *err)
{
    if (trainable->adapter) {
        return adapter_save(trainable->adapter, folder, trainable->model->folder, err);
    }
    struct export_options options = export_options_of(trainable);
    options.keep_dtype = true;
    return model_export_weights(trainable->model, folder, &options, err) == 0
               ? model_copy_texts(trainable->model, folder, &options, err)
               : -1;
}
