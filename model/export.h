/*
 * model/export.h - a model as a Hugging Face folder that transformers, vLLM and llama.cpp's converter load.
 *
 * Every tensor of the base goes through a hook that may change it (an adapter merged into it, trained masters in its
 * place) and is written in the base's dtype or the one asked for. config.json keeps all its keys; only the dtype, and
 * the tie of a head that came undone, are changed. Tokenizer and generation files are copied byte for byte, but the
 * token that the chat template closes an answer with becomes an end in generation_config.json where it is none. A
 * reward model gets another class, its offset, and a pad token that ends no answer (model/padding.h).
 *
 * The folder is written beside its place and renamed, so it is there whole or not at all.
 */
#ifndef ATTUNE_MODEL_EXPORT_H
#define ATTUNE_MODEL_EXPORT_H

#include "model/model.h"

struct export_options {
    bool keep_dtype; /* each tensor in its own dtype; else all in `dtype` */
    enum dtype dtype;
    bool untie; /* write a lm_head.weight of its own next to a tied embedding */
    /* A reward model: written with this score head and none over the vocabulary, as transformers' class
     * ...ForSequenceClassification with one label. NULL: as the base is. */
    const struct score_head *score;
    /* The chat template it was trained with, as model_text_open() takes it: written as chat_template.jinja. NULL: the
     * model's own. */
    const char *chat_template;
    /* Changes elements first .. first + count - 1 of tensor `name` in place; NULL: the base as it is. */
    int (*change)(void *context, const char *name, float *values, int64_t first, int64_t count, struct err *err);
    void *context;
};

/* Makes the folder `to`; one that exists must be empty. Fails when a value to be written is not finite. */
int model_export(const struct model *model, const char *to, const struct export_options *options, struct err *err);

/* The weights and config.json alone, into a folder that is there. */
int model_export_weights(const struct model *model, const char *folder, const struct export_options *options,
                         struct err *err);

/* Copies tokenizer and generation files into a folder that is there: byte for byte, but for what `options` say of chat
 * template and pad token, and for the end of answers. */
int model_copy_texts(const struct model *model, const char *folder, const struct export_options *options,
                     struct err *err);

/* A hook that puts the masters of full tuning in place of the base's values. */
int model_change_to_masters(void *model, const char *name, float *values, int64_t first, int64_t count,
                            struct err *err);

#endif
