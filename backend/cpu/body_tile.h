/*
 * backend/cpu/body_tile.h - the tiles of products in f32, and what goes before and after them: packing into strips, and
 * finishing the sums. Compiled once for each instruction set (simd.h).
 */
#ifndef ATTUNE_BACKEND_CPU_BODY_TILE_H
#define ATTUNE_BACKEND_CPU_BODY_TILE_H

#include "backend/cpu/body_strip.h"
#include "base/minmax.h"

ALL_STRIPS(f32, TILE_F32)
ALL_STRIPS(transposed, TILE_TRANSPOSED)
ALL_STRIPS(pairs, TILE_PAIRS)

static void tile_f32(const struct tile *tile)
{
    tile_run(tile, f32_strips);
}
static void tile_transposed(const struct tile *tile)
{
    tile_run(tile, transposed_strips);
}
static void tile_pairs(const struct tile *tile)
{
    tile_run(tile, pairs_strips);
}

static void tile_finish(const struct finish *finish)
{
    const vec scale = vec_set(finish->scale);
    for (int32_t row = 0; row < finish->rows; row++) {
        const float *sums = finish->sums + (size_t)row * finish->sums_stride;
        float *y = finish->y + (size_t)row * finish->y_stride;
        for (int32_t i = 0; i < finish->columns; i += VEC) {
            const int64_t left = finish->columns - i;
            vec sum = vec_load_left(sums + i, left);
            sum = finish->bias ? vec_add(sum, vec_load_left(finish->bias + i, left)) : sum;
            sum = vec_mul(sum, scale);
            sum = finish->accumulate ? vec_add(vec_load_left(y + i, left), sum) : sum;
            vec_store_left(y + i, sum, left);
        }
    }
}

/*
 * Rows are read as they lie in memory. Whole vectors are stored, and what is too much of one is overwritten by the next
 * row of the strip, or falls into the gap behind it: storing a part of a vector is slow on some CPUs.
 */
#define PACK_AHEAD 8 /* rows: they lie too far apart for the CPU to guess the next */

/* A vector of a row; what lies `ahead` rows below it is asked for. */
SIMD vec pack_load(const struct operand_rows *from, int32_t row, int32_t column, int32_t left, enum dtype dtype,
                   size_t ahead)
{
    const size_t size = dtype == DTYPE_BF16 ? sizeof(uint16_t) : sizeof(float);
    const size_t at = (size_t)row * from->stride + (size_t)column;
    ask_ahead((const unsigned char *)from->data + at * size, ahead * from->stride * size);
    return vec_load_of(from->data, (int64_t)at, dtype, left);
}

static void pack_strips(float *to, size_t strip_stride, const struct operand_rows *from, int32_t rows, int32_t count,
                        int32_t width)
{
    for (int32_t row = 0; row < rows; row++) {
        float *strip = to + (size_t)row * (size_t)width;
        for (int32_t column = 0; column < count; column += width) {
            const int32_t columns = min(count - column, width);
            for (int32_t i = 0; i < width; i += VEC) {
                const int32_t left = columns - i;
                vec_store(strip + i,
                          left > 0 ? pack_load(from, row, column + i, left, from->dtype, PACK_AHEAD) : vec_zero());
            }
            strip += strip_stride;
        }
    }
}

SIMD void pack_pairs_of(uint32_t *to, size_t strip_stride, const struct operand_rows *from, int32_t rows, int32_t count,
                        int32_t width, int32_t padded, enum dtype dtype)
{
    for (int32_t row = 0; row < padded; row += 2) {
        uint32_t *strip = to + (size_t)(row / 2) * (size_t)width;
        for (int32_t column = 0; column < count; column += width) {
            for (int32_t i = 0; i < width; i += VEC) {
                const int32_t at = column + i, left = count - at;
                vec even = vec_zero(), odd = vec_zero();
                if (left > 0 && row < rows) {
                    even = pack_load(from, row, at, left, dtype, PACK_AHEAD);
                }
                if (left > 0 && row + 1 < rows) {
                    odd = pack_load(from, row + 1, at, left, dtype, PACK_AHEAD);
                }
                ivec_store(strip + i, ivec_pairs(even, odd));
            }
            strip += strip_stride;
        }
    }
}

