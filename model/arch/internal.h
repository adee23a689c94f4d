/* model/arch/internal.h - the families, as arch.c lists them. */
#ifndef ATTUNE_MODEL_ARCH_INTERNAL_H
#define ATTUNE_MODEL_ARCH_INTERNAL_H

#include "model/arch/arch.h"

extern const struct architecture architecture_llama;

#endif
