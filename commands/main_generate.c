/* commands/main_generate.c - attune generate: answers to a file of prompts. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "session/answering.h"
#include "session/score_queue.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct answer {
    struct strbuf text;
    int32_t sample, tokens;
    double logprob; /* sum over its tokens */
    float score;    /* by the reward model, where there is one; NaN: it is too long */
    bool stopped, done;
};

struct generation {
    struct session session;
    struct answering answering;
    const char *prompts_path, *format, *out;
    int64_t n, best_of, batch_size; /* best_of 0: all answers are wanted */
    bool json;                      /* with best_of: all of them, best first */

    struct prompt_list *prompts;
    struct generator *generator;
    struct answer *answers; /* [prompts * n] */
    int64_t done, tokens;
    double start;
    struct progress progress;
};

static int keep_answer(void *context, const struct generated *made, struct err *err)
{
    struct generation *generation = context;
    struct answer *answer = &generation->answers[made->request * (size_t)generation->n + (size_t)made->sample];
    for (int32_t i = 0; i < made->length; i++) {
        answer->logprob += (double)made->logprobs[i];
    }
    answer->sample = made->sample;
    answer->tokens = made->length;
    answer->stopped = made->stopped;
    answer->done = true;
    generation->done++;
    generation->tokens += made->length;
    char note[64];
    snprintf(note, sizeof note, "%.1f tok/s", (double)generation->tokens / (clock_seconds() - generation->start));
    progress_update(&generation->progress, generation->done, note);
    return tokenizer_decode(generation->session.text.tokenizer, made->ids, (size_t)made->length, TOKENIZER_SKIP_SPECIAL,
                            &answer->text, err);
}

static void put_answer(const struct generation *generation, const struct answer *answer, struct strbuf *out)
{
    strbuf_puts(out, "{\"text\": ");
    strbuf_put_json(out, strbuf_text(&answer->text), answer->text.length);
    strbuf_printf(out, ", \"tokens\": %d, \"logprob\": %.9g, \"stopped\": %s", answer->tokens, answer->logprob,
                  answer->stopped ? "true" : "false");
    if (generation->session.reward && isnan(answer->score)) {
        strbuf_puts(out, ", \"score\": null");
    } else if (generation->session.reward) {
        strbuf_printf(out, ", \"score\": %.9g", (double)answer->score);
    }
    strbuf_puts(out, "}");
}

/* {"prompt": ..., "answers": [{"text", "tokens", "logprob", "stopped", "score"}, ...]} a prompt, in their order. */
static int write_answers(const struct generation *generation, struct strbuf *out, struct err *err)
{
    int64_t shown = generation->best_of && !generation->json ? 1 : generation->n;
    for (size_t p = 0; p < generation->prompts->count; p++) {
        strbuf_printf(out, "{\"prompt\": %s, \"answers\": [", generation->prompts->items[p].json);
        for (int64_t s = 0; s < shown; s++) {
            strbuf_puts(out, s ? ", " : "");
            put_answer(generation, &generation->answers[p * (size_t)generation->n + (size_t)s], out);
        }
        strbuf_puts(out, "]}\n");
    }
    if (strbuf_check(out, err) != 0) {
        return -1;
    }
    if (generation->out) {
        return file_write_whole(generation->out, out->data, out->length, err);
    }
    fwrite(out->data, 1, out->length, stdout);
    return 0;
}

/* Queues the answers to prompt `number`; their scores come into `scores`. */
static int add_prompt(const struct generation *generation, struct score_queue *queue, size_t number, float *scores,
                      struct err *err)
{
    const struct answer *answers = &generation->answers[number * (size_t)generation->n];
    struct family_answer *texts = mem_alloc((size_t)generation->n, sizeof *texts, err);
    struct strbuf text = {0};
    json_t *messages = NULL;
    if (texts && prompt_messages_text(&text, &generation->prompts->items[number], err) == 0) {
        messages = json_read_text(strbuf_text(&text), text.length, "a prompt", err);
    }
    for (int64_t s = 0; messages && s < generation->n; s++) {
        texts[s] = (struct family_answer){strbuf_text(&answers[s].text), answers[s].text.length};
    }
    int result = messages ? score_queue_add(queue, messages, texts, (int32_t)generation->n, scores, err) : -1;
    if (messages) {
        json_decref(messages);
    }
    strbuf_free(&text);
    mem_free(texts);
    return result;
}

