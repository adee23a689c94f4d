#include "prefs-db/api.h"
#include "base/json.h"
#include "http/server.h"
#include "prefs-db/labelling.h"
#include "prefs-db/report.h"

#include <string.h>

static unsigned failed(struct strbuf *out, int result, const struct err *err)
{
    return http_error(out, result == PREFS_REFUSED ? 409 : 503, err->text);
}

static const char *truth(bool value)
{
    return value ? "true" : "false";
}

unsigned api_state(struct prefs *store, int64_t project, const struct prefs_annotator *annotator, struct strbuf *out)
{
    struct prefs_settings settings;
    struct prefs_progress progress;
    struct strbuf name = {0}, guidelines = {0};
    struct err err;
    int64_t version = 0;
    int result = prefs_get_settings(store, project, &settings, &err);
    result = result != 0 ? result : prefs_get_progress(store, project, annotator->id, &progress, &err);
    result = result != 0 ? result : prefs_project_name(store, project, &name, &err);
    result = result != 0 ? result : prefs_get_guidelines(store, project, &guidelines, &version, &err);
    if (result == 0) {
        strbuf_puts(out, "{\"handle\":");
        strbuf_put_json(out, annotator->handle, strlen(annotator->handle));
        strbuf_printf(out, ",\"admin\":%s,\"project\":", truth(annotator->role == PREFS_ROLE_ADMIN));
        strbuf_put_json(out, strbuf_text(&name), name.length);
        strbuf_printf(out,
                      ",\"judged\":%lld,\"skipped\":%lld,\"remaining\":%lld,\"allow_ties\":%s,\"allow_skip\":%s,"
                      "\"strength_levels\":%lld",
                      (long long)progress.judged, (long long)progress.skipped, (long long)progress.remaining,
                      truth(settings.allow_ties), truth(settings.allow_skip), (long long)settings.strength_levels);
        strbuf_printf(out, ",\"guidelines_version\":%lld,\"guidelines\":", (long long)version);
        strbuf_put_json(out, strbuf_text(&guidelines), guidelines.length);
        strbuf_puts(out, ",\"flags\":[");
        for (size_t i = 0; i < PREFS_FLAG_COUNT; i++) {
            strbuf_printf(out, "%s\"%s\"", i > 0 ? "," : "", prefs_flag_names[i]);
        }
        strbuf_puts(out, "]}");
    }
    strbuf_free(&name);
    strbuf_free(&guidelines);
    return result == 0 ? 200 : failed(out, result, &err);
}

/* What was said before an undo, in the form that a judgment is sent in. */
static void put_previous(struct strbuf *out, const struct prefs_task *task)
{
    const struct prefs_judgment *previous = &task->previous;
    strbuf_printf(out, "{\"verdict\":\"%s\",\"ranks\":[", previous->verdict == PREFS_SKIP ? "skip" : "ranked");
    for (size_t i = 0; i < task->count; i++) {
        strbuf_printf(out, "%s%d", i > 0 ? "," : "", previous->ranks[i]);
    }
    strbuf_printf(out, "],\"strength\":%d,\"thumb\":%d,\"active_ms\":%lld,\"flags\":[", previous->strength,
                  previous->thumb, (long long)previous->active_ms);
    for (size_t i = 0; i < task->count; i++) {
        const char *comma = "";
        strbuf_puts(out, i > 0 ? ",[" : "[");
        for (unsigned f = 0; f < PREFS_FLAG_COUNT; f++) {
            if ((previous->flags[i] >> f & 1) != 0) {
                strbuf_printf(out, "%s\"%s\"", comma, prefs_flag_names[f]);
                comma = ",";
            }
        }
        strbuf_putc(out, ']');
    }
    strbuf_puts(out, "],\"comment\":");
    strbuf_put_json(out, previous->comment, strlen(previous->comment));
    strbuf_putc(out, '}');
}

/* Appends "task":{..} or "task":null. */
static int put_next(struct prefs *store, int64_t project, int64_t annotator, struct strbuf *out, struct err *err)
{
    struct prefs_task task = {0};
    int got = prefs_next_task(store, project, annotator, &task, err);
    if (got < 0) {
        return got;
    }
    if (got == 0) {
        strbuf_puts(out, "\"task\":null");
        return 0;
    }
    strbuf_printf(out, "\"task\":{\"assignment\":%lld,\"messages\":%s,\"answers\":[", (long long)task.assignment,
                  strbuf_text(&task.messages));
    for (size_t i = 0; i < task.count; i++) {
        const char *answer = prefs_task_answer(&task, i);
        strbuf_puts(out, i > 0 ? "," : "");
        strbuf_put_json(out, answer, strlen(answer));
    }
    strbuf_puts(out, "],\"previous\":");
    if (task.revised) {
        put_previous(out, &task);
    } else {
        strbuf_puts(out, "null");
    }
    strbuf_putc(out, '}');
    prefs_task_free(&task);
    return 0;
}

