/* Growing texts and the JSON form of any bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include <cmocka.h>
#include <string.h>

static void appends(void **state)
{
    (void)state;
    struct err err;
    struct strbuf text = {0};
    assert_string_equal(strbuf_text(&text), "");
    strbuf_puts(&text, "loss ");
    strbuf_printf(&text, "%.3f", 1.25);
    strbuf_putc(&text, ';');
    strbuf_append(&text, "a\0b", 3);
    strbuf_append(&text, NULL, 0);
    strbuf_printf(&text, "%s", "");
    assert_int_equal(text.length, 14);
    assert_memory_equal(text.data, "loss 1.250;a\0b", 15);
    assert_int_equal(strbuf_check(&text, &err), 0);
    strbuf_clear(&text);
    assert_int_equal(text.length, 0);
    assert_string_equal(text.data, "");
    for (int i = 0; i < 1000; i++) {
        strbuf_printf(&text, "%d,", i);
    }
    assert_int_equal(text.length, 10 * 2 + 90 * 3 + 900 * 4);
    assert_string_equal(text.data + text.length - 8, "998,999,");
    strbuf_free(&text);
    assert_null(text.data);
    strbuf_free(&text);
}

/* A failed append sticks: nothing is added after it, and the error comes from strbuf_check() until the next clear. */
static void failure_sticks(void **state)
{
    (void)state;
    struct err err;
    struct strbuf text = {0};
    strbuf_puts(&text, "kept");
    char many[100];
    memset(many, 'x', sizeof many);
    mem_fail_at(1);
    strbuf_append(&text, many, sizeof many);
    mem_fail_at(0);
    strbuf_puts(&text, "lost");
    strbuf_printf(&text, "%s", "lost");
    strbuf_put_utf8(&text, 'x');
    assert_string_equal(text.data, "kept");
    assert_int_equal(strbuf_check(&text, &err), -1);
    assert_non_null(strstr(err.text, "out of memory"));
    strbuf_clear(&text);
    assert_int_equal(strbuf_check(&text, &err), 0);
    strbuf_puts(&text, "again");
    assert_string_equal(text.data, "again");
    strbuf_append(&text, "", STRBUF_MAX);
    assert_int_equal(strbuf_check(&text, &err), -1);
    strbuf_free(&text);
}

static void json_strings(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t length;
        const char *json;
    } cases[] = {
        {"", 0, "\"\""},
        {"plain", 5, "\"plain\""},
        {"a\"b\\c/", 6, "\"a\\\"b\\\\c/\""},
        {"\n\r\t\b\x7F", 5, "\"\\n\\r\\t\\u0008\\u007f\""},
        {"x\0y", 3, "\"x\\u0000y\""},
        {"\xC3\xA9\xF0\x9F\x98\x80", 6, "\"\xC3\xA9\xF0\x9F\x98\x80\""},
        {"a\xFFz\xE2\x82", 5, "\"a\xEF\xBF\xBDz\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct strbuf out = {0};
        strbuf_put_json(&out, cases[i].text, cases[i].length);
        assert_string_equal(strbuf_text(&out), cases[i].json);
        strbuf_free(&out);
    }
}

/* Whatever the bytes are, a JSON reader takes the result, and where they are UTF-8 it gets them back. */
static void json_strings_are_read_back(void **state)
{
    (void)state;
    struct strbuf in = {0}, out = {0};
    for (uint64_t round = 0; round < 2000; round++) {
        strbuf_clear(&in);
        strbuf_clear(&out);
        bool valid_only = round % 2 == 0;
        for (uint64_t i = 0; i < round % 40; i++) {
            uint64_t drawn = random_u64(1, RANDOM_MIX, round, i);
            if (valid_only) {
                strbuf_put_utf8(&in, (unsigned)(drawn >> (44 + drawn % 14)));
            } else {
                strbuf_putc(&in, (char)drawn);
            }
        }
        strbuf_put_json(&out, strbuf_text(&in), in.length);
        struct err err;
        json_t *value = json_read_text(out.data, out.length, "text", &err);
        assert_non_null(value);
        if (valid_only) {
            assert_int_equal(json_string_length(value), in.length);
            assert_memory_equal(json_string_value(value), strbuf_text(&in), in.length);
        }
        json_decref(value);
    }
    strbuf_free(&in);
    strbuf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends),
        cmocka_unit_test(failure_sticks),
        cmocka_unit_test(json_strings),
        cmocka_unit_test(json_strings_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
