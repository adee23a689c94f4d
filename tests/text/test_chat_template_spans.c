/*
 * tests/text/test_chat_template_spans.c - what trains, whatever a template does around the answers.
 *
 * Trained bytes stand in [[ ]], or in [[ ]? where the turn has no end-of-turn token.
 */
#include "support/cmocka.h"
#include "text/helper_chat_template.h"
#include <string.h>

#define PAIR "[{'role':'user','content':'Q'},{'role':'assistant','content':'A'}]"
#define TWO_PAIRS                                                                                                      \
    "[{'role':'user','content':'Q'},{'role':'assistant','content':'A'},{'role':'user','content':'R'},"                 \
    "{'role':'assistant','content':'B'}]"
#define ASK "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

/* ---- what templates do to text */

static void test_filters_keep_origins(void **state)
{
    (void)state;
    static const struct {
        const char *content, *expected; /* the expression for an answer's text, and what it gives */
    } cases[] = {
        {"m.content", "  one two\nthree  "},
        {"m.content | trim", "one two\nthree"},
        {"m.content.strip().split('\\n')[-1]", "three"},
        {"m.content.split('two')[0].strip() ~ '+' ~ m.content[2:5]", "one+one"},
        {"m.content | trim | replace('two', 'TWO')", "one TWO\nthree"},
        {"m.content | trim | upper", "ONE TWO\nTHREE"},
        {"m.content.split() | join(' ')", "one two three"},
        {"m.content.split() | map('capitalize') | join('-')", "One-Two-Three"},
        {"(m.content | trim)[::-1]", "eerht\nowt eno"},
        {"'%s!' % (m.content | trim)", "one two\nthree!"},
        {"'{}!'.format(m.content.strip())", "one two\nthree!"},
        {"m.content | trim | indent(2)", "one two\n  three"},
        {"m.content | trim | tojson", "\"one two\\nthree\""},
        {"[m.content | trim]", "['one two\\nthree']"},
        {"{'k': m.content.split()} | tojson", "{\"k\": [\"one\", \"two\", \"three\"]}"},
        {"m.content if m.content is string else ''", "  one two\nthree  "},
        {"(m.content | list | join).strip() | truncate(7, true, '', 0)", "one two"},
        {"m.content.title().strip()", "One Two\nThree"},
        {"(m['content'] * 1) | trim", "one two\nthree"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char source[512], expected[512];
        snprintf(
            source, sizeof source,
            "{%% for m in messages %%}{%% if m.role == 'user' %%}<|user|>{{ m.content }}{%% else %%}"
            "<|bot|>{{ %s }}<|end|>\n{%% endif %%}{%% endfor %%}{%% if add_generation_prompt %%}<|bot|>{%% endif %%}",
            cases[i].content);
        snprintf(expected, sizeof expected, "<|user|>Q<|bot|>[[%s<|end|>]]\n", cases[i].expected);
        assert_marked(source, "[{'role':'user','content':'Q'},{'role':'assistant','content':'  one two\\nthree  '}]",
                      NULL, expected);
    }
}

/* Text that goes through macros, blocks and namespaces. */
static void test_captured_text(void **state)
{
    (void)state;
    static const char expected[] = "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n[[A<|im_end|>]]\n"
                                   "<|im_start|>user\nR<|im_end|>\n<|im_start|>assistant\n[[B<|im_end|>]]\n";
    assert_marked("{% macro turn(m) %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endmacro %}"
                  "{% for m in messages %}{{ turn(m) }}{% endfor %}" ASK,
                  TWO_PAIRS, NULL, expected);
    assert_marked("{% for m in messages %}{% set t %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endset %}"
                  "{{ t }}{% endfor %}" ASK,
                  TWO_PAIRS, NULL, expected);
    assert_marked("{% set ns = namespace(t='') %}{% for m in messages %}{% set ns.t = ns.t ~ '<|im_start|>' ~ m.role ~ "
                  "'\n' ~ m.content ~ '<|im_end|>\n' %}{% endfor %}{{ ns.t }}" ASK,
                  TWO_PAIRS, NULL, expected);
    assert_marked("{% for i in range(messages | length) %}<|im_start|>{{ messages[i].role }}\n{{ messages[i].content }}"
                  "<|im_end|>\n{% endfor %}" ASK,
                  TWO_PAIRS, NULL, expected);
    assert_marked("{% for i in range(messages | length) %}{% set m = messages[i] %}<|im_start|>{{ m.role }}\n"
                  "{{ m.content }}<|im_end|>\n{% endfor %}" ASK,
                  TWO_PAIRS, NULL, expected);
    assert_marked("{% macro turn(role) %}<|im_start|>{{ role }}\n{{ caller() }}<|im_end|>\n{% endmacro %}"
                  "{% for m in messages %}{% call turn(m.role) %}{{ m.content }}{% endcall %}{% endfor %}" ASK,
                  TWO_PAIRS, NULL, expected);
}

/* ---- where a turn begins */

static void test_thoughts(void **state)
{
    (void)state;
    static const char source[] =
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}"
        "{{ m.content }}<|im_end|>\n{% endfor %}" ASK
        "{% if add_generation_prompt and no_think %}<think>\n\n</think>\n\n{% endif %}";
    static const char chat[] = "[{'role':'user','content':'Q'},"
                               "{'role':'assistant','reasoning_content':'T','content':'A'}]";
    json_t *variables = json_of("{'no_think':true}");
    struct chat_options options = {.variables = variables};
    assert_marked(source, chat, NULL,
                  "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n[[<think>\nT\n</think>\n\nA<|im_end|>]]\n");
    /* The generation prompt goes on with an empty thought, which these turns do not have. */
    assert_marked(source, chat, &options,
                  "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n[[<think>\nT\n</think>\n\nA<|im_end|>]]\n");
    assert_marked(source, PAIR, &options, "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n[[A<|im_end|>]]\n");
    json_decref(variables);
}

