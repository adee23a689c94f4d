/*
 * Any bytes as a tokenizer.json. After a byte 0xFF comes the text to encode; without it a fixed one is. What opens
 * must encode into ids that there are, with ranges inside of the text, and decode them again, at once and one by one.
 */
#include "base/mem.h"
#include "base/utf8.h"
#include "text/tokenizer/tokenizer.h"
#include <assert.h>
#include <string.h>

/* Patterns of a file may take long by design; what is checked here is not their speed. */
#define TEXT_BYTES_MAX 64

static const char fixed[] = "The cat's  \xC3\xA9t\xC3\xA9,<s> 2024\n \xE6\x97\xA5\xF0\x9F\x99\x82 e\xCC\x81 <x> ";

static void check_tokens(const struct tokenizer *tokenizer, const struct token_list *tokens, size_t length)
{
    for (size_t i = 0; i < tokens->count; i++) {
        assert(tokens->ids[i] >= 0 && tokens->ids[i] < tokenizer_size(tokenizer));
        assert(tokenizer_token(tokenizer, tokens->ids[i]));
        assert(tokens->starts[i] <= tokens->ends[i] && tokens->ends[i] <= length);
    }
}

static void decode(const struct tokenizer *tokenizer, const struct token_list *tokens)
{
    struct err err;
    struct strbuf text = {0};
    struct token_stream stream = {0};
    int result = tokenizer_decode(tokenizer, tokens->ids, tokens->count, TOKENIZER_SKIP_SPECIAL, &text, &err);
    assert(result != 0 || utf8_valid(strbuf_text(&text), text.length));
    strbuf_clear(&text);
    for (size_t i = 0; i < tokens->count && result == 0; i++) {
        result = tokenizer_decode_next(tokenizer, &stream, tokens->ids[i], 0, &text, &err);
    }
    if (result == 0) {
        result = tokenizer_decode_end(tokenizer, &stream, &text, &err);
    }
    assert(result != 0 || utf8_valid(strbuf_text(&text), text.length));
    token_stream_free(&stream);
    strbuf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *divide = size > 0 ? memchr(data, 0xFF, size) : NULL;
    size_t json = divide ? (size_t)(divide - data) : size;
    const char *text = divide ? (const char *)divide + 1 : fixed;
    size_t length = divide ? size - json - 1 : sizeof(fixed) - 1;
    length = length < TEXT_BYTES_MAX ? length : TEXT_BYTES_MAX;
    struct tokenizer *tokenizer = NULL;
    struct token_list tokens = {0};
    struct err err;
    if (tokenizer_open_memory(&tokenizer, (const char *)data, json, "fuzz.json", &err) != 0) {
        return 0;
    }
    if (tokenizer_encode(tokenizer, text, length, TOKENIZER_ADD_SPECIAL | TOKENIZER_OFFSETS, &tokens, &err) == 0) {
        check_tokens(tokenizer, &tokens, length);
        decode(tokenizer, &tokens);
    }
    token_list_free(&tokens);
    tokenizer_free(tokenizer);
    return 0;
}
