/*
 * backend/backend.h - what a device computes: one table of operations.
 *
 * The model, the adapters and the optimizer speak to this table only. backend/cpu implements it; tests/backend holds a
 * naive reference table (plain loops, f64 sums) and a guarded table that behaves like a device far away.
 *
 * Memory. Pointers in operation arguments are device pointers: memory from alloc(), or inside it. The host may not read
 * or write them; upload() and download() copy. On the CPU they happen to be ordinary memory, and nothing may rely on
 * it.
 *
 * Order. Operations run in the order of the calls, perhaps later; synchronize() waits for all of them. The args struct
 * is read during the call, what it points to while the operation runs. Uploads take their place in the same order (the
 * host bytes are copied during the call), and so do downloads; what a download brings is there after wait().
 *
 * Rows. The result for one row of x depends on that row and the weights only: not on `rows`, nor on the number of
 * threads, bit for bit. Sums over k go in one fixed order. (Sums over rows, as in weight gradients, go from the first
 * row to the last.)
 *
 * Numbers. Activations, gradients, and master weights are f32; a prepared weight is what the backend makes of it. With
 * `compute` DTYPE_BF16 the operands of products are rounded to bf16 and summed in f32; all else is f32 either way. Rows
 * that only products read may then be kept in bf16, with the same results: arguments with a `..._dtype` of DTYPE_BF16,
 * which needs that `compute`. DTYPE_F32, what is not said, is the default.
 * Matrices are row-major without gaps, [rows, columns], outermost first; every size is at least 1.
 *
 * Errors. An operation does not fail by its arguments (that is an assert); a device that breaks says so at
 * synchronize().
 *
 * Words: "set" means overwritten, "added to" means +=. A NULL pointer is allowed where the comment says "or NULL".
 */
#ifndef ATTUNE_BACKEND_BACKEND_H
#define ATTUNE_BACKEND_BACKEND_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype { DTYPE_F32, DTYPE_BF16, DTYPE_F16 };
size_t dtype_size(enum dtype dtype);
const char *dtype_name(enum dtype dtype); /* "f32", "bf16", "f16" */

/* ---- weights ---- */

/*
 * A matrix [rows, columns] = [outputs, inputs] in the form a backend's products want it, packed once. `uses` says which
 * operations will be asked of it, so that no form is kept that nobody reads.
 */
enum weight_use {
    WEIGHT_FORWARD = 1,  /* linear: y = x W^T, and the vocabulary operation */
    WEIGHT_BACKWARD = 2, /* linear_backward: dx = dy W */
    WEIGHT_LOOKUP = 4,   /* embed: rows by number */
};
struct weight_shape {
    int32_t rows, columns;
    enum dtype dtype; /* of the source; frozen bf16 weights lose nothing when the backend keeps them as bf16 */
    unsigned uses;    /* of enum weight_use */
};
struct weight; /* begins with a struct weight_shape */
const struct weight_shape *weight_shape(const struct weight *weight);

/* ---- arguments, one struct an operation ---- */

/* out[t] = scale * table[ids[t]]                                     out [rows, columns of the table] set */
struct embed_args {
    const struct weight *table; /* WEIGHT_LOOKUP */
    const int32_t *ids;         /* [rows], each 0 .. table rows - 1 */
    float *out;
    int32_t rows;
    float scale;
};

/* dtable[ids[t]] += scale * dout[t], t ascending                      dtable [vocabulary, columns] added to */
struct embed_backward_args {
    const int32_t *ids;
    const float *dout; /* [rows, columns] */
    float *dtable;
    int32_t rows, columns, vocabulary;
    float scale;
};

/*
 * RMS norm (Zhang & Sennrich 2019), with the residual addition in front of it:
 *     s = x + residual;  rstd = 1 / sqrt(mean(s^2) + epsilon);  y = s * rstd * weight
 */
struct norm_args {
    const float *x;        /* [rows, columns] */
    const float *residual; /* [rows, columns] or NULL: s = x */
    const float *weight;   /* [columns], f32 */
    float *sum;            /* s [rows, columns] set, or NULL; may be x */
    void *y;               /* [rows, columns] of y_dtype, set; in f32 may be x */
    float *rstd;           /* [rows] set, or NULL */
    int32_t rows, columns;
    float epsilon;
    enum dtype y_dtype;
};

