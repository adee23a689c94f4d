/* commands/main_eval.c - attune eval: how likely a model finds a file's answers, or how good a reward model does. */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "commands/eval_answers.h"
#include "commands/eval_scores.h"
#include "session/session.h"
#include "text/data/batch.h"
#include <math.h>
#include <string.h>

struct eval {
    struct session session;
    const char *operand; /* the model, or with a reward model the file */
    const char *data, *format, *token_logprobs, *answers_out, *out;
    int64_t max_length, batch_size, max_new_tokens;
    bool json, exact_match;

    struct dataset *dataset;
    struct pass *pass;
    struct batch batch;
    float *logprob;
    int32_t *argmax;
    uint8_t *all; /* [longest] ones: with --token-logprobs every token is predicted */
    double sum;
    int64_t count, correct;
    struct answer_counts answers;
};

/* {"ids":[...],"logprobs":[null,-1.2,...]} for each example of the batch. */
static int write_token_logprobs(const struct eval *eval, struct file_writer *writer, size_t first, size_t examples,
                                struct err *err)
{
    struct strbuf line = {0};
    int32_t next = 0; /* predictions stand in the order of the tokens */
    int result = 0;
    for (size_t e = 0; result == 0 && e < examples; e++) {
        const struct example *example = &eval->dataset->examples[first + e];
        strbuf_clear(&line);
        strbuf_puts(&line, "{\"ids\":[");
        for (int32_t i = 0; i < example->length; i++) {
            strbuf_printf(&line, "%s%d", i ? "," : "", example->ids[i]);
        }
        strbuf_puts(&line, "],\"logprobs\":[null");
        for (int32_t i = 1; i < example->length; i++) {
            strbuf_printf(&line, ",%.9g", (double)eval->logprob[next++]);
        }
        strbuf_puts(&line, "]}\n");
        result = strbuf_check(&line, err);
        if (result == 0) {
            result = file_write(writer, line.data, line.length, err);
        }
    }
    strbuf_free(&line);
    return result;
}

static int eval_batch(struct eval *eval, struct file_writer *writer, size_t first, size_t examples, struct err *err)
{
    batch_clear(&eval->batch);
    for (size_t e = 0; e < examples; e++) {
        const struct example *example = &eval->dataset->examples[first + e];
        batch_append(&eval->batch, example->ids, eval->all ? eval->all : example->trained, example->length, -1,
                     example->record);
    }
    struct predictions out = {.logprob = eval->logprob, .argmax = eval->argmax};
    pass_load(eval->pass, &eval->batch);
    pass_forward(eval->pass, eval->session.overlay, false);
    if (pass_predict(eval->pass, eval->session.overlay, 1.0f, &out, err) != 0) {
        return -1;
    }
    for (int32_t i = 0; i < eval->batch.prediction_count; i++) {
        const struct prediction *prediction = &eval->batch.predictions[i];
        int32_t place = prediction->row + 1 - eval->batch.segments[prediction->segment].start;
        if (!eval->dataset->examples[first + (size_t)prediction->segment].trained[place]) {
            continue;
        }
        eval->sum -= (double)eval->logprob[i];
        eval->correct += eval->argmax[i] == prediction->target;
        eval->count++;
    }
    return writer ? write_token_logprobs(eval, writer, first, examples, err) : 0;
}

