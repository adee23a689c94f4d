/*
 * session/session.h - a session: a model opened to answer or to score, with its text side, perhaps an adapter and
 * perhaps a reward model. Commands that only use models open them so. A base that model and reward model are both made
 * of is in memory once.
 */
#ifndef ATTUNE_SESSION_SESSION_H
#define ATTUNE_SESSION_SESSION_H

#include "base/args.h"
#include "lora/adapter.h"
#include "roles/scorer.h"
#include "text/data/dataset.h"
#include "text/model_text.h"

struct session {
    /* What the command line says. */
    const char *folder, *adapter_folder, *chat_template; /* folder NULL: the reward model alone */
    const char *reward, *reward_base;                    /* NULL: none; what it names itself */
    int dtype, device;                                   /* numbers in session_dtypes, session_devices */
    int64_t threads;

    /* What session_open() makes of it. */
    struct backend *backend;
    struct models models; /* owns `model` */
    struct model *model;
    struct adapter *adapter;
    const struct overlay *overlay; /* NULL without an adapter */
    struct model_text text;
    struct scorer scorer; /* with `reward` */
};

extern const char *const session_dtypes[], *const session_devices[]; /* NULL at the end */

/* Entries of an args_option table, the same for every command that opens a model; the first for any model, the second
 * with an adapter. */
#define SESSION_MODEL_OPTIONS(session)                                                                                 \
    {.name = "chat-template",                                                                                          \
     .argument = "T",                                                                                                  \
     .help = "a built-in template's name or a Jinja file (default: what the adapter's run was trained with, else the " \
             "model's own)",                                                                                           \
     .text = &(session).chat_template},                                                                                \
        {.name = "dtype",                                                                                              \
         .argument = "D",                                                                                              \
         .help = "of matrix products: auto, f32 or bf16 (default auto)",                                               \
         .choice = &(session).dtype,                                                                                   \
         .choices = session_dtypes},                                                                                   \
        {.name = "device",                                                                                             \
         .argument = "D",                                                                                              \
         .help = "auto, cpu or cuda (default auto)",                                                                   \
         .choice = &(session).device,                                                                                  \
         .choices = session_devices},                                                                                  \
    {                                                                                                                  \
        .name = "threads", .argument = "N", .help = "threads (default: as many as the process may use)",               \
        .whole = &(session).threads, .least = 0, .most = 1024                                                          \
    }
#define SESSION_OPTIONS(session)                                                                                       \
    {.name = "adapter",                                                                                                \
     .argument = "DIR",                                                                                                \
     .help = "a PEFT adapter, or the folder of a run",                                                                 \
     .text = &(session).adapter_folder},                                                                               \
        SESSION_MODEL_OPTIONS(session)

/* The same for commands that take a reward model. */
#define SESSION_REWARD_OPTIONS(session)                                                                                \
    {.name = "reward",                                                                                                 \
     .argument = "R",                                                                                                  \
     .help = "a reward model: a run of attune reward, a PEFT adapter of task SEQ_CLS, or a "                           \
             "...ForSequenceClassification model",                                                                     \
     .text = &(session).reward},                                                                                       \
    {                                                                                                                  \
        .name = "reward-base", .argument = "DIR",                                                                      \
        .help = "its base model, where it is an adapter (default: what the adapter names)",                            \
        .text = &(session).reward_base                                                                                 \
    }

/* Whether model, text side and adapter are there and fit; nothing is loaded. session_close() also after a failure. */
int session_check(struct session *session, struct err *err);
/* Opens and loads everything; session_close() also after a failure. */
int session_open(struct session *session, struct err *err);
void session_close(struct session *session);

/* Options for text/data/dataset.h that go with the model. max_length 0: what the model was made for. */
struct dataset_options session_dataset_options(const struct session *session, int64_t max_length);

/* Fails when an id is none of the model's: the tokenizer was made for another one. */
int session_check_ids(const struct session *session, const int32_t *ids, int32_t count, struct err *err);

/* Rank that passes must have room for. */
int32_t session_max_rank(const struct session *session);

#endif
