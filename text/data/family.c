/* text/data/family.c - see family.h. */
#include "text/data/family.h"

#include "base/mem.h"
#include "base/minmax.h"
#include "base/random.h"
#include "text/data/internal.h"
#include <assert.h>
#include <string.h>

struct family_encoder {
    struct family_options options;
    struct dataset_options text;
    struct record_encoder encoder;
};

int family_encoder_open(struct family_encoder **out, const struct family_options *options, struct err *err)
{
    struct family_encoder *encoder = mem_alloc(1, sizeof *encoder, err);
    if (!encoder) {
        return -1;
    }
    encoder->options = *options;
    encoder->text = (struct dataset_options){
        .tokenizer = options->tokenizer, .chat = options->chat, .now = options->now, .variables = options->variables};
    if (record_encoder_open(&encoder->encoder, &encoder->text, err) != 0) {
        mem_free(encoder);
        return -1;
    }
    *out = encoder;
    return 0;
}

void family_encoder_close(struct family_encoder *encoder)
{
    if (encoder) {
        record_encoder_close(&encoder->encoder);
        mem_free(encoder);
    }
}

/* ---- The conversation of each answer ---- */

/* Whole conversations, end to end. */
struct sequences {
    struct token_list tokens;
    struct sequence {
        size_t start;
        int32_t length; /* through the token that closes the answer */
        int32_t answer; /* where the answer's first token stands */
    } * items;          /* [count] */
};

static void sequences_free(struct sequences *sequences)
{
    token_list_free(&sequences->tokens);
    mem_free(sequences->items);
}

/* The conversation with an answer as a record of a dataset, whose answer alone is trained; borrows its strings. */
static int make_record(const struct family_encoder *encoder, const json_t *messages, const struct family_answer *answer,
                       struct record *record, struct err *err)
{
    const json_t *only = json_array_get(messages, 0);
    size_t count = json_array_size(messages);
    if (!encoder->options.chat) {
        const json_t *content = json_object_get(only, "content");
        const char *role = json_string_value(json_object_get(only, "role"));
        if (count != 1 || !role || strcmp(role, "user") != 0 || !json_is_string(content)) {
            return err_set(err, "the prompt is a conversation, but the model's tokenizer has no chat template; name "
                                "one with chat_template, for example chatml");
        }
        *record = (struct record){.kind = RECORD_PLAIN_PAIR,
                                  .format = RECORD_COMPLETION,
                                  .text = json_string_value(content),
                                  .length = json_string_length(content),
                                  .completion = answer->text,
                                  .completion_length = answer->length};
        return 0;
    }
    *record = (struct record){.kind = RECORD_CHAT, .format = RECORD_COMPLETION, .first = count};
    json_t *turn = json_pack("{s:s, s:s%}", "role", "assistant", "content", answer->text, answer->length);
    record->messages = turn ? json_copy((json_t *)messages) : NULL;
    if (!record->messages || json_array_append(record->messages, turn) != 0) {
        json_decref(turn);
        json_decref(record->messages);
        return err_set(err, "the answer is not UTF-8, or memory is short");
    }
    json_decref(turn);
    return 0;
}

/* Appends what `encoding` holds up to the last trained token. */
static int add_sequence(struct sequences *sequences, int32_t number, const struct encoding *encoding, struct err *err)
{
    size_t length = encoding->tokens.count, first = 0;
    while (length > 0 && !encoding->trained[length - 1]) {
        length--;
    }
    while (first < length && !encoding->trained[first]) {
        first++;
    }
    if (length == 0) {
        return err_set(err, "the chat template writes nothing of the answer, so there is nothing to score");
    }
    struct token_list *all = &sequences->tokens;
    if (length > INT32_MAX - all->count) {
        return err_set(err, "the answers have more than %d tokens together; leave out the longest", INT32_MAX);
    }
    int32_t *ids = mem_grow(all->ids, &all->capacity, all->count + length, sizeof *ids, err);
    if (!ids) {
        return -1;
    }
    all->ids = ids;
    memcpy(ids + all->count, encoding->tokens.ids, length * sizeof *ids);
    sequences->items[number] =
        (struct sequence){.start = all->count, .length = (int32_t)length, .answer = (int32_t)first};
    all->count += length;
    return 0;
}

