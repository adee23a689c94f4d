/*
 * tests/text/test_jinja.c - the interpreter does what jinja2 does, and stays within its limits.
 *
 * fixtures/jinja_cases.json holds small templates with what jinja2 makes of them, null where it fails
 * (tests/reference/chat_template_cases.py).
 */
#include "base/json.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include "text/jinja/jinja.h"
#include <stdio.h>
#include <string.h>

#define VARIABLES_MAX 32

struct context {
    struct jinja_variable variables[VARIABLES_MAX];
    struct jinja_input input;
};

static void set_context(struct context *context, json_t *values, int64_t now)
{
    const char *name;
    json_t *value;
    *context = (struct context){.input = {.now = now}};
    json_object_foreach(values, name, value)
    {
        assert_true(context->input.variable_count < VARIABLES_MAX);
        context->variables[context->input.variable_count++] =
            (struct jinja_variable){name, value, strcmp(name, "messages") == 0 ? JINJA_MESSAGES : JINJA_PLAIN};
    }
    context->input.variables = context->variables;
}

static int run(const char *source, size_t length, const struct jinja_input *input, struct jinja_output *out,
               struct err *err)
{
    struct jinja_template *template;
    *out = (struct jinja_output){0};
    if (jinja_compile(&template, source, length, "test", err) != 0) {
        return -1;
    }
    int result = jinja_render(template, input, out, err);
    jinja_free(template);
    return result;
}

/* ---- as jinja2 */

static void check_runs(const struct jinja_output *out)
{
    size_t at = 0;
    for (size_t i = 0; i < out->run_count; i++) {
        assert_true(out->runs[i].end > at);
        at = out->runs[i].end;
    }
    assert_int_equal(at, out->text.length);
}

static void test_cases(void **state)
{
    (void)state;
    struct err err;
    struct context context;
    size_t i, wrong = 0;
    json_t *file = json_read_file(ATTUNE_FIXTURES "/jinja_cases.json", (size_t)1 << 22, &err);
    if (!file) {
        fail_msg("%s", err.text);
    }
    set_context(&context, json_object_get(file, "context"), json_integer_value(json_object_get(file, "now")));
    json_t *cases = json_object_get(file, "cases"), *test;
    assert_true(json_array_size(cases) > 2000);
    json_array_foreach(cases, i, test)
    {
        struct jinja_output out;
        const json_t *source = json_array_get(test, 0), *expected = json_array_get(test, 1);
        int result = run(json_string_value(source), json_string_length(source), &context.input, &out, &err);
        const char *text = strbuf_text(&out.text);
        bool right =
            json_is_null(expected) ? result != 0 : result == 0 && strcmp(text, json_string_value(expected)) == 0;
        if (!right) {
            print_error("%s\n  expected %s\n  got      %s\n", json_string_value(source),
                        json_is_null(expected) ? "an error" : json_string_value(expected),
                        result == 0 ? text : err.text);
        }
        wrong += !right;
        check_runs(&out);
        jinja_output_free(&out);
    }
    assert_int_equal(wrong, 0);
    json_decref(file);
}

/* ---- errors */

static void check_error(const char *source, size_t length, const char *expected)
{
    struct jinja_output out;
    struct err err;
    const struct jinja_input input = {0};
    if (run(source, length, &input, &out, &err) == 0) {
        fail_msg("rendered without an error: %.200s", source);
    }
    if (!strstr(err.text, expected)) {
        fail_msg("'%s' is not in: %s", expected, err.text);
    }
    assert_null(out.text.data);
    assert_null(out.runs);
}

