/* model/parameter.c - see parameter.h. */
#include "model/parameter.h"
#include "base/mem.h"
#include "base/minmax.h"

/* Arenas begin at 64 bytes, and so does each tensor in them. */
#define PLACE_STEP ((int64_t)(64 / sizeof(float)))

static void take_arenas(struct parameter_list *list, struct regions *regions, enum memory_kind kind, bool trained)
{
    const size_t size = (size_t)list->size;
    list->masters = regions_take_floats(regions, kind, size);
    list->gradients = trained ? regions_take_floats(regions, MEMORY_GRADIENTS, size) : NULL;
}

/* The pass that builds fills tensors as it places them, so it takes the arenas first; the one before has counted. */
void parameters_begin(struct parameter_list *list, struct regions *regions, enum memory_kind kind, bool trained)
{
    if (!regions->counting) {
        take_arenas(list, regions, kind, trained);
    }
    list->count = 0;
    list->size = 0;
}

int64_t parameters_place(struct parameter_list *list, int64_t count)
{
    int64_t offset = list->size;
    list->size += (count + PLACE_STEP - 1) / PLACE_STEP * PLACE_STEP;
    list->count++;
    return offset;
}

void parameters_end(struct parameter_list *list, struct regions *regions, enum memory_kind kind, bool trained)
{
    if (regions->counting) {
        take_arenas(list, regions, kind, trained);
    }
}

int parameter_upload(struct backend *backend, float *device, const struct safetensor *tensor, struct err *err)
{
    int64_t piece = min(tensor->count, SAFETENSOR_PIECE);
    float *values = mem_alloc((size_t)piece, sizeof *values, err);
    if (!values) {
        return -1;
    }
    for (int64_t first = 0; first < tensor->count; first += piece) {
        int64_t left = tensor->count - first, count = min(left, piece);
        safetensor_read(values, tensor, first, count);
        backend->upload(backend, device + first, values, (size_t)count * sizeof *values);
    }
    mem_free(values);
    return 0;
}

int parameter_read(struct backend *backend, const struct safetensors *files, const char *path, const char *name,
                   float *device, int64_t count, struct err *err)
{
    const struct safetensor *tensor = safetensors_find(files, name);
    if (!tensor || tensor->count != count) {
        return err_set(err, "%s: tensor '%s' is missing or of another size; the file belongs to another run", path,
                       name);
    }
    return parameter_upload(backend, device, tensor, err);
}

int parameters_load(const struct parameter_list *parameters, struct backend *backend, const char *path, struct err *err)
{
    struct safetensors *files;
    if (safetensors_open(&files, path, err) != 0) {
        return -1;
    }
    int result = 0;
    for (int32_t i = 0; result == 0 && i < parameters->count; i++) {
        const struct parameter *parameter = &parameters->items[i];
        result =
            parameter_read(backend, files, path, parameter->name, parameter->master, parameter_size(parameter), err);
        if (result == 0 && parameter->weight) {
            backend->weight_update(backend, &(struct weight_update_args){parameter->weight, parameter->master});
        }
    }
    safetensors_close(files);
    return result == 0 ? backend->synchronize(backend, err) : -1;
}
