/*
 * backend/cpu/simd.h - one vector of floats, as wide as the instruction set this file is compiled for.
 *
 * The kernels (body_*.h) are written once over `vec` and compiled once for each instruction set: kernels_avx512.c (16
 * floats), kernels_avx2.c (8) and kernels_plain.c (4, GCC's vector extensions, which every CPU has some answer to).
 *
 * A "some" function works on the first n lanes only, 1 <= n <= VEC; the others read as zero and are not touched in
 * memory. So a tail goes through the same arithmetic as the rest, and a value does not depend on where it stands.
 */
#ifndef ATTUNE_BACKEND_CPU_SIMD_H
#define ATTUNE_BACKEND_CPU_SIMD_H

#include "backend/backend.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

#define SIMD static inline __attribute__((always_inline, unused))

#if defined(__AVX512F__)

#include <immintrin.h>

#define VEC 16
typedef __m512 vec;
typedef __m512i ivec;

SIMD __mmask16 vec_mask(int64_t n)
{
    return (__mmask16)((1u << n) - 1u);
}
SIMD vec vec_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
SIMD void vec_store(float *p, vec v)
{
    _mm512_storeu_ps(p, v);
}
SIMD vec vec_load_some(const float *p, int64_t n)
{
    return _mm512_maskz_loadu_ps(vec_mask(n), p);
}
SIMD void vec_store_some(float *p, vec v, int64_t n)
{
    _mm512_mask_storeu_ps(p, vec_mask(n), v);
}
SIMD vec vec_set(float x)
{
    return _mm512_set1_ps(x);
}
SIMD vec vec_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}
SIMD vec vec_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}
SIMD vec vec_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}
SIMD vec vec_div(vec a, vec b)
{
    return _mm512_div_ps(a, b);
}
SIMD vec vec_sqrt(vec a)
{
    return _mm512_sqrt_ps(a);
}
/* a * b + c, rounded once where the instruction set can */
SIMD vec vec_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}
/* Where one of the two is not a number, the second comes out: put the one whose NaN must live there. */
SIMD vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}
SIMD vec vec_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}
/* By lane: a < b ? yes : no */
SIMD vec vec_if_less(vec a, vec b, vec yes, vec no)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
/* The first n lanes of a, the others of b; 0 <= n <= VEC. */
SIMD vec vec_first(int64_t n, vec a, vec b)
{
    return _mm512_mask_blend_ps(vec_mask(n), b, a);
}
/* Any NaN becomes the plain one; numbers stay. */
SIMD vec vec_plain_nan(vec a)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a, _mm512_set1_ps(NAN));
}
SIMD ivec ivec_bits(vec a)
{
    return _mm512_castps_si512(a);
}
SIMD vec vec_bits(ivec a)
{
    return _mm512_castsi512_ps(a);
}
SIMD ivec ivec_load(const uint32_t *p)
{
    return _mm512_loadu_si512(p);
}
SIMD void ivec_store(uint32_t *p, ivec a)
{
    _mm512_storeu_si512(p, a);
}
SIMD ivec ivec_set(uint32_t x)
{
    return _mm512_set1_epi32((int)x);
}
SIMD ivec ivec_add(ivec a, ivec b)
{
    return _mm512_add_epi32(a, b);
}
SIMD ivec ivec_and(ivec a, ivec b)
{
    return _mm512_and_si512(a, b);
}
SIMD ivec ivec_xor(ivec a, ivec b)
{
    return _mm512_xor_si512(a, b);
}
#define ivec_left(a, bits)  _mm512_slli_epi32(a, bits)
#define ivec_right(a, bits) _mm512_srli_epi32(a, bits)
/* The low halves of a * b, and in *high the high ones, unsigned. */
SIMD ivec ivec_multiply(ivec a, uint32_t b, ivec *high)
{
    const __m512i even = _mm512_mul_epu32(a, ivec_set(b));
    const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), ivec_set(b));
    *high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
    return _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
}
/* By lane: a < b ? yes : no, unsigned */
SIMD vec vec_if_below(ivec a, ivec b, vec yes, vec no)
{
    return _mm512_mask_blend_ps(_mm512_cmplt_epu32_mask(a, b), no, yes);
}
/* In each four lanes by themselves, the square of four vectors is turned. */
SIMD void vec_turn_fours(vec row[4])
{
    const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(row[0], row[1]));
    const __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(row[0], row[1]));
    const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(row[2], row[3]));
    const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(row[2], row[3]));
    row[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
    row[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
    row[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
    row[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
}
/* The square of lanes is turned: row[i] lane j goes to row[j] lane i. */
SIMD void vec_transpose(vec row[VEC])
{
    for (int i = 0; i < VEC; i += 4) {
        vec_turn_fours(row + i);
    }
    /* Now lane 4 b + c of row[4 a + d] is what was row[4 a + c] lane 4 b + d: blocks of four lanes are left to turn. */
    for (int d = 0; d < 4; d++) {
        const vec low = _mm512_shuffle_f32x4(row[d], row[4 + d], 0x44);
        const vec high = _mm512_shuffle_f32x4(row[d], row[4 + d], 0xee);
        const vec low2 = _mm512_shuffle_f32x4(row[8 + d], row[12 + d], 0x44);
        const vec high2 = _mm512_shuffle_f32x4(row[8 + d], row[12 + d], 0xee);
        row[d] = _mm512_shuffle_f32x4(low, low2, 0x88);
        row[4 + d] = _mm512_shuffle_f32x4(low, low2, 0xdd);
        row[8 + d] = _mm512_shuffle_f32x4(high, high2, 0x88);
        row[12 + d] = _mm512_shuffle_f32x4(high, high2, 0xdd);
    }
}
/* Halves folded onto each other, to the last two lanes. */
SIMD float vec_sum(vec v)
{
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
SIMD float vec_largest(vec v)
{
    return _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q) ? NAN : _mm512_reduce_max_ps(v);
}

#elif defined(__AVX2__)

#include <immintrin.h>

#define VEC                 8
typedef __m256 vec;
typedef __m256i ivec;

SIMD __m256i vec_mask(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
SIMD vec vec_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
SIMD void vec_store(float *p, vec v)
{
    _mm256_storeu_ps(p, v);
}
SIMD vec vec_load_some(const float *p, int64_t n)
{
    return _mm256_maskload_ps(p, vec_mask(n));
}
SIMD void vec_store_some(float *p, vec v, int64_t n)
{
    _mm256_maskstore_ps(p, vec_mask(n), v);
}
SIMD vec vec_set(float x)
{
    return _mm256_set1_ps(x);
}
SIMD vec vec_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}
SIMD vec vec_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}
SIMD vec vec_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}
SIMD vec vec_div(vec a, vec b)
{
    return _mm256_div_ps(a, b);
}
SIMD vec vec_sqrt(vec a)
{
    return _mm256_sqrt_ps(a);
}
SIMD vec vec_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}
SIMD vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}
SIMD vec vec_min(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}
SIMD vec vec_if_less(vec a, vec b, vec yes, vec no)
{
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
SIMD vec vec_first(int64_t n, vec a, vec b)
{
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(vec_mask(n)));
}
SIMD vec vec_plain_nan(vec a)
{
    return _mm256_blendv_ps(a, _mm256_set1_ps(NAN), _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
SIMD ivec ivec_bits(vec a)
{
    return _mm256_castps_si256(a);
}
SIMD vec vec_bits(ivec a)
{
    return _mm256_castsi256_ps(a);
}
SIMD ivec ivec_load(const uint32_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
SIMD void ivec_store(uint32_t *p, ivec a)
{
    _mm256_storeu_si256((__m256i *)(void *)p, a);
}
SIMD ivec ivec_set(uint32_t x)
{
    return _mm256_set1_epi32((int)x);
}
SIMD ivec ivec_add(ivec a, ivec b)
{
    return _mm256_add_epi32(a, b);
}
SIMD ivec ivec_and(ivec a, ivec b)
{
    return _mm256_and_si256(a, b);
}
SIMD ivec ivec_xor(ivec a, ivec b)
{
    return _mm256_xor_si256(a, b);
}
#define ivec_left(a, bits)  _mm256_slli_epi32(a, bits)
#define ivec_right(a, bits) _mm256_srli_epi32(a, bits)
SIMD ivec ivec_multiply(ivec a, uint32_t b, ivec *high)
{
    const __m256i even = _mm256_mul_epu32(a, ivec_set(b));
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), ivec_set(b));
    *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}
SIMD vec vec_if_below(ivec a, ivec b, vec yes, vec no)
{
    const ivec sign = ivec_set(0x80000000u); /* unsigned order is signed order with the sign bit turned over */
    return _mm256_blendv_ps(no, yes, vec_bits(_mm256_cmpgt_epi32(ivec_xor(b, sign), ivec_xor(a, sign))));
}
SIMD void vec_turn_fours(vec row[4])
{
    const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(row[0], row[1]));
    const __m256d b = _mm256_castps_pd(_mm256_unpackhi_ps(row[0], row[1]));
    const __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(row[2], row[3]));
    const __m256d d = _mm256_castps_pd(_mm256_unpackhi_ps(row[2], row[3]));
    row[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c));
    row[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
    row[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d));
    row[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
}
SIMD void vec_transpose(vec row[VEC])
{
    vec_turn_fours(row);
    vec_turn_fours(row + 4);
    for (int d = 0; d < 4; d++) {
        const vec low = _mm256_permute2f128_ps(row[d], row[4 + d], 0x20);
        row[4 + d] = _mm256_permute2f128_ps(row[d], row[4 + d], 0x31);
        row[d] = low;
    }
}
SIMD float vec_sum(vec v)
{
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
SIMD float vec_largest(vec v)
{
    if (_mm256_movemask_ps(_mm256_cmp_ps(v, v, _CMP_UNORD_Q))) {
        return NAN;
    }
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

#else

#define VEC                 4
typedef float vec __attribute__((vector_size(16)));
typedef uint32_t ivec __attribute__((vector_size(16)));

SIMD vec vec_load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}
SIMD void vec_store(float *p, vec v)
{
    memcpy(p, &v, sizeof v);
}
SIMD vec vec_load_some(const float *p, int64_t n)
{
    vec v = {0};
    memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
}
SIMD void vec_store_some(float *p, vec v, int64_t n)
{
    memcpy(p, &v, (size_t)n * sizeof *p);
}
SIMD vec vec_set(float x)
{
    return (vec){x, x, x, x};
}
SIMD vec vec_add(vec a, vec b)
{
    return a + b;
}
SIMD vec vec_sub(vec a, vec b)
{
    return a - b;
}
SIMD vec vec_mul(vec a, vec b)
{
    return a * b;
}
SIMD vec vec_div(vec a, vec b)
{
    return a / b;
}
SIMD vec vec_sqrt(vec a)
{
    return (vec){sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])};
}
SIMD vec vec_fma(vec a, vec b, vec c)
{
    return a * b + c;
}
SIMD ivec ivec_bits(vec a)
{
    return (ivec)a;
}
SIMD vec vec_bits(ivec a)
{
    return (vec)a;
}
SIMD vec vec_choose(ivec mask, vec yes, vec no)
{
    return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
}
SIMD vec vec_plain_nan(vec a)
{
    return vec_choose((ivec)(a == a), a, vec_set(NAN));
}
SIMD vec vec_if_less(vec a, vec b, vec yes, vec no)
{
    return vec_choose((ivec)(a < b), yes, no);
}
SIMD vec vec_max(vec a, vec b)
{
    return vec_if_less(b, a, a, b);
}
SIMD vec vec_min(vec a, vec b)
{
    return vec_if_less(a, b, a, b);
}
SIMD vec vec_first(int64_t n, vec a, vec b)
{
    const ivec lane = {0, 1, 2, 3};
    const ivec count = {(uint32_t)n, (uint32_t)n, (uint32_t)n, (uint32_t)n};
    return vec_choose((ivec)(lane < count), a, b);
}
SIMD ivec ivec_load(const uint32_t *p)
{
    ivec v;
    memcpy(&v, p, sizeof v);
    return v;
}
SIMD void ivec_store(uint32_t *p, ivec a)
{
    memcpy(p, &a, sizeof a);
}
SIMD ivec ivec_set(uint32_t x)
{
    return (ivec){x, x, x, x};
}
SIMD ivec ivec_add(ivec a, ivec b)
{
    return a + b;
}
SIMD ivec ivec_and(ivec a, ivec b)
{
    return a & b;
}
SIMD ivec ivec_xor(ivec a, ivec b)
{
    return a ^ b;
}
#define ivec_left(a, bits)  ((a) << (bits))
#define ivec_right(a, bits) ((a) >> (bits))
SIMD ivec ivec_multiply(ivec a, uint32_t b, ivec *high)
{
    ivec low;
    for (int i = 0; i < VEC; i++) {
        const uint64_t product = (uint64_t)a[i] * b;
        low[i] = (uint32_t)product;
        (*high)[i] = (uint32_t)(product >> 32);
    }
    return low;
}
SIMD vec vec_if_below(ivec a, ivec b, vec yes, vec no)
{
    return vec_choose((ivec)(a < b), yes, no);
}
SIMD void vec_turn_fours(vec row[4])
{
    vec turned[VEC];
    for (int i = 0; i < VEC; i++) {
        turned[i] = (vec){row[0][i], row[1][i], row[2][i], row[3][i]};
    }
    memcpy(row, turned, sizeof turned);
}
SIMD void vec_transpose(vec row[VEC])
{
    vec_turn_fours(row);
}
SIMD float vec_sum(vec v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}
SIMD float vec_largest(vec v)
{
    float largest = v[0];
    for (int i = 1; i < VEC; i++) {
        largest = v[i] > largest || v[i] != v[i] ? v[i] : largest;
    }
    return largest;
}

