/*
 * tests/support/guarded_checks.h - what the guarded backend knows of memory and weights, and what each operation
 * touches.
 */
#ifndef ATTUNE_TESTS_SUPPORT_GUARDED_CHECKS_H
#define ATTUNE_TESTS_SUPPORT_GUARDED_CHECKS_H

#include "backend/backend.h"

/* One alloc(): guard page, red zone, data, red zone, guard page. */
struct guarded_block {
    char *region; /* all of it, as mapped */
    size_t region_size;
    char *data; /* what the caller has */
    size_t size;
};

/* One weight of the inner backend and the memory it stands on. */
struct guarded_weight {
    const struct weight *weight;
    const char *memory;
    size_t size;
};

struct guarded_book {
    struct guarded_block *blocks;
    size_t block_count, block_capacity;
    struct guarded_weight *weights;
    size_t weight_count, weight_capacity;
    struct backend_limits limits;
    enum dtype compute; /* of the inner backend */
    bool reserved;
};

/* What a field of layer `i` of a group is called: "y", "layers[1].y", "layers[2].y". */
#define LAYER_FIELD(i, field) (((const char *const[LINEAR_GROUP]){#field, "layers[1]." #field, "layers[2]." #field})[i])

/* Any arguments of an operation. */
union guarded_arguments {
#define X(name, args) struct args name;
    BACKEND_OPERATIONS(X)
#undef X
};

/* Prints "guarded backend: <operation>: <field> <sentence>" and aborts. */
_Noreturn void guarded_breach(const char *operation, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The block that holds all of [pointer, pointer + size), or NULL. */
const struct guarded_block *guarded_block_of(const struct guarded_book *book, const void *pointer, size_t size);

/* Whether any byte of [pointer, pointer + size) is device memory. */
bool guarded_touches(const struct guarded_book *book, const void *pointer, size_t size);

/* Aborts unless the memory is the device's, whole, and no weight's. */
void guarded_check_extent(const struct guarded_book *book, const char *operation, const char *field,
                          const void *pointer, size_t size);

/* Aborts on a breach. `running`: device memory can be read now, so what stands in it is checked too. */
void guarded_check(const struct guarded_book *book, enum backend_operation operation,
                   const union guarded_arguments *arguments, bool running);

#endif
