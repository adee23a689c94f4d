#include "text/tokenizer/decoder.h"

#include "base/utf8.h"
#include "text/tokenizer/bytes.h"
#include "text/unicode/unicode.h"
#include <string.h>

#define TEXTS_MAX ((size_t)1 << 30)

static const char replacement_character[] = "\xEF\xBF\xBD";

/* What has been written to texts->bytes since the last text is the next one. */
static int texts_close(struct texts *texts, struct err *err)
{
    struct span_list *parts = &texts->parts;
    size_t start = parts->count > 0 ? parts->items[parts->count - 1].end : 0, end = texts->bytes.length;
    if (end > TEXTS_MAX) {
        return err_set(err, "the decoded text is longer than %zu bytes; decode fewer tokens at a time", TEXTS_MAX);
    }
    struct span *items = mem_grow(parts->items, &parts->capacity, parts->count + 1, sizeof(*items), err);
    if (!items) {
        return -1;
    }
    parts->items = items;
    items[parts->count++] = (struct span){(uint32_t)start, (uint32_t)end};
    return strbuf_check(&texts->bytes, err);
}

int texts_add(struct texts *texts, const char *text, size_t length, struct err *err)
{
    strbuf_append(&texts->bytes, text, length);
    return texts_close(texts, err);
}

/* Appends bytes as UTF-8, U+FFFD for each maximal part that is none. */
static void put_lossy(struct strbuf *out, const char *bytes, size_t length)
{
    for (size_t at = 0, size; at < length; at += size) {
        int code_point;
        size = utf8_read(bytes + at, length - at, &code_point);
        if (code_point >= 0) {
            strbuf_append(out, bytes + at, size);
        } else {
            strbuf_puts(out, replacement_character);
        }
    }
}

/* How many bytes at the end are a character that is cut off, and would be whole with the right bytes after it. */
static size_t cut_off(const char *bytes, size_t length)
{
    for (size_t back = 1; back <= 3 && back <= length; back++) {
        unsigned char lead = (unsigned char)bytes[length - back];
        if (lead >= 0xC2 && lead <= 0xF4) {
            int code_point;
            size_t size = utf8_read(bytes + length - back, back, &code_point);
            return code_point < 0 && size == back && back < utf8_size(bytes[length - back]) ? back : 0;
        }
    }
    return 0;
}

/* The bytes that byte-level characters stand for; a text with any other character is taken as it is. */
static void unspell(struct strbuf *out, const char *text, size_t length)
{
    size_t start = out->length;
    for (size_t at = 0; at < length;) {
        int byte = character_byte(utf8_next(text, &at));
        if (byte < 0) {
            out->length = out->failed ? out->length : start;
            strbuf_append(out, text, length);
            return;
        }
        strbuf_putc(out, (char)byte);
    }
}

static int byte_level(struct texts *out, const struct texts *in, struct decoder_place *place, struct err *err)
{
    struct strbuf bytes = {0};
    for (size_t i = 0; i < in->parts.count; i++) {
        struct span part = in->parts.items[i];
        unspell(&bytes, in->bytes.data + part.start, part.end - part.start);
    }
    int result = strbuf_check(&bytes, err);
    if (result == 0) {
        put_lossy(&out->bytes, strbuf_text(&bytes), bytes.length);
        place->open = cut_off(strbuf_text(&bytes), bytes.length) > 0;
        result = texts_close(out, err);
    }
    strbuf_free(&bytes);
    return result;
}

static int hexadecimal(char digit)
{
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
           : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                          : -1;
}

