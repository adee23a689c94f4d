/* Messages, transcripts and answers: the pieces that the formats are made of. */
#include "base/mem.h"
#include "base/strbuf.h"
#include "text/data/internal.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct preference *preference_emit(struct preference_queue *queue, struct err *err)
{
    struct preference *records = mem_grow(queue->records, &queue->capacity, queue->count + 1, sizeof *records, err);
    if (records == NULL) {
        return NULL;
    }
    queue->records = records;
    struct preference *record = &records[queue->count];
    memset(record, 0, sizeof *record);
    record->strength = -1;
    record->margin = NAN;
    record->messages = json_array();
    if (record->messages == NULL) {
        err_set(err, "out of memory for a record");
        return NULL;
    }
    queue->count++;
    queue->filling = true;
    return record;
}

void preference_discard(struct preference_queue *queue)
{
    struct preference *record = &queue->records[--queue->count];
    queue->filling = false;
    json_decref(record->messages);
    for (size_t i = 0; i < record->count; i++) {
        mem_free(record->answers[i].text);
        mem_free(record->answers[i].model);
    }
    mem_free(record->annotator);
    mem_free(record->lang);
    mem_free(record->split);
}

int preference_reject(struct err *err, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    err_set(err, "%s", text);
    return PREFERENCE_REJECTED;
}

int preference_add_message(json_t *messages, const char *role, const char *text, size_t length, struct err *err)
{
    json_t *message = json_object();
    if (message == NULL || json_object_set_new(message, "role", json_string(role)) != 0 ||
        json_object_set_new(message, "content", json_stringn(text, length)) != 0 ||
        json_array_append(messages, message) != 0) {
        json_decref(message);
        return err_set(err, "out of memory for a message");
    }
    json_decref(message);
    return 0;
}

static const char *role_of(const char *name)
{
    static const char *const roles[][2] = {
        {"user", "user"},         {"human", "user"},
        {"prompter", "user"},     {"assistant", "assistant"},
        {"gpt", "assistant"},     {"system", "system"},
        {"tool", "tool"},         {"function", "tool"},
        {"observation", "tool"},  {"function_call", "assistant"},
        {"chatgpt", "assistant"}, {"bot", "assistant"},
    };
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (strcmp(roles[i][0], name) == 0) {
            return roles[i][1];
        }
    }
    return NULL;
}

/* The text of a message's content: a string, or a list of {"type":"text","text"}. */
static int content_text(struct strbuf *out, const json_t *content, struct err *err)
{
    if (json_is_string(content)) {
        strbuf_append(out, json_string_value(content), json_string_length(content));
        return strbuf_check(out, err);
    }
    size_t i;
    const json_t *part;
    if (!json_is_array(content)) {
        return preference_reject(err, "a message's content must be a string or a list of texts");
    }
    json_array_foreach(content, i, part)
    {
        const json_t *text = json_object_get(part, "text");
        if (!json_is_string(text)) {
            return preference_reject(err, "a message holds something other than text");
        }
        strbuf_append(out, json_string_value(text), json_string_length(text));
    }
    return strbuf_check(out, err);
}

static int add_listed(json_t *messages, const json_t *message, struct err *err)
{
    const json_t *role = json_object_get(message, "role"), *content = json_object_get(message, "content");
    if (role == NULL) {
        role = json_object_get(message, "from");
        content = json_object_get(message, "value");
    }
    const char *name = json_is_string(role) ? role_of(json_string_value(role)) : NULL;
    if (name == NULL) {
        return preference_reject(err, "a message has no role that is known%s%s", json_is_string(role) ? ": " : "",
                                 json_is_string(role) ? json_string_value(role) : "");
    }
    struct strbuf text = {0};
    int result = content_text(&text, content, err);
    if (result == 0) {
        result = preference_add_message(messages, name, strbuf_text(&text), text.length, err);
    }
    strbuf_free(&text);
    return result;
}

