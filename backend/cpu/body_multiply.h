/*
 * backend/cpu/body_multiply.h - products inside attention: operands brought into the form of the arithmetic, f32 or
 * bf16.
 *
 * left [rows, inner] times right [inner, columns]. In f32 the left operand is rows in memory as they are, and so is a
 * right one whose inner dimension is rows (values weighed by their keys); one whose columns are rows (keys, in scores)
 * is turned. In bf16 all are rounded into scratch. Compiled once for each instruction set.
 */
#ifndef ATTUNE_BACKEND_CPU_BODY_MULTIPLY_H
#define ATTUNE_BACKEND_CPU_BODY_MULTIPLY_H

#include "backend/cpu/body_elements.h"
#include "backend/cpu/body_tile.h"

/* ---- scratch ---- */

/* Scratch that is left, handed out from the front. */
struct scratch {
    unsigned char *left, *end;
};
SIMD float *take(struct scratch *room, size_t floats)
{
    float *piece = (float *)(void *)room->left;
    room->left += scratch_align(floats * sizeof(float));
    assert(room->left <= room->end);
    return piece;
}

SIMD int32_t padded(int32_t count, int32_t multiple)
{
    return (count + multiple - 1) / multiple * multiple;
}

/* Copies `rows` rows of `columns` floats into rows of `to_stride`, the rest of each zero. */
static void copy_rows(float *to, size_t to_stride, const float *from, size_t from_stride, int64_t rows, int64_t columns)
{
    for (int64_t row = 0; row < rows; row++) {
        float *copy = to + (size_t)row * to_stride;
        const float *values = from + (size_t)row * from_stride;
        int64_t i = 0;
        for (; i + VEC <= columns; i += VEC) {
            vec_store(copy + i, vec_load(values + i));
        }
        for (; i < (int64_t)to_stride; i++) {
            copy[i] = i < columns ? values[i] : 0;
        }
    }
}

/* ---- operands ---- */

struct multiplier {
    const struct cpu_kernels *bf16; /* NULL: f32 */
    int32_t tile_rows;
};

struct left {
    const void *rows;
    size_t stride; /* elements */
};

struct right {
    const void *panels;
    size_t panel_stride, inner_stride; /* bytes, floats: as in struct tile */
};

static struct multiplier multiplier_of(const struct cpu_kernels *bf16)
{
    return (struct multiplier){.bf16 = bf16, .tile_rows = bf16 ? bf16->bf16_rows : TILE_ROWS};
}

SIMD void multiply(const struct multiplier *multiplier, const struct tile *tile)
{
    (multiplier->bf16 ? multiplier->bf16->bf16 : tile_f32)(tile);
}

SIMD const void *left_row(const struct multiplier *multiplier, struct left left, int32_t row)
{
    const size_t size = multiplier->bf16 ? sizeof(uint16_t) : sizeof(float);
    return (const unsigned char *)left.rows + (size_t)row * left.stride * size;
}

/* Row `row` of a left operand of `width` columns, a multiple of PANEL: the first `columns` from `from`, the rest zero.
 */
SIMD void set_left_row(const struct multiplier *multiplier, void *rows, int32_t width, int32_t row, const float *from,
                       int32_t columns)
{
    const size_t at = (size_t)row * (size_t)width;
    if (multiplier->bf16) {
        uint16_t *to = (uint16_t *)rows + at;
        const struct conversion convert = {.src = from, .dst = to};
        multiplier->bf16->bf16_operand(&convert, 0, columns);
        memset(to + columns, 0, (size_t)(width - columns) * sizeof *to);
    } else {
        copy_rows((float *)rows + at, (size_t)width, from, 0, 1, columns);
    }
}

/* A left operand whose rows are set: it gets those of zeros that tiles in bf16 read behind them. */
static struct left left_of(const struct multiplier *multiplier, void *rows, int32_t width, int32_t count)
{
    if (multiplier->bf16) {
        const size_t filled = (size_t)(padded(count, multiplier->bf16->bf16_multiple) - count);
        memset((uint16_t *)rows + (size_t)count * (size_t)width, 0, filled * (size_t)width * sizeof(uint16_t));
    }
    return (struct left){.rows = rows, .stride = (size_t)width};
}

/* The same rows as what the columns of a right operand are made of. */
static struct operand_rows rows_of_left(const struct multiplier *multiplier, struct left left)
{
    return (struct operand_rows){left.rows, left.stride, multiplier->bf16 ? DTYPE_BF16 : DTYPE_F32};
}

/* Room in bf16: rows up to a multiple of bf16_multiple, columns to one of PAIR_ALIGNMENT. */
static struct left left_rows(const struct multiplier *multiplier, void *room, const float *from, size_t stride,
                             int32_t rows, int32_t columns)
{
    if (!multiplier->bf16) {
        return (struct left){.rows = from, .stride = stride};
    }
    const int32_t width = padded(columns, PAIR_ALIGNMENT);
    for (int32_t row = 0; row < rows; row++) {
        set_left_row(multiplier, room, width, row, from + (size_t)row * stride, columns);
    }
    return left_of(multiplier, room, width, rows);
}

/* The right operand whose columns are the rows of `from`: [columns, inner]. Room: columns up to a multiple of PANEL. */
static struct right panels_of_rows(const struct multiplier *multiplier, void *room, const float *from, size_t stride,
                                   int32_t columns, int32_t inner)
{
    const int32_t filled = padded(inner, PAIR_ALIGNMENT);
    const size_t floats = (size_t)(multiplier->bf16 ? filled / 2 : inner) * PANEL;
    for (int32_t column = 0; column < columns; column += PANEL) {
        const float *rows = from + (size_t)column * stride;
        float *panel = (float *)room + (size_t)(column / PANEL) * floats;
        if (multiplier->bf16) {
            panel_of_row_pairs((uint32_t *)(void *)panel, rows, stride, columns - column, inner, filled);
        } else {
            panel_of_rows(panel, rows, stride, columns - column, inner);
        }
    }
    return (struct right){.panels = room, .panel_stride = floats * sizeof(float), .inner_stride = PANEL};
}

/* The right operand that `from` is: [inner, columns]. Room: columns up to a multiple of PANEL, and STRIP_GAP a panel.
 */
static struct right panels_of_columns(const struct multiplier *multiplier, void *room, const struct operand_rows *from,
                                      int32_t inner, int32_t columns)
{
    if (multiplier->bf16) {
        const int32_t filled = padded(inner, PAIR_ALIGNMENT);
        const size_t strip = (size_t)(filled / 2) * PANEL + STRIP_GAP;
        pack_pairs(room, strip, from, inner, columns, PANEL, filled);
        return (struct right){.panels = room, .panel_stride = strip * sizeof(uint32_t)};
    }
    if (columns % PANEL != 0) {
        const size_t width = (size_t)padded(columns, PANEL);
        copy_rows(room, width, from->data, from->stride, inner, columns);
        return (struct right){.panels = room, .panel_stride = PANEL * sizeof(float), .inner_stride = width};
    }
    return (struct right){.panels = from->data, .panel_stride = PANEL * sizeof(float), .inner_stride = from->stride};
}

#endif
