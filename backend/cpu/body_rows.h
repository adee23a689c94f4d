/*
 * backend/cpu/body_rows.h - operations on rows and columns: norm, scores, rotary positions, masks of dropout, logits,
 * scattered sums. Compiled once for each instruction set (simd.h).
 */
#ifndef ATTUNE_BACKEND_CPU_BODY_ROWS_H
#define ATTUNE_BACKEND_CPU_BODY_ROWS_H

#include "backend/cpu/internal.h"
#include "backend/cpu/simd.h"
#include "base/minmax.h"
#include "base/random.h"

/* ---- norm ---- */

static void rows_norm(const void *arguments, int64_t first, int64_t end)
{
    const struct norm_args *norm = arguments;
    const int64_t columns = norm->columns;
    for (int64_t row = first; row < end; row++) {
        const float *x = norm->x + row * columns;
        const float *residual = norm->residual ? norm->residual + row * columns : NULL;
        float *sum = norm->sum ? norm->sum + row * columns : NULL;
        vec squares = vec_zero();
        for (int64_t i = 0; i < columns; i += VEC) {
            vec s = vec_load_left(x + i, columns - i);
            s = residual ? vec_add(s, vec_load_left(residual + i, columns - i)) : s;
            squares = vec_fma(s, s, squares);
        }
        float rstd = 1.0f / sqrtf(vec_sum(squares) / (float)columns + norm->epsilon);
        for (int64_t i = 0; i < columns; i += VEC) {
            vec s = vec_load_left(x + i, columns - i);
            s = residual ? vec_add(s, vec_load_left(residual + i, columns - i)) : s;
            if (sum) {
                vec_store_left(sum + i, s, columns - i);
            }
            vec scaled = vec_mul(vec_mul(s, vec_set(rstd)), vec_load_left(norm->weight + i, columns - i));
            vec_store_of(norm->y, row * columns + i, norm->y_dtype, scaled, columns - i);
        }
        if (norm->rstd) {
            norm->rstd[row] = rstd;
        }
    }
}

/* dx += rstd (g - h mean(g h)) with g = dy * weight, h = s * rstd */
static void rows_norm_backward(const void *arguments, int64_t first, int64_t end)
{
    const struct norm_backward_args *norm = arguments;
    const int64_t columns = norm->columns;
    for (int64_t row = first; row < end; row++) {
        const float *dy = norm->dy + row * columns;
        const float *s = norm->s + row * columns;
        float *dx = norm->dx + row * columns;
        const float rstd = norm->rstd[row];
        vec products = vec_zero();
        for (int64_t i = 0; i < columns; i += VEC) {
            vec g = vec_mul(vec_load_left(dy + i, columns - i), vec_load_left(norm->weight + i, columns - i));
            products = vec_fma(g, vec_load_left(s + i, columns - i), products);
        }
        const vec along = vec_set(-(vec_sum(products) / (float)columns) * rstd * rstd);
        for (int64_t i = 0; i < columns; i += VEC) {
            vec g = vec_mul(vec_load_left(dy + i, columns - i), vec_load_left(norm->weight + i, columns - i));
            g = vec_fma(vec_load_left(s + i, columns - i), along, g);
            vec_store_left(dx + i, vec_fma(g, vec_set(rstd), vec_load_left(dx + i, columns - i)), columns - i);
        }
    }
}

static void columns_norm_weight_backward(const void *arguments, int64_t first, int64_t end)
{
    const struct norm_backward_args *norm = arguments;
    for (int64_t i = first; i < end; i += VEC) {
        vec sum = vec_zero();
        for (int64_t row = 0; row < norm->rows; row++) {
            const int64_t at = row * norm->columns + i;
            vec h = vec_mul(vec_load_left(norm->s + at, end - i), vec_set(norm->rstd[row]));
            sum = vec_fma(vec_load_left(norm->dy + at, end - i), h, sum);
        }
        vec_store_left(norm->dweight + i, vec_add(vec_load_left(norm->dweight + i, end - i), sum), end - i);
    }
}

/* ---- scores ---- */

static void rows_score(const void *arguments, int64_t first, int64_t end)
{
    const struct score_args *score = arguments;
    const int64_t columns = score->columns;
    for (int64_t row = first; row < end; row++) {
        const float *x = score->x + row * columns;
        vec products = vec_zero();
        for (int64_t i = 0; i < columns; i += VEC) {
            products = vec_fma(vec_load_left(x + i, columns - i), vec_load_left(score->w + i, columns - i), products);
        }
        score->y[row] = vec_sum(products);
    }
}