static bool only_space(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!isspace((unsigned char)text[i])) {
            return false;
        }
    }
    return true;
}

int preference_add_answer(struct preference *record, const char *text, size_t length, int rank, const char *model,
                          struct err *err)
{
    if (only_space(text, length)) {
        return preference_reject(err, "an answer is empty");
    }
    if (record->count == PREFERENCE_ANSWERS_MAX) {
        return preference_reject(err, "more than %d answers", PREFERENCE_ANSWERS_MAX);
    }
    for (size_t i = 0; i < record->count; i++) {
        if (record->answers[i].length == length && memcmp(record->answers[i].text, text, length) == 0) {
            return preference_reject(err, "two answers are the same");
        }
    }
    struct preference_answer *answer = &record->answers[record->count];
    *answer = (struct preference_answer){.length = length, .rank = rank, .score = NAN};
    answer->text = mem_copy_string(text, length, err);
    answer->model = model == NULL ? NULL : mem_copy_string(model, strlen(model), err);
    if (answer->text == NULL || (model != NULL && answer->model == NULL)) {
        mem_free(answer->text);
        return -1;
    }
    record->count++;
    return 0;
}

static const struct {
    const char *marker, *role;
} speakers[] = {{"\n\nHuman:", "user"}, {"\n\nAssistant:", "assistant"}};

/* The speaker whose marker begins at `text`, or -1; *length is the marker's. */
static int speaker_at(const char *text, size_t left, size_t *length)
{
    for (int i = 0; i < 2; i++) {
        *length = strlen(speakers[i].marker);
        if (left >= *length && memcmp(text, speakers[i].marker, *length) == 0) {
            return i;
        }
    }
    return -1;
}

bool preference_is_transcript(const char *text)
{
    return strncmp(text, speakers[0].marker, strlen(speakers[0].marker)) == 0;
}

static size_t trim(const char **text, size_t length)
{
    while (length > 0 && isspace((unsigned char)(*text)[0])) {
        ++*text;
        length--;
    }
    while (length > 0 && isspace((unsigned char)(*text)[length - 1])) {
        length--;
    }
    return length;
}

int preference_copy_string(char **out, const json_t *object, const char *key, struct err *err)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value) || json_string_length(value) == 0) {
        return 0;
    }
    *out = mem_copy_string(json_string_value(value), json_string_length(value), err);
    return *out == NULL ? -1 : 0;
}

/* "Human: ..." turns as messages. */
static int add_transcript(json_t *messages, const char *text, size_t length, struct err *err)
{
    size_t marker = 0, at = 0;
    int speaker = speaker_at(text, length, &marker);
    if (speaker < 0) {
        return preference_reject(err, "a transcript begins with \"\\n\\nHuman:\"");
    }
    while (at < length) {
        size_t start = at + marker, end = start, next_marker = 0;
        int next = -1;
        while (end < length && (next = speaker_at(text + end, length - end, &next_marker)) < 0) {
            end++;
        }
        const char *turn = text + start;
        size_t size = trim(&turn, end - start);
        /* A prompt may end with the marker after which the answer is to stand. */
        bool opened = size == 0 && end == length && speaker == 1;
        int result = opened ? 0 : preference_add_message(messages, speakers[speaker].role, turn, size, err);
        if (result != 0) {
            return result;
        }
        at = end;
        speaker = next;
        marker = next_marker;
    }
    return 0;
}

int preference_add_messages(json_t *messages, const json_t *value, const char *role, struct err *err)
{
    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        return preference_is_transcript(text)
                   ? add_transcript(messages, text, json_string_length(value), err)
                   : preference_add_message(messages, role, text, json_string_length(value), err);
    }
    if (json_is_object(value)) {
        return add_listed(messages, value, err);
    }
    if (!json_is_array(value)) {
        return preference_reject(err, "expected a string or a list of messages");
    }
    size_t i;
    const json_t *message;
    json_array_foreach(value, i, message)
    {
        int result = add_listed(messages, message, err);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}
