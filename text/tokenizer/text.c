#include "text/tokenizer/text.h"

#include "base/utf8.h"
#include <string.h>

static int make_room(struct text_buffer *buffer, size_t length, struct err *err)
{
    if (length > TEXT_BUFFER_MAX - buffer->length) {
        return err_set(err, "the tokenizer's normalizer makes the text longer than %zu bytes; split the text",
                       TEXT_BUFFER_MAX);
    }
    size_t need = buffer->length + length;
    if (need > buffer->capacity) {
        char *bytes = mem_grow(buffer->bytes, &buffer->capacity, need, 1, err);
        if (!bytes) {
            return -1;
        }
        buffer->bytes = bytes;
    }
    if (buffer->tracked && need > buffer->sources_capacity) {
        struct span *sources = mem_grow(buffer->sources, &buffer->sources_capacity, need, sizeof(*sources), err);
        if (!sources) {
            return -1;
        }
        buffer->sources = sources;
    }
    return 0;
}

int text_put(struct text_buffer *buffer, const char *bytes, size_t length, struct span source, struct err *err)
{
    if (make_room(buffer, length, err) != 0) {
        return -1;
    }
    if (length > 0) {
        memcpy(buffer->bytes + buffer->length, bytes, length);
    }
    if (buffer->tracked) {
        for (size_t i = 0; i < length; i++) {
            buffer->sources[buffer->length + i] = source;
        }
    }
    buffer->length += length;
    return 0;
}

int text_put_code_point(struct text_buffer *buffer, uint32_t code_point, struct span source, struct err *err)
{
    char bytes[4];
    return text_put(buffer, bytes, utf8_write(bytes, code_point), source, err);
}

int text_copy(struct text_buffer *buffer, const struct aligned_text *text, size_t start, size_t end, struct err *err)
{
    size_t length = end - start;
    if (make_room(buffer, length, err) != 0) {
        return -1;
    }
    if (length > 0) {
        memcpy(buffer->bytes + buffer->length, text->bytes + start, length);
    }
    if (buffer->tracked) {
        for (size_t i = 0; i < length; i++) {
            buffer->sources[buffer->length + i] = text_source(text, start + i, start + i + 1);
        }
    }
    buffer->length += length;
    return 0;
}

struct aligned_text text_view(const struct text_buffer *buffer)
{
    return (struct aligned_text){buffer->length > 0 ? buffer->bytes : "", buffer->length,
                                 buffer->tracked ? buffer->sources : NULL, 0};
}

void text_buffer_free(struct text_buffer *buffer)
{
    mem_free(buffer->bytes);
    mem_free(buffer->sources);
    *buffer = (struct text_buffer){0};
}
