/* ppo/command.c - see command.h. */
#include "ppo/command.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "ppo/journal.h"
#include "ppo/program.h"
#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX        "reward_command"
#define END_GRACE     5.0           /* seconds that a program has to end by itself once its input is closed */
#define CLOSING_GRACE 1.0           /* the same after it closed its output */
#define SHOWN_MAX     ((size_t)300) /* bytes of a text of the user's in a message */

struct reward_command {
    char *text;
    char *journal_path;
    double timeout;
    struct journal *journal;
    struct program program;
    struct strbuf line; /* the request that goes out */
    int64_t lines;      /* that the program answered with so far */
    bool ended;         /* after a failure: it is not asked any more */
};

/* One call of reward_command_score(). */
struct request_round {
    const struct reward_request *requests;
    struct hash *hashes; /* [count] */
    size_t *asked;       /* [asked_count] numbers of the requests that the journal does not know */
    size_t asked_count;
    size_t sent, answered; /* of them */
    size_t line_sent;      /* bytes of the line that goes out */
    double *scores;
    double last_answer; /* when it came; at first when the asking began */
};

/* ---- messages ---- */

/* A text in quotes, cut where it is long, with nothing in it that a terminal would obey. */
static void put_shown(struct strbuf *out, const char *text, size_t length)
{
    size_t shown = 0;
    while (shown < length && shown < SHOWN_MAX) {
        int code_point;
        shown += utf8_read(text + shown, length - shown, &code_point);
    }
    strbuf_put_json(out, text, shown);
    strbuf_puts(out, shown < length ? "..." : "");
}

static int fail(struct reward_command *command, struct err *err, const char *what)
{
    struct strbuf text = {0};
    strbuf_puts(&text, "reward_command ");
    put_shown(&text, command->text, strlen(command->text));
    strbuf_puts(&text, " ");
    strbuf_puts(&text, what);
    if (command->program.last_words.length > 0) {
        strbuf_puts(&text, "; its last words: ");
        put_shown(&text, command->program.last_words.data, command->program.last_words.length);
    }
    strbuf_printf(&text, ". Then run the same recipe again: it goes on, and what was scored stands in '%s'",
                  command->journal_path);
    err_set(err, "%s", strbuf_text(&text));
    strbuf_free(&text);
    return -1;
}

/* ---- requests ---- */

static void put_text(struct strbuf *line, const char *name, const char *text, size_t length)
{
    strbuf_printf(line, ", \"%s\": ", name);
    strbuf_put_json(line, text, length);
}

#define ID_SIZE 48
static void request_id(char out[ID_SIZE], const struct reward_request *request)
{
    snprintf(out, ID_SIZE, "%lld/%lld", (long long)request->iteration, (long long)request->index);
}

static int write_request(struct strbuf *line, const struct reward_request *request, struct err *err)
{
    char id[ID_SIZE];
    request_id(id, request);
    assert(!request->messages || !strchr(request->messages, '\n'));
    strbuf_clear(line);
    strbuf_printf(line, "{\"id\": \"%s\", \"iteration\": %lld, \"index\": %lld", id, (long long)request->iteration,
                  (long long)request->index);
    put_text(line, "prompt", request->prompt, strlen(request->prompt));
    if (request->messages) {
        strbuf_printf(line, ", \"messages\": %s", request->messages);
    }
    put_text(line, "response", request->response, request->response_length);
    put_text(line, "completion", request->response, request->response_length);
    strbuf_puts(line, "}\n");
    return strbuf_check(line, err);
}

static struct hash hash_of(const struct reward_command *command, const struct reward_request *request)
{
    const char *messages = request->messages ? request->messages : "";
    struct hash parts[] = {hash_bytes(command->text, strlen(command->text)),
                           hash_bytes(request->prompt, strlen(request->prompt)), hash_bytes(messages, strlen(messages)),
                           hash_bytes(request->response, request->response_length)};
    return hash_bytes(parts, sizeof parts);
}

/* Sends what the program takes, and hears what it has to say, for up to `seconds`. */
static int exchange(struct reward_command *command, struct request_round *round, double seconds, struct err *err)
{
    struct strbuf *line = &command->line;
    bool sending = round->sent < round->asked_count;
    if (sending && round->line_sent == 0 &&
        write_request(line, &round->requests[round->asked[round->sent]], err) != 0) {
        return -1;
    }
    size_t left = sending ? line->length - round->line_sent : 0, written;
    if (program_exchange(&command->program, sending ? line->data + round->line_sent : NULL, left, &written, seconds,
                         err) != 0) {
        return -1;
    }
    round->line_sent += written;
    if (sending && round->line_sent == line->length) {
        round->line_sent = 0;
        round->sent++;
    }
    return 0;
}

/* ---- answers ---- */