#define TOOL_CHAT                                                                                                      \
    "[{'role':'user','content':'Q'},"                                                                                  \
    "{'role':'assistant','content':null,'tool_calls':[{'type':'function','function':{'name':'f','arguments':"          \
    "{'x':[1,2.5,true]}}},{'function':{'name':'g','arguments':{}}}]},"                                                 \
    "{'role':'tool','name':'f','content':'A'},{'role':'assistant','content':'A'}]"

static void test_tool_calls(void **state)
{
    (void)state;
    static const char source[] =
        "{% for m in messages %}<|im_start|>{{ m.role }}{% if m.content %}{{ '\\n' + m.content }}{% endif %}"
        "{% for call in m.tool_calls %}{{ '\\n' }}<tool_call>\n{\"name\": \"{{ call.function.name }}\", \"arguments\": "
        "{{ call.function.arguments | tojson }}}\n</tool_call>{% endfor %}<|im_end|>\n{% endfor %}" ASK;
    static const char *const specials[] = {"<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"};
    static const char expected[] =
        "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"
        "[[<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": [1, 2.5, true]}}\n</tool_call>\n"
        "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call><|im_end|>]]\n"
        "<|im_start|>tool\nA<|im_end|>\n<|im_start|>assistant\n[[A<|im_end|>]]\n";
    struct chat_options options = {.special_tokens = specials, .special_token_count = 4};
    assert_marked(source, TOOL_CHAT, NULL, expected);
    assert_marked(source, TOOL_CHAT, &options, expected);
    /* Without the newline that the generation prompt ends with. */
    assert_marked(
        "{% for m in messages %}<|{{ m.role }}|>{% if m.content %}{{ '\\n' + m.content }}{% else %}<call>"
        "{{ m.tool_calls | tojson }}</call>{% endif %}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{{ '\\n' }}{% endif %}",
        "[{'role':'user','content':'Q'},{'role':'assistant','tool_calls':['f']},{'role':'tool','content':'T'}]", NULL,
        "<|user|>\nQ<|end|><|assistant|>[[<call>[\"f\"]</call><|end|>]]<|tool|>\nT<|end|>");
}

/* Without a generation prompt in the template, the model has to write what stands before the answer, too. */
static void test_no_generation_prompt(void **state)
{
    (void)state;
    static const char source[] = "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST]{{ m.content }}"
                                 "[/INST]{% elif m.tool_calls %}[TOOL_CALLS]{{ m.tool_calls | tojson }}{{ eos_token }}"
                                 "{% elif m.role == 'tool' %}[RESULT]{{ m.content }}[/RESULT]"
                                 "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}";
    assert_marked(source, PAIR, NULL, "<s>[INST]Q[/INST][[ A</s>]]");
    assert_marked(source,
                  "[{'role':'user','content':'Q'},{'role':'assistant','tool_calls':[{'f':1}]},"
                  "{'role':'tool','content':'A'},{'role':'assistant','content':'A'}]",
                  NULL, "<s>[INST]Q[/INST][[[TOOL_CALLS][{\"f\": 1}]</s>]][RESULT]A[/RESULT][[ A</s>]]");
    /* A heading with words is not what the model has to write. */
    assert_marked("{% for m in messages %}{{ m.role | upper }}: {{ m.content }}{{ eos_token if m.role != 'user' }}\n"
                  "{% endfor %}",
                  TWO_PAIRS, NULL, "USER: Q\nASSISTANT: [[A</s>]]\nUSER: R\nASSISTANT: [[B</s>]]\n");
    /* A template that refuses the probe's conversation. */
    assert_marked("{% if messages[0].role != 'system' %}{{ raise_exception('no system') }}{% endif %}"
                  "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}",
                  "[{'role':'system','content':'S'},{'role':'user','content':'Q'},{'role':'assistant','content':'A'}]",
                  NULL, "<|system|>S<|end|><|user|>Q<|end|><|assistant|>[[A<|end|>]]");
}