static int make_parts(struct eval *eval, struct err *err)
{
    struct dataset_options options = session_dataset_options(&eval->session, eval->max_length);
    struct dataset_source source = {.path = eval->data, .format = eval->format};
    options.show_progress = true;
    if (dataset_load(&eval->dataset, &source, 1, &options, err) != 0) {
        return -1;
    }
    for (size_t e = 0; e < eval->dataset->count; e++) {
        if (session_check_ids(&eval->session, eval->dataset->examples[e].ids, eval->dataset->examples[e].length, err) !=
            0) {
            return -1;
        }
    }
    int32_t tokens = eval->dataset->longest * (int32_t)eval->batch_size;
    struct pass_limits limits = {.tokens = tokens,
                                 .segments = (int32_t)eval->batch_size,
                                 .predictions = tokens,
                                 .max_rank = session_max_rank(&eval->session)};
    if (pass_create(&eval->pass, eval->session.model, &limits, err) != 0 ||
        batch_create(&eval->batch, tokens, (int32_t)eval->batch_size, tokens, err) != 0) {
        return -1;
    }
    eval->logprob = mem_alloc((size_t)tokens, sizeof *eval->logprob, err);
    eval->argmax = mem_alloc((size_t)tokens, sizeof *eval->argmax, err);
    if (!eval->logprob || !eval->argmax) {
        return -1;
    }
    if (eval->token_logprobs) {
        eval->all = mem_alloc((size_t)eval->dataset->longest, 1, err);
        if (!eval->all) {
            return -1;
        }
        memset(eval->all, 1, (size_t)eval->dataset->longest);
    }
    return 0;
}

static int eval_all(struct eval *eval, struct file_writer *writer, struct err *err)
{
    size_t batch = (size_t)eval->batch_size, total = eval->dataset->count;
    int result = 0;
    struct progress progress;
    progress_begin(&progress, "eval", (int64_t)total);
    for (size_t first = 0; result == 0 && first < total; first += batch) {
        size_t examples = total - first < batch ? total - first : batch;
        result = eval_batch(eval, writer, first, examples, err);
        progress_update(&progress, (int64_t)(first + examples), NULL);
    }
    progress_end(&progress);
    return result;
}

static void print_result(const struct eval *eval)
{
    double loss = eval->sum / (double)eval->count, accuracy = (double)eval->correct / (double)eval->count;
    double equal = eval->exact_match ? (double)eval->answers.equal / (double)eval->answers.total : 0;
    if (eval->json) {
        printf("{\"eval_loss\": %.9g, \"eval_perplexity\": %.9g, \"eval_mean_token_accuracy\": %.9g, \"examples\": "
               "%zu, \"tokens\": %lld",
               loss, exp(loss), accuracy, eval->dataset->count, (long long)eval->count);
        if (eval->exact_match) {
            printf(", \"exact_match\": %.9g", equal);
        }
        printf("}\n");
        return;
    }
    printf("loss %.4f  perplexity %.3f  token accuracy %.3f  (%zu examples, %lld tokens)\n", loss, exp(loss), accuracy,
           eval->dataset->count, (long long)eval->count);
    if (eval->exact_match) {
        printf("exact match %.1f %%  (%zu of %zu answers)\n", 100 * equal, eval->answers.equal, eval->answers.total);
    }
}

static int run(struct eval *eval, struct err *err)
{
    struct file_writer writer;
    if (session_open(&eval->session, err) != 0 || make_parts(eval, err) != 0) {
        return -1;
    }
    if (!eval->token_logprobs) {
        if (eval_all(eval, NULL, err) != 0) {
            return -1;
        }
    } else {
        if (file_write_begin(&writer, eval->token_logprobs, err) != 0) {
            return -1;
        }
        if (eval_all(eval, &writer, err) != 0 || file_write_commit(&writer, err) != 0) {
            file_write_abort(&writer);
            return -1;
        }
    }
    if (eval->exact_match && eval_answers(&eval->session, eval->data, eval->format, eval->max_new_tokens,
                                          eval->batch_size, eval->answers_out, &eval->answers, err) != 0) {
        return -1;
    }
    print_result(eval);
    return 0;
}

static int run_reward(struct eval *eval, struct err *err)
{
    struct eval_scores_options options = {.path = eval->data,
                                          .format = eval->format,
                                          .max_length = eval->max_length,
                                          .out = eval->out,
                                          .json = eval->json};
    return session_open(&eval->session, err) == 0 ? eval_scores(&eval->session, &options, err) : -1;
}

