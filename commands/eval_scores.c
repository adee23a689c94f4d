/* commands/eval_scores.c - see eval_scores.h. */
#include "commands/eval_scores.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "reward/evaluation_measures.h"
#include "session/answer_file.h"
#include "session/score_queue.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define WRITERS_MAX 1024 /* names of who wrote the answers */

/* Mean and deviation of numbers added one by one (Welford 1962). */
struct spread {
    int64_t count;
    double mean, squares, least, most;
};

struct writer {
    char *name;
    struct spread scores;
};

/* A record whose scores are on their way. */
struct waiting_record {
    json_t *record;
    float scores[ANSWER_FILE_ANSWERS_MAX];
};

struct evaluated {
    const struct eval_scores_options *options;
    struct score_queue queue;
    struct answer_file *file;
    struct file_writer *out;       /* NULL: nothing is written */
    struct waiting_record **items; /* those of one score_queue_run() */
    size_t count, capacity;
    struct strbuf line;
    struct progress progress;

    int64_t prompts, too_long, tied_pairs;
    struct spread scores;
    struct share_sums pairs;
    struct writer *writers;
    size_t writer_count, writer_capacity;
};

/* ---- sums ---- */

static void spread_add(struct spread *spread, double value)
{
    double before = value - spread->mean;
    spread->least = spread->count == 0 || value < spread->least ? value : spread->least;
    spread->most = spread->count == 0 || value > spread->most ? value : spread->most;
    spread->mean += before / (double)++spread->count;
    spread->squares += before * (value - spread->mean);
}

/* Of these numbers, as normalize_scores takes it: 1 on the answers that the model was normalised on. */
static double spread_deviation(const struct spread *spread)
{
    return spread->count > 0 ? sqrt(spread->squares / (double)spread->count) : 0;
}

static int find_writer(struct evaluated *evaluated, const char *name, struct writer **out, struct err *err)
{
    for (size_t i = 0; i < evaluated->writer_count; i++) {
        if (strcmp(evaluated->writers[i].name, name) == 0) {
            *out = &evaluated->writers[i];
            return 0;
        }
    }
    if (evaluated->writer_count == WRITERS_MAX) {
        return err_set(err, "the answers are said to be of more than %d models; leave \"model\" out of the records",
                       WRITERS_MAX);
    }
    struct writer *writers =
        mem_grow(evaluated->writers, &evaluated->writer_capacity, evaluated->writer_count + 1, sizeof *writers, err);
    if (!writers) {
        return -1;
    }
    evaluated->writers = writers;
    *out = &writers[evaluated->writer_count];
    (*out)->name = mem_copy_string(name, strlen(name), err);
    if (!(*out)->name) {
        return -1;
    }
    evaluated->writer_count++;
    return 0;
}

static int add_answers(struct evaluated *evaluated, const struct waiting_record *item, struct err *err)
{
    const json_t *answers = json_object_get(item->record, "answers");
    for (size_t a = 0; a < json_array_size(answers); a++) {
        const char *model = json_string_value(json_object_get(json_array_get(answers, a), "model"));
        struct writer *writer = NULL;
        if (isnan(item->scores[a])) {
            evaluated->too_long++;
            continue;
        }
        spread_add(&evaluated->scores, (double)item->scores[a]);
        if (model && find_writer(evaluated, model, &writer, err) != 0) {
            return -1;
        }
        if (writer) {
            spread_add(&writer->scores, (double)item->scores[a]);
        }
    }
    return 0;
}

/* Pairs of answers with scores and ranks; a pair that people call equal has no right order. */
static void add_pairs(struct evaluated *evaluated, const struct waiting_record *item)
{
    const json_t *answers = json_object_get(item->record, "answers");
    for (size_t a = 0; a < json_array_size(answers); a++) {
        for (size_t b = a + 1; b < json_array_size(answers); b++) {
            json_int_t one = json_integer_value(json_object_get(json_array_get(answers, a), "rank")),
                       other = json_integer_value(json_object_get(json_array_get(answers, b), "rank"));
            float difference = item->scores[a] - item->scores[b];
            if (one == 0 || other == 0 || isnan(difference)) {
                continue;
            }
            evaluated->tied_pairs += one == other;
            if (one != other) {
                share_add(&evaluated->pairs, evaluated->prompts, (one < other ? difference : -difference) > 0);
            }
        }
    }
}

