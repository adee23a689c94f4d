/* backend/cpu/kernels_avx512bf16.c - the tile of products in bf16 by VDPBF16PS, which adds a pair of products a step.
 */
#include "backend/cpu/body_strip.h"

ALL_STRIPS(bf16, TILE_BF16)

void cpu_tile_avx512bf16(const struct tile *tile)
{
    tile_run(tile, bf16_strips);
}
