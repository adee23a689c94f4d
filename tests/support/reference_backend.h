/*
 * tests/support/reference_backend.h - every operation of backend/backend.h as plain loops, as close to its formula as C
 * gets.
 *
 * Sums are f64 and run in the order of the indices, on one thread. With `compute` DTYPE_BF16 both operands of a product
 * are rounded to bf16 first; the probabilities inside attention are not (a backend may round them). Limits given to
 * reserve() are asserted, so a caller whose limits are too small is found here.
 */
#ifndef ATTUNE_TESTS_SUPPORT_REFERENCE_BACKEND_H
#define ATTUNE_TESTS_SUPPORT_REFERENCE_BACKEND_H

#include "backend/backend.h"

/* Makes *out; free it with (*out)->free(*out). */
int reference_backend_create(struct backend **out, enum dtype compute, struct err *err);

#endif
