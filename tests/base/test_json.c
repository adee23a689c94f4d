/* Reading JSON: typed members, ranges, and where the errors point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "base/helper_folder.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include <cmocka.h>
#include <string.h>

static json_t *read_ok(const char *text)
{
    struct err err = {.text = ""};
    json_t *value = json_read_text(text, strlen(text), "test.json", &err);
    assert_string_equal(err.text, "");
    assert_non_null(value);
    return value;
}

static void any_value_may_stand_alone(void **state)
{
    (void)state;
    static const char *const texts[] = {"3",  "-2.5e3", "\"text\"",  "null",          "true",
                                        "[]", "{}",     " \n[1]\t ", "\xEF\xBB\xBF{}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_decref(read_ok(texts[i]));
    }
    json_t *value = read_ok("\"a\\u0000b\"");
    assert_int_equal(json_string_length(value), 3);
    json_decref(value);
    value = read_ok("{\"a\": 1, \"a\": 2}"); /* the last one counts, as in other readers */
    assert_int_equal(json_integer_value(json_object_get(value, "a")), 2);
    json_decref(value);
}

static void bad_text_is_located(void **state)
{
    (void)state;
    static const struct {
        const char *text, *place;
    } cases[] = {
        {"", "data.jsonl:17: not valid JSON at line 1, column 0"},
        {"{\"a\": }", "data.jsonl:17: not valid JSON at line 1, column 7"},
        {"{\n  \"a\": 1,\n  \"b\" 2\n}", "data.jsonl:17: not valid JSON at line 3, column 7"},
        {"{} {}", "data.jsonl:17: not valid JSON at line 1, column 4"},
        {"[1, 2", "data.jsonl:17: not valid JSON at line 1, column 5"},
        {"\"\xFF\"", "data.jsonl:17: not valid JSON"},
        {"\"\\ud800\"", "data.jsonl:17: not valid JSON"},
        {"nul", "data.jsonl:17: not valid JSON"},
        {"1e999", "data.jsonl:17: not valid JSON"},
        {"123456789012345678901234567890", "data.jsonl:17: not valid JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {.text = ""};
        assert_null(json_read_text(cases[i].text, strlen(cases[i].text), "data.jsonl:17", &err));
        assert_memory_equal(err.text, cases[i].place, strlen(cases[i].place));
    }
}

static void depth_is_limited(void **state)
{
    (void)state;
    static char deep[200001];
    memset(deep, '[', sizeof deep - 1);
    struct err err = {.text = ""};
    assert_null(json_read_text(deep, sizeof deep - 1, "deep", &err));
    assert_non_null(strstr(err.text, "depth"));
}

static void members_have_types(void **state)
{
    (void)state;
    json_t *object =
        read_ok("{\"s\": \"x\", \"i\": 7, \"d\": 0.5, \"b\": true, \"n\": null, \"w\": 4096.0, \"big\": 1e300}");
    struct err err = {.text = ""};
    const char *string = "default";
    int64_t integer = -1;
    double real = -1;
    bool truth = false;
    assert_int_equal(json_get_string(object, "s", &string, "c.json", &err), 0);
    assert_string_equal(string, "x");
    assert_int_equal(json_get_int(object, "i", &integer, 0, 10, "c.json", &err), 0);
    assert_int_equal(integer, 7);
    assert_int_equal(json_get_int(object, "w", &integer, 1, 5000, "c.json", &err), 0);
    assert_int_equal(integer, 4096);
    assert_int_equal(json_get_double(object, "d", &real, "c.json", &err), 0);
    assert_true(real == 0.5);
    assert_int_equal(json_get_double(object, "i", &real, "c.json", &err), 0);
    assert_true(real == 7);
    assert_int_equal(json_get_bool(object, "b", &truth, "c.json", &err), 0);
    assert_true(truth);
    assert_string_equal(err.text, "");

    assert_int_equal(json_get_string(object, "i", &string, "c.json", &err), -1);
    assert_string_equal(err.text, "c.json: \"i\" must be a string, but it is an integer");
    assert_int_equal(json_get_int(object, "d", &integer, 0, 10, "c.json", &err), -1);
    assert_string_equal(err.text, "c.json: \"d\" must be an integer, but it is a number");
    assert_int_equal(json_get_int(object, "big", &integer, 0, 10, "c.json", &err), -1);
    assert_int_equal(json_get_int(object, "b", &integer, 0, 10, "c.json", &err), -1);
    assert_int_equal(json_get_int(object, "i", &integer, 8, 10, "c.json", &err), -1);
    assert_string_equal(err.text, "c.json: \"i\" must be from 8 to 10, but it is 7");
    assert_int_equal(json_get_double(object, "s", &real, "c.json", &err), -1);
    assert_int_equal(json_get_bool(object, "i", &truth, "c.json", &err), -1);
    assert_string_equal(err.text, "c.json: \"i\" must be true or false, but it is an integer");
    /* A failed call leaves what was there. */
    assert_string_equal(string, "x");
    assert_int_equal(integer, 4096);
    json_decref(object);
}

static void absent_members_keep_the_default(void **state)
{
    (void)state;
    json_t *object = read_ok("{\"n\": null}");
    struct err err = {.text = ""};
    static const char *const keys[] = {"n", "absent"};
    for (int i = 0; i < 2; i++) {
        const char *string = "default";
        int64_t integer = -1;
        double real = -1;
        bool truth = true;
        assert_int_equal(json_get_string(object, keys[i], &string, "c", &err), 0);
        assert_int_equal(json_get_int(object, keys[i], &integer, 0, 1, "c", &err), 0);
        assert_int_equal(json_get_double(object, keys[i], &real, "c", &err), 0);
        assert_int_equal(json_get_bool(object, keys[i], &truth, "c", &err), 0);
        assert_string_equal(string, "default");
        assert_int_equal(integer, -1);
        assert_true(real == -1 && truth);
        assert_string_equal(err.text, "");
        assert_int_equal(json_need_string(object, keys[i], &string, "c.json", &err), -1);
        assert_non_null(strstr(err.text, "c.json: \""));
        assert_non_null(strstr(err.text, "is missing"));
        assert_int_equal(json_need_int(object, keys[i], &integer, 0, 1, "c.json", &err), -1);
        err.text[0] = '\0';
    }
    json_t *array = read_ok("[1]");
    const char *string = NULL;
    assert_int_equal(json_get_string(array, "key", &string, "c.json", &err), -1);
    assert_string_equal(err.text, "c.json: expected an object with the member \"key\", found an array");
    assert_int_equal(json_need_string(NULL, "key", &string, "c.json", &err), -1);
    json_decref(array);
    json_decref(object);
}

static void needed_members(void **state)
{
    (void)state;
    json_t *object = read_ok("{\"s\": \"x\", \"i\": 7}");
    struct err err;
    const char *string;
    int64_t integer;
    assert_int_equal(json_need_string(object, "s", &string, "c", &err), 0);
    assert_string_equal(string, "x");
    assert_int_equal(json_need_int(object, "i", &integer, 7, 7, "c", &err), 0);
    assert_int_equal(integer, 7);
    assert_int_equal(json_need_int(object, "s", &integer, 7, 7, "c", &err), -1);
    assert_int_equal(json_need_string(object, "i", &string, "c", &err), -1);
    json_decref(object);
}

static void files_plain_and_packed(void **state)
{
    (void)state;
    struct err err = {.text = ""};
    const char *path = in_folder("config.json");
    assert_int_equal(file_write_whole(path, "{\"a\": 1}", 8, &err), 0);
    json_t *value = json_read_file(path, 100, &err);
    assert_int_equal(json_integer_value(json_object_get(value, "a")), 1);
    json_decref(value);
    shell("gzip -c %s > %s", path, in_folder("config.json.gz"));
    value = json_read_file(in_folder("config.json.gz"), 100, &err);
    assert_int_equal(json_integer_value(json_object_get(value, "a")), 1);
    json_decref(value);
    assert_null(json_read_file(path, 7, &err));
    assert_non_null(strstr(err.text, "longer than the 7 bytes"));
    assert_null(json_read_file(in_folder("absent.json"), 7, &err));
    assert_non_null(strstr(err.text, "absent.json': there is no such file"));
    assert_int_equal(file_write_whole(path, "", 0, &err), 0);
    assert_null(json_read_file(path, 7, &err));
    assert_non_null(strstr(err.text, "config.json: not valid JSON at line 1"));
}

static void values_one_after_the_other(void **state)
{
    (void)state;
    static const char text[] = " {\"a\": [1]} , \"two\", tru";
    static const size_t lengths[] = {10, 5};
    struct err err = {.text = ""};
    size_t at = 0, used;
    for (size_t i = 0; i < 2; i++) {
        at += strspn(text + at, " ,");
        json_t *value = json_read_first(text + at, sizeof text - 1 - at, &used, &err);
        assert_non_null(value);
        assert_int_equal(used, lengths[i]);
        json_decref(value);
        at += used;
    }
    at += strspn(text + at, " ,");
    assert_null(json_read_first(text + at, sizeof text - 1 - at, &used, &err));
    assert_non_null(strstr(err.text, "invalid token near 'tru'"));
    assert_null(json_read_first(NULL, 0, &used, &err));
}

static void numbers_of_any_length(void **state)
{
    (void)state;
    static const char text[] = "{\"model_max_length\": 1000000000000000019884624838656}";
    struct err err = {.text = ""};
    assert_null(json_read_text(text, sizeof text - 1, "x.json", &err));
    json_t *value = json_read_text_reals(text, sizeof text - 1, "x.json", &err);
    assert_true(json_real_value(json_object_get(value, "model_max_length")) == 1e30);
    json_decref(value);
}

/*
 * Strings and numbers whose buffers grow at every place of an escape or an exponent: whichever allocation fails, the
 * text is refused, or it is read as it stands.
 */
static void memory_runs_out_inside_of_tokens(void **state)
{
    (void)state;
    struct strbuf text = {0};
    struct err err;
    mem_hook_libraries();
    strbuf_puts(&text, "[0");
    for (int length = 10; length < 70; length++) {
        strbuf_printf(&text, ", \"%0*d\\u00e9\\\\\\\"\", 1.%0*de%d", length, 7, length, 0, length % 10);
    }
    strbuf_printf(&text, ", \"%05000d\\n\"]", 7);
    assert_int_equal(strbuf_check(&text, &err), 0);
    json_t *whole = json_read_text(text.data, text.length, "text", &err), *value = NULL;
    assert_int_equal(json_array_size(whole), 122);
    for (long n = 1; !value; n++) {
        err.text[0] = '\0';
        mem_fail_at(n);
        value = json_read_text(text.data, text.length, "text", &err);
        bool reached = mem_count() >= n;
        mem_fail_at(0);
        assert_true(reached == !value);
        assert_true(value || strstr(err.text, "out of memory"));
        assert_in_range(n, 1, 5000);
    }
    assert_true(json_equal(whole, value));
    json_decref(whole);
    json_decref(value);
    strbuf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_value_may_stand_alone),
        cmocka_unit_test(bad_text_is_located),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(members_have_types),
        cmocka_unit_test(absent_members_keep_the_default),
        cmocka_unit_test(needed_members),
        cmocka_unit_test(files_plain_and_packed),
        cmocka_unit_test(values_one_after_the_other),
        cmocka_unit_test(numbers_of_any_length),
        cmocka_unit_test(memory_runs_out_inside_of_tokens),
    };
    return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