/* Gradient of norm by s and by weight. dx gets the gradient of s on top of what it holds (the residual stream). */
struct norm_backward_args {
    const float *dy, *s, *rstd, *weight;
    float *dx;      /* [rows, columns] added to */
    float *dweight; /* [columns] added to, or NULL */
    int32_t rows, columns;
};

/*
 * Dropout of the rows that low-rank terms read: drop(x) = x * mask / (1 - probability), with a mask for each stream (a
 * place in the model). It is made of Philox words of (seed, RANDOM_DROPOUT, keys[row], stream << 32 | column / 4): word
 * column % 4 below probability * 2^32 drops. A dropped infinity is 0.
 */
struct dropout {
    const uint64_t *keys; /* [rows]: names the token whatever batch it is in; NULL: nothing is dropped */
    uint64_t seed;
    float probability; /* 0 .. below 1 */
};

/*
 * Linear layers that read the same x: for each y = x W^T + bias + u B^T, u = scale * drop(x) A^T. A layer has its
 * low-rank term (LoRA: Hu et al. 2022) whole, or a, b and u are NULL.
 */
#define LINEAR_GROUP 3 /* q, k and v */
struct linear_layer {
    const struct weight *w; /* WEIGHT_FORWARD */
    const float *bias;      /* [w rows] or NULL */
    const struct weight *a; /* [rank, w columns], WEIGHT_FORWARD */
    const struct weight *b; /* [w rows, rank], WEIGHT_FORWARD */
    float *u;               /* [rows, rank] set */
    float *y;               /* [rows, w rows] set, or NULL: only u is wanted */
    float scale;            /* of u */
    uint32_t stream;        /* of dropout */
};
struct linear_args {
    const void *x; /* [rows, w columns] of x_dtype */
    struct linear_layer layers[LINEAR_GROUP];
    int32_t layer_count, rows;
    enum dtype x_dtype;
    struct dropout dropout; /* keys given only where a layer has a low-rank term */
};

/*
 * The gradient by the input of such layers: dx = sum over them of dy W + drop(du A), du = scale * dy B; du is set
 * before dx. A low-rank term's gradient passes the mask that its input passed: with dropout, the sum over all dy W
 * comes first.
 */
struct linear_gradient {
    const void *dy;         /* [rows, w rows] of dy_dtype */
    const struct weight *w; /* WEIGHT_BACKWARD */
    const struct weight *b; /* [w rows, rank], WEIGHT_BACKWARD, or NULL */
    const struct weight *a; /* [rank, w columns], WEIGHT_BACKWARD; with b, or NULL */
    float *du;              /* [rows, rank] set; with b, or NULL */
    float scale;            /* of du */
    uint32_t stream;        /* of dropout */
};
struct linear_backward_args {
    struct linear_gradient layers[LINEAR_GROUP];
    float *dx; /* [rows, w columns] set, or NULL */
    int32_t layer_count, rows;
    enum dtype dy_dtype;
    struct dropout dropout; /* as in linear */
};

/* dw += scale * dy^T drop(x);  dbias += sum over rows of dy: the gradients by the weights. */
struct linear_weight_backward_args {
    const void *dy; /* [rows, outputs] of dy_dtype */
    const void *x;  /* [rows, inputs] of x_dtype */
    float *dw;      /* [outputs, inputs] added to, or NULL */
    float *dbias;   /* [outputs] added to, or NULL; in bf16 the sum of what dy holds */
    int32_t rows, outputs, inputs;
    float scale;
    enum dtype dy_dtype, x_dtype;
    struct dropout dropout; /* of x, for the a of a low-rank term */
    uint32_t stream;
};

/*
 * Rotary positions (Su et al. 2021) in the half-split form of Hugging Face. rotation sets, for pair i < rotary / 2,
 *     table[r][i] = attention_factor cos(angle);  table[r][rotary/2 + i] = attention_factor sin(angle)
 * with angle = position * frequencies[i], taken in f32 as transformers does: (float)position * frequency. rope turns
 * pair i of every head by it, in place, `inverse` the other way (the gradient):
 *     (a, b) = (x[i], x[i + rotary/2]);  x[i] = a cos - b sin;  x[i + rotary/2] = b cos + a sin
 */
