/* commands/eval_answers.c - see eval_answers.h. */
#include "commands/eval_answers.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/generate/generate.h"
#include "train/stop_tokens.h"
#include <string.h>

struct answers {
    const struct session *session;
    struct dataset *dataset;
    struct prompt_list *prompts;
    struct generator *generator;
    struct strbuf *texts; /* [prompts] */
    int64_t done;
    struct progress progress;
};

static int keep_answer(void *context, const struct generated *made, struct err *err)
{
    struct answers *answers = context;
    progress_update(&answers->progress, ++answers->done, NULL);
    return tokenizer_decode(answers->session->text.tokenizer, made->ids, (size_t)made->length, TOKENIZER_SKIP_SPECIAL,
                            &answers->texts[made->request], err);
}

/* The last run of trained tokens of an example: its last answer, the end-of-turn token included (and skipped as
 * special). */
static int expected_answer(const struct answers *answers, const struct example *example, struct strbuf *out,
                           struct err *err)
{
    int32_t end = example->length, start;
    while (end > 0 && !example->trained[end - 1]) {
        end--;
    }
    for (start = end; start > 0 && example->trained[start - 1];) {
        start--;
    }
    return tokenizer_decode(answers->session->text.tokenizer, example->ids + start, (size_t)(end - start),
                            TOKENIZER_SKIP_SPECIAL, out, err);
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

static bool equal_trimmed(const char *a, size_t a_length, const char *b, size_t b_length)
{
    while (a_length && is_space(*a)) {
        a++, a_length--;
    }
    while (b_length && is_space(*b)) {
        b++, b_length--;
    }
    while (a_length && is_space(a[a_length - 1])) {
        a_length--;
    }
    while (b_length && is_space(b[b_length - 1])) {
        b_length--;
    }
    return a_length == b_length && memcmp(a, b, a_length) == 0;
}

static void put_record(struct strbuf *lines, const struct prompt *prompt, const struct strbuf *expected,
                       const struct strbuf *answer, bool equal)
{
    strbuf_printf(lines, "{\"prompt\": %s, \"expected\": ", prompt->json);
    strbuf_put_json(lines, strbuf_text(expected), expected->length);
    strbuf_puts(lines, ", \"answer\": ");
    strbuf_put_json(lines, strbuf_text(answer), answer->length);
    strbuf_printf(lines, ", \"equal\": %s}\n", equal ? "true" : "false");
}

static int compare(const struct answers *answers, const char *out, struct answer_counts *counts, struct err *err)
{
    struct strbuf expected = {0}, lines = {0};
    int result = 0;
    *counts = (struct answer_counts){.total = answers->prompts->count};
    for (size_t i = 0; result == 0 && i < answers->prompts->count; i++) {
        strbuf_clear(&expected);
        result = expected_answer(answers, &answers->dataset->examples[i], &expected, err);
        if (result == 0) {
            result = strbuf_check(&expected, err);
        }
        if (result != 0) {
            break;
        }
        bool equal = equal_trimmed(strbuf_text(&expected), expected.length, strbuf_text(&answers->texts[i]),
                                   answers->texts[i].length);
        counts->equal += equal;
        put_record(&lines, &answers->prompts->items[i], &expected, &answers->texts[i], equal);
    }
    if (result == 0) {
        result = strbuf_check(&lines, err);
    }
    if (result == 0 && out) {
        result = file_write_whole(out, lines.data, lines.length, err);
    }
    strbuf_free(&expected);
    strbuf_free(&lines);
    return result;
}

static int load(struct answers *answers, const char *path, const char *format, int64_t max_new_tokens, int64_t at_once,
                struct err *err)
{
    const struct session *session = answers->session;
    int64_t prompt_tokens = session->model->config.max_positions - max_new_tokens;
    if (prompt_tokens < 1) {
        return err_set(err, "--max-new-tokens %lld leaves no room for a prompt in the model's %d positions",
                       (long long)max_new_tokens, session->model->config.max_positions);
    }
    struct dataset_options options = session_dataset_options(session, 0),
                           prompt_options = session_dataset_options(session, prompt_tokens);
    struct dataset_source source = {.path = path, .format = format};
    if (dataset_load(&answers->dataset, &source, 1, &options, err) != 0 ||
        prompt_list_load(&answers->prompts, path, format, &prompt_options, err) != 0) {
        return -1;
    }
    if (answers->dataset->count != answers->prompts->count) {
        return err_set(err, "%s: %zu of its %zu records have no answer to compare with; leave them out", path,
                       answers->prompts->count - answers->dataset->count, answers->prompts->count);
    }
    struct generator_limits limits = {.sequences = (int32_t)at_once,
                                      .samples = 1,
                                      .max_prompt = prompt_list_longest(answers->prompts),
                                      .max_new = (int32_t)max_new_tokens,
                                      .max_rank = session_max_rank(session)};
    answers->texts = mem_alloc(answers->prompts->count, sizeof *answers->texts, err);
    return answers->texts ? generator_create(&answers->generator, session->model, &limits, err) : -1;
}

static int answer_all(struct answers *answers, int64_t max_new_tokens, struct err *err)
{
    size_t count = answers->prompts->count;
    struct generate_request *requests = mem_alloc(count, sizeof *requests, err);
    if (!requests) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        requests[i] = (struct generate_request){answers->prompts->items[i].ids, answers->prompts->items[i].count, 1, i};
    }
    struct stop_tokens stop_tokens = stop_tokens_of(&answers->session->model->config, &answers->session->text);
    struct generate_options options = {.sampling = {.top_p = 1, .repetition_penalty = 1},
                                       .max_new_tokens = (int32_t)max_new_tokens,
                                       .stop_tokens = stop_tokens.ids};
    struct generate_events events = {.context = answers, .finished = keep_answer};
    progress_begin(&answers->progress, "answers", (int64_t)count);
    int result = generator_run(answers->generator, answers->session->overlay, requests, count, &options, &events, err);
    progress_end(&answers->progress);
    mem_free(requests);
    return result;
}

int eval_answers(const struct session *session, const char *path, const char *format, int64_t max_new_tokens,
                 int64_t at_once, const char *out, struct answer_counts *counts, struct err *err)
{
    struct answers answers = {.session = session};
    int result = load(&answers, path, format, max_new_tokens, at_once, err);
    if (result == 0) {
        result = answer_all(&answers, max_new_tokens, err);
    }
    if (result == 0) {
        result = compare(&answers, out, counts, err);
    }
    for (size_t i = 0; answers.texts && i < answers.prompts->count; i++) {
        strbuf_free(&answers.texts[i]);
    }
    mem_free(answers.texts);
    generator_free(answers.generator);
    prompt_list_free(answers.prompts);
    dataset_free(answers.dataset);
    return result;
}
