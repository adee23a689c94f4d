/*
 * session/opened.h - a model with its text side and perhaps an adapter, and perhaps a reward model, as the commands
 * that only use them open them. A base that both are made of is in memory once.
 */
#ifndef ATTUNE_SESSION_OPENED_H
#define ATTUNE_SESSION_OPENED_H

#include "base/args.h"
#include "lora/adapter.h"
#include "roles/scorer.h"
#include "text/data/dataset.h"
#include "text/model_text.h"

struct opened {
    /* What the command line says. */
    const char *folder, *adapter_folder, *chat_template; /* folder NULL: the reward model alone */
    const char *reward, *reward_base;                    /* NULL: none; what it names itself */
    int dtype, device;                                   /* numbers in opened_dtypes, opened_devices */
    int64_t threads;

    /* What opened_model() makes of it. */
    struct backend *backend;
    struct models models; /* owns `model` */
    struct model *model;
    struct adapter *adapter;
    const struct overlay *overlay; /* NULL without an adapter */
    struct model_text text;
    struct scorer scorer; /* with `reward` */
};

extern const char *const opened_dtypes[], *const opened_devices[]; /* NULL at the end */

/* Entries of an args_option table, the same for every command that opens a model; the first for any model, the second
 * with an adapter. */
#define OPENED_MODEL_OPTIONS(opened)                                                                                   \
    {.name = "chat-template",                                                                                          \
     .argument = "T",                                                                                                  \
     .help = "a built-in template's name or a Jinja file (default: what the adapter's run was trained with, else the " \
             "model's own)",                                                                                           \
     .text = &(opened).chat_template},                                                                                 \
        {.name = "dtype",                                                                                              \
         .argument = "D",                                                                                              \
         .help = "of matrix products: auto, f32 or bf16 (default auto)",                                               \
         .choice = &(opened).dtype,                                                                                    \
         .choices = opened_dtypes},                                                                                    \
        {.name = "device",                                                                                             \
         .argument = "D",                                                                                              \
         .help = "auto, cpu or cuda (default auto)",                                                                   \
         .choice = &(opened).device,                                                                                   \
         .choices = opened_devices},                                                                                   \
    {                                                                                                                  \
        .name = "threads", .argument = "N", .help = "threads (default: as many as the process may use)",               \
        .whole = &(opened).threads, .least = 0, .most = 1024                                                           \
    }
#define OPENED_OPTIONS(opened)                                                                                         \
    {.name = "adapter",                                                                                                \
     .argument = "DIR",                                                                                                \
     .help = "a PEFT adapter, or the folder of a run",                                                                 \
     .text = &(opened).adapter_folder},                                                                                \
        OPENED_MODEL_OPTIONS(opened)

/* The same for commands that take a reward model. */
#define REWARD_OPTIONS(opened)                                                                                         \
    {.name = "reward",                                                                                                 \
     .argument = "R",                                                                                                  \
     .help = "a reward model: a run of attune reward, a PEFT adapter of task SEQ_CLS, or a "                           \
             "...ForSequenceClassification model",                                                                     \
     .text = &(opened).reward},                                                                                        \
    {                                                                                                                  \
        .name = "reward-base", .argument = "DIR",                                                                      \
        .help = "its base model, where it is an adapter (default: what the adapter names)",                            \
        .text = &(opened).reward_base                                                                                  \
    }

/* Whether model, text side and adapter are there and fit; nothing is loaded. opened_close() also after a failure. */
int opened_check(struct opened *opened, struct err *err);
/* Opens and loads everything; opened_close() also after a failure. */
int opened_model(struct opened *opened, struct err *err);
void opened_close(struct opened *opened);

/* Options for text/data/dataset.h that go with the model. max_length 0: what the model was made for. */
struct dataset_options opened_dataset_options(const struct opened *opened, int64_t max_length);

/* Fails when an id is none of the model's: the tokenizer was made for another one. */
int opened_check_ids(const struct opened *opened, const int32_t *ids, int32_t count, struct err *err);

/* Rank that passes must have room for. */
int32_t opened_max_rank(const struct opened *opened);

#endif
