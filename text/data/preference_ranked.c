/* Formats of several answers: oasst trees, tldr comparisons, ultrafeedback ratings. */
#include "base/strbuf.h"
#include "text/data/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TREE_DEPTH_MAX 512

/* Makes scores (larger is better) into ranks without gaps; an answer without a score stays unranked. */
static void rank_by_score(struct preference *record, const double *scores, const bool *scored)
{
    for (size_t i = 0; i < record->count; i++) {
        int better = 0;
        for (size_t j = 0; scored[i] && j < record->count; j++) {
            bool first_of_its_score = scored[j];
            for (size_t k = 0; k < j; k++) {
                first_of_its_score = first_of_its_score && !(scored[k] && scores[k] == scores[j]);
            }
            better += first_of_its_score && scores[j] > scores[i];
        }
        record->answers[i].rank = scored[i] ? better + 1 : 0;
    }
}

static int ranked_answers(const struct preference *record)
{
    int count = 0;
    for (size_t i = 0; i < record->count; i++) {
        count += record->answers[i].rank > 0;
    }
    return count;
}

/* A ranking of one answer says nothing. */
static void drop_lone_rank(struct preference *record)
{
    for (size_t i = 0; ranked_answers(record) == 1 && i < record->count; i++) {
        record->answers[i].rank = 0;
    }
}

static bool usable_reply(const json_t *reply)
{
    const char *role = json_string_value(json_object_get(reply, "role"));
    return role != NULL && strcmp(role, "assistant") == 0 && json_is_string(json_object_get(reply, "text")) &&
           !json_is_true(json_object_get(reply, "deleted"));
}

/* The replies to the messages so far. Repeated and empty texts are left out, as those beyond the sixteenth are. */
static int add_replies(struct preference *record, const json_t *replies, struct err *err)
{
    double scores[PREFERENCE_ANSWERS_MAX];
    bool scored[PREFERENCE_ANSWERS_MAX];
    size_t i;
    const json_t *reply;
    json_array_foreach(replies, i, reply)
    {
        const json_t *text = json_object_get(reply, "text"), *rank = json_object_get(reply, "rank");
        if (!usable_reply(reply)) {
            continue;
        }
        const char *model = json_string_value(json_object_get(reply, "model_name"));
        size_t place = record->count;
        int result = preference_add_answer(record, json_string_value(text), json_string_length(text), 0,
                                           json_is_true(json_object_get(reply, "synthetic")) ? model : NULL, err);
        if (result < 0) {
            return -1;
        }
        if (result == 0) {
            scored[place] = json_is_integer(rank);
            scores[place] = -(double)json_integer_value(rank);
        }
    }
    rank_by_score(record, scores, scored);
    return 0;
}

/* A record for every turn of the prompter with two or more ranked replies, along every path of the tree. */
static int walk_tree(const json_t *node, json_t *path, const char *lang, int depth, struct preference_queue *queue,
                     struct err *err)
{
    const json_t *text = json_object_get(node, "text"), *replies = json_object_get(node, "replies");
    const char *role = json_string_value(json_object_get(node, "role"));
    if (role == NULL || !json_is_string(text) || depth > TREE_DEPTH_MAX) {
        return preference_reject(err, "a message of the tree has no role or text, or lies deeper than %d",
                                 TREE_DEPTH_MAX);
    }
    bool asks = strcmp(role, "prompter") == 0;
    int result = preference_add_message(path, asks ? "user" : "assistant", json_string_value(text),
                                        json_string_length(text), err);
    if (result == 0 && asks) {
        struct preference *record = preference_emit(queue, err);
        if (record == NULL || json_array_extend(record->messages, path) != 0) {
            return -1;
        }
        result = add_replies(record, replies, err);
        if (result == 0 && lang != NULL) {
            json_t *named = json_pack("{s:s}", "lang", lang);
            result = preference_copy_string(&record->lang, named, "lang", err);
            json_decref(named);
        }
        if (result == 0 && ranked_answers(record) < 2) {
            preference_discard(queue);
        }
        queue->filling = queue->filling && result != 0;
    }
    size_t i;
    const json_t *reply;
    json_array_foreach(replies, i, reply)
    {
        if (result != 0) {
            break;
        }
        result = walk_tree(reply, path, lang, depth + 1, queue, err);
    }
    json_array_remove(path, json_array_size(path) - 1);
    return result;
}

int preference_parse_oasst(const json_t *value, struct preference_queue *queue, struct err *err)
{
    const json_t *prompt = json_object_get(value, "prompt");
    if (!json_is_object(prompt)) {
        return preference_reject(err, "the tree has no \"prompt\"");
    }
    json_t *path = json_array();
    if (path == NULL) {
        return err_set(err, "out of memory for a record");
    }
    int result = walk_tree(prompt, path, json_string_value(json_object_get(prompt, "lang")), 0, queue, err);
    json_decref(path);
    return result;
}

