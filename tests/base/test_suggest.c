/* "Did you mean ...?" */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/suggest.h"
#include <cmocka.h>
#include <string.h>

static void distances(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance("", ""), 0);
    assert_int_equal(suggest_distance("", "abc"), 3);
    assert_int_equal(suggest_distance("reward", ""), 6);
    assert_int_equal(suggest_distance("reward", "reward"), 0);
    assert_int_equal(suggest_distance("reward", "rewrad"), 1); /* neighbours swapped */
    assert_int_equal(suggest_distance("kitten", "sitting"), 3);
    assert_int_equal(suggest_distance("saturday", "sunday"), 3);
    assert_int_equal(suggest_distance("Max_Length", "max-length"), 0);
    assert_int_equal(suggest_distance("abcdef", "fedcba"), suggest_distance("fedcba", "abcdef"));
}

static void long_words(void **state)
{
    (void)state;
    char word[SUGGEST_WORD_MAX + 2], other[SUGGEST_WORD_MAX + 2];
    memset(word, 'a', sizeof word);
    memset(other, 'b', sizeof other);
    word[SUGGEST_WORD_MAX] = other[SUGGEST_WORD_MAX] = '\0';
    assert_int_equal(suggest_distance(word, other), SUGGEST_WORD_MAX);
    word[SUGGEST_WORD_MAX] = 'a';
    word[SUGGEST_WORD_MAX + 1] = '\0';
    assert_int_equal(suggest_distance(word, other), SUGGEST_WORD_MAX + 1);
    const char *const choices[] = {word};
    assert_null(suggest_nearest(word, choices, 1));
}

static void nearest_word(void **state)
{
    (void)state;
    static const char *const keys[] = {"learning_rate", "lora_rank", "max_length", "seed", "sft", "ppo"};
    const size_t count = sizeof keys / sizeof *keys;
    assert_string_equal(suggest_nearest("learning_rte", keys, count), "learning_rate");
    assert_string_equal(suggest_nearest("lr_rank", keys, count), "lora_rank");
    assert_string_equal(suggest_nearest("max-len", keys, count), "max_length");
    assert_string_equal(suggest_nearest("sfy", keys, count), "sft");
    assert_string_equal(suggest_nearest("ppo", keys, count), "ppo");
    assert_null(suggest_nearest("temperature", keys, count));
    assert_null(suggest_nearest("xyz", keys, count));
    assert_null(suggest_nearest("seed", keys, 0));
    static const char *const equals[] = {"cat", "bat"};
    assert_string_equal(suggest_nearest("rat", equals, 2), "cat");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances),
        cmocka_unit_test(long_words),
        cmocka_unit_test(nearest_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
