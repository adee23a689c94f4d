/*
 * text/data/record.h - one record of a dataset in any of its formats, brought into one of two forms: a conversation, or
 * text.
 *
 *     record_reader_open -> record_reader_next -> JSON value -> record_parse -> struct record
 *       -> record_encoder (internal.h)
 *
 * Formats are those of text/data/dataset.h. A reader detects the format from the first records, passes over records of
 * other splits, and brings preferences into the form of a completion: the best answer is the one to learn.
 *
 * Errors: 0, or -1 with the reason only; where the record stands is put in front by who knows it.
 */
#ifndef ATTUNE_TEXT_DATA_RECORD_H
#define ATTUNE_TEXT_DATA_RECORD_H

#include "base/err.h"
#include "base/json.h"
#include "base/strbuf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum record_format {
    RECORD_AUTO,
    RECORD_ALPACA,
    RECORD_SHAREGPT,
    RECORD_MESSAGES,
    RECORD_COMPLETION,
    RECORD_TEXT,
    RECORD_PROMPT,
    RECORD_FORMATS
};

enum record_kind {
    RECORD_CHAT,       /* messages */
    RECORD_PLAIN_PAIR, /* prompt and completion as they stand */
    RECORD_PLAIN,      /* text */
    RECORD_QUESTION,   /* text of one user turn (format prompt) */
};

struct record {
    enum record_kind kind;
    enum record_format format;

    json_t *messages; /* CHAT: [{"role", "content", ...}], contents are strings or null */
    size_t first;     /* messages before this one are given, not learned */
    json_t *tools;    /* array, or NULL */

    const char *text; /* PLAIN, QUESTION, and the prompt of a PLAIN_PAIR; borrowed from the value */
    size_t length;
    const char *completion;
    size_t completion_length;
};

/* Reads a record out of `value`, which must outlive it. *record is overwritten; free it with record_free(). */
int record_parse(struct record *record, const json_t *value, enum record_format format, struct err *err);
void record_free(struct record *record);

/* What to show of a conversation in a line: the words of the last message of a user, else of the last message. */
const json_t *messages_to_show(const json_t *messages);

/* The number of messages before the first answer, and before the last one: the prompts of a conversation. */
size_t record_first_answer(const struct record *record);
size_t record_last_answer(const struct record *record);

/* The format that the members of a value show; RECORD_AUTO: none of them. */
enum record_format record_detect(const json_t *value);
/* The formats and their members, for errors. */
extern const char record_formats_known[];

struct record_reader;
struct record_place {
    int64_t line;   /* of the file, where the record begins, from 1 */
    int64_t number; /* of the record in the file, from 1 */
};

/* `path` is a file, `format` a name or NULL. With `split` other records are passed over. Fails where nothing shows the
 * format. */
int record_reader_open(struct record_reader **out, const char *path, const char *format, const char *split,
                       struct err *err);
void record_reader_close(struct record_reader *reader);

enum { RECORD_END = 0, RECORD_VALUE = 1, RECORD_BAD = 2 };
/*
 * RECORD_BAD: *err says what and where, and reading may go on. -1: the file cannot be read on. Free *value with
 * json_decref().
 */
int record_reader_next(struct record_reader *reader, json_t **value, struct record_place *place, struct err *err);
/* What to parse the values as. */
enum record_format record_reader_format(const struct record_reader *reader);
/* "alpaca", "trl", ... */
const char *record_reader_format_name(const struct record_reader *reader);
/* How the format was found out: "data.jsonl: alpaca records (told from the first 16)". */
const char *record_reader_sentence(const struct record_reader *reader);
/* Puts "data.jsonl:17: " in front of the sentence; in an array the record's number too. Always returns -1. */
int record_reader_blame(const struct record_reader *reader, const struct record_place *place, struct err *err);

/*
 * The file that path and split name: a folder's <split>.jsonl, .json or .txt (.gz), `train` where split is NULL; of a
 * file the path itself. *split becomes NULL where the file is it. A .txt has no records. Free with mem_free().
 */
char *record_find_file(const char *path, const char **split, struct err *err);
bool record_path_is_text(const char *path);

#endif
