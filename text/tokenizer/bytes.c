#include "text/tokenizer/bytes.h"

static bool stands_for_itself(unsigned byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

unsigned byte_character(unsigned char byte)
{
    if (stands_for_itself(byte)) {
        return byte;
    }
    return byte <= ' ' ? 0x100u + byte : byte <= 0xA0 ? 0x121u + (byte - 0x7Fu) : 0x143;
}

int character_byte(unsigned character)
{
    if (character < 0x100) {
        return stands_for_itself(character) ? (int)character : -1;
    }
    if (character <= 0x120) {
        return (int)character - 0x100;
    }
    return character <= 0x142 ? (int)character - 0x121 + 0x7F : character == 0x143 ? 0xAD : -1;
}

int text_put_spelled(struct text_buffer *out, const struct aligned_text *text, size_t start, size_t end,
                     struct err *err)
{
    for (size_t at = start; at < end; at++) {
        unsigned character = byte_character((unsigned char)text->bytes[at]);
        if (text_put_code_point(out, character, text_source(text, at, at + 1), err) != 0) {
            return -1;
        }
    }
    return 0;
}
