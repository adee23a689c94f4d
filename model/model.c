/* model/model.c - opening and loading a model; see model.h. */
#include "model/model.h"
#include "base/file.h"
#include "base/mem.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- opening: names and shapes ---- */

const struct safetensor *model_tensor(const struct model *model, enum tensor_role role)
{
    char name[TENSOR_NAME_MAX];
    architecture_tensor_name(name, model->config.architecture, role);
    return safetensors_find(model->files, name);
}

static int check_tensors(const struct model *model, struct err *err)
{
    const struct safetensor *score = model_tensor(model, TENSOR_SCORE);
    if (score && score->rank == 2 && score->shape[0] != 1) {
        return err_set(err, "%s: '%s' has %lld labels; a reward model has one (num_labels 1)", score->file, score->name,
                       (long long)score->shape[0]);
    }
    return inventory_check(&model->tensors, model->files, model->folder, err);
}

/* The linear layers, and which of them each layer has. */
static int list_linears(struct model *model, struct err *err)
{
    struct linear_spec *specs;
    int32_t layers = model->config.layers;
    if (architecture_linears(&specs, &model->linear_count, &model->config, err) != 0) {
        return -1;
    }
    model->linears = mem_alloc((size_t)model->linear_count, sizeof *model->linears, err);
    model->layers = mem_alloc((size_t)layers, sizeof *model->layers, err);
    bool listed = model->linears && model->layers;
    for (int32_t l = 0; listed && l < layers; l++) {
        for (int role = 0; role < LINEAR_ROLE_COUNT; role++) {
            model->layers[l].linears[role] = -1;
        }
    }
    for (int32_t n = 0; listed && n < model->linear_count; n++) {
        model->linears[n].spec = specs[n];
        model->layers[specs[n].layer].linears[specs[n].role] = n;
    }
    mem_free(specs);
    return listed ? 0 : -1;
}

int model_open(struct model **out, const char *folder, struct err *err)
{
    struct model *model = mem_alloc(1, sizeof *model, err);
    if (!model) {
        return -1;
    }
    model->folder = mem_copy_string(folder, strlen(folder), err);
    if (!model->folder || model_config_read(&model->config, folder, err) != 0 ||
        safetensors_open_folder(&model->files, folder, err) != 0) {
        goto fail;
    }
    bool has_head = model_tensor(model, TENSOR_HEAD) != NULL;
    model->is_scorer = !has_head && model_tensor(model, TENSOR_SCORE);
    model->score_offset = model->config.score_offset;
    /* Some checkpoints of tied models carry no flag but also no head. */
    if (!model->config.tied && !has_head && !model->is_scorer) {
        model->config.tied = true;
    }
    if (architecture_inventory(&model->tensors, &model->config, err) != 0 || list_linears(model, err) != 0 ||
        check_tensors(model, err) != 0) {
        goto fail;
    }
    *out = model;
    return 0;
fail:
    model_free(model);
    return -1;
}

/* ---- loading ---- */

/* One pass over everything that takes memory: run once to count, once to build (model/memory.h). */
struct model_loader {
    struct model *model;
    const struct model_options *options;
    struct regions *regions;
    struct err *err;
};

/* Memory of a tensor's f32 values: its place in the arena of masters where it is trained; NULL in the first pass. */
static float *take_master(struct model_loader *loader, const struct inventory_item *item)
{
    const int64_t count = inventory_item_size(item);
    struct parameter_list *list = &loader->model->parameters;
    if (!loader->options->trainable) {
        return regions_take_floats(loader->regions, MEMORY_WEIGHTS, (size_t)count);
    }
    const int64_t offset = parameters_place(list, count);
    return loader->regions->counting ? NULL : list->masters + offset;
}

/* Names the trained tensor that take_master() has placed, and says where its gradient is. */
static int add_parameter(struct model_loader *loader, const struct inventory_item *item, float *master,
                         struct weight *weight, float **gradient)
{
    struct parameter_list *list = &loader->model->parameters;
    if (loader->regions->counting) {
        return 0;
    }
    struct parameter *parameter = &list->items[list->count - 1];
    const int64_t offset = master - list->masters;
    *gradient = list->gradients + offset;
    bool vector = item->columns == 0;
    *parameter = (struct parameter){
        .name = mem_copy_string(item->name, strlen(item->name), loader->err),
        .role = item->role,
        .rows = vector ? 1 : item->rows,
        .columns = vector ? item->rows : item->columns,
        .is_vector = vector,
        .offset = offset,
        .master = master,
        .gradient = *gradient,
        .weight = weight,
    };
    return parameter->name ? 0 : -1;
}

/* A norm or a bias: f32 on the device, its own master. */
static int load_vector(struct model_loader *loader, const struct inventory_item *item, const float **device,
                       float **gradient)
{
    const struct safetensor *tensor = safetensors_find(loader->model->files, item->name);
    assert(tensor);
    float *memory = take_master(loader, item);
    *device = memory;
    if (!loader->regions->counting && parameter_upload(loader->regions->backend, memory, tensor, loader->err) != 0) {
        return -1;
    }
    return loader->options->trainable ? add_parameter(loader, item, memory, NULL, gradient) : 0;
}

