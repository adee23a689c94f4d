/*
 * lora/peft.h - PEFT's two files of an adapter: what is in them and what their tensors are called.
 *
 *     adapter_config.json          r, lora_alpha, lora_dropout, target_modules, use_rslora, rank_pattern,
 *                                  alpha_pattern, modules_to_save
 *     adapter_model.safetensors    base_model.model.<path>.lora_A.weight [r, in] and .lora_B.weight [out, r];
 *                                  base_model.model.model.embed_tokens.weight and base_model.model.lm_head.weight
 *                                  where they are saved whole
 *
 * Ours carry in `__metadata__`: attune.base, the fingerprint of the base model, and attune.tied, "true" where the saved
 * embedding is the head too.
 */
#ifndef ATTUNE_LORA_PEFT_H
#define ATTUNE_LORA_PEFT_H

#include "model/model.h"

#define PEFT_PREFIX   "base_model.model."
#define PEFT_NAME_MAX (MODULE_PATH_MAX + 48)

/* "base_model.model.<path>.<leaf>" */
void peft_tensor_name(char out[PEFT_NAME_MAX], const char *path, const char *leaf);

#endif
