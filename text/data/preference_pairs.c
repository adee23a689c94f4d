/* Formats of two answers, or of one with a thumb: trl, trl-implicit, sharegpt, hh, kto, pairs. */
#include "base/mem.h"
#include "text/data/internal.h"

#include <string.h>

static const json_t *last_of(const json_t *list)
{
    return json_array_get(list, json_array_size(list) - 1);
}

/* `list` is a whole conversation: all but its last message, which the assistant must have written, go to the record. */
static int add_prompt_of(struct preference *record, const json_t *list, struct err *err)
{
    size_t count = json_array_size(list);
    if (count < 2) {
        return preference_reject(err, "there is no prompt before the answer");
    }
    for (size_t i = 0; i + 1 < count; i++) {
        if (json_array_append(record->messages, json_array_get(list, i)) != 0) {
            return err_set(err, "out of memory for a message");
        }
    }
    const char *role = json_string_value(json_object_get(last_of(record->messages), "role"));
    if (strcmp(role, "assistant") == 0) {
        return preference_reject(err, "two turns of the assistant follow each other");
    }
    return 0;
}

static int add_last_answer(struct preference *record, const json_t *list, int rank, struct err *err)
{
    const json_t *message = last_of(list), *content = json_object_get(message, "content");
    const char *role = json_string_value(json_object_get(message, "role"));
    if (role == NULL || strcmp(role, "assistant") != 0) {
        return preference_reject(err, "the conversation does not end with an answer of the assistant");
    }
    return preference_add_answer(record, json_string_value(content), json_string_length(content), rank, NULL, err);
}

/* Two whole conversations that differ in their last message only. */
static int add_two(struct preference_queue *queue, const json_t *chosen, const json_t *rejected, int worse_rank,
                   struct err *err)
{
    size_t count = json_array_size(chosen);
    if (json_array_size(rejected) != count) {
        return preference_reject(err, "chosen and rejected have different prompts");
    }
    for (size_t i = 0; i + 1 < count; i++) {
        if (json_equal(json_array_get(chosen, i), json_array_get(rejected, i)) == 0) {
            return preference_reject(err, "chosen and rejected have different prompts");
        }
    }
    struct preference *record = preference_emit(queue, err);
    if (record == NULL) {
        return -1;
    }
    int result = add_prompt_of(record, chosen, err);
    if (result == 0) {
        result = add_last_answer(record, chosen, 1, err);
    }
    if (result == 0) {
        result = add_last_answer(record, rejected, worse_rank, err);
    }
    return result;
}

/* The prompt and what follows it as one list; a continuation that begins with the prompt again is taken as it is. */
static int whole_conversation(json_t *list, const json_t *prompt, const json_t *continuation, struct err *err)
{
    json_t *before = json_array(), *after = json_array();
    int result = before == NULL || after == NULL ? err_set(err, "out of memory for a record") : 0;
    if (result == 0 && prompt != NULL) {
        result = preference_add_messages(before, prompt, "user", err);
    }
    if (result == 0) {
        result = preference_add_messages(after, continuation, "assistant", err);
    }
    bool repeated = json_array_size(before) > 0 && json_equal(json_array_get(before, 0), json_array_get(after, 0)) != 0;
    if (result == 0 && ((!repeated && json_array_extend(list, before) != 0) || json_array_extend(list, after) != 0)) {
        result = err_set(err, "out of memory for a record");
    }
    json_decref(before);
    json_decref(after);
    return result;
}

static int parse_two(struct preference_queue *queue, const json_t *prompt, const json_t *chosen, const json_t *rejected,
                     int worse_rank, struct err *err)
{
    json_t *better = json_array(), *worse = json_array();
    int result = better == NULL || worse == NULL ? err_set(err, "out of memory for a record") : 0;
    if (result == 0) {
        result = whole_conversation(better, prompt, chosen, err);
    }
    if (result == 0) {
        result = whole_conversation(worse, prompt, rejected, err);
    }
    if (result == 0) {
        result = add_two(queue, better, worse, worse_rank, err);
    }
    json_decref(better);
    json_decref(worse);
    return result;
}

