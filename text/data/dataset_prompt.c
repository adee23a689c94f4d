/* The part of text/data/dataset.h that makes prompts. */
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "text/data/dataset.h"
#include "text/data/dataset_arena.h"
#include "text/data/internal.h"
#include "text/data/record.h"
#include <string.h>

/* What a call needs besides the list. */
struct prompter {
    struct prompt_list *list;
    const struct dataset_options *options;
    struct record_encoder encoder;
    struct encoding encoding;
    bool made_list; /* in this call: it goes again when that fails */
    long failures;  /* mem_failures() at its start */
};

static int prompter_open(struct prompter *prompter, struct prompt_list **list, const struct dataset_options *options,
                         struct err *err)
{
    *prompter = (struct prompter){.options = options, .failures = mem_failures()};
    if (record_encoder_open(&prompter->encoder, options, err) != 0) {
        return -1;
    }
    if (!*list) {
        struct prompt_list *made = mem_alloc(1, sizeof *made, err);
        if (!made || arena_create(&made->arena, err) != 0) {
            mem_free(made);
            record_encoder_close(&prompter->encoder);
            return -1;
        }
        *list = made;
        prompter->made_list = true;
    }
    prompter->list = *list;
    return 0;
}

int32_t prompt_list_longest(const struct prompt_list *list)
{
    int32_t longest = 1;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].count > longest) {
            longest = list->items[i].count;
        }
    }
    return longest;
}

void prompt_list_free(struct prompt_list *list)
{
    if (list) {
        arena_release(list->arena);
        mem_free(list->items);
        mem_free(list);
    }
}

/* Returns `result`. */
static int prompter_close(struct prompter *prompter, struct prompt_list **list, int result)
{
    encoding_free(&prompter->encoding);
    record_encoder_close(&prompter->encoder);
    if (result != 0 && prompter->made_list) {
        prompt_list_free(*list);
        *list = NULL;
    }
    return result;
}

/* Adds what encoding holds. `source` is a string or a list of messages. */
static int store_prompt(struct prompter *prompter, const json_t *source, struct err *err)
{
    const struct encoding *encoding = &prompter->encoding;
    const struct strbuf *rendered = &encoding->text;
    struct prompt_list *list = prompter->list;
    size_t count = encoding->tokens.count,
           most = prompter->options->max_length > 0 ? (size_t)prompter->options->max_length : INT32_MAX;
    if (count == 0) {
        return err_set(err, "the prompt is empty");
    }
    if (count > most) {
        return err_set(err, "the prompt has %zu tokens, more than the %zu of max_length", count, most);
    }
    struct prompt *items = mem_grow(list->items, &list->capacity, list->count + 1, sizeof *items, err);
    if (!items) {
        return -1;
    }
    list->items = items;
    const json_t *words = json_is_string(source) ? source : messages_to_show(source);
    char *json = json_dumps(source, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!json) {
        return err_set(err, "out of memory while reading a prompt");
    }
    int32_t *ids = arena_take(list->arena, count * sizeof *ids, err);
    const char *json_copy = ids ? arena_copy_string(list->arena, json, strlen(json), err) : NULL;
    const char *rendered_copy =
        json_copy ? arena_copy_string(list->arena, strbuf_text(rendered), rendered->length, err) : NULL;
    const char *text =
        rendered_copy ? arena_copy_string(list->arena, json_string_value(words), json_string_length(words), err) : NULL;
    mem_free(json);
    if (!text) {
        return -1;
    }
    memcpy(ids, encoding->tokens.ids, count * sizeof *ids);
    items[list->count++] = (struct prompt){
        .ids = ids,
        .count = (int32_t)count,
        .text = text,
        .json = json_copy,
        .rendered = rendered_copy,
        .record = hash_u64(rendered_copy, rendered->length, 0),
    };
    return 0;
}

static int add_conversation(struct prompter *prompter, const struct record *record, struct err *err)
{
    json_t *messages = prompt_messages(record, err);
    if (!messages) {
        return -1;
    }
    int result = json_array_size(messages) > 0 ? 0 : err_set(err, "nothing stands before the answer");
    if (result == 0) {
        result = encode_prompt(&prompter->encoder, record, &prompter->encoding, err);
    }
    if (result == 0) {
        result = store_prompt(prompter, messages, err);
    }
    json_decref(messages);
    return result;
}

/* A text that continues, or with `is_question` one that a user says, where the model has a template for that. */
static int add_words(struct prompter *prompter, const char *text, size_t length, bool is_question, struct err *err)
{
    json_t *source = json_stringn(text, length);
    if (!source) {
        return err_set(err, "the prompt is not UTF-8, or memory is short");
    }
    struct record record = {.kind = RECORD_PLAIN, .format = RECORD_PROMPT, .text = text, .length = length};
    int result = 0;
    if (is_question && prompter->options->chat) {
        record.kind = RECORD_CHAT;
        record.first = 1;
        record.messages = json_pack("[{s:s, s:O}]", "role", "user", "content", source);
        result = record.messages ? 0 : err_set(err, "out of memory while reading a prompt");
    }
    if (result == 0) {
        result = encode_prompt(&prompter->encoder, &record, &prompter->encoding, err);
    }
    if (result == 0) {
        result = store_prompt(prompter, source, err);
    }
    json_decref(record.messages);
    json_decref(source);
    return result;
}

