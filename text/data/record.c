/* The formats: members of a JSON object -> struct record. */
#include "text/data/record.h"

#include "base/mem.h"
#include <string.h>

const char record_formats_known[] =
    "alpaca (instruction, input, output), sharegpt (conversations), messages (messages), completion (prompt, "
    "completion), text (text), prompt (prompt)";

static int out_of_memory(struct err *err)
{
    return err_set(err, "out of memory while reading a record");
}

/* The string member `key`; 1, or 0 where it is absent or null, or -1 where it is of another type. */
static int string_member(const json_t **out, const json_t *object, const char *key, struct err *err)
{
    *out = json_object_get(object, key);
    if (!*out || json_is_null(*out)) {
        *out = NULL;
        return 0;
    }
    return json_is_string(*out) ? 1 : err_set(err, "\"%s\" must be a string", key);
}

static int need_string(const json_t **out, const json_t *object, const char *key, struct err *err)
{
    int found = string_member(out, object, key, err);
    return found == 0 ? err_set(err, "\"%s\" is missing", key) : found == 1 ? 0 : -1;
}

/* Takes both over. */
static int add_message(json_t *messages, const char *role, json_t *content, struct err *err)
{
    json_t *message = json_object();
    if (!message || !content || json_object_set_new(message, "role", json_string(role)) != 0 ||
        json_object_set(message, "content", content) != 0 || json_array_append(messages, message) != 0) {
        json_decref(message);
        json_decref(content);
        return out_of_memory(err);
    }
    json_decref(message);
    json_decref(content);
    return 0;
}

static int add_string(json_t *messages, const char *role, const json_t *text, struct err *err)
{
    return add_message(messages, role, json_incref((json_t *)text), err);
}

/* The parts of a content that is a list, as one string. */
static json_t *joined_parts(const json_t *parts, struct err *err)
{
    struct strbuf text = {0};
    json_t *joined = NULL;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i), *words = json_object_get(part, "text");
        const char *type = json_string_value(json_object_get(part, "type"));
        if (json_is_string(part)) {
            words = part;
        } else if (type && strcmp(type, "text") != 0) {
            err_set(err, "a part of the content is of type \"%.40s\"; only \"text\" can be read", type);
            goto done;
        }
        if (!json_is_string(words)) {
            err_set(err, "part %zu of the content has no \"text\"", i + 1);
            goto done;
        }
        strbuf_append(&text, json_string_value(words), json_string_length(words));
    }
    if (strbuf_check(&text, err) == 0) {
        joined = json_stringn(strbuf_text(&text), text.length);
        if (!joined) {
            out_of_memory(err);
        }
    }
done:
    strbuf_free(&text);
    return joined;
}

/* A turn written by the names of messages or of ShareGPT: its words, as they are. */
static const json_t *turn_content(const json_t *turn)
{
    const json_t *content = json_object_get(turn, "content");
    return content ? content : json_object_get(turn, "value");
}

static const char *turn_role(const json_t *turn)
{
    const json_t *role = json_object_get(turn, "role");
    return json_string_value(role ? role : json_object_get(turn, "from"));
}

/* ShareGPT's speakers under the names that templates know; other names stay as they are. */
static const char *role_name(const char *speaker)
{
    static const char *const names[][2] = {
        {"human", "user"},
        {"gpt", "assistant"},
        {"chatgpt", "assistant"},
        {"bard", "assistant"},
        {"bing", "assistant"},
        {"model", "assistant"},
        {"function_call", "assistant"},
        {"observation", "tool"},
        {"function_response", "tool"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i][0], speaker) == 0) {
            return names[i][1];
        }
    }
    return speaker;
}

/* {"from": "function_call", "value": "{\"name\": .., \"arguments\": {..}}"} as the message with tool_calls that it is.
 */
static int add_function_call(json_t *messages, const json_t *content, struct err *err)
{
    struct err cause;
    json_t *function = json_is_string(content) ? json_read_text(json_string_value(content), json_string_length(content),
                                                                "function_call", &cause)
                                               : NULL;
    if (!json_is_string(json_object_get(function, "name"))) {
        json_decref(function);
        return err_set(err, "a function_call must be JSON with \"name\" and \"arguments\"");
    }
    json_t *message = json_pack("{s:s, s:s, s:[{s:s, s:o}]}", "role", "assistant", "content", "", "tool_calls", "type",
                                "function", "function", function);
    return message && json_array_append_new(messages, message) == 0 ? 0 : out_of_memory(err);
}

