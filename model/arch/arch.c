/* model/arch/arch.c - see arch.h. */
#include "model/arch/arch.h"
#include "base/mem.h"
#include "model/arch/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct architecture *const architectures[] = {&architecture_llama};

const struct architecture *architecture_find(const char *model_type)
{
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
        for (const char *const *type = architectures[i]->model_types; *type; type++)
            if (strcmp(*type, model_type) == 0)
                return architectures[i];
    return NULL;
}

const char *linear_leaf(const struct linear_spec *spec)
{
    const char *dot = strrchr(spec->path, '.');
    return dot ? dot + 1 : spec->path;
}

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
    if (!specs)
        return -1;
    for (int32_t l = 0; l < config->layers; l++)
        for (int role = 0; role < LINEAR_ROLE_COUNT; role++) {
            if (!architecture->linears[role])
                continue;
            struct linear_spec *spec = &specs[added++];
            *spec = (struct linear_spec){.role = (enum linear_role)role, .layer = l};
            describe_linear(spec, config);
            snprintf(spec->path, sizeof spec->path, "%s.%d.%s", architecture->blocks, l, architecture->linears[role]);
        }
    *out = specs;
    *count = added;
    return 0;
}
