/* Sentences: made, put together, cut between characters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/utf8.h"
#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void sets_the_sentence(void **state)
{
    (void)state;
    struct err err = {.text = "before"};
    assert_int_equal(err_set(&err, "line %d of '%s'", 7, "x.yaml"), -1);
    assert_string_equal(err.text, "line 7 of 'x.yaml'");
}

static void adds_the_reason_of_errno(void **state)
{
    (void)state;
    struct err err;
    errno = ENOSPC;
    assert_int_equal(err_set_errno(&err, "cannot write '%s'", "out"), -1);
    assert_string_equal(err.text, "cannot write 'out': No space left on device");
    assert_int_equal(errno, ENOSPC);
}

static void puts_context_in_front(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, "it is empty");
    assert_int_equal(err_prefix(&err, "cannot open model '%s'", "m"), -1);
    assert_string_equal(err.text, "cannot open model 'm': it is empty");
    /* The old sentence may be an argument of the new one. */
    err_set(&err, "%s, and so is its folder", err.text);
    assert_string_equal(err.text, "cannot open model 'm': it is empty, and so is its folder");
    err_prefix(&err, "<%s>", err.text);
    assert_string_equal(err.text, "<cannot open model 'm': it is empty, and so is its folder>: "
                                  "cannot open model 'm': it is empty, and so is its folder");
}

static void cuts_between_characters(void **state)
{
    (void)state;
    char text[2 * ERR_TEXT_MAX];
    /* Every offset of a three-byte character against the end of the buffer. */
    for (size_t before = 0; before < 3; before++) {
        memset(text, 'a', before);
        size_t length = before;
        while (length + 4 < sizeof text) {
            memcpy(text + length, "\u20AC", 3);
            length += 3;
        }
        text[length] = '\0';
        struct err err;
        err_set(&err, "%s", text);
        size_t kept = strlen(err.text);
        assert_in_range(kept, ERR_TEXT_MAX - 4, ERR_TEXT_MAX - 1);
        assert_string_equal(err.text + kept - 3, "...");
        assert_true(utf8_valid(err.text, kept));
        err_prefix(&err, "%s", text);
        assert_true(utf8_valid(err.text, strlen(err.text)));
        errno = EIO;
        err_set_errno(&err, "%s", text);
        assert_true(utf8_valid(err.text, strlen(err.text)));
    }
}

static void keeps_what_fits_exactly(void **state)
{
    (void)state;
    char text[ERR_TEXT_MAX + 1];
    memset(text, 'x', sizeof text);
    text[ERR_TEXT_MAX - 1] = '\0';
    struct err err;
    err_set(&err, "%s", text);
    assert_string_equal(err.text, text);
    text[ERR_TEXT_MAX - 1] = 'x';
    text[ERR_TEXT_MAX] = '\0';
    err_set(&err, "%s", text);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    assert_string_equal(err.text + ERR_TEXT_MAX - 5, "x...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_the_sentence),       cmocka_unit_test(adds_the_reason_of_errno),
        cmocka_unit_test(puts_context_in_front),   cmocka_unit_test(cuts_between_characters),
        cmocka_unit_test(keeps_what_fits_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