static void test_errors_name_construct_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *source, *expected;
    } cases[] = {
        {"a\n{% include 'x' %}", "test, line 2: the tag 'include' is not supported here"},
        {"{% block a %}{% endblock %}", "line 1: the tag 'block' is not supported here"},
        {"{% for x in [] recursive %}{% endfor %}", "line 1: recursive loops are not supported"},
        {"\n\n{{ 1 | wordwrap }}", "line 3: the filter 'wordwrap' is not supported"},
        {"{{ 1 is nosuch }}", "line 1: the test 'nosuch' is not supported"},
        {"{% if true %}\n{{ 1 | nosuch }}{% endif %}", "line 2: the filter 'nosuch' is not supported"},
        {"{{ 'a'.encode() }}", "line 1: the method 'encode' is not supported"},
        {"{{ joiner() }}", "line 1: the function 'joiner' is not supported"},
        {"{{ [].append(1) }}", "line 1: a template cannot change a list or a dictionary"},
        {"{% for x in [1] %}\n\n{% if x %}",
         "line 3: the tag that starts here is not closed: 'elif else endif' is missing"},
        {"{{ 'a\n", "line 1: the string that starts here has no end"},
        {"a\n{{ 1 ", "line 2: the tag that starts here has no end '}}'"},
        {"\n{# x", "line 2: the comment that starts here has no end"},
        {"{% raw %}x", "line 1: the raw block that starts here has no end"},
        {"{{ (1 }}", "line 1: '}' closes no bracket"},
        {"{{ 1 + }}", "line 1: an expression is missing before '}}'"},
        {"{% set x %}", "line 1: the tag that starts here is not closed: 'endset' is missing"},
        {"{% if x }}", "line 1: '}' closes no bracket"},
        {"{{ \xE2\x80\x9Cx\xE2\x80\x9D }}", "line 1: '\xE2\x80\x9C' cannot stand in a tag"},
        {"{{ '\\N{DASH}' }}", "line 1: the escape \\N{...} is not supported"},
        {"{% break %}", "line 1: 'break' stands outside of a loop"},
        {"{{ x.y }}", "line 1: 'x' is undefined"},
        {"{{ {}.y.z }}", "line 1: 'dict object' has no member 'y'"},
        {"{{ 'a' + 1 }}", "line 1: '+' cannot take a str object and a int object"},
        {"{{ 9223372036854775807 + 1 }}", "line 1: an integer does not fit 64 bits"},
        {"{{ 99999999999999999999 }}", "line 1: the number 99999999999999999999 does not fit 64 bits"},
        {"{{ 'a' | replace('b') }}", "line 1: the filter 'replace' needs an argument 'new'"},
        {"{{ 'a' | upper(1) }}", "line 1: the filter 'upper' takes not more than 0 arguments"},
        {"{{ 'a' | trim(x=1) }}", "line 1: the filter 'trim' does not have all the named arguments"},
        {"{{ raise_exception('no, %d') }}", "test, line 1: no, %d"},
        {"a\xFF", "test: the template is not UTF-8 text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_error(cases[i].source, strlen(cases[i].source), cases[i].expected);
    }
}

/* ---- limits */

