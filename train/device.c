/* train/device.c - see device.h. */
#include "train/device.h"
#include "backend/cpu/cpu.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include <stdio.h>
#include <string.h>

int device_open(struct backend **out, const struct device_options *options, struct err *err)
{
    struct cpu_options cpu = {.compute = cpu_auto_dtype(), .threads = options->threads};
    if (strcmp(options->dtype, "f32") == 0) {
        cpu.compute = DTYPE_F32;
    } else if (strcmp(options->dtype, "bf16") == 0) {
        cpu.compute = DTYPE_BF16;
    } else if (strcmp(options->dtype, "auto") != 0) {
        return err_set(err, "dtype '%s' is unknown; take auto, f32 or bf16", options->dtype);
    }
    if (strcmp(options->device, "cuda") == 0) {
        return err_set(err, "this attune was built without CUDA; take device cpu or auto");
    }
    if (strcmp(options->device, "cpu") != 0 && strcmp(options->device, "auto") != 0) {
        return err_set(err, "device '%s' is unknown; take auto or cpu", options->device);
    }
    return cpu_backend_create(out, &cpu, err);
}

static double mib(size_t bytes)
{
    return (double)bytes / (1 << 20);
}

void memory_plan_print(const struct memory_plan *plan, struct backend *backend)
{
    log_info("memory plan");
    for (int i = 0; i < MEMORY_KIND_COUNT; i++) {
        char more[64] = "";
        if (i == MEMORY_PREPARED && plan->prepared_backward) {
            snprintf(more, sizeof more, ", %.1f of them for the backward pass", mib(plan->prepared_backward));
        }
        if (plan->bytes[i]) {
            log_info("  %-18s %9.1f MiB%s", memory_kind_name((enum memory_kind)i), mib(plan->bytes[i]), more);
        }
    }
    size_t available = backend->memory_free(backend);
    if (available == SIZE_MAX) {
        log_info("  %-18s %9.1f MiB", "total", mib(memory_plan_total(plan)));
    } else {
        log_info("  %-18s %9.1f MiB of the %.1f MiB that this process may have", "total", mib(memory_plan_total(plan)),
                 mib(available + memory_plan_held(plan)));
    }
}

int memory_plan_check(const struct memory_plan *plan, struct backend *backend, size_t limit, const char *advice,
                      struct err *err)
{
    size_t wanted = memory_plan_total(plan), most = limit;
    if (!limit) { /* what is held already is not free any more */
        wanted -= memory_plan_held(plan);
        most = backend->memory_free(backend);
    }
    if (wanted <= most) {
        return 0;
    }
    return err_set(err, "the run would take %.0f MiB of memory%s, but only %.0f MiB %s; %s", mib(wanted),
                   limit ? "" : " more", mib(most), limit ? "are allowed (max_memory_mib)" : "are free", advice);
}

int memory_plan_write(const struct memory_plan *plan, const char *folder, struct err *err)
{
    char *path = file_join(folder, "memory.json", err);
    struct strbuf text = {0};
    const char *between = "";
    if (!path) {
        return -1;
    }
    strbuf_puts(&text, "{\"plan\": {");
    for (int kind = 0; kind < MEMORY_KIND_COUNT; kind++) {
        if (plan->bytes[kind]) {
            strbuf_printf(&text, "%s\"%s\": %zu", between, memory_kind_name((enum memory_kind)kind), plan->bytes[kind]);
            between = ", ";
        }
    }
    strbuf_printf(&text, "}, \"prepared_backward\": %zu, \"total\": %zu}\n", plan->prepared_backward,
                  memory_plan_total(plan));
    int result = strbuf_check(&text, err);
    if (result == 0) {
        result = file_write_whole(path, text.data, text.length, err);
    }
    strbuf_free(&text);
    mem_free(path);
    return result;
}