/* A copy of the turn with "role" and a "content" that is a string or null; what else it has stays. */
static int add_turn(json_t *messages, const json_t *turn, struct err *err)
{
    const char *speaker = turn_role(turn);
    const json_t *content = turn_content(turn);
    if (!speaker) {
        return err_set(err, "it has no \"role\" (or \"from\")");
    }
    if (strcmp(speaker, "function_call") == 0) {
        return add_function_call(messages, content, err);
    }
    if (!json_is_string(content) && !json_is_array(content) && !json_object_get(turn, "tool_calls")) {
        return err_set(err, "it has no \"content\" (or \"value\") that is a string or a list of parts");
    }
    json_t *text = json_is_array(content) ? joined_parts(content, err) : json_incref((json_t *)content);
    if (json_is_array(content) && !text) {
        return -1;
    }
    json_t *copy = json_copy((json_t *)turn);
    json_object_del(copy, "from");
    json_object_del(copy, "value");
    int result = copy && json_object_set_new(copy, "role", json_string(role_name(speaker))) == 0 &&
                         (!text || json_object_set(copy, "content", text) == 0) &&
                         json_array_append(messages, copy) == 0
                     ? 0
                     : out_of_memory(err);
    json_decref(copy);
    json_decref(text);
    return result;
}

static int add_turns(json_t *messages, const json_t *turns, const char *key, struct err *err)
{
    if (!json_is_array(turns)) {
        return err_set(err, turns ? "\"%s\" must be a list of messages" : "\"%s\" is missing", key);
    }
    if (json_array_size(turns) == 0) {
        return err_set(err, "\"%s\" is empty", key);
    }
    for (size_t i = 0; i < json_array_size(turns); i++) {
        if (add_turn(messages, json_array_get(turns, i), err) != 0) {
            return err_prefix(err, "turn %zu of \"%s\"", i + 1, key);
        }
    }
    return 0;
}

/* "system" beside the turns, unless they begin with one. */
static int add_system(json_t *messages, const json_t *value, const json_t *turns, struct err *err)
{
    const json_t *text;
    int found = string_member(&text, value, "system", err);
    const char *first = turn_role(json_array_get(turns, 0));
    if (found != 1 || json_string_length(text) == 0 || (first && strcmp(first, "system") == 0)) {
        return found < 0 ? -1 : 0;
    }
    return add_string(messages, "system", text, err);
}

/* "tools", a list or the JSON of one in a string. */
static int read_tools(struct record *record, const json_t *value, struct err *err)
{
    json_t *tools = json_object_get(value, "tools");
    if (json_is_string(tools) && json_string_length(tools) > 0) {
        record->tools = json_read_text(json_string_value(tools), json_string_length(tools), "\"tools\"", err);
        if (!record->tools) {
            return -1;
        }
    } else if (json_is_array(tools)) {
        record->tools = json_incref(tools);
    }
    if (record->tools && !json_is_array(record->tools)) {
        return err_set(err, "\"tools\" must be a list");
    }
    if (json_array_size(record->tools) == 0) {
        json_decref(record->tools);
        record->tools = NULL;
    }
    return 0;
}

static int parse_turns(struct record *record, const json_t *value, const char *key, struct err *err)
{
    const json_t *turns = json_object_get(value, key);
    if (!turns) { /* each of the two names is also used with the other's turns */
        const char *other = strcmp(key, "messages") == 0 ? "conversations" : "messages";
        turns = json_object_get(value, other);
        key = turns ? other : key;
    }
    if (add_system(record->messages, value, turns, err) != 0 || add_turns(record->messages, turns, key, err) != 0) {
        return -1;
    }
    return read_tools(record, value, err);
}

static int parse_sharegpt(struct record *record, const json_t *value, struct err *err)
{
    return parse_turns(record, value, "conversations", err);
}

static int parse_messages(struct record *record, const json_t *value, struct err *err)
{
    return parse_turns(record, value, "messages", err);
}

