/*
 * backend/cpu/body_elements.h - operations element by element. Compiled once for each instruction set (simd.h).
 */
#ifndef ATTUNE_BACKEND_CPU_BODY_ELEMENTS_H
#define ATTUNE_BACKEND_CPU_BODY_ELEMENTS_H

#include "backend/cpu/internal.h"
#include "backend/cpu/simd.h"

/* 1 + exp(-z): the reciprocal of the sigmoid */
SIMD vec sigmoid_divisor(vec z)
{
    return vec_add(vec_set(1), vec_exp(vec_sub(vec_zero(), z)));
}

static void elements_gated(const void *arguments, int64_t first, int64_t end)
{
    const struct gated_args *gated = arguments;
    for (int64_t i = first; i < end; i += VEC) {
        vec gate = vec_load_left(gated->gate + i, end - i);
        vec up = vec_load_left(gated->up + i, end - i);
        vec_store_of(gated->out, i, gated->out_dtype, vec_mul(vec_div(gate, sigmoid_divisor(gate)), up), end - i);
    }
}

/* silu'(z) = sigmoid(z) (1 + z (1 - sigmoid(z))) */
static void elements_gated_backward(const void *arguments, int64_t first, int64_t end)
{
    const struct gated_backward_args *gated = arguments;
    const vec one = vec_set(1);
    for (int64_t i = first; i < end; i += VEC) {
        vec gate = vec_load_left(gated->gate + i, end - i);
        vec up = vec_load_left(gated->up + i, end - i);
        vec dout = vec_load_left(gated->dout + i, end - i);
        vec divisor = sigmoid_divisor(gate), sigmoid = vec_div(one, divisor);
        vec slope = vec_mul(sigmoid, vec_fma(gate, vec_sub(one, sigmoid), one));
        vec_store_of(gated->dgate, i, gated->out_dtype, vec_mul(vec_mul(dout, up), slope), end - i);
        vec_store_of(gated->dup, i, gated->out_dtype, vec_mul(dout, vec_mul(gate, sigmoid)), end - i);
        if (gated->out) {
            vec_store_of(gated->out, i, gated->out_dtype, vec_mul(vec_div(gate, divisor), up), end - i);
        }
    }
}

static void elements_fill(const void *arguments, int64_t first, int64_t end)
{
    const struct fill_args *fill = arguments;
    for (int64_t i = first; i < end; i += VEC) {
        vec_store_left(fill->x + i, vec_set(fill->value), end - i);
    }
}

/* The order of roundings is that of torch.optim.AdamW's single-tensor loop. */
static void elements_adamw(const void *arguments, int64_t first, int64_t end)
{
    const struct adamw_run *run = arguments;
    const struct adamw_args *adamw = run->arguments;
    const vec grad_scale = vec_set((float)run->grad_scale);
    const vec shrink = vec_set((float)(1 - adamw->lr * run->decay));
    const vec beta2 = vec_set((float)adamw->beta2);
    const vec part1 = vec_set((float)(1 - adamw->beta1)), part2 = vec_set((float)(1 - adamw->beta2));
    const vec root_bias2 = vec_set((float)sqrt(adamw->bias2));
    const vec epsilon = vec_set((float)adamw->epsilon);
    const vec step = vec_set((float)(-adamw->lr / adamw->bias1));
    for (int64_t i = first; i < end; i += VEC) {
        const int64_t left = end - i;
        vec g = vec_mul(vec_load_left(adamw->grad + i, left), grad_scale);
        vec m = vec_load_left(adamw->m + i, left);
        vec v = vec_load_left(adamw->v + i, left);
        vec w = vec_mul(vec_load_left(adamw->master + i, left), shrink);
        m = vec_fma(part1, vec_sub(g, m), m);
        v = vec_fma(part2, vec_mul(g, g), vec_mul(v, beta2));
        vec denominator = vec_add(vec_div(vec_sqrt(v), root_bias2), epsilon);
        w = vec_fma(step, vec_div(m, denominator), w);
        vec_store_left(adamw->m + i, m, left);
        vec_store_left(adamw->v + i, v, left);
        vec_store_left(adamw->master + i, w, left);
    }
}

/* Round to nearest, ties to even; a NaN stays one (its payload might be in the bits that go). */
static void elements_to_bf16(const void *arguments, int64_t first, int64_t end)
{
    const struct conversion *convert = arguments;
    const uint32_t *src = convert->src;
    uint16_t *dst = convert->dst;
    for (int64_t i = first; i < end; i++) {
        uint32_t bits = src[i];
        uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
        uint32_t quiet = (bits >> 16) | 0x40u;
        dst[i] = (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
    }
}

static void elements_from_bf16(const void *arguments, int64_t first, int64_t end)
{
    const struct conversion *convert = arguments;
    const uint16_t *src = convert->src;
    uint32_t *dst = convert->dst;
    for (int64_t i = first; i < end; i++) {
        dst[i] = (uint32_t)src[i] << 16;
    }
}

/* f32 to f32, through bf16: the operand of a product where there is no arithmetic for bf16 itself */
static void elements_round(const void *arguments, int64_t first, int64_t end)
{
    const struct conversion *convert = arguments;
    const uint32_t *src = convert->src;
    uint32_t *dst = convert->dst;
    for (int64_t i = first; i < end; i++) {
        uint32_t bits = src[i];
        uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
        dst[i] = ((bits & 0x7fffffffu) > 0x7f800000u ? bits | 0x400000u : rounded) & 0xffff0000u;
    }
}

/* In double, in eight lanes that are folded at the end. */
static double sum_squares(const float *x, int64_t count)
{
    double lanes[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        for (int lane = 0; lane < 8; lane++) {
            lanes[lane] += (double)x[i + lane] * (double)x[i + lane];
        }
    }
    for (; i < count; i++) {
        lanes[i % 8] += (double)x[i] * (double)x[i];
    }
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

#endif
