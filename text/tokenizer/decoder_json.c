/* The section "decoder" of a tokenizer.json. */
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "text/tokenizer/decoder.h"
#include "text/tokenizer/sequence.h"
#include "text/unicode/unicode.h"
#include <string.h>

static int read_text(struct decoder *step, const json_t *json, const char *where, struct err *err)
{
    const json_t *text = json_object_get(json, "content");
    if (!json_is_string(text)) {
        return err_set(err, "%s: \"content\" must be a string", where);
    }
    step->text_length = json_string_length(text);
    step->text = mem_copy_string(json_string_value(text), step->text_length, err);
    return step->text ? 0 : -1;
}

static int read_replace(struct decoder *step, const json_t *json, const char *where, struct err *err)
{
    if (read_text(step, json, where, err) != 0) {
        return -1;
    }
    return pattern_from_json(&step->pattern, json_object_get(json, "pattern"), where, err);
}

static int read_strip(struct decoder *step, const json_t *json, const char *where, struct err *err)
{
    int64_t start = 0, stop = 0;
    if (read_text(step, json, where, err) != 0 || json_get_int(json, "start", &start, 0, INT32_MAX, where, err) != 0 ||
        json_get_int(json, "stop", &stop, 0, INT32_MAX, where, err) != 0) {
        return -1;
    }
    if (step->text_length == 0 || step->text_length != utf8_size(step->text[0])) {
        return err_set(err, "%s: \"content\" must be one character", where);
    }
    step->start = (size_t)start;
    step->stop = (size_t)stop;
    return 0;
}

static int read_metaspace(struct decoder *step, const json_t *json, const char *where, struct err *err)
{
    const char *replacement = NULL, *scheme = NULL;
    bool prefix = true;
    if (json_need_string(json, "replacement", &replacement, where, err) != 0 ||
        json_get_string(json, "prepend_scheme", &scheme, where, err) != 0 ||
        json_get_bool(json, "add_prefix_space", &prefix, where, err) != 0) {
        return -1;
    }
    if (!*replacement || strlen(replacement) != utf8_size(*replacement)) {
        return err_set(err, "%s: \"replacement\" must be one character", where);
    }
    step->strips_first = scheme ? strcmp(scheme, "never") != 0 : prefix;
    return pattern_from_string(&step->pattern, replacement, strlen(replacement), err);
}

static const struct {
    const char *type;
    enum decoder_kind kind;
    bool fuses;
    int (*read)(struct decoder *step, const json_t *json, const char *where, struct err *err); /* NULL: no options */
} kinds[] = {
    {"ByteLevel", DECODER_BYTE_LEVEL, true, NULL},        {"Metaspace", DECODER_METASPACE, false, read_metaspace},
    {"ByteFallback", DECODER_BYTE_FALLBACK, false, NULL}, {"Fuse", DECODER_FUSE, true, NULL},
    {"Replace", DECODER_REPLACE, false, read_replace},    {"Strip", DECODER_STRIP, false, read_strip},
};

static int add_step(void *context, const json_t *json, const char *type, const char *where, struct err *err);

static const struct sequence sequence = {"decoder", "decoders", add_step};

static int add_step(void *context, const json_t *json, const char *type, const char *where, struct err *err)
{
    struct decoders *decoders = context;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (strcmp(type, kinds[i].type) != 0) {
            continue;
        }
        struct decoder *steps =
            mem_grow(decoders->steps, &decoders->capacity, decoders->count + 1, sizeof(*steps), err);
        if (!steps) {
            return -1;
        }
        decoders->steps = steps;
        struct decoder *step = &steps[decoders->count++];
        step->kind = kinds[i].kind;
        step->whole = decoders->fused;
        decoders->fused |= kinds[i].fuses;
        return kinds[i].read && kinds[i].read(step, json, where, err) != 0 ? err_prefix(err, "decoder %s", type) : 0;
    }
    return sequence_unknown(&sequence, type, where, err);
}

int decoders_from_json(struct decoders *decoders, const json_t *json, const char *where, struct err *err)
{
    decoders->joins_with_spaces = !json || json_is_null(json);
    return sequence_read(&sequence, decoders, json, where, err);
}

void decoders_free(struct decoders *decoders)
{
    for (size_t i = 0; i < decoders->count; i++) {
        pattern_free(&decoders->steps[i].pattern);
        mem_free(decoders->steps[i].text);
    }
    mem_free(decoders->steps);
    *decoders = (struct decoders){0};
}
