#include "text/tokenizer/normalizer.h"

#include "base/json.h"
#include "base/utf8.h"
#include "text/tokenizer/bytes.h"
#include "text/tokenizer/sequence.h"
#include "text/unicode/unicode.h"
#include <string.h>

static const struct {
    const char *type;
    enum normalizer_kind kind;
} kinds[] = {
    {"NFC", NORMALIZER_NFC},
    {"NFD", NORMALIZER_NFD},
    {"NFKC", NORMALIZER_NFKC},
    {"NFKD", NORMALIZER_NFKD},
    {"Prepend", NORMALIZER_PREPEND},
    {"Replace", NORMALIZER_REPLACE},
    {"Lowercase", NORMALIZER_LOWERCASE},
    {"Strip", NORMALIZER_STRIP},
    {"StripAccents", NORMALIZER_STRIP_ACCENTS},
    {"ByteLevel", NORMALIZER_BYTE_LEVEL},
};

static int read_text(struct normalizer *step, const json_t *json, const char *key, const char *where, struct err *err)
{
    const json_t *text = json_object_get(json, key);
    if (!json_is_string(text)) {
        return err_set(err, "%s: \"%s\" must be a string", where, key);
    }
    step->text_length = json_string_length(text);
    step->text = mem_copy_string(json_string_value(text), step->text_length, err);
    return step->text ? 0 : -1;
}

static int read_step(struct normalizer *step, const json_t *json, const char *where, struct err *err)
{
    if (step->kind == NORMALIZER_PREPEND) {
        return read_text(step, json, "prepend", where, err);
    }
    if (step->kind == NORMALIZER_REPLACE) {
        if (read_text(step, json, "content", where, err) != 0) {
            return -1;
        }
        return pattern_from_json(&step->pattern, json_object_get(json, "pattern"), where, err);
    }
    if (step->kind == NORMALIZER_STRIP) {
        step->left = step->right = true;
        if (json_get_bool(json, "strip_left", &step->left, where, err) != 0) {
            return -1;
        }
        return json_get_bool(json, "strip_right", &step->right, where, err);
    }
    return 0;
}

static int add_step(void *context, const json_t *json, const char *type, const char *where, struct err *err);

static const struct sequence sequence = {"normalizer", "normalizers", add_step};

static int add_step(void *context, const json_t *json, const char *type, const char *where, struct err *err)
{
    struct normalizers *normalizers = context;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (strcmp(type, kinds[i].type) != 0) {
            continue;
        }
        struct normalizer *steps =
            mem_grow(normalizers->steps, &normalizers->capacity, normalizers->count + 1, sizeof(*steps), err);
        if (!steps) {
            return -1;
        }
        normalizers->steps = steps;
        struct normalizer *step = &steps[normalizers->count++];
        step->kind = kinds[i].kind;
        return read_step(step, json, where, err) != 0 ? err_prefix(err, "normalizer %s", type) : 0;
    }
    return sequence_unknown(&sequence, type, where, err);
}

int normalizers_from_json(struct normalizers *normalizers, const json_t *json, const char *where, struct err *err)
{
    return sequence_read(&sequence, normalizers, json, where, err);
}

void normalizers_free(struct normalizers *normalizers)
{
    for (size_t i = 0; i < normalizers->count; i++) {
        mem_free(normalizers->steps[i].text);
        pattern_free(&normalizers->steps[i].pattern);
    }
    mem_free(normalizers->steps);
    *normalizers = (struct normalizers){0};
}

/* What is put in front belongs to the first character. */
static int prepend(struct text_buffer *out, const struct aligned_text *text, const struct normalizer *step,
                   struct err *err)
{
    if (text->length == 0) {
        return 0;
    }
    struct span source = text_source(text, 0, utf8_size(text->bytes[0]));
    if (text_put(out, step->text, step->text_length, source, err) != 0) {
        return -1;
    }
    return text_copy(out, text, 0, text->length, err);
}

/* A place where nothing was matched gives its content to the character before it. */
static struct span replaced_source(const struct aligned_text *text, size_t start, size_t end)
{
    if (start < end) {
        return text_source(text, start, end);
    }
    return start > 0 ? text_source(text, utf8_before(text->bytes, start), start) : (struct span){0, 0};
}

