/* Numbers as text and back. */
#include "base/number.h"
#include "base/random.h"
#include "support/cmocka.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void looks(void **state)
{
    (void)state;
    static const struct {
        double number;
        const char *text;
    } cases[] = {
        {0, "0.0"},
        {-0.0, "-0.0"},
        {1, "1.0"},
        {0.1, "0.1"},
        {2e-4, "0.0002"},
        {1e-5, "1.0e-05"},
        {2.5e-7, "2.5e-07"},
        {1e22, "1.0e+22"},
        {-3.25, "-3.25"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e6, "1000000.0"},
        {1.0 / 3, "0.3333333333333333"},
        {5e-324, "4.94065645841247e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[NUMBER_TEXT_SIZE];
        number_format(text, cases[i].number);
        assert_string_equal(text, cases[i].text);
    }
}

static void reads_back_the_same_bits(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 100000; i++) {
        uint64_t bits = random_u64(7, RANDOM_INIT, 0, i);
        double number, again;
        memcpy(&number, &bits, sizeof number);
        if (isfinite(number)) {
            char text[NUMBER_TEXT_SIZE];
            number_format(text, number);
            assert_true(strlen(text) < NUMBER_TEXT_SIZE && strchr(text, '.'));
            assert_true(number_parse(text, &again));
            assert_memory_equal(&again, &number, sizeof number);
        }
    }
}

static void refuses(void **state)
{
    (void)state;
    static const char *const texts[] = {"",     " ",     "1 ",   " 1",  "0x10",  "1,5",   "nan", "inf",
                                        "-inf", "1e400", "1e",   "e5",  "+-1",   "1.2.3", "_1",  "1_",
                                        "1__0", "1_.",   "1e_5", "--1", "1e5e5", "ten",   "."};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        double real = 7;
        int64_t whole = 7;
        assert_false(number_parse(texts[i], &real));
        assert_false(number_parse_whole(texts[i], &whole));
        assert_true(real == 7 && whole == 7);
    }
    char many[200];
    memset(many, '1', sizeof many);
    many[sizeof many - 1] = '\0';
    double real;
    assert_false(number_parse(many, &real)); /* longer than any number one would write */
}

static void whole_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t number;
    } cases[] = {{"0", 0},
                 {"-0", 0},
                 {"+5", 5},
                 {"1_000_000", 1000000},
                 {"1e3", 1000},
                 {"2.50e1", 25},
                 {"9007199254740992.0", 9007199254740992},
                 {"-9223372036854775808", INT64_MIN}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t number = 7;
        assert_true(number_parse_whole(cases[i].text, &number));
        assert_int_equal(number, cases[i].number);
    }
    static const char *const refused[] = {"0.5", "1e-1", "9223372036854775808", "1e17", "-9223372036854775809"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        int64_t number = 7;
        assert_false(number_parse_whole(refused[i], &number));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks),
        cmocka_unit_test(reads_back_the_same_bits),
        cmocka_unit_test(refuses),
        cmocka_unit_test(whole_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
