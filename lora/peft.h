/*
 * lora/peft.h - PEFT's two files of an adapter, and what adapter.c and peft.c share.
 *
 *     adapter_config.json          r, lora_alpha, lora_dropout, target_modules, use_rslora, rank_pattern,
 *                                  alpha_pattern, modules_to_save
 *     adapter_model.safetensors    base_model.model.<path>.lora_A.weight [r, in], .lora_B.weight [out, r],
 *                                  base_model.model.model.embed_tokens.weight and base_model.model.lm_head.weight
 *                                  where saved whole
 *
 * Ours carry in `__metadata__`: attune.base, the fingerprint of the base model, and attune.tied, "true" where the saved
 * embedding is the head too.
 *
 * It stands in a circle with adapter.h: an adapter is made from these files and written to them, and the two files of
 * code are one module that was cut for its length.
 */
#ifndef ATTUNE_LORA_PEFT_H
#define ATTUNE_LORA_PEFT_H

#include "lora/adapter.h"

#define PEFT_PREFIX   "base_model.model."
#define PEFT_NAME_MAX (MODULE_PATH_MAX + 48)

/* "base_model.model.<path>.<leaf>" */
void peft_tensor_name(char out[PEFT_NAME_MAX], const char *path, const char *leaf);

/* Path of a module outside of the layers: "lm_head". */
const char *adapter_module(const struct adapter *adapter, enum tensor_role role);
/* As PEFT matches target_modules: the path itself, or its end after a dot. */
bool adapter_name_matches(const char *path, const char *name);
int adapter_new(struct adapter **out, struct model *model, struct err *err);
int adapter_add_target(struct adapter *adapter, int32_t linear, int32_t rank, double alpha, struct err *err);
int adapter_save_module(struct adapter *adapter, const char *name, struct err *err);

#endif