/* Best first, the earlier one of equals; what has no score comes last. */
static int compare_answers(const void *left, const void *right)
{
    const struct answer *a = left, *b = right;
    if (isnan(a->score) != isnan(b->score)) {
        return isnan(a->score) ? 1 : -1;
    }
    if (a->score != b->score && !isnan(a->score)) {
        return a->score > b->score ? -1 : 1;
    }
    return a->sample < b->sample ? -1 : 1;
}

/* Gives every answer its score, and with best_of orders those of each prompt. */
static int score_answers(struct generation *generation, struct err *err)
{
    size_t count = generation->prompts->count, n = (size_t)generation->n;
    struct score_queue queue = {0};
    float *scores = mem_alloc(count * n, sizeof *scores, err);
    int result = scores ? score_queue_open(&queue, &generation->session, 0, err) : -1;
    progress_begin(&generation->progress, "scoring", (int64_t)(count * n));
    for (size_t p = 0; result == 0 && p < count; p++) {
        result = add_prompt(generation, &queue, p, scores + p * n, err);
        if (result == 0 && (p + 1 == count || score_queue_is_full(&queue))) {
            result = score_queue_run(&queue, err);
        }
        progress_update(&generation->progress, (int64_t)((p + 1) * n), NULL);
    }
    progress_end(&generation->progress);
    for (size_t i = 0; result == 0 && i < count * n; i++) {
        generation->answers[i].score = scores[i];
    }
    for (size_t p = 0; result == 0 && generation->best_of && p < count; p++) {
        qsort(generation->answers + p * n, n, sizeof *generation->answers, compare_answers);
    }
    score_queue_close(&queue);
    mem_free(scores);
    return result;
}

/* Of every `stride`-th answer, those without a score aside. */
static double mean_score(const struct generation *generation, size_t stride)
{
    double sum = 0, scored = 0;
    for (size_t i = 0; i < generation->prompts->count * (size_t)generation->n; i += stride) {
        if (!isnan(generation->answers[i].score)) {
            sum += (double)generation->answers[i].score;
            scored++;
        }
    }
    return sum / scored;
}

static int make_parts(struct generation *generation, struct err *err)
{
    if (answering_open(&generation->prompts, &generation->generator, &generation->answering, &generation->session,
                       generation->prompts_path, generation->format, generation->n, generation->batch_size, err) != 0) {
        return -1;
    }
    generation->answers =
        mem_alloc(generation->prompts->count * (size_t)generation->n, sizeof *generation->answers, err);
    return generation->answers ? 0 : -1;
}

static int run(struct generation *generation, struct err *err)
{
    if (session_open(&generation->session, err) != 0 || make_parts(generation, err) != 0) {
        return -1;
    }
    size_t count = generation->prompts->count;
    struct stop_tokens stop_tokens;
    struct generate_options options = answering_options(&generation->answering, &generation->session, &stop_tokens);
    struct generate_request *requests = mem_alloc(count, sizeof *requests, err);
    if (!requests) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        const struct prompt *prompt = &generation->prompts->items[i];
        requests[i] = (struct generate_request){prompt->ids, prompt->count, (int32_t)generation->n, prompt->record};
    }
    struct generate_events events = {.context = generation, .finished = keep_answer};
    progress_begin(&generation->progress, "generate", (int64_t)count * generation->n);
    generation->start = clock_seconds();
    int result =
        generator_run(generation->generator, generation->session.overlay, requests, count, &options, &events, err);
    double seconds = clock_seconds() - generation->start;
    progress_end(&generation->progress);
    mem_free(requests);
    generator_free(generation->generator); /* its memory is for the scores now */
    generation->generator = NULL;
    struct strbuf out = {0};
    if (result == 0 && generation->session.reward) {
        result = score_answers(generation, err);
    }
    if (result == 0) {
        result = write_answers(generation, &out, err);
    }
    strbuf_free(&out);
    if (result == 0) {
        log_info("%zu prompts, %lld answers, %lld new tokens, %.1f tok/s", count, (long long)generation->done,
                 (long long)generation->tokens, (double)generation->tokens / seconds);
    }
    if (result == 0 && generation->best_of) {
        log_info("mean score %.4f; of the best of %lld %.4f", mean_score(generation, 1), (long long)generation->n,
                 mean_score(generation, (size_t)generation->n));
    }
    return result;
}

