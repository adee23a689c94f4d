/*
 * backend/cpu/kernels_body.h - the kernels of one instruction set and the table that names them. A file defines KERNELS
 * as the table's name and includes this once.
 */
#include "backend/cpu/body_attention_backward.h"
#include "backend/cpu/body_elements.h"
#include "backend/cpu/body_rows.h"
#include "backend/cpu/body_tile.h"

const struct cpu_kernels KERNELS = {
    .tile_rows = TILE_ROWS,
    .f32 = tile_f32,
    .pairs = tile_pairs,
    .transposed = tile_transposed,
    .bf16_operand = elements_to_bf16,
    .finish = tile_finish,
    .panel_of_rows = panel_of_rows,
    .panel_of_row_pairs = panel_of_row_pairs,
    .pack_strips = pack_strips,
    .pack_pairs = pack_pairs,
    .pack_turned = pack_turned,
    .gated = elements_gated,
    .gated_backward = elements_gated_backward,
    .fill = elements_fill,
    .adamw = elements_adamw,
    .to_bf16 = elements_to_bf16,
    .from_bf16 = elements_from_bf16,
    .round = elements_round,
    .norm = rows_norm,
    .norm_backward = rows_norm_backward,
    .score = rows_score,
    .score_backward = rows_score_backward,
    .rotation = rows_rotation,
    .rope = rows_rope,
    .logit_statistics = rows_logit_statistics,
    .logit_gradient = rows_logit_gradient,
    .norm_weight_backward = columns_norm_weight_backward,
    .score_weight_backward = columns_score_weight_backward,
    .embed_backward = columns_embed_backward,
    .scatter_add_rows = columns_scatter_add,
    .column_sums = columns_bias,
    .mask_rows = mask_rows,
    .sum_squares = sum_squares,
    .attention = attention_forward,
    .attention_backward = attention_backward,
};
