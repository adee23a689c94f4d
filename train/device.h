/*
 * train/device.h - the backend that dtype, device and threads of a recipe or a command line ask for.
 */
#ifndef ATTUNE_TRAIN_DEVICE_H
#define ATTUNE_TRAIN_DEVICE_H

#include "backend/backend.h"
#include "model/memory.h"

struct device_options {
    const char *dtype;  /* "auto", "f32", "bf16" */
    const char *device; /* "auto", "cpu", "cuda" */
    int threads;        /* 0: as many as this process may use */
};

/* Makes *out; free it with (*out)->free(*out). */
int device_open(struct backend **out, const struct device_options *options, struct err *err);

/* Prints the plan by kind, what the device has left, and the total. */
void memory_plan_print(const struct memory_plan *plan, struct backend *backend);
/*
 * Fails when the plan is larger than what may be taken (limit in bytes; 0: what the device has free). `advice` names
 * the recipe keys that would make it smaller.
 */
int memory_plan_check(const struct memory_plan *plan, struct backend *backend, size_t limit, const char *advice,
                      struct err *err);

/*
 * memory.json of a run's folder: {"plan": {"weights": bytes, ...}, "prepared_backward": bytes, "total": bytes}. The
 * total is the sum of the plan's kinds; prepared_backward is a part of one of them (model/memory.h).
 */
int memory_plan_write(const struct memory_plan *plan, const char *folder, struct err *err);

#endif
