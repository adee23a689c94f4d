/* model/padding.c - see padding.h. */
#include "model/padding.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/model_text.h"
#include <string.h>
#include <strings.h>

#define FILE_MAX ((size_t)32 << 20)

/* ---- choosing ---- */

/* What a conversation of one question and one answer is made of. */
struct conversation {
    struct token_list tokens;
    int32_t end; /* the token that closes the answer; -1: none is known */
};

/* The answer's span with what a tokenizer makes of it. */
static int encode_conversation(struct conversation *out, const struct model_text *text, const struct chat_text *chat,
                               struct err *err)
{
    const char *bytes = strbuf_text(&chat->text);
    if (tokenizer_encode(text->tokenizer, bytes, chat->text.length, TOKENIZER_OFFSETS, &out->tokens, err) != 0) {
        return -1;
    }
    size_t end = chat->span_count ? chat->spans[chat->span_count - 1].end : 0;
    for (size_t i = 0; i < out->tokens.count && out->tokens.starts[i] < end; i++) {
        out->end = out->tokens.ids[i];
    }
    return 0;
}

/* A template that refuses this conversation is asked nothing more: other tokens that end an answer are known too. */
static int read_conversation(struct conversation *out, const struct model_text *text, struct err *err)
{
    *out = (struct conversation){.end = -1};
    if (!text->chat) {
        return 0;
    }
    json_t *messages =
        json_pack("[{s:s, s:s}, {s:s, s:s}]", "role", "user", "content", "a", "role", "assistant", "content", "b");
    if (!messages) {
        return err_set(err, "out of memory while a pad token was being chosen");
    }
    struct chat_options options = {.bos_token = tokenizer_bos_token(text->tokenizer),
                                   .eos_token = tokenizer_eos_token(text->tokenizer),
                                   .now = -1};
    struct chat_text chat = {0};
    long failures = mem_failures();
    struct err refusal;
    int result = 0;
    if (chat_template_render(text->chat, messages, &options, &chat, &refusal) == 0) {
        result = encode_conversation(out, text, &chat, err);
    } else if (mem_failures() != failures) {
        result = err_set(err, "%s", refusal.text);
    }
    chat_text_free(&chat);
    json_decref(messages);
    return result;
}

/* What is asked about a candidate. */
struct chooser {
    const struct model_config *config;
    const struct tokenizer *tokenizer; /* NULL: the folder has none */
    struct conversation conversation;
};

static bool ends_answers(const struct chooser *chooser, int32_t id)
{
    return stop_tokens_have(chooser->config->stop_tokens, id) || id == chooser->conversation.end ||
           (chooser->tokenizer && id == tokenizer_eos_id(chooser->tokenizer));
}

static bool is_free(const struct chooser *chooser, int32_t id)
{
    return id >= 0 && id < chooser->config->vocabulary && !ends_answers(chooser, id) &&
           (!chooser->tokenizer || tokenizer_token(chooser->tokenizer, id));
}

static bool in_conversation(const struct chooser *chooser, int32_t id)
{
    for (size_t i = 0; i < chooser->conversation.tokens.count; i++) {
        if (chooser->conversation.tokens.ids[i] == id) {
            return true;
        }
    }
    return false;
}

/* The first free special token; with `word` one with that in its name, else one that conversations do without. -1:
 * none. */
static int32_t find_special(const struct chooser *chooser, const char *word)
{
    int32_t size = tokenizer_size(chooser->tokenizer);
    for (int32_t id = 0; id < size; id++) {
        if (!tokenizer_is_special(chooser->tokenizer, id) || !is_free(chooser, id)) {
            continue;
        }
        if (word ? strcasestr(tokenizer_token(chooser->tokenizer, id), word) != NULL
                 : !in_conversation(chooser, id) && id != tokenizer_bos_id(chooser->tokenizer)) {
            return id;
        }
    }
    return -1;
}

static int32_t choose(const struct chooser *chooser)
{
    if (is_free(chooser, chooser->config->pad_token)) {
        return chooser->config->pad_token;
    }
    if (!chooser->tokenizer) {
        return -1;
    }
    if (is_free(chooser, tokenizer_pad_id(chooser->tokenizer))) {
        return tokenizer_pad_id(chooser->tokenizer);
    }
    int32_t id = find_special(chooser, "pad");
    if (id < 0 && is_free(chooser, tokenizer_unk_id(chooser->tokenizer))) {
        id = tokenizer_unk_id(chooser->tokenizer);
    }
    return id >= 0 ? id : find_special(chooser, NULL);
}