static int add_record(struct prompter *prompter, const json_t *value, enum record_format format, struct err *err)
{
    struct record record;
    if (record_parse(&record, value, format, err) != 0) {
        return -1;
    }
    int result = record.kind == RECORD_CHAT
                     ? add_conversation(prompter, &record, err)
                     : add_words(prompter, record.text, record.length, record.kind == RECORD_QUESTION, err);
    record_free(&record);
    return result;
}

/* A prompt that cannot be used: the end with *err as it stands, or one more to count. */
static int skip_or_stop(struct prompter *prompter)
{
    prompter->list->skipped += prompter->options->skip_bad_records;
    return prompter->options->skip_bad_records ? 0 : -1;
}

/* Want of memory is no fault of a record, whatever it made of it. */
static int check_memory(const struct prompter *prompter, const char *path, struct err *err)
{
    if (mem_failures() == prompter->failures) {
        return 0;
    }
    return err_set(err, "%s: out of memory while reading its prompts; close other programs", path);
}

static int load_records(struct prompter *prompter, struct record_reader *reader, const char *path, struct err *err)
{
    json_t *value;
    struct record_place place;
    int got;
    while ((got = record_reader_next(reader, &value, &place, err)) > 0) {
        int result = got == RECORD_VALUE ? add_record(prompter, value, record_reader_format(reader), err) : -1;
        if (got == RECORD_VALUE) {
            json_decref(value);
            if (result != 0) {
                record_reader_blame(reader, &place, err);
            }
        }
        if (check_memory(prompter, path, err) != 0) {
            return -1;
        }
        if (result != 0 && skip_or_stop(prompter) != 0) {
            return -1;
        }
    }
    return got;
}

/* A .txt: each line that is not blank. */
static int load_lines(struct prompter *prompter, const char *path, struct err *err)
{
    struct file_lines *lines = NULL;
    if (file_lines_open(&lines, path, err) != 0) {
        return -1;
    }
    const char *line;
    size_t length;
    int got, result = 0;
    while (result == 0 && (got = file_lines_next(lines, &line, &length, err)) != 0) {
        if (got < 0) {
            result = -1;
        } else if (length > strspn(line, " \t")) {
            result = add_words(prompter, line, length, true, err);
            if (result != 0) {
                err_prefix(err, "%s:%lld", path, (long long)file_lines_number(lines));
                result = skip_or_stop(prompter);
            }
            if (check_memory(prompter, path, err) != 0) {
                result = -1;
            }
        }
    }
    file_lines_close(lines);
    return result;
}

static int load_file(struct prompter *prompter, const char *path, const char *format, const char *split,
                     struct err *err)
{
    if (record_path_is_text(path)) {
        return load_lines(prompter, path, err);
    }
    struct record_reader *reader;
    if (record_reader_open(&reader, path, format, split, err) != 0) {
        return -1;
    }
    int result = load_records(prompter, reader, path, err);
    record_reader_close(reader);
    return result;
}

int prompt_list_load_source(struct prompt_list **list, const struct dataset_source *source,
                            const struct dataset_options *options, struct err *err)
{
    struct prompter prompter;
    if (prompter_open(&prompter, list, options, err) != 0) {
        return -1;
    }
    const char *split = source->split;
    char *file = record_find_file(source->path, &split, err);
    size_t before = prompter.list->count;
    int result = file ? load_file(&prompter, file, source->format, split, err) : -1;
    if (result == 0 && prompter.list->count == before) {
        result = err_set(err, "'%s' holds no prompt that can be used", file);
    }
    prompter.list->count = result == 0 ? prompter.list->count : before;
    mem_free(file);
    return prompter_close(&prompter, list, result);
}

int prompt_list_load(struct prompt_list **list, const char *path, const char *format,
                     const struct dataset_options *options, struct err *err)
{
    return prompt_list_load_source(list, &(struct dataset_source){.path = path, .format = format}, options, err);
}

int prompt_list_add_text(struct prompt_list **list, const char *text, const struct dataset_options *options,
                         struct err *err)
{
    struct prompter prompter;
    if (prompter_open(&prompter, list, options, err) != 0) {
        return -1;
    }
    return prompter_close(&prompter, list, add_words(&prompter, text, strlen(text), true, err));
}

int prompt_list_add_messages(struct prompt_list **list, const json_t *messages, const struct dataset_options *options,
                             struct err *err)
{
    struct prompter prompter;
    if (prompter_open(&prompter, list, options, err) != 0) {
        return -1;
    }
    json_t *value = json_pack("{s:O}", "prompt", messages);
    int result =
        value ? add_record(&prompter, value, RECORD_PROMPT, err) : err_set(err, "out of memory while reading a prompt");
    json_decref(value);
    return prompter_close(&prompter, list, result);
}
