/*
 * lora/adapter.h - low-rank adapters on the frozen linear layers of a model, in PEFT's files.
 *
 *     y = x W^T + scale * drop(x) A^T B^T          scale = alpha / rank, or alpha / sqrt(rank) (rsLoRA, Kalajdzievski
 * 2023)
 *
 * (LoRA, Hu et al. 2021.) W [out, in] is frozen; A [rank, in] starts random (uniform within 1 / sqrt(in), PEFT's
 * Kaiming with a = sqrt(5)), B [out, rank] at zero, so a fresh adapter leaves y unchanged. Embedding and head may be
 * trained whole beside it (modules_to_save). Next to a tied embedding: saving "embed_tokens" keeps the tie (both are
 * the trained one, written under both names so that PEFT does the same), saving "lm_head" gives the model a head of its
 * own.
 *
 *     adapter_describe() / adapter_open()   which layers, which ranks; no memory to speak of
 *     adapter_plan(), adapter_load()        memory, values
 *     &adapter->overlay                     what the passes of model/ take
 *     adapter_save()                        adapter_config.json and adapter_model.safetensors
 *
 * Errors:    0, or -1 with a full sentence in *err. A failed call changes nothing else.
 * Ownership: an adapter owns its memory; it borrows the model, which must outlive it.
 */
#ifndef ATTUNE_LORA_ADAPTER_H
#define ATTUNE_LORA_ADAPTER_H

#include "model/model.h"

#define LORA_RANK_MAX  1024
#define LORA_ALPHA_MAX 1e6

struct adapter_options {
    int32_t rank;               /* 1 .. min(in, out) of every target */
    double alpha;               /* > 0 */
    double dropout;             /* 0 .. below 1 */
    bool rank_stabilized;       /* rsLoRA */
    const char *const *targets; /* "all-linear" (all but the head), or names as PEFT matches them: "q_proj",
                                   "mlp.up_proj", a full path */
    size_t target_count;
    const char *const *modules_to_save; /* of "embed_tokens" and "lm_head" */
    size_t module_count;
    bool score;    /* a score head of its own (PEFT's task SEQ_CLS): that of the base's files, or a fresh one */
    uint64_t seed; /* same seed and options, same A and head on every backend */
};

struct adapter_target {
    int32_t linear; /* its index in the model */
    int32_t rank;
    double alpha;
    int32_t parameter; /* index of A in parameters; B is the next */
};

struct adapter {
    struct model *model;
    struct adapter_target *targets;
    int32_t target_count;
    int32_t rank; /* the default, and what adapter_config.json says; targets may differ by pattern */
    double alpha, dropout;
    bool rank_stabilized;
    bool save_embedding, save_head;
    bool tied; /* the saved embedding is the head too */
    bool save_score;
    double score_offset; /* of `source` */
    uint64_t seed;
    struct safetensors *source; /* of adapter_open(), until adapter_load() */
    char *folder;               /* of adapter_open(), or NULL */
    char base[HASH_TEXT_SIZE];  /* fingerprint of the base model */

    struct backend *backend; /* the rest is set by adapter_load() */
    bool trainable;
    struct regions regions;
    struct overlay overlay;
    struct score_head score;          /* with save_score */
    struct parameter_list parameters; /* A and B of each target, then embedding, head and score head */
};

/* A fresh adapter; an unknown target is an error that names the nearest known one. */
int adapter_describe(struct adapter **out, struct model *model, const struct adapter_options *options, struct err *err);
/*
 * An adapter from PEFT's files. Names and shapes are held against the model; an adapter of ours remembers its base's
 * fingerprint, and another base is an error.
 */
int adapter_open(struct adapter **out, struct model *model, const char *folder, struct err *err);

/* Of what an adapter of adapter_open() adds to its base: the bytes of its tensors' file and each target's scale. */
int adapter_fingerprint(const struct adapter *adapter, struct hash *out, struct err *err);

/* Adds what adapter_load() will take. */
int adapter_plan(struct adapter *adapter, struct backend *backend, bool trainable, struct memory_plan *plan,
                 struct err *err);
int adapter_load(struct adapter *adapter, struct backend *backend, bool trainable, struct err *err);
void adapter_free(struct adapter *adapter);

/* Writes both files into `folder`, which is there. base_name stands in adapter_config.json as base_model_name_or_path.
 */
int adapter_save(const struct adapter *adapter, const char *folder, const char *base_name, struct err *err);

/* Trained numbers. */
int64_t adapter_parameter_count(const struct adapter *adapter);

/* The largest rank of its targets: what passes must have room for. */
int32_t adapter_max_rank(const struct adapter *adapter);

/* alpha / rank or alpha / sqrt(rank) of a target. */
double adapter_scale(const struct adapter *adapter, const struct adapter_target *target);

#endif
