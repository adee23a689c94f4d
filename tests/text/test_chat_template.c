/*
 * tests/text/test_chat_template.c - real chat templates give what Hugging Face gives, byte for byte, and train the
 * answers.
 *
 * The real data's cases are conversations rendered by jinja2 with Hugging Face's settings. A case's assistant_spans
 * must lie in the spans, with the end-of-turn token that follows; what else trains is told below by template. Then the
 * built-in templates, the options, and the errors.
 */
#include "base/mem.h"
#include "support/cmocka.h"
#include "text/chat_template/chat_template.h"
#include "text/helper_chat_template.h"
#include "text/helper_tokenizer.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CASES 312

/* ---- real cases */

/* How a template's answers look: the text that may train before one, and the token that ends one. */
static const struct shape {
    const char *template, *lead, *end;
} shapes[] = {
    {"alpaca.jinja", "", "</s>"},
    {"chatml.jinja", "", "<|im_end|>"},
    {"gemma.jinja", "", "<end_of_turn>"},
    {"gemma3.jinja", "", "<end_of_turn>"},
    {"llama3.jinja", "", "<|eot_id|>"},
    {"llama3_2.jinja", "", "<|eot_id|>"},
    {"mistral_v1.jinja", "", "</s>"},
    {"mistral_v3_tekken.jinja", "", "</s>"},
    {"phi3.jinja", "", "<|end|>"},
    {"phi3_5.jinja", "", "<|end|>"},
    {"qwen2_5.jinja", "", "<|im_end|>"},
    {"qwen3.jinja", "<think>\n\n</think>\n\n", "<|im_end|>"},
    {"smollm3.jinja", "<|im_start|>assistant\n", "<|im_end|>\n"}, /* its generation block, as the template has it */
};

static const char *const special_tokens[] = {"<|im_start|>",        "<|im_end|>",        "<|eot_id|>", "<s>",
                                             "<|start_header_id|>", "<|end_header_id|>", "<|end|>",    "<|user|>",
                                             "<|assistant|>",       "<|system|>",        "</s>",       "<bos>",
                                             "<start_of_turn>",     "<end_of_turn>",     "[INST]",     "[/INST]"};

static const struct shape *shape_of(const char *name)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (strcmp(shapes[i].template, name) == 0) {
            return &shapes[i];
        }
    }
    fail_msg("no shape for %s", name);
    return NULL;
}

static const char *text_of(const json_t *test, const char *key)
{
    return json_string_value(json_object_get(test, key));
}

static bool is_blank(const char *bytes, size_t length)
{
    return strspn(bytes, " \n") >= length;
}

/*
 * The span that holds the bytes from..to-1 begins and ends as the template's shape has it. Not every template trims a
 * text; a case's bytes are those of the trimmed one, so blanks may stand around them.
 */
static void check_span(const struct chat_text *text, const struct shape *shape, size_t from, size_t to)
{
    const char *bytes = strbuf_text(&text->text);
    size_t i = 0, lead = strlen(shape->lead), end = strlen(shape->end);
    while (i < text->span_count && text->spans[i].end <= from) {
        i++;
    }
    assert_true(i < text->span_count);
    const struct chat_span *span = &text->spans[i];
    assert_true(span->closed);
    assert_true(span->start <= from && to + end <= span->end);
    assert_memory_equal(bytes + span->end - end, shape->end, end);
    assert_true(is_blank(bytes + to, span->end - end - to));
    if (strncmp(bytes + span->start, shape->lead, lead) != 0) {
        lead = 0;
    }
    assert_true(is_blank(bytes + span->start + lead, from - span->start - lead));
}

static void check_case(const json_t *test, const char *const *specials, size_t special_count)
{
    const char *name = text_of(test, "template");
    struct strbuf source = {0};
    struct chat_template *chat;
    struct chat_text text;
    struct err err;
    struct tm date = {0};
    char file[128];
    snprintf(file, sizeof file, "chat-templates/%s", name);
    read_whole(&source, real_data(file));
    assert_int_equal(chat_template_compile(&chat, source.data, source.length, name, &err), 0);
    assert_non_null(strptime(text_of(test, "date"), "%Y-%m-%d", &date));
    struct chat_options options = {.add_generation_prompt =
                                       json_is_true(json_object_get(test, "add_generation_prompt")),
                                   .bos_token = text_of(test, "bos_token"),
                                   .eos_token = text_of(test, "eos_token"),
                                   .special_tokens = specials,
                                   .special_token_count = special_count,
                                   .tools = json_object_get(test, "tools"),
                                   .now = timegm(&date)};
    int result = chat_template_render(chat, json_object_get(test, "messages"), &options, &text, &err);
    if (text_of(test, "error")) {
        assert_int_equal(result, -1);
        assert_non_null(strstr(err.text, text_of(test, "error")));
        assert_null(text.text.data);
    } else {
        if (result != 0) {
            fail_msg("%s", err.text);
        }
        assert_string_equal(strbuf_text(&text.text), text_of(test, "expected"));
        const json_t *spans = json_object_get(test, "assistant_spans"), *span;
        size_t i;
        json_array_foreach(spans, i, span)
        {
            size_t from = (size_t)json_integer_value(json_array_get(span, 0));
            check_span(&text, shape_of(name), from, (size_t)json_integer_value(json_array_get(span, 1)));
        }
        if (spans) {
            assert_int_equal(text.span_count, json_array_size(spans));
        }
        chat_text_free(&text);
    }
    chat_template_free(chat);
    strbuf_free(&source);
}

