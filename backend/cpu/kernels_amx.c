/*
 * backend/cpu/kernels_amx.c - the tile of products in bf16 by AMX, up to 32 rows by a panel of 32 columns at a time.
 *
 * A tile register holds 16 rows of 64 bytes. One TDPBF16PS adds to a tile of 16 x 16 sums the products of 16 rows of 32
 * values of x with 16 x 16 pairs of a panel, whose layout (internal.h) is the one it wants: a row of the second operand
 * is 16 columns' pairs, and the panel's rows are 128 bytes apart. Two by two tiles of sums use every loaded tile twice.
 *
 * A test compiles this file once more with AMX_EMULATION, the tile instructions in plain C (tests/backend).
 */
#include "backend/cpu/internal.h"
#include <string.h>
#ifndef AMX_EMULATION
#include <immintrin.h>
#endif

#define TILE_ROWS  16
#define TILE_BYTES 64
#define TILE_INNER 32 /* bf16 in a row of a tile */

/* What LDTILECFG reads (Intel SDM volume 1, 18.2): bytes of a row and rows of each of the eight tiles. */
struct tile_configuration {
    uint8_t palette, start_row;
    uint8_t reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* In memory of its own: compilers take only the first bytes of it for read by the instruction. */
static const struct tile_configuration configuration = {
    .palette = 1,
    .row_bytes = {TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES},
    .rows = {TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS},
};

void cpu_amx_begin(void)
{
    _tile_loadconfig(&configuration);
}

void cpu_amx_end(void)
{
    _tile_release();
}

/*
 * The sums of a tile: in place where all 16 rows are there, else through a square beside it. Numbers of tile registers
 * are part of the instruction, hence macros.
 */
#define LOAD_SUMS(number, tile, at, count)                                                                             \
    do {                                                                                                               \
        if (!(tile)->go_on) {                                                                                          \
            _tile_zero(number);                                                                                        \
        } else if ((count) >= TILE_ROWS) {                                                                             \
            _tile_loadd(number, at, (int)((tile)->sums_stride * sizeof(float)));                                       \
        } else {                                                                                                       \
            float square[TILE_ROWS][TILE_ROWS] = {0};                                                                  \
            for (int32_t row = 0; row < (count); row++) {                                                              \
                memcpy(square[row], (at) + (size_t)row * (tile)->sums_stride, TILE_BYTES);                             \
            }                                                                                                          \
            /* GCC's _tile_loadd() does not say that it reads memory. */                                               \
            __asm__ volatile("" : : "r"(square) : "memory");                                                           \
            _tile_loadd(number, square, TILE_BYTES);                                                                   \
        }                                                                                                              \
    } while (0)
#define STORE_SUMS(number, tile, at, count)                                                                            \
    do {                                                                                                               \
        if ((count) >= TILE_ROWS) {                                                                                    \
            _tile_stored(number, at, (int)((tile)->sums_stride * sizeof(float)));                                      \
        } else {                                                                                                       \
            float square[TILE_ROWS][TILE_ROWS];                                                                        \
            _tile_stored(number, square, TILE_BYTES);                                                                  \
            for (int32_t row = 0; row < (count); row++) {                                                              \
                memcpy((at) + (size_t)row * (tile)->sums_stride, square[row], TILE_BYTES);                             \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

/* Where one strip of a panel's columns begins. */
struct strip {
    const unsigned char *x, *panel;
    float *sums;
    int x_stride; /* bytes */
    int32_t steps;
};

#define PANEL_ROW ((int)(PANEL * sizeof(uint32_t)))    /* bytes of a row of pairs */
#define STEP      ((size_t)TILE_INNER / 2 * PANEL_ROW) /* bytes of a panel that one step uses */
#define RIGHT     ((size_t)TILE_BYTES)                 /* bytes to the panel's columns 16 .. 31 */

static void two_by_two(const struct tile *tile, const struct strip *strip)
{
    const int32_t below = tile->rows - TILE_ROWS;
    float *lower = strip->sums + TILE_ROWS * tile->sums_stride;
    const unsigned char *x_lower = strip->x + (size_t)TILE_ROWS * (size_t)strip->x_stride;
    LOAD_SUMS(0, tile, strip->sums, TILE_ROWS);
    LOAD_SUMS(1, tile, strip->sums + 16, TILE_ROWS);
    LOAD_SUMS(2, tile, lower, below);
    LOAD_SUMS(3, tile, lower + 16, below);
    for (int32_t i = 0; i < strip->steps; i++) {
        const unsigned char *panel = strip->panel + (size_t)i * STEP;
        _tile_loadd(4, strip->x + (size_t)i * TILE_BYTES, strip->x_stride);
        _tile_loadd(6, panel, PANEL_ROW);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, panel + RIGHT, PANEL_ROW);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, x_lower + (size_t)i * TILE_BYTES, strip->x_stride);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    STORE_SUMS(0, tile, strip->sums, TILE_ROWS);
    STORE_SUMS(1, tile, strip->sums + 16, TILE_ROWS);
    STORE_SUMS(2, tile, lower, below);
    STORE_SUMS(3, tile, lower + 16, below);
}

static void one_by_two(const struct tile *tile, const struct strip *strip)
{
    LOAD_SUMS(0, tile, strip->sums, tile->rows);
    LOAD_SUMS(1, tile, strip->sums + 16, tile->rows);
    for (int32_t i = 0; i < strip->steps; i++) {
        const unsigned char *panel = strip->panel + (size_t)i * STEP;
        _tile_loadd(4, strip->x + (size_t)i * TILE_BYTES, strip->x_stride);
        _tile_loadd(6, panel, PANEL_ROW);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, panel + RIGHT, PANEL_ROW);
        _tile_dpbf16ps(1, 4, 7);
    }
    STORE_SUMS(0, tile, strip->sums, tile->rows);
    STORE_SUMS(1, tile, strip->sums + 16, tile->rows);
}

static void two_by_one(const struct tile *tile, const struct strip *strip)
{
    const int32_t below = tile->rows - TILE_ROWS;
    float *lower = strip->sums + TILE_ROWS * tile->sums_stride;
    const unsigned char *x_lower = strip->x + (size_t)TILE_ROWS * (size_t)strip->x_stride;
    LOAD_SUMS(0, tile, strip->sums, TILE_ROWS);
    LOAD_SUMS(2, tile, lower, below);
    for (int32_t i = 0; i < strip->steps; i++) {
        _tile_loadd(6, strip->panel + (size_t)i * STEP, PANEL_ROW);
        _tile_loadd(4, strip->x + (size_t)i * TILE_BYTES, strip->x_stride);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(5, x_lower + (size_t)i * TILE_BYTES, strip->x_stride);
        _tile_dpbf16ps(2, 5, 6);
    }
    STORE_SUMS(0, tile, strip->sums, TILE_ROWS);
    STORE_SUMS(2, tile, lower, below);
}

static void one_by_one(const struct tile *tile, const struct strip *strip)
{
    LOAD_SUMS(0, tile, strip->sums, tile->rows);
    for (int32_t i = 0; i < strip->steps; i++) {
        _tile_loadd(4, strip->x + (size_t)i * TILE_BYTES, strip->x_stride);
        _tile_loadd(6, strip->panel + (size_t)i * STEP, PANEL_ROW);
        _tile_dpbf16ps(0, 4, 6);
    }
    STORE_SUMS(0, tile, strip->sums, tile->rows);
}

void cpu_tile_amx(const struct tile *tile)
{
    assert(tile->rows >= 1 && tile->rows <= 2 * TILE_ROWS);
    for (int32_t column = 0; column < tile->columns; column += PANEL) {
        const struct strip strip = {
            .x = tile->x,
            .panel = (const unsigned char *)tile->panels + (size_t)(column / PANEL) * tile->panel_stride,
            .sums = tile->sums + column,
            .x_stride = (int)(tile->x_stride * sizeof(uint16_t)),
            .steps = (tile->inner + TILE_INNER - 1) / TILE_INNER,
        };
        const bool wide = tile->columns - column > TILE_ROWS;
        if (tile->rows > TILE_ROWS) {
            (wide ? two_by_two : two_by_one)(tile, &strip);
        } else {
            (wide ? one_by_two : one_by_one)(tile, &strip);
        }
    }
}
