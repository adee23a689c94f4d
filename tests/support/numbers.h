/*
 * tests/support/numbers.h - 16-bit floats, written plainly: what the code under test is compared with.
 */
#ifndef ATTUNE_TESTS_SUPPORT_NUMBERS_H
#define ATTUNE_TESTS_SUPPORT_NUMBERS_H

#include "backend/backend.h"
#include <stdint.h>

/* The upper half of an f32, to nearest, ties to even; a NaN stays a NaN. */
uint16_t bf16_from_float(float value);
float float_from_bf16(uint16_t bits);
/* The nearest f32 that a bf16 can hold. */
float bf16_round(float value);
float float_from_f16(uint16_t bits);
/* To nearest, ties to even; for finite values below 65520. */
uint16_t f16_from_float(float value);
/* The nearest f32 that `dtype` can hold. */
float dtype_round(float value, enum dtype dtype);
/* Element `index` of an array of `dtype`. */
float float_from_dtype(const void *array, enum dtype dtype, int64_t index);

#endif