static void test_real_cases(void **state)
{
    (void)state;
    struct err err;
    const char *path = real_data("chat-templates/cases.json");
    if (!path) {
        print_message("skipped: there is no chat-templates/cases.json in ATTUNE_TEST_DATA or ../shared/data\n");
        skip();
    }
    json_t *cases = json_read_file(path, (size_t)1 << 26, &err), *test;
    size_t i;
    assert_non_null(cases);
    assert_int_equal(json_array_size(cases), CASES);
    json_array_foreach(cases, i, test)
    {
        check_case(test, special_tokens, sizeof special_tokens / sizeof *special_tokens);
        check_case(test, NULL, 0);
    }
    json_decref(cases);
}

/* ---- built-in templates */

#define CHAT                                                                                                           \
    "[{'role':'system','content':'Be kind.'},{'role':'user','content':'Hi'},{'role':'assistant','content':'Hello.'},"  \
    "{'role':'user','content':'Bye'}]"

static void check_builtin(const char *name, const char *expected)
{
    struct chat_template *chat;
    struct chat_options options = {.add_generation_prompt = true, .bos_token = "<s>", .eos_token = "</s>", .now = 0};
    struct err err;
    json_t *messages = json_of(CHAT);
    assert_int_equal(chat_template_builtin(&chat, name, &err), 0);
    assert_string_equal(marked(chat, messages, &options), expected);
    json_decref(messages);
    chat_template_free(chat);
}

static void test_builtins(void **state)
{
    (void)state;
    check_builtin("chatml", "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
                            "<|im_start|>assistant\n[[Hello.<|im_end|>]]\n<|im_start|>user\nBye<|im_end|>\n"
                            "<|im_start|>assistant\n");
    check_builtin("llama3", "<s><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|>"
                            "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
                            "<|start_header_id|>assistant<|end_header_id|>\n\n[[Hello.<|eot_id|>]]"
                            "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
                            "<|start_header_id|>assistant<|end_header_id|>\n\n");
    check_builtin("gemma", "<s><start_of_turn>user\nBe kind.\n\nHi<end_of_turn>\n"
                           "<start_of_turn>model\n[[Hello.<end_of_turn>]]\n"
                           "<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n");
    check_builtin("mistral", "<s>[INST] Be kind.\n\nHi [/INST][[ Hello.</s>]][INST] Bye [/INST]");
    check_builtin("phi3", "<|system|>\nBe kind.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\n[[Hello.<|end|>]]\n"
                          "<|user|>\nBye<|end|>\n<|assistant|>\n");
    check_builtin("alpaca", "<s>Be kind.\n\n### Instruction:\nHi\n\n### Response:\n[[Hello.</s>]]\n\n"
                            "### Instruction:\nBye\n\n### Response:\n");
    check_builtin("plain", "<s>Be kind.\n\nHi\n\n[[Hello.</s>]]\n\nBye\n\n");
}

static const char *const builtin[] = {"alpaca", "chatml", "gemma", "llama3", "mistral", "phi3", "plain", NULL};

/* What a model answers to and what it was trained on are the same bytes, in every built-in template. */
static void test_builtins_ask_as_they_train(void **state)
{
    (void)state;
    struct err err;
    size_t count = 0;
    for (const char *const *name = builtin; *name; name++, count++) {
        struct chat_template *chat;
        struct chat_options options = {.bos_token = "<s>", .eos_token = "</s>", .now = 0};
        struct chat_text asked, answered;
        json_t *question = json_of("[{'role':'user','content':'Hi'}]");
        json_t *both = json_of("[{'role':'user','content':'Hi'},{'role':'assistant','content':'Hello.'}]");
        assert_int_equal(chat_template_builtin(&chat, *name, &err), 0);
        assert_non_null(chat_template_builtin_source(*name));
        assert_int_equal(chat_template_render(chat, both, &options, &answered, &err), 0);
        options.add_generation_prompt = true;
        assert_int_equal(chat_template_render(chat, question, &options, &asked, &err), 0);
        assert_int_equal(answered.span_count, 1);
        assert_int_equal(answered.spans[0].start, asked.text.length);
        assert_int_equal(answered.spans[0].message, 1);
        assert_memory_equal(answered.text.data, asked.text.data, asked.text.length);
        chat_text_free(&asked);
        chat_text_free(&answered);
        json_decref(question);
        json_decref(both);
        chat_template_free(chat);
    }
    assert_int_equal(count, 7);
}

