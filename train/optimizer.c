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

void optimizer_plan(int64_t parameter_count, struct memory_plan *plan)
{
    plan->bytes[MEMORY_OPTIMIZER] += 2 * (size_t)parameter_count * sizeof(float);
}

static void take_all(struct optimizer *optimizer, struct regions *regions)
{
    for (int32_t i = 0; i < optimizer->parameters->count; i++) {
        size_t size = (size_t)parameter_size(&optimizer->parameters->items[i]);
        optimizer->m[i] = regions_take_floats(regions, MEMORY_OPTIMIZER, size);
        optimizer->v[i] = regions_take_floats(regions, MEMORY_OPTIMIZER, size);
    }
    optimizer->norm = regions_take(regions, MEMORY_OPTIMIZER, sizeof(double));
}

int optimizer_create(struct optimizer **out, struct backend *backend, const struct parameter_list *parameters,
                     const struct optimizer_options *options, struct err *err)
{
    struct optimizer *optimizer = mem_alloc(1, sizeof *optimizer, err);
    if (!optimizer)
        return -1;
    *optimizer = (struct optimizer){.backend = backend, .parameters = parameters, .options = *options};
    size_t count = (size_t)parameters->count;
    optimizer->m = mem_alloc(count, sizeof *optimizer->m, err);
    optimizer->v = mem_alloc(count, sizeof *optimizer->v, err);
    regions_begin(&optimizer->regions, backend);
    if (!optimizer->m || !optimizer->v)
        goto fail;
    take_all(optimizer, &optimizer->regions);
    if (regions_alloc(&optimizer->regions, err) != 0)
        goto fail;
    take_all(optimizer, &optimizer->regions);
    *out = optimizer;
    return 0;
fail:
    optimizer_free(optimizer);
    return -1;
}

void optimizer_free(struct optimizer *optimizer)
{
    if (!optimizer)
        return;
    regions_free(&optimizer->regions);
    mem_free(optimizer->m);
    mem_free(optimizer->v);
    mem_free(optimizer);
}

void optimizer_clear_gradients(struct optimizer *optimizer)
{
    for (int32_t i = 0; i < optimizer->parameters->count; i++) {
        const struct parameter *parameter = &optimizer->parameters->items[i];
        optimizer->backend->fill(optimizer->backend,
                                 &(struct fill_args){.x = parameter->gradient, .count = parameter_size(parameter)});
    }
}

static int gradient_norm(struct optimizer *optimizer, double *norm, struct err *err)
{
    struct backend *backend = optimizer->backend;
    double sum = 0;
    backend->upload(backend, optimizer->norm, &sum, sizeof sum);
    for (int32_t i = 0; i < optimizer->parameters->count; i++) {
        const struct parameter *parameter = &optimizer->parameters->items[i];
        backend->sum_squares(
            backend, &(struct sum_squares_args){parameter->gradient, optimizer->norm, parameter_size(parameter)});
    }
    if (backend_download(backend, &sum, optimizer->norm, sizeof sum, err) != 0)
        return -1;
    *norm = sqrt(sum);
    return 0;
}

int optimizer_step(struct optimizer *optimizer, double rate, double *grad_norm, bool *applied, struct err *err)
{
    struct backend *backend = optimizer->backend;
    const struct optimizer_options *options = &optimizer->options;
    *applied = false;
    if (gradient_norm(optimizer, grad_norm, err) != 0)
        return -1;
    if (!isfinite(*grad_norm))
        return 0;
    /* torch.nn.utils.clip_grad_norm_ */
    double clip = options->max_grad_norm > 0 ? options->max_grad_norm / (*grad_norm + 1e-6) : 1;
    double step = (double)++optimizer->steps;
    for (int32_t i = 0; i < optimizer->parameters->count; i++) {
        const struct parameter *parameter = &optimizer->parameters->items[i];
        backend->adamw(backend, &(struct adamw_args){
                                    .master = parameter->master,
                                    .grad = parameter->gradient,
                                    .m = optimizer->m[i],
                                    .v = optimizer->v[i],
                                    .count = parameter_size(parameter),
                                    .lr = rate,
                                    .beta1 = options->beta1,
                                    .beta2 = options->beta2,
                                    .epsilon = options->epsilon,
                                    .decay = parameter->is_vector ? 0 : options->weight_decay,
                                    .bias1 = 1 - pow(options->beta1, step),
                                    .bias2 = 1 - pow(options->beta2, step),
                                    .grad_scale = clip < 1 ? clip : 1,
                                });
        if (parameter->weight)
            backend->weight_update(backend, &(struct weight_update_args){parameter->weight, parameter->master});
    }
    *applied = true;
    return backend->synchronize(backend, err);
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
    int rc = specs && readers && names ? 0 : -1;
    for (int32_t i = 0; rc == 0 && i < count; i++) {
        const struct parameter *parameter = &optimizer->parameters->items[i / 2];
        state_name(names[i], parameter, i % 2);
        readers[i] = (struct state_reader){optimizer->backend, i % 2 ? optimizer->v[i / 2] : optimizer->m[i / 2]};
        specs[i] = (struct safetensor_spec){.name = names[i],
                                            .dtype = DTYPE_F32,
                                            .rank = 2,
                                            .shape = {parameter->rows, parameter->columns},
                                            .read = read_state,
                                            .context = &readers[i]};
    }
    if (rc == 0) {
        char steps[24];
        snprintf(steps, sizeof steps, "%lld", (long long)optimizer->steps);
        rc = safetensors_write(path, specs, count, (const char *const[]){META_STEPS, steps, NULL}, err);
    }
    mem_free(specs);
    mem_free(readers);
    mem_free(names);
    return rc;
}

int optimizer_load(struct optimizer *optimizer, const char *path, struct err *err)
{
    struct safetensors *files;
    if (safetensors_open(&files, path, err) != 0)
        return -1;
    const char *steps = safetensors_metadata(files, META_STEPS);
    int rc =
        steps ? 0
              : err_set(err, "%s: the count of updates (%s) is missing; the file is not an optimizer state of attune",
                        path, META_STEPS);
    for (int32_t i = 0; rc == 0 && i < 2 * optimizer->parameters->count; i++) {
        const struct parameter *parameter = &optimizer->parameters->items[i / 2];
        char name[STATE_NAME_MAX];
        state_name(name, parameter, i % 2);
        rc = parameter_read(optimizer->backend, files, path, name, i % 2 ? optimizer->v[i / 2] : optimizer->m[i / 2],
                            parameter_size(parameter), err);
    }
    if (rc == 0)
        optimizer->steps = strtoll(steps, NULL, 10);
    safetensors_close(files);
    return rc;
}