/* Whether JSON or a plain print() wrote one of the numbers that JSON does not have. */
static bool is_not_finite(const char *word)
{
    char *end;
    double value = strtod(word, &end);
    return (*end == '\0' && end != word && !isfinite(value)) || strstr(word, "NaN") || strstr(word, "Infinity");
}

/* The score of an answer that is JSON: a number, or an object. */
static int parse_json(const char *text, size_t length, const struct reward_request *request, double *score,
                      struct err *err)
{
    json_t *value = json_read_text(text, length, "the line", err);
    if (!value) {
        return -1;
    }
    char id[ID_SIZE];
    bool object = json_is_object(value);
    const json_t *number = object ? json_object_get(value, "score") : value;
    const char *answered = object ? json_string_value(json_object_get(value, "id")) : NULL;
    request_id(id, request);
    int status = 0;
    if (!json_is_number(number)) {
        status = err_set(err, "it has no number \"score\"");
    } else if (answered && strcmp(answered, id) != 0) {
        status = err_set(err, "the request in turn has the \"id\" \"%s\"", id);
    } else {
        *score = json_number_value(number);
    }
    json_decref(value);
    return status;
}

/* 0, or -1 with what is wrong about it as the sentence. */
static int parse_score(const char *line, size_t length, const struct reward_request *request, double *score,
                       struct err *err)
{
    char word[64];
    while (length > 0 && isspace((unsigned char)line[length - 1])) {
        length--;
    }
    for (; length > 0 && isspace((unsigned char)*line); line++) {
        length--;
    }
    if (length < sizeof word) {
        memcpy(word, line, length);
        word[length] = '\0';
        if (number_parse(word, score)) {
            return 0;
        }
        if (is_not_finite(word)) {
            return err_set(err, "a score must be a finite number");
        }
    }
    return parse_json(line, length, request, score, err);
}

static int no_score(struct reward_command *command, const char *line, size_t length, const char *why, struct err *err)
{
    struct strbuf what = {0};
    strbuf_printf(&what, "answered with line %lld, ", (long long)command->lines);
    put_shown(&what, line, length);
    strbuf_printf(&what,
                  ", which is no score: %s; make it write one line for each line that it reads, {\"score\": 1.5} or a "
                  "bare number, and everything else to standard error",
                  why);
    fail(command, err, strbuf_text(&what));
    strbuf_free(&what);
    return -1;
}

/* An answer that nobody asked for: those before it may have been for other requests, so they are not kept. */
static int too_many(struct reward_command *command, const char *line, size_t length, struct err *err)
{
    struct strbuf what = {0};
    strbuf_puts(&what, "wrote more lines than it was asked for (");
    put_shown(&what, line, length);
    strbuf_puts(&what, "), so its scores cannot be told apart; make it write exactly one line for each line that it "
                       "reads, and everything else to standard error");
    fail(command, err, strbuf_text(&what));
    strbuf_free(&what);
    struct err cause;
    if (journal_forget(command->journal, &cause) != 0) {
        err_prefix(err, "%s", cause.text);
    }
    return -1;
}

static int take_answer(struct reward_command *command, struct request_round *round, const char *line, size_t length,
                       struct err *err)
{
    size_t number = round->asked[round->answered];
    const struct reward_request *request = &round->requests[number];
    struct err why;
    double *score = &round->scores[number];
    if (parse_score(line, length, request, score, &why) != 0) {
        return no_score(command, line, length, why.text, err);
    }
    struct journal_entry entry = {
        .iteration = request->iteration, .index = request->index, .hash = round->hashes[number], .score = *score};
    if (journal_append(command->journal, &entry, err) != 0) {
        return -1;
    }
    round->answered++;
    round->last_answer = clock_seconds();
    return 0;
}

static int take_answers(struct reward_command *command, struct request_round *round, struct err *err)
{
    const char *line;
    size_t length;
    while (program_line(&command->program, &line, &length)) {
        command->lines++;
        if (round->answered >= round->sent) {
            return too_many(command, line, length, err);
        }
        if (take_answer(command, round, line, length, err) != 0) {
            return -1;
        }
    }
    if (program_unread(&command->program) > REWARD_LINE_MAX) {
        return fail(command, err,
                    "wrote a line of more than a MiB; make it write one score a line, and everything else to "
                    "standard error");
    }
    return 0;
}

/* ---- one call ---- */

static int closed_its_output(struct reward_command *command, const struct request_round *round, struct err *err)
{
    char fate[PROGRAM_FATE_SIZE], what[512];
    program_end(&command->program, CLOSING_GRACE);
    program_fate(&command->program, fate);
    const struct reward_request *request = &round->requests[round->asked[round->answered]];
    snprintf(what, sizeof what,
             "%s before it answered request %zu of %zu (iteration %lld, answer %lld); mend it: it must go on until its "
             "standard input ends",
             fate, round->answered + 1, round->asked_count, (long long)request->iteration, (long long)request->index);
    return fail(command, err, what);
}

