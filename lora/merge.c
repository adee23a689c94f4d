/* lora/merge.c - see merge.h. */
#include "lora/merge.h"
#include "base/mem.h"
#include "lora/peft.h"
#include <string.h>

static float *download(const struct adapter *adapter, const struct parameter *parameter, struct err *err)
{
    size_t count = (size_t)parameter_size(parameter);
    float *values = mem_alloc(count, sizeof *values, err);
    if (values && backend_download(adapter->backend, values, parameter->master, count * sizeof *values, err) != 0) {
        mem_free(values);
        return NULL;
    }
    return values;
}

/* Elements first .. first + count - 1 of W [outputs, inputs] += scale * B A, each summed in double and rounded once. */
static void add_product(float *w, int64_t first, int64_t count, const float *a, const float *b, int32_t inputs,
                        int32_t rank, double scale)
{
    int64_t o = first / inputs, i = first % inputs;
    for (int64_t element = 0; element < count; element++) {
        double delta = 0;
        for (int64_t r = 0; r < rank; r++) {
            delta += (double)b[o * rank + r] * (double)a[r * inputs + i];
        }
        w[element] = (float)((double)w[element] + scale * delta);
        if (++i == inputs) {
            i = 0;
            o++;
        }
    }
}

static int merge_target(const struct adapter *adapter, const struct adapter_target *target, float *values,
                        int64_t first, int64_t count, struct err *err)
{
    const struct parameter *a = &adapter->parameters.items[target->parameter], *b = a + 1;
    float *a_values = download(adapter, a, err), *b_values = a_values ? download(adapter, b, err) : NULL;
    if (b_values) {
        add_product(values, first, count, a_values, b_values, a->columns, target->rank, adapter_scale(adapter, target));
    }
    int result = b_values ? 0 : -1;
    mem_free(a_values);
    mem_free(b_values);
    return result;
}

static int merge_tensor(void *context, const char *name, float *values, int64_t first, int64_t count, struct err *err)
{
    const struct adapter *adapter = context;
    const struct inventory_item *item = inventory_find(&adapter->model->tensors, name);
    for (int32_t i = 0; item && item->role == TENSOR_LINEAR && i < adapter->target_count; i++) {
        if (adapter->targets[i].linear == item->linear) {
            return merge_target(adapter, &adapter->targets[i], values, first, count, err);
        }
    }
    /* What was saved whole takes the place of the base's. */
    for (int32_t i = 2 * adapter->target_count; i < adapter->parameters.count; i++) {
        const struct parameter *parameter = &adapter->parameters.items[i];
        if (strcmp(parameter->name + strlen(PEFT_PREFIX), name) == 0) {
            return backend_download(adapter->backend, values, parameter->master + first, (size_t)count * sizeof *values,
                                    err);
        }
    }
    return 0;
}

int adapter_merge(const struct adapter *adapter, const char *to, const struct merge_options *options, struct err *err)
{
    const struct model_config *config = &adapter->model->config;
    /* With a tied base, a head or an embedding saved alone leaves the two different; the tied one stays one. */
    struct export_options export_options = {
        .keep_dtype = options->keep_dtype,
        .dtype = options->dtype,
        .untie =
            !adapter->save_score && config->tied && (adapter->save_head || (adapter->save_embedding && !adapter->tied)),
        .score = adapter->save_score ? &adapter->score : NULL,
        .chat_template = options->chat_template,
        .change = merge_tensor,
        .context = (void *)(uintptr_t)adapter,
    };
    return model_export(adapter->model, to, &export_options, err);
}