static int encode_answers(const struct family_encoder *encoder, const json_t *messages,
                          const struct family_answer *answers, int32_t count, struct sequences *sequences,
                          struct err *err)
{
    struct encoding encoding = {0};
    int result = 0;
    for (int32_t k = 0; k < count && result == 0; k++) {
        struct record record;
        result = make_record(encoder, messages, &answers[k], &record, err);
        if (result != 0) {
            break;
        }
        result = encode_example(&encoder->encoder, &record, &encoding, err);
        if (result == 0) {
            result = add_sequence(sequences, k, &encoding, err);
        }
        json_decref(record.messages);
    }
    encoding_free(&encoding);
    return result;
}

/* ---- What is kept, and what is shared ---- */

/* Decides which answers fit, and returns how many tokens all of them lose at the beginning. */
static int32_t choose(const struct family_options *options, const struct sequences *sequences, int32_t count,
                      bool *fits)
{
    int32_t most = options->max_length > 0 ? options->max_length : INT32_MAX, cut = 0;
    for (int32_t k = 0; k < count; k++) {
        const struct sequence *sequence = &sequences->items[k];
        int32_t least = options->too_long == FAMILY_DROP ? sequence->length : sequence->length - sequence->answer;
        fits[k] = least <= most;
        if (fits[k] && sequence->length - most > cut) {
            cut = sequence->length - most;
        }
    }
    return cut;
}

/* Room for so many tokens and answers. */
static int make_room(struct family *family, int64_t tokens, int32_t count, struct err *err)
{
    if (tokens > INT32_MAX || count > FAMILY_ANSWERS_MAX) {
        return err_set(err, "a prompt with %d answers of %lld tokens together; %d answers and %d tokens are the most",
                       count, (long long)tokens, FAMILY_ANSWERS_MAX, INT32_MAX);
    }
    int32_t *ids = mem_grow(family->ids, &family->id_capacity, (size_t)tokens + 1, sizeof *ids, err);
    if (!ids) {
        return -1;
    }
    family->ids = ids;
    int32_t *starts = mem_grow(family->starts, &family->start_capacity, (size_t)count + 1, sizeof *starts, err);
    if (!starts) {
        return -1;
    }
    family->starts = starts;
    return 0;
}

static void append_own(struct family *family, const int32_t *ids, int32_t length)
{
    int32_t start = family->starts[family->count];
    memcpy(family->ids + start, ids, (size_t)length * sizeof *ids);
    family->starts[++family->count] = start + length;
}

static void begin(struct family *family, const int32_t *ids, int32_t shared)
{
    memcpy(family->ids, ids, (size_t)shared * sizeof *ids);
    family->shared = family->starts[0] = shared;
    family->count = 0;
}

/* The longest common prefix of what is left of the sequences; one token stays with each. */
static int32_t common_prefix(const struct sequences *sequences, int32_t count, const bool *fits, int32_t cut)
{
    const int32_t *first = NULL, *ids = sequences->tokens.ids + cut;
    int32_t common = 0, kept = 0;
    for (int32_t k = 0; k < count; k++) {
        const struct sequence *sequence = &sequences->items[k];
        int32_t most = sequence->length - cut - 1, same = 0;
        if (!fits[k]) {
            continue;
        }
        first = first ? first : ids + sequence->start;
        most = kept > 0 ? min(common, most) : most;
        while (same < most && ids[sequence->start + (size_t)same] == first[same]) {
            same++;
        }
        common = same;
        kept++;
    }
    return kept > 1 ? common : 0;
}

