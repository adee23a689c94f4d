/* train/optimizer.c - see optimizer.h. */
#include "train/optimizer.h"
#include "base/mem.h"
#include "weights/safetensors.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_NAME_MAX 256
#define META_STEPS     "attune.updates"

struct optimizer_options optimizer_options_of(const struct recipe *recipe)
{
    return (struct optimizer_options){recipe->adam_beta1, recipe->adam_beta2, recipe->adam_epsilon,
                                      recipe->weight_decay, recipe->max_grad_norm};
}

static void take_all(struct optimizer *optimizer, struct regions *regions)
{
    const struct parameter_list *parameters = optimizer->parameters;
    optimizer->m = regions_take_floats(regions, MEMORY_OPTIMIZER, (size_t)parameters->size);
    optimizer->v = regions_take_floats(regions, MEMORY_OPTIMIZER, (size_t)parameters->size);
    optimizer->tensors =
        regions_take(regions, MEMORY_OPTIMIZER, (size_t)parameters->count * sizeof *optimizer->tensors);
    optimizer->sum_squares = regions_take(regions, MEMORY_OPTIMIZER, sizeof *optimizer->sum_squares);
}

void optimizer_plan(const struct parameter_list *parameters, struct memory_plan *plan)
{
    struct regions regions;
    regions_begin(&regions, NULL);
    take_all(&(struct optimizer){.parameters = parameters}, &regions);
    memory_plan_add(plan, &regions.plan);
}

static int upload_tensors(struct optimizer *optimizer, struct err *err)
{
    const struct parameter_list *parameters = optimizer->parameters;
    const size_t count = (size_t)parameters->count;
    struct arena_tensor *tensors = mem_alloc(count, sizeof *tensors, err);
    if (!tensors) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const struct parameter *parameter = &parameters->items[i];
        tensors[i].offset = parameter->offset;
        tensors[i].count = parameter_size(parameter);
        tensors[i].decays = !parameter->is_vector;
    }
    optimizer->backend->upload(optimizer->backend, optimizer->tensors, tensors, count * sizeof *tensors);
    mem_free(tensors);
    return 0;
}

int optimizer_create(struct optimizer **out, struct backend *backend, const struct parameter_list *parameters,
                     const struct optimizer_options *options, struct err *err)
{
    struct optimizer *optimizer = mem_alloc(1, sizeof *optimizer, err);
    if (!optimizer) {
        return -1;
    }
    *optimizer = (struct optimizer){.backend = backend, .parameters = parameters, .options = *options};
    regions_begin(&optimizer->regions, backend);
    take_all(optimizer, &optimizer->regions);
    if (regions_alloc(&optimizer->regions, err) != 0) {
        goto fail;
    }
    take_all(optimizer, &optimizer->regions);
    if (upload_tensors(optimizer, err) != 0) {
        goto fail;
    }
    *out = optimizer;
    return 0;
fail:
    optimizer_free(optimizer);
    return -1;
}

void optimizer_free(struct optimizer *optimizer)
{
    if (!optimizer) {
        return;
    }
    regions_free(&optimizer->regions);
    mem_free(optimizer);
}

void optimizer_clear_gradients(struct optimizer *optimizer)
{
    const struct parameter_list *parameters = optimizer->parameters;
    optimizer->backend->fill(optimizer->backend,
                             &(struct fill_args){.x = parameters->gradients, .count = parameters->size});
}

static void update(const struct optimizer *optimizer, double rate)
{
    struct backend *backend = optimizer->backend;
    const struct parameter_list *parameters = optimizer->parameters;
    const struct optimizer_options *options = &optimizer->options;
    const double step = (double)(optimizer->steps + 1);
    backend->sum_squares(backend, &(struct sum_squares_args){.x = parameters->gradients,
                                                             .tensors = optimizer->tensors,
                                                             .out = optimizer->sum_squares,
                                                             .count = parameters->size,
                                                             .tensor_count = parameters->count});
    backend->adamw(backend, &(struct adamw_args){.master = parameters->masters,
                                                 .grad = parameters->gradients,
                                                 .m = optimizer->m,
                                                 .v = optimizer->v,
                                                 .tensors = optimizer->tensors,
                                                 .sum_squares = optimizer->sum_squares,
                                                 .count = parameters->size,
                                                 .lr = rate,
                                                 .beta1 = options->beta1,
                                                 .beta2 = options->beta2,
                                                 .epsilon = options->epsilon,
                                                 .decay = options->weight_decay,
                                                 .bias1 = 1 - pow(options->beta1, step),
                                                 .bias2 = 1 - pow(options->beta2, step),
                                                 .max_grad_norm = options->max_grad_norm,
                                                 .tensor_count = parameters->count});
    for (int32_t i = 0; i < parameters->count; i++) {
        const struct parameter *parameter = &parameters->items[i];
        if (parameter->weight) {
            backend->weight_update(backend, &(struct weight_update_args){parameter->weight, parameter->master});
        }
    }
}

