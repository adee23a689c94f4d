/* model/init.c - see init.h. */
#include "model/init.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "model/model.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

struct tensor {
    char name[MODULE_PATH_MAX + 40];
    int32_t rows, columns; /* columns 0: a vector */
    float constant;        /* of a vector */
    double deviation;
    uint64_t seed, number;
};

struct tensor_list {
    struct tensor *items;
    int32_t count, capacity;
};

static int fill(void *context, float *out, int64_t first, int64_t count, struct err *err)
{
    (void)err;
    const struct tensor *tensor = context;
    for (int64_t i = 0; i < count; i++)
        out[i] = tensor->columns ? (float)(tensor->deviation * random_normal(tensor->seed, RANDOM_INIT, tensor->number,
                                                                             (uint64_t)(first + i)))
                                 : tensor->constant;
    return 0;
}

static struct tensor *add(struct tensor_list *list, int32_t rows, int32_t columns)
{
    assert(list->count < list->capacity);
    struct tensor *tensor = &list->items[list->count];
    *tensor = (struct tensor){.rows = rows, .columns = columns, .number = (uint64_t)list->count};
    list->count++;
    return tensor;
}

static void add_vector(struct tensor_list *list, int32_t size, float constant, const char *path, const char *leaf)
{
    struct tensor *tensor = add(list, size, 0);
    tensor->constant = constant;
    snprintf(tensor->name, sizeof tensor->name, "%s.%s", path, leaf);
}

static void add_linear(struct tensor_list *list, const struct linear_spec *spec)
{
    struct tensor *weight = add(list, spec->outputs, spec->inputs);
    snprintf(weight->name, sizeof weight->name, "%s.weight", spec->path);
    if (spec->has_bias)
        add_vector(list, spec->outputs, 0, spec->path, "bias");
}

static void add_layer(struct tensor_list *list, const struct model_config *config, int32_t layer,
                      const struct linear_spec *linears, int32_t linear_count)
{
    char path[MODULE_PATH_MAX];
    snprintf(path, sizeof path, "model.layers.%d", layer);
    add_vector(list, config->hidden, 1, path, "input_layernorm.weight");
    add_vector(list, config->hidden, 1, path, "post_attention_layernorm.weight");
    for (int32_t n = 0; n < linear_count; n++)
        if (linears[n].layer == layer)
            add_linear(list, &linears[n]);
}

static int write_all(const char *path, struct tensor_list *list, double deviation, uint64_t seed, struct err *err)
{
    struct safetensor_spec *specs = mem_alloc((size_t)list->count, sizeof *specs, err);
    if (!specs)
        return -1;
    for (int32_t i = 0; i < list->count; i++) {
        struct tensor *tensor = &list->items[i];
        tensor->deviation = deviation;
        tensor->seed = seed;
        specs[i] = (struct safetensor_spec){.name = tensor->name,
                                            .dtype = DTYPE_F32,
                                            .rank = tensor->columns ? 2 : 1,
                                            .shape = {tensor->rows, tensor->columns},
                                            .read = fill,
                                            .context = tensor};
    }
    int rc = safetensors_write(path, specs, list->count, NULL, err);
    mem_free(specs);
    return rc;
}

int model_write_random(const char *folder, double deviation, uint64_t seed, struct err *err)
{
    struct model_config config;
    if (model_config_read(&config, folder, err) != 0)
        return -1;
    char *path = file_join(folder, "model.safetensors", err);
    if (!path)
        return -1;
    struct linear_spec *linears = NULL;
    struct tensor_list list = {0};
    int32_t linear_count = 0;
    int rc =
        file_exists(path)
            ? err_set(err, "%s is already there; random weights would replace it, so remove it first if that is meant",
                      path)
            : architecture_linears(&linears, &linear_count, &config, err);
    if (rc == 0) {
        list.capacity = 2 * config.layers + 2 * linear_count + 3;
        list.items = mem_alloc((size_t)list.capacity, sizeof *list.items, err);
        rc = list.items ? 0 : -1;
    }
    if (rc == 0) {
        strcpy(add(&list, config.vocabulary, config.hidden)->name, "model.embed_tokens.weight");
        for (int32_t l = 0; l < config.layers; l++)
            add_layer(&list, &config, l, linears, linear_count);
        add_vector(&list, config.hidden, 1, "model.norm", "weight");
        if (!config.tied)
            strcpy(add(&list, config.vocabulary, config.hidden)->name, "lm_head.weight");
        rc = write_all(path, &list, deviation, seed, err);
    }
    mem_free(linears);
    mem_free(list.items);
    mem_free(path);
    return rc;
}