static void rows_score_backward(const void *arguments, int64_t first, int64_t end)
{
    const struct score_backward_args *score = arguments;
    const int64_t columns = score->columns;
    for (int64_t row = first; row < end; row++) {
        float *dx = score->dx + row * columns;
        const vec dy = vec_set(score->dy[row]);
        for (int64_t i = 0; i < columns; i += VEC) {
            vec_store_left(dx + i, vec_mul(dy, vec_load_left(score->w + i, columns - i)), columns - i);
        }
    }
}

static void columns_score_weight_backward(const void *arguments, int64_t first, int64_t end)
{
    const struct score_backward_args *score = arguments;
    for (int64_t i = first; i < end; i += VEC) {
        vec sum = vec_zero();
        for (int64_t row = 0; row < score->rows; row++) {
            sum = vec_fma(vec_set(score->dy[row]), vec_load_left(score->x + row * score->columns + i, end - i), sum);
        }
        vec_store_left(score->dw + i, vec_add(vec_load_left(score->dw + i, end - i), sum), end - i);
    }
}

/* ---- sums over rows, by column ---- */

static void columns_bias(const void *arguments, int64_t first, int64_t end)
{
    const struct linear_weight_backward_args *linear = arguments;
    for (int64_t i = first; i < end; i += VEC) {
        vec sum = vec_zero();
        for (int64_t row = 0; row < linear->rows; row++) {
            sum = vec_add(sum, vec_load_of(linear->dy, row * linear->outputs + i, linear->dy_dtype, end - i));
        }
        vec_store_left(linear->dbias + i, vec_add(vec_load_left(linear->dbias + i, end - i), sum), end - i);
    }
}

static void columns_embed_backward(const void *arguments, int64_t first, int64_t end)
{
    const struct embed_backward_args *embed = arguments;
    const vec scale = vec_set(embed->scale);
    for (int64_t row = 0; row < embed->rows; row++) {
        const float *dout = embed->dout + row * embed->columns;
        float *dtable = embed->dtable + (int64_t)embed->ids[row] * embed->columns;
        for (int64_t i = first; i < end; i += VEC) {
            vec sum = vec_fma(scale, vec_load_left(dout + i, end - i), vec_load_left(dtable + i, end - i));
            vec_store_left(dtable + i, sum, end - i);
        }
    }
}

static void columns_scatter_add(const void *arguments, int64_t first, int64_t end)
{
    const struct rows_args *rows = arguments;
    for (int64_t row = 0; row < rows->rows; row++) {
        const float *src = rows->src + row * rows->columns;
        float *dst = rows->dst + (int64_t)rows->index[row] * rows->columns;
        for (int64_t i = first; i < end; i += VEC) {
            vec sum = vec_add(vec_load_left(dst + i, end - i), vec_load_left(src + i, end - i));
            vec_store_left(dst + i, sum, end - i);
        }
    }
}

/* ---- rotary positions ---- */

#define ROTATION_CHUNK 64 /* pairs whose angles are at hand at a time */

/*
 * Sine and cosine of angles below 10^6, right to the last bit of an f32 but in rare ties: in double, the angle less the
 * nearest multiple n of pi / 2 (in two parts, so that n times the first is exact), and the Taylor series to r^12.
 */
static void sines(float *sine, float *cosine, const float *angles, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        double angle = (double)angles[i];
        double n = angle * 0.63661977236758134308 + 6755399441055744.0 - 6755399441055744.0;
        double r = angle - n * 1.57079632673412561417e+00 - n * 6.07710050650619224932e-11;
        double r2 = r * r;
        double s =
            r +
            r * r2 * (-1.0 / 6 + r2 * (1.0 / 120 + r2 * (-1.0 / 5040 + r2 * (1.0 / 362880 + r2 * (-1.0 / 39916800)))));
        double c =
            1 + r2 * (-1.0 / 2 +
                      r2 * (1.0 / 24 +
                            r2 * (-1.0 / 720 + r2 * (1.0 / 40320 + r2 * (-1.0 / 3628800 + r2 * (1.0 / 479001600))))));
        int32_t quadrant = (int32_t)n;
        double turned_sine = quadrant & 1 ? c : s;
        double turned_cosine = quadrant & 1 ? s : c;
        sine[i] = (float)(quadrant & 2 ? -turned_sine : turned_sine);
        cosine[i] = (float)((quadrant + 1) & 2 ? -turned_cosine : turned_cosine);
    }
}

