/*
 * attune prefs score: a reward model's scores of all answers, made here or read from a file, and then the open items in
 * the order of how unsure it is of them.
 *
 * Scores are written as they are made, a few seconds' worth to a commit, under a name that tells the reward model and
 * its weights: an interrupted command goes on where it stopped, and a model that was trained anew is another scorer.
 */
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "commands/prefs/command.h"
#include "prefs-db/rankings.h"
#include "session/score_queue.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WEIGHT_DIGITS    8 /* of the fingerprint, in a scorer's name */
#define REFUSALS_PRINTED 20

/* An item whose answers wait for their scores. */
struct waiting_item {
    int64_t answers[PREFS_ANSWERS_MAX];
    float scores[PREFS_ANSWERS_MAX];
    size_t count;
};

struct scores {
    const char *database, *file, *project_name, *scorer_name;
    struct session session;
    int64_t max_length;

    struct prefs *store;
    int64_t project;
    struct strbuf name; /* of the scorer, as the database knows it */
    struct score_queue queue;
    struct waiting_item **items; /* of one commit */
    size_t item_count, item_capacity;
    int64_t done, all; /* items */
    struct progress progress;
    int64_t scored, too_long, refused;
    double sum;
};

/* ---- from a file ---- */

static int read_score(struct scores *scores, const char *line, size_t length, const char *where, struct err *err)
{
    json_t *value = json_read_text(line, length, where, err);
    if (value == NULL) {
        return -1;
    }
    int64_t answer = 0;
    const json_t *score = json_object_get(value, "score");
    int result = json_need_int(value, "answer", &answer, 1, INT64_MAX, where, err);
    if (result == 0 && !json_is_number(score)) {
        result = err_set(err, "%s: \"score\" must be a number", where);
    }
    if (result == 0) {
        result = prefs_add_score(scores->store, strbuf_text(&scores->name), answer, json_number_value(score), err);
        scores->scored++;
    }
    json_decref(value);
    return result;
}

static int read_lines(struct scores *scores, struct file_lines *lines, struct err *err)
{
    const char *line = NULL;
    size_t length = 0;
    int got, result = 0;
    while (result == 0 && (got = file_lines_next(lines, &line, &length, err)) != 0) {
        struct strbuf where = {0};
        strbuf_printf(&where, "%s:%lld", scores->file, (long long)file_lines_number(lines));
        result = got < 0 ? -1 : length == 0 ? 0 : read_score(scores, line, length, strbuf_text(&where), err);
        strbuf_free(&where);
    }
    return result;
}

/* All lines or none. */
static int read_file(struct scores *scores, struct err *err)
{
    struct file_lines *lines = NULL;
    strbuf_puts(&scores->name, scores->scorer_name != NULL ? scores->scorer_name : "scores");
    if (strbuf_check(&scores->name, err) != 0 || file_lines_open(&lines, scores->file, err) != 0) {
        return -1;
    }
    int result = prefs_batch_begin(scores->store, err);
    if (result == 0 && (result = read_lines(scores, lines, err)) != 0) {
        prefs_batch_rollback(scores->store);
    }
    file_lines_close(lines);
    return result == 0 ? prefs_batch_commit(scores->store, err) : -1;
}

/* ---- from a reward model ---- */

/* "runs/reward 3f2a91bc", or what --scorer says. */
static int name_scorer(struct scores *scores, struct err *err)
{
    struct hash weights;
    char text[HASH_TEXT_SIZE];
    if (scores->scorer_name != NULL) {
        strbuf_puts(&scores->name, scores->scorer_name);
        return strbuf_check(&scores->name, err);
    }
    if (scorer_fingerprint(&scores->session.scorer, &weights, err) != 0) {
        return -1;
    }
    hash_text(text, weights);
    size_t length = strlen(scores->session.reward);
    while (length > 1 && scores->session.reward[length - 1] == '/') {
        length--;
    }
    strbuf_append(&scores->name, scores->session.reward, length);
    strbuf_printf(&scores->name, " %.*s", WEIGHT_DIGITS, text);
    return strbuf_check(&scores->name, err);
}

