/*
 * lora/merge.h - base and adapter as one model: W + scale * B A, each element summed in double and rounded to f32 once.
 *
 * Written in the base's dtype unless another is asked for; in f32 the merged model gives what base + adapter give.
 */
#ifndef ATTUNE_LORA_MERGE_H
#define ATTUNE_LORA_MERGE_H

#include "lora/adapter.h"
#include "model/export.h"

/* Writes the merged model to the folder `to` (model/export.h); fails when a merged weight is not finite. The adapter is
 * loaded. */
int adapter_merge(const struct adapter *adapter, const char *to, bool keep_dtype, enum dtype dtype, struct err *err);

#endif