#endif

SIMD vec vec_zero(void)
{
    return vec_set(0);
}

/* Asks for the memory `bytes` behind p, which may lie past the end of what is there. */
SIMD void ask_ahead(const void *p, size_t bytes)
{
    __builtin_prefetch((const void *)((uintptr_t)p + bytes), 0, 3);
}

/* The vector at p when `left` floats stand there: whole, or the first `left` lanes. */
SIMD vec vec_load_left(const float *p, int64_t left)
{
    return left >= VEC ? vec_load(p) : vec_load_some(p, left);
}
SIMD void vec_store_left(float *p, vec v, int64_t left)
{
    if (left >= VEC) {
        vec_store(p, v);
    } else {
        vec_store_some(p, v, left);
    }
}

/* bf16 pairs: the low half of each 32-bit word is the even element, the high half the odd one. */
SIMD vec vec_even(ivec pairs)
{
    return vec_bits(ivec_left(pairs, 16));
}
SIMD vec vec_odd(ivec pairs)
{
    return vec_bits(ivec_and(pairs, ivec_set(0xffff0000u)));
}

/* f32 rounded to bf16, to nearest and ties to even: the upper half of each word; the lower half is left over. */
SIMD ivec ivec_round(vec a)
{
    const ivec bits = ivec_bits(vec_plain_nan(a));
    const ivec tie = ivec_and(ivec_right(bits, 16), ivec_set(1));
    return ivec_add(bits, ivec_add(tie, ivec_set(0x7fff)));
}
SIMD ivec ivec_pairs(vec even, vec odd)
{
    /* The halves do not overlap, so exclusive or joins them. */
    return ivec_xor(ivec_right(ivec_round(even), 16), ivec_and(ivec_round(odd), ivec_set(0xffff0000u)));
}

