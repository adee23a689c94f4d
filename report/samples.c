/* report/samples.c - the samples of internal.h. */
#include "base/file.h"
#include "base/mem.h"
#include "report/internal.h"
#include <string.h>

/* What is shown of a long run: steps besides the first and the last, answers of a step, bytes of a text. */
#define BETWEEN_MAX ((size_t)10)
#define ANSWERS_MAX ((size_t)100)
#define TEXT_MAX    ((size_t)6000)

#define STEPS_MAX ((size_t)1 << 20) /* of a file */

struct sample {
    json_t *record;
    const char *prompt, *answer; /* in `record`; JSON strings may hold zero bytes */
    size_t prompt_length, answer_length;
    size_t nth; /* among the answers to the same prompt in the same step */
};

struct step_samples {
    int64_t step;
    size_t records; /* in the file */
    bool shown;
    struct sample *samples; /* [count] */
    size_t count, capacity;
};

struct samples {
    struct step_samples *steps; /* in the order of the file */
    size_t count, capacity;
    size_t at; /* while the answers are read: the step of the last record */
};

/* ---- reading: which steps there are, and then the answers of those that are shown ---- */

static int count_record(void *context, json_t *record, int64_t number, const char *where, struct err *err)
{
    struct samples *samples = context;
    (void)record;
    if (samples->count == STEPS_MAX) {
        return err_set(err, "%s: there are more than %zu evaluations; is this a file of attune?", where, STEPS_MAX);
    }
    if (samples->count == 0 || samples->steps[samples->count - 1].step != number) {
        struct step_samples *steps =
            mem_grow(samples->steps, &samples->capacity, samples->count + 1, sizeof *steps, err);
        if (!steps) {
            return -1;
        }
        samples->steps = steps;
        steps[samples->count++].step = number;
    }
    samples->steps[samples->count - 1].records++;
    return 0;
}

static void choose_steps(struct samples *samples)
{
    size_t last = samples->count - 1, parts = BETWEEN_MAX + 1 < last ? BETWEEN_MAX + 1 : last;
    samples->steps[0].shown = samples->steps[last].shown = true;
    for (size_t i = 1; i < parts; i++) {
        samples->steps[last * i / parts].shown = true;
    }
}

static bool same_prompt(const struct sample *a, const struct sample *b)
{
    return a->prompt_length == b->prompt_length && memcmp(a->prompt, b->prompt, a->prompt_length) == 0;
}

static int read_sample(void *context, json_t *record, int64_t number, const char *where, struct err *err)
{
    struct samples *samples = context;
    while (samples->at < samples->count && samples->steps[samples->at].step != number) {
        samples->at++;
    }
    if (samples->at == samples->count) {
        return 0; /* a run that goes on has added it since the steps were counted */
    }
    struct step_samples *step = &samples->steps[samples->at];
    struct sample sample = {.record = record};
    if (json_need_string(record, "prompt", &sample.prompt, where, err) != 0 ||
        json_need_string(record, "answer", &sample.answer, where, err) != 0) {
        return -1;
    }
    if (!step->shown || step->count == ANSWERS_MAX) {
        return 0;
    }
    sample.prompt_length = json_string_length(json_object_get(record, "prompt"));
    sample.answer_length = json_string_length(json_object_get(record, "answer"));
    for (size_t i = 0; i < step->count; i++) {
        sample.nth += same_prompt(&step->samples[i], &sample);
    }
    struct sample *grown = mem_grow(step->samples, &step->capacity, step->count + 1, sizeof sample, err);
    if (!grown) {
        return -1;
    }
    step->samples = grown;
    json_incref(record);
    grown[step->count++] = sample;
    return 0;
}

static void free_samples(struct samples *samples)
{
    for (size_t s = 0; s < samples->count; s++) {
        for (size_t i = 0; i < samples->steps[s].count; i++) {
            json_decref(samples->steps[s].samples[i].record);
        }
        mem_free(samples->steps[s].samples);
    }
    mem_free(samples->steps);
}

/* ---- writing ---- */

