/*
 * commands/scoring.h - many answers scored by a reward model: as many in a pass as there is room for.
 *
 *     scoring_open(&scoring, &opened, max_length, err)
 *     scoring_add(&scoring, messages, answers, count, scores, err)      any number of times
 *     scoring_run(&scoring, err)                                        now all those scores are set
 *     scoring_close(&scoring)
 */
#ifndef ATTUNE_COMMANDS_SCORING_H
#define ATTUNE_COMMANDS_SCORING_H

#include "commands/opened.h"

/* Tokens that may wait for scoring_run(); more of them make no pass any fuller. */
#define SCORING_WAITING_MAX 8192

struct scoring_family {
    struct family family;
    float *scores; /* the caller's */
    int32_t count; /* of scores; those of answers that do not fit are NaN already */
};

struct scoring {
    const struct opened *opened;
    struct family_encoder *encoder;
    struct pass *pass; /* grown where a longer conversation comes */
    struct batch batch;
    struct scoring_family *items; /* [capacity], their arrays kept; the first `count` wait */
    size_t count, capacity;
    int64_t tokens; /* that wait */
};

/* `opened` is loaded, with a reward model. max_length 0: what the model was made for; of longer conversations the
 * beginning is left out. scoring_close() also after a failure. */
int scoring_open(struct scoring *scoring, const struct opened *opened, int64_t max_length, struct err *err);
void scoring_close(struct scoring *scoring);

/*
 * The conversation up to the answers, a JSON array of messages, and its answers. scores [count] will be set by
 * scoring_run(): NaN for an answer that is longer than max_length. A failure concerns this family only.
 */
int scoring_add(struct scoring *scoring, const json_t *messages, const struct family_answer *answers, int32_t count,
                float *scores, struct err *err);
/* Whether scoring_run() is due. */
bool scoring_is_full(const struct scoring *scoring);
int scoring_run(struct scoring *scoring, struct err *err);

#endif
