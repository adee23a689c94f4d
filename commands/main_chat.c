/* commands/main_chat.c - attune chat: a conversation with a model in the terminal. */
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "session/answering.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct chat {
    struct session session;
    struct answering answering;
    const char *system;
    int64_t max_length;

    struct generator *generator;
    json_t *messages;
    struct token_stream stream;
    struct strbuf answer; /* of this turn */
    size_t shown;         /* bytes of it that were printed */
    bool failed;
};

static void show_new(struct chat *chat)
{
    fwrite(strbuf_text(&chat->answer) + chat->shown, 1, chat->answer.length - chat->shown, stdout);
    fflush(stdout);
    chat->shown = chat->answer.length;
}

static int on_token(void *context, size_t request, int32_t sample, int32_t id)
{
    (void)request;
    (void)sample;
    struct chat *chat = context;
    struct err err;
    chat->failed = tokenizer_decode_next(chat->session.text.tokenizer, &chat->stream, id, TOKENIZER_SKIP_SPECIAL,
                                         &chat->answer, &err) != 0;
    show_new(chat);
    return chat->failed;
}

static int add_message(struct chat *chat, const char *role, const char *text, size_t length, struct err *err)
{
    json_t *content = json_stringn(text, length);
    if (!content) {
        return err_set(err, "what was typed is not valid UTF-8; set the terminal to UTF-8");
    }
    if (json_array_append_new(chat->messages, json_pack("{s:s, s:o}", "role", role, "content", content)) != 0) {
        return err_set(err, "out of memory for the conversation");
    }
    return 0;
}

/* Renders the conversation so far; of a model without a template the last words alone. */
static int make_prompt(struct chat *chat, struct prompt_list **prompts, struct err *err)
{
    struct dataset_options options = session_dataset_options(&chat->session, chat->max_length);
    options.now = -1;
    if (chat->session.text.chat) {
        return prompt_list_add_messages(prompts, chat->messages, &options, err);
    }
    const json_t *last = json_array_get(chat->messages, json_array_size(chat->messages) - 1);
    return prompt_list_add_text(prompts, json_string_value(json_object_get(last, "content")), &options, err);
}

static int answer_turn(struct chat *chat, struct err *err)
{
    struct prompt_list *prompts = NULL;
    if (make_prompt(chat, &prompts, err) != 0) {
        prompt_list_free(prompts);
        return err_prefix(err, "the conversation cannot go on (/reset begins a new one)");
    }
    if (session_check_ids(&chat->session, prompts->items[0].ids, prompts->items[0].count, err) != 0) {
        prompt_list_free(prompts);
        return -1;
    }
    struct stop_tokens stop_tokens;
    struct generate_options options = answering_options(&chat->answering, &chat->session, &stop_tokens);
    struct generate_request request = {prompts->items[0].ids, prompts->items[0].count, 1,
                                       (uint64_t)json_array_size(chat->messages)};
    struct generate_events events = {.context = chat, .token = on_token};
    strbuf_clear(&chat->answer);
    chat->shown = 0;
    int result = generator_run(chat->generator, chat->session.overlay, &request, 1, &options, &events, err);
    if (result == 0) {
        result = tokenizer_decode_end(chat->session.text.tokenizer, &chat->stream, &chat->answer, err);
    }
    show_new(chat);
    putchar('\n');
    token_stream_free(&chat->stream);
    chat->stream = (struct token_stream){0};
    if (result == 0) {
        result = add_message(chat, "assistant", strbuf_text(&chat->answer), chat->answer.length, err);
    }
    prompt_list_free(prompts);
    return result;
}

static int begin_conversation(struct chat *chat, struct err *err)
{
    json_array_clear(chat->messages);
    return chat->system ? add_message(chat, "system", chat->system, strlen(chat->system), err) : 0;
}

static int converse(struct chat *chat, struct err *err)
{
    bool terminal = isatty(STDIN_FILENO);
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    int result = begin_conversation(chat, err);
    if (terminal) {
        log_info("Type a message; /reset begins anew, /exit or Ctrl-D ends.");
    }
    while (result == 0) {
        if (terminal) {
            printf("> ");
            fflush(stdout);
        }
        length = getline(&line, &capacity, stdin);
        if (length <= 0) {
            break;
        }
        while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r')) {
            line[--length] = 0;
        }
        if (strcmp(line, "/exit") == 0) {
            break;
        }
        if (length == 0) {
            continue;
        }
        if (strcmp(line, "/reset") == 0) {
            result = begin_conversation(chat, err);
            continue;
        }
        result = add_message(chat, "user", line, (size_t)length, err);
        if (result == 0) {
            result = answer_turn(chat, err);
        }
    }
    free(line);
    return result;
}

static int run(struct chat *chat, struct err *err)
{
    if (session_open(&chat->session, err) != 0) {
        return -1;
    }
    int64_t most = chat->session.model->config.max_positions - chat->answering.max_new_tokens;
    if (chat->max_length > most) {
        chat->max_length = most;
    }
    if (chat->max_length < 1) {
        return err_set(err, "--max-new-tokens %lld leaves no room for a conversation in the model's %d positions",
                       (long long)chat->answering.max_new_tokens, chat->session.model->config.max_positions);
    }
    struct generator_limits limits = {.sequences = 1,
                                      .samples = 1,
                                      .max_prompt = (int32_t)chat->max_length,
                                      .max_new = (int32_t)chat->answering.max_new_tokens,
                                      .max_rank = session_max_rank(&chat->session)};
    chat->messages = json_array();
    if (!chat->messages) {
        return err_set(err, "out of memory for the conversation");
    }
    return generator_create(&chat->generator, chat->session.model, &limits, err) == 0 ? converse(chat, err) : -1;
}

int main(int argc, char **argv)
{
    mem_hook_libraries();
    struct chat chat = {.answering = ANSWERING_DEFAULTS, .max_length = 2048};
    const struct args_operand operands[] = {
        {.name = "MODEL", .help = "folder of the model", .text = &chat.session.folder}};
    const struct args_option options[] = {
        {.name = "system", .argument = "TEXT", .help = "a system message to begin with", .text = &chat.system},
        {.name = "max-length",
         .argument = "N",
         .help = "tokens of conversation the model can look back on (default 2048)",
         .whole = &chat.max_length,
         .least = 1,
         .most = 1 << 24},
        ANSWERING_OPTIONS(chat.answering),
        SESSION_OPTIONS(chat.session),
    };
    const struct args_command command = {
        .name = "attune chat",
        .summary = "Talks with a model, perhaps with an adapter. Lines of standard input are the user's turns.",
        .more = "Example:\n  attune chat smollm2 --adapter runs/alpaca --temperature 0.7",
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
    int result = run(&chat, &err);
    generator_free(chat.generator);
    strbuf_free(&chat.answer);
    json_decref(chat.messages);
    session_close(&chat.session);
    return args_end(&command, result, &err);
}