int padding_choose(struct padding *padding, const struct model *model, const char *chat_template, struct err *err)
{
    *padding = (struct padding){.id = -1};
    struct chooser chooser = {.config = &model->config, .conversation.end = -1};
    char *path = file_join(model->folder, "tokenizer.json", err);
    if (!path) {
        return -1;
    }
    struct model_text text = {0};
    int result = 0;
    if (file_exists(path)) {
        result = model_text_open(&text, model->folder, chat_template, err);
        if (result == 0) {
            result = read_conversation(&chooser.conversation, &text, err);
        }
        chooser.tokenizer = text.tokenizer;
    }
    if (result == 0) {
        padding->id = choose(&chooser);
        if (padding->id >= 0 && text.tokenizer) {
            strbuf_puts(&padding->token, tokenizer_token(text.tokenizer, padding->id));
        }
        result = strbuf_check(&padding->token, err);
    }
    token_list_free(&chooser.conversation.tokens);
    model_text_close(&text);
    mem_free(path);
    return result;
}

void padding_free(struct padding *padding)
{
    strbuf_free(&padding->token);
}

/* ---- writing: one value of a JSON text is replaced, the rest stays byte for byte ---- */

/* The JSON library says where values are, but does not write: it would change spaces and long numbers. */

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

/* Where the value that begins at `at` ends, or NULL. `is`: whether it is the string `word`. */
static const char *skip_value(const char *at, const char *word, bool *is, struct err *err)
{
    size_t used;
    json_t *value = json_read_first_reals(at, strlen(at), &used, err);
    if (!value) {
        return NULL;
    }
    *is = json_is_string(value) && strcmp(json_string_value(value), word) == 0;
    json_decref(value);
    return at + used;
}

/* Where the value of an object's member begins and ends; NULL: the object has no such member. */
struct value_bounds {
    const char *begin, *end;
};

/* `text` is a valid object. */
static int find_member(struct value_bounds *found, const char *text, const char *key, struct err *err)
{
    *found = (struct value_bounds){0};
    const char *at = skip_space(strchr(text, '{') + 1);
    while (*at == '"') {
        bool is_key, ignored;
        at = skip_value(at, key, &is_key, err);
        if (!at) {
            return -1;
        }
        const char *begin = skip_space(skip_space(at) + 1); /* after the colon */
        at = skip_value(begin, "", &ignored, err);
        if (!at) {
            return -1;
        }
        if (is_key) {
            *found = (struct value_bounds){begin, at};
            return 0;
        }
        at = skip_space(at);
        at = *at == ',' ? skip_space(at + 1) : at;
    }
    return 0;
}

static void put_with_token(struct strbuf *out, const char *text, const struct value_bounds *member,
                           const struct strbuf *token)
{
    if (member->begin) {
        strbuf_append(out, text, (size_t)(member->begin - text));
        strbuf_put_json(out, strbuf_text(token), token->length);
        strbuf_puts(out, member->end);
        return;
    }
    const char *inside = strchr(text, '{') + 1;
    strbuf_append(out, text, (size_t)(inside - text));
    strbuf_puts(out, "\n  \"pad_token\": ");
    strbuf_put_json(out, strbuf_text(token), token->length);
    strbuf_puts(out, *skip_space(inside) == '}' ? "\n" : ",");
    strbuf_puts(out, inside);
}

static int write_token(const char *path, const char *text, const struct strbuf *token, struct err *err)
{
    json_t *object = json_read_text_reals(text, strlen(text), path, err);
    if (!object) {
        return -1;
    }
    bool is_object = json_is_object(object);
    json_decref(object);
    if (!is_object) {
        return err_set(err, "%s is not a JSON object", path);
    }
    struct value_bounds member;
    if (find_member(&member, text, "pad_token", err) != 0) {
        return err_prefix(err, "%s", path);
    }
    struct strbuf out = {0};
    put_with_token(&out, text, &member, token);
    int result = strbuf_check(&out, err);
    if (result == 0) {
        result = file_write_whole(path, out.data, out.length, err);
    }
    strbuf_free(&out);
    return result;
}

/* `empty`: what a file that is not there is made from; NULL: it is left out. */
static int change_file(const char *folder, const char *name, const char *empty, const struct strbuf *token,
                       struct err *err)
{
    char *path = file_join(folder, name, err);
    if (!path) {
        return -1;
    }
    struct strbuf text = {0};
    int result = 0;
    if (file_exists(path)) {
        result = file_read(&text, path, FILE_MAX, err);
        if (result == 0) {
            result = write_token(path, strbuf_text(&text), token, err);
        }
    } else if (empty) {
        result = write_token(path, empty, token, err);
    }
    strbuf_free(&text);
    mem_free(path);
    return result;
}

int padding_write(const struct padding *padding, const char *folder, struct err *err)
{
    if (padding->token.length == 0) {
        return 0;
    }
    return change_file(folder, "tokenizer_config.json", "{}\n", &padding->token, err) == 0
               ? change_file(folder, "special_tokens_map.json", NULL, &padding->token, err)
               : -1;
}
