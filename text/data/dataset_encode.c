#include "text/data/internal.h"

#include "base/hash.h"
#include "base/mem.h"
#include <assert.h>
#include <string.h>

/* The tokens that may end a turn, for the template. */
static int collect_special_tokens(struct record_encoder *encoder, struct err *err)
{
    const struct tokenizer *tokenizer = encoder->options->tokenizer;
    size_t count = 0;
    int32_t size = tokenizer_size(tokenizer);
    for (int32_t id = 0; id < size; id++) {
        count += tokenizer_is_special(tokenizer, id);
    }
    encoder->special_tokens = mem_alloc(count, sizeof *encoder->special_tokens, err);
    if (!encoder->special_tokens) {
        return -1;
    }
    encoder->chat.special_tokens = encoder->special_tokens;
    for (int32_t id = 0; id < size; id++) {
        if (tokenizer_is_special(tokenizer, id)) {
            encoder->special_tokens[encoder->chat.special_token_count++] = tokenizer_token(tokenizer, id);
        }
    }
    return 0;
}

int record_encoder_open(struct record_encoder *encoder, const struct dataset_options *options, struct err *err)
{
    assert(options->tokenizer && options->max_length >= 0);
    *encoder = (struct record_encoder){.options = options};
    encoder->chat = (struct chat_options){
        .bos_token = tokenizer_bos_token(options->tokenizer),
        .eos_token = tokenizer_eos_token(options->tokenizer),
        .roles = options->roles,
        .role_count = options->role_count,
        .variables = options->variables,
        .now = options->now == 0 ? DATASET_DATE : options->now,
    };
    if (collect_special_tokens(encoder, err) != 0 ||
        (!options->chat && chat_template_builtin(&encoder->alpaca, "alpaca", err) != 0)) {
        record_encoder_close(encoder);
        return -1;
    }
    return 0;
}

void record_encoder_close(struct record_encoder *encoder)
{
    chat_template_free(encoder->alpaca);
    mem_free(encoder->special_tokens);
    *encoder = (struct record_encoder){0};
}

void encoding_free(struct encoding *encoding)
{
    token_list_free(&encoding->tokens);
    token_list_free(&encoding->prompt);
    chat_text_free(&encoding->chat);
    strbuf_free(&encoding->text);
    mem_free(encoding->trained);
    *encoding = (struct encoding){0};
}

/* Room for a mark of every token; none is set. */
static int clear_trained(struct encoding *out, struct err *err)
{
    uint8_t *trained = mem_grow(out->trained, &out->trained_capacity, out->tokens.count, 1, err);
    if (!trained) {
        return -1;
    }
    out->trained = trained;
    memset(trained, 0, out->tokens.count);
    return 0;
}

/* Nothing stands before the first token, so nothing can predict it. */
static void train_from(struct encoding *out, size_t first)
{
    for (size_t i = first > 0 ? first : 1; i < out->tokens.count; i++) {
        out->trained[i] = 1;
    }
}

static void train_spans(struct encoding *out, size_t first_message)
{
    const struct token_list *tokens = &out->tokens;
    size_t i = 1;
    for (size_t s = 0; s < out->chat.span_count; s++) {
        const struct chat_span *span = &out->chat.spans[s];
        while (i < tokens->count && tokens->starts[i] < span->start) {
            i++;
        }
        for (; i < tokens->count && tokens->starts[i] < span->end; i++) {
            out->trained[i] = (size_t)span->message >= first_message;
        }
    }
}

static int hash_messages(uint64_t *hash, const json_t *messages, size_t count, struct err *err)
{
    uint64_t state = count;
    for (size_t i = 0; i < count; i++) {
        const json_t *message = json_array_get(messages, i), *role = json_object_get(message, "role"),
                     *content = json_object_get(message, "content");
        uint64_t words = hash_u64(json_string_value(role), json_string_length(role), state);
        if (json_is_string(content)) {
            state = hash_u64(json_string_value(content), json_string_length(content), words);
            continue;
        }
        char *text = json_dumps(message, JSON_COMPACT | JSON_SORT_KEYS);
        if (!text) {
            return err_set(err, "out of memory while reading a record");
        }
        state = hash_u64(text, strlen(text), words);
        mem_free(text);
    }
    *hash = state;
    return 0;
}

static int no_template(struct err *err)
{
    return err_set(err, "the record is a conversation, but the model's tokenizer has no chat template; name one with "
                        "chat_template, for example chatml");
}

/* Renders messages into out->chat, and encodes that text into out->tokens. */
static int render(const struct record_encoder *encoder, const struct record *record, const json_t *messages,
                  bool add_generation_prompt, struct encoding *out, struct err *err)
{
    const struct dataset_options *options = encoder->options;
    const struct chat_template *chat = options->chat;
    if (!chat && record->format == RECORD_ALPACA) {
        chat = encoder->alpaca;
    }
    if (!chat) {
        return no_template(err);
    }
    struct chat_options chat_options = encoder->chat;
    chat_options.tools = record->tools;
    chat_options.add_generation_prompt = add_generation_prompt;
    chat_text_free(&out->chat);
    if (chat_template_render(chat, messages, &chat_options, &out->chat, err) != 0) {
        return -1;
    }
    const struct strbuf *text = &out->chat.text;
    return tokenizer_encode(options->tokenizer, strbuf_text(text), text->length, TOKENIZER_OFFSETS, &out->tokens, err);
}

