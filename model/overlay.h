/*
 * model/overlay.h - what one role lays over the base model: low-rank terms on its linear layers, and perhaps an
 * embedding or head of its own.
 *
 * The forward and backward passes take an overlay (or NULL for the base alone) as an argument; room lora/ makes them.
 * Everything here is device memory that the overlay's maker owns.
 */
#ifndef ATTUNE_MODEL_OVERLAY_H
#define ATTUNE_MODEL_OVERLAY_H

#include "backend/backend.h"
#include <stdint.h>

/* The linear layers of a block, in the order of a forward pass. */
enum linear_kind { LINEAR_Q, LINEAR_K, LINEAR_V, LINEAR_O, LINEAR_GATE, LINEAR_UP, LINEAR_DOWN, LINEAR_KIND_COUNT };

/* "self_attn.q_proj", ... */
const char *linear_kind_path(enum linear_kind kind);

/* y += scale * drop(x) A^T B^T */
struct low_rank {
    struct weight *a;               /* [rank, inputs], or NULL: this layer has no low-rank term */
    struct weight *b;               /* [outputs, rank] */
    float *a_gradient, *b_gradient; /* as a and b, added to; or NULL while frozen */
    int32_t rank;
    float scale;
};

/* A full-size weight that replaces the base's. */
struct replacement {
    struct weight *weight; /* NULL: the base's own */
    float *gradient;       /* [rows, columns] added to, or NULL while frozen */
};

struct overlay {
    struct low_rank *linears; /* [layers * LINEAR_KIND_COUNT] */
    struct replacement embedding, head;
    int32_t max_rank;
    float dropout; /* of training passes; evaluation and generation never drop */
    uint64_t seed;
};

static inline struct low_rank *overlay_linear(const struct overlay *overlay, int32_t layer, enum linear_kind kind)
{
    return &overlay->linears[layer * LINEAR_KIND_COUNT + (int)kind];
}

#endif
