/*
 * tests/backend/amx_emulation.h - the tile instructions of AMX that backend/cpu/kernels_amx.c uses, in plain C.
 *
 * After Intel's manual (SDM volume 2: LDTILECFG, TILELOADD, TILESTORED, TILEZERO, TDPBF16PS), with its checks as
 * asserts: an instruction that would fault on a CPU stops the test here. Eight tiles of 16 rows of 64 bytes for each
 * thread.
 */
#ifndef ATTUNE_TESTS_BACKEND_AMX_EMULATION_H
#define ATTUNE_TESTS_BACKEND_AMX_EMULATION_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct amx_tile {
    int rows, row_bytes;
    unsigned char bytes[16][64];
};
struct amx {
    bool configured;
    struct amx_tile tiles[8];
};
static _Thread_local struct amx amx;

static inline struct amx_tile *amx_tile(int number)
{
    assert(amx.configured && number >= 0 && number < 8);
    assert(amx.tiles[number].rows > 0);
    return &amx.tiles[number];
}

/* 64 bytes: palette, start row, 14 reserved, 16 words of bytes in a row, 16 bytes of rows. */
static inline void _tile_loadconfig(const void *memory)
{
    unsigned char bytes[64];
    memcpy(bytes, memory, sizeof bytes);
    assert(bytes[0] == 1 && bytes[1] == 0);
    for (int i = 2; i < 16; i++) {
        assert(bytes[i] == 0);
    }
    memset(&amx, 0, sizeof amx);
    amx.configured = true;
    for (int i = 0; i < 16; i++) {
        const int row_bytes = bytes[16 + 2 * i] | bytes[17 + 2 * i] << 8, rows = bytes[48 + i];
        assert(i < 8 || (row_bytes == 0 && rows == 0));
        assert(row_bytes <= 64 && rows <= 16 && (row_bytes == 0) == (rows == 0));
        if (i < 8) {
            amx.tiles[i].rows = rows;
            amx.tiles[i].row_bytes = row_bytes;
        }
    }
}

static inline void _tile_release(void)
{
    assert(amx.configured);
    memset(&amx, 0, sizeof amx);
}

static inline void _tile_zero(int number)
{
    memset(amx_tile(number)->bytes, 0, sizeof amx.tiles->bytes);
}

static inline void _tile_loadd(int number, const void *base, int64_t stride)
{
    struct amx_tile *tile = amx_tile(number);
    memset(tile->bytes, 0, sizeof tile->bytes);
    for (int row = 0; row < tile->rows; row++) {
        memcpy(tile->bytes[row], (const unsigned char *)base + row * stride, (size_t)tile->row_bytes);
    }
}

static inline void _tile_stored(int number, void *base, int64_t stride)
{
    const struct amx_tile *tile = amx_tile(number);
    for (int row = 0; row < tile->rows; row++) {
        memcpy((unsigned char *)base + row * stride, tile->bytes[row], (size_t)tile->row_bytes);
    }
}

/* The bf16 number `i` of a row, denormals read as zero. */
static inline float amx_number(const unsigned char *row, int i)
{
    const uint32_t bits = (uint32_t)(row[2 * i] | row[2 * i + 1] << 8) << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (bits & 0x7f800000u) == 0 ? 0 : value;
}

/* The sums of even and of odd numbers run apart and meet at the end of a row, as in the manual's pseudo-code. */
static inline void _tile_dpbf16ps(int sums_number, int a_number, int b_number)
{
    struct amx_tile *sums = amx_tile(sums_number);
    const struct amx_tile *a = amx_tile(a_number), *b = amx_tile(b_number);
    assert(sums_number != a_number && sums_number != b_number && a_number != b_number);
    assert(sums->rows == a->rows && sums->row_bytes == b->row_bytes);
    assert(a->row_bytes % 4 == 0 && a->row_bytes / 4 == b->rows);
    for (int row = 0; row < sums->rows; row++) {
        for (int column = 0; column < sums->row_bytes / 4; column++) {
            float even = 0, odd = 0, sum;
            for (int k = 0; k < a->row_bytes / 4; k++) {
                even += amx_number(a->bytes[row], 2 * k) * amx_number(b->bytes[k], 2 * column);
                odd += amx_number(a->bytes[row], 2 * k + 1) * amx_number(b->bytes[k], 2 * column + 1);
            }
            memcpy(&sum, sums->bytes[row] + 4 * column, sizeof sum);
            sum += even + odd;
            memcpy(sums->bytes[row] + 4 * column, &sum, sizeof sum);
        }
    }
}

#endif
