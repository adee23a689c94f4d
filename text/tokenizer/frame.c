/*
 * The section "post_processor" of a tokenizer.json, as far as it concerns one text by itself: the tokens in front and
 * after it.
 */
#include "base/json.h"
#include "base/mem.h"
#include "text/tokenizer/internal.h"
#include "text/tokenizer/sequence.h"
#include <string.h>

#define FRAME_MAX 64

static int add_id(struct frame *frame, int32_t id, struct err *err)
{
    if (frame->count == FRAME_MAX) {
        return err_set(err, "the post_processor adds more than %d tokens", FRAME_MAX);
    }
    int32_t *ids = mem_grow(frame->ids, &frame->capacity, frame->count + 1, sizeof(*ids), err);
    if (!ids) {
        return -1;
    }
    frame->ids = ids;
    ids[frame->count++] = id;
    return 0;
}

static int check_id(const struct tokenizer *tokenizer, const json_t *value, const char *where, int32_t *id,
                    struct err *err)
{
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
    if (number < 0 || number >= VOCABULARY_IDS_MAX || !tokenizer_token(tokenizer, (int32_t)number)) {
        return err_set(err, "%s: the post_processor adds a token by an id that no token has", where);
    }
    *id = (int32_t)number;
    return 0;
}

static int add_ids(const struct tokenizer *tokenizer, struct frame *frame, const json_t *ids, const char *where,
                   struct err *err)
{
    for (size_t i = 0; i < json_array_size(ids); i++) {
        int32_t id = 0;
        if (check_id(tokenizer, json_array_get(ids, i), where, &id, err) != 0 || add_id(frame, id, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_template(struct tokenizer *tokenizer, const json_t *json, const char *where, struct err *err)
{
    const json_t *single = json_object_get(json, "single"), *specials = json_object_get(json, "special_tokens");
    bool after = false;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *piece = json_array_get(single, i);
        const json_t *sequence = json_object_get(piece, "Sequence"), *special = json_object_get(piece, "SpecialToken");
        const char *id = NULL;
        if (sequence && !after) {
            after = true;
            continue;
        }
        if (!special || json_need_string(special, "id", &id, where, err) != 0) {
            return err_set(err, "%s: TemplateProcessing.single[%zu] must be a SpecialToken, or the one Sequence", where,
                           i);
        }
        const json_t *ids = json_object_get(json_object_get(specials, id), "ids");
        if (!json_is_array(ids)) {
            return err_set(err, "%s: TemplateProcessing.special_tokens has no ids for '%s'", where, id);
        }
        if (add_ids(tokenizer, after ? &tokenizer->back : &tokenizer->front, ids, where, err) != 0) {
            return -1;
        }
    }
    return after ? 0 : err_set(err, "%s: TemplateProcessing.single has no Sequence for the text", where);
}

/* RobertaProcessing and BertProcessing: "cls": ["<s>", 0] in front, "sep": ["</s>", 2] after it. */
static int read_pair(struct tokenizer *tokenizer, const json_t *json, const char *where, struct err *err)
{
    int32_t cls = 0, sep = 0;
    if (check_id(tokenizer, json_array_get(json_object_get(json, "cls"), 1), where, &cls, err) != 0 ||
        check_id(tokenizer, json_array_get(json_object_get(json, "sep"), 1), where, &sep, err) != 0 ||
        add_id(&tokenizer->front, cls, err) != 0) {
        return -1;
    }
    return add_id(&tokenizer->back, sep, err);
}

static int add_step(void *context, const json_t *json, const char *type, const char *where, struct err *err);

static const struct sequence sequence = {"post_processor", "processors", add_step};

static int add_step(void *context, const json_t *json, const char *type, const char *where, struct err *err)
{
    struct tokenizer *tokenizer = context;
    bool is_template = strcmp(type, "TemplateProcessing") == 0;
    if (strcmp(type, "ByteLevel") == 0) { /* it only trims offsets */
        return 0;
    }
    if (!is_template && strcmp(type, "RobertaProcessing") != 0 && strcmp(type, "BertProcessing") != 0) {
        return sequence_unknown(&sequence, type, where, err);
    }
    if (tokenizer->front.count > 0 || tokenizer->back.count > 0) {
        return err_set(err, "%s: more than one post_processor adds tokens, which Hugging Face's tokenizers cannot do",
                       where);
    }
    return is_template ? read_template(tokenizer, json, where, err) : read_pair(tokenizer, json, where, err);
}

int frames_from_json(struct tokenizer *tokenizer, const json_t *json, const char *where, struct err *err)
{
    return sequence_read(&sequence, tokenizer, json, where, err);
}
