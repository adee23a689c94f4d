/*
 * attune prefs sample: answers of one or several models, straight into items.
 *
 * The models answer one after the other, each all prompts, so that only one is in memory. Items are made in the order
 * of the prompts while the last model is at it, a few seconds' worth to a commit: labelers are not kept waiting, and
 * an interruption loses no more than that.
 */
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/minmax.h"
#include "base/utf8.h"
#include "commands/prefs/command.h"
#include "session/answering.h"

#include <string.h>

#define COMMIT_SECONDS   2.0
#define ANSWERS_DEFAULT  2
#define MODEL_NAME_MAX   200 /* bytes; what prefs_add_model() takes */
#define REFUSALS_PRINTED 20

/* MODEL or MODEL+ADAPTER of the command line. */
struct answerer {
    struct strbuf folder, name; /* name: how the database calls it */
    const char *adapter;        /* NULL: none */
};

struct sampled {
    struct strbuf text;
    bool done;
};

struct sampling {
    const char *database, *project_name, *prompts_path, *format;
    struct args_list models;
    int64_t count, batch_size; /* answers to a prompt; sequences at once */
    struct session options;    /* what every model is opened with */
    struct answering answering;

    struct prefs *store;
    int64_t project, batch; /* batch 0: nothing was written so far */
    struct answerer answerers[PREFS_ANSWERS_MAX];
    size_t answerer_count;

    /* The model that answers now. */
    size_t current;
    struct session session;
    struct progress progress;
    struct prompt_list *prompts;
    struct generator *generator;

    struct sampled *answers; /* [prompt_count, count]; answer a is one of answerers[a % answerer_count] */
    size_t prompt_count;
    size_t stored; /* the first prompts that were turned into items, or left out */
    int64_t done, tokens;
    double start, committed;
    int64_t items, known, dropped, alike, refused;
};

/* ---- Who answers ---- */

static void put_folder(struct strbuf *out, const char *path, size_t length)
{
    while (length > 1 && path[length - 1] == '/') {
        length--;
    }
    strbuf_append(out, path, length);
}

static int read_answerer(struct answerer *answerer, const char *word, const char *adapter, struct err *err)
{
    const char *plus = file_is_dir(word) ? NULL : strrchr(word, '+');
    size_t length = plus != NULL ? (size_t)(plus - word) : strlen(word);
    if (length == 0 || (plus != NULL && plus[1] == '\0')) {
        return err_set(err, "--model '%s': it is the folder of a model, or MODEL+ADAPTER", word);
    }
    answerer->adapter = plus != NULL ? plus + 1 : adapter;
    put_folder(&answerer->folder, word, length);
    strbuf_puts(&answerer->name, strbuf_text(&answerer->folder));
    if (answerer->adapter != NULL) {
        strbuf_putc(&answerer->name, '+');
        put_folder(&answerer->name, answerer->adapter, strlen(answerer->adapter));
    }
    if (strbuf_check(&answerer->folder, err) != 0 || strbuf_check(&answerer->name, err) != 0) {
        return -1;
    }
    if (answerer->name.length > MODEL_NAME_MAX) {
        return err_set(err,
                       "'%s' is stored as the name of who answered, which has at most %d bytes; give a shorter path, "
                       "for example a relative one",
                       strbuf_text(&answerer->name), MODEL_NAME_MAX);
    }
    return 0;
}

static struct session to_open(const struct sampling *sampling, size_t number)
{
    struct session session = sampling->options;
    session.folder = strbuf_text(&sampling->answerers[number].folder);
    session.adapter_folder = sampling->answerers[number].adapter;
    return session;
}

/* Whether a model whose turn is later is there at all, before hours go into the first. */
static int check_answerer(const struct sampling *sampling, size_t number, struct err *err)
{
    struct session session = to_open(sampling, number);
    int result = session_check(&session, err);
    session_close(&session);
    return result;
}

/* ---- Items ---- */

/* Numbers of the answers that none before them equals; returns how many. */
static size_t find_distinct(const struct sampled *answers, size_t count, size_t distinct[PREFS_ANSWERS_MAX])
{
    size_t found = 0;
    for (size_t a = 0; a < count; a++) {
        size_t other = 0;
        while (other < found &&
               strcmp(strbuf_text(&answers[distinct[other]].text), strbuf_text(&answers[a].text)) != 0) {
            other++;
        }
        if (other == found) {
            distinct[found++] = a;
        }
    }
    return found;
}

