/*
 * ppo/command.h - reward_command: a program of the user's that scores answers.
 *
 * It is started once, by `sh -c`, in a process group of its own, and kept over all iterations. For every answer it
 * reads a line of JSON from its standard input
 *
 *     {"id": "3/17", "iteration": 3, "index": 17, "prompt": "...", "messages": [...], "response": "...",
 *      "completion": "..."}
 *
 * ("messages" only where the prompt is a conversation; "completion" is the response again, by TRL's name) and writes a
 * line with its score to its standard output, in the same order:
 *
 *     {"score": 1.5}     or     1.5
 *
 * An object may have other members; an "id" among them must be the request's. Standard error goes to ours, with a
 * prefix. Many requests may be under way before the first answer is read; both directions are served at once, so pipes
 * of any size do. At the end its standard input is closed; what is left of the group after a grace of some seconds is
 * killed.
 *
 * A program that ends, stays without any answer for `timeout` seconds, or writes what is no score (or a score that is
 * no finite number, or more lines than it was asked) fails the call with a sentence that names command, line and
 * remedy; the program is killed then, and every further call fails.
 *
 * Journal. Each score is appended to a file (rewards.jsonl in the run's folder) before it is used
 *
 *     {"iteration": 3, "index": 17, "hash": "<32 hex digits>", "score": 1.5}
 *
 * where the hash is of command, prompt, messages and response. A resumed run finds there what was scored after its
 * checkpoint, and asks for the rest only: a score that costs money or is drawn by chance stays the one it was. A last
 * line that a kill tore is cut off. Entries whose hash no request has are of no use and ignored: that answer was
 * sampled by a run with another recipe.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_PPO_COMMAND_H
#define ATTUNE_PPO_COMMAND_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest line that a program may answer with. */
#define REWARD_LINE_MAX ((size_t)1 << 20)

struct reward_command_options {
    const char *command;     /* reward_command */
    double timeout;          /* reward_timeout, seconds */
    const char *journal;     /* path of the journal */
    bool fresh;              /* what the journal holds is dropped: the run does not go on from an earlier one */
    int64_t first_iteration; /* entries of iterations before it will not be asked for */
};

struct reward_request {
    int64_t iteration, index; /* may occur twice, for different texts */
    const char *prompt;       /* text, zero-terminated */
    const char *messages;     /* a JSON array, on one line; NULL: the prompt is no conversation */
    const char *response;
    size_t response_length;
};

struct reward_command;

/* Reads the journal and starts the program. Free with reward_command_close(). */
int reward_command_open(struct reward_command **out, const struct reward_command_options *options, struct err *err);
/* Scores [count], all finite, in the order of the requests. */
int reward_command_score(struct reward_command *command, const struct reward_request *requests, size_t count,
                         double *scores, struct err *err);
/* Closes the program's input, waits for it to end or ends it, and reaps it. NULL is fine. */
void reward_command_close(struct reward_command *command);

#endif
