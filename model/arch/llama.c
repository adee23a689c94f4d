/* model/arch/llama.c - Llama 2 and 3, SmolLM2, TinyLlama and their kin. */
#include "model/arch/internal.h"

static const char *const model_types[] = {"llama", NULL};

const struct architecture architecture_llama = {
    .model_types = model_types,
    .layers = "model.layers",
    .modules = {[TENSOR_EMBEDDING] = "model.embed_tokens",
                [TENSOR_ATTENTION_NORM] = "input_layernorm",
                [TENSOR_MLP_NORM] = "post_attention_layernorm",
                [TENSOR_FINAL_NORM] = "model.norm",
                [TENSOR_HEAD] = "lm_head",
                [TENSOR_SCORE] = "score"},
    .linears = {[LINEAR_Q] = "self_attn.q_proj",
                [LINEAR_K] = "self_attn.k_proj",
                [LINEAR_V] = "self_attn.v_proj",
                [LINEAR_O] = "self_attn.o_proj",
                [LINEAR_GATE] = "mlp.gate_proj",
                [LINEAR_UP] = "mlp.up_proj",
                [LINEAR_DOWN] = "mlp.down_proj"},
};