static void far_sines(float *sine, float *cosine, const float *angles, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        sine[i] = (float)sin((double)angles[i]);
        cosine[i] = (float)cos((double)angles[i]);
    }
}

static void rows_rotation(const void *arguments, int64_t first, int64_t end)
{
    const struct rotation_args *rotation = arguments;
    const int64_t half = rotation->rotary / 2;
    float angles[ROTATION_CHUNK];
    for (int64_t row = first; row < end; row++) {
        for (int64_t pair = 0; pair < half; pair += ROTATION_CHUNK) {
            const int64_t pairs = min(half - pair, ROTATION_CHUNK);
            float *cosine = rotation->table + row * rotation->rotary + pair, *sine = cosine + half;
            bool far = false;
            for (int64_t i = 0; i < pairs; i++) {
                angles[i] = (float)rotation->positions[row] * rotation->frequencies[pair + i];
                far = far || !(fabsf(angles[i]) < 1e6f);
            }
            (far ? far_sines : sines)(sine, cosine, angles, pairs);
            for (int64_t i = 0; i < pairs; i++) {
                cosine[i] *= rotation->attention_factor;
                sine[i] *= rotation->attention_factor;
            }
        }
    }
}

static void rows_rope(const void *arguments, int64_t first, int64_t end)
{
    const struct rope_args *rope = arguments;
    const int64_t half = rope->rotary / 2;
    for (int64_t row = first; row < end; row++) {
        const float *cosine = rope->table + row * rope->rotary, *sine = cosine + half;
        for (int64_t head = 0; head < rope->heads; head++) {
            float *a = rope->x + (row * rope->heads + head) * rope->head_size, *b = a + half;
            for (int64_t i = 0; i < half; i += VEC) {
                const int64_t left = half - i;
                const vec va = vec_load_left(a + i, left), vb = vec_load_left(b + i, left);
                const vec c = vec_load_left(cosine + i, left), forward = vec_load_left(sine + i, left);
                const vec s = rope->inverse ? vec_sub(vec_zero(), forward) : forward;
                vec_store_left(a + i, vec_sub(vec_mul(va, c), vec_mul(vb, s)), left);
                vec_store_left(b + i, vec_add(vec_mul(vb, c), vec_mul(va, s)), left);
            }
        }
    }
}

/* ---- dropout ---- */

#define DROPOUT_COLUMNS (4 * VEC) /* drawn at a time: a counter of Philox gives four */

/*
 * Where column first + 4 VEC / 4 .. of a row stands (`keep` or 0): the words of VEC counters as random_philox() has
 * them, all in step. Lane p holds counter first / 4 + (p % 4) VEC / 4 + p / 4, so that turning fours puts columns in
 * order.
 */
