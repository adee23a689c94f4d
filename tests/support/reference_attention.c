/* tests/support/reference_attention.c - rotary positions and attention of the reference table. */
#include "support/reference_internal.h"
#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- rotary positions ---- */

void reference_rotation(struct backend *backend, const struct rotation_args *a)
{
    (void)backend;
    int64_t half = a->rotary / 2;
    for (int64_t r = 0; r < a->rows; r++) {
        for (int64_t i = 0; i < half; i++) {
            float angle = (float)a->positions[r] * a->frequencies[i];
            a->table[r * a->rotary + i] = (float)(cos(angle) * a->attention_factor);
            a->table[r * a->rotary + half + i] = (float)(sin(angle) * a->attention_factor);
        }
    }
}

void reference_rope(struct backend *backend, const struct rope_args *a)
{
    (void)backend;
    int64_t half = a->rotary / 2;
    for (int64_t r = 0; r < a->rows; r++) {
        const float *cosines = a->table + r * a->rotary, *sines = cosines + half;
        for (int64_t head = 0; head < a->heads; head++) {
            float *x = a->x + (r * a->heads + head) * a->head_size;
            for (int64_t i = 0; i < half; i++) {
                double cosine = cosines[i], sine = a->inverse ? -sines[i] : sines[i];
                double first = x[i], second = x[i + half];
                x[i] = (float)(first * cosine - second * sine);
                x[i + half] = (float)(second * cosine + first * sine);
            }
        }
    }
}

/* ---- attention ---- */

/* How many keys a query row sees: the parent's, and its span's own up to itself. */
static int64_t keys_seen(const struct attention_span *span, int64_t query)
{
    return span->parent_keys + span->keys - span->queries + (query - span->query) + 1;
}

/* The row of k and v of the n-th of them. */
static int64_t key_row(const struct attention_span *span, int64_t n)
{
    return n < span->parent_keys ? span->parent + n : span->key + (n - span->parent_keys);
}

static bool sees(const struct attention_span *span, int64_t query, int64_t key)
{
    bool in_parent = key >= span->parent && key < span->parent + span->parent_keys;
    bool in_own = key >= span->key && key <= span->key + span->keys - span->queries + (query - span->query);
    return in_parent || in_own;
}

static void attention_row(struct backend *backend, const struct attention_args *a, const struct attention_span *span,
                          int64_t query, int64_t head)
{
    int64_t size = a->head_size, stride = a->kv_heads * size, kv_head = head / (a->heads / a->kv_heads);
    const float *q = a->q + (query * a->heads + head) * size;
    double *out = reference(backend)->wide;
    double largest = -INFINITY, sum = 0;
    for (int64_t n = 0; n < keys_seen(span, query); n++) {
        const float *k = a->k + key_row(span, n) * stride + kv_head * size;
        largest = fmax(largest, a->scale * dot(backend, q, 1, k, 1, size));
    }
    memset(out, 0, (size_t)size * sizeof *out);
    for (int64_t n = 0; n < keys_seen(span, query); n++) {
        const float *k = a->k + key_row(span, n) * stride + kv_head * size;
        const float *v = a->v + key_row(span, n) * stride + kv_head * size;
        double weight = exp(a->scale * dot(backend, q, 1, k, 1, size) - largest);
        sum += weight;
        for (int64_t i = 0; i < size; i++) {
            out[i] += weight * operand(backend, v[i]);
        }
    }
    for (int64_t i = 0; i < size; i++) {
        a->out[(query * a->heads + head) * size + i] = (float)(out[i] / sum);
    }
    if (a->lse) {
        a->lse[query * a->heads + head] = (float)(largest + log(sum));
    }
}

void reference_attention(struct backend *backend, const struct attention_args *a)
{
    assert(a->head_size <= reference(backend)->limits.head_size);
    for (int64_t s = 0; s < a->span_count; s++) {
        const struct attention_span *span = &a->spans[s];
        for (int64_t query = span->query; query < span->query + span->queries; query++) {
            for (int64_t head = 0; head < a->heads; head++) {
                attention_row(backend, a, span, query, head);
            }
        }
    }
}