/* pack_strips() for TILE_BF16: words of two rows each, [strip][padded / 2][width], width a multiple of VEC. */
static void pack_pairs(uint32_t *to, size_t strip_stride, const struct operand_rows *from, int32_t rows, int32_t count,
                       int32_t width, int32_t padded)
{
    if (from->dtype == DTYPE_BF16) {
        pack_pairs_of(to, strip_stride, from, rows, count, width, padded, DTYPE_BF16);
    } else {
        pack_pairs_of(to, strip_stride, from, rows, count, width, padded, DTYPE_F32);
    }
}

/*
 * A square of VEC rows and columns of `from`, turned; what is beyond `rows` and `columns` reads as zero. The rows below
 * it are asked for: keys of a cache come from memory, so far apart that the CPU does not guess them.
 */
SIMD void load_turned(vec square[VEC], const float *from, size_t stride, int64_t rows, int64_t columns)
{
    for (int i = 0; i < VEC; i++) {
        ask_ahead(from + (size_t)i * stride, VEC * stride * sizeof *from);
        square[i] = i < rows ? vec_load_left(from + (size_t)i * stride, columns) : vec_zero();
    }
    vec_transpose(square);
}

static void panel_of_rows(float *panel, const float *from, size_t stride, int32_t rows, int32_t inner)
{
    for (int32_t row = 0; row < PANEL; row += VEC) {
        for (int32_t i = 0; i < inner; i += VEC) {
            vec square[VEC];
            load_turned(square, from + (size_t)row * stride + i, stride, rows - row, inner - i);
            for (int32_t j = 0; j < VEC && j < inner - i; j++) {
                vec_store(panel + (size_t)(i + j) * PANEL + row, square[j]);
            }
        }
    }
}

static void panel_of_row_pairs(uint32_t *panel, const float *from, size_t stride, int32_t rows, int32_t inner,
                               int32_t padded)
{
    for (int32_t row = 0; row < PANEL; row += VEC) {
        for (int32_t i = 0; i < padded; i += VEC) {
            vec square[VEC];
            if (i < inner) {
                load_turned(square, from + (size_t)row * stride + i, stride, rows - row, inner - i);
            } else {
                memset(square, 0, sizeof square);
            }
            for (int32_t j = 0; j < VEC; j += 2) {
                ivec_store(panel + (size_t)((i + j) / 2) * PANEL + row, ivec_pairs(square[j], square[j + 1]));
            }
        }
    }
}

SIMD void pack_turned_of(uint32_t *to, const struct operand_rows *from, int32_t rows, int32_t count, int32_t padded,
                         enum dtype dtype)
{
    for (int32_t row = 0; row < padded; row += 2 * VEC) {
        for (int32_t column = 0; column < count; column += VEC) {
            const int32_t left = count - column;
            vec words[VEC];
            for (int i = 0; i < VEC; i++) {
                const int32_t at = row + 2 * i;
                const vec even = at < rows ? pack_load(from, at, column, left, dtype, 2 * VEC) : vec_zero();
                const vec odd = at + 1 < rows ? pack_load(from, at + 1, column, left, dtype, 2 * VEC) : vec_zero();
                words[i] = vec_bits(ivec_pairs(even, odd));
            }
            vec_transpose(words);
            for (int i = 0; i < VEC; i++) {
                ivec_store(to + (size_t)(column + i) * (size_t)(padded / 2) + row / 2, ivec_bits(words[i]));
            }
        }
    }
}

/* The transpose in bf16, [count][padded]: each column becomes a row, filled up with zeros, as are missing columns. */
static void pack_turned(uint32_t *to, const struct operand_rows *from, int32_t rows, int32_t count, int32_t padded)
{
    if (from->dtype == DTYPE_BF16) {
        pack_turned_of(to, from, rows, count, padded, DTYPE_BF16);
    } else {
        pack_turned_of(to, from, rows, count, padded, DTYPE_F32);
    }
}

#endif