struct rotation_args {
    const int32_t *positions; /* [rows] */
    const float *frequencies; /* [rotary / 2] */
    float *table;             /* [rows, rotary] set */
    int32_t rows, rotary;
    float attention_factor;
};
struct rope_args {
    float *x;           /* [rows, heads * head_size] */
    const float *table; /* [rows, rotary] */
    int32_t rows, heads, head_size, rotary;
    bool inverse;
};

/*
 * Who attends to what. A span's queries are rows query .. query + queries - 1 of q; they see the keys of the parent
 * (all of them) and the span's own keys causally: the last query sees all own keys, the one before it all but one, and
 * so on. In training own keys are the span's own tokens (key == query, keys == queries). In generation k and v are a
 * cache, and the queries are the newest of `keys` tokens. Spans of a family stand together, the parent's own span
 * first, so one owner sums what children add to the parent's keys, in their order.
 */
struct attention_span {
    int32_t query, queries;
    int32_t key, keys;           /* own keys: rows of k and v; keys >= queries */
    int32_t parent, parent_keys; /* rows of k and v; parent_keys 0: none */
};

/* What the host knows of spans, to size work by without reading device memory. */
struct attention_extent {
    int32_t rows;            /* of q: every query is below */
    int32_t longest_queries; /* the most queries of a span */
    int32_t longest_keys;    /* the most keys that a span sees, its parent's among them */
};
struct attention_extent attention_extent(const struct attention_span *spans, int32_t count); /* spans: host memory */

/* out = softmax(scale * q k^T) v by head; query head h uses key head h / (heads / kv_heads). Nothing of size [T, T] is
 * kept. */
struct attention_args {
    const float *q;                     /* [rows of q, heads * head_size] */
    const float *k, *v;                 /* [rows of k, kv_heads * head_size] */
    const struct attention_span *spans; /* [span_count] */
    float *out;                         /* as q, set */
    float *lse;                         /* [rows of q, heads] set: log of the sum of exp(scale * q k); or NULL */
    struct attention_extent extent;
    int32_t span_count, heads, kv_heads, head_size;
    float scale;
};

/* Gradient of attention (FlashAttention-2, Dao 2023, section 3.1.2): dq, dk and dv of every row a span covers are set.
 * Training spans only. */
struct attention_backward_args {
    const float *q, *k, *v, *out, *lse, *dout;
    const struct attention_span *spans; /* key == query, keys == queries, each row in one span */
    float *dq, *dk, *dv;
    struct attention_extent extent;
    int32_t span_count, heads, kv_heads, head_size;
    float scale;
};

/* out = silu(gate) * up, silu(z) = z / (1 + exp(-z)) */
struct gated_args {
    const float *gate, *up; /* [count] */
    void *out;              /* of out_dtype, set; in f32 may be gate or up */
    int64_t count;
    enum dtype out_dtype;
};
/* The outputs are of out_dtype; in f32 each may be any of the inputs at the same place. */
struct gated_backward_args {
    const float *gate, *up, *dout;
    void *dgate, *dup; /* set */
    void *out;         /* as gated sets it, for the weight gradients behind it; or NULL */
    int64_t count;
    enum dtype out_dtype;
};

/*
 * The vocabulary operation. For row r with logits z = (x W^T) * inverse_temperature and p = softmax(z):
 *     lse = log sum exp z;  logprob = z[target] - lse;  entropy = lse - sum p z;  argmax = the first largest z
 * Logits exist only for a chunk of rows at a time.
 *
 * The backward slot recomputes them. For a loss L with dlogprob = dL/dlogprob and dentropy = dL/dentropy:
 *     dz = dlogprob (onehot - p) - dentropy p (log p + entropy)
 *     dx = inverse_temperature dz W;  dw += inverse_temperature dz^T x
 * The "both" slot does the two in one pass where dlogprob does not depend on the outcome (SFT); dentropy must be NULL
 * there.
 */
