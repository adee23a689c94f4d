/*
 * Tokens to text, whole or as they come.
 */
#include "base/mem.h"
#include "text/tokenizer/internal.h"
#include <assert.h>

/* Kept back by a stream: no character needs so many tokens, so a longer wait means text that never becomes whole. */
#define STREAM_IDS_MAX ((size_t)1 << 20)

/* Adds the text of a token, unless it is special and those are to be left out. */
static int add_token(const struct tokenizer *tokenizer, struct texts *texts, int32_t id, unsigned flags,
                     struct err *err)
{
    const struct added_token *added = added_by_id(&tokenizer->added, id);
    size_t length = 0;
    const char *text = vocabulary_text(&tokenizer->model.vocabulary, id, &length);
    if (added) {
        text = added->decoded ? added->decoded : added->text;
        length = added->decoded ? added->decoded_length : added->length;
    }
    if (!text && (flags & TOKENIZER_SKIP_SPECIAL)) {
        return 0;
    }
    if (!text) {
        return err_set(err, "no token has the id %d; ids of this tokenizer are below %d", id,
                       tokenizer_size(tokenizer));
    }
    return added && added->special && (flags & TOKENIZER_SKIP_SPECIAL) ? 0 : texts_add(texts, text, length, err);
}

static int decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count, unsigned flags,
                  struct decoder_place *place, struct strbuf *out, struct err *err)
{
    struct decoder_scratch scratch = {.pattern.stand_ins = &tokenizer->stand_ins};
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        result = add_token(tokenizer, &scratch.texts, ids[i], flags, err);
    }
    if (result == 0) {
        result = decoders_apply(&tokenizer->decoders, &scratch, place, out, err);
    }
    decoder_scratch_free(&scratch);
    return result;
}

int tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count, unsigned flags,
                     struct strbuf *out, struct err *err)
{
    assert(tokenizer && out && (ids || count == 0));
    struct decoder_place place = {0};
    return decode(tokenizer, ids, count, flags, &place, out, err);
}

/* Decodes what is waiting, and appends it where it is certain or `at_end`. */
static int settle(const struct tokenizer *tokenizer, struct token_stream *stream, bool at_end, struct strbuf *out,
                  struct err *err)
{
    struct decoder_place place = {.continues = stream->started};
    struct strbuf text = {0};
    int result = decode(tokenizer, stream->waiting, stream->count, stream->flags, &place, &text, err);
    /* Text that came to nothing may be the start that a decoder strips: the next token is then still the first. */
    if (result == 0 && text.length > 0 && (at_end || !place.open)) {
        strbuf_append(out, text.data, text.length);
        result = strbuf_check(out, err);
        stream->started = true;
        stream->count = 0;
    }
    strbuf_free(&text);
    return result;
}

int tokenizer_decode_next(const struct tokenizer *tokenizer, struct token_stream *stream, int32_t id, unsigned flags,
                          struct strbuf *out, struct err *err)
{
    assert(tokenizer && stream && out);
    if (!tokenizer_token(tokenizer, id) && (flags & TOKENIZER_SKIP_SPECIAL)) {
        return 0;
    }
    if (!tokenizer_token(tokenizer, id)) {
        return err_set(err, "no token has the id %d; ids of this tokenizer are below %d", id,
                       tokenizer_size(tokenizer));
    }
    if ((flags & TOKENIZER_SKIP_SPECIAL) && tokenizer_is_special(tokenizer, id)) {
        return 0;
    }
    if (stream->count == STREAM_IDS_MAX) {
        return err_set(err, "%zu tokens have come without one whole character", STREAM_IDS_MAX);
    }
    int32_t *waiting = mem_grow(stream->waiting, &stream->capacity, stream->count + 1, sizeof(*waiting), err);
    if (!waiting) {
        return -1;
    }
    stream->waiting = waiting;
    stream->waiting[stream->count++] = id;
    stream->flags = flags;
    return settle(tokenizer, stream, false, out, err);
}

int tokenizer_decode_end(const struct tokenizer *tokenizer, struct token_stream *stream, struct strbuf *out,
                         struct err *err)
{
    int result = stream->count > 0 ? settle(tokenizer, stream, true, out, err) : 0;
    stream->count = 0;
    return result;
}

void token_stream_free(struct token_stream *stream)
{
    mem_free(stream->waiting);
    *stream = (struct token_stream){0};
}
