/*
 * session/score_queue.h - many answers scored by a reward model: as many in a pass as there is room for.
 *
 *     score_queue_open(&queue, &session, max_length, err)
 *     score_queue_add(&queue, messages, answers, count, scores, err)      any number of times
 *     score_queue_run(&queue, err)                                        now all those scores are set
 *     score_queue_close(&queue)
 */
#ifndef ATTUNE_SESSION_SCORE_QUEUE_H
#define ATTUNE_SESSION_SCORE_QUEUE_H

#include "session/session.h"

/* Tokens that may wait for score_queue_run(); more of them make no pass any fuller. */
#define SCORE_QUEUE_TOKENS 8192

struct score_queue_item {
    struct family family;
    float *scores; /* the caller's */
    int32_t count; /* of scores; those of answers that do not fit are NaN already */
};

struct score_queue {
    const struct session *session;
    struct family_encoder *encoder;
    struct pass *pass; /* grown where a longer conversation comes */
    struct batch batch;
    struct score_queue_item *items; /* [capacity], their arrays kept; the first `count` wait */
    size_t count, capacity;
    int64_t tokens; /* that wait */
};

/* `session` is loaded, with a reward model. max_length 0: what the model was made for; of longer conversations the
 * beginning is left out. score_queue_close() also after a failure. */
int score_queue_open(struct score_queue *queue, const struct session *session, int64_t max_length, struct err *err);
void score_queue_close(struct score_queue *queue);

/*
 * The conversation up to the answers, a JSON array of messages, and its answers. scores [count] will be set by
 * score_queue_run(): NaN for an answer that is longer than max_length. A failure concerns this family only.
 */
int score_queue_add(struct score_queue *queue, const json_t *messages, const struct family_answer *answers,
                    int32_t count, float *scores, struct err *err);
/* Whether score_queue_run() is due. */
bool score_queue_is_full(const struct score_queue *queue);
int score_queue_run(struct score_queue *queue, struct err *err);

#endif