static void drop_waiting(struct scores *scores)
{
    for (size_t i = 0; i < scores->item_count; i++) {
        mem_free(scores->items[i]);
    }
    scores->item_count = 0;
}

static int write_item(struct scores *scores, const struct waiting_item *item, struct err *err)
{
    for (size_t a = 0; a < item->count; a++) {
        if (isnan(item->scores[a])) {
            scores->too_long++;
            continue;
        }
        if (prefs_add_score(scores->store, strbuf_text(&scores->name), item->answers[a], (double)item->scores[a],
                            err) != 0) {
            return -1;
        }
        scores->scored++;
        scores->sum += (double)item->scores[a];
    }
    return 0;
}

/* The scores of all that waits, in one commit. */
static int commit_waiting(struct scores *scores, struct err *err)
{
    if (score_queue_run(&scores->queue, err) != 0 || prefs_batch_begin(scores->store, err) != 0) {
        return -1;
    }
    int result = 0;
    for (size_t i = 0; i < scores->item_count && result == 0; i++) {
        result = write_item(scores, scores->items[i], err);
    }
    if (result != 0) {
        prefs_batch_rollback(scores->store);
        return -1;
    }
    scores->done += (int64_t)scores->item_count;
    drop_waiting(scores);
    progress_update(&scores->progress, scores->done + scores->refused, NULL);
    return prefs_batch_commit(scores->store, err);
}

/* A conversation that the reward model has no form for is left out and said; anything else is a failure. */
static int refuse_item(struct scores *scores, int64_t item, long failures, const struct err *err)
{
    if (mem_failures() != failures) {
        return -1;
    }
    if (++scores->refused <= REFUSALS_PRINTED) {
        log_warn("left out: item %lld: %s", (long long)item, err->text);
    }
    return 0;
}

static int add_item(struct scores *scores, const struct prefs_item_view *view, struct err *err)
{
    long failures = mem_failures();
    struct waiting_item **items =
        mem_grow(scores->items, &scores->item_capacity, scores->item_count + 1, sizeof *items, err);
    if (items == NULL) {
        return -1;
    }
    scores->items = items;
    struct waiting_item *item = mem_alloc(1, sizeof *item, err);
    json_t *messages =
        item != NULL ? json_read_text(view->messages.data, view->messages.length, "a prompt", err) : NULL;
    if (messages == NULL) {
        mem_free(item);
        return -1;
    }
    struct family_answer answers[PREFS_ANSWERS_MAX];
    for (item->count = 0; item->count < view->count; item->count++) {
        const char *text = view->texts.data + view->starts[item->count];
        size_t end = item->count + 1 < view->count ? view->starts[item->count + 1] : view->texts.length;
        answers[item->count] = (struct family_answer){text, end - view->starts[item->count] - 1};
        item->answers[item->count] = view->answers[item->count];
    }
    int result = score_queue_add(&scores->queue, messages, answers, (int32_t)item->count, item->scores, err);
    json_decref(messages);
    if (result != 0) {
        mem_free(item);
        return refuse_item(scores, view->item, failures, err);
    }
    items[scores->item_count++] = item;
    return score_queue_is_full(&scores->queue) ? commit_waiting(scores, err) : 0;
}

static int score_items(struct scores *scores, struct err *err)
{
    struct prefs_item_view view = {0};
    const char *name = strbuf_text(&scores->name);
    int got, result = 0;
    progress_begin(&scores->progress, "scoring items", scores->all);
    while (result == 0 &&
           (got = prefs_next_unscored(scores->store, scores->project, view.item, name, &view, err)) != 0) {
        result = got < 0 ? -1 : add_item(scores, &view, err);
    }
    if (result == 0) {
        result = commit_waiting(scores, err);
    }
    progress_end(&scores->progress);
    prefs_item_view_free(&view);
    return result;
}

