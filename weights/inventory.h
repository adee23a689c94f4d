/*
 * weights/inventory.h - the tensors that a model consists of: what each is for, its name in files, its shape.
 *
 * model/arch/tensors.c makes the list from config.json; checking, loading, random weights, export and adapters walk it.
 *
 * Errors:    0 or -1 with a sentence in *err.
 * Ownership: an inventory owns its items; free it with inventory_free().
 */
#ifndef ATTUNE_WEIGHTS_INVENTORY_H
#define ATTUNE_WEIGHTS_INVENTORY_H

#include "weights/safetensors.h"
#include <stdbool.h>

/* What a tensor is for. */
enum tensor_role {
    TENSOR_EMBEDDING,      /* [vocabulary, hidden] */
    TENSOR_ATTENTION_NORM, /* [hidden], before attention */
    TENSOR_MLP_NORM,       /* [hidden], before the MLP */
    TENSOR_LINEAR,         /* [outputs, inputs] of a linear layer */
    TENSOR_LINEAR_BIAS,    /* [outputs] */
    TENSOR_FINAL_NORM,     /* [hidden], before the head */
    TENSOR_HEAD,           /* [vocabulary, hidden] */
    TENSOR_SCORE,          /* [1, hidden], the head of a reward model */
    TENSOR_ROLE_COUNT,
};

#define TENSOR_NAME_MAX 112

struct inventory_item {
    enum tensor_role role;
    int32_t layer;         /* -1: outside of the layers */
    int32_t linear;        /* index of the linear layer that it belongs to; -1: none */
    int32_t rows, columns; /* columns 0: a vector of `rows` */
    bool optional;         /* files may lack it */
    char name[TENSOR_NAME_MAX];
};

struct inventory {
    struct inventory_item *items;
    int32_t count;
    size_t capacity;
};

int inventory_add(struct inventory *inventory, const struct inventory_item *item, struct err *err);
void inventory_free(struct inventory *inventory);
/* The item that files call `name`, or NULL. */
const struct inventory_item *inventory_find(const struct inventory *inventory, const char *name);
/* Elements of its tensor. */
int64_t inventory_item_size(const struct inventory_item *item);
/* Holds the files of a model to the list: every tensor that is not optional is there, and each has its shape. `folder`
 * is for messages. */
int inventory_check(const struct inventory *inventory, const struct safetensors *files, const char *folder,
                    struct err *err);

#endif