SIMD vec vec_load_bf16(const uint16_t *p, int64_t left)
{
    uint16_t some[VEC] = {0};
    if (left < VEC) {
        memcpy(some, p, (size_t)left * sizeof *p);
        p = some;
    }
#if VEC == 16
    return vec_bits(ivec_left(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p)), 16));
#else
    uint32_t words[VEC];
    for (int i = 0; i < VEC; i++) {
        words[i] = (uint32_t)p[i] << 16;
    }
    return vec_bits(ivec_load(words));
#endif
}
SIMD void vec_store_bf16(uint16_t *p, vec v, int64_t left)
{
    const ivec words = ivec_right(ivec_round(v), 16);
#if VEC == 16
    _mm512_mask_cvtepi32_storeu_epi16(p, left < VEC ? vec_mask(left) : (__mmask16)0xffff, words);
#else
    uint32_t lanes[VEC];
    ivec_store(lanes, words);
    for (int i = 0; i < VEC && i < left; i++) {
        p[i] = (uint16_t)lanes[i];
    }
#endif
}
/*
 * Elements `at` .. at + VEC - 1, as far as `left` of them are there, of rows in f32 or bf16; what is not there reads as
 * zero.
 */
SIMD vec vec_load_of(const void *rows, int64_t at, enum dtype dtype, int64_t left)
{
    return dtype == DTYPE_BF16 ? vec_load_bf16((const uint16_t *)rows + at, left)
                               : vec_load_left((const float *)rows + at, left);
}
SIMD void vec_store_of(void *rows, int64_t at, enum dtype dtype, vec v, int64_t left)
{
    if (dtype == DTYPE_BF16) {
        vec_store_bf16((uint16_t *)rows + at, v, left);
    } else {
        vec_store_left((float *)rows + at, v, left);
    }
}