/* ---- where a turn ends */

static void test_ends(void **state)
{
    (void)state;
    /* No token ends the turn. */
    assert_marked("{% for m in messages %}{{ m.content }}\n\n{% endfor %}", TWO_PAIRS, NULL,
                  "Q\n\n[[A]?\n\nR\n\n[[B]?\n\n");
    /* A token after all turns, and one that opens the next. */
    assert_marked("{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}{{ eos_token }}", TWO_PAIRS, NULL,
                  "<|user|>Q<|assistant|>[[A]?<|user|>R<|assistant|>[[B</s>]]");
    /* Two tokens at once. */
    assert_marked("{% for m in messages %}{{ m.content }}<|call_end|><|turn_end|>\n{% endfor %}", PAIR, NULL,
                  "Q<|call_end|><|turn_end|>\n[[A<|call_end|><|turn_end|>]]\n");
    /* The first of several, white space before it. */
    assert_marked("{% for m in messages %}{{ m.content }} <|end|>\n<|more|>{% endfor %}", PAIR, NULL,
                  "Q <|end|>\n<|more|>[[A <|end|>]]\n<|more|>");
    /* Only what the tokenizer calls special counts, where the caller says what that is. */
    static const char *const specials[] = {"<|more|>"};
    struct chat_options options = {.special_tokens = specials, .special_token_count = 1, .eos_token = "###"};
    assert_marked("{% for m in messages %}{{ m.content }}<|end|><|more|>{% endfor %}", PAIR, &options,
                  "Q<|end|><|more|>[[A<|end|><|more|>]]");
    assert_marked("{% for m in messages %}<call>{{ m.content }}</call>\n{% endfor %}", PAIR, &options,
                  "<call>Q</call>\n<call>[[A</call>]?\n");
    assert_marked("{% for m in messages %}{{ m.content }}<|end|>###{% endfor %}", PAIR, &options,
                  "Q<|end|>###[[A<|end|>###]]");
}

/* An answer without text still has to be ended; one that the template leaves out does not. */
static void test_empty_answers(void **state)
{
    (void)state;
    static const char chat[] = "[{'role':'user','content':'Q'},{'role':'assistant','content':''},"
                               "{'role':'user','content':''}]";
    assert_marked("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}" ASK, chat,
                  NULL,
                  "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n[[<|im_end|>]]\n"
                  "<|im_start|>user\n<|im_end|>\n");
    assert_marked(
        "{% for m in messages if m.content %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}" ASK,
        chat, NULL, "<|im_start|>user\nQ<|im_end|>\n");
    assert_marked(
        "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}"
        "{{ eos_token }}{% endif %}{% endfor %}",
        chat, NULL, "[INST] Q [/INST][[ </s>]][INST]  [/INST]");
}

/* What looks like markup in a message is text. */
static void test_markup_in_messages(void **state)
{
    (void)state;
    struct chat_options options = {.bos_token = ""};
    json_t *messages =
        json_of("[{'role':'user','content':'<|im_end|>\\n<|im_start|>assistant\\nA<|im_end|>'},"
                "{'role':'assistant','content':'A<|im_end|>B'},{'role':'user','content':'A<|im_end|>B'}]");
    struct chat_template *chat;
    struct err err;
    assert_int_equal(chat_template_builtin(&chat, "chatml", &err), 0);
    assert_string_equal(marked(chat, messages, &options),
                        "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\nA<|im_end|><|im_end|>\n"
                        "<|im_start|>assistant\n[[A<|im_end|>B<|im_end|>]]\n"
                        "<|im_start|>user\nA<|im_end|>B<|im_end|>\n");
    json_decref(messages);
    chat_template_free(chat);
}

/* A message that is written in several places trains in each, without what stands between. */
static void test_scattered_text(void **state)
{
    (void)state;
    assert_marked("{{ messages[1].content }}|{{ messages[0].content }}|{% for m in messages %}{{ m.content }}<|end|>"
                  "{% endfor %}",
                  PAIR, NULL, "[[A]?|Q|Q<|end|>[[A<|end|>]]");
    assert_marked("{% for m in messages | reverse %}{{ m.content }}<|end|>{% endfor %}", PAIR, NULL,
                  "[[A<|end|>]]Q<|end|>");
    assert_marked("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", PAIR, NULL, "Q");
}

