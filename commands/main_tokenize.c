/*
 * attune-tokenize - text or conversations to token ids and back, a line in, a line out.
 *
 *     {"text": "Hello"}                   ->  [19556]
 *     {"messages": [{"role": ...}, ...]}  ->  [1, 4093, ...]    with --messages, through the model's chat template
 *     [19556]                             ->  {"text": "Hello"} with --decode
 */
#include "base/args.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "text/data/record_file.h"
#include "text/model_text.h"
#include <stdio.h>
#include <string.h>

#define WRITE_SIZE ((size_t)1 << 16)

struct options {
    const char *model, *file, *messages, *chat_template;
    bool add_special_tokens, decode, skip_special_tokens, add_generation_prompt, render;
};

struct tokenizing {
    const struct options *options;
    struct model_text text;
    struct chat_options chat;
    struct token_list tokens;
    struct strbuf decoded;
    struct strbuf out; /* lines not written yet */
};

static void put_number(struct strbuf *out, int32_t number)
{
    char digits[16];
    size_t at = sizeof digits;
    uint32_t rest = (uint32_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    strbuf_append(out, digits + at, sizeof digits - at);
}

static void put_ids(struct strbuf *out, const struct token_list *tokens)
{
    strbuf_putc(out, '[');
    for (size_t i = 0; i < tokens->count; i++) {
        if (i > 0) {
            strbuf_putc(out, ',');
        }
        put_number(out, tokens->ids[i]);
    }
    strbuf_puts(out, "]\n");
}

static void put_text(struct strbuf *out, const char *text, size_t length)
{
    strbuf_puts(out, "{\"text\":");
    strbuf_put_json(out, text, length);
    strbuf_puts(out, "}\n");
}

static int write_out(struct tokenizing *work, size_t least, struct err *err)
{
    if (strbuf_check(&work->out, err) != 0) {
        return -1;
    }
    if (work->out.length < least || work->out.length == 0) {
        return 0;
    }
    if (fwrite(work->out.data, 1, work->out.length, stdout) != work->out.length) {
        return err_set_errno(err, "cannot write to standard output");
    }
    strbuf_clear(&work->out);
    return 0;
}

static int encode_string(struct tokenizing *work, const json_t *text, struct err *err)
{
    if (!json_is_string(text)) {
        return err_set(err, "expected {\"text\": \"...\"}%s", work->options->decode ? " or a list of ids" : "");
    }
    return tokenizer_encode(work->text.tokenizer, json_string_value(text), json_string_length(text),
                            work->options->add_special_tokens ? TOKENIZER_ADD_SPECIAL : 0, &work->tokens, err);
}

static int read_ids(struct tokenizing *work, const json_t *ids, struct err *err)
{
    struct token_list *tokens = &work->tokens;
    size_t count = json_array_size(ids);
    int32_t *grown = mem_grow(tokens->ids, &tokens->capacity, count, sizeof *grown, err);
    if (!grown) {
        return -1;
    }
    tokens->ids = grown;
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX) {
            return err_set(err, "number %zu of the list is no token id", i + 1);
        }
        tokens->ids[tokens->count++] = (int32_t)json_integer_value(id);
    }
    return 0;
}

/* A line of --file. */
static int take_text(struct tokenizing *work, const json_t *value, struct err *err)
{
    const json_t *ids = json_is_array(value) ? value : json_object_get(value, "ids");
    bool has_ids = work->options->decode && json_is_array(ids);
    if ((has_ids ? read_ids(work, ids, err) : encode_string(work, json_object_get(value, "text"), err)) != 0) {
        return -1;
    }
    if (!work->options->decode) {
        put_ids(&work->out, &work->tokens);
        return 0;
    }
    strbuf_clear(&work->decoded);
    if (tokenizer_decode(work->text.tokenizer, work->tokens.ids, work->tokens.count,
                         work->options->skip_special_tokens ? TOKENIZER_SKIP_SPECIAL : 0, &work->decoded, err) != 0 ||
        strbuf_check(&work->decoded, err) != 0) {
        return -1;
    }
    put_text(&work->out, strbuf_text(&work->decoded), work->decoded.length);
    return 0;
}

/* A line of --messages: a list of messages, or an object that has one. */
static int take_messages(struct tokenizing *work, const json_t *value, struct err *err)
{
    const json_t *messages = json_is_array(value) ? value : json_object_get(value, "messages");
    if (!json_is_array(messages)) {
        return err_set(err, "expected a list of messages, or {\"messages\": [...]}");
    }
    const json_t *tools = json_object_get(value, "tools");
    work->chat.tools = json_is_array(tools) ? tools : NULL;
    struct chat_text rendered = {0};
    if (chat_template_render(work->text.chat, messages, &work->chat, &rendered, err) != 0) {
        return -1;
    }
    int result = 0;
    if (work->options->render) {
        put_text(&work->out, strbuf_text(&rendered.text), rendered.text.length);
    } else {
        result = tokenizer_encode(work->text.tokenizer, strbuf_text(&rendered.text), rendered.text.length,
                                  work->options->add_special_tokens ? TOKENIZER_ADD_SPECIAL : 0, &work->tokens, err);
        put_ids(&work->out, &work->tokens);
    }
    chat_text_free(&rendered);
    return result;
}