/* An item of the answers to prompt `number`, each different one once. */
static int add_item(struct sampling *sampling, size_t number, struct err *err)
{
    struct prefs_new_item item = {.project = sampling->project, .state = PREFS_OPEN};
    const struct sampled *answers = &sampling->answers[number * (size_t)sampling->count];
    size_t distinct[PREFS_ANSWERS_MAX], count = find_distinct(answers, (size_t)sampling->count, distinct);
    sampling->dropped += sampling->count - (int64_t)count;
    if (count < 2 && sampling->count > 1) {
        sampling->alike++;
        return 0;
    }
    struct strbuf messages = {0};
    int result = prompt_messages_text(&messages, &sampling->prompts->items[number], err);
    if (result == 0) {
        result = prefs_add_prompt(sampling->store, strbuf_text(&messages), NULL, sampling->batch, &item.prompt, err);
    }
    strbuf_free(&messages);
    for (; result == 0 && item.count < count; item.count++) {
        size_t a = distinct[item.count];
        const struct strbuf *text = &answers[a].text, *name = &sampling->answerers[a % sampling->answerer_count].name;
        result = prefs_add_answer(sampling->store, item.prompt, strbuf_text(text), text->length,
                                  &item.answers[item.count], err);
        if (result == 0) {
            result = prefs_add_model(sampling->store, strbuf_text(name), &item.models[item.count], err);
        }
    }
    int64_t id = 0;
    bool added = false;
    if (result == 0) {
        result = prefs_add_item(sampling->store, &item, &id, NULL, &added, err);
    }
    if (result == 0) {
        sampling->items += added;
        sampling->known += !added;
    }
    return result;
}

static bool is_answered(const struct sampling *sampling, size_t number)
{
    const struct sampled *answers = &sampling->answers[number * (size_t)sampling->count];
    for (int64_t a = 0; a < sampling->count; a++) {
        if (!answers[a].done) {
            return false;
        }
    }
    return true;
}

/* Items of all prompts, from the first that has none, up to one that still lacks an answer. */
static int add_answered(struct sampling *sampling, struct err *err)
{
    while (sampling->stored < sampling->prompt_count && is_answered(sampling, sampling->stored)) {
        size_t number = sampling->stored++;
        int result = add_item(sampling, number, err);
        if (result == PREFS_REFUSED) {
            if (++sampling->refused <= REFUSALS_PRINTED) {
                log_warn("left out: %s, prompt %zu: %s", sampling->prompts_path, number + 1, err->text);
            }
        } else if (result != 0) {
            return -1;
        }
        for (int64_t a = 0; a < sampling->count; a++) {
            strbuf_free(&sampling->answers[number * (size_t)sampling->count + (size_t)a].text);
        }
    }
    return 0;
}

static int commit_answered(struct sampling *sampling, struct err *err)
{
    sampling->committed = clock_seconds();
    if (prefs_batch_begin(sampling->store, err) != 0) {
        return -1;
    }
    int result = 0;
    if (sampling->batch == 0) {
        result = prefs_import_begin(sampling->store, sampling->prompts_path, &sampling->batch, err);
    }
    if (result == 0) {
        result = add_answered(sampling, err);
    }
    if (result == 0 && sampling->stored == sampling->prompt_count) {
        result = prefs_import_done(sampling->store, sampling->batch, "sample", (int64_t)sampling->prompt_count,
                                   sampling->items, sampling->alike + sampling->refused, err);
    }
    if (result != 0) {
        prefs_batch_rollback(sampling->store);
        return -1;
    }
    return prefs_batch_commit(sampling->store, err);
}

/* ---- Answers ---- */

/* Tokens are pieces of bytes, and a model may draw some that together are no text: those bytes, and zero bytes, become
 * U+FFFD. */
static int clean_text(struct strbuf *text, struct err *err)
{
    struct strbuf clean = {0};
    for (size_t at = 0; at < text->length;) {
        int code_point = 0;
        at += utf8_read(text->data + at, text->length - at, &code_point);
        strbuf_put_utf8(&clean, code_point > 0 ? (unsigned)code_point : UTF8_REPLACEMENT);
    }
    strbuf_free(text);
    *text = clean;
    return strbuf_check(text, err);
}

static int keep_answer(void *context, const struct generated *made, struct err *err)
{
    struct sampling *sampling = context;
    size_t number = (size_t)made->sample * sampling->answerer_count + sampling->current;
    struct sampled *answer = &sampling->answers[made->request * (size_t)sampling->count + number];
    if (tokenizer_decode(sampling->session.text.tokenizer, made->ids, (size_t)made->length, TOKENIZER_SKIP_SPECIAL,
                         &answer->text, err) != 0 ||
        clean_text(&answer->text, err) != 0) {
        return -1;
    }
    answer->done = true;
    sampling->tokens += made->length;
    double now = clock_seconds();
    char note[64];
    snprintf(note, sizeof note, "%.1f tok/s", (double)sampling->tokens / (now - sampling->start));
    progress_update(&sampling->progress, ++sampling->done, note);
    bool due = sampling->current + 1 == sampling->answerer_count && now - sampling->committed >= COMMIT_SECONDS;
    return due ? commit_answered(sampling, err) : 0;
}