/*
 * The exponential functions are 2^n times a polynomial in a small r (coefficients from Moshier's Cephes, expf.c and
 * exp2f.c), to about 1 ulp. Without an instruction that multiplies by 2^n, n is added to the exponent's bits, and what
 * would be a denormal number is 0; NaN stays NaN, since the shift leaves nothing of its bits to add.
 */

#if VEC == 16
SIMD vec vec_nearest(vec x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* p 2^n for a whole n, from far below the least number's */
SIMD vec vec_times_power(vec p, vec n)
{
    return _mm512_scalef_ps(p, n);
}
#else
#define SHIFTER 12582912.0f /* 1.5 * 2^23: adding it leaves no fraction, and the whole number in the low bits */
SIMD vec vec_nearest(vec x)
{
    return vec_sub(vec_add(x, vec_set(SHIFTER)), vec_set(SHIFTER));
}
SIMD vec vec_times_power(vec p, vec n)
{
    const vec bits = vec_add(vec_max(n, vec_set(-127)), vec_set(SHIFTER));
    const vec scaled = vec_bits(ivec_add(ivec_bits(p), ivec_left(ivec_bits(bits), 23)));
    return vec_if_less(n, vec_set(-126), vec_zero(), scaled);
}
#endif

/* x = n ln 2 + r, ln 2 in two parts (Cody & Waite). exp(x) of x above 88.72 is about FLT_MAX. */
SIMD vec vec_exp(vec x)
{
    const vec clipped = vec_min(vec_set(88.72f), vec_max(vec_set(-104), x));
    const vec n = vec_nearest(vec_mul(clipped, vec_set(1.44269504f)));
    vec r = vec_fma(n, vec_set(-0.693359375f), clipped);
    r = vec_fma(n, vec_set(2.12194440e-4f), r);
    vec p = vec_set(1.9875691500e-4f);
    p = vec_fma(p, r, vec_set(1.3981999507e-3f));
    p = vec_fma(p, r, vec_set(8.3334519073e-3f));
    p = vec_fma(p, r, vec_set(4.1665795894e-2f));
    p = vec_fma(p, r, vec_set(1.6666665459e-1f));
    p = vec_fma(p, r, vec_set(5.0000001201e-1f));
    p = vec_add(vec_fma(p, vec_mul(r, r), r), vec_set(1));
    return vec_times_power(p, n);
}

/* 2^x for x <= 0, minus infinity included: the weights of a softmax. */
SIMD vec vec_exp2_below_one(vec x)
{
    const vec clipped = vec_max(vec_set(-150), x);
    const vec n = vec_nearest(clipped), r = vec_sub(clipped, n);
    vec p = vec_set(1.535336188319500e-4f);
    p = vec_fma(p, r, vec_set(1.339887440266574e-3f));
    p = vec_fma(p, r, vec_set(9.618437357674640e-3f));
    p = vec_fma(p, r, vec_set(5.550332471162809e-2f));
    p = vec_fma(p, r, vec_set(2.402264791363012e-1f));
    p = vec_fma(p, r, vec_set(6.931472028550421e-1f));
    return vec_times_power(vec_fma(p, r, vec_set(1)), n);
}

#endif
