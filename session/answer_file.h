/*
 * session/answer_file.h - the answers of a file, each prompt with its own, whatever form they lie in.
 *
 * Formats: those of text/data/preference.h, and of text/data/dataset.h those with an answer: of a conversation that is
 * what the assistant said last.
 *
 * Errors: 0, or -1 with a sentence that names the file, the line and the remedy.
 */
#ifndef ATTUNE_SESSION_ANSWER_FILE_H
#define ATTUNE_SESSION_ANSWER_FILE_H

#include "base/err.h"
#include "base/json.h"

/* Answers of one prompt. */
#define ANSWER_FILE_ANSWERS_MAX 16

struct answer_file;
/* format NULL: detected. */
int answer_file_open(struct answer_file **out, const char *path, const char *format, struct err *err);
void answer_file_close(struct answer_file *file);

/*
 * 1: *record is {"line": N, "prompt": [messages], "answers": [{"text", "rank", "model"}, ...]}, rank (1 is best, equal
 * is a tie) and model where they are known; free it with json_decref(). 0: the end. -1: *err.
 */
int answer_file_next(struct answer_file *file, json_t **record, struct err *err);
/* "data.jsonl: pairs records ..." */
const char *answer_file_sentence(const struct answer_file *file);

#endif
