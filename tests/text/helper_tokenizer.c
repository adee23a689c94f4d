#include "text/helper_tokenizer.h"

#include "base/file.h"
#include "base/mem.h"
#include "support/cmocka.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *real_data(const char *name)
{
    static char path[4096];
    const char *folder = getenv("ATTUNE_TEST_DATA");
    snprintf(path, sizeof(path), "%s/%s", folder ? folder : ATTUNE_FIXTURES "/../../../shared/data", name);
    return file_exists(path) ? path : NULL;
}

struct tokenizer *real_tokenizer(const char *name)
{
    struct tokenizer *tokenizer = NULL;
    struct err err;
    char file[256];
    snprintf(file, sizeof(file), "tokenizers/%s.json", name);
    const char *path = real_data(file);
    if (!path) {
        print_message("skipped: there is no %s in ATTUNE_TEST_DATA or ../shared/data\n", file);
        skip();
    }
    if (tokenizer_open(&tokenizer, path, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return tokenizer;
}

void read_whole(struct strbuf *out, const char *path)
{
    struct err err;
    if (file_read(out, path, (size_t)1 << 28, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

uint64_t made_up_below(struct made_up *random, uint64_t n)
{
    random->state += 0x9E3779B97F4A7C15u;
    uint64_t z = random->state;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (z ^ z >> 31) % n;
}

static const char *const words[] = {
    "'s",
    "'LL",
    "'ve",
    " don't",
    " the",
    "  ",
    "\n\n",
    " \n ",
    "\r\n",
    "\t",
    "\xC5\xBF",     /* U+017F, the long s */
    "'\xC5\xBF",    /* which is an s without regard to case */
    "\xE1\xA0\x8E", /* U+180E, which was white space once */
    "\xC2\x85",     /* U+0085, next line */
    "\xE3\x80\x80", /* U+3000, ideographic space */
    "\xC2\xA0",     /* U+00A0, no-break space */
    "<|endoftext|>",
    "<|begin_of_text|>",
    "<|im_start|>",
    "<s>",
    "</s>",
    "\xE2\x96\x81", /* U+2581 */
    "\xE2\x96\x81\xE2\x96\x81",
    "\xEF\xBF\xBD", /* U+FFFD */
    "<0x41>",
    "3.14",
    "2024",
    "e\xCC\x81",                                    /* e and an acute accent */
    "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x92\xBB", /* an emoji of three code points */
    "\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA",             /* a flag of two */
    "\xE4\xBD\xA0\xE5\xA5\xBD",                     /* Chinese */
    "\xEA\xB0\x80",                                 /* a Hangul syllable */
    "\xE0\xB8\x81\xE0\xB8\xB3",                     /* Thai */
};
#define WORDS (sizeof(words) / sizeof(*words))

static const unsigned ranges[][2] = {
    {0x20, 0x7E},     {0x20, 0x7E},       {0x00, 0x20},       {0x80, 0x2FF}, {0x300, 0x3100},
    {0x3040, 0x9FFF}, {0x1F300, 0x1FAFF}, {0xE000, 0x10FFFF}, {0x30, 0x39},  {0x00, 0xD7FF},
};
#define RANGES (sizeof(ranges) / sizeof(*ranges))

void made_up_text(struct strbuf *out, size_t size, uint64_t seed)
{
    struct made_up random = {seed};
    size_t end = out->length + size;
    while (out->length < end) {
        uint64_t kind = made_up_below(&random, RANGES + 2);
        uint64_t count = 1 + made_up_below(&random, 12);
        for (uint64_t i = 0; i < count; i++) {
            if (kind >= RANGES) {
                strbuf_puts(out, words[made_up_below(&random, WORDS)]);
            } else {
                uint64_t width = ranges[kind][1] - ranges[kind][0] + 1;
                strbuf_put_utf8(out, ranges[kind][0] + (unsigned)made_up_below(&random, width));
            }
        }
    }
    assert_false(out->failed);
}

size_t cut_text(const char *text, size_t length, size_t size)
{
    if (size >= length) {
        return length;
    }
    while (((unsigned char)text[size] & 0xC0) == 0x80) {
        size--;
    }
    return size;
}

static uint64_t fnv_byte(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * 0x100000001B3u;
}

#define FNV_START 0xCBF29CE484222325u

uint64_t fnv(const void *bytes, size_t size)
{
    uint64_t hash = FNV_START;
    for (size_t i = 0; i < size; i++) {
        hash = fnv_byte(hash, ((const unsigned char *)bytes)[i]);
    }
    return hash;
}

uint64_t fnv_ids(const int32_t *ids, size_t count)
{
    uint64_t hash = FNV_START;
    for (size_t i = 0; i < count; i++) {
        for (int byte = 0; byte < 4; byte++) {
            hash = fnv_byte(hash, (unsigned char)((uint32_t)ids[i] >> (8 * byte)));
        }
    }
    return hash;
}

struct tokenizer *tokenizer_of(const char *json)
{
    struct tokenizer *tokenizer = NULL;
    struct err err;
    if (tokenizer_open_memory(&tokenizer, json, strlen(json), "tokenizer.json", &err) != 0) {
        fail_msg("%s", err.text);
    }
    return tokenizer;
}

void assert_refused(const char *json, const char *part)
{
    struct tokenizer *tokenizer = NULL;
    struct err err = {0};
    if (tokenizer_open_memory(&tokenizer, json, strlen(json), "bad.json", &err) == 0) {
        tokenizer_free(tokenizer);
        fail_msg("was opened: %s", json);
    }
    if (!strstr(err.text, part) || !strstr(err.text, "bad.json")) {
        fail_msg("'%s' does not say '%s' and the file", err.text, part);
    }
}
