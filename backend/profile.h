/*
 * backend/profile.h - a backend around another one that measures where the time goes.
 *
 * Every operation is followed by a synchronize(), so its time is its own; what a device would have done side by side is
 * done one after the other. Results are the inner backend's, bit for bit.
 *
 * Work is counted from the arguments, not from what the hardware does:
 *   flops   multiplications and additions of matrix products and of attention (its backward pass recomputes the scores
 *           and is counted with that); element-wise work is left out, since memory bounds it
 *   bytes   every operand once, as if nothing had to be read twice; weights in the form weight_size() gives
 * A multiply-add is two flops. Products are kept apart by the shape of their weight, [outputs, inputs], and their rank.
 */
#ifndef ATTUNE_BACKEND_PROFILE_H
#define ATTUNE_BACKEND_PROFILE_H

#include "backend/backend.h"
#include "base/strbuf.h"

struct profile_sum {
    int64_t calls;
    double seconds, flops, bytes;
};

/* Makes *out, which owns `inner` from then on (not when this fails); free it with (*out)->free(*out). */
int profile_create(struct backend **out, struct backend *inner, struct err *err);

/* What the calls of one operation come to, all shapes together. */
struct profile_sum profile_operation(const struct backend *profiled, enum backend_operation operation);

/*
 * Appends a table: one line an operation (and a transfer, and the preparing of weights), the longest time first, under
 * a product its shapes; then the time since profile_create() that no operation took, which is the host's.
 */
void profile_report(const struct backend *profiled, struct strbuf *out);

#endif