struct vocabulary_args {
    const float *x;         /* [rows, columns] */
    const struct weight *w; /* [vocabulary, columns]; WEIGHT_FORWARD, for gradients WEIGHT_BACKWARD too */
    const int32_t *targets; /* [rows] */
    float *logprob;         /* [rows]; forward and both: set */
    float *lse;             /* [rows]; forward and both: set; backward: read */
    float *entropy;         /* [rows] or NULL; forward: set; backward: read where dentropy is given */
    int32_t *argmax;        /* [rows] or NULL; forward and both: set */
    const float *dlogprob;  /* [rows]; backward and both */
    const float *dentropy;  /* [rows] or NULL; backward */
    float *dx;              /* [rows, columns]; backward and both: set */
    float *dw;              /* [vocabulary, columns] added to, or NULL; backward and both */
    int32_t rows;
    float inverse_temperature;
};

/*
 * One number a row: y[r] = sum over c of x[r, c] w[c]. The score of a reward model, the value of a critic; in f32 on
 * every backend, since one rounded dot product decides them.
 */
struct score_args {
    const float *x; /* [rows, columns] */
    const float *w; /* [columns] */
    float *y;       /* [rows] set */
    int32_t rows, columns;
};
/* dx[r] = dy[r] w;  dw += sum over rows of dy[r] x[r], r ascending */
struct score_backward_args {
    const float *dy;    /* [rows] */
    const float *x, *w; /* as in the forward pass */
    float *dx;          /* [rows, columns] set */
    float *dw;          /* [columns] added to, or NULL */
    int32_t rows, columns;
};

/* dst[i] = src[index[i]]                                              dst [rows, columns] set */
/* scatter: dst[index[i]] = src[i], indices distinct;  scatter_add: dst[index[i]] += src[i], i ascending */
struct rows_args {
    const float *src;
    float *dst;
    const int32_t *index; /* [rows] */
    int32_t rows, columns;
};

struct fill_args {
    float *x;
    int64_t count;
    float value;
};

/*
 * Trained tensors lie in arenas: one for the masters, one for the gradients and one for each moment, in which a tensor
 * has the same offset. A table of tensors is in ascending order, and none overlap; what lies between them is left
 * alone.
 */
struct arena_tensor {
    int64_t offset, count; /* in elements */
    int32_t decays;        /* 0: weight decay leaves it alone */
};

/* *out = sum of x^2 over the tensors, in double, in a fixed order: of each tensor, then tensor by tensor. */
struct sum_squares_args {
    const float *x;                     /* [count], an arena */
    const struct arena_tensor *tensors; /* [tensor_count] */
    double *out;                        /* [1] set */
    int64_t count;
    int32_t tensor_count;
};

/*
 * AdamW (Loshchilov & Hutter 2019) as torch.optim.AdamW: g = grad * scale; w -= lr * decay * w; m, v moving averages;
 * w -= lr / bias1 * m / (sqrt(v) / sqrt(bias2) + epsilon), bias1 = 1 - beta1^step, bias2 = 1 - beta2^step. As
 * torch.nn.utils.clip_grad_norm_ has it, scale = min(1, max_grad_norm / (norm + 1e-6)), in double, with norm the root
 * of *sum_squares; where that is not finite nothing is changed.
 */
struct adamw_args {
    float *master; /* [count], an arena, as grad, m and v */
    const float *grad;
    float *m, *v;
    const struct arena_tensor *tensors; /* [tensor_count] */
    const double *sum_squares;          /* [1], of grad */
    int64_t count;
    double lr, beta1, beta2, epsilon, decay, bias1, bias2;
    double max_grad_norm; /* 0: no clipping */
    int32_t tensor_count;
};

/* Prepares a weight anew from f32 values [rows, columns]. */
struct weight_update_args {
    struct weight *weight;
    const float *master;
};

/* slot, args struct */
#define BACKEND_OPERATIONS(X)                                                                                          \
    X(embed, embed_args)                                                                                               \
    X(embed_backward, embed_backward_args)                                                                             \
    X(norm, norm_args)                                                                                                 \
    X(norm_backward, norm_backward_args)                                                                               \
    X(linear, linear_args)                                                                                             \
    X(linear_backward, linear_backward_args)                                                                           \
    X(linear_weight_backward, linear_weight_backward_args)                                                             \
    X(rotation, rotation_args)                                                                                         \
    X(rope, rope_args)                                                                                                 \
    X(attention, attention_args)                                                                                       \
    X(attention_backward, attention_backward_args)                                                                     \
    X(gated, gated_args)                                                                                               \
    X(gated_backward, gated_backward_args)                                                                             \
    X(vocabulary, vocabulary_args)                                                                                     \
    X(vocabulary_backward, vocabulary_args)                                                                            \
    X(vocabulary_both, vocabulary_args)                                                                                \
    X(score, score_args)                                                                                               \
    X(score_backward, score_backward_args)                                                                             \
    X(gather_rows, rows_args)                                                                                          \
    X(scatter_rows, rows_args)                                                                                         \
    X(scatter_add_rows, rows_args)                                                                                     \
    X(fill, fill_args)                                                                                                 \
    X(sum_squares, sum_squares_args)                                                                                   \
    X(adamw, adamw_args)                                                                                               \
    X(weight_update, weight_update_args)

