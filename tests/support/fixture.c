/* tests/support/fixture.c - see fixture.h. */
#include "support/cmocka.h"

#include "backend/cpu/cpu.h"
#include "base/mem.h"
#include "support/fixture.h"
#include "support/reference_backend.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *fixture_path(const char *name, const char *file)
{
    static char paths[4][1024];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s%s%s", ATTUNE_FIXTURES, name, file ? "/" : "", file ? file : "");
    return path;
}

struct backend *cpu_backend(enum dtype compute, int threads)
{
    struct err err;
    struct backend *backend;
    must(cpu_backend_create(&backend, &(struct cpu_options){.compute = compute, .threads = threads}, &err));
    return backend;
}

struct backend *fixture_backend(void)
{
    struct err err;
    struct backend *backend;
    const char *which = getenv("ATTUNE_TEST_BACKEND");
    if (!which || strcmp(which, "reference") != 0) {
        return cpu_backend(DTYPE_F32, 2);
    }
    must(reference_backend_create(&backend, DTYPE_F32, &err));
    return backend;
}

struct model *fixture_model(const char *name, struct backend *backend, bool trainable)
{
    struct err err;
    struct model *model;
    must(model_open(&model, fixture_path(name, NULL), &err));
    must(model_load(model, backend, &(struct model_options){.trainable = trainable, .backward = true}, &err));
    return model;
}

struct adapter *fixture_adapter(const char *name, struct model *model, bool trainable)
{
    struct err err;
    struct adapter *adapter;
    must(adapter_open(&adapter, model, fixture_path(name, NULL), &err));
    must(adapter_load(adapter, model->backend, trainable, &err));
    return adapter;
}

void fixture_batch(struct batch *batch, const json_t *sequences)
{
    struct err err;
    must(batch_create(batch, 4096, 256, 4096, &err));
    for (size_t s = 0; s < json_array_size(sequences); s++) {
        const json_t *ids = json_object_get(json_array_get(sequences, s), "ids");
        const json_t *mask = json_object_get(json_array_get(sequences, s), "mask");
        int32_t tokens[512];
        uint8_t trained[512];
        size_t count = json_array_size(ids);
        assert_in_range(count, 1, 512);
        for (size_t i = 0; i < count; i++) {
            tokens[i] = (int32_t)json_integer_value(json_array_get(ids, i));
            trained[i] = json_integer_value(json_array_get(mask, i)) != 0;
        }
        batch_append(batch, tokens, trained, (int32_t)count, -1, s << 32);
    }
}

double relative_difference(const float *a, const float *b, int64_t count, double floor)
{
    double difference = 0, norm = 0;
    for (int64_t i = 0; i < count; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    return sqrt(difference) / fmax(sqrt(norm), floor);
}

double largest_difference(const float *a, const float *b, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        double difference = fabs((double)a[i] - (double)b[i]);
        if (!(difference <= most)) { /* a NaN wins */
            most = difference;
        }
    }
    return most;
}

float *fetch(struct backend *backend, const float *device, int64_t count)
{
    struct err err;
    float *host = mem_alloc((size_t)count, sizeof *host, &err);
    assert_non_null(host);
    must(backend_download(backend, host, device, (size_t)count * sizeof *host, &err));
    return host;
}

static int copy_tensor(void *context, float *out, int64_t first, int64_t count, struct err *err)
{
    (void)err;
    safetensor_read(out, context, first, count);
    return 0;
}

struct safetensor_spec copied_tensor(const struct safetensor *tensor)
{
    struct safetensor_spec spec = {.name = tensor->name,
                                   .dtype = DTYPE_F32,
                                   .rank = tensor->rank,
                                   .read = copy_tensor,
                                   .context = (void *)(uintptr_t)tensor};
    memcpy(spec.shape, tensor->shape, sizeof spec.shape);
    return spec;
}

const struct parameter *find_parameter(const struct parameter_list *list, const char *name)
{
    for (int32_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, name) == 0) {
            return &list->items[i];
        }
    }
    fail_msg("there is no parameter '%s'", name);
    return NULL;
}
