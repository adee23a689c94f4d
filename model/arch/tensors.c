/* model/arch/tensors.c - see tensors.h. */
#include "model/arch/tensors.h"
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>

static void describe_linear(struct linear_spec *spec, const struct model_config *config)
{
    int32_t queries = config->heads * config->head_size, keys = config->kv_heads * config->head_size;
    spec->has_bias = config->attention_bias;
    switch (spec->role) {
    case LINEAR_Q:
        spec->outputs = queries, spec->inputs = config->hidden;
        break;
    case LINEAR_K:
    case LINEAR_V:
        spec->outputs = keys, spec->inputs = config->hidden;
        break;
    case LINEAR_O:
        spec->outputs = config->hidden, spec->inputs = queries;
        break;
    case LINEAR_GATE:
    case LINEAR_UP:
        spec->outputs = config->intermediate, spec->inputs = config->hidden;
        spec->has_bias = config->mlp_bias;
        break;
    case LINEAR_DOWN:
        spec->outputs = config->hidden, spec->inputs = config->intermediate;
        spec->has_bias = config->mlp_bias;
        break;
    case LINEAR_ROLE_COUNT:
        abort(); /* no role */
    }
}

int architecture_linears(struct linear_spec **out, int32_t *count, const struct model_config *config, struct err *err)
{
    const struct architecture *architecture = config->architecture;
    struct linear_spec *specs = mem_alloc((size_t)config->layers * LINEAR_ROLE_COUNT, sizeof *specs, err);
    int32_t added = 0;
    if (!specs) {
        return -1;
    }
    for (int32_t l = 0; l < config->layers; l++) {
        for (int role = 0; role < LINEAR_ROLE_COUNT; role++) {
            if (!architecture->linears[role]) {
                continue;
            }
            struct linear_spec *spec = &specs[added++];
            *spec = (struct linear_spec){.role = (enum linear_role)role, .layer = l};
            describe_linear(spec, config);
            snprintf(spec->path, sizeof spec->path, "%s.%d.%s", architecture->layers, l, architecture->linears[role]);
        }
    }
    *out = specs;
    *count = added;
    return 0;
}

/* A tensor outside of the layers. */
static int add_module(struct inventory *inventory, const struct model_config *config, enum tensor_role role,
                      int32_t rows, int32_t columns, bool optional, struct err *err)
{
    struct inventory_item item = {
        .role = role, .layer = -1, .linear = -1, .rows = rows, .columns = columns, .optional = optional};
    architecture_tensor_name(item.name, config->architecture, role);
    return inventory_add(inventory, &item, err);
}

static int add_norm(struct inventory *inventory, const struct model_config *config, enum tensor_role role,
                    int32_t layer, struct err *err)
{
    const struct architecture *architecture = config->architecture;
    struct inventory_item item = {.role = role, .layer = layer, .linear = -1, .rows = config->hidden};
    snprintf(item.name, sizeof item.name, "%s.%d.%s.weight", architecture->layers, layer, architecture->modules[role]);
    return inventory_add(inventory, &item, err);
}

static int add_linear(struct inventory *inventory, const struct linear_spec *spec, int32_t index, struct err *err)
{
    struct inventory_item item = {
        .role = TENSOR_LINEAR, .layer = spec->layer, .linear = index, .rows = spec->outputs, .columns = spec->inputs};
    snprintf(item.name, sizeof item.name, "%s.weight", spec->path);
    if (inventory_add(inventory, &item, err) != 0) {
        return -1;
    }
    if (!spec->has_bias) {
        return 0;
    }
    item.role = TENSOR_LINEAR_BIAS;
    item.columns = 0;
    snprintf(item.name, sizeof item.name, "%s.bias", spec->path);
    return inventory_add(inventory, &item, err);
}

static int add_layers(struct inventory *inventory, const struct model_config *config, struct err *err)
{
    struct linear_spec *linears;
    int32_t linear_count, n = 0;
    if (architecture_linears(&linears, &linear_count, config, err) != 0) {
        return -1;
    }
    int result = 0;
    for (int32_t l = 0; result == 0 && l < config->layers; l++) {
        result = add_norm(inventory, config, TENSOR_ATTENTION_NORM, l, err);
        if (result == 0) {
            result = add_norm(inventory, config, TENSOR_MLP_NORM, l, err);
        }
        for (; result == 0 && n < linear_count && linears[n].layer == l; n++) {
            result = add_linear(inventory, &linears[n], n, err);
        }
    }
    mem_free(linears);
    return result;
}

int architecture_inventory(struct inventory *out, const struct model_config *config, struct err *err)
{
    const int32_t vocabulary = config->vocabulary, hidden = config->hidden;
    *out = (struct inventory){0};
    if (add_module(out, config, TENSOR_EMBEDDING, vocabulary, hidden, false, err) == 0 &&
        add_layers(out, config, err) == 0 && add_module(out, config, TENSOR_FINAL_NORM, hidden, 0, false, err) == 0 &&
        (config->tied || add_module(out, config, TENSOR_HEAD, vocabulary, hidden, true, err) == 0) &&
        add_module(out, config, TENSOR_SCORE, 1, hidden, true, err) == 0) {
        return 0;
    }
    inventory_free(out);
    return -1;
}
