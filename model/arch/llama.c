/* model/arch/llama.c - Llama 2 and 3, SmolLM2, TinyLlama and their kin. */
#include "model/arch/internal.h"

static const char *const model_types[] = {"llama", NULL};

const struct architecture architecture_llama = {
    .model_types = model_types,
    .blocks = "model.layers",
    .linears = {[LINEAR_Q] = "self_attn.q_proj",
                [LINEAR_K] = "self_attn.k_proj",
                [LINEAR_V] = "self_attn.v_proj",
                [LINEAR_O] = "self_attn.o_proj",
                [LINEAR_GATE] = "mlp.gate_proj",
                [LINEAR_UP] = "mlp.up_proj",
                [LINEAR_DOWN] = "mlp.down_proj"},
};
