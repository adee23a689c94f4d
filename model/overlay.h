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
    struct low_rank *linears; /* [linear_count] of the model, by the indices of its linears */
    struct replacement embedding, head;
    int32_t max_rank;
    float dropout; /* of training passes; evaluation and generation never drop */
    uint64_t seed;
};

#endif
