/*
 * model/pass.h - one batch on its way through the model and back.
 *
 *     pass_create()      all memory, for the largest batch to come
 *     pass_load()        a batch goes to the device
 *     pass_forward()     token ids to final hidden states
 *     pass_predict()     log-probability, entropy and arg-max of the batch's predictions
 *     pass_backward()    one number per prediction (d loss / d log-prob) to the gradients of everything that is trained
 *
 * The adapter is an argument: a pass serves any overlay (or none) over the same base model, one after the other.
 *
 * Only rows that predict are computed behind the attention of the last layer: of the others nothing is read. A row may
 * predict more than once (the last one of a prompt that answers share), and is then computed as often.
 *
 * What the forward pass leaves for the backward pass, per layer: the residual stream before each half, q, k, v after
 * the rotation, the attention's output with its log-sum-exp, gate and up. Norms and the gated product are computed
 * again. With `checkpointing` only the layer's input is kept and the rest of the layer is run again, by the same
 * operations on the same numbers: gradients are bit-identical.
 *
 * Shapes: tokens T, hidden H, queries Q = heads * head_size, keys K = kv_heads * head_size, intermediate F.
 */
#ifndef ATTUNE_MODEL_PASS_H
#define ATTUNE_MODEL_PASS_H

#include "model/model.h"
#include "text/data/batch.h"

struct pass_limits {
    int32_t tokens, segments, predictions;
    int32_t max_rank; /* of overlays that will be used; 0: none */
    bool training;    /* pass_backward() will be called */
    bool checkpointing;
    bool scorer;        /* scores only, no predictions over the vocabulary */
    int32_t cache_rows; /* tokens of keys and values kept for generation; 0: none */
};

/*
 * What one layer leaves behind; device memory, shared between layers where it need not outlive the layer. From `middle`
 * on, and in the u of those products, the last layer has [predictions] rows.
 */
struct tape {
    float *x;                    /* [T, H] residual stream into the layer */
    float *rstd1, *rstd2;        /* [T] */
    float *q, *k, *v;            /* [T, Q], [T, K], [T, K] after the rotation */
    float *attention, *lse;      /* [T, Q], [T, heads] */
    float *middle;               /* [T, H] residual stream between attention and MLP */
    float *gate, *up;            /* [T, F] */
    float *u[LINEAR_ROLE_COUNT]; /* [T, rank] scaled low-rank inputs: scale * drop(x) A^T */
};

/* Rows that linear layers read: in bf16 where the backend computes in it and nothing else reads them. */
struct operand {
    const void *data;
    enum dtype dtype;
};
static inline struct operand operand_f32(const float *rows)
{
    return (struct operand){rows, DTYPE_F32};
}

struct pass {
    struct model *model;
    struct backend *backend;
    struct pass_limits limits;
    struct regions regions;
    struct tape *tapes;                      /* [layers] */
    int32_t tokens, span_count, predictions; /* of the loaded batch */
    int32_t rows;                            /* that operations go over now: all tokens, or those that predict */
    const uint64_t *row_keys;                /* the dropout keys of these rows */

    int32_t *ids, *positions;           /* device [T] */
    uint64_t *dropout_keys;             /* device [T] */
    uint64_t *prediction_keys;          /* device [predictions] */
    struct attention_span *spans;       /* device [segments] */
    int32_t *prediction_rows, *targets; /* device [predictions] */
    struct attention_span *host_spans;  /* staging, host */
    uint64_t *host_keys, *host_prediction_keys;
    int32_t *host_rows;

    float *rotation;                        /* [T, head size] */
    void *normed, *wide;                    /* [T, H], [T, F]; of the backend's compute */
    float *delta;                           /* [T, H] */
    float *attended;                        /* [predictions, Q] the last layer's attention, of the rows that predict */
    float *final_sum, *hidden, *final_rstd; /* [predictions, H] before and after the last norm; [predictions] */
    float *logprob, *lse, *entropy;         /* [predictions] */
    int32_t *argmax;

    float *dlogprob, *dentropy; /* [predictions] */
    float *dhidden;             /* [predictions, H] */
    float *dstream, *dnormed;   /* [T, H]; they change places, see backward.c */
    float *dwide, *dattention, *dq, *dk, *dv;
    void *dgate, *dup; /* [T, F] of the backend's compute; NULL: in f32 they take the place of gate and up */
    float *du[LINEAR_GROUP];

    float **cache_k, **cache_v; /* [layers] of device [cache_rows, K] */
    int32_t *slots;             /* device [T]: row of the cache each token's keys go to */
    float *logits;              /* device [segments, vocabulary] with a cache */
};

