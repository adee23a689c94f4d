/* text/model_text.c - see model_text.h. */
#include "text/model_text.h"
#include "base/file.h"
#include <string.h>

#define TEMPLATE_MAX ((size_t)4 << 20)

static int open_template(struct model_text *text, const char *folder, const char *chat_template, struct err *err)
{
    if (!chat_template) {
        const char *own = tokenizer_chat_template(text->tokenizer);
        if (!own)
            return 0;
        char name[512];
        snprintf(name, sizeof name, "%s: chat template", folder);
        return chat_template_compile(&text->chat, own, strlen(own), name, err);
    }
    if (!file_exists(chat_template))
        return chat_template_builtin(&text->chat, chat_template, err);
    struct strbuf source = {0};
    int rc = file_read(&source, chat_template, TEMPLATE_MAX, err);
    if (rc == 0)
        rc = chat_template_compile(&text->chat, strbuf_text(&source), source.length, chat_template, err);
    strbuf_free(&source);
    return rc;
}

int model_text_open(struct model_text *text, const char *folder, const char *chat_template, struct err *err)
{
    *text = (struct model_text){0};
    if (tokenizer_open(&text->tokenizer, folder, err) != 0 || open_template(text, folder, chat_template, err) != 0) {
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
