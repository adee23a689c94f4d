#ifndef ATTUNE_BACKEND_CPU_BODY_STRIP_H
#define ATTUNE_BACKEND_CPU_BODY_STRIP_H

/*
 * backend/cpu/body_strip.h - the innermost loops of products: a tile of rows x columns held in registers while the
 * inner dimension goes by. Compiled once for each instruction set (simd.h).
 *
 * A tile has up to TILE_ROWS rows and two vectors of columns, so many that the multiply-adds in flight hide their
 * latency. With one to four rows, several panels are taken side by side to the same end.
 */
#include "backend/cpu/internal.h"
#include "backend/cpu/simd.h"

#if VEC == 16
#define TILE_ROWS 12
#elif VEC == 8
#define TILE_ROWS 6
#else
#define TILE_ROWS 4
#endif

#define TILE_VECTORS      8 /* most vectors of columns side by side */
#define VECTORS_PER_PANEL (PANEL / VEC)
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* The kernels of struct cpu_kernels. In TILE_BF16 a "float" of x, as of the panels, is a pair of bf16. */
enum tile_kind { TILE_F32, TILE_TRANSPOSED, TILE_PAIRS, TILE_BF16 };

SIMD vec multiply_add(vec a, vec b, vec c, enum tile_kind kind)
{
#ifdef __AVX512BF16__
    if (kind == TILE_BF16) {
        return _mm512_dpbf16_ps(c, (__m512bh)ivec_bits(a), (__m512bh)ivec_bits(b));
    }
#endif
    (void)kind;
    return vec_fma(a, b, c);
}

/* acc += x * b for all rows of one inner step. x[i] points at row 3 i, so three rows are reached from one pointer. */
SIMD void tile_step(vec acc[TILE_ROWS][TILE_VECTORS], const float *const x[4], size_t stride, size_t offset,
                    const vec b[TILE_VECTORS], int rows, int vectors, enum tile_kind kind)
{
    UNROLL
    for (int row = 0; row < rows; row++) {
        vec value = vec_set(x[row / 3][(size_t)(row % 3) * stride + offset]);
        UNROLL
        for (int v = 0; v < vectors; v++) {
            acc[row][v] = multiply_add(value, b[v], acc[row][v], kind);
        }
    }
}

/* `column`: where the strip begins, counted from tile->panels. rows, vectors and kind are constants after inlining. */
SIMD void tile_strip(const struct tile *tile, int32_t column, int rows, int vectors, enum tile_kind kind)
{
    const size_t stride = kind == TILE_TRANSPOSED ? 1 : kind == TILE_BF16 ? tile->x_stride / 2 : tile->x_stride;
    const size_t step = kind == TILE_TRANSPOSED ? tile->x_stride : 1;
    const float *x[4];
    UNROLL
    for (int i = 0; i < 4; i++) {
        x[i] = (const float *)tile->x + (3 * i < rows ? (size_t)(3 * i) * stride : 0);
    }
    const size_t panel_floats = tile->panel_stride / sizeof(float);
    const float *b = (const float *)tile->panels + (size_t)(column / PANEL) * panel_floats + (size_t)(column % PANEL);
    float *sums = tile->sums + column;
    const unsigned char *ahead = tile->ahead;

    vec acc[TILE_ROWS][TILE_VECTORS];
    UNROLL
    for (int row = 0; row < rows; row++) {
        UNROLL
        for (int v = 0; v < vectors; v++) {
            acc[row][v] = tile->go_on ? vec_load(sums + (size_t)row * tile->sums_stride + v * VEC) : vec_zero();
        }
    }
    vec values[TILE_VECTORS];
    if (kind == TILE_PAIRS) {
        for (int32_t i = 0; i < tile->inner / 2; i++) {
            ivec pairs[TILE_VECTORS];
            UNROLL
            for (int v = 0; v < vectors; v++) {
                const float *p = b + (size_t)(v / VECTORS_PER_PANEL) * panel_floats + v % VECTORS_PER_PANEL * VEC;
                pairs[v] = ivec_bits(vec_load(p));
                values[v] = vec_even(pairs[v]);
            }
            tile_step(acc, x, stride, 0, values, rows, vectors, kind);
            UNROLL
            for (int v = 0; v < vectors; v++) {
                values[v] = vec_odd(pairs[v]);
            }
            tile_step(acc, x, stride, 1, values, rows, vectors, kind);
            UNROLL
            for (int j = 0; j < 4; j++) {
                x[j] += 2;
            }
            b += PANEL;
            __builtin_prefetch(ahead, 0, 2);
            ahead += tile->ahead_step;
        }
    }
    const int32_t inner = tile->inner;
    const int32_t left = kind == TILE_PAIRS ? inner % 2 : kind == TILE_BF16 ? (inner + 1) / 2 : inner;
    const size_t b_step = kind == TILE_PAIRS || kind == TILE_BF16 ? PANEL : tile->inner_stride;
    for (int32_t i = 0; i < left; i++) {
        UNROLL
        for (int v = 0; v < vectors; v++) {
            const float *p = b + (size_t)(v / VECTORS_PER_PANEL) * panel_floats + v % VECTORS_PER_PANEL * VEC;
            values[v] = kind == TILE_PAIRS ? vec_even(ivec_bits(vec_load(p))) : vec_load(p);
        }
        tile_step(acc, x, stride, 0, values, rows, vectors, kind);
        UNROLL
        for (int j = 0; j < 4; j++) {
            x[j] += step;
        }
        b += b_step;
        if (kind != TILE_TRANSPOSED) {
            __builtin_prefetch(ahead, 0, 2);
            ahead += tile->ahead_step;
        }
    }
    UNROLL
    for (int row = 0; row < rows; row++) {
        UNROLL
        for (int v = 0; v < vectors; v++) {
            vec_store(sums + (size_t)row * tile->sums_stride + v * VEC, acc[row][v]);
        }
    }
}

