/* commands/main_generate.c - attune generate: answers to a file of prompts. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "commands/answering.h"
#include <string.h>

struct answer {
    struct strbuf text;
    int32_t tokens;
    double logprob; /* sum over its tokens */
    bool stopped, done;
};

struct generation {
    struct opened opened;
    struct answering answering;
    const char *prompts_path, *format, *out;
    int64_t n, batch_size;

    struct prompt_list *prompts;
    struct generator *generator;
    struct answer *answers; /* [prompts * n] */
    int64_t done, tokens;
    double start;
};

static int keep_answer(void *context, const struct generated *made, struct err *err)
{
    struct generation *generation = context;
    struct answer *answer = &generation->answers[made->request * (size_t)generation->n + (size_t)made->sample];
    for (int32_t i = 0; i < made->length; i++)
        answer->logprob += (double)made->logprobs[i];
    answer->tokens = made->length;
    answer->stopped = made->stopped;
    answer->done = true;
    generation->done++;
    generation->tokens += made->length;
    char note[64];
    snprintf(note, sizeof note, "%.1f tok/s", (double)generation->tokens / (clock_seconds() - generation->start));
    progress_update(generation->done, note);
    return tokenizer_decode(generation->opened.text.tokenizer, made->ids, (size_t)made->length, TOKENIZER_SKIP_SPECIAL,
                            &answer->text, err);
}

/* {"prompt": ..., "answers": [{"text", "tokens", "logprob", "stopped"}, ...]} a prompt, in their order. */
static int write_answers(const struct generation *generation, struct strbuf *out, struct err *err)
{
    for (size_t p = 0; p < generation->prompts->count; p++) {
        strbuf_printf(out, "{\"prompt\": %s, \"answers\": [", generation->prompts->items[p].json);
        for (int64_t s = 0; s < generation->n; s++) {
            const struct answer *answer = &generation->answers[p * (size_t)generation->n + (size_t)s];
            strbuf_puts(out, s ? ", {\"text\": " : "{\"text\": ");
            strbuf_put_json(out, strbuf_text(&answer->text), answer->text.length);
            strbuf_printf(out, ", \"tokens\": %d, \"logprob\": %.9g, \"stopped\": %s}", answer->tokens, answer->logprob,
                          answer->stopped ? "true" : "false");
        }
        strbuf_puts(out, "]}\n");
    }
    if (strbuf_check(out, err) != 0)
        return -1;
    if (generation->out)
        return file_write_whole(generation->out, out->data, out->length, err);
    fwrite(out->data, 1, out->length, stdout);
    return 0;
}

static int make_parts(struct generation *generation, struct err *err)
{
    if (answering_open(&generation->prompts, &generation->generator, &generation->answering, &generation->opened,
                       generation->prompts_path, generation->format, generation->n, generation->batch_size, err) != 0)
        return -1;
    generation->answers =
        mem_alloc(generation->prompts->count * (size_t)generation->n, sizeof *generation->answers, err);
    return generation->answers ? 0 : -1;
}

static int run(struct generation *generation, struct err *err)
{
    if (opened_model(&generation->opened, err) != 0 || make_parts(generation, err) != 0)
        return -1;
    size_t count = generation->prompts->count;
    int32_t stop_tokens[STOP_TOKENS_MAX + 2];
    struct generate_options options = answering_options(&generation->answering, &generation->opened, stop_tokens);
    struct generate_request *requests = mem_alloc(count, sizeof *requests, err);
    if (!requests)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const struct prompt *prompt = &generation->prompts->items[i];
        requests[i] = (struct generate_request){prompt->ids, prompt->count, (int32_t)generation->n, prompt->record};
    }
    struct generate_events events = {.context = generation, .finished = keep_answer};
    progress_begin("generate", (int64_t)count * generation->n);
    generation->start = clock_seconds();
    int rc = generator_run(generation->generator, generation->opened.overlay, requests, count, &options, &events, err);
    double seconds = clock_seconds() - generation->start;
    progress_end();
    mem_free(requests);
    struct strbuf out = {0};
    if (rc == 0)
        rc = write_answers(generation, &out, err);
    strbuf_free(&out);
    if (rc == 0)
        log_info("%zu prompts, %lld answers, %lld new tokens, %.1f tok/s", count, (long long)generation->done,
                 (long long)generation->tokens, (double)generation->tokens / seconds);
    return rc;
}

static void close_all(struct generation *generation)
{
    for (size_t i = 0; generation->answers && i < generation->prompts->count * (size_t)generation->n; i++)
        strbuf_free(&generation->answers[i].text);
    mem_free(generation->answers);
    generator_free(generation->generator);
    prompt_list_free(generation->prompts);
    opened_close(&generation->opened);
}

int main(int argc, char **argv)
{
    mem_hook_libraries();
    struct generation generation = {.answering = ANSWERING_DEFAULTS, .n = 1, .batch_size = 16};
    const struct args_operand operands[] = {
        {.name = "MODEL", .help = "folder of the model", .text = &generation.opened.folder}};
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
        OPENED_OPTIONS(generation.opened),
    };
    const struct args_command command = {
        .name = "attune generate",
        .summary = "Answers a file of prompts, several times each if wanted.",
        .more = "Example:\n  attune generate smollm2 --adapter runs/alpaca --prompts questions.jsonl --n 4 --out "
                "answers.jsonl",
        .operands = operands,
        .operand_count = 1,
        .options = options,
        .option_count = sizeof options / sizeof *options,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status))
        return status;
    struct err err;
    if (!generation.prompts_path) {
        err_set(&err, "--prompts FILE is needed: the prompts to answer");
        args_end(&command, -1, &err);
        return ARGS_USAGE;
    }
    int rc = run(&generation, &err);
    close_all(&generation);
    return args_end(&command, rc, &err);
}
