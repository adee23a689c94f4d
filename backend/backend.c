/* backend/backend.c - names and sizes that every backend shares. */
#include "backend/backend.h"
#include "base/minmax.h"

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

struct attention_extent attention_extent(const struct attention_span *spans, int32_t count)
{
    struct attention_extent extent = {0};
    for (int32_t i = 0; i < count; i++) {
        extent.rows = max(extent.rows, spans[i].query + spans[i].queries);
        extent.longest_queries = max(extent.longest_queries, spans[i].queries);
        extent.longest_keys = max(extent.longest_keys, spans[i].keys + spans[i].parent_keys);
    }
    return extent;
}

static void widen(int32_t *limit, int32_t more)
{
    *limit = max(*limit, more);
}

void backend_limits_widen(struct backend_limits *limits, const struct backend_limits *more)
{
    widen(&limits->rows, more->rows);
    widen(&limits->columns, more->columns);
    widen(&limits->vocabulary, more->vocabulary);
    widen(&limits->vocabulary_columns, more->vocabulary_columns);
    widen(&limits->spans, more->spans);
    widen(&limits->heads, more->heads);
    widen(&limits->kv_heads, more->kv_heads);
    widen(&limits->head_size, more->head_size);
}

int backend_download(struct backend *backend, void *host, const void *device, size_t size, struct err *err)
{
    backend->download_begin(backend, host, device, size);
    return backend->wait(backend, err);
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
