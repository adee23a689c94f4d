/* tests/support/numbers.c - see numbers.h. */
#include "support/numbers.h"
#include <math.h>
#include <string.h>

uint16_t bf16_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value)) {
        return (uint16_t)(bits >> 16 | 0x40); /* quiet, so that dropping the low half cannot make it infinite */
    }
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float float_from_bf16(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

float bf16_round(float value)
{
    return float_from_bf16(bf16_from_float(value));
}

float float_from_f16(uint16_t bits)
{
    int exponent = bits >> 10 & 0x1f;
    int fraction = bits & 0x3ff;
    double value;
    if (exponent == 0x1f) {
        value = fraction ? NAN : INFINITY;
    } else if (exponent == 0) {
        value = ldexp(fraction, -24);
    } else {
        value = ldexp(fraction + 0x400, exponent - 25);
    }
    return (float)(bits & 0x8000 ? -value : value);
}

uint16_t f16_from_float(float value)
{
    int exponent;
    (void)frexp(value, &exponent); /* |value| in [2^(exponent-1), 2^exponent) */
    int step = exponent - 11 > -24 ? exponent - 11 : -24;
    int32_t fraction = (int32_t)rint(ldexp(fabs((double)value), -step)); /* 0 .. 2048, normal from 1024 */
    int32_t bits = fraction < 0x400 ? fraction : ((step + 25) << 10) + (fraction - 0x400);
    return (uint16_t)(bits | (signbit(value) ? 0x8000 : 0));
}

float dtype_round(float value, enum dtype dtype)
{
    if (dtype == DTYPE_F32) {
        return value;
    }
    return dtype == DTYPE_BF16 ? bf16_round(value) : float_from_f16(f16_from_float(value));
}

float float_from_dtype(const void *array, enum dtype dtype, int64_t index)
{
    if (dtype == DTYPE_F32) {
        return ((const float *)array)[index];
    }
    uint16_t bits = ((const uint16_t *)array)[index];
    return dtype == DTYPE_BF16 ? float_from_bf16(bits) : float_from_f16(bits);
}
