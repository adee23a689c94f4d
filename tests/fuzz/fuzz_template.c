/*
 * Any bytes as a chat template, compiled and rendered for a conversation that has something of everything. What is
 * rendered must be covered by its origins, and the trained bytes must lie in it in order.
 */
#include "base/json.h"
#include "text/chat_template/chat_template.h"
#include "text/jinja/jinja.h"
#include <assert.h>
#include <string.h>

static const char conversation[] =
    "[{\"role\":\"system\",\"content\":\"Be brief.\"},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\" Gr\xC3\xBC\xC3\x9F dich \"},{\"type\":\"image\"}]},"
    "{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"Hm.\\n\","
    "\"tool_calls\":[{\"id\":\"abcdefghi\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":[1,2.5,true,null]}}}]},"
    "{\"role\":\"tool\",\"tool_call_id\":\"abcdefghi\",\"content\":\"{\\\"y\\\": 7}\"},"
    "{\"role\":\"assistant\",\"content\":\"<think>so</think> Seven, it's \\\"7\\\".\\n\"}]";
static const char functions[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"x\":\"number\"}}}]";

static json_t *value_of(const char *text)
{
    struct err err;
    json_t *value = json_read_text(text, strlen(text), "fuzz", &err);
    assert(value);
    return value;
}

static void check_chat(const struct chat_template *chat, const json_t *messages, const struct chat_options *options)
{
    struct err err = {0};
    struct chat_text text;
    if (chat_template_render(chat, messages, options, &text, &err) != 0) {
        assert(err.text[0] != '\0' && memchr(err.text, '\0', sizeof err.text));
        assert(!text.text.data && !text.spans);
        return;
    }
    size_t at = 0;
    for (size_t i = 0; i < text.span_count; i++) {
        assert(text.spans[i].start >= at && text.spans[i].start < text.spans[i].end);
        assert(text.spans[i].message < (int32_t)json_array_size(messages));
        at = text.spans[i].end;
    }
    assert(at <= text.text.length);
    chat_text_free(&text);
}

static void check_runs(const char *source, size_t size, const json_t *messages)
{
    struct err err = {0};
    struct jinja_template *template;
    struct jinja_output out;
    const struct jinja_variable variable = {"messages", messages, JINJA_MESSAGES};
    const struct jinja_input input = {&variable, 1, 0};
    if (jinja_compile(&template, source, size, "fuzz", &err) != 0) {
        return;
    }
    if (jinja_render(template, &input, &out, &err) == 0) {
        size_t at = 0;
        for (size_t i = 0; i < out.run_count; i++) {
            assert(out.runs[i].end > at);
            assert(out.runs[i].origin.message < (int32_t)json_array_size(messages));
            at = out.runs[i].end;
        }
        assert(at == out.text.length && (at == 0 || strlen(out.text.data) <= at));
    }
    jinja_output_free(&out);
    jinja_free(template);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const roles[] = {"assistant", "user"};
    const char *source = size > 0 ? (const char *)data : "";
    struct err err = {0};
    struct chat_template *chat;
    if (chat_template_compile(&chat, source, size, "fuzz", &err) != 0) {
        assert(err.text[0] != '\0' && memchr(err.text, '\0', sizeof err.text));
        return 0;
    }
    json_t *messages = value_of(conversation), *tools = value_of(functions);
    struct chat_options options = {.bos_token = "<s>", .eos_token = "</s>", .now = 0};
    check_chat(chat, messages, &options);
    options.tools = tools;
    options.add_generation_prompt = true;
    options.roles = roles;
    options.role_count = 2;
    check_chat(chat, messages, &options);
    check_runs(source, size, messages);
    json_decref(messages);
    json_decref(tools);
    chat_template_free(chat);
    return 0;
}