/* ---- records ---- */

static int write_record(struct evaluated *evaluated, const struct waiting_record *item, struct err *err)
{
    json_t *answers = json_object_get(item->record, "answers");
    for (size_t a = 0; a < json_array_size(answers); a++) {
        float score = item->scores[a];
        if (json_object_set_new(json_array_get(answers, a), "score",
                                isnan(score) ? json_null() : json_real((double)score)) != 0) {
            return err_set(err, "out of memory while writing scores");
        }
    }
    char *text = json_dumps(item->record, JSON_REAL_PRECISION(9));
    if (!text) {
        return err_set(err, "out of memory while writing scores");
    }
    strbuf_clear(&evaluated->line);
    strbuf_puts(&evaluated->line, text);
    strbuf_putc(&evaluated->line, '\n');
    mem_free(text);
    return strbuf_check(&evaluated->line, err) == 0
               ? file_write(evaluated->out, evaluated->line.data, evaluated->line.length, err)
               : -1;
}

static void drop_waiting(struct evaluated *evaluated)
{
    for (size_t i = 0; i < evaluated->count; i++) {
        json_decref(evaluated->items[i]->record);
        mem_free(evaluated->items[i]);
    }
    evaluated->count = 0;
}

/* The scores of all that waits, into the sums and the file. */
static int take_scores(struct evaluated *evaluated, struct err *err)
{
    int result = score_queue_run(&evaluated->queue, err);
    for (size_t i = 0; result == 0 && i < evaluated->count; i++) {
        const struct waiting_record *item = evaluated->items[i];
        result = add_answers(evaluated, item, err);
        add_pairs(evaluated, item);
        if (result == 0 && evaluated->out) {
            result = write_record(evaluated, item, err);
        }
        evaluated->prompts++;
    }
    drop_waiting(evaluated);
    char note[48];
    snprintf(note, sizeof note, "mean score %.3f", evaluated->scores.mean);
    progress_update(&evaluated->progress, evaluated->scores.count, note);
    return result;
}

/* Takes the record over. */
static int add_record(struct evaluated *evaluated, json_t *record, struct err *err)
{
    struct waiting_record **items = mem_grow(evaluated->items, &evaluated->capacity, evaluated->count + 1,
                                             sizeof *items, err),
                          *item = items ? mem_alloc(1, sizeof *item, err) : NULL;
    if (items) {
        evaluated->items = items;
    }
    if (!item) {
        json_decref(record);
        return -1;
    }
    item->record = record;
    items[evaluated->count++] = item;
    const json_t *answers = json_object_get(record, "answers");
    struct family_answer texts[ANSWER_FILE_ANSWERS_MAX];
    int32_t count = (int32_t)json_array_size(answers);
    for (int32_t a = 0; a < count; a++) {
        const json_t *text = json_object_get(json_array_get(answers, (size_t)a), "text");
        texts[a] = (struct family_answer){json_string_value(text), json_string_length(text)};
    }
    if (score_queue_add(&evaluated->queue, json_object_get(record, "prompt"), texts, count, item->scores, err) != 0) {
        return err_prefix(err, "%s:%lld", evaluated->options->path,
                          (long long)json_integer_value(json_object_get(record, "line")));
    }
    return score_queue_is_full(&evaluated->queue) ? take_scores(evaluated, err) : 0;
}

static int score_all(struct evaluated *evaluated, struct err *err)
{
    json_t *record;
    int got, result = 0;
    progress_begin(&evaluated->progress, "scoring", 0);
    while (result == 0 && (got = answer_file_next(evaluated->file, &record, err)) != 0) {
        result = got < 0 ? -1 : add_record(evaluated, record, err);
    }
    if (result == 0) {
        result = take_scores(evaluated, err);
    }
    progress_end(&evaluated->progress);
    if (result == 0 && evaluated->scores.count == 0) {
        result = err_set(err, "%s: %s", evaluated->options->path,
                         evaluated->too_long ? "every answer is longer than --max-length; give a larger one"
                                             : "it holds no answer to score");
    }
    return result;
}

/* ---- the summary ---- */