static int replace(struct text_buffer *out, const struct aligned_text *text, const struct normalizer *step,
                   struct pattern_scratch *scratch, struct err *err)
{
    struct pattern_walk walk;
    if (pattern_begin(&walk, &step->pattern, text->bytes, text->length, scratch, err) != 0) {
        return -1;
    }
    size_t copied = 0, start, end;
    int found;
    while ((found = pattern_next(&walk, &start, &end, err)) > 0) {
        if (text_copy(out, text, copied, start, err) != 0 ||
            text_put(out, step->text, step->text_length, replaced_source(text, start, end), err) != 0) {
            return -1;
        }
        copied = end;
    }
    return found < 0 ? -1 : text_copy(out, text, copied, text->length, err);
}

static bool is_space_at(const char *text, size_t at)
{
    return unicode_class(utf8_next(text, &at)).flags & UNICODE_SPACE;
}

static int strip(struct text_buffer *out, const struct aligned_text *text, const struct normalizer *step,
                 struct err *err)
{
    size_t start = 0, end = text->length;
    while (step->left && start < end && is_space_at(text->bytes, start)) {
        start += utf8_size(text->bytes[start]);
    }
    while (step->right && end > start && is_space_at(text->bytes, utf8_before(text->bytes, end))) {
        end = utf8_before(text->bytes, end);
    }
    return text_copy(out, text, start, end, err);
}

/* The steps that look at one code point at a time. */
static int map_code_points(struct text_buffer *out, const struct aligned_text *text, enum normalizer_kind kind,
                           struct err *err)
{
    for (size_t at = 0, start = 0; at < text->length; start = at) {
        uint32_t code_point = utf8_next(text->bytes, &at), lower[2] = {code_point, 0};
        size_t count = 1;
        if (kind == NORMALIZER_LOWERCASE) {
            count = unicode_lower(code_point, lower);
        } else if (unicode_class(code_point).flags & UNICODE_MARK) {
            count = 0;
        }
        for (size_t i = 0; i < count; i++) {
            if (text_put_code_point(out, lower[i], text_source(text, start, at), err) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

static int apply(struct text_buffer *out, const struct aligned_text *text, const struct normalizer *step,
                 struct normalizer_scratch *scratch, struct err *err)
{
    switch (step->kind) {
    case NORMALIZER_NFC:
    case NORMALIZER_NFKC:
        return normal_form(out, text, true, step->kind == NORMALIZER_NFKC, scratch, err);
    case NORMALIZER_NFD:
    case NORMALIZER_NFKD:
        return normal_form(out, text, false, step->kind == NORMALIZER_NFKD, scratch, err);
    case NORMALIZER_PREPEND:
        return prepend(out, text, step, err);
    case NORMALIZER_REPLACE:
        return replace(out, text, step, &scratch->pattern, err);
    case NORMALIZER_LOWERCASE:
    case NORMALIZER_STRIP_ACCENTS:
        return map_code_points(out, text, step->kind, err);
    case NORMALIZER_STRIP:
        return strip(out, text, step, err);
    case NORMALIZER_BYTE_LEVEL:
        break;
    }
    return text_put_spelled(out, text, 0, text->length, err);
}

int normalizers_apply(const struct normalizers *normalizers, struct aligned_text *text, bool tracked,
                      struct normalizer_scratch *scratch, struct err *err)
{
    for (size_t i = 0; i < normalizers->count; i++) {
        struct text_buffer *out = &scratch->buffers[i % 2];
        out->length = 0;
        out->tracked = tracked;
        if (apply(out, text, &normalizers->steps[i], scratch, err) != 0) {
            return -1;
        }
        *text = text_view(out);
    }
    return 0;
}

void normalizer_scratch_free(struct normalizer_scratch *scratch)
{
    text_buffer_free(&scratch->buffers[0]);
    text_buffer_free(&scratch->buffers[1]);
    pattern_scratch_free(&scratch->pattern);
    mem_free(scratch->points);
    *scratch = (struct normalizer_scratch){0};
}