/* Of one query head and one key: p = exp(scale q k - lse), and the gradient of the score by p (dout v - dout out). */
struct attention_pair {
    double probability, dscore;
};

static struct attention_pair attention_pair(const struct backend *backend, const struct attention_backward_args *a,
                                            int64_t query, int64_t head, int64_t key)
{
    int64_t size = a->head_size, at_query = (query * a->heads + head) * size;
    int64_t at_key = (key * a->kv_heads + head / (a->heads / a->kv_heads)) * size;
    const float *dout = a->dout + at_query;
    double score = a->scale * dot(backend, a->q + at_query, 1, a->k + at_key, 1, size);
    double dprobability = dot(backend, dout, 1, a->v + at_key, 1, size);
    double delta = 0;
    for (int64_t i = 0; i < size; i++) {
        delta += (double)dout[i] * a->out[at_query + i];
    }
    double p = exp(score - a->lse[query * a->heads + head]);
    return (struct attention_pair){p, p * (dprobability - delta)};
}

static void attention_query_backward(struct backend *backend, const struct attention_backward_args *a,
                                     const struct attention_span *span, int64_t query, int64_t head)
{
    int64_t size = a->head_size, kv_head = head / (a->heads / a->kv_heads);
    double *dq = reference(backend)->wide;
    memset(dq, 0, (size_t)size * sizeof *dq);
    for (int64_t n = 0; n < keys_seen(span, query); n++) {
        int64_t key = key_row(span, n);
        struct attention_pair pair = attention_pair(backend, a, query, head, key);
        for (int64_t i = 0; i < size; i++) {
            dq[i] += a->scale * pair.dscore * operand(backend, a->k[(key * a->kv_heads + kv_head) * size + i]);
        }
    }
    for (int64_t i = 0; i < size; i++) {
        a->dq[(query * a->heads + head) * size + i] = (float)dq[i];
    }
}

/* Sums what every query of every span that sees the key gives to its dk and dv. */
static void attention_key_backward(struct backend *backend, const struct attention_backward_args *a, int64_t key,
                                   int64_t kv_head)
{
    int64_t size = a->head_size, group = a->heads / a->kv_heads, at_key = (key * a->kv_heads + kv_head) * size;
    double *dk = reference(backend)->wide, *dv = dk + size;
    memset(dk, 0, 2 * (size_t)size * sizeof *dk);
    for (int64_t s = 0; s < a->span_count; s++) {
        const struct attention_span *span = &a->spans[s];
        for (int64_t query = span->query; query < span->query + span->queries; query++) {
            for (int64_t head = kv_head * group; sees(span, query, key) && head < (kv_head + 1) * group; head++) {
                struct attention_pair pair = attention_pair(backend, a, query, head, key);
                int64_t at_query = (query * a->heads + head) * size;
                for (int64_t i = 0; i < size; i++) {
                    dk[i] += a->scale * pair.dscore * operand(backend, a->q[at_query + i]);
                    dv[i] += pair.probability * operand(backend, a->dout[at_query + i]);
                }
            }
        }
    }
    for (int64_t i = 0; i < size; i++) {
        a->dk[at_key + i] = (float)dk[i];
        a->dv[at_key + i] = (float)dv[i];
    }
}

void reference_attention_backward(struct backend *backend, const struct attention_backward_args *a)
{
    assert(a->head_size <= reference(backend)->limits.head_size);
    for (int64_t s = 0; s < a->span_count; s++) {
        const struct attention_span *span = &a->spans[s];
        assert(span->key == span->query && span->keys == span->queries);
        for (int64_t row = span->query; row < span->query + span->queries; row++) {
            for (int64_t head = 0; head < a->heads; head++) {
                attention_query_backward(backend, a, span, row, head);
            }
            for (int64_t kv_head = 0; kv_head < a->kv_heads; kv_head++) {
                attention_key_backward(backend, a, row, kv_head);
            }
        }
    }
}