/* Answers a, a + answerer_count, ... of each prompt. */
static int64_t samples_of(const struct sampling *sampling, size_t number)
{
    int64_t models = (int64_t)sampling->answerer_count;
    return (sampling->count - (int64_t)number + models - 1) / models;
}

/* The first model draws as attune generate does; the same model given twice is not to say the same again. */
static uint64_t key_of(const struct prompt *prompt, size_t number)
{
    return number == 0 ? prompt->record : hash_u64(&prompt->record, sizeof prompt->record, (uint64_t)number);
}

static int open_current(struct sampling *sampling, struct err *err)
{
    sampling->session = to_open(sampling, sampling->current);
    if (session_open(&sampling->session, err) != 0 ||
        answering_open(&sampling->prompts, &sampling->generator, &sampling->answering, &sampling->session,
                       sampling->prompts_path, sampling->format, samples_of(sampling, sampling->current),
                       sampling->batch_size, err) != 0) {
        return -1;
    }
    if (sampling->answers == NULL) {
        sampling->prompt_count = sampling->prompts->count;
        sampling->answers = mem_alloc(sampling->prompt_count * (size_t)sampling->count, sizeof *sampling->answers, err);
        return sampling->answers != NULL ? 0 : -1;
    }
    return sampling->prompts->count == sampling->prompt_count
               ? 0
               : err_set(err, "%s was changed while its prompts were being answered; run the command again",
                         sampling->prompts_path);
}

static void close_current(struct sampling *sampling)
{
    generator_free(sampling->generator);
    prompt_list_free(sampling->prompts);
    session_close(&sampling->session);
    sampling->generator = NULL;
    sampling->prompts = NULL;
}

static int answer_all(struct sampling *sampling, struct err *err)
{
    const char *name = strbuf_text(&sampling->answerers[sampling->current].name);
    int64_t samples = samples_of(sampling, sampling->current);
    struct generate_request *requests = mem_alloc(sampling->prompt_count, sizeof *requests, err);
    if (requests == NULL) {
        return -1;
    }
    for (size_t i = 0; i < sampling->prompt_count; i++) {
        const struct prompt *prompt = &sampling->prompts->items[i];
        requests[i] =
            (struct generate_request){prompt->ids, prompt->count, (int32_t)samples, key_of(prompt, sampling->current)};
    }
    struct stop_tokens stop_tokens;
    struct generate_options options = answering_options(&sampling->answering, &sampling->session, &stop_tokens);
    struct generate_events events = {.context = sampling, .finished = keep_answer};
    sampling->done = sampling->tokens = 0;
    sampling->start = sampling->committed = clock_seconds();
    progress_begin(&sampling->progress, name, (int64_t)sampling->prompt_count * samples);
    int result = generator_run(sampling->generator, sampling->session.overlay, requests, sampling->prompt_count,
                               &options, &events, err);
    progress_end(&sampling->progress);
    mem_free(requests);
    if (result == 0) {
        log_info("%s: %lld answers, %lld new tokens, %.1f tok/s", name, (long long)sampling->done,
                 (long long)sampling->tokens, (double)sampling->tokens / (clock_seconds() - sampling->start));
    }
    return result;
}