unsigned api_next(struct prefs *store, int64_t project, const struct prefs_annotator *annotator, struct strbuf *out)
{
    struct err err;
    strbuf_putc(out, '{');
    int result = put_next(store, project, annotator->id, out, &err);
    strbuf_putc(out, '}');
    return result == 0 ? 200 : failed(out, result, &err);
}

/* 32 hexadecimal digits. */
static int read_nonce(const json_t *body, unsigned char nonce[PREFS_NONCE_SIZE], struct err *err)
{
    const char *text = json_string_value(json_object_get(body, "nonce"));
    if (text == NULL || strlen(text) != 2 * PREFS_NONCE_SIZE ||
        strspn(text, "0123456789abcdef") != 2 * PREFS_NONCE_SIZE) {
        return err_set(err, "nonce must be 32 hexadecimal digits");
    }
    for (size_t i = 0; i < PREFS_NONCE_SIZE; i++) {
        int high = text[2 * i] <= '9' ? text[2 * i] - '0' : text[2 * i] - 'a' + 10;
        int low = text[2 * i + 1] <= '9' ? text[2 * i + 1] - '0' : text[2 * i + 1] - 'a' + 10;
        nonce[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

static int read_ranks(const json_t *body, int ranks[PREFS_ANSWERS_MAX], struct err *err)
{
    const json_t *list = json_object_get(body, "ranks"), *rank;
    size_t i;
    if (list == NULL) {
        return 0;
    }
    if (!json_is_array(list) || json_array_size(list) > PREFS_ANSWERS_MAX) {
        return err_set(err, "ranks must be a list of at most %d numbers", PREFS_ANSWERS_MAX);
    }
    json_array_foreach(list, i, rank)
    {
        if (!json_is_integer(rank) || json_integer_value(rank) < 0 || json_integer_value(rank) > PREFS_ANSWERS_MAX) {
            return err_set(err, "a rank is a number from 0 (unranked) to %d", PREFS_ANSWERS_MAX);
        }
        ranks[i] = (int)json_integer_value(rank);
    }
    return 0;
}

static int flag_bit(const json_t *name)
{
    for (int f = 0; json_is_string(name) && f < PREFS_FLAG_COUNT; f++) {
        if (strcmp(json_string_value(name), prefs_flag_names[f]) == 0) {
            return f;
        }
    }
    return -1;
}

static int read_flags(const json_t *body, unsigned flags[PREFS_ANSWERS_MAX], struct err *err)
{
    const json_t *list = json_object_get(body, "flags"), *of_answer, *name;
    size_t i, j;
    if (list == NULL) {
        return 0;
    }
    if (!json_is_array(list) || json_array_size(list) > PREFS_ANSWERS_MAX) {
        return err_set(err, "flags must be a list of lists, one for each answer");
    }
    json_array_foreach(list, i, of_answer)
    {
        json_array_foreach(of_answer, j, name)
        {
            int bit = flag_bit(name);
            if (bit < 0) {
                return err_set(err, "an unknown flag");
            }
            flags[i] |= 1u << bit;
        }
    }
    return 0;
}

/* A string that may be absent; one with a zero byte would be cut where C ends it. */
static int read_text(const json_t *body, const char *key, const char **out, struct err *err)
{
    const json_t *value = json_object_get(body, key);
    if (json_is_string(value) && strlen(json_string_value(value)) != json_string_length(value)) {
        return err_set(err, "%s may hold no zero byte", key);
    }
    return json_get_string(body, key, out, "judgment", err);
}

/* Strings of *judgment point into `body`. */
static int read_judgment(const json_t *body, struct prefs_judgment *judgment, struct err *err)
{
    const char *verdict = NULL;
    int64_t strength = -1, thumb = 0;
    judgment->active_ms = judgment->wall_ms = -1;
    judgment->client = PREFS_CLIENT_WEB;
    if (json_need_int(body, "assignment", &judgment->assignment, 1, INT64_MAX, "judgment", err) != 0 ||
        json_need_string(body, "verdict", &verdict, "judgment", err) != 0 ||
        read_nonce(body, judgment->nonce, err) != 0 || read_ranks(body, judgment->ranks, err) != 0 ||
        read_flags(body, judgment->flags, err) != 0 ||
        json_get_int(body, "strength", &strength, -1, 4, "judgment", err) != 0 ||
        json_get_int(body, "thumb", &thumb, -1, 1, "judgment", err) != 0 ||
        read_text(body, "comment", &judgment->comment, err) != 0 ||
        read_text(body, "skip_reason", &judgment->skip_reason, err) != 0 ||
        json_get_int(body, "active_ms", &judgment->active_ms, 0, INT32_MAX, "judgment", err) != 0 ||
        json_get_int(body, "wall_ms", &judgment->wall_ms, 0, INT64_MAX, "judgment", err) != 0) {
        return -1;
    }
    if (strcmp(verdict, "ranked") != 0 && strcmp(verdict, "skip") != 0) {
        return err_set(err, "verdict is \"ranked\" or \"skip\"");
    }
    judgment->verdict = strcmp(verdict, "skip") == 0 ? PREFS_SKIP : PREFS_RANKED;
    judgment->strength = (int)strength;
    judgment->thumb = (int)thumb;
    return 0;
}

static json_t *read_body(const char *body, size_t length, struct err *err)
{
    json_t *value = json_read_text(body, length, "request", err);
    if (value != NULL && !json_is_object(value)) {
        err_set(err, "the request must be a JSON object");
        json_decref(value);
        return NULL;
    }
    return value;
}

/* The judgment and the next task in one commit: half of the waiting for the disk. */
static int submit_and_next(struct prefs *store, int64_t project, int64_t annotator,
                           const struct prefs_judgment *judgment, bool next, struct strbuf *out, struct err *err)
{
    int64_t id = 0;
    if (prefs_batch_begin(store, err) != 0) {
        return -1;
    }
    int result = prefs_submit(store, annotator, judgment, &id, err);
    strbuf_printf(out, "{\"judgment\":%lld", (long long)id);
    if (result == 0 && next) {
        strbuf_putc(out, ',');
        result = put_next(store, project, annotator, out, err);
    }
    strbuf_putc(out, '}');
    if (result != 0) {
        prefs_batch_rollback(store);
        return result;
    }
    return prefs_batch_commit(store, err);
}

unsigned api_judgment(struct prefs *store, int64_t project, const struct prefs_annotator *annotator, const char *body,
                      size_t length, struct strbuf *out)
{
    struct err err;
    struct prefs_judgment judgment = {0};
    json_t *value = read_body(body, length, &err);
    if (value == NULL || read_judgment(value, &judgment, &err) != 0) {
        json_decref(value);
        return http_error(out, 400, err.text);
    }
    int result = submit_and_next(store, project, annotator->id, &judgment, json_is_true(json_object_get(value, "next")),
                                 out, &err);
    json_decref(value);
    return result == 0 ? 200 : failed(out, result, &err);
}

unsigned api_undo(struct prefs *store, int64_t project, const struct prefs_annotator *annotator, const char *body,
                  size_t length, struct strbuf *out)
{
    struct err err;
    unsigned char nonce[PREFS_NONCE_SIZE];
    json_t *value = read_body(body, length, &err);
    int result = value == NULL ? -1 : read_nonce(value, nonce, &err);
    json_decref(value);
    if (result != 0) {
        return http_error(out, 400, err.text);
    }
    result = prefs_undo(store, project, annotator->id, nonce, PREFS_CLIENT_WEB, &err);
    if (result < 0) {
        return failed(out, result, &err);
    }
    strbuf_printf(out, "{\"undone\":%s}", truth(result == 1));
    return 200;
}

unsigned api_overview(struct prefs *store, int64_t project, struct strbuf *out)
{
    struct report *report = NULL;
    struct err err;
    int result = report_make(&report, store, project, &err);
    if (result != 0) {
        return failed(out, result, &err);
    }
    report_json(out, report);
    report_free(report);
    return 200;
}

unsigned api_login_token(char token[PREFS_TOKEN_SIZE], const char *body, size_t length, struct strbuf *out)
{
    struct err err;
    const char *text = NULL;
    json_t *value = read_body(body, length, &err);
    if (value == NULL || json_need_string(value, "token", &text, "login", &err) != 0) {
        json_decref(value);
        return http_error(out, 400, err.text);
    }
    bool shaped = strlen(text) == PREFS_TOKEN_SIZE - 1 && strspn(text, "0123456789abcdef") == PREFS_TOKEN_SIZE - 1;
    if (shaped) {
        memcpy(token, text, PREFS_TOKEN_SIZE);
    }
    json_decref(value);
    return shaped ? 0
                  : http_error(out, 401,
                               "this is no token; it has 64 hexadecimal digits, as 'annotator add' printed them");
}