static void print_text(const struct evaluated *evaluated)
{
    const struct spread *scores = &evaluated->scores;
    printf("%lld answers to %lld prompts: mean score %.4f, deviation %.4f, from %.4f to %.4f\n",
           (long long)scores->count, (long long)evaluated->prompts, scores->mean, spread_deviation(scores),
           scores->least, scores->most);
    if (evaluated->too_long) {
        printf("%lld answers left out: longer than --max-length\n", (long long)evaluated->too_long);
    }
    struct share right = share_of(&evaluated->pairs);
    if (right.trials) {
        printf("right order in %.1f %% of %lld pairs (95 %%: %.1f to %.1f)\n", 100 * right.value,
               (long long)right.trials, 100 * right.low, 100 * right.high);
    }
    if (evaluated->tied_pairs) {
        printf("%lld pairs of equal rank left out\n", (long long)evaluated->tied_pairs);
    }
    for (size_t i = 0; i < evaluated->writer_count; i++) {
        const struct writer *writer = &evaluated->writers[i];
        printf("%s%9.4f  deviation %.4f  %6lld answers  %s\n", i == 0 ? "mean score by model\n" : "",
               writer->scores.mean, spread_deviation(&writer->scores), (long long)writer->scores.count, writer->name);
    }
}

static void put_spread(struct strbuf *out, const struct spread *spread)
{
    strbuf_printf(out, "\"answers\": %lld, \"mean\": %.9g, \"deviation\": %.9g, \"least\": %.9g, \"most\": %.9g",
                  (long long)spread->count, spread->mean, spread_deviation(spread), spread->least, spread->most);
}

static int print_json(const struct evaluated *evaluated, struct err *err)
{
    struct strbuf out = {0};
    strbuf_puts(&out, "{");
    put_spread(&out, &evaluated->scores);
    struct share right = share_of(&evaluated->pairs);
    strbuf_printf(&out, ", \"prompts\": %lld, \"too_long\": %lld, \"pairs\": %lld, \"tied_pairs\": %lld",
                  (long long)evaluated->prompts, (long long)evaluated->too_long, (long long)right.trials,
                  (long long)evaluated->tied_pairs);
    if (right.trials) {
        strbuf_printf(&out, ", \"accuracy\": %.9g, \"accuracy_low\": %.9g, \"accuracy_high\": %.9g", right.value,
                      right.low, right.high);
    }
    strbuf_puts(&out, ", \"models\": [");
    for (size_t i = 0; i < evaluated->writer_count; i++) {
        strbuf_puts(&out, i ? ", {\"model\": " : "{\"model\": ");
        strbuf_put_json(&out, evaluated->writers[i].name, strlen(evaluated->writers[i].name));
        strbuf_puts(&out, ", ");
        put_spread(&out, &evaluated->writers[i].scores);
        strbuf_puts(&out, "}");
    }
    strbuf_puts(&out, "]}");
    int result = strbuf_check(&out, err);
    if (result == 0) {
        puts(strbuf_text(&out));
    }
    strbuf_free(&out);
    return result;
}

static void free_all(struct evaluated *evaluated)
{
    drop_waiting(evaluated);
    mem_free(evaluated->items);
    for (size_t i = 0; i < evaluated->writer_count; i++) {
        mem_free(evaluated->writers[i].name);
    }
    mem_free(evaluated->writers);
    strbuf_free(&evaluated->line);
    answer_file_close(evaluated->file);
    score_queue_close(&evaluated->queue);
}

int eval_scores(const struct session *session, const struct eval_scores_options *options, struct err *err)
{
    struct evaluated evaluated = {.options = options};
    struct file_writer writer;
    bool writing = false;
    int result = score_queue_open(&evaluated.queue, session, options->max_length, err);
    if (result == 0) {
        result = answer_file_open(&evaluated.file, options->path, options->format, err);
    }
    if (result == 0 && options->out) {
        result = file_write_begin(&writer, options->out, err);
        writing = result == 0;
        evaluated.out = &writer;
    }
    if (result == 0) {
        log_info("%s", answer_file_sentence(evaluated.file));
        result = score_all(&evaluated, err);
    }
    if (result == 0 && writing) {
        result = file_write_commit(&writer, err);
        writing = result != 0;
    }
    if (writing) {
        file_write_abort(&writer);
    }
    if (result == 0 && options->json) {
        result = print_json(&evaluated, err);
    } else if (result == 0) {
        print_text(&evaluated);
    }
    free_all(&evaluated);
    return result;
}