static int encode_chat(const struct record_encoder *encoder, const struct record *record, struct encoding *out,
                       struct err *err)
{
    if (render(encoder, record, record->messages, false, out, err) != 0 || clear_trained(out, err) != 0 ||
        hash_messages(&out->prompt_hash, record->messages, record_first_answer(record), err) != 0) {
        return -1;
    }
    strbuf_append(&out->text, strbuf_text(&out->chat.text), out->chat.text.length);
    if (encoder->options->train_on_prompt) {
        train_from(out, 0);
    } else {
        train_spans(out, record->first);
    }
    return strbuf_check(&out->text, err);
}

static void append_end_of_text(const struct record_encoder *encoder, struct strbuf *text)
{
    const char *end = tokenizer_eos_token(encoder->options->tokenizer);
    size_t length = end ? strlen(end) : 0;
    if (length > 0 && (text->length < length || memcmp(text->data + text->length - length, end, length) != 0)) {
        strbuf_append(text, end, length);
    }
}

/* Encodes out->text, with the post-processor's tokens. */
static int encode_text(const struct record_encoder *encoder, struct encoding *out, struct err *err)
{
    if (strbuf_check(&out->text, err) != 0) {
        return -1;
    }
    return tokenizer_encode(encoder->options->tokenizer, strbuf_text(&out->text), out->text.length,
                            TOKENIZER_ADD_SPECIAL | TOKENIZER_OFFSETS, &out->tokens, err);
}

static void clear(struct encoding *out)
{
    out->tokens.count = 0;
    out->prompt.count = 0;
    strbuf_clear(&out->text);
}

int encode_plain(const struct record_encoder *encoder, const char *text, size_t length, struct encoding *out,
                 struct err *err)
{
    clear(out);
    strbuf_append(&out->text, text, length);
    out->prompt_hash = hash_u64(text, length, 0);
    append_end_of_text(encoder, &out->text);
    if (encode_text(encoder, out, err) != 0 || clear_trained(out, err) != 0) {
        return -1;
    }
    train_from(out, 0);
    return 0;
}

static int encode_pair(const struct record_encoder *encoder, const struct record *record, struct encoding *out,
                       struct err *err)
{
    strbuf_append(&out->text, record->text, record->length);
    strbuf_append(&out->text, record->completion, record->completion_length);
    if (record->completion_length > 0) { /* an empty one is an answer that nobody gave */
        append_end_of_text(encoder, &out->text);
    }
    out->prompt_hash = hash_u64(record->text, record->length, 0);
    if (encode_text(encoder, out, err) != 0 || clear_trained(out, err) != 0 ||
        tokenizer_encode(encoder->options->tokenizer, record->text, record->length,
                         TOKENIZER_ADD_SPECIAL | TOKENIZER_OFFSETS, &out->prompt, err) != 0) {
        return -1;
    }
    size_t common = 0;
    while (common < out->prompt.count && common < out->tokens.count &&
           out->prompt.ids[common] == out->tokens.ids[common]) {
        common++;
    }
    train_from(out, encoder->options->train_on_prompt ? 0 : common);
    return 0;
}

int encode_example(const struct record_encoder *encoder, const struct record *record, struct encoding *out,
                   struct err *err)
{
    clear(out);
    switch (record->kind) {
    case RECORD_PLAIN:
        return encode_plain(encoder, record->text, record->length, out, err);
    case RECORD_PLAIN_PAIR:
        return encode_pair(encoder, record, out, err);
    case RECORD_QUESTION:
        return err_set(err, "the record has a prompt but no answer to learn; it needs a \"completion\"");
    case RECORD_CHAT:
        break;
    }
    return encode_chat(encoder, record, out, err);
}

json_t *prompt_messages(const struct record *record, struct err *err)
{
    size_t count = record->first > 0 ? record->first : record_last_answer(record);
    json_t *messages = json_array();
    for (size_t i = 0; messages && i < count; i++) {
        if (json_array_append(messages, json_array_get(record->messages, i)) != 0) {
            json_decref(messages);
            messages = NULL;
        }
    }
    if (!messages) {
        err_set(err, "out of memory while reading a record");
    }
    return messages;
}

/* Takes off what the post-processor put after the text: a model does not continue after an end of text. */
static void drop_tail(struct encoding *out)
{
    struct token_list *tokens = &out->tokens;
    while (out->text.length > 0 && tokens->count > 0 && tokens->starts[tokens->count - 1] == out->text.length) {
        tokens->count--;
    }
}

int encode_prompt(const struct record_encoder *encoder, const struct record *record, struct encoding *out,
                  struct err *err)
{
    clear(out);
    if (record->kind != RECORD_CHAT) {
        strbuf_append(&out->text, record->text, record->length);
        if (encode_text(encoder, out, err) != 0) {
            return -1;
        }
        drop_tail(out);
        return 0;
    }
    json_t *messages = prompt_messages(record, err);
    if (!messages) {
        return -1;
    }
    int result = render(encoder, record, messages, true, out, err);
    json_decref(messages);
    if (result != 0) {
        return -1;
    }
    strbuf_append(&out->text, strbuf_text(&out->chat.text), out->chat.text.length);
    return strbuf_check(&out->text, err);
}
