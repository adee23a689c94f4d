/*
 * model/init.h - random weights for a config.json: where training from nothing begins.
 */
#ifndef ATTUNE_MODEL_INIT_H
#define ATTUNE_MODEL_INIT_H

#include "model/arch/config.h"

/*
 * Writes `folder`/model.safetensors for the config.json that is there: matrices normal with deviation `deviation`
 * (transformers' initializer_range; 0.02 is usual), norms one, biases zero, in f32. A folder that has weights already
 * is an error.
 */
int model_write_random(const char *folder, double deviation, uint64_t seed, struct err *err);

#endif
