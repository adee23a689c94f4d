/* weights/inventory.c - see inventory.h. */
#include "weights/inventory.h"
#include "base/mem.h"
#include <stdio.h>
#include <string.h>

int inventory_add(struct inventory *inventory, const struct inventory_item *item, struct err *err)
{
    struct inventory_item *items =
        mem_grow(inventory->items, &inventory->capacity, (size_t)inventory->count + 1, sizeof *items, err);
    if (!items) {
        return -1;
    }
    inventory->items = items;
    inventory->items[inventory->count++] = *item;
    return 0;
}

void inventory_free(struct inventory *inventory)
{
    mem_free(inventory->items);
    *inventory = (struct inventory){0};
}

const struct inventory_item *inventory_find(const struct inventory *inventory, const char *name)
{
    for (int32_t i = 0; i < inventory->count; i++) {
        if (strcmp(inventory->items[i].name, name) == 0) {
            return &inventory->items[i];
        }
    }
    return NULL;
}

int64_t inventory_item_size(const struct inventory_item *item)
{
    return (int64_t)item->rows * (item->columns ? item->columns : 1);
}

static int check_item(const struct inventory_item *item, const struct safetensor *tensor, struct err *err)
{
    bool fits = item->columns ? tensor->rank == 2 && tensor->shape[0] == item->rows && tensor->shape[1] == item->columns
                              : tensor->rank == 1 && tensor->shape[0] == item->rows;
    if (fits) {
        return 0;
    }
    char want[48];
    if (item->columns) {
        snprintf(want, sizeof want, "[%d, %d]", item->rows, item->columns);
    } else {
        snprintf(want, sizeof want, "[%d]", item->rows);
    }
    return err_set(err,
                   "%s: tensor '%s' does not have the shape %s that config.json calls for; config and weights are of "
                   "different models",
                   tensor->file, item->name, want);
}

int inventory_check(const struct inventory *inventory, const struct safetensors *files, const char *folder,
                    struct err *err)
{
    for (int32_t i = 0; i < inventory->count; i++) {
        const struct inventory_item *item = &inventory->items[i];
        const struct safetensor *tensor = safetensors_find(files, item->name);
        if (!tensor && !item->optional) {
            return err_set(err,
                           "%s: the weights have no tensor '%s', which config.json calls for; the folder is "
                           "incomplete or of another architecture",
                           folder, item->name);
        }
        if (tensor && check_item(item, tensor, err) != 0) {
            return -1;
        }
    }
    return 0;
}
