/* backend/backend.c - names and sizes that every backend shares. */
#include "backend/backend.h"

size_t dtype_size(enum dtype dtype)
{
    return dtype == DTYPE_F32 ? 4 : 2;
}

const char *dtype_name(enum dtype dtype)
{
    static const char *const names[] = {"f32", "bf16", "f16"};
    return names[dtype];
}

const struct weight_shape *weight_shape(const struct weight *weight)
{
    return (const struct weight_shape *)(const void *)weight;
}

const char *backend_operation_name(enum backend_operation operation)
{
    static const char *const names[] = {
#define X(name, args) #name,
        BACKEND_OPERATIONS(X)
#undef X
    };
    return names[operation];
}
