/*
 * model/model.h - a transformer of the Llama family from a Hugging Face folder.
 *
 *     model_open()   config.json read, weights mapped, every name and shape checked; no memory to speak of
 *     model_load()   weights prepared into the backend's memory; after that the model is immutable and shared by all
 * roles, unless it was loaded as trainable (full tuning)
 *
 * Shapes: [vocabulary, hidden] embedding and head; q [heads * head_size, hidden], k and v [kv_heads * head_size,
 * hidden], o [hidden, heads * head_size]; gate and up [intermediate, hidden], down [hidden, intermediate]; norms
 * [hidden].
 *
 * Errors:    0 or -1 with a sentence in *err.
 * Ownership: a model owns its memory and its mapped files; it borrows the backend.
 */
#ifndef ATTUNE_MODEL_MODEL_H
#define ATTUNE_MODEL_MODEL_H

#include "base/hash.h"
#include "model/arch/tensors.h"
#include "model/memory.h"
#include "model/overlay.h"
#include "model/parameter.h"
#include "model/score_head.h"
#include "weights/safetensors.h"

/* A linear layer. */
struct linear {
    struct linear_spec spec;
    struct weight *weight;                  /* this and the rest is set by model_load() */
    const float *bias;                      /* device [outputs] or NULL */
    float *weight_gradient, *bias_gradient; /* added to; NULL while frozen */
};

/* Embedding or head. */
struct table {
    struct weight *weight;
    float *weight_gradient; /* added to; NULL while frozen */
};

struct layer {
    int32_t linears[LINEAR_ROLE_COUNT];     /* indices of its linear layers by role; -1: it has none */
    const float *attention_norm, *mlp_norm; /* device [hidden] */
    float *attention_norm_gradient, *mlp_norm_gradient;
};

struct model_options {
    bool trainable; /* full tuning: f32 masters and gradients, model->parameters filled */
    bool backward;  /* gradients will be taken through the weights (trainable implies it) */
    bool scorer;    /* a score head in place of the vocabulary's: from the files, or a fresh one */
    uint64_t seed;  /* of a fresh score head */
};

struct model {
    char *folder;
    struct model_config config;
    struct safetensors *files;
    bool is_scorer;      /* the files hold a score head and no vocabulary's: the model serves as a scorer only */
    double score_offset; /* of the files' score head */
    struct hash fingerprint;
    bool has_fingerprint;
    struct inventory tensors;
    struct linear *linears; /* [linear_count] of all layers; the place in the list is a linear's index */
    int32_t linear_count;
    struct layer *layers;

    struct backend *backend; /* the rest is set by model_load() */
    struct regions regions;
    struct table embedding;  /* lookup; tied: also the head */
    struct table head;       /* weight == embedding.weight where tied; none in a scorer */
    struct score_head score; /* of a scorer */
    const float *final_norm;
    float *final_norm_gradient;
    const float *rope_frequencies;    /* device [head_size / 2] */
    struct parameter_list parameters; /* of full tuning; empty otherwise */
};

int model_open(struct model **out, const char *folder, struct err *err);
/* What model_load() will take. */
int model_plan(struct model *model, struct backend *backend, const struct model_options *options,
               struct memory_plan *plan, struct err *err);
int model_load(struct model *model, struct backend *backend, const struct model_options *options, struct err *err);
void model_free(struct model *model);

/* A tensor outside of the layers in the model's files, or NULL: they have none of that role. */
const struct safetensor *model_tensor(const struct model *model, enum tensor_role role);

/* A fingerprint of all weights (names, shapes, dtypes, bytes): what an adapter remembers of its base. Taken once. */
struct hash model_fingerprint(struct model *model);

/* Parameters (weights) of the base model. */
int64_t model_parameter_count(const struct model *model);

#endif
