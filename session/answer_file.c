/* session/answer_file.c - see answer_file.h. */
#include "session/answer_file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "text/data/preference.h"
#include "text/data/record.h"
#include <string.h>

_Static_assert(PREFERENCE_ANSWERS_MAX == ANSWER_FILE_ANSWERS_MAX, "all answers of a preference are answers here");

struct answer_file {
    char *path;
    struct strbuf sentence;
    struct preference_reader *preferences; /* one of the two */
    struct record_reader *records;
};

static int out_of_memory(struct err *err)
{
    return err_set(err, "out of memory while reading answers");
}

/* The dataset's reader finds out what the file holds; preferences are then read with all their answers. */
static int open_reader(struct answer_file *file, const char *format, struct err *err)
{
    struct err not_one;
    enum preference_format preference;
    if (record_reader_open(&file->records, file->path, format, NULL, err) != 0) {
        return -1;
    }
    const char *name = record_reader_format_name(file->records);
    if (preference_format_find(&preference, name, &not_one) != 0) {
        strbuf_puts(&file->sentence, record_reader_sentence(file->records));
        return strbuf_check(&file->sentence, err);
    }
    strbuf_printf(&file->sentence, "%s: %s preferences", file->path, name);
    record_reader_close(file->records);
    file->records = NULL;
    return strbuf_check(&file->sentence, err) == 0 ? preference_open(&file->preferences, file->path, preference, err)
                                                   : -1;
}

int answer_file_open(struct answer_file **out, const char *path, const char *format, struct err *err)
{
    struct answer_file *file = mem_alloc(1, sizeof *file, err);
    if (!file) {
        return -1;
    }
    file->path = mem_copy_string(path, strlen(path), err);
    if (!file->path || open_reader(file, format, err) != 0) {
        answer_file_close(file);
        return -1;
    }
    *out = file;
    return 0;
}

void answer_file_close(struct answer_file *file)
{
    if (!file) {
        return;
    }
    preference_close(file->preferences);
    record_reader_close(file->records);
    strbuf_free(&file->sentence);
    mem_free(file->path);
    mem_free(file);
}

const char *answer_file_sentence(const struct answer_file *file)
{
    return strbuf_text(&file->sentence);
}

/* Takes over `prompt` and `answers`, also where they are NULL because memory ran out. */
static int make_record(json_t **record, int64_t line, json_t *prompt, json_t *answers, struct err *err)
{
    *record = json_pack("{s:I, s:o, s:o}", "line", (json_int_t)line, "prompt", prompt, "answers", answers);
    return *record ? 1 : out_of_memory(err);
}

/* ---- preferences ---- */

static json_t *answers_of(const struct preference *preference)
{
    json_t *answers = json_array();
    for (size_t i = 0; i < preference->count; i++) {
        const struct preference_answer *answer = &preference->answers[i];
        json_t *one = json_pack("{s:s%}", "text", answer->text, answer->length);
        int failed = !one;
        if (answer->rank > 0) {
            failed |= json_object_set_new(one, "rank", json_integer(answer->rank));
        }
        if (answer->model) {
            failed |= json_object_set_new(one, "model", json_string(answer->model));
        }
        failed |= json_array_append_new(answers, one);
        if (failed) {
            json_decref(answers);
            return NULL;
        }
    }
    return answers;
}

static int next_preference(struct answer_file *file, json_t **record, struct err *err)
{
    const struct preference *preference;
    int got = preference_next(file->preferences, &preference, err);
    if (got == PREFERENCE_END) {
        return 0;
    }
    return got == PREFERENCE_RECORD ? make_record(record, preference->line, json_deep_copy(preference->messages),
                                                  answers_of(preference), err)
                                    : -1;
}

/* ---- records with one answer ---- */

/* The first `count` messages. */
static json_t *first_messages(const json_t *messages, size_t count)
{
    json_t *first = json_array();
    for (size_t i = 0; i < count; i++) {
        if (json_array_append(first, json_array_get(messages, i)) != 0) {
            json_decref(first);
            return NULL;
        }
    }
    return first;
}

static int take_conversation(const struct record *parsed, int64_t line, json_t **record, struct err *err)
{
    size_t last = record_last_answer(parsed);
    const json_t *answer = json_object_get(json_array_get(parsed->messages, last), "content");
    if (last == 0 || !json_is_string(answer)) {
        return err_set(err, "the conversation has no answer of an assistant to score");
    }
    return make_record(record, line, first_messages(parsed->messages, last), json_pack("[{s:O}]", "text", answer), err);
}

static int take_record(const struct record *parsed, int64_t line, json_t **record, struct err *err)
{
    switch (parsed->kind) {
    case RECORD_CHAT:
        return take_conversation(parsed, line, record, err);
    case RECORD_PLAIN_PAIR:
        return make_record(record, line,
                           json_pack("[{s:s, s:s%}]", "role", "user", "content", parsed->text, parsed->length),
                           json_pack("[{s:s%}]", "text", parsed->completion, parsed->completion_length), err);
    case RECORD_PLAIN:
    case RECORD_QUESTION:
        break;
    }
    return err_set(err, "the record has no answer to score");
}

static int next_record(struct answer_file *file, json_t **record, struct err *err)
{
    json_t *value;
    struct record_place place;
    struct record parsed;
    int got = record_reader_next(file->records, &value, &place, err);
    if (got != RECORD_VALUE) {
        return got == RECORD_END ? 0 : -1;
    }
    int result = record_parse(&parsed, value, record_reader_format(file->records), err);
    if (result == 0) {
        result = take_record(&parsed, place.line, record, err);
        record_free(&parsed);
    }
    json_decref(value);
    return result < 0 ? record_reader_blame(file->records, &place, err) : result;
}

int answer_file_next(struct answer_file *file, json_t **record, struct err *err)
{
    return file->preferences ? next_preference(file, record, err) : next_record(file, record, err);
}