static void put_text(struct strbuf *out, const char *text, size_t length)
{
    strbuf_puts(out, "<div class=\"text\">");
    if (length == 0) {
        strbuf_puts(out, "<span class=\"quiet\">(nothing)</span>");
    }
    html_text(out, text, length, TEXT_MAX);
    strbuf_puts(out, "</div>\n");
}

static bool is_own_member(const char *name)
{
    static const char *const names[] = {"step", "epoch", "prompt", "answer", "score"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* The answer, with its score and whatever else the record holds. */
static int put_answer(struct strbuf *out, const struct sample *sample, int64_t step, bool last, struct err *err)
{
    const char *name;
    json_t *value, *score = json_object_get(sample->record, "score");
    strbuf_printf(out, "<div class=\"answer%s\"><header>step %lld", last ? " last" : "", (long long)step);
    if (json_is_number(score)) {
        strbuf_puts(out, " · <span class=\"score\">score ");
        html_number(out, json_number_value(score));
        strbuf_puts(out, "</span>");
    }
    json_object_foreach(sample->record, name, value)
    {
        if (is_own_member(name)) {
            continue;
        }
        strbuf_puts(out, " · ");
        html_puts(out, name);
        strbuf_putc(out, ' ');
        if (html_json(out, value, TEXT_MAX, err) != 0) {
            return -1;
        }
    }
    strbuf_puts(out, "</header>\n");
    put_text(out, sample->answer, sample->answer_length);
    strbuf_puts(out, "</div>\n");
    return 0;
}

static const struct sample *find_sample(const struct step_samples *step, const struct sample *like)
{
    for (size_t i = 0; i < step->count; i++) {
        if (step->samples[i].nth == like->nth && same_prompt(&step->samples[i], like)) {
            return &step->samples[i];
        }
    }
    return NULL;
}

/* The answers of `step`, each beside the one that `before` (or NULL) has for the same prompt. */
static int put_answers(struct strbuf *out, const struct step_samples *before, const struct step_samples *step,
                       struct err *err)
{
    for (size_t i = 0; i < step->count; i++) {
        const struct sample *sample = &step->samples[i], *first = before ? find_sample(before, sample) : NULL;
        strbuf_puts(out, "<div class=\"card\"><div class=\"prompt\">");
        put_text(out, sample->prompt, sample->prompt_length);
        strbuf_puts(out, "</div>\n<div class=\"answers\">\n");
        if (first && put_answer(out, first, before->step, false, err) != 0) {
            return -1;
        }
        if (put_answer(out, sample, step->step, before != NULL, err) != 0) {
            return -1;
        }
        strbuf_puts(out, "</div></div>\n");
    }
    if (step->records > step->count) {
        strbuf_printf(out, "<p class=\"quiet\">%zu more answers of this step are in samples.jsonl.</p>\n",
                      step->records - step->count);
    }
    return 0;
}

static int put_samples(struct html_page *page, const struct samples *samples, struct err *err)
{
    const struct step_samples *first = &samples->steps[0], *last = &samples->steps[samples->count - 1];
    size_t left_out = 0;
    html_begin_section(page, "Samples");
    int result = put_answers(&page->body, first == last ? NULL : first, last, err);
    for (const struct step_samples *step = first + 1; result == 0 && step < last; step++) {
        left_out += !step->shown;
        if (!step->shown) {
            continue;
        }
        strbuf_printf(&page->body, "<details><summary>Step %lld</summary>\n", (long long)step->step);
        result = put_answers(&page->body, NULL, step, err);
        strbuf_puts(&page->body, "</details>\n");
    }
    if (left_out) {
        strbuf_printf(&page->body, "<p class=\"quiet\">The answers of %zu more steps are in samples.jsonl.</p>\n",
                      left_out);
    }
    html_end_section(page);
    return result;
}

int report_add_samples(struct html_page *page, const struct report_data *data, struct err *err)
{
    struct samples samples = {0};
    char *path = file_join(data->folder, "samples.jsonl", err);
    int result = path ? report_read_records(path, count_record, &samples, err) : -1;
    if (result == 0 && samples.count > 0) {
        choose_steps(&samples);
        result = report_read_records(path, read_sample, &samples, err);
        if (result == 0) {
            result = put_samples(page, &samples, err);
        }
    }
    free_samples(&samples);
    mem_free(path);
    return result;
}