/* What the operand means, and options that do not go together. */
static int settle(struct eval *eval, struct err *err)
{
    if (!eval->session.reward) {
        eval->session.folder = eval->operand;
        eval->exact_match = eval->exact_match || eval->answers_out;
        if (!eval->operand) {
            return err_set(err, "MODEL is missing: the folder of the model, or --reward R and a file of answers");
        }
        if (eval->out) {
            return err_set(err, "--out goes with --reward; --answers OUT writes a model's own answers");
        }
        return eval->data ? 0 : err_set(err, "--data FILE is needed: the examples to look at");
    }
    if (eval->operand && eval->data) {
        return err_set(err, "a reward model alone scores the answers: give FILE or --data FILE, and no other model");
    }
    if (eval->session.adapter_folder) {
        return err_set(err, "--adapter goes with a model; a reward model's adapter is what --reward names");
    }
    if (eval->exact_match || eval->answers_out || eval->token_logprobs) {
        return err_set(err, "a reward model makes no tokens: --exact-match, --answers and --token-logprobs go without "
                            "--reward");
    }
    eval->data = eval->data ? eval->data : eval->operand;
    return eval->data ? 0 : err_set(err, "FILE is missing: the answers to score");
}

static void close_all(struct eval *eval)
{
    pass_free(eval->pass);
    batch_free(&eval->batch);
    dataset_free(eval->dataset);
    mem_free(eval->logprob);
    mem_free(eval->argmax);
    mem_free(eval->all);
    session_close(&eval->session);
}

int main(int argc, char **argv)
{
    mem_hook_libraries();
    struct eval eval = {.batch_size = 4, .max_new_tokens = 64};
    const struct args_operand operands[] = {{.name = "MODEL|FILE",
                                             .help = "folder of the model; with --reward the answers to score",
                                             .text = &eval.operand,
                                             .optional = true}};
    const struct args_option options[] = {
        {.name = "data", .argument = "FILE", .help = "examples, in any format of attune data", .text = &eval.data},
        {.name = "format", .argument = "F", .help = "their format (default: detected)", .text = &eval.format},
        {.name = "max-length",
         .argument = "N",
         .help = "tokens of an example that are looked at (default: what the model was made for)",
         .whole = &eval.max_length,
         .least = 2,
         .most = 1 << 24},
        {.name = "batch-size",
         .argument = "N",
         .help = "examples at once (default 4)",
         .whole = &eval.batch_size,
         .least = 1,
         .most = 4096},
        {.name = "token-logprobs",
         .argument = "OUT",
         .help = "write ids and log-probabilities of all tokens, a JSON object a record",
         .text = &eval.token_logprobs},
        {.name = "exact-match",
         .help = "let the model answer each prompt greedily, and count answers equal to the file's",
         .flag = &eval.exact_match},
        {.name = "max-new-tokens",
         .argument = "N",
         .help = "tokens of such an answer at most (default 64)",
         .whole = &eval.max_new_tokens,
         .least = 1,
         .most = 1 << 20},
        {.name = "answers",
         .argument = "OUT",
         .help = "write those answers beside the expected ones, a JSON object a record",
         .text = &eval.answers_out},
        SESSION_REWARD_OPTIONS(eval.session),
        {.name = "out",
         .argument = "OUT",
         .help = "with --reward: write the answers with their scores, a JSON object a prompt",
         .text = &eval.out},
        {.name = "json", .help = "print the result as JSON", .flag = &eval.json},
        SESSION_OPTIONS(eval.session),
    };
    const struct args_command command = {
        .name = "attune eval",
        .summary = "Loss and perplexity of a model, perhaps with an adapter, on the answers of a file. With --reward: "
                   "scores of the answers, and how often the better one of a pair has the higher score.",
        .more = "Examples:\n  attune eval smollm2 --adapter runs/alpaca --data held-out.jsonl\n"
                "  attune eval --reward runs/reward held-out-pairs.jsonl --out scores.jsonl",
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
    if (settle(&eval, &err) != 0) {
        args_end(&command, -1, &err);
        return ARGS_USAGE;
    }
    int result = eval.session.reward ? run_reward(&eval, &err) : run(&eval, &err);
    close_all(&eval);
    return args_end(&command, result, &err);
}