/* The strips: every number of rows with one and two vectors, and with four and eight where registers allow. */
typedef void strip_kernel(const struct tile *tile, int32_t column);

#define STRIP(name, kind, rows, vectors)                                                                               \
    static void name##_##rows##x##vectors(const struct tile *tile, int32_t column)                                     \
    {                                                                                                                  \
        tile_strip(tile, column, rows, vectors, kind);                                                                 \
    }
#define STRIPS_2(name, kind, rows) STRIP(name, kind, rows, 1) STRIP(name, kind, rows, 2)
#define STRIPS_4(name, kind, rows) STRIPS_2(name, kind, rows) STRIP(name, kind, rows, 4)
#define STRIPS_8(name, kind, rows) STRIPS_4(name, kind, rows) STRIP(name, kind, rows, 8)

struct strips {
    int widest;               /* index of the last */
    strip_kernel *kernels[4]; /* of 1, 2, 4, 8 vectors */
};
#define LIST_2(name, rows)                                                                                             \
    {                                                                                                                  \
        1,                                                                                                             \
        {                                                                                                              \
            name##_##rows##x1, name##_##rows##x2, 0, 0                                                                 \
        }                                                                                                              \
    }
#define LIST_4(name, rows)                                                                                             \
    {                                                                                                                  \
        2,                                                                                                             \
        {                                                                                                              \
            name##_##rows##x1, name##_##rows##x2, name##_##rows##x4, 0                                                 \
        }                                                                                                              \
    }
#define LIST_8(name, rows)                                                                                             \
    {                                                                                                                  \
        3,                                                                                                             \
        {                                                                                                              \
            name##_##rows##x1, name##_##rows##x2, name##_##rows##x4, name##_##rows##x8                                 \
        }                                                                                                              \
    }

#if VEC == 16
#define ALL_STRIPS(name, kind)                                                                                         \
    STRIPS_8(name, kind, 1)                                                                                            \
    STRIPS_8(name, kind, 2)                                                                                            \
    STRIPS_4(name, kind, 3)                                                                                            \
    STRIPS_4(name, kind, 4)                                                                                            \
    STRIPS_2(name, kind, 5)                                                                                            \
    STRIPS_2(name, kind, 6)                                                                                            \
    STRIPS_2(name, kind, 7)                                                                                            \
    STRIPS_2(name, kind, 8)                                                                                            \
    STRIPS_2(name, kind, 9)                                                                                            \
    STRIPS_2(name, kind, 10)                                                                                           \
    STRIPS_2(name, kind, 11)                                                                                           \
    STRIPS_2(name, kind, 12)                                                                                           \
    static const struct strips name##_strips[TILE_ROWS] = {                                                            \
        LIST_8(name, 1), LIST_8(name, 2), LIST_4(name, 3), LIST_4(name, 4),  LIST_2(name, 5),  LIST_2(name, 6),        \
        LIST_2(name, 7), LIST_2(name, 8), LIST_2(name, 9), LIST_2(name, 10), LIST_2(name, 11), LIST_2(name, 12)};
#elif VEC == 8
#define ALL_STRIPS(name, kind)                                                                                         \
    STRIPS_8(name, kind, 1)                                                                                            \
    STRIPS_4(name, kind, 2)                                                                                            \
    STRIPS_2(name, kind, 3)                                                                                            \
    STRIPS_2(name, kind, 4)                                                                                            \
    STRIPS_2(name, kind, 5)                                                                                            \
    STRIPS_2(name, kind, 6)                                                                                            \
    static const struct strips name##_strips[TILE_ROWS] = {LIST_8(name, 1), LIST_4(name, 2), LIST_2(name, 3),          \
                                                           LIST_2(name, 4), LIST_2(name, 5), LIST_2(name, 6)};
#else
#define ALL_STRIPS(name, kind)                                                                                         \
    STRIPS_8(name, kind, 1)                                                                                            \
    STRIPS_4(name, kind, 2)                                                                                            \
    STRIPS_2(name, kind, 3)                                                                                            \
    STRIPS_2(name, kind, 4)                                                                                            \
    static const struct strips name##_strips[TILE_ROWS] = {LIST_8(name, 1), LIST_4(name, 2), LIST_2(name, 3),          \
                                                           LIST_2(name, 4)};
#endif

static void tile_run(const struct tile *tile, const struct strips *strips)
{
    assert(tile->rows >= 1 && tile->rows <= TILE_ROWS);
    strips += tile->rows - 1;
    int width = strips->widest;
    for (int32_t column = 0; column < tile->columns;) {
        while (width > 0 && column + (VEC << width) > (tile->columns + VEC - 1) / VEC * VEC) {
            width--;
        }
        strips->kernels[width](tile, column);
        column += VEC << width;
    }
}

#endif
