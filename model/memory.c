/* model/memory.c - see memory.h. */
#include "model/memory.h"
#include <assert.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

const char *memory_kind_name(enum memory_kind kind)
{
    static const char *const names[MEMORY_KIND_COUNT] = {"weights",         "prepared weights", "adapters", "gradients",
                                                         "optimizer state", "activations",      "KV cache", "scratch",
                                                         "host arrays",     "examples",         "program"};
    return names[kind];
}

void memory_plan_add(struct memory_plan *sum, const struct memory_plan *part)
{
    for (int i = 0; i < MEMORY_KIND_COUNT; i++) {
        sum->bytes[i] += part->bytes[i];
    }
    sum->prepared_backward += part->prepared_backward;
    assert(part->bytes[MEMORY_SCRATCH] == 0); /* which is shared: memory_plan_add_scratch() */
}

void memory_plan_add_scratch(struct memory_plan *plan, struct backend *backend, const struct backend_limits *limits)
{
    backend_limits_widen(&plan->limits, limits);
    plan->bytes[MEMORY_SCRATCH] = backend->scratch_size(backend, &plan->limits);
}

/* The number of KiB behind `name` in a file of /proc, in bytes. */
static bool proc_bytes(size_t *bytes, const char *path, const char *name)
{
    FILE *file = fopen(path, "r");
    char line[256];
    size_t length = strlen(name);
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        found = strncmp(line, name, length) == 0;
        if (found) {
            *bytes = (size_t)strtoull(line + length, NULL, 10) << 10;
        }
    }
    if (file) {
        fclose(file);
    }
    return found;
}

/* What this process holds now. smaps_rollup counts pages; the sums of status are kept by the kernel for each CPU, and
 * lag behind. */
static size_t memory_held(void)
{
    size_t bytes = 0;
    if (!proc_bytes(&bytes, "/proc/self/smaps_rollup", "Rss:")) {
        proc_bytes(&bytes, "/proc/self/status", "VmRSS:");
    }
    return bytes;
}

void memory_plan_add_held(struct memory_plan *plan, size_t examples)
{
#ifdef __GLIBC__
    malloc_trim(0); /* what reading the examples left behind goes back to the system */
#endif
    size_t held = memory_held();
    plan->bytes[MEMORY_DATA] += examples;
    plan->bytes[MEMORY_PROGRAM] = held > examples ? held - examples : 0;
}

size_t memory_plan_held(const struct memory_plan *plan)
{
    return plan->bytes[MEMORY_DATA] + plan->bytes[MEMORY_PROGRAM];
}

size_t memory_plan_total(const struct memory_plan *plan)
{
    size_t total = 0;
    for (int i = 0; i < MEMORY_KIND_COUNT; i++) {
        total += plan->bytes[i];
    }
    return total;
}

size_t memory_peak(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss << 10 : 0;
}

void regions_begin(struct regions *regions, struct backend *backend)
{
    *regions = (struct regions){.backend = backend, .counting = true};
}

void *regions_take(struct regions *regions, enum memory_kind kind, size_t bytes)
{
    size_t start = regions->used[kind];
    size_t rounded = (bytes + 63) & ~(size_t)63;
    assert(rounded >= bytes && start + rounded >= start);
    regions->used[kind] = start + rounded;
    if (regions->counting) {
        regions->plan.bytes[kind] = start + rounded;
        return NULL;
    }
    assert(regions->used[kind] <= regions->plan.bytes[kind]);
    return bytes ? regions->memory[kind] + start : NULL;
}

float *regions_take_floats(struct regions *regions, enum memory_kind kind, size_t count)
{
    return regions_take(regions, kind, count * sizeof(float));
}

int regions_alloc(struct regions *regions, struct err *err)
{
    assert(regions->counting);
    for (int i = 0; i < MEMORY_KIND_COUNT; i++) {
        void *memory = NULL;
        if (regions->plan.bytes[i] &&
            regions->backend->alloc(regions->backend, &memory, regions->plan.bytes[i], err) != 0) {
            err_prefix(err, "%s", memory_kind_name((enum memory_kind)i));
            regions_free(regions);
            return -1;
        }
        regions->memory[i] = memory;
        regions->used[i] = 0;
    }
    regions->counting = false;
    return 0;
}

void regions_free(struct regions *regions)
{
    for (int i = 0; i < MEMORY_KIND_COUNT; i++) {
        if (regions->memory[i]) {
            regions->backend->release(regions->backend, regions->memory[i]);
        }
        regions->memory[i] = NULL;
    }
}
