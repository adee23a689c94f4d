#include "base/utf8.h"

#include <assert.h>

size_t utf8_read(const char *bytes, size_t length, int *code_point)
{
    assert(length > 0);
    const unsigned char *in = (const unsigned char *)bytes;
    *code_point = -1;
    if (in[0] < 0x80) {
        *code_point = in[0];
        return 1;
    }
    if (in[0] < 0xC2 || in[0] > 0xF4) {
        return 1;
    }
    size_t need = in[0] < 0xE0 ? 2 : in[0] < 0xF0 ? 3 : 4;
    int value = in[0] & (0x7F >> need);
    /* The second byte's range shuts out overlong forms, surrogates and what lies beyond U+10FFFF (Unicode, table 3-7).
     */
    unsigned char least = in[0] == 0xE0 ? 0xA0 : in[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char most = in[0] == 0xED ? 0x9F : in[0] == 0xF4 ? 0x8F : 0xBF;
    for (size_t i = 1; i < need; i++) {
        if (i >= length || in[i] < least || in[i] > most) {
            return i;
        }
        value = (value << 6) | (in[i] & 0x3F);
        least = 0x80;
        most = 0xBF;
    }
    *code_point = value;
    return need;
}

size_t utf8_write(char out[4], unsigned code_point)
{
    if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)) {
        code_point = UTF8_REPLACEMENT;
    }
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    size_t size = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code_point & 0x3F));
        code_point >>= 6;
    }
    out[0] = (char)((0xF00u >> size) | code_point);
    return size;
}

bool utf8_valid(const char *bytes, size_t length)
{
    for (size_t at = 0; at < length;) {
        int code_point;
        at += utf8_read(bytes + at, length - at, &code_point);
        if (code_point < 0) {
            return false;
        }
    }
    return true;
}

size_t utf8_characters(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        count += !utf8_continues(text[i]);
    }
    return count;
}

size_t utf8_cut(const char *text, size_t length, size_t most)
{
    if (length <= most) {
        return length;
    }
    while (most > 0 && utf8_continues(text[most])) {
        most--;
    }
    return most;
}
