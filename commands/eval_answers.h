/*
 * commands/eval_answers.h - the part of attune eval that lets the model answer and compares with the file's own
 * answers.
 */
#ifndef ATTUNE_COMMANDS_EVAL_ANSWERS_H
#define ATTUNE_COMMANDS_EVAL_ANSWERS_H

#include "session/session.h"

struct answer_counts {
    size_t equal, total;
};

/*
 * Answers the prompt of every record of `path` greedily and compares with the last answer that stands there, white
 * space at both ends aside. out: {"prompt","expected","answer","equal"} a record, or NULL.
 */
int eval_answers(const struct session *session, const char *path, const char *format, int64_t max_new_tokens,
                 int64_t at_once, const char *out, struct answer_counts *counts, struct err *err);

#endif
