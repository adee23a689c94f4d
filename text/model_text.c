/* text/model_text.c - see model_text.h. */
#include "text/model_text.h"
#include "base/file.h"
#include "base/mem.h"
#include "text/data/family.h"
#include <string.h>

#define TEMPLATE_MAX ((size_t)4 << 20)

static struct hash hash_string(const char *text)
{
    return text ? hash_bytes(text, strlen(text)) : (struct hash){0};
}

/* *hash: of the template's source. */
static int open_template(struct model_text *text, const char *folder, const char *chat_template, struct hash *hash,
                         struct err *err)
{
    if (!chat_template) {
        const char *own = tokenizer_chat_template(text->tokenizer);
        if (!own) {
            return 0;
        }
        char name[512];
        snprintf(name, sizeof name, "%s: chat template", folder);
        *hash = hash_string(own);
        return chat_template_compile(&text->chat, own, strlen(own), name, err);
    }
    if (!file_exists(chat_template)) {
        *hash = hash_string(chat_template_builtin_source(chat_template));
        return chat_template_builtin(&text->chat, chat_template, err);
    }
    struct strbuf source = {0};
    int result = file_read(&source, chat_template, TEMPLATE_MAX, err);
    if (result == 0) {
        result = chat_template_compile(&text->chat, strbuf_text(&source), source.length, chat_template, err);
    }
    if (result == 0) {
        *hash = hash_string(strbuf_text(&source));
    }
    strbuf_free(&source);
    return result;
}

static int take_fingerprint(struct model_text *text, const char *folder, struct hash chat, struct err *err)
{
    char *path =
        file_is_dir(folder) ? file_join(folder, "tokenizer.json", err) : mem_copy_string(folder, strlen(folder), err);
    struct file_map file;
    if (!path || file_map_open(&file, path, err) != 0) {
        mem_free(path);
        return -1;
    }
    struct {
        struct hash file, chat, bos, eos;
        int64_t size;
    } parts = {hash_bytes(file.data, file.size), chat, hash_string(tokenizer_bos_token(text->tokenizer)),
               hash_string(tokenizer_eos_token(text->tokenizer)), tokenizer_size(text->tokenizer)};
    text->fingerprint = hash_bytes(&parts, sizeof parts);
    file_map_close(&file);
    mem_free(path);
    return 0;
}

/* The last token of a question with its answer, if it is a special one. A template that refuses even this conversation
 * closes nothing. */
static int find_closing_token(struct model_text *text, struct err *err)
{
    const struct tokenizer *tokenizer = text->tokenizer;
    text->closing_token = -1;
    if (!text->chat) {
        return 0;
    }
    struct family_encoder *encoder = NULL;
    struct family family = {0};
    struct family_options options = {.tokenizer = tokenizer, .chat = text->chat};
    struct family_answer answer = {"b", 1};
    struct err refusal;
    bool fits;
    long failures = mem_failures();
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "a");
    if (!messages) {
        return err_set(err, "out of memory while the chat template was looked at");
    }
    int result = family_encoder_open(&encoder, &options, err);
    if (result == 0 && family_encode(encoder, messages, &answer, 1, &family, &fits, &refusal) == 0) {
        int32_t last = family.ids[family_length(&family, 0) - 1];
        if (tokenizer_is_special(tokenizer, last) || last == tokenizer_eos_id(tokenizer)) {
            text->closing_token = last;
        }
    } else if (result == 0 && mem_failures() != failures) {
        result = err_set(err, "%s", refusal.text);
    }
    family_free(&family);
    family_encoder_close(encoder);
    json_decref(messages);
    return result;
}

int model_text_open(struct model_text *text, const char *folder, const char *chat_template, struct err *err)
{
    *text = (struct model_text){0};
    struct hash chat = {0};
    if (tokenizer_open(&text->tokenizer, folder, err) != 0 ||
        open_template(text, folder, chat_template, &chat, err) != 0 || take_fingerprint(text, folder, chat, err) != 0 ||
        find_closing_token(text, err) != 0) {
        model_text_close(text);
        return -1;
    }
    return 0;
}

void model_text_close(struct model_text *text)
{
    chat_template_free(text->chat);
    tokenizer_free(text->tokenizer);
    *text = (struct model_text){0};
}