/* The byte of a token <0xHH>; -1: it is another token. */
static int fallback_byte(const char *text, size_t length)
{
    if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') {
        return -1;
    }
    int high = hexadecimal(text[3]), low = hexadecimal(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* A run of bytes becomes one text where it is UTF-8 as a whole, else a U+FFFD for each byte. */
static int flush_bytes(struct texts *out, struct strbuf *run, struct decoder_place *place, bool is_last,
                       struct err *err)
{
    if (strbuf_check(run, err) != 0) {
        return -1;
    }
    if (run->length == 0) {
        return 0;
    }
    int result = 0;
    if (utf8_valid(run->data, run->length)) {
        result = texts_add(out, run->data, run->length, err);
    } else {
        size_t tail = cut_off(run->data, run->length);
        place->open = is_last && tail > 0 && utf8_valid(run->data, run->length - tail);
        for (size_t i = 0; i < run->length && result == 0; i++) {
            result = texts_add(out, replacement_character, sizeof(replacement_character) - 1, err);
        }
    }
    strbuf_clear(run);
    return result;
}

static int byte_fallback(struct texts *out, const struct texts *in, struct decoder_place *place, struct err *err)
{
    struct strbuf run = {0};
    int result = 0;
    for (size_t i = 0; i < in->parts.count && result == 0; i++) {
        struct span part = in->parts.items[i];
        const char *text = in->bytes.data + part.start;
        int byte = fallback_byte(text, part.end - part.start);
        if (byte >= 0) {
            strbuf_putc(&run, (char)byte);
            continue;
        }
        result = flush_bytes(out, &run, place, false, err);
        if (result == 0) {
            result = texts_add(out, text, part.end - part.start, err);
        }
    }
    if (result == 0) {
        result = flush_bytes(out, &run, place, true, err);
    }
    strbuf_free(&run);
    return result;
}

static int fuse(struct texts *out, const struct texts *in, struct err *err)
{
    return texts_add(out, strbuf_text(&in->bytes), in->bytes.length, err);
}

static int metaspace(struct texts *out, const struct decoder *step, const struct texts *in, bool continues,
                     struct err *err)
{
    for (size_t i = 0; i < in->parts.count; i++) {
        const char *text = in->bytes.data + in->parts.items[i].start;
        size_t length = in->parts.items[i].end - in->parts.items[i].start, copied = 0;
        bool strips = i == 0 && step->strips_first && !(continues && !step->whole);
        const char *found;
        while ((found = memmem(text + copied, length - copied, step->pattern.text, step->pattern.length)) != NULL) {
            strbuf_append(&out->bytes, text + copied, (size_t)(found - text) - copied);
            strbuf_append(&out->bytes, " ", strips ? 0 : 1);
            copied = (size_t)(found - text) + step->pattern.length;
        }
        strbuf_append(&out->bytes, text + copied, length - copied);
        if (texts_close(out, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int replace(struct texts *out, const struct decoder *step, const struct texts *in,
                   struct pattern_scratch *scratch, struct err *err)
{
    for (size_t i = 0; i < in->parts.count; i++) {
        struct span part = in->parts.items[i];
        const char *text = strbuf_text(&in->bytes) + part.start;
        struct pattern_walk walk;
        if (pattern_begin(&walk, &step->pattern, text, part.end - part.start, scratch, err) != 0) {
            return -1;
        }
        size_t copied = 0, start, end;
        int found;
        while ((found = pattern_next(&walk, &start, &end, err)) > 0) {
            strbuf_append(&out->bytes, text + copied, start - copied);
            strbuf_append(&out->bytes, step->text, step->text_length);
            copied = end;
        }
        strbuf_append(&out->bytes, text + copied, walk.length - copied);
        if (found < 0 || texts_close(out, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Takes the character off the start and the end of each text, of one that continues another not off its start. */
static int strip(struct texts *out, const struct decoder *step, const struct texts *in, bool continues, struct err *err)
{
    for (size_t i = 0; i < in->parts.count; i++) {
        size_t start = in->parts.items[i].start, end = in->parts.items[i].end;
        const char *bytes = strbuf_text(&in->bytes);
        size_t limit = continues && step->whole ? 0 : step->start;
        for (size_t n = 0;
             n < limit && end - start >= step->text_length && memcmp(bytes + start, step->text, step->text_length) == 0;
             n++) {
            start += step->text_length;
        }
        for (size_t n = 0; n < step->stop && end - start >= step->text_length &&
                           memcmp(bytes + end - step->text_length, step->text, step->text_length) == 0;
             n++) {
            end -= step->text_length;
        }
        if (texts_add(out, bytes + start, end - start, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int apply(const struct decoder *step, struct texts *out, const struct texts *in, struct decoder_scratch *scratch,
                 struct decoder_place *place, struct err *err)
{
    switch (step->kind) {
    case DECODER_BYTE_LEVEL:
        return byte_level(out, in, place, err);
    case DECODER_METASPACE:
        return metaspace(out, step, in, place->continues, err);
    case DECODER_BYTE_FALLBACK:
        return byte_fallback(out, in, place, err);
    case DECODER_FUSE:
        return fuse(out, in, err);
    case DECODER_REPLACE:
        return replace(out, step, in, &scratch->pattern, err);
    case DECODER_STRIP:
        break;
    }
    place->open |= step->whole && step->stop > 0; /* any of it may turn out to be the end */
    return strip(out, step, in, place->continues, err);
}

static void texts_clear(struct texts *texts)
{
    strbuf_clear(&texts->bytes);
    texts->parts.count = 0;
}

int decoders_apply(const struct decoders *decoders, struct decoder_scratch *scratch, struct decoder_place *place,
                   struct strbuf *out, struct err *err)
{
    place->open = false;
    for (size_t i = 0; i < decoders->count; i++) {
        texts_clear(&scratch->spare);
        if (apply(&decoders->steps[i], &scratch->spare, &scratch->texts, scratch, place, err) != 0) {
            return -1;
        }
        struct texts done = scratch->spare;
        scratch->spare = scratch->texts;
        scratch->texts = done;
    }
    const struct texts *texts = &scratch->texts;
    if (!decoders->joins_with_spaces) {
        strbuf_append(out, strbuf_text(&texts->bytes), texts->bytes.length);
    }
    for (size_t i = 0; decoders->joins_with_spaces && i < texts->parts.count; i++) {
        struct span part = texts->parts.items[i];
        strbuf_append(out, " ", i > 0 || place->continues ? 1 : 0);
        strbuf_append(out, strbuf_text(&texts->bytes) + part.start, part.end - part.start);
    }
    return strbuf_check(out, err);
}

void decoder_scratch_free(struct decoder_scratch *scratch)
{
    strbuf_free(&scratch->texts.bytes);
    span_list_free(&scratch->texts.parts);
    strbuf_free(&scratch->spare.bytes);
    span_list_free(&scratch->spare.parts);
    pattern_scratch_free(&scratch->pattern);
}