/* Options that need or exclude each other. */
static int settle(struct generation *generation, struct err *err)
{
    if (!generation->prompts_path) {
        return err_set(err, "--prompts FILE is needed: the prompts to answer");
    }
    if (generation->best_of && !generation->session.reward) {
        return err_set(err, "--best-of N needs --reward R: the reward model that says which answer is best");
    }
    if (generation->best_of && generation->n != 1) {
        return err_set(err, "--n and --best-of both say how many answers to make; give one of them");
    }
    if (generation->json && !generation->best_of) {
        return err_set(err, "--json goes with --best-of; the output is JSON always");
    }
    if (generation->best_of) {
        generation->n = generation->best_of;
    }
    return 0;
}

static void close_all(struct generation *generation)
{
    for (size_t i = 0; generation->answers && i < generation->prompts->count * (size_t)generation->n; i++) {
        strbuf_free(&generation->answers[i].text);
    }
    mem_free(generation->answers);
    generator_free(generation->generator);
    prompt_list_free(generation->prompts);
    session_close(&generation->session);
}

int main(int argc, char **argv)
{
    mem_hook_libraries();
    struct generation generation = {.answering = ANSWERING_DEFAULTS, .n = 1, .batch_size = 16};
    const struct args_operand operands[] = {
        {.name = "MODEL", .help = "folder of the model", .text = &generation.session.folder}};
    const struct args_option options[] = {
        {.name = "prompts",
         .argument = "FILE",
         .help = "prompts: {\"prompt\"} records, the prompt part of any other format, or lines of a .txt",
         .text = &generation.prompts_path},
        {.name = "format", .argument = "F", .help = "their format (default: detected)", .text = &generation.format},
        {.name = "n",
         .argument = "K",
         .help = "answers to each prompt (default 1)",
         .whole = &generation.n,
         .least = 1,
         .most = 1024},
        {.name = "best-of",
         .argument = "N",
         .help = "with --reward: make N answers to each prompt and give the best one",
         .whole = &generation.best_of,
         .least = 1,
         .most = 1024},
        SESSION_REWARD_OPTIONS(generation.session),
        {.name = "json", .help = "with --best-of: give all N answers, best first", .flag = &generation.json},
        {.name = "out",
         .argument = "FILE",
         .help = "where the answers go, a JSON object a prompt (default: standard output)",
         .text = &generation.out},
        {.name = "batch-size",
         .argument = "N",
         .help = "answers made at once; does not change them (default 16)",
         .whole = &generation.batch_size,
         .least = 1,
         .most = 4096},
        ANSWERING_OPTIONS(generation.answering),
        SESSION_OPTIONS(generation.session),
    };
    const struct args_command command = {
        .name = "attune generate",
        .summary = "Answers a file of prompts, several times each if wanted. With --reward each answer gets its score.",
        .more = "Examples:\n  attune generate smollm2 --adapter runs/alpaca --prompts questions.jsonl --n 4 --out "
                "answers.jsonl\n  attune generate smollm2 --prompts questions.jsonl --best-of 16 --reward runs/reward",
        .operands = operands,
        .operand_count = 1,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    struct err err;
    if (settle(&generation, &err) != 0) {
        args_end(&command, -1, &err);
        return ARGS_USAGE;
    }
    int result = run(&generation, &err);
    close_all(&generation);
    return args_end(&command, result, &err);
}
