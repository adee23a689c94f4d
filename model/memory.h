/*
 * model/memory.h - memory is planned, then taken once.
 *
 * Whatever takes device memory is laid out by a function that is run twice: over regions without memory, which only
 * count, and then over regions with memory. So the plan printed before the first step is the sum that is really taken.
 * With what the process holds by then (the program, its texts, the examples) and the larger arrays of the host it is
 * the most that the process will hold, to the end of the run; tests/commands/test_memory.c holds it to that.
 */
#ifndef ATTUNE_MODEL_MEMORY_H
#define ATTUNE_MODEL_MEMORY_H

#include "backend/backend.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

enum memory_kind {
    MEMORY_WEIGHTS,  /* f32 masters, norms and biases */
    MEMORY_PREPARED, /* weights in the form the products want */
    MEMORY_ADAPTERS,
    MEMORY_GRADIENTS,
    MEMORY_OPTIMIZER,
    MEMORY_ACTIVATIONS,
    MEMORY_CACHE,   /* keys and values of generation */
    MEMORY_SCRATCH, /* of the backend's operations */
    MEMORY_HOST, /* arrays of the host that grow with the model or the recipe: logits that are sampled from, answers */
    MEMORY_DATA, /* the tokenised examples; held when the plan is made */
    MEMORY_PROGRAM, /* what else is held then: the program, its libraries, the tokenizer */
    MEMORY_KIND_COUNT
};

/* "prepared weights", ... */
const char *memory_kind_name(enum memory_kind kind);

struct memory_plan {
    size_t bytes[MEMORY_KIND_COUNT];
    size_t prepared_backward;     /* of MEMORY_PREPARED: the second form of weights, which the backward pass reads */
    struct backend_limits limits; /* of the operations that share the scratch memory */
};
void memory_plan_add(struct memory_plan *sum, const struct memory_plan *part);
/* Operations within these limits will be called too. */
void memory_plan_add_scratch(struct memory_plan *plan, struct backend *backend, const struct backend_limits *limits);
/* Notes what the process holds now, `examples` bytes of it being examples. */
void memory_plan_add_held(struct memory_plan *plan, size_t examples);
size_t memory_plan_total(const struct memory_plan *plan);
/* What of it was held when the plan was made. */
size_t memory_plan_held(const struct memory_plan *plan);
/* The most that this process has held so far, in bytes. */
size_t memory_peak(void);

/* One block of each kind, carved from its start to its end. */
struct regions {
    struct backend *backend;
    char *memory[MEMORY_KIND_COUNT]; /* NULL while counting */
    size_t used[MEMORY_KIND_COUNT];
    struct memory_plan plan;
    bool counting;
};

/* Counts: regions_take() gives NULL until regions_alloc(). */
void regions_begin(struct regions *regions, struct backend *backend);
/* Takes what was counted from the backend and starts carving anew. */
int regions_alloc(struct regions *regions, struct err *err);
/* `bytes` of zeroed device memory, aligned to 64. */
void *regions_take(struct regions *regions, enum memory_kind kind, size_t bytes);
float *regions_take_floats(struct regions *regions, enum memory_kind kind, size_t count);
void regions_free(struct regions *regions);

#endif
