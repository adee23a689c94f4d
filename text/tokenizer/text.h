/*
 * text/tokenizer/text.h - a text on its way to the model, each byte knowing which bytes of the input it came from.
 * Internal to this room.
 */
#ifndef ATTUNE_TEXT_TOKENIZER_TEXT_H
#define ATTUNE_TEXT_TOKENIZER_TEXT_H

#include "text/tokenizer/span.h"
#include <stdbool.h>

/* Borrowed. Where sources are not tracked, a changed text has none, and text_source() must not be asked. */
struct aligned_text {
    const char *bytes;
    size_t length;
    const struct span *sources; /* of each byte; NULL: byte i is byte shift + i of the input */
    uint32_t shift;
};

/* The bytes of the input that bytes[start .. end), start < end, came from. */
static inline struct span text_source(const struct aligned_text *text, size_t start, size_t end)
{
    if (!text->sources) {
        return (struct span){text->shift + (uint32_t)start, text->shift + (uint32_t)end};
    }
    return (struct span){text->sources[start].start, text->sources[end - 1].end};
}

static inline struct aligned_text text_part(const struct aligned_text *text, size_t start, size_t end)
{
    struct aligned_text part = *text;
    part.bytes += start;
    part.length = end - start;
    part.sources = text->sources ? text->sources + start : NULL;
    part.shift += (uint32_t)start;
    return part;
}

/* A text being written. It grows to at most TEXT_BUFFER_MAX bytes: normalizers that write more than that are refused.
 */
#define TEXT_BUFFER_MAX ((size_t)1 << 30)
struct text_buffer {
    char *bytes;
    struct span *sources;
    size_t length, capacity, sources_capacity;
    bool tracked; /* whether sources are kept */
};

/* Appends bytes that all came from `source`. */
int text_put(struct text_buffer *buffer, const char *bytes, size_t length, struct span source, struct err *err);
int text_put_code_point(struct text_buffer *buffer, uint32_t code_point, struct span source, struct err *err);
/* Appends a part of a text as it is. */
int text_copy(struct text_buffer *buffer, const struct aligned_text *text, size_t start, size_t end, struct err *err);
/* What has been written, until the next write. */
struct aligned_text text_view(const struct text_buffer *buffer);
void text_buffer_free(struct text_buffer *buffer);

#endif
