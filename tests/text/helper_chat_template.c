#include "text/helper_chat_template.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include <string.h>

json_t *json_of(const char *text)
{
    struct err err;
    size_t length = strlen(text);
    char *copy = mem_copy_string(text, length, &err);
    assert_non_null(copy);
    for (size_t i = 0; i < length; i++) {
        if (copy[i] == '\'') {
            copy[i] = '"';
        }
    }
    json_t *json = json_read_text(copy, length, "test", &err);
    if (!json) {
        fail_msg("%s", err.text);
    }
    mem_free(copy);
    return json;
}

struct chat_template *template_of(const char *source)
{
    struct chat_template *chat = NULL;
    struct err err;
    if (chat_template_compile(&chat, source, strlen(source), "test", &err) != 0) {
        fail_msg("%s", err.text);
    }
    return chat;
}

static void mark(struct strbuf *out, const struct chat_text *text)
{
    const char *bytes = strbuf_text(&text->text);
    size_t at = 0;
    for (size_t i = 0; i < text->span_count; i++) {
        const struct chat_span *span = &text->spans[i];
        assert_true(at <= span->start && span->start < span->end && span->end <= text->text.length);
        strbuf_append(out, bytes + at, span->start - at);
        strbuf_puts(out, "[[");
        strbuf_append(out, bytes + span->start, span->end - span->start);
        strbuf_puts(out, span->closed ? "]]" : "]?");
        at = span->end;
    }
    strbuf_append(out, bytes + at, text->text.length - at);
}

const char *marked(const struct chat_template *chat, const json_t *messages, const struct chat_options *options)
{
    static char result[16384];
    struct chat_text text;
    struct strbuf out = {0};
    struct err err;
    if (chat_template_render(chat, messages, options, &text, &err) != 0) {
        fail_msg("%s", err.text);
    }
    mark(&out, &text);
    assert_int_equal(strbuf_check(&out, &err), 0);
    assert_true(out.length < sizeof result);
    memcpy(result, strbuf_text(&out), out.length + 1);
    strbuf_free(&out);
    chat_text_free(&text);
    return result;
}

void assert_marked(const char *source, const char *messages, const struct chat_options *options, const char *expected)
{
    static const struct chat_options plain = {.eos_token = "</s>", .bos_token = "<s>"};
    struct chat_template *chat = template_of(source);
    json_t *json = json_of(messages);
    assert_string_equal(marked(chat, json, options ? options : &plain), expected);
    json_decref(json);
    chat_template_free(chat);
}

void assert_template_fails(const char *source, const char *messages, const char *part)
{
    struct chat_template *chat = NULL;
    struct chat_options options = {0};
    struct chat_text text;
    struct err err;
    json_t *json = json_of(messages);
    int result = chat_template_compile(&chat, source, strlen(source), "test", &err);
    if (result == 0) {
        result = chat_template_render(chat, json, &options, &text, &err);
    }
    if (result == 0) {
        fail_msg("rendered: %s", strbuf_text(&text.text));
    }
    if (!strstr(err.text, part)) {
        fail_msg("'%s' is not in: %s", part, err.text);
    }
    json_decref(json);
    chat_template_free(chat);
}