static int sample(struct sampling *sampling, struct err *err)
{
    for (size_t i = 1; i < sampling->answerer_count; i++) {
        if (check_answerer(sampling, i, err) != 0) {
            return -1;
        }
    }
    for (sampling->current = 0; sampling->current < sampling->answerer_count; sampling->current++) {
        int result = open_current(sampling, err);
        if (result == 0) {
            result = answer_all(sampling, err);
        }
        if (result == 0 && sampling->current + 1 == sampling->answerer_count &&
            sampling->stored < sampling->prompt_count) {
            result = commit_answered(sampling, err);
        }
        close_current(sampling);
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}

static int report(const struct sampling *sampling, struct err *err)
{
    if (sampling->refused > REFUSALS_PRINTED) {
        log_warn("%lld prompts were left out in all", (long long)sampling->refused);
    }
    printf(
        "%s: %zu prompts: %lld new items, %lld known already, %lld answers dropped as said before, %lld prompts left "
        "out because all answers were the same, %lld left out for other reasons\n",
        sampling->prompts_path, sampling->prompt_count, (long long)sampling->items, (long long)sampling->known,
        (long long)sampling->dropped, (long long)sampling->alike, (long long)sampling->refused);
    if (sampling->items + sampling->known == 0) {
        return err_set(err, "no prompt became an item%s",
                       sampling->alike > 0 ? "; a higher --temperature makes answers differ" : "");
    }
    return 0;
}

/* ---- The command line ---- */

/* What the options do not check each for itself. */
static int read_answerers(struct sampling *sampling, struct err *err)
{
    if (sampling->prompts_path == NULL) {
        return err_set(err, "--prompts FILE is needed: the prompts to answer");
    }
    if (sampling->models.count == 0) {
        return err_set(err, "--model DIR is needed: who answers");
    }
    if (sampling->models.count > PREFS_ANSWERS_MAX) {
        return err_set(err, "--model is given %zu times, but an item has at most %d answers", sampling->models.count,
                       PREFS_ANSWERS_MAX);
    }
    int64_t models = (int64_t)sampling->models.count;
    if (sampling->count == 0) {
        sampling->count = max(models, ANSWERS_DEFAULT);
    }
    if (sampling->count < models) {
        return err_set(err, "--n %lld leaves nothing to answer for some of the %lld models; give --n %lld or more",
                       (long long)sampling->count, (long long)models, (long long)models);
    }
    for (; sampling->answerer_count < sampling->models.count; sampling->answerer_count++) {
        if (read_answerer(&sampling->answerers[sampling->answerer_count],
                          sampling->models.items[sampling->answerer_count], sampling->options.adapter_folder,
                          err) != 0) {
            return -1;
        }
    }
    return 0;
}

static void free_all(struct sampling *sampling)
{
    for (size_t i = 0; sampling->answers != NULL && i < sampling->prompt_count * (size_t)sampling->count; i++) {
        strbuf_free(&sampling->answers[i].text);
    }
    mem_free(sampling->answers);
    for (size_t i = 0; i < PREFS_ANSWERS_MAX; i++) {
        strbuf_free(&sampling->answerers[i].folder);
        strbuf_free(&sampling->answerers[i].name);
    }
    args_list_free(&sampling->models);
}

static int run(const struct args_command *command, struct sampling *sampling)
{
    struct err err;
    if (read_answerers(sampling, &err) != 0) {
        args_end(command, -1, &err);
        return ARGS_USAGE;
    }
    int status = prefs_open_project(&sampling->store, sampling->database, PREFS_WRITE, sampling->project_name,
                                    &sampling->project);
    if (status >= 0) {
        return status;
    }
    int result = sample(sampling, &err);
    prefs_close(sampling->store);
    if (result == 0) {
        result = report(sampling, &err);
    }
    return args_end(command, result, &err);
}

int prefs_command_sample(int argc, char **argv)
{
    struct sampling sampling = {.answering = ANSWERING_DEFAULTS, .batch_size = 16};
    const struct args_operand operands[] = {{.name = "DB", .help = "the database", .text = &sampling.database}};
    const struct args_option options[] = {
        {.name = "model",
         .argument = "DIR",
         .help = "folder of a model, or MODEL+ADAPTER; given several times, the models take turns at the answers",
         .texts = &sampling.models},
        {.name = "prompts",
         .argument = "FILE",
         .help = "prompts: {\"prompt\"} records, the prompt part of any other format, or lines of a .txt",
         .text = &sampling.prompts_path},
        {.name = "format", .argument = "F", .help = "their format (default: detected)", .text = &sampling.format},
        {.name = "n",
         .argument = "K",
         .help = "answers to each prompt, of all models together (default 2, or one of each model); 1 makes items for "
                 "a thumb up or down",
         .whole = &sampling.count,
         .least = 1,
         .most = PREFS_ANSWERS_MAX},
        {.name = "project",
         .argument = "NAME",
         .help = "the project the items belong to",
         .text = &sampling.project_name},
        {.name = "batch-size",
         .argument = "N",
         .help = "answers made at once; does not change them (default 16)",
         .whole = &sampling.batch_size,
         .least = 1,
         .most = 4096},
        ANSWERING_OPTIONS(sampling.answering),
        SESSION_OPTIONS(sampling.options),
    };
    const struct args_command command = {
        .name = "attune prefs sample",
        .summary = "Lets models answer prompts and makes an item of the answers to each. The same answers to a prompt "
                   "are kept once, and a prompt whose answers are all the same becomes no item. The same command "
                   "again adds nothing, unless --seed is another. --adapter goes with every model that names none.",
        .more = "Example:\n  attune prefs sample prefs.db --model smollm2 --model smollm2+runs/alpaca --prompts "
                "questions.jsonl --n 4",
        .operands = operands,
        .operand_count = 1,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (args_begin(&command, argc, argv, &status)) {
        status = run(&command, &sampling);
    }
    free_all(&sampling);
    return status;
}