/* What an answer says and a later turn repeats (the name of the tool that was called) trains once. */
static void test_repeated_text(void **state)
{
    (void)state;
    assert_marked("{% for m in messages %}{% if m.role == 'tool' %}<|start|>{{ last.call }}: {{ m.content }}<|end|>"
                  "{% else %}{% set last = m %}<|start|>assistant to {{ m.call }}<|call|>{% endif %}{% endfor %}",
                  "[{'role':'assistant','call':'f'}]", NULL, "<|start|>assistant to [[f<|call|>]]");
    assert_marked("{% set ns = namespace() %}{% for m in messages %}{% if m.role == 'tool' %}<|start|>{{ ns.call }}: "
                  "{{ m.content }}<|end|>{% else %}{% set ns.call = m.call %}<|start|>assistant to {{ m.call }}<|call|>"
                  "{% endif %}{% endfor %}",
                  "[{'role':'assistant','call':'f'},{'role':'tool','content':'T'}]", NULL,
                  "<|start|>assistant to [[f<|call|>]]<|start|>f: T<|end|>");
}

static void test_parts(void **state)
{
    (void)state;
    assert_marked(
        "{% for m in messages %}<|{{ m.role }}|>{% for part in m.content %}{% if part.type == 'image' %}<image>"
        "{% else %}{{ part.text | trim }}{% endif %}{% endfor %}<|end|>\n{% endfor %}",
        "[{'role':'user','content':[{'type':'image'},{'type':'text','text':'Q '}]},"
        "{'role':'assistant','content':[{'type':'text','text':' A'},{'type':'text','text':'B'}]}]",
        NULL, "<|user|><image>Q<|end|>\n<|assistant|>[[AB<|end|>]]\n");
}

/* ---- which messages */

static void test_roles(void **state)
{
    (void)state;
    static const char chat[] = "[{'role':'system','content':'S'},{'role':'user','content':'Q'},"
                               "{'role':'assistant','content':'A'},{'role':'tool','content':'T'}]";
    static const char source[] = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
                                 "{% if add_generation_prompt %}<|assistant|>{% endif %}";
    static const char *const users[] = {"user", "tool"}, *const none[] = {"nobody"};
    struct chat_options options = {.roles = users, .role_count = 2};
    assert_marked(source, chat, &options,
                  "<|system|>S<|end|>\n<|user|>[[Q<|end|>]]\n<|assistant|>A<|end|>\n<|tool|>[[T<|end|>]]\n");
    options.roles = none;
    options.role_count = 1;
    assert_marked(source, chat, &options,
                  "<|system|>S<|end|>\n<|user|>Q<|end|>\n<|assistant|>A<|end|>\n<|tool|>T<|end|>\n");
    options.role_count = 0;
    assert_marked(source, chat, &options,
                  "<|system|>S<|end|>\n<|user|>Q<|end|>\n<|assistant|>A<|end|>\n<|tool|>T<|end|>\n");
}

static void test_generation_blocks(void **state)
{
    (void)state;
    static const char source[] =
        "{% for m in messages %}{% if m.role == 'assistant' %}<|bot|>{% generation %}{{ m.content }}<|end|>"
        "{% endgeneration %}{{ '\\n' }}{% else %}<|user|>{{ m.content }}<|end|>\n{% endif %}{% endfor %}";
    static const char *const both[] = {"user", "assistant"}, *const user[] = {"user"};
    struct chat_options options = {.roles = both, .role_count = 2};
    assert_marked(source, TWO_PAIRS, NULL,
                  "<|user|>Q<|end|>\n<|bot|>[[A<|end|>]]\n<|user|>R<|end|>\n<|bot|>[[B<|end|>]]\n");
    assert_marked(source, PAIR, &options, "<|user|>[[Q<|end|>]]\n<|bot|>[[A<|end|>]]\n");
    options.roles = user;
    options.role_count = 1;
    assert_marked(source, PAIR, &options, "<|user|>[[Q<|end|>]]\n<|bot|>A<|end|>\n");
    /* Around all of the turn, heading included; and outside of a loop over messages. */
    assert_marked("{% for m in messages %}{% generation %}<|{{ m.role }}|>{{ m.content }}\n{% endgeneration %}"
                  "{% endfor %}",
                  PAIR, NULL, "<|user|>Q\n[[<|assistant|>A\n]]");
    assert_marked("{{ messages[0].content }}: {% generation %}{{ messages[1].content }}{% endgeneration %}.", PAIR,
                  NULL, "Q: [[A]].");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters_keep_origins),
        cmocka_unit_test(test_captured_text),
        cmocka_unit_test(test_thoughts),
        cmocka_unit_test(test_tool_calls),
        cmocka_unit_test(test_no_generation_prompt),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_empty_answers),
        cmocka_unit_test(test_markup_in_messages),
        cmocka_unit_test(test_scattered_text),
        cmocka_unit_test(test_repeated_text),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_generation_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
