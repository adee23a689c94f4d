/*
 * session/answering.h - what the commands that let a model answer share: options of generation, prompts of a file.
 */
#ifndef ATTUNE_SESSION_ANSWERING_H
#define ATTUNE_SESSION_ANSWERING_H

#include "model/generate/generate.h"
#include "session/session.h"
#include "train/stop_tokens.h"

struct answering {
    double temperature, top_p, repetition_penalty;
    int64_t top_k, max_new_tokens, seed;
};
#define ANSWERING_DEFAULTS                                                                                             \
    {                                                                                                                  \
        .temperature = 1, .top_p = 1, .repetition_penalty = 1, .max_new_tokens = 256, .seed = 42                       \
    }

#define ANSWERING_OPTIONS(answering)                                                                                   \
    {.name = "max-new-tokens",                                                                                         \
     .argument = "N",                                                                                                  \
     .help = "tokens of an answer at most (default 256)",                                                              \
     .whole = &(answering).max_new_tokens,                                                                             \
     .least = 1,                                                                                                       \
     .most = 1 << 20},                                                                                                 \
        {.name = "temperature",                                                                                        \
         .argument = "T",                                                                                              \
         .help = "0 takes the most likely token always (default 1)",                                                   \
         .real = &(answering).temperature,                                                                             \
         .least = 0,                                                                                                   \
         .most = 100},                                                                                                 \
        {.name = "top-k",                                                                                              \
         .argument = "K",                                                                                              \
         .help = "only the K most likely tokens (default 0: all)",                                                     \
         .whole = &(answering).top_k,                                                                                  \
         .least = 0,                                                                                                   \
         .most = 1 << 24},                                                                                             \
        {.name = "top-p",                                                                                              \
         .argument = "P",                                                                                              \
         .help = "only the most likely tokens that together have probability P (default 1: all)",                      \
         .real = &(answering).top_p,                                                                                   \
         .least = 1e-9,                                                                                                \
         .most = 1},                                                                                                   \
        {.name = "repetition-penalty",                                                                                 \
         .argument = "R",                                                                                              \
         .help = "above 1 makes tokens that were there less likely (default 1)",                                       \
         .real = &(answering).repetition_penalty,                                                                      \
         .least = 1e-3,                                                                                                \
         .most = 100},                                                                                                 \
    {                                                                                                                  \
        .name = "seed", .argument = "N", .help = "of the random numbers (default 42)", .whole = &(answering).seed,     \
        .least = 0, .most = 9e15                                                                                       \
    }

/* stop_tokens: filled here, kept by the caller. */
struct generate_options answering_options(const struct answering *answering, const struct session *session,
                                          struct stop_tokens *stop_tokens);

/* Appends the conversation that a prompt is, as a JSON array of messages: what it stands for, or a user who says it. */
int prompt_messages_text(struct strbuf *out, const struct prompt *prompt, struct err *err);

/*
 * Makes *prompts from a file (format NULL: detected) and *generator with room for `samples` answers to each of them,
 * `sequences` at once. The caller frees both, also after a failure.
 */
int answering_open(struct prompt_list **prompts, struct generator **generator, const struct answering *answering,
                   const struct session *session, const char *path, const char *format, int64_t samples,
                   int64_t sequences, struct err *err);

#endif
