/* model/init.c - see init.h. */
#include "model/init.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "model/arch/tensors.h"

/* How a tensor is drawn. */
struct tensor_draw {
    const struct inventory_item *item;
    double deviation;
    uint64_t seed, number;
};

static int fill(void *context, float *out, int64_t first, int64_t count, struct err *err)
{
    (void)err;
    const struct tensor_draw *draw = context;
    const float constant = draw->item->role == TENSOR_LINEAR_BIAS ? 0 : 1;
    for (int64_t i = 0; i < count; i++) {
        out[i] =
            draw->item->columns
                ? (float)(draw->deviation * random_normal(draw->seed, RANDOM_INIT, draw->number, (uint64_t)(first + i)))
                : constant;
    }
    return 0;
}

static int write_all(const char *path, const struct inventory *inventory, double deviation, uint64_t seed,
                     struct err *err)
{
    struct safetensor_spec *specs = mem_alloc((size_t)inventory->count, sizeof *specs, err);
    struct tensor_draw *draws = mem_alloc((size_t)inventory->count, sizeof *draws, err);
    int32_t count = 0;
    for (int32_t i = 0; specs && draws && i < inventory->count; i++) {
        const struct inventory_item *item = &inventory->items[i];
        if (item->role == TENSOR_SCORE) {
            continue; /* a language model */
        }
        draws[count] = (struct tensor_draw){item, deviation, seed, (uint64_t)i};
        specs[count] = (struct safetensor_spec){.name = item->name,
                                                .dtype = DTYPE_F32,
                                                .rank = item->columns ? 2 : 1,
                                                .shape = {item->rows, item->columns},
                                                .read = fill,
                                                .context = &draws[count]};
        count++;
    }
    int result = specs && draws ? safetensors_write(path, specs, count, NULL, err) : -1;
    mem_free(specs);
    mem_free(draws);
    return result;
}

int model_write_random(const char *folder, double deviation, uint64_t seed, struct err *err)
{
    struct model_config config;
    struct inventory inventory = {0};
    if (model_config_read(&config, folder, err) != 0) {
        return -1;
    }
    char *path = file_join(folder, "model.safetensors", err);
    if (!path) {
        return -1;
    }
    int result =
        file_exists(path)
            ? err_set(err, "%s is already there; random weights would replace it, so remove it first if that is meant",
                      path)
            : architecture_inventory(&inventory, &config, err);
    if (result == 0) {
        result = write_all(path, &inventory, deviation, seed, err);
    }
    inventory_free(&inventory);
    mem_free(path);
    return result;
}
