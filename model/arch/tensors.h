/*
 * model/arch/tensors.h - what a config.json calls for: all linear layers and all tensors of the model.
 *
 * Errors: 0 or -1 with a sentence in *err.
 */
#ifndef ATTUNE_MODEL_ARCH_TENSORS_H
#define ATTUNE_MODEL_ARCH_TENSORS_H

#include "model/arch/arch.h"
#include "model/arch/config.h"

/* A linear layer, y [outputs] = x [inputs] W^T (+ bias), as config.json calls for it. */
struct linear_spec {
    enum linear_role role;
    int32_t layer;
    int32_t outputs, inputs;
    bool has_bias;
    char path[MODULE_PATH_MAX];
};

/* All linear layers of the layers: *out [*count], from mem_alloc(). The place in this list is a linear's index. */
int architecture_linears(struct linear_spec **out, int32_t *count, const struct model_config *config, struct err *err);
/* All tensors, in the order in which they are loaded and trained: embedding, layers, final norm, a head where it is not
 * the embedding, and a score head, which most models lack. */
int architecture_inventory(struct inventory *out, const struct model_config *config, struct err *err);

#endif
