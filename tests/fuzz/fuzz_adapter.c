/*
 * Any bytes as a PEFT adapter of the tiny-llama fixture: adapter_config.json, a byte 0xFF, adapter_model.safetensors.
 * What opens must load, and be written and opened again as the same adapter.
 */
#include "backend/cpu/cpu.h"
#include "base/mem.h"
#include "fuzz/folder.h"
#include "lora/adapter.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITTEN "written"

struct base {
    struct backend *backend;
    struct model *model;
};

/* Opened once, at the first input. */
static const struct base *base_model(void)
{
    static struct base base;
    struct err err;
    if (!base.model) {
        folder_make(WRITTEN);
        if (cpu_backend_create(&base.backend, &(struct cpu_options){.compute = DTYPE_F32, .threads = 1}, &err) != 0 ||
            model_open(&base.model, ATTUNE_FIXTURES "/tiny-llama", &err) != 0 ||
            model_load(base.model, base.backend, &(struct model_options){.backward = true}, &err) != 0) {
            fprintf(stderr, "%s\n", err.text);
            abort();
        }
    }
    return &base;
}

static void check_adapter(const struct adapter *adapter)
{
    int64_t numbers = 0;
    assert(adapter->dropout >= 0 && adapter->dropout < 1);
    for (int32_t i = 0; i < adapter->target_count; i++) {
        const struct adapter_target *target = &adapter->targets[i];
        double scale = adapter_scale(adapter, target);
        assert(target->rank >= 1 && target->rank <= adapter->overlay.max_rank && scale > 0 && isfinite(scale));
    }
    for (int32_t i = 0; i < adapter->parameters.count; i++) {
        numbers += parameter_size(&adapter->parameters.items[i]);
    }
    assert(numbers == adapter_parameter_count(adapter));
}

/* Written by us, an adapter is one that we read, with the same layers and ranks. */
static void check_again(const struct base *base, const struct adapter *adapter)
{
    struct err err = {{0}};
    struct adapter *again;
    if (adapter_save(adapter, folder_path(WRITTEN), "tiny-llama", &err) != 0) {
        return;
    }
    int status = adapter_open(&again, base->model, folder_path(WRITTEN), &err);
    assert(status == 0 && again->target_count == adapter->target_count);
    assert(again->save_embedding == adapter->save_embedding && again->save_head == adapter->save_head);
    for (int32_t i = 0; i < again->target_count; i++) {
        assert(again->targets[i].rank == adapter->targets[i].rank &&
               again->targets[i].linear == adapter->targets[i].linear);
        assert(adapter_scale(again, &again->targets[i]) == adapter_scale(adapter, &adapter->targets[i]));
    }
    adapter_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {{0}};
    struct adapter *adapter;
    struct input_rest rest = {data, size}, config = input_part(&rest);
    const struct base *base = base_model();
    folder_write("adapter_config.json", config.bytes, config.size);
    folder_write("adapter_model.safetensors", rest.bytes, rest.size);
    if (adapter_open(&adapter, base->model, folder_path(NULL), &err) != 0) {
        assert(err.text[0] != '\0' && memchr(err.text, '\0', sizeof err.text));
        return 0;
    }
    if (adapter_load(adapter, base->backend, size % 2 == 0, &err) == 0) {
        check_adapter(adapter);
        check_again(base, adapter);
    }
    adapter_free(adapter);
    return 0;
}