/* With and without an explicit prompt: a message list may hold the prompt itself. */
int preference_parse_trl(const json_t *value, struct preference_queue *queue, struct err *err)
{
    const json_t *chosen = json_object_get(value, "chosen"), *rejected = json_object_get(value, "rejected");
    if (chosen == NULL || rejected == NULL) {
        return preference_reject(err, "the record has no \"chosen\" and \"rejected\"");
    }
    return parse_two(queue, json_object_get(value, "prompt"), chosen, rejected, 2, err);
}

int preference_parse_sharegpt(const json_t *value, struct preference_queue *queue, struct err *err)
{
    const json_t *turns = json_object_get(value, "conversations"), *system = json_object_get(value, "system");
    if (!json_is_array(turns)) {
        return preference_reject(err, "the record has no list \"conversations\"");
    }
    json_t *prompt = json_array();
    int result = prompt == NULL ? err_set(err, "out of memory for a record") : 0;
    if (result == 0 && json_is_string(system) && json_string_length(system) > 0) {
        result = preference_add_message(prompt, "system", json_string_value(system), json_string_length(system), err);
    }
    if (result == 0) {
        result = preference_add_messages(prompt, turns, "user", err);
    }
    if (result == 0) {
        result = parse_two(queue, prompt, json_object_get(value, "chosen"), json_object_get(value, "rejected"), 2, err);
    }
    json_decref(prompt);
    return result;
}

int preference_parse_hh(const json_t *value, struct preference_queue *queue, struct err *err)
{
    const json_t *chosen = json_object_get(value, "chosen"), *rejected = json_object_get(value, "rejected");
    if (!json_is_string(chosen) || !json_is_string(rejected) || !preference_is_transcript(json_string_value(chosen)) ||
        !preference_is_transcript(json_string_value(rejected))) {
        return preference_reject(err, "chosen and rejected must be transcripts that begin with \"\\n\\nHuman:\"");
    }
    return parse_two(queue, NULL, chosen, rejected, 2, err);
}

int preference_parse_kto(const json_t *value, struct preference_queue *queue, struct err *err)
{
    const json_t *prompt = json_object_get(value, "prompt"), *completion = json_object_get(value, "completion");
    const json_t *label = json_object_get(value, "label");
    if (prompt == NULL || completion == NULL || !json_is_boolean(label)) {
        return preference_reject(err, "the record has no \"prompt\", \"completion\" and a \"label\" of true or false");
    }
    json_t *list = json_array();
    struct preference *record = list == NULL ? NULL : preference_emit(queue, err);
    int result =
        record == NULL ? err_set(err, "out of memory for a record") : whole_conversation(list, prompt, completion, err);
    if (result == 0) {
        record->thumb = json_is_true(label) ? 1 : -1;
        result = add_prompt_of(record, list, err);
    }
    if (result == 0) {
        result = add_last_answer(record, list, 1, err);
    }
    json_decref(list);
    return result;
}

int preference_parse_pairs(const json_t *value, struct preference_queue *queue, struct err *err)
{
    const json_t *chosen = json_object_get(value, "chosen"), *rejected = json_object_get(value, "rejected");
    bool tie = json_is_true(json_object_get(value, "tie"));
    if (!json_is_string(chosen) || !json_is_string(rejected)) {
        return preference_reject(err, "chosen and rejected must be strings");
    }
    int result = parse_two(queue, json_object_get(value, "prompt"), chosen, rejected, tie ? 1 : 2, err);
    if (result != 0) {
        return result;
    }
    struct preference *record = &queue->records[queue->count - 1];
    const json_t *strength = json_object_get(value, "strength");
    if (json_is_integer(strength)) {
        int64_t levels = json_integer_value(strength);
        if (levels < 0 || levels > 4 || (levels == 0) != tie) {
            return preference_reject(err, "strength is 0 for a tie, else 1 to 4");
        }
        record->strength = (int)levels;
    }
    return preference_copy_string(&record->annotator, value, "annotator", err) != 0 ||
                   preference_copy_string(&record->lang, value, "lang", err) != 0
               ? -1
               : 0;
}
