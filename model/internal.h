/*
 * model/internal.h - what the files of a pass share: its memory, and the steps of the ways forward and back.
 *
 *     pass.c       memory, and loading a batch
 *     forward.c    token ids to hidden states
 *     predict.c    hidden states to predictions or scores, and the start of the way back
 *     backward.c   the gradients of the layers
 */
#ifndef ATTUNE_MODEL_INTERNAL_H
#define ATTUNE_MODEL_INTERNAL_H

#include "model/pass.h"

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

/*
 * What a batch brings, in one block: the host fills one and sends it with one upload to the same block of the device.
 * Its parts lie where they lie whatever the batch is, so what is recorded once can be run again.
 */
struct pass_inputs {
    char *block;
    size_t size, batch_size;            /* of all, and of what lies before dlogprob */
    struct attention_span *spans;       /* [segments] */
    uint64_t *keys;                     /* [T] of dropout */
    uint64_t *prediction_keys;          /* [predictions] */
    int32_t *ids, *positions;           /* [T] */
    int32_t *slots;                     /* [T] row of the cache each token's keys go to; with a cache */
    int32_t *prediction_rows, *targets; /* [predictions] */
    float *dlogprob, *dentropy;         /* [predictions]; in training */
};

/* What is found for each prediction, end to end in one block, so that one download brings it. */
struct pass_results {
    float *logprob;
    int32_t *argmax;
    float *entropy;
    size_t stride; /* bytes from one to the next */
};

struct pass {
    struct model *model;
    struct backend *backend;
    struct pass_limits limits;
    struct regions regions;
    struct tape *tapes;                      /* [layers] */
    int32_t tokens, span_count, predictions; /* of the loaded batch */
    struct attention_extent extent;          /* of its spans */
    bool has_loss;                           /* it came with its dlogprob */
    int32_t rows;                            /* that operations go over now: all tokens, or those that predict */
    const uint64_t *row_keys;                /* the dropout keys of these rows */

    struct pass_inputs inputs; /* device */
    struct pass_inputs staged; /* host: the same, on its way there */
    char *results;             /* device: what pass_predict() finds, see struct pass_results */
    char *host_results;        /* host: a copy of it */

    float *rotation;                        /* [T, head size] */
    void *normed, *wide;                    /* [T, H], [T, F]; of the backend's compute */
    float *delta;                           /* [T, H] */
    float *attended;                        /* [predictions, Q] the last layer's attention, of the rows that predict */
    float *final_sum, *hidden, *final_rstd; /* [predictions, H] before and after the last norm; [predictions] */
    float *lse;                             /* [predictions] */

    float *dhidden;           /* [predictions, H] */
    float *dstream, *dnormed; /* [T, H]; they change places, see backward.c */
    float *dwide, *dattention, *dq, *dk, *dv;
    void *dgate, *dup; /* [T, F] of the backend's compute; NULL: in f32 they take the place of gate and up */
    float *du[LINEAR_GROUP];

    float **cache_k, **cache_v; /* [layers] of device [cache_rows, K] */
    float *logits;              /* device [segments, vocabulary] with a cache */
};

/* The index of a linear layer. */
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
/* Of what low-rank terms read, over the current rows; the stream of one is the index of its linear. */
struct dropout pass_dropout(const struct pass *pass, const struct overlay *overlay);
/* The parts of a block of results at `memory`, for the predictions of the loaded batch. */
struct pass_results pass_results_at(const struct pass *pass, char *memory);
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