static int add_history(json_t *messages, const json_t *history, struct err *err)
{
    if (!history || json_is_null(history)) {
        return 0;
    }
    if (!json_is_array(history)) {
        return err_set(err, "\"history\" must be a list of [question, answer]");
    }
    for (size_t i = 0; i < json_array_size(history); i++) {
        const json_t *pair = json_array_get(history, i), *question = json_array_get(pair, 0),
                     *answer = json_array_get(pair, 1);
        if (json_array_size(pair) != 2 || !json_is_string(question) || !json_is_string(answer)) {
            return err_set(err, "entry %zu of \"history\" must be [question, answer], two strings", i + 1);
        }
        if (add_string(messages, "user", question, err) != 0 || add_string(messages, "assistant", answer, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int parse_alpaca(struct record *record, const json_t *value, struct err *err)
{
    const json_t *instruction, *input, *output;
    if (need_string(&instruction, value, "instruction", err) != 0 || string_member(&input, value, "input", err) < 0 ||
        need_string(&output, value, "output", err) != 0 || add_system(record->messages, value, NULL, err) != 0 ||
        add_history(record->messages, json_object_get(value, "history"), err) != 0) {
        return -1;
    }
    struct strbuf user = {0};
    strbuf_append(&user, json_string_value(instruction), json_string_length(instruction));
    if (input && json_string_length(input) > 0) {
        strbuf_putc(&user, '\n');
        strbuf_append(&user, json_string_value(input), json_string_length(input));
    }
    int result = strbuf_check(&user, err);
    if (result == 0) {
        result = add_message(record->messages, "user", json_stringn(strbuf_text(&user), user.length), err);
    }
    strbuf_free(&user);
    return result == 0 ? add_string(record->messages, "assistant", output, err) : -1;
}

static void set_text(const char **text, size_t *length, const json_t *string)
{
    *text = json_string_value(string);
    *length = json_string_length(string);
}

static int parse_completion(struct record *record, const json_t *value, struct err *err)
{
    const json_t *prompt = json_object_get(value, "prompt"), *completion = json_object_get(value, "completion");
    if (json_is_string(prompt) && json_is_string(completion)) {
        record->kind = RECORD_PLAIN_PAIR;
        set_text(&record->text, &record->length, prompt);
        set_text(&record->completion, &record->completion_length, completion);
        return 0;
    }
    if (!json_is_array(prompt) || !json_is_array(completion)) {
        return err_set(err, "\"prompt\" and \"completion\" must be two strings, or two lists of messages");
    }
    if (add_turns(record->messages, prompt, "prompt", err) != 0) {
        return -1;
    }
    record->first = json_array_size(record->messages);
    if (json_array_size(completion) > 0 && add_turns(record->messages, completion, "completion", err) != 0) {
        return -1;
    }
    return read_tools(record, value, err);
}

static int parse_text(struct record *record, const json_t *value, struct err *err)
{
    const json_t *text;
    if (need_string(&text, value, "text", err) != 0) {
        return -1;
    }
    record->kind = RECORD_PLAIN;
    set_text(&record->text, &record->length, text);
    return 0;
}

static int parse_prompt(struct record *record, const json_t *value, struct err *err)
{
    const json_t *prompt = json_object_get(value, "prompt");
    if (json_is_string(prompt)) {
        record->kind = RECORD_QUESTION;
        set_text(&record->text, &record->length, prompt);
        return 0;
    }
    if (add_turns(record->messages, prompt, "prompt", err) != 0) {
        return -1;
    }
    record->first = json_array_size(record->messages);
    return read_tools(record, value, err);
}

int record_parse(struct record *record, const json_t *value, enum record_format format, struct err *err)
{
    static int (*const parse[RECORD_FORMATS])(struct record *, const json_t *, struct err *) = {
        [RECORD_ALPACA] = parse_alpaca,         [RECORD_SHAREGPT] = parse_sharegpt, [RECORD_MESSAGES] = parse_messages,
        [RECORD_COMPLETION] = parse_completion, [RECORD_TEXT] = parse_text,         [RECORD_PROMPT] = parse_prompt,
    };
    *record = (struct record){.kind = RECORD_CHAT, .format = format};
    if (!json_is_object(value)) {
        return err_set(err, "a record must be a JSON object");
    }
    record->messages = json_array();
    int result = record->messages ? parse[format](record, value, err) : out_of_memory(err);
    if (result != 0) {
        record_free(record);
    }
    return result;
}

void record_free(struct record *record)
{
    json_decref(record->messages);
    json_decref(record->tools);
    *record = (struct record){0};
}

static bool is_answer(const json_t *messages, size_t i)
{
    const char *role = json_string_value(json_object_get(json_array_get(messages, i), "role"));
    return role && strcmp(role, "assistant") == 0;
}

const json_t *messages_to_show(const json_t *messages)
{
    size_t count = json_array_size(messages);
    for (size_t i = count; i-- > 0;) {
        const json_t *message = json_array_get(messages, i);
        const char *role = json_string_value(json_object_get(message, "role"));
        if (role && strcmp(role, "user") == 0) {
            return json_object_get(message, "content");
        }
    }
    return json_object_get(json_array_get(messages, count - 1), "content");
}

size_t record_first_answer(const struct record *record)
{
    size_t count = json_array_size(record->messages), i = record->first;
    while (i < count && !is_answer(record->messages, i)) {
        i++;
    }
    return i;
}

size_t record_last_answer(const struct record *record)
{
    size_t count = json_array_size(record->messages);
    for (size_t i = count; i-- > record->first;) {
        if (is_answer(record->messages, i)) {
            return i;
        }
    }
    return count;
}

static bool has(const json_t *value, const char *key)
{
    return json_object_get(value, key) != NULL;
}

/* Members that only preferences have. */
static bool is_preference(const json_t *value)
{
    return has(value, "chosen") || has(value, "rejected") || has(value, "completions") || has(value, "summaries") ||
           has(value, "message_tree_id") || (has(value, "completion") && has(value, "label")) ||
           json_is_object(json_object_get(value, "prompt"));
}

enum record_format record_detect(const json_t *value)
{
    if (is_preference(value)) {
        return RECORD_AUTO;
    }
    if (has(value, "messages")) {
        return RECORD_MESSAGES;
    }
    if (has(value, "conversations")) {
        return RECORD_SHAREGPT;
    }
    if (has(value, "instruction") && has(value, "output")) {
        return RECORD_ALPACA;
    }
    if (has(value, "prompt")) {
        return has(value, "completion") ? RECORD_COMPLETION : RECORD_PROMPT;
    }
    return has(value, "text") ? RECORD_TEXT : RECORD_AUTO;
}