static int build(struct family *family, const struct sequences *sequences, int32_t count, const bool *fits, int32_t cut,
                 struct err *err)
{
    const int32_t *ids = sequences->tokens.ids + cut;
    int32_t shared = common_prefix(sequences, count, fits, cut);
    bool begun = false;
    if (make_room(family, (int64_t)sequences->tokens.count, count, err) != 0) {
        return -1;
    }
    begin(family, ids, 0);
    family->cut = cut;
    for (int32_t k = 0; k < count; k++) {
        const struct sequence *sequence = &sequences->items[k];
        if (fits[k] && !begun) {
            begin(family, ids + sequence->start, shared);
            begun = true;
        }
        if (fits[k]) {
            append_own(family, ids + sequence->start + shared, sequence->length - cut - shared);
        }
    }
    return 0;
}

int family_encode(const struct family_encoder *encoder, const json_t *messages, const struct family_answer *answers,
                  int32_t count, struct family *out, bool *fits, struct err *err)
{
    assert(count >= 1 && count <= FAMILY_ANSWERS_MAX);
    struct sequences sequences = {0};
    out->count = out->shared = out->cut = 0;
    sequences.items = mem_alloc((size_t)count, sizeof *sequences.items, err);
    int result = sequences.items ? encode_answers(encoder, messages, answers, count, &sequences, err) : -1;
    if (result == 0) {
        int32_t cut = choose(&encoder->options, &sequences, count, fits);
        result = build(out, &sequences, count, fits, cut, err);
    }
    sequences_free(&sequences);
    return result;
}

int family_from_ids(struct family *out, const struct family_ids *prompt, const struct family_ids *answers,
                    int32_t count, struct err *err)
{
    int64_t tokens = prompt->length;
    out->count = out->shared = out->cut = 0;
    for (int32_t k = 0; k < count; k++) {
        assert(answers[k].length >= 1);
        tokens += answers[k].length;
    }
    if (make_room(out, tokens, count, err) != 0) {
        return -1;
    }
    begin(out, prompt->ids, prompt->length);
    for (int32_t k = 0; k < count; k++) {
        append_own(out, answers[k].ids, answers[k].length);
    }
    return 0;
}

void family_free(struct family *family)
{
    if (family->id_capacity > 0) {
        mem_free(family->ids);
    }
    if (family->start_capacity > 0) {
        mem_free(family->starts);
    }
    *family = (struct family){0};
}

/* ---- Sizes, and the way into a batch ---- */

int32_t family_tokens(const struct family *family)
{
    return family->count > 0 ? family->starts[family->count] : 0;
}

int32_t family_segments(const struct family *family)
{
    return family->count > 0 ? family->count + (family->shared > 0) : 0;
}

int32_t family_length(const struct family *family, int32_t answer)
{
    assert(answer >= 0 && answer < family->count);
    return family->shared + family->starts[answer + 1] - family->starts[answer];
}

int64_t family_unshared_tokens(const struct family *family)
{
    return family->count > 0 ? family_tokens(family) + (int64_t)(family->count - 1) * family->shared : 0;
}

int32_t family_longest(const struct family *family)
{
    int32_t longest = 0;
    for (int32_t k = 0; k < family->count; k++) {
        int32_t length = family_length(family, k);
        longest = max(longest, length);
    }
    return longest;
}

int32_t family_append(struct batch *batch, const struct family *family, uint64_t key)
{
    assert(family->count > 0);
    int32_t parent = -1, first = batch->segment_count;
    if (family->shared > 0) {
        parent = batch_append(batch, family->ids, NULL, family->shared, -1, key);
        first = parent + 1;
    }
    for (int32_t k = 0; k < family->count; k++) {
        /* Answers have the same positions, and must not draw the same numbers for them. */
        uint64_t own = random_u64(key, RANDOM_MIX, (uint64_t)k + 1, 0);
        int32_t start = family->starts[k], length = family->starts[k + 1] - start;
        int32_t segment = batch_append(batch, family->ids + start, NULL, length, parent, own);
        batch_read(batch, segment, batch->tokens - 1);
    }
    return first;
}
