/*
 * train/optimizer.h - AdamW over a list of parameters, with clipping by the global norm.
 *
 * Matrices decay, vectors (norms, biases) do not. The moments live in device memory that is planned with the rest.
 */
#ifndef ATTUNE_TRAIN_OPTIMIZER_H
#define ATTUNE_TRAIN_OPTIMIZER_H

#include "model/memory.h"
#include "model/parameter.h"
#include "recipe/recipe.h"

struct optimizer_options {
    double beta1, beta2, epsilon, weight_decay;
    double max_grad_norm; /* 0: no clipping */
};
/* As the recipe's keys of these names say. */
struct optimizer_options optimizer_options_of(const struct recipe *recipe);

struct optimizer {
    struct backend *backend;
    const struct parameter_list *parameters; /* borrowed */
    struct optimizer_options options;
    struct regions regions;
    float *m, *v;                 /* device arenas, laid out as the masters and gradients of the parameters */
    struct arena_tensor *tensors; /* device, [parameters] */
    double *sum_squares;          /* device, [1], of the gradients */
    int64_t steps;                /* updates made */
};

/* Adds what optimizer_create() will take; of the list its sizes are read, which planning its memory has set. */
void optimizer_plan(const struct parameter_list *parameters, struct memory_plan *plan);
int optimizer_create(struct optimizer **out, struct backend *backend, const struct parameter_list *parameters,
                     const struct optimizer_options *options, struct err *err);
void optimizer_free(struct optimizer *optimizer);

/* Gradients to zero, before the first micro-batch of a step. */
void optimizer_clear_gradients(struct optimizer *optimizer);

/*
 * One update with learning rate `rate`; *grad_norm is the norm before clipping. When it is not finite nothing is
 * changed and *applied is false.
 */
int optimizer_step(struct optimizer *optimizer, double rate, double *grad_norm, bool *applied, struct err *err);

/* The moments and the count of updates, as safetensors: <name>.exp_avg, <name>.exp_avg_sq. */
int optimizer_save(const struct optimizer *optimizer, const char *path, struct err *err);
int optimizer_load(struct optimizer *optimizer, const char *path, struct err *err);

#endif