static void dropout_mask(vec mask[4], const uint32_t key[2], uint64_t a, uint32_t counter, uint32_t stream,
                         uint32_t threshold, float keep)
{
    uint32_t order[VEC];
    for (uint32_t lane = 0; lane < VEC; lane++) {
        order[lane] = counter + lane % 4 * (VEC / 4) + lane / 4;
    }
    ivec x0 = ivec_set((uint32_t)a), x1 = ivec_set((uint32_t)(a >> 32)), x2 = ivec_load(order), x3 = ivec_set(stream);
    uint32_t key0 = key[0], key1 = key[1];
    for (int round = 0; round < 10; round++) {
        ivec high0, high1;
        const ivec low0 = ivec_multiply(x0, 0xD2511F53u, &high0), low1 = ivec_multiply(x2, 0xCD9E8D57u, &high1);
        x0 = ivec_xor(ivec_xor(high1, x1), ivec_set(key0));
        x2 = ivec_xor(ivec_xor(high0, x3), ivec_set(key1));
        x1 = low1;
        x3 = low0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    const ivec words[4] = {x0, x1, x2, x3};
    for (int i = 0; i < 4; i++) {
        mask[i] = vec_if_below(words[i], ivec_set(threshold), vec_zero(), vec_set(keep));
    }
    vec_turn_fours(mask);
}

static void mask_rows(const struct masked_rows *rows)
{
    const struct dropout *dropout = &rows->mask->dropout;
    const uint32_t threshold = (uint32_t)ceil((double)dropout->probability * 4294967296.0);
    const float keep = 1.0f / (1.0f - dropout->probability);
    uint32_t key[2];
    random_key(key, dropout->seed, RANDOM_DROPOUT);
    for (int32_t row = 0; row < rows->rows; row++) {
        const uint64_t token = dropout->keys[rows->first_row + row];
        const void *x = operand_at(&rows->x, (size_t)row, 0);
        float *to = rows->to + (size_t)row * rows->to_stride;
        for (int32_t column = 0; column < rows->columns; column += DROPOUT_COLUMNS) {
            vec mask[4];
            const uint32_t counter = (uint32_t)(rows->first_column + column) / 4;
            dropout_mask(mask, key, token, counter, rows->mask->stream, threshold, keep);
            for (int32_t i = column, v = 0; v < 4 && i < rows->columns; i += VEC, v++) {
                const int64_t left = rows->columns - i;
                const vec value = vec_load_of(x, i, rows->x.dtype, left);
                /* A dropped infinity is 0, not NaN. */
                vec kept = vec_if_less(mask[v], vec_set(1), vec_zero(), vec_mul(value, mask[v]));
                if (rows->accumulate) {
                    kept = vec_add(vec_load_left(to + i, left), kept);
                }
                vec_store_left(to + i, kept, left);
            }
        }
    }
}

/* ---- logits ---- */

#define LOGIT_BLOCK 2048 /* elements summed in f32 before they go into a sum in double */

static float row_largest(const float *z, int64_t count, int32_t *where)
{
    vec largest = vec_set(-INFINITY);
    for (int64_t i = 0; i < count; i += VEC) {
        vec values =
            count - i >= VEC ? vec_load(z + i) : vec_first(count - i, vec_load_some(z + i, count - i), largest);
        largest = vec_max(largest, values);
    }
    float result = vec_largest(largest);
    int64_t i = 0;
    while (i < count - 1 && z[i] != result) {
        i++;
    }
    *where = z[i] == result ? (int32_t)i : 0;
    return result;
}

/* log-sum-exp, log-probability, entropy and arg-max of rows of logits */
static void rows_logit_statistics(const void *arguments, int64_t first, int64_t end)
{
    const struct logit_rows *logits = arguments;
    for (int64_t row = first; row < end; row++) {
        const float *z = logits->z + (size_t)row * logits->stride;
        int32_t where;
        const float largest = row_largest(z, logits->vocabulary, &where);
        double sum = 0, weighted = 0;
        for (int64_t block = 0; block < logits->vocabulary; block += LOGIT_BLOCK) {
            const int64_t left = logits->vocabulary - block;
            const int64_t count = min(left, LOGIT_BLOCK);
            vec block_sum = vec_zero(), block_weighted = vec_zero();
            for (int64_t i = 0; i < count; i += VEC) {
                vec shifted = vec_sub(vec_load_left(z + block + i, count - i), vec_set(largest));
                vec e = vec_exp(shifted);
                e = count - i < VEC ? vec_first(count - i, e, vec_zero()) : e;
                block_sum = vec_add(block_sum, e);
                block_weighted = vec_fma(e, shifted, block_weighted);
            }
            sum += (double)vec_sum(block_sum);
            weighted += (double)vec_sum(block_weighted);
        }
        const double log_sum = log(sum);
        const double lse = (double)largest + log_sum;
        logits->lse[row] = (float)lse;
        logits->logprob[row] = (float)((double)z[logits->targets[row]] - lse);
        if (logits->entropy) {
            logits->entropy[row] = (float)(log_sum - weighted / sum);
        }
        if (logits->argmax) {
            logits->argmax[row] = where;
        }
    }
}

/* z = inverse_temperature * dz, from the logits in z */
static void rows_logit_gradient(const void *arguments, int64_t first, int64_t end)
{
    const struct logit_rows *logits = arguments;
    for (int64_t row = first; row < end; row++) {
        float *z = logits->z + (size_t)row * logits->stride;
        const float dlogprob = logits->dlogprob[row] * logits->inverse_temperature;
        const float dentropy = logits->dentropy ? logits->dentropy[row] * logits->inverse_temperature : 0;
        const float entropy = logits->dentropy ? logits->entropy[row] : 0;
        /* dz = p (-dlogprob - dentropy (log p + entropy)), and dlogprob more at the target */
        const vec slope = vec_set(-dentropy), constant = vec_set(-dlogprob - dentropy * entropy);
        for (int64_t i = 0; i < logits->vocabulary; i += VEC) {
            const int64_t left = logits->vocabulary - i;
            vec log_p = vec_sub(vec_load_left(z + i, left), vec_set(logits->lse[row]));
            vec_store_left(z + i, vec_mul(vec_exp(log_p), vec_fma(slope, log_p, constant)), left);
        }
        z[logits->targets[row]] += dlogprob;
    }
}

#endif
