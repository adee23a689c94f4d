/*
 * model/parameter.h - a trained tensor, as the optimizer, the checkpoint and the export see it.
 */
#ifndef ATTUNE_MODEL_PARAMETER_H
#define ATTUNE_MODEL_PARAMETER_H

#include "backend/backend.h"
#include "model/memory.h"
#include "weights/inventory.h"
#include <stdbool.h>
#include <stdint.h>

struct parameter {
    char *name;            /* as in the file it is saved to: "model.layers.0.mlp.up_proj.weight" */
    enum tensor_role role; /* A and B of a low-rank term too have that of their linear layer's weight */
    int32_t rows, columns; /* a vector has rows == 1 and is_vector */
    bool is_vector;        /* norms and biases: no weight decay */
    int64_t offset;        /* of master and gradient in the list's arenas, in elements */
    float *master;         /* device, f32 [rows, columns] */
    float *gradient;       /* device, f32 [rows, columns]; NULL where nothing is trained */
    struct weight
        *weight; /* the prepared form to be made anew after a step, or NULL where operations read the master */
};

/*
 * Masters lie in one arena and gradients in another, in the order of the list, so that one operation does what is done
 * to all of them. What lies between tensors is zero.
 */
struct parameter_list {
    struct parameter *items;
    int32_t count;              /* known, as size is, when the memory is planned */
    int64_t size;               /* of an arena, in elements, with what lies between tensors */
    float *masters, *gradients; /* device, f32 [size] */
};

static inline int64_t parameter_size(const struct parameter *parameter)
{
    return (int64_t)parameter->rows * parameter->columns;
}

/*
 * Laying out the arenas, in both passes over the memory (model/memory.h): begin, place each tensor of `count` elements,
 * which gives its offset, and end. Masters come from memory of `kind`; gradients are there where `trained`.
 */
void parameters_begin(struct parameter_list *list, struct regions *regions, enum memory_kind kind, bool trained);
int64_t parameters_place(struct parameter_list *list, int64_t count);
void parameters_end(struct parameter_list *list, struct regions *regions, enum memory_kind kind, bool trained);

/* Puts a tensor of an open file into `device`, as f32. */
int parameter_upload(struct backend *backend, float *device, const struct safetensor *tensor, struct err *err);
/* The same with the tensor `name`, which must have `count` elements. `path` is for messages. */
int parameter_read(struct backend *backend, const struct safetensors *files, const char *path, const char *name,
                   float *device, int64_t count, struct err *err);
/* Puts the tensors of a file into the parameters' masters, by name; every parameter must be there with its size. */
int parameters_load(const struct parameter_list *parameters, struct backend *backend, const char *path,
                    struct err *err);

#endif
