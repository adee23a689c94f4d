/*
 * model/arch/arch.h - the families of models: what config.json calls each, and what it calls its tensors.
 *
 * A family is one file here (llama.c) and one line in the table of arch.c. Its names are said there and nowhere else;
 * the shapes follow from the role of a tensor and from config.json (tensors.h).
 *
 * A path is that of a module ("model.layers.3.mlp.up_proj", "lm_head"); its tensors are path.weight and path.bias.
 */
#ifndef ATTUNE_MODEL_ARCH_ARCH_H
#define ATTUNE_MODEL_ARCH_ARCH_H

#include "weights/inventory.h"

/* What a linear layer is for inside its layer of the model. A layer need not have one of each. */
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
    const char *layers;                     /* path of the list of layers: "model.layers" */
    const char *modules[TENSOR_ROLE_COUNT]; /* paths, those of norms inside a layer; linear layers are in `linears` */
    const char *linears[LINEAR_ROLE_COUNT]; /* paths inside a layer; NULL: it has none */
};

/* NULL: none is of this type. */
const struct architecture *architecture_find(const char *model_type);

/* What files call the tensor of a module outside of the layers: "lm_head.weight". */
void architecture_tensor_name(char out[TENSOR_NAME_MAX], const struct architecture *architecture,
                              enum tensor_role role);

/* The last part of a path: "up_proj". */
const char *path_leaf(const char *path);

#endif
