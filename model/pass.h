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
 * Only rows that predict are computed after the attention of the last layer: of the others nothing is read. A row may
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

struct pass;

/* Adds what pass_create() will take, the backend's scratch included. */
int pass_plan(struct model *model, const struct pass_limits *limits, struct backend *backend, struct memory_plan *plan,
              struct err *err);
int pass_create(struct pass **out, struct model *model, const struct pass_limits *limits, struct err *err);
void pass_free(struct pass *pass);

/* What it was made for. */
const struct pass_limits *pass_limits(const struct pass *pass);
/* The model that it goes through now. */
struct model *pass_model(const struct pass *pass);

/* Within the limits, by assertion. */
void pass_load(struct pass *pass, const struct batch *batch);
/* The same with the dlogprob (host, [predictions]) that pass_predict_and_backward() will use: one upload for all. */
void pass_load_loss(struct pass *pass, const struct batch *batch, const float *dlogprob);
/* The same with the dlogprob (host, [predictions]) that pass_predict_and_backward() will use: one upload for all. */
void pass_load_loss(struct pass *pass, const struct batch *batch, const float *dlogprob);
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
/*
 * The same, and the whole backward pass, for a loss whose dlogprob (host, [predictions]; NULL: as loaded) does not
 * depend on the outcome: one product less.
 */
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
/* Back to the model that pass_model() gave before: the pass has room for it, whatever the two vocabularies are. */
void pass_return(struct pass *pass, struct model *home);

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

#endif
