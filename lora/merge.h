/*
 * lora/merge.h - base and adapter as one model: W + scale * B A, each element summed in double and rounded to f32 once.
 *
 * Written in the base's dtype unless another is asked for; in f32 the merged model gives what base + adapter give.
 */
#ifndef ATTUNE_LORA_MERGE_H
#define ATTUNE_LORA_MERGE_H

#include "lora/adapter.h"
#include "model/export.h"

struct merge_options {
    bool keep_dtype; /* of each of the base's tensors; else all in `dtype` */
    enum dtype dtype;
    const char *chat_template; /* the one it was trained with; NULL: the base's own */
};

/* Writes the merged model to the folder `to` (model/export.h); fails when a merged weight is not finite. The adapter is
 * loaded. With a score head it becomes a reward model. */
int adapter_merge(const struct adapter *adapter, const char *to, const struct merge_options *options, struct err *err);

#endif