/* The norm stays on the device until all of the step is queued. */
int optimizer_step(struct optimizer *optimizer, double rate, double *grad_norm, bool *applied, struct err *err)
{
    struct backend *backend = optimizer->backend;
    double sum;
    *applied = false;
    update(optimizer, rate);
    if (backend_download(backend, &sum, optimizer->sum_squares, sizeof sum, err) != 0) {
        return -1;
    }
    *grad_norm = sqrt(sum);
    if (isfinite(*grad_norm)) {
        optimizer->steps++;
        *applied = true;
    }
    return 0;
}

/* ---- files ---- */

struct state_reader {
    struct backend *backend;
    const float *device;
};

static int read_state(void *context, float *out, int64_t first, int64_t count, struct err *err)
{
    const struct state_reader *reader = context;
    return backend_download(reader->backend, out, reader->device + first, (size_t)count * sizeof *out, err);
}

static void state_name(char out[STATE_NAME_MAX], const struct parameter *parameter, bool second)
{
    snprintf(out, STATE_NAME_MAX, "%s.%s", parameter->name, second ? "exp_avg_sq" : "exp_avg");
}

int optimizer_save(const struct optimizer *optimizer, const char *path, struct err *err)
{
    int32_t count = 2 * optimizer->parameters->count;
    struct safetensor_spec *specs = mem_alloc((size_t)count, sizeof *specs, err);
    struct state_reader *readers = mem_alloc((size_t)count, sizeof *readers, err);
    char(*names)[STATE_NAME_MAX] = mem_alloc((size_t)count, sizeof *names, err);
    int result = specs && readers && names ? 0 : -1;
    for (int32_t i = 0; result == 0 && i < count; i++) {
        const struct parameter *parameter = &optimizer->parameters->items[i / 2];
        state_name(names[i], parameter, i % 2);
        readers[i] =
            (struct state_reader){optimizer->backend, (i % 2 ? optimizer->v : optimizer->m) + parameter->offset};
        specs[i] = (struct safetensor_spec){.name = names[i],
                                            .dtype = DTYPE_F32,
                                            .rank = 2,
                                            .shape = {parameter->rows, parameter->columns},
                                            .read = read_state,
                                            .context = &readers[i]};
    }
    if (result == 0) {
        char steps[24];
        snprintf(steps, sizeof steps, "%lld", (long long)optimizer->steps);
        result = safetensors_write(path, specs, count, (const char *const[]){META_STEPS, steps, NULL}, err);
    }
    mem_free(specs);
    mem_free(readers);
    mem_free(names);
    return result;
}

int optimizer_load(struct optimizer *optimizer, const char *path, struct err *err)
{
    struct safetensors *files;
    if (safetensors_open(&files, path, err) != 0) {
        return -1;
    }
    const char *steps = safetensors_metadata(files, META_STEPS);
    int result =
        steps ? 0
              : err_set(err, "%s: the count of updates (%s) is missing; the file is not an optimizer state of attune",
                        path, META_STEPS);
    for (int32_t i = 0; result == 0 && i < 2 * optimizer->parameters->count; i++) {
        const struct parameter *parameter = &optimizer->parameters->items[i / 2];
        char name[STATE_NAME_MAX];
        state_name(name, parameter, i % 2);
        result =
            parameter_read(optimizer->backend, files, path, name,
                           (i % 2 ? optimizer->v : optimizer->m) + parameter->offset, parameter_size(parameter), err);
    }
    if (result == 0) {
        optimizer->steps = strtoll(steps, NULL, 10);
    }
    safetensors_close(files);
    return result;
}