static int take_file(struct tokenizing *work, const char *path, struct err *err)
{
    const char *name = strcmp(path, "-") == 0 ? "/dev/stdin" : path;
    struct record_file *file;
    if (record_file_open(&file, name, RECORD_FILE_LINES, err) != 0) {
        return -1;
    }
    json_t *value;
    int got;
    while ((got = record_file_next(file, &value, err)) > 0) {
        work->tokens.count = 0;
        int result = -1;
        if (got == RECORD_FILE_VALUE) {
            result = work->options->messages ? take_messages(work, value, err) : take_text(work, value, err);
            json_decref(value);
        }
        if (result != 0) {
            err_prefix(err, "%s:%lld", path, (long long)record_file_line(file));
        }
        if (result != 0 || write_out(work, WRITE_SIZE, err) != 0) {
            got = -1;
            break;
        }
    }
    record_file_close(file);
    return got;
}

static int open_model(struct tokenizing *work, struct err *err)
{
    const struct options *options = work->options;
    if (!options->messages) {
        return tokenizer_open(&work->text.tokenizer, options->model, err);
    }
    if (model_text_open(&work->text, options->model, options->chat_template, err) != 0) {
        return -1;
    }
    if (!work->text.chat) {
        return err_set(err, "'%s' has no chat template; name one with --chat-template, for example chatml",
                       options->model);
    }
    work->chat = (struct chat_options){
        .add_generation_prompt = options->add_generation_prompt,
        .bos_token = tokenizer_bos_token(work->text.tokenizer),
        .eos_token = tokenizer_eos_token(work->text.tokenizer),
        .now = -1,
    };
    return 0;
}

static int run(const struct options *options, struct err *err)
{
    struct tokenizing work = {.options = options};
    int result = open_model(&work, err);
    if (result == 0) {
        result = take_file(&work, options->messages ? options->messages : options->file, err);
        /* What came before a bad line is good. */
        struct err write_err;
        if (write_out(&work, 0, &write_err) != 0 && result == 0) {
            *err = write_err;
            result = -1;
        }
    }
    model_text_close(&work.text);
    token_list_free(&work.tokens);
    strbuf_free(&work.decoded);
    strbuf_free(&work.out);
    return result;
}

static int check(const struct options *options, struct err *err)
{
    if (!options->file == !options->messages) {
        return err_set(err, "give either --file or --messages; `attune tokenize --help` explains both");
    }
    bool for_messages = options->add_generation_prompt || options->render || options->chat_template;
    if (options->file && for_messages) {
        return err_set(err,
                       "--add-generation-prompt, --render and --chat-template go with --messages, not with --file");
    }
    if (options->messages && options->decode) {
        return err_set(err, "--decode goes with --file, not with --messages");
    }
    return 0;
}

int main(int argc, char **argv)
{
    mem_hook_libraries();
    struct options options = {0};
    const struct args_operand operands[] = {
        {.name = "MODEL", .help = "folder of a model or of its tokenizer, or a tokenizer.json", .text = &options.model},
    };
    const struct args_option table[] = {
        {.name = "file",
         .argument = "F.jsonl",
         .help = "texts, {\"text\": ...} a line; - reads standard input",
         .text = &options.file},
        {.name = "messages",
         .argument = "F.jsonl",
         .help = "conversations, {\"messages\": [...]} or the list alone a line",
         .text = &options.messages},
        {.name = "add-special-tokens",
         .help = "with what the tokenizer puts around a text (beginning, end)",
         .flag = &options.add_special_tokens},
        {.name = "decode",
         .help = "lists of ids to text, {\"text\": ...} a line; of texts, what comes back of them",
         .flag = &options.decode},
        {.name = "skip-special-tokens", .help = "leave them out when decoding", .flag = &options.skip_special_tokens},
        {.name = "add-generation-prompt",
         .help = "end conversations with what asks for an answer",
         .flag = &options.add_generation_prompt},
        {.name = "render",
         .help = "the text of conversations, {\"text\": ...} a line, instead of ids",
         .flag = &options.render},
        {.name = "chat-template",
         .argument = "NAME",
         .help = "a built-in template or a Jinja file; default: the model's",
         .text = &options.chat_template},
    };
    const struct args_command command = {
        .name = "attune tokenize",
        .summary = "Turns texts or conversations into lists of token ids, a JSON list a line, and ids into text.",
        .more = "Examples:\n  attune tokenize MODEL --file texts.jsonl > ids.jsonl\n"
                "  attune tokenize MODEL --file ids.jsonl --decode\n"
                "  echo '{\"text\": \"Hello\"}' | attune tokenize MODEL --file -\n"
                "  attune tokenize MODEL --messages chats.jsonl --add-generation-prompt --render",
        .operands = operands,
        .operand_count = 1,
        .options = table,
        .option_count = sizeof table / sizeof *table,
    };
    int status;
    if (!args_begin(&command, argc, argv, &status)) {
        return status;
    }
    struct err err;
    if (check(&options, &err) != 0) {
        args_end(&command, -1, &err);
        return ARGS_USAGE;
    }
    return args_end(&command, run(&options, &err), &err);
}
