/*
 * commands/eval_scores.h - the part of attune eval that scores the answers of a file with a reward model.
 */
#ifndef ATTUNE_COMMANDS_EVAL_SCORES_H
#define ATTUNE_COMMANDS_EVAL_SCORES_H

#include "session/session.h"

struct eval_scores_options {
    const char *path, *format; /* format NULL: detected */
    int64_t max_length;        /* 0: what the model was made for */
    const char *out;           /* NULL, or a file to write the scores into */
    bool json;                 /* the summary as JSON */
};

/*
 * Scores all answers of a file (session/answer_file.h) and prints a summary. out: the file's records, a JSON object a
 * prompt, each answer with its "score" (null where it is too long).
 */
int eval_scores(const struct session *session, const struct eval_scores_options *options, struct err *err);

#endif