static void test_builtins_refuse(void **state)
{
    (void)state;
    static const char odd_role[] = "[{'role':'narrator','content':'x'}]";
    static const char tool_call[] = "[{'role':'assistant','content':null,'tool_calls':[{'function':{'name':'f'}}]}]";
    assert_template_fails(chat_template_builtin_source("alpaca"), odd_role, "the role narrator is not known");
    assert_template_fails(chat_template_builtin_source("gemma"), odd_role, "the role narrator is not known");
    assert_template_fails(chat_template_builtin_source("mistral"), odd_role, "the role narrator is not known");
    for (const char *const *name = builtin; *name; name++) {
        assert_template_fails(chat_template_builtin_source(*name), tool_call, "no form for tool calls");
    }
}

static void test_unknown_builtin(void **state)
{
    (void)state;
    struct chat_template *chat = NULL;
    struct err err;
    assert_int_equal(chat_template_builtin(&chat, "chatlm", &err), -1);
    assert_null(chat);
    assert_non_null(strstr(err.text, "'chatlm' (did you mean 'chatml'?)"));
    assert_null(chat_template_builtin_source("chatlm"));
    assert_int_equal(chat_template_builtin(&chat, "zzzzzzzzz", &err), -1);
    assert_null(strstr(err.text, "did you mean"));
}

/* ---- options */

static void test_variables(void **state)
{
    (void)state;
    json_t *variables = json_of("{'enable_thinking':false,'eos_token':'<eos>','list':[1,{'a':null}]}");
    struct chat_options options = {.eos_token = "</s>", .variables = variables, .now = 86400};
    assert_marked("{{ enable_thinking }} {{ eos_token }} {{ list }} {{ bos_token is defined }} {{ tools is none }} "
                  "{{ documents is none }} {{ add_generation_prompt }} {{ strftime_now('%Y-%m-%d') }}",
                  "[]", &options, "False <eos> [1, {'a': None}] False True True False 1970-01-02");
    json_decref(variables);
}

static void test_reasoning_names(void **state)
{
    (void)state;
    static const char source[] = "{% for m in messages %}{{ m.thinking }},{{ m.reasoning_content }},{% endfor %}";
    assert_marked(source, "[{'role':'user','thinking':'t'}]", NULL, "t,t,");
    assert_marked(source, "[{'role':'user','reasoning':'r'},{'role':'user','content':'x'}]", NULL, "r,r,,,");
    assert_marked(source, "[{'role':'user','reasoning_content':'c','thinking':'t'}]", NULL, "t,c,");
}

static void test_input_errors(void **state)
{
    (void)state;
    struct chat_template *chat = template_of("{{ messages }}");
    struct chat_options options = {.variables = NULL};
    struct chat_text text;
    struct err err;
    json_t *object = json_of("{'role':'user'}"), *list = json_of("[]");
    assert_int_equal(chat_template_render(chat, object, &options, &text, &err), -1);
    assert_non_null(strstr(err.text, "must be an array"));
    options.variables = list;
    assert_int_equal(chat_template_render(chat, list, &options, &text, &err), -1);
    assert_non_null(strstr(err.text, "must be an object"));
    json_decref(object);
    json_decref(list);
    chat_template_free(chat);
    assert_template_fails("a\n{% if messages %}\n{{ raise_exception('Only ' ~ 2 ~ ' roles') }}{% endif %}",
                          "[{'role':'user'}]", "test, line 3: Only 2 roles");
    assert_template_fails("{{ messages[0].content + 'x' }}", "[{'role':'user'}]",
                          "test, line 1: 'dict object' has no member 'content'");
}

/* ---- memory */

/* Every allocation fails once, jansson's too: each time that is an error, never a text with other spans. */
static void test_allocation_failures(void **state)
{
    (void)state;
    static const char source[] =
        "{% for m in messages %}<|{{ m.role }}|>{{ m.thinking }}{{ m.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt and bos_token %}<|assistant|>{% endif %}";
    struct chat_options options = {.bos_token = "<s>", .eos_token = "</s>"};
    struct err err;
    json_t *messages = json_of("[{'role':'user','content':'Q'},{'role':'assistant','content':'A','reasoning':'T'},"
                               "{'role':'assistant','content':''}]");
    long failures = 0;
    for (long n = 1;; n++, failures++) {
        struct chat_template *chat = NULL;
        struct chat_text text = {0};
        mem_fail_at(n);
        int result = chat_template_compile(&chat, source, strlen(source), "test", &err);
        if (result == 0) {
            result = chat_template_render(chat, messages, &options, &text, &err);
        }
        mem_fail_at(0);
        chat_template_free(chat);
        if (result == 0) {
            assert_int_equal(text.span_count, 2);
            chat_text_free(&text);
            break;
        }
        assert_non_null(strstr(err.text, "memory"));
        assert_null(text.text.data);
        assert_null(text.spans);
    }
    assert_true(failures > 20);
    json_decref(messages);
}

int main(void)
{
    mem_hook_libraries();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_cases),
        cmocka_unit_test(test_builtins),
        cmocka_unit_test(test_builtins_ask_as_they_train),
        cmocka_unit_test(test_builtins_refuse),
        cmocka_unit_test(test_unknown_builtin),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_reasoning_names),
        cmocka_unit_test(test_input_errors),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
