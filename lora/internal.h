/*
 * lora/internal.h - what the files of this room share: an adapter while it is being described.
 *
 *     adapter.c    from options; memory, values and overlay
 *     peft.c       from PEFT's files, and back into them
 *     merge.c      into the weights of its base
 */
#ifndef ATTUNE_LORA_INTERNAL_H
#define ATTUNE_LORA_INTERNAL_H

#include "lora/adapter.h"
#include "lora/peft.h"

/* An adapter of `model` without targets. */
int adapter_new(struct adapter **out, struct model *model, struct err *err);
/* Puts it on the linear layer of that index; fails where the rank does not fit the layer. */
int adapter_add_target(struct adapter *adapter, int32_t linear, int32_t rank, double alpha, struct err *err);
/* Path of a module outside of the layers: "lm_head". */
const char *adapter_module(const struct adapter *adapter, enum tensor_role role);
/* As PEFT matches target_modules: the path itself, or its end after a dot. */
bool adapter_name_matches(const char *path, const char *name);

#endif