static void test_hostile_templates_end(void **state)
{
    (void)state;
    static const struct {
        const char *source, *expected;
    } cases[] = {
        {"{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "more than"},
        {"{% set l = range(9999) | list %}{% for i in l %}{% for j in l %}{% endfor %}{% endfor %}", "takes more than"},
        {"{% set s = '\u00e9' * 9999999 %}{% for i in range(9999) %}{{ s[i] }}{{ s | length }}{% endfor %}",
         "takes more than"},
        {"{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}", "more than"},
        {"{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
         "makes a text of more than 64 MiB"},
        {"{{ 'x' * 9999999999 }}", "more than"},
        {"{{ [1] * 9999999999 }}", "more than"},
        {"{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
         "more than"},
        {"{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}", "nested more than 400 deep"},
        {"{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
         "nested more than 400 deep"},
        {"{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}"
         "{{ ns.l | tojson }}",
         "nested more than 400 deep"},
        {"{% set a = namespace(l=[]) %}{% for i in range(9999) %}{% set a.l = [a.l] %}{% endfor %}{{ a.l == [a.l] }}",
         "nested more than 400 deep"},
        {"{{ range(100001) }}", "range() gives more than 100000 numbers"},
        {"{{ '%99999999d' % 1 }}", "the width of a formatted value is more than 10000"},
        {"{{ '{:99999999}'.format(1) }}", "the width of a formatted value is more than 10000"},
        {"{{ ''.center(9999999999) }}", "more than"},
        {"{{ strftime_now('%9999d') }}", "strftime_now() gives more than 1024 bytes"},
        {"{{ 2 ** 9999999999 }}", "an integer does not fit 64 bits"},
        {"{% set l = range(99999) | list %}{{ l + [1] in [l + [2]] * 9999 }}", "takes more than"},
        {"{{ ('ab' * 9999999).split('b') | length }}", "more than"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_error(cases[i].source, strlen(cases[i].source), cases[i].expected);
    }
}

/* A template of `count` copies of `part` between a start and an end. */
static void check_repeated(const char *start, const char *part, size_t count, const char *end, const char *expected)
{
    struct strbuf source = {0};
    struct err err;
    strbuf_puts(&source, start);
    for (size_t i = 0; i < count; i++) {
        strbuf_puts(&source, part);
    }
    strbuf_puts(&source, end);
    assert_int_equal(strbuf_check(&source, &err), 0);
    check_error(source.data, source.length, expected);
    strbuf_free(&source);
}

static void test_deep_and_long_templates_end(void **state)
{
    (void)state;
    check_repeated("{{ ", "(", 100000, "", "brackets are open");
    check_repeated("{{ ", "- ", 100000, "1 }}", "nested more than");
    check_repeated("{{ ", "not ", 100000, "1 }}", "nested more than");
    check_repeated("{{ 1", " + 1", 100000, " }}", "nested more than");
    check_repeated("{{ 1", ".a", 100000, " }}", "nested more than");
    check_repeated("{{ 1", " | string", 50000, " }}", "nested more than");
    check_repeated("{{ 1", " if 1 else 1", 50000, " }}", "nested more than");
    check_repeated("", "{% if 1 %}", 50000, "", "nested more than");
    check_repeated("", "{% for a in b %}", 50000, "", "nested more than");
    check_repeated("", "x", JINJA_SOURCE_MAX + 1, "", "longer than");
}

/* Long chains that do not nest are fine. */
static void test_long_templates(void **state)
{
    (void)state;
    struct strbuf source = {0};
    struct jinja_output out;
    struct err err;
    const struct jinja_input input = {0};
    strbuf_puts(&source, "{% if 0 %}");
    for (int i = 0; i < 5000; i++) {
        strbuf_puts(&source, "{% elif 0 %}{{ 'a' ~ 1 }}");
    }
    strbuf_puts(&source, "{% else %}{{ 1");
    for (int i = 0; i < 5000; i++) {
        strbuf_puts(&source, " ~ 1");
    }
    strbuf_puts(&source, " }}{% endif %}");
    assert_int_equal(run(source.data, source.length, &input, &out, &err), 0);
    assert_int_equal(out.text.length, 5001);
    jinja_output_free(&out);
    strbuf_free(&source);
}

/* ---- provenance */

static void test_origins(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum jinja_source source;
        int32_t message, turn;
    } expected[] = {
        {"<s>", JINJA_VARIABLE, -1, -1}, {"user", JINJA_HEADER, 0, 0}, {": ", JINJA_LITERAL, -1, 0},
        {"HI", JINJA_CONTENT, 0, 0},     {"</s>", JINJA_END, -1, 0},   {"1", JINJA_LITERAL, -1, 0},
        {"bot", JINJA_HEADER, 1, 1},     {": ", JINJA_LITERAL, -1, 1}, {"HO", JINJA_CONTENT, 1, 1},
        {"</s>", JINJA_END, -1, 1},      {"2", JINJA_LITERAL, -1, 1},  {".", JINJA_LITERAL, -1, -1},
    };
    struct jinja_output out;
    struct err err;
    json_t *messages =
        json_pack("[{s:s,s:s},{s:s,s:s}]", "role", "user", "content", " hi", "role", "bot", "content", "ho");
    json_t *start = json_string("<s>"), *end = json_string("</s>");
    const struct jinja_variable variables[] = {
        {"messages", messages, JINJA_MESSAGES}, {"bos", start, JINJA_PLAIN}, {"eos", end, JINJA_END_TOKEN}};
    const struct jinja_input input = {variables, 3, 0};
    static const char source[] = "{{ bos }}{% set sep = ': ' %}{% for m in messages %}{{ m.role ~ sep }}"
                                 "{{ (m.content | upper).strip() + eos }}{{ loop.index }}{% endfor %}.";
    if (run(source, strlen(source), &input, &out, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(out.run_count, sizeof expected / sizeof *expected);
    size_t at = 0;
    for (size_t i = 0; i < out.run_count; i++) {
        const struct jinja_run *part = &out.runs[i];
        assert_int_equal(part->end - at, strlen(expected[i].text));
        assert_memory_equal(out.text.data + at, expected[i].text, part->end - at);
        assert_int_equal(part->origin.source, expected[i].source);
        assert_int_equal(part->origin.message, expected[i].message);
        assert_int_equal(part->origin.turn, expected[i].turn);
        at = part->end;
    }
    jinja_output_free(&out);
    json_decref(messages);
    json_decref(start);
    json_decref(end);
}

/* ---- memory */

/* Every allocation fails once; each time that is an error and nothing is left behind (the sanitizer sees to that). */
static void test_allocation_failures(void **state)
{
    (void)state;
    static const char source[] = "{% for m in messages %}{{ m.content | replace('a', 'b') }}{% generation %}x"
                                 "{% endgeneration %}{% endfor %}{{ 'x' * 100000 }}";
    json_t *messages = json_pack("[{s:s}]", "content", "banana");
    const struct jinja_variable variable = {"messages", messages, JINJA_MESSAGES};
    const struct jinja_input input = {&variable, 1, 0};
    struct jinja_output out;
    struct err err;
    long failures = 0;
    for (long n = 1;; n++, failures++) {
        mem_fail_at(n);
        int result = run(source, strlen(source), &input, &out, &err);
        mem_fail_at(0);
        if (result == 0) {
            break;
        }
        assert_null(out.text.data);
        assert_non_null(strstr(err.text, "memory"));
    }
    assert_true(failures >= 8);
    assert_int_equal(out.text.length, 100007);
    assert_int_equal(out.generation_count, 1);
    jinja_output_free(&out);
    json_decref(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_errors_name_construct_and_line),
        cmocka_unit_test(test_hostile_templates_end),
        cmocka_unit_test(test_deep_and_long_templates_end),
        cmocka_unit_test(test_long_templates),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
