/*
 * model/arch/arch.h - the families of models: what config.json calls each, and what it calls its tensors.
 *
 * A family is one file here (llama.c) and one line in the table of arch.c. Its names are said there and nowhere else;
 * the shapes follow from the role of a tensor and from config.json.
 *
 * A path is that of a module ("model.layers.3.mlp.up_proj", "lm_head"); its tensors are path.weight and path.bias.
 */
#ifndef ATTUNE_MODEL_ARCH_ARCH_H
#define ATTUNE_MODEL_ARCH_ARCH_H

#include "model/arch/config.h"

/* What a linear layer is for inside its block. A block need not have one of each. */
enum linear_role {
    LINEAR_Q,
    LINEAR_K,
    LINEAR_V,
    LINEAR_O,
    LINEAR_GATE,
    LINEAR_UP,
    LINEAR_DOWN,
    LINEAR_ROLE_COUNT,
};

#define MODULE_PATH_MAX 96

struct architecture {
    const char *const *model_types;         /* as config.json has them; NULL ends the list */
    const char *blocks;                     /* path of the list of blocks: "model.layers" */
    const char *linears[LINEAR_ROLE_COUNT]; /* paths inside a block; NULL: its blocks have none */
};

/* NULL: none is of this type. */
const struct architecture *architecture_find(const char *model_type);

/* A linear layer of a block, y [outputs] = x [inputs] W^T (+ bias), as config.json calls for it. */
struct linear_spec {
    enum linear_role role;
    int32_t layer;
    int32_t outputs, inputs;
    bool has_bias;
    char path[MODULE_PATH_MAX];
};

/* The last part of its path: "up_proj". */
const char *linear_leaf(const struct linear_spec *spec);

/* All linear layers of the blocks: *out [*count], from mem_alloc(). The place in this list is a linear's number. */
int architecture_linears(struct linear_spec **out, int32_t *count, const struct model_config *config, struct err *err);

#endif
