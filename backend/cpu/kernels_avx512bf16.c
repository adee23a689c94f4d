/*
 * backend/cpu/kernels_avx512bf16.c - products in bf16 by VDPBF16PS, which adds a pair of products a step, and their
 * operands.
 */
#include "backend/cpu/body_strip.h"

ALL_STRIPS(bf16, TILE_BF16)

void cpu_tile_avx512bf16(const struct tile *tile)
{
    tile_run(tile, bf16_strips);
}

#define PAIR_OF_VECTORS (2 * VEC)

/* A NaN stays one; a number too small to be normal becomes 0, which is what the tiles would take it for. */
void cpu_operand_avx512bf16(const void *arguments, int64_t first, int64_t end)
{
    const struct conversion *convert = arguments;
    const float *src = convert->src;
    uint16_t *dst = convert->dst;
    for (int64_t i = first; i < end; i += PAIR_OF_VECTORS) {
        const int64_t left = end - i;
        const __m512 low = vec_load_left(src + i, left);
        const __m512 high = left > VEC ? vec_load_left(src + i + VEC, left - VEC) : vec_zero();
        const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(high, low);
        if (left >= PAIR_OF_VECTORS) {
            _mm512_storeu_si512(dst + i, both);
        } else {
            _mm512_mask_storeu_epi16(dst + i, (__mmask32)((1u << left) - 1), both);
        }
    }
}