/* The prompt of "Learning to summarize from human feedback" (Stiennon et al., 2020), appendix B.1; news articles
 * likewise. */
static int tldr_prompt(struct strbuf *out, const json_t *info, struct err *err)
{
    static const struct {
        const char *key, *label;
    } parts[] = {{"subreddit", "SUBREDDIT: r/"}, {"title", "TITLE: "}, {"post", "POST: "}, {"article", "ARTICLE: "}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const json_t *part = json_object_get(info, parts[i].key);
        if (json_is_string(part)) {
            strbuf_puts(out, parts[i].label);
            strbuf_append(out, json_string_value(part), json_string_length(part));
            strbuf_puts(out, "\n\n");
        }
    }
    if (out->length == 0) {
        return preference_reject(err, "\"info\" has no post and no article");
    }
    strbuf_puts(out, "TL;DR:");
    return strbuf_check(out, err);
}

int preference_parse_tldr(const json_t *value, struct preference_queue *queue, struct err *err)
{
    const json_t *summaries = json_object_get(value, "summaries"), *choice = json_object_get(value, "choice");
    if (json_array_size(summaries) != 2 || !json_is_integer(choice) || json_integer_value(choice) < 0 ||
        json_integer_value(choice) > 1) {
        return preference_reject(err, "the record has no two \"summaries\" and a \"choice\" of 0 or 1");
    }
    struct preference *record = preference_emit(queue, err);
    struct strbuf prompt = {0};
    int result = record == NULL ? -1 : tldr_prompt(&prompt, json_object_get(value, "info"), err);
    if (result == 0) {
        result = preference_add_message(record->messages, "user", prompt.data, prompt.length, err);
    }
    for (size_t i = 0; result == 0 && i < 2; i++) {
        const json_t *summary = json_array_get(summaries, i), *text = json_object_get(summary, "text");
        result = json_is_string(text)
                     ? preference_add_answer(record, json_string_value(text), json_string_length(text),
                                             json_integer_value(choice) == (json_int_t)i ? 1 : 2,
                                             json_string_value(json_object_get(summary, "policy")), err)
                     : preference_reject(err, "a summary has no \"text\"");
    }
    if (result == 0) {
        result = preference_copy_string(&record->annotator, value, "worker", err);
    }
    strbuf_free(&prompt);
    return result;
}

/* Mean of the ratings that are numbers; they are strings, and some are "N/A". */
static bool mean_rating(const json_t *completion, double *mean)
{
    double sum = 0;
    int count = 0;
    const char *aspect;
    json_t *annotation;
    json_object_foreach((json_t *)json_object_get(completion, "annotations"), aspect, annotation)
    {
        const json_t *rating = json_object_get(annotation, "Rating");
        const char *text = json_string_value(rating);
        char *end = NULL;
        double number = text != NULL ? strtod(text, &end) : json_number_value(rating);
        if (json_is_number(rating) || (text != NULL && end != text && *end == '\0')) {
            sum += number;
            count++;
        }
    }
    *mean = count > 0 ? sum / count : 0;
    return count > 0;
}

int preference_parse_ultrafeedback(const json_t *value, struct preference_queue *queue, struct err *err)
{
    const json_t *instruction = json_object_get(value, "instruction"),
                 *completions = json_object_get(value, "completions");
    if ((!json_is_string(instruction) && !json_is_array(instruction)) || json_array_size(completions) == 0) {
        return preference_reject(err, "the record has no \"instruction\" and \"completions\"");
    }
    struct preference *record = preference_emit(queue, err);
    int result = record == NULL ? -1 : preference_add_messages(record->messages, instruction, "user", err);
    double scores[PREFERENCE_ANSWERS_MAX];
    bool scored[PREFERENCE_ANSWERS_MAX];
    for (size_t i = 0; result == 0 && i < json_array_size(completions); i++) {
        const json_t *completion = json_array_get(completions, i), *text = json_object_get(completion, "response");
        size_t place = record->count;
        if (!json_is_string(text)) {
            return preference_reject(err, "a completion has no \"response\"");
        }
        result = preference_add_answer(record, json_string_value(text), json_string_length(text), 0,
                                       json_string_value(json_object_get(completion, "model")), err);
        if (result == 0) {
            scored[place] = mean_rating(completion, &scores[place]);
            record->answers[place].score = scored[place] ? scores[place] : NAN;
        }
    }
    if (result == 0) {
        rank_by_score(record, scores, scored);
        drop_lone_rank(record);
    }
    return result;
}
