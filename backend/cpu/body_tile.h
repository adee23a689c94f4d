/*
 * backend/cpu/body_tile.h - the tiles of products in f32, and what goes before and after them: packing into strips, and
 * finishing the sums. Compiled once for each instruction set (simd.h).
 */
#ifndef ATTUNE_BACKEND_CPU_BODY_TILE_H
#define ATTUNE_BACKEND_CPU_BODY_TILE_H

#include "backend/cpu/body_strip.h"

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

static void pack_strips(float *to, size_t strip_stride, const float *from, size_t stride, int32_t rows, int32_t count,
                        int32_t width)
{
    for (int32_t row = 0; row < rows; row++) {
        const float *values = from + (size_t)row * stride;
        float *strip = to + (size_t)row * (size_t)width;
        for (int32_t column = 0; column < count; column += width) {
            const int32_t columns = count - column < width ? count - column : width;
            for (int32_t i = 0; i < width; i += VEC) {
                const int32_t left = columns - i;
                ask_ahead(values + column + i, PACK_AHEAD * stride * sizeof(float));
                vec_store(strip + i, left > 0 ? vec_load_left(values + column + i, left) : vec_zero());
            }
            strip += strip_stride;
        }
    }
}

/* pack_strips() for TILE_BF16: words of two rows each, [strip][padded / 2][width], width a multiple of VEC. */
static void pack_pairs(uint32_t *to, size_t strip_stride, const float *from, size_t stride, int32_t rows, int32_t count,
                       int32_t width, int32_t padded)
{
    for (int32_t row = 0; row < padded; row += 2) {
        const float *even = from + (size_t)row * stride, *odd = even + stride;
        uint32_t *strip = to + (size_t)(row / 2) * (size_t)width;
        for (int32_t column = 0; column < count; column += width) {
            for (int32_t i = 0; i < width; i += VEC) {
                const int32_t at = column + i, left = count - at;
                ask_ahead(even + at, PACK_AHEAD * stride * sizeof(float));
                ask_ahead(odd + at, PACK_AHEAD * stride * sizeof(float));
                const vec first = left > 0 && row < rows ? vec_load_left(even + at, left) : vec_zero();
                const vec second = left > 0 && row + 1 < rows ? vec_load_left(odd + at, left) : vec_zero();
                ivec_store(strip + i, ivec_pairs(first, second));
            }
            strip += strip_stride;
        }
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

/* The transpose in bf16, [count][padded]: each column becomes a row, filled up with zeros, as are missing columns. */
static void pack_turned(uint32_t *to, const float *from, size_t stride, int32_t rows, int32_t count, int32_t padded)
{
    for (int32_t row = 0; row < padded; row += 2 * VEC) {
        for (int32_t column = 0; column < count; column += VEC) {
            vec words[VEC];
            for (int i = 0; i < VEC; i++) {
                const int32_t even = row + 2 * i;
                const float *values = from + (size_t)even * stride + column;
                ask_ahead(values, 2 * VEC * stride * sizeof(float));
                ask_ahead(values + stride, 2 * VEC * stride * sizeof(float));
                vec first = even < rows ? vec_load_left(values, count - column) : vec_zero();
                vec second = even + 1 < rows ? vec_load_left(values + stride, count - column) : vec_zero();
                words[i] = vec_bits(ivec_pairs(first, second));
            }
            vec_transpose(words);
            for (int i = 0; i < VEC; i++) {
                ivec_store(to + (size_t)(column + i) * (size_t)(padded / 2) + row / 2, ivec_bits(words[i]));
            }
        }
    }
}

#endif