/* Mapped tensors may stand at any byte; backends want their elements aligned. */
static const void *aligned_source(const struct safetensor *tensor, void **copy, struct err *err)
{
    *copy = NULL;
    if ((uintptr_t)tensor->data % dtype_size(tensor->dtype) == 0) {
        return tensor->data;
    }
    *copy = mem_alloc((size_t)tensor->count, dtype_size(tensor->dtype), err);
    if (*copy) {
        memcpy(*copy, tensor->data, (size_t)tensor->count * dtype_size(tensor->dtype));
    }
    return *copy;
}

static int load_matrix(struct model_loader *loader, const struct inventory_item *item, unsigned uses,
                       struct weight **weight, float **gradient)
{
    const struct safetensor *tensor = safetensors_find(loader->model->files, item->name);
    assert(tensor);
    bool trainable = loader->options->trainable;
    if (loader->options->backward || trainable) {
        uses |= uses & WEIGHT_FORWARD ? WEIGHT_BACKWARD : 0;
    }
    struct backend *backend = loader->regions->backend;
    struct weight_shape shape = {item->rows, item->columns, trainable ? DTYPE_F32 : tensor->dtype, uses};
    void *memory = regions_take(loader->regions, MEMORY_PREPARED, backend->weight_size(backend, &shape));
    if (loader->regions->counting && uses & WEIGHT_BACKWARD) {
        struct weight_shape forward = shape;
        forward.uses &= ~(unsigned)WEIGHT_BACKWARD;
        loader->regions->plan.prepared_backward +=
            backend->weight_size(backend, &shape) - backend->weight_size(backend, &forward);
    }
    float *master = trainable ? take_master(loader, item) : NULL;
    if (!loader->regions->counting) {
        void *copy = NULL;
        const void *source = trainable ? NULL : aligned_source(tensor, &copy, loader->err);
        int result =
            !trainable && !source ? -1 : backend->weight_create(backend, weight, &shape, memory, source, loader->err);
        if (result == 0 && trainable) {
            result = parameter_upload(backend, master, tensor, loader->err);
        }
        mem_free(copy);
        safetensor_release(tensor);
        if (result != 0) {
            return -1;
        }
        if (trainable) {
            backend->weight_update(backend, &(struct weight_update_args){*weight, master});
        }
    }
    return trainable ? add_parameter(loader, item, master, *weight, gradient) : 0;
}

/* The score head: its own master, as f32. */
static int load_score(struct model_loader *loader, const struct inventory_item *item)
{
    struct model *model = loader->model;
    const struct safetensor *file = safetensors_find(model->files, item->name);
    const size_t count = (size_t)inventory_item_size(item);
    float *memory = take_master(loader, item);
    if (!loader->regions->counting) {
        float *host = mem_alloc(count, sizeof *host, loader->err);
        if (!host) {
            return -1;
        }
        if (file) {
            safetensor_widen(host, file->data, file->dtype, file->count);
        } else {
            score_head_draw(host, model->config.hidden, loader->options->seed);
        }
        struct backend *backend = loader->regions->backend;
        backend->upload(backend, memory, host, count * sizeof *host);
        mem_free(host);
    }
    model->score.weight = memory;
    model->score.offset = file ? model->score_offset : 0;
    return loader->options->trainable ? add_parameter(loader, item, memory, NULL, &model->score.gradient) : 0;
}

static int load_rope(struct model_loader *loader)
{
    struct model *model = loader->model;
    size_t count = (size_t)model->config.head_size / 2;
    float *device = regions_take_floats(loader->regions, MEMORY_WEIGHTS, count);
    if (loader->regions->counting) {
        return 0;
    }
    float *host = mem_alloc(count, sizeof *host, loader->err);
    if (!host) {
        return -1;
    }
    rope_frequencies(&model->config, host);
    loader->regions->backend->upload(loader->regions->backend, device, host, count * sizeof *host);
    mem_free(host);
    model->rope_frequencies = device;
    return 0;
}

static int load_item(struct model_loader *loader, const struct inventory_item *item)
{
    struct model *model = loader->model;
    struct layer *layer = item->layer >= 0 ? &model->layers[item->layer] : NULL;
    struct linear *linear = item->linear >= 0 ? &model->linears[item->linear] : NULL;
    bool scorer = loader->options->scorer, is_head = model->config.tied && !scorer;
    switch (item->role) {
    case TENSOR_EMBEDDING:
        return load_matrix(loader, item, WEIGHT_LOOKUP | (is_head ? WEIGHT_FORWARD : 0), &model->embedding.weight,
                           &model->embedding.weight_gradient);
    case TENSOR_ATTENTION_NORM:
        return load_vector(loader, item, &layer->attention_norm, &layer->attention_norm_gradient);
    case TENSOR_MLP_NORM:
        return load_vector(loader, item, &layer->mlp_norm, &layer->mlp_norm_gradient);
    case TENSOR_LINEAR:
        return load_matrix(loader, item, WEIGHT_FORWARD, &linear->weight, &linear->weight_gradient);
    case TENSOR_LINEAR_BIAS:
        return load_vector(loader, item, &linear->bias, &linear->bias_gradient);
    case TENSOR_FINAL_NORM:
        return load_vector(loader, item, &model->final_norm, &model->final_norm_gradient);
    case TENSOR_HEAD:
        return scorer ? 0
                      : load_matrix(loader, item, WEIGHT_FORWARD, &model->head.weight, &model->head.weight_gradient);
    case TENSOR_SCORE:
        return scorer ? load_score(loader, item) : 0;
    case TENSOR_ROLE_COUNT:
        break;
    }
    abort(); /* no role */
}

