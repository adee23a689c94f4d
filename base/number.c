#include "base/number.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void number_format(char out[NUMBER_TEXT_SIZE], double number)
{
    assert(isfinite(number));
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, NUMBER_TEXT_SIZE, "%.*g", digits, number);
        if (strtod(out, NULL) == number) {
            break;
        }
    }
    if (!strchr(out, '.')) {
        size_t mantissa = strcspn(out, "e"), length = strlen(out);
        assert(length + 2 < NUMBER_TEXT_SIZE);
        memmove(out + mantissa + 2, out + mantissa, length - mantissa + 1);
        memcpy(out + mantissa, ".0", 2);
    }
}

#define PLAIN_MAX 64

/* The text without its underscores, which may stand between digits only; false where it cannot be a decimal number. */
static bool plain_digits(char out[PLAIN_MAX], const char *text)
{
    size_t length = 0;
    bool any_digit = false;
    for (size_t i = 0; text[i]; i++) {
        if (text[i] == '_' && i > 0 && isdigit((unsigned char)text[i - 1]) && isdigit((unsigned char)text[i + 1])) {
            continue;
        }
        if (!strchr("+-.eE", text[i]) && !isdigit((unsigned char)text[i])) {
            return false;
        }
        any_digit = any_digit || isdigit((unsigned char)text[i]);
        if (length + 1 == PLAIN_MAX) {
            return false;
        }
        out[length++] = text[i];
    }
    out[length] = '\0';
    return any_digit;
}

bool number_parse(const char *text, double *number)
{
    char plain[PLAIN_MAX], *end;
    if (!plain_digits(plain, text)) {
        return false;
    }
    double value = strtod(plain, &end);
    if (*end != '\0' || !isfinite(value)) {
        return false;
    }
    *number = value;
    return true;
}

bool number_parse_whole(const char *text, int64_t *number)
{
    char plain[PLAIN_MAX], *end;
    if (!plain_digits(plain, text)) {
        return false;
    }
    errno = 0;
    long long whole = strtoll(plain, &end, 10);
    if (*end == '\0') {
        *number = whole;
        return errno == 0;
    }
    double value;
    const double exact = 9007199254740992.0; /* 2^53: up to here every whole number is a double */
    if (!number_parse(text, &value) || value != floor(value) || fabs(value) > exact) {
        return false;
    }
    *number = (int64_t)value;
    return true;
}