static int stayed_silent(struct reward_command *command, const struct request_round *round, struct err *err)
{
    char what[512];
    const struct reward_request *request = &round->requests[round->asked[round->answered]];
    snprintf(what, sizeof what,
             "gave no answer to request %zu of %zu (iteration %lld, answer %lld) for %g seconds; it must answer each "
             "line as soon as it has read it, and flush its output (in Python: print(..., flush=True)); where it only "
             "needs longer, raise reward_timeout",
             round->answered + 1, round->asked_count, (long long)request->iteration, (long long)request->index,
             command->timeout);
    return fail(command, err, what);
}

/* Fails when something has been said that was not asked for. */
static int check_silence(struct reward_command *command, struct err *err)
{
    struct program *program = &command->program;
    size_t none;
    if (program_exchange(program, NULL, 0, &none, 0, err) != 0) {
        return -1;
    }
    size_t length = program_unread(program);
    return length > 0 ? too_many(command, program->answers.data + program->taken, length, err) : 0;
}

static int ask(struct reward_command *command, struct request_round *round, struct err *err)
{
    /* A program that writes two lines a request answered the last one of the call before too early. */
    if (check_silence(command, err) != 0) {
        return -1;
    }
    journal_mark(command->journal);
    round->last_answer = clock_seconds();
    while (round->answered < round->asked_count) {
        double deadline = round->last_answer + command->timeout;
        if (exchange(command, round, deadline - clock_seconds(), err) != 0 || take_answers(command, round, err) != 0) {
            return -1;
        }
        if (round->answered >= round->asked_count) {
            break;
        }
        if (command->program.output < 0) {
            return closed_its_output(command, round, err);
        }
        if (clock_seconds() >= round->last_answer + command->timeout) {
            return stayed_silent(command, round, err);
        }
    }
    return check_silence(command, err) == 0 ? journal_sync(command->journal, err) : -1;
}

/* Scores that the journal knows are set; the others are to be asked for. */
static int look_up(struct reward_command *command, struct request_round *round, size_t count, struct err *err)
{
    round->hashes = mem_alloc(count, sizeof *round->hashes, err);
    round->asked = round->hashes ? mem_alloc(count, sizeof *round->asked, err) : NULL;
    if (!round->asked) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const struct reward_request *request = &round->requests[i];
        round->hashes[i] = hash_of(command, request);
        if (!journal_take(command->journal, request->iteration, request->index, round->hashes[i], &round->scores[i])) {
            round->asked[round->asked_count++] = i;
        }
    }
    if (count > round->asked_count) {
        log_info("%zu of %zu answers were scored before this run was stopped: their scores are those in '%s'",
                 count - round->asked_count, count, command->journal_path);
    }
    return 0;
}

int reward_command_score(struct reward_command *command, const struct reward_request *requests, size_t count,
                         double *scores, struct err *err)
{
    if (command->ended) {
        return err_set(err, "reward_command has failed before and is not asked again; mend it and start anew");
    }
    if (count == 0) {
        return 0;
    }
    struct request_round round = {.requests = requests, .scores = scores};
    int status = look_up(command, &round, count, err);
    if (status == 0 && round.asked_count > 0) {
        status = ask(command, &round, err);
    }
    if (status != 0) {
        command->ended = true;
        program_end(&command->program, 0);
    }
    mem_free(round.hashes);
    mem_free(round.asked);
    return status;
}

/* ---- begin and end ---- */

int reward_command_open(struct reward_command **out, const struct reward_command_options *options, struct err *err)
{
    struct reward_command *command = mem_alloc(1, sizeof *command, err);
    if (!command) {
        return -1;
    }
    command->timeout = options->timeout;
    command->text = mem_copy_string(options->command, strlen(options->command), err);
    command->journal_path = command->text ? mem_copy_string(options->journal, strlen(options->journal), err) : NULL;
    if (!command->journal_path ||
        journal_open(&command->journal, options->journal, options->fresh, options->first_iteration, err) != 0 ||
        program_start(&command->program, command->text, PREFIX, err) != 0) {
        command->ended = true;
        reward_command_close(command);
        return -1;
    }
    *out = command;
    return 0;
}

void reward_command_close(struct reward_command *command)
{
    if (!command) {
        return;
    }
    if (!command->ended) {
        char fate[PROGRAM_FATE_SIZE];
        program_end(&command->program, END_GRACE);
        program_fate(&command->program, fate);
        if (program_unread(&command->program) > 0) {
            log_warn("reward_command wrote more lines than it was asked for: some scores may be of other answers");
        }
        if (command->program.killed) {
            log_warn("reward_command did not end within %g seconds of the end of its input, and was ended", END_GRACE);
        } else if (command->program.status != 0) {
            log_warn("reward_command %s after all its answers", fate);
        }
    }
    program_free(&command->program);
    journal_close(command->journal);
    strbuf_free(&command->line);
    mem_free(command->text);
    mem_free(command->journal_path);
    mem_free(command);
}
