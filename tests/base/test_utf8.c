/* UTF-8: any bytes, and valid text. */
#include "base/utf8.h"
#include "support/cmocka.h"
#include <string.h>

static void every_code_point_goes_round(void **state)
{
    (void)state;
    for (unsigned code_point = 0; code_point < 0x110100; code_point++) {
        char bytes[4];
        size_t size = utf8_write(bytes, code_point);
        bool exists = code_point < 0x110000 && (code_point < 0xD800 || code_point > 0xDFFF);
        int read = 0;
        assert_int_equal(utf8_read(bytes, size, &read), size);
        assert_int_equal(read, exists ? code_point : UTF8_REPLACEMENT);
        for (size_t cut = 1; cut < size; cut++) {
            assert_int_equal(utf8_read(bytes, cut, &read), cut);
            assert_int_equal(read, -1);
        }
    }
}

static void bad_utf8_is_told(void **state)
{
    (void)state;
    /* Unicode 15, chapter 3.9, tables 3-8 to 3-11: how many bytes one U+FFFD stands for. */
    static const struct {
        const char *bytes;
        size_t length;
        size_t taken;
    } cases[] = {
        {"\x80", 1, 1},                 /* a continuation byte alone */
        {"\xC0\xAF", 2, 1},             /* overlong '/' */
        {"\xE0\x80\xBF", 3, 1},         /* overlong */
        {"\xF0\x81\x82\x41", 4, 1},     /* overlong */
        {"\xED\xA0\x80", 3, 1},         /* surrogate */
        {"\xF4\x91\x92\x93", 4, 1},     /* beyond U+10FFFF */
        {"\xFF", 1, 1},                 /* never in UTF-8 */
        {"\xE1\x80\xE2\xF0", 4, 2},     /* cut off */
        {"\xF0\x91\x92\xF1\xBF", 5, 3}, /* cut off */
        {"\xF1\xBF\x41", 3, 2},         /* cut off */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int code_point = 0;
        assert_int_equal(utf8_read(cases[i].bytes, cases[i].length, &code_point), cases[i].taken);
        assert_int_equal(code_point, -1);
        assert_false(utf8_valid(cases[i].bytes, cases[i].length));
    }
    assert_true(utf8_valid("h\xC3\xA9 \xF0\x9F\x98\x80", 8));
    assert_true(utf8_valid(NULL, 0));
}

static void valid_text_is_walked_both_ways(void **state)
{
    (void)state;
    static const char text[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
    static const uint32_t code_points[] = {'a', 0xE9, 0x20AC, 0x1F600};
    size_t at = 0;
    for (size_t i = 0; i < sizeof code_points / sizeof *code_points; i++) {
        size_t start = at;
        assert_int_equal(utf8_next(text, &at), code_points[i]);
        assert_int_equal(at - start, utf8_size(text[start]));
        assert_int_equal(utf8_before(text, at), start);
    }
    assert_int_equal(at, strlen(text));
    assert_int_equal(utf8_characters(text, at), 4);
    assert_int_equal(utf8_characters(NULL, 0), 0);
}

static void a_cut_keeps_whole_characters(void **state)
{
    (void)state;
    static const char text[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
    static const size_t kept[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
    for (size_t most = 0; most < sizeof kept / sizeof *kept; most++) {
        assert_int_equal(utf8_cut(text, strlen(text), most), kept[most]);
    }
    assert_int_equal(utf8_cut("\x80\x80\x80", 3, 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_goes_round),
        cmocka_unit_test(bad_utf8_is_told),
        cmocka_unit_test(valid_text_is_walked_both_ways),
        cmocka_unit_test(a_cut_keeps_whole_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