/* Adds what pass_create() will take, the backend's scratch included. */
int pass_plan(struct model *model, const struct pass_limits *limits, struct backend *backend, struct memory_plan *plan,
              struct err *err);
int pass_create(struct pass **out, struct model *model, const struct pass_limits *limits, struct err *err);
void pass_free(struct pass *pass);

/* Within the limits, by assertion. */
void pass_load(struct pass *pass, const struct batch *batch);
/* training: dropout is applied and the tapes are kept for pass_backward(). */
void pass_forward(struct pass *pass, const struct overlay *overlay, bool training);

/* One entry per prediction of the batch, in its order; NULL where not wanted. */
struct predictions {
    float *logprob, *entropy;
    int32_t *argmax;
};
/* Vocabulary operation over the loaded batch's predictions after pass_forward(); results are copied to host arrays. */
int pass_predict(struct pass *pass, const struct overlay *overlay, float inverse_temperature, struct predictions *out,
                 struct err *err);
/* The same, and the whole backward pass, for a loss whose dlogprob (host, [predictions]) does not depend on the
 * outcome: one product less. */
int pass_predict_and_backward(struct pass *pass, const struct overlay *overlay, const float *dlogprob,
                              struct predictions *out, struct err *err);
/* After pass_predict() with the same temperature: gradients are added to what overlay and model hold. dentropy may be
 * NULL. */
void pass_backward(struct pass *pass, const struct overlay *overlay, float inverse_temperature, const float *dlogprob,
                   const float *dentropy);

/*
 * Scores instead of predictions: one number for the row of each prediction of the batch (its target is not looked at),
 * after pass_forward(). Copied to `scores` (host, [predictions]).
 */
int pass_score(struct pass *pass, const struct score_head *head, float *scores, struct err *err);
/* After pass_score(): dscores (host, [predictions]) to the gradients of head, overlay and model. */
void pass_score_backward(struct pass *pass, const struct overlay *overlay, const struct score_head *head,
                         const float *dscores);

/*
 * The pass goes over to another model of the same shape, on the same backend: roles that do not share a base still
 * share the memory of a pass.
 */
bool pass_fits(const struct pass *pass, const struct model *model);
void pass_use(struct pass *pass, struct model *model);

/* ---- generation: tokens go by themselves, against the cache ---- */

/*
 * New tokens: row t has ids[t], positions[t], and its keys go to cache row slots[t]; spans say who attends to what in
 * the cache. Then for each span the logits of its last query go to `logits` (host, [span_count, vocabulary]); NULL:
 * none wanted.
 */
struct cached_rows {
    const int32_t *ids, *positions, *slots;
    const struct attention_span *spans;
    int32_t rows, span_count;
};
int pass_extend(struct pass *pass, const struct overlay *overlay, const struct cached_rows *rows, float *logits,
                struct err *err);

/* ---- shared by the files of this module ---- */

/* The number of a linear layer. */
int32_t pass_linear(const struct pass *pass, int32_t layer, enum linear_role role);
/* The overlay's low-rank term of a linear layer; NULL where it has none there. */
const struct low_rank *pass_low_rank(const struct overlay *overlay, int32_t linear);
/*
 * The `count` linear layers of these roles, all of one x; y[i] NULL: only the low-rank input, scale * drop(x) A^T, is
 * wanted, which goes to the tape.
 */
void pass_linears(struct pass *pass, const struct overlay *overlay, int32_t layer, const enum linear_role roles[],
                  struct operand x, float *const y[], int count, bool training);
/* pass->normed and pass->wide */
struct operand pass_operand(const struct pass *pass, const void *rows);
/* Of what low-rank terms read, over the current rows; the stream of one is the number of its linear. */
struct dropout pass_dropout(const struct pass *pass, const struct overlay *overlay);
/* See forward.c. */
void pass_layer_forward(struct pass *pass, const struct overlay *overlay, int32_t layer, bool training, bool with_down);
void pass_norm(struct pass *pass, const float *x, const float *residual, const float *weight, float *sum, float *rstd);
/* By the positions of the loaded batch, or back. */
void pass_rotate(struct pass *pass, float *x, int32_t heads, bool inverse);
bool pass_is_last(const struct pass *pass, int32_t layer);
void pass_all_rows(struct pass *pass);
void pass_predicting_rows(struct pass *pass);
const struct weight *pass_head(const struct pass *pass, const struct overlay *overlay);
void pass_layers_backward(struct pass *pass, const struct overlay *overlay);

#endif