static int score_all(struct scores *scores, struct err *err)
{
    if (session_open(&scores->session, err) != 0 || name_scorer(scores, err) != 0 ||
        score_queue_open(&scores->queue, &scores->session, scores->max_length, err) != 0) {
        return -1;
    }
    const char *name = strbuf_text(&scores->name);
    if (prefs_count_unscored(scores->store, scores->project, name, &scores->all, err) != 0 ||
        score_items(scores, err) != 0) {
        return -1;
    }
    if (scores->refused > REFUSALS_PRINTED) {
        log_warn("%lld items were left out in all", (long long)scores->refused);
    }
    return 0;
}

/* ---- the command ---- */

static void report(const struct scores *scores, int64_t ordered)
{
    printf("%lld answers scored by %s", (long long)scores->scored, strbuf_text(&scores->name));
    if (scores->session.reward != NULL && scores->scored > 0) {
        printf(", mean %.4f", scores->sum / (double)scores->scored);
    }
    if (scores->too_long > 0) {
        printf(", %lld left out: longer than --max-length", (long long)scores->too_long);
    }
    printf("; %lld open items ordered\n", (long long)ordered);
}

static int score(struct scores *scores, struct err *err)
{
    int64_t ordered = 0;
    int result = scores->file != NULL ? read_file(scores, err) : score_all(scores, err);
    if (result == 0) {
        result = prefs_prioritise(scores->store, scores->project, strbuf_text(&scores->name), &ordered, err);
    }
    if (result == 0) {
        report(scores, ordered);
    }
    return result;
}

static void free_all(struct scores *scores)
{
    drop_waiting(scores);
    mem_free(scores->items);
    score_queue_close(&scores->queue);
    session_close(&scores->session);
    strbuf_free(&scores->name);
}

static int run(const struct args_command *command, struct scores *scores)
{
    struct err err;
    if ((scores->file != NULL) == (scores->session.reward != NULL)) {
        err_set(&err, "say either --reward R, a reward model, or FILE, scores that were made elsewhere");
        args_end(command, -1, &err);
        return ARGS_USAGE;
    }
    int status =
        prefs_open_project(&scores->store, scores->database, PREFS_WRITE, scores->project_name, &scores->project);
    if (status >= 0) {
        return status;
    }
    int result = score(scores, &err);
    prefs_close(scores->store);
    return args_end(command, result, &err);
}

int prefs_command_score(int argc, char **argv)
{
    struct scores scores = {0};
    const struct args_operand operands[] = {
        {.name = "DB", .help = "the database", .text = &scores.database},
        {.name = "FILE",
         .help = "instead of --reward: lines {\"answer\": ID, \"score\": X}, the ids being those of 'export --format "
                 "answers'; all or none are taken",
         .text = &scores.file,
         .optional = true},
    };
    const struct args_option options[] = {
        SESSION_REWARD_OPTIONS(scores.session),
        {.name = "scorer",
         .argument = "NAME",
         .help = "whose scores these are (default: the reward model's folder and a fingerprint of its weights; of a "
                 "file: scores)",
         .text = &scores.scorer_name},
        {.name = "project",
         .argument = "NAME",
         .help = "the project whose answers are scored and whose open items are ordered anew",
         .text = &scores.project_name},
        {.name = "max-length",
         .argument = "N",
         .help = "tokens of prompt and answer that are looked at; the prompt loses its beginning (default: what the "
                 "model was made for)",
         .whole = &scores.max_length,
         .least = 2,
         .most = 1 << 24},
        SESSION_MODEL_OPTIONS(scores.session),
    };
    const struct args_command command = {
        .name = "attune prefs score",
        .summary = "Scores all answers with a reward model. Then the open items whose answers lie closest together, of "
                   "which it is least sure, come first. The same command again scores only what is new.",
        .more = "Examples:\n  attune prefs score prefs.db --reward runs/reward\n  attune prefs score prefs.db "
                "scores.jsonl --scorer judge",
        .operands = operands,
        .operand_count = 2,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (args_begin(&command, argc, argv, &status)) {
        status = run(&command, &scores);
    }
    free_all(&scores);
    return status;
}