enum backend_operation {
#define X(name, args) BACKEND_##name,
    BACKEND_OPERATIONS(X)
#undef X
        BACKEND_OPERATION_COUNT
};

/* ---- the table ---- */

/* The largest calls to come, for scratch memory: operations never allocate. */
struct backend_limits {
    int32_t rows;       /* of any operation */
    int32_t columns;    /* widest input or output of a linear layer, the vocabulary aside */
    int32_t vocabulary; /* 0: no vocabulary operation */
    int32_t vocabulary_columns;
    int32_t spans, heads, kv_heads, head_size;
};
/* Each of *limits becomes the larger of the two. */
void backend_limits_widen(struct backend_limits *limits, const struct backend_limits *more);

struct pool;

/* What is asked of a device instead of being assumed. */
struct backend_traits {
    int32_t pass_tokens;    /* tokens of a pass through a model: a product over so many is as fast as a longer one */
    bool exact_rows;        /* the promise of Rows, above, holds for every operation */
    enum dtype activations; /* the smallest that rows which only products read may be kept in with the same results */
};

struct backend {
    const char *name;     /* "cpu (avx512, f32, 2 threads)" */
    const char *numerics; /* what decides the bits of the results: "cpu avx512 f32"; threads do not */
    enum dtype compute;   /* of products: DTYPE_F32 or DTYPE_BF16 */
    struct backend_traits traits;
    struct pool *pool; /* for work of the host between operations; NULL: the calling thread does it alone */

    /* Bytes that alloc() may still give; SIZE_MAX where nobody knows. */
    size_t (*memory_free)(struct backend *backend);
    /* Memory of `size` bytes, zeroed, aligned to 64. */
    int (*alloc)(struct backend *backend, void **out, size_t size, struct err *err);
    void (*release)(struct backend *backend, void *memory);
    void (*upload)(struct backend *backend, void *device, const void *host, size_t size);
    /* What stands in `device` then, on its way to `host`, which must live until wait() or synchronize(). */
    void (*download_begin)(struct backend *backend, void *host, const void *device, size_t size);
    /* Until all downloads that were begun have arrived; operations called after them may still run. */
    int (*wait)(struct backend *backend, struct err *err);
    int (*synchronize)(struct backend *backend, struct err *err);

    /* Bytes of device memory a weight of this shape takes. */
    size_t (*weight_size)(struct backend *backend, const struct weight_shape *shape);
    /*
     * Makes *out over `memory` (weight_size() bytes of alloc(), borrowed); source: host memory [rows, columns] of
     * shape->dtype, or NULL when a weight_update will fill it. Free with weight_free().
     */
    int (*weight_create)(struct backend *backend, struct weight **out, const struct weight_shape *shape, void *memory,
                         const void *source, struct err *err);
    void (*weight_free)(struct backend *backend, struct weight *weight);

    /* Bytes of scratch that reserve() will take. */
    size_t (*scratch_size)(struct backend *backend, const struct backend_limits *limits);
    /*
     * Takes the scratch that calls within these limits, or any reserved before, need. Called before the first
     * operation; weight_update alone needs none.
     */
    int (*reserve)(struct backend *backend, const struct backend_limits *limits, struct err *err);

    void (*free)(struct backend *backend);

#define X(name, args) void (*name)(struct backend * backend, const struct args *arguments);
    BACKEND_OPERATIONS(X)
#undef X
};

/* One download, waited for. */
int backend_download(struct backend *backend, void *host, const void *device, size_t size, struct err *err);

const char *backend_operation_name(enum backend_operation operation);

#endif