static int load_all(struct model_loader *loader)
{
    struct model *model = loader->model;
    const bool trained = loader->options->trainable;
    parameters_begin(&model->parameters, loader->regions, MEMORY_WEIGHTS, trained);
    for (int32_t i = 0; i < model->tensors.count; i++) {
        if (load_item(loader, &model->tensors.items[i]) != 0) {
            return -1;
        }
    }
    parameters_end(&model->parameters, loader->regions, MEMORY_WEIGHTS, trained);
    if (model->config.tied && !loader->options->scorer) {
        model->head = model->embedding;
    }
    return load_rope(loader);
}

int model_plan(struct model *model, struct backend *backend, const struct model_options *options,
               struct memory_plan *plan, struct err *err)
{
    assert(!model->backend); /* counting forgets what was loaded */
    struct regions regions;
    regions_begin(&regions, backend);
    struct model_loader loader = {.model = model, .options = options, .regions = &regions, .err = err};
    if (load_all(&loader) != 0) {
        return -1;
    }
    *plan = regions.plan;
    return 0;
}

int model_load(struct model *model, struct backend *backend, const struct model_options *options, struct err *err)
{
    assert(!model->backend);
    if (model->is_scorer && !options->scorer) {
        return err_set(
            err,
            "%s is a reward model: it has a score head (%s) and none over the vocabulary, so it gives scores "
            "and no tokens; give a language model here",
            model->folder, model_tensor(model, TENSOR_SCORE)->name);
    }
    regions_begin(&model->regions, backend);
    struct model_loader loader = {.model = model, .options = options, .regions = &model->regions, .err = err};
    if (load_all(&loader) != 0 || regions_alloc(&model->regions, err) != 0) {
        return err_prefix(err, "cannot load model %s", model->folder);
    }
    model->backend = backend;
    const size_t count = (size_t)model->parameters.count;
    model->parameters.items = options->trainable ? mem_alloc(count, sizeof(struct parameter), err) : NULL;
    if ((options->trainable && !model->parameters.items) || load_all(&loader) != 0 ||
        backend->synchronize(backend, err) != 0) {
        return err_prefix(err, "cannot load model %s", model->folder);
    }
    safetensors_release(model->files);
    return 0;
}

static void free_weight(struct model *model, struct weight *weight)
{
    if (weight) {
        model->backend->weight_free(model->backend, weight);
    }
}

void model_free(struct model *model)
{
    if (!model) {
        return;
    }
    for (int32_t n = 0; model->linears && n < model->linear_count; n++) {
        free_weight(model, model->linears[n].weight);
    }
    if (model->head.weight != model->embedding.weight) {
        free_weight(model, model->head.weight);
    }
    free_weight(model, model->embedding.weight);
    for (int32_t i = 0; model->parameters.items && i < model->parameters.count; i++) {
        mem_free(model->parameters.items[i].name);
    }
    mem_free(model->parameters.items);
    mem_free(model->layers);
    mem_free(model->linears);
    inventory_free(&model->tensors);
    if (model->backend) {
        regions_free(&model->regions);
    }
    safetensors_close(model->files);
    mem_free(model->folder);
    mem_free(model);
}

struct hash model_fingerprint(struct model *model)
{
    if (model->has_fingerprint) {
        return model->fingerprint;
    }
    int32_t count = safetensors_count(model->files);
    struct hash sum = {0};
    for (int32_t i = 0; i < count; i++) {
        const struct safetensor *tensor = safetensors_at(model->files, i);
        struct {
            struct hash before, name, bytes;
            int64_t shape[SAFETENSORS_DIMS_MAX], dtype;
        } link = {sum,
                  hash_bytes(tensor->name, strlen(tensor->name)),
                  hash_bytes(tensor->data, (size_t)tensor->count * dtype_size(tensor->dtype)),
                  {0},
                  (int64_t)tensor->dtype};
        memcpy(link.shape, tensor->shape, (size_t)tensor->rank * sizeof *tensor->shape);
        sum = hash_bytes(&link, sizeof link);
        safetensor_release(tensor);
    }
    model->fingerprint = sum;
    model->has_fingerprint = true;
    return sum;
}

int64_t model_parameter_count(const struct model *model)
{
    int64_t count = 0;
    for (int32_t i = 0; i < safetensors_count(model->files); i++) {
        count += safetensors_at(model->files, i)->count;
    }
    return count;
}
