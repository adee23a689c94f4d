/*
 * tests/support/reference_internal.h - what the files of the reference table share: its state, products of two rows,
 * and the operations that are not in reference_backend.c.
 */
#ifndef ATTUNE_TESTS_SUPPORT_REFERENCE_INTERNAL_H
#define ATTUNE_TESTS_SUPPORT_REFERENCE_INTERNAL_H

#include "backend/backend.h"
#include "support/numbers.h"

struct reference {
    struct backend table; /* first: a struct backend * is a struct reference * */
    struct backend_limits limits;
    double *wide;  /* [scratch_columns()] in f64: logits of a row, or sums of a head or of a row's gradient */
    float *narrow; /* [scratch_columns()] in f32: a row of a norm or of a product, or gradients of logits */
};

static inline struct reference *reference(struct backend *backend)
{
    return (struct reference *)(void *)backend;
}

/* What a product reads of a number: it rounds its operands where `compute` is bf16. */
static inline double operand(const struct backend *backend, float value)
{
    return backend->compute == DTYPE_BF16 ? bf16_round(value) : value;
}

/* sum over i of a[i * a_step] * b[i * b_step] */
static inline double dot(const struct backend *backend, const float *a, int64_t a_step, const float *b, int64_t b_step,
                         int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += operand(backend, a[i * a_step]) * operand(backend, b[i * b_step]);
    }
    return sum;
}

/* reference_attention.c */
void reference_rotation(struct backend *backend, const struct rotation_args *a);
void reference_rope(struct backend *backend, const struct rope_args *a);
void reference_attention(struct backend *backend, const struct attention_args *a);
void reference_attention_backward(struct backend *backend, const struct attention_backward_args *a);

#endif
