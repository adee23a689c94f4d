/* Loading: records are read in order, encoded side by side, and stored in order. */
#include "text/data/dataset.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "text/data/dataset_arena.h"
#include "text/data/internal.h"
#include "text/data/record.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 128 /* records encoded side by side */

/* One record on its way. */
struct record_slot {
    json_t *value;
    struct record_place place;
    bool placed; /* *err names file and line already */
    int outcome; /* 0, or -1 with err */
    struct err err;
    struct encoding encoding;
};

struct dataset_loader {
    const struct dataset_options *options;
    struct record_encoder encoder;
    struct dataset *dataset;
    size_t capacity; /* of the dataset's examples */
    struct record_slot *slots;
    int64_t read;  /* of all sources */
    long failures; /* mem_failures() at the start */
    struct progress progress;

    /* The source being read. */
    const struct dataset_source *source;
    struct dataset_report *report;
    struct record_reader *reader;
    int32_t number;
    size_t first; /* its first example */
};

static uint64_t record_key(int64_t source, int64_t record, int64_t copy)
{
    const int64_t key[] = {source, record, copy};
    return hash_u64(key, sizeof key, 0);
}

static int push_example(struct dataset_loader *loader, const struct example *example, struct err *err)
{
    struct dataset *dataset = loader->dataset;
    if (dataset->count >= INT32_MAX) {
        return err_set(err, "the dataset has more than %d examples; train on a part of it", INT32_MAX);
    }
    struct example *examples =
        mem_grow(dataset->examples, &loader->capacity, dataset->count + 1, sizeof *examples, err);
    if (!examples) {
        return -1;
    }
    dataset->examples = examples;
    examples[dataset->count++] = *example;
    return 0;
}

/* Copies the tokens into the arena and adds the example, whose other members are set. */
static int store_example(struct dataset_loader *loader, const int32_t *ids, const uint8_t *trained,
                         struct example *example, struct err *err)
{
    size_t length = (size_t)example->length;
    for (size_t i = 0; i < length; i++) {
        example->trained_count += trained[i];
    }
    if (example->trained_count == 0) {
        loader->report->counts.untrained++;
        return 0;
    }
    int32_t *tokens = arena_take(loader->dataset->arena, length * (sizeof *tokens + 1), err);
    if (!tokens) {
        return -1;
    }
    uint8_t *marks = (uint8_t *)(tokens + length);
    memcpy(tokens, ids, length * sizeof *tokens);
    memcpy(marks, trained, length);
    example->ids = tokens;
    example->trained = marks;
    return push_example(loader, example, err);
}

static bool any(const uint8_t *marks, size_t first, size_t end)
{
    return first < end && memchr(marks + first, 1, end - first) != NULL;
}

/* One record's tokens, cut to max_length or left out. */
static int store_record(struct dataset_loader *loader, const struct record_slot *slot, struct err *err)
{
    const struct dataset_options *options = loader->options;
    const struct encoding *encoding = &slot->encoding;
    size_t length = encoding->tokens.count, most = options->max_length > 0 ? (size_t)options->max_length : INT32_MAX;
    struct dataset_counts *counts = &loader->report->counts;
    bool too_long = length > most;
    if (too_long && options->too_long == DATASET_DROP) {
        counts->dropped++;
        return 0;
    }
    if (too_long) {
        length = most;
        counts->truncated++;
        counts->cut_turns += any(encoding->trained, most, encoding->tokens.count) && any(encoding->trained, 0, most);
    }
    struct example example = {
        .length = (int32_t)length,
        .record = record_key(loader->number, slot->place.number, 0),
        .prompt_hash = encoding->prompt_hash,
        .truncated = too_long,
        .source = loader->number,
        .line = slot->place.line,
    };
    return store_example(loader, encoding->tokens.ids, encoding->trained, &example, err);
}

/* A record that cannot be used: the end, or one more to count. */
static int store_bad(struct dataset_loader *loader, struct record_slot *slot, struct err *err)
{
    if (!slot->placed) {
        record_reader_blame(loader->reader, &slot->place, &slot->err);
    }
    if (!loader->options->skip_bad_records) {
        return err_set(err, "%s; mend the record, or skip such records with on_bad_record: skip", slot->err.text);
    }
    struct dataset_report *report = loader->report;
    report->counts.bad++;
    if (!report->first_bad) {
        report->first_bad = mem_copy_string(slot->err.text, strlen(slot->err.text), err);
        return report->first_bad ? 0 : -1;
    }
    return 0;
}

/* Runs on any thread. */
static void encode_slot(void *context, int64_t index)
{
    struct dataset_loader *loader = context;
    struct record_slot *slot = &loader->slots[index];
    if (!slot->value) {
        return;
    }
    struct record record;
    slot->outcome = record_parse(&record, slot->value, record_reader_format(loader->reader), &slot->err);
    if (slot->outcome == 0) {
        slot->outcome = encode_example(&loader->encoder, &record, &slot->encoding, &slot->err);
        record_free(&record);
    }
}

static void encode_slots(struct dataset_loader *loader, size_t count)
{
    if (loader->options->pool) {
        pool_run(loader->options->pool, encode_slot, loader, (int64_t)count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        encode_slot(loader, (int64_t)i);
    }
}

static int store_slots(struct dataset_loader *loader, size_t count, struct err *err)
{
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        struct record_slot *slot = &loader->slots[i];
        loader->report->counts.read++;
        result = slot->outcome == 0 ? store_record(loader, slot, err) : store_bad(loader, slot, err);
    }
    for (size_t i = 0; i < count; i++) {
        json_decref(loader->slots[i].value);
        loader->slots[i].value = NULL;
    }
    loader->read += (int64_t)count;
    if (loader->options->show_progress) {
        progress_update(&loader->progress, loader->read, loader->report->path);
    }
    return result;
}

/* The next records, at most SLOTS: 1, 0 at the end of the file, -1. What was read before a failure counts in *count. */
static int read_slots(struct dataset_loader *loader, size_t *count, struct err *err)
{
    int got = RECORD_VALUE;
    for (*count = 0; *count < SLOTS; ++*count) {
        struct record_slot *slot = &loader->slots[*count];
        slot->value = NULL;
        got = record_reader_next(loader->reader, &slot->value, &slot->place, &slot->err);
        if (got < 0) {
            *err = slot->err;
        }
        if (got <= 0) {
            return got;
        }
        slot->placed = got == RECORD_BAD;
        slot->outcome = got == RECORD_BAD ? -1 : 0;
    }
    return 1;
}

static int load_records(struct dataset_loader *loader, struct err *err)
{
    int got;
    do {
        size_t count;
        struct err read_err;
        got = read_slots(loader, &count, &read_err);
        encode_slots(loader, count);
        if (mem_failures() != loader->failures) { /* no fault of the records, whatever it made of them */
            return err_set(err, "%s: out of memory while reading its records; close other programs",
                           loader->report->path);
        }
        if (store_slots(loader, count, err) != 0) {
            return -1;
        }
        if (got < 0) {
            *err = read_err;
        }
    } while (got > 0);
    return got;
}

static int load_record_file(struct dataset_loader *loader, const char *split, struct err *err)
{
    struct dataset_report *report = loader->report;
    if (record_reader_open(&loader->reader, report->path, loader->source->format, split, err) != 0) {
        return -1;
    }
    enum record_format format = record_reader_format(loader->reader);
    report->format = record_reader_format_name(loader->reader);
    int result = 0;
    if (format == RECORD_PROMPT) {
        result = err_set(err,
                         "'%s' holds prompts without answers, so there is nothing to learn; it will do for attune "
                         "generate and for PPO",
                         report->path);
    } else {
        loader->dataset->alpaca_template |= format == RECORD_ALPACA && !loader->options->chat;
        result = load_records(loader, err);
    }
    if (result == 0) {
        const char *sentence = record_reader_sentence(loader->reader);
        report->sentence = mem_copy_string(sentence, strlen(sentence), err);
        result = report->sentence ? 0 : -1;
    }
    record_reader_close(loader->reader);
    loader->reader = NULL;
    return result;
}

/* A .txt: pieces of max_length tokens, end to end. */
static int store_pieces(struct dataset_loader *loader, const struct encoding *encoding, struct err *err)
{
    size_t total = encoding->tokens.count;
    size_t most = loader->options->max_length > 0 ? (size_t)loader->options->max_length : INT32_MAX;
    for (size_t start = 0, piece = 1; start < total; start += most, piece++) {
        size_t length = total - start < most ? total - start : most;
        const int32_t *ids = encoding->tokens.ids + start;
        uint8_t *trained = encoding->trained + start;
        trained[0] = 0; /* what predicted it is in another piece */
        struct example example = {
            .length = (int32_t)length,
            .record = record_key(loader->number, (int64_t)piece, 0),
            .prompt_hash = hash_u64(ids, length * sizeof *ids, 0),
            .source = loader->number,
            .line = (int64_t)piece,
        };
        loader->report->counts.read++;
        if (store_example(loader, ids, trained, &example, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int load_text_file(struct dataset_loader *loader, const char *split, struct err *err)
{
    struct dataset_report *report = loader->report;
    report->format = "text";
    if (split || (loader->source->format && strcmp(loader->source->format, "text") != 0)) {
        return err_set(err, "'%s' is one text: it has no %s '%s'; leave that out", report->path,
                       split ? "split" : "format", split ? split : loader->source->format);
    }
    struct strbuf text = {0};
    struct encoding encoding = {0};
    int result = file_read_gz(&text, report->path, TOKENIZER_TEXT_MAX, err);
    if (result == 0) {
        size_t mark = text.length >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
        result = encode_plain(&loader->encoder, strbuf_text(&text) + mark, text.length - mark, &encoding, err);
        if (result != 0) {
            err_prefix(err, "'%s'", report->path);
        }
    }
    strbuf_free(&text);
    if (result == 0) {
        result = store_pieces(loader, &encoding, err);
    }
    encoding_free(&encoding);
    if (result == 0) {
        static const char what[] = ": one text, cut into pieces of max_length";
        struct strbuf sentence = {0};
        strbuf_printf(&sentence, "%s%s", report->path, what);
        result = strbuf_check(&sentence, err);
        report->sentence = result == 0 ? mem_copy_string(strbuf_text(&sentence), sentence.length, err) : NULL;
        strbuf_free(&sentence);
    }
    return result == 0 && report->sentence ? 0 : -1;
}

static int add_copy(struct dataset_loader *loader, size_t index, int32_t copy, struct err *err)
{
    struct example example = loader->dataset->examples[index];
    example.copy = copy;
    example.record = record_key(loader->number, (int64_t)example.record, copy);
    return push_example(loader, &example, err);
}

static int compare_places(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* `drawn` examples of the source by chance, in their order; in *places, which is the caller's to free. */
static int draw_places(const struct dataset_loader *loader, size_t count, size_t drawn, int64_t **places,
                       struct err *err)
{
    *places = mem_alloc(count, sizeof **places, err);
    if (!*places) {
        return -1;
    }
    random_permutation(*places, count, loader->options->seed, RANDOM_MIX, (uint64_t)loader->number);
    qsort(*places, drawn, sizeof **places, compare_places);
    return 0;
}

/* A source of weight w is there floor(w) times whole, and its rest by chance. */
static int apply_weight(struct dataset_loader *loader, struct err *err)
{
    struct dataset *dataset = loader->dataset;
    double weight = loader->source->weight > 0 ? loader->source->weight : 1;
    size_t first = loader->first, count = dataset->count - first;
    double whole = floor(weight);
    size_t drawn = (size_t)llround((weight - whole) * (double)count);
    if (weight < 1 && drawn == 0) {
        drawn = 1;
    }
    for (int32_t copy = 1; copy < (int32_t)whole; copy++) {
        for (size_t i = 0; i < count; i++) {
            if (add_copy(loader, first + i, copy, err) != 0) {
                return -1;
            }
        }
    }
    if (drawn == 0) {
        return 0;
    }
    int64_t *places;
    if (draw_places(loader, count, drawn, &places, err) != 0) {
        return -1;
    }
    int result = 0;
    for (size_t i = 0; i < drawn && result == 0; i++) {
        if (weight < 1) { /* the places grow, so nothing is overwritten that is still needed */
            dataset->examples[first + i] = dataset->examples[first + (size_t)places[i]];
        } else {
            result = add_copy(loader, first + (size_t)places[i], (int32_t)whole, err);
        }
    }
    if (weight < 1) {
        dataset->count = first + drawn;
    }
    mem_free(places);
    return result;
}

static int nothing_left(const struct dataset_report *report, const char *split, struct err *err)
{
    const struct dataset_counts *counts = &report->counts;
    if (counts->read == 0) {
        return err_set(err, "'%s' holds no record%s%s%s", report->path, split ? " of split '" : "", split ? split : "",
                       split ? "'" : "");
    }
    return err_set(
        err,
        "'%s' gives no example: of %lld records %lld are bad, %lld too long, %lld have nothing to learn%s%s%s; "
        "look at max_length, train_roles and the format",
        report->path, (long long)counts->read, (long long)counts->bad, (long long)counts->dropped,
        (long long)counts->untrained, report->first_bad ? " (first: " : "", report->first_bad ? report->first_bad : "",
        report->first_bad ? ")" : "");
}

static int load_source(struct dataset_loader *loader, const struct dataset_source *source, struct err *err)
{
    struct dataset *dataset = loader->dataset;
    assert(source->path && source->weight >= 0 && source->weight <= INT32_MAX);
    loader->source = source;
    loader->report = &dataset->sources[loader->number];
    loader->first = dataset->count;
    const char *split = source->split;
    loader->report->path = record_find_file(source->path, &split, err);
    if (!loader->report->path) {
        return -1;
    }
    int result = record_path_is_text(loader->report->path) ? load_text_file(loader, split, err)
                                                           : load_record_file(loader, split, err);
    if (result != 0) {
        return -1;
    }
    if (dataset->count == loader->first) {
        return nothing_left(loader->report, split, err);
    }
    if (apply_weight(loader, err) != 0) {
        return -1;
    }
    loader->report->examples = dataset->count - loader->first;
    return 0;
}

static void add_counts(struct dataset_counts *sum, const struct dataset_counts *counts)
{
    sum->read += counts->read;
    sum->bad += counts->bad;
    sum->truncated += counts->truncated;
    sum->cut_turns += counts->cut_turns;
    sum->dropped += counts->dropped;
    sum->untrained += counts->untrained;
}

static int load_sources(struct dataset_loader *loader, const struct dataset_source *sources, size_t count,
                        struct err *err)
{
    struct dataset *dataset = loader->dataset;
    dataset->sources = mem_alloc(count, sizeof *dataset->sources, err);
    if (!dataset->sources || arena_create(&dataset->arena, err) != 0) {
        return -1;
    }
    dataset->source_count = count;
    for (size_t i = 0; i < count; i++) {
        loader->number = (int32_t)i;
        if (load_source(loader, &sources[i], err) != 0) {
            return -1;
        }
        add_counts(&dataset->counts, &dataset->sources[i].counts);
    }
    dataset_sum_up(dataset);
    dataset->bytes = arena_bytes(dataset->arena) + loader->capacity * sizeof *dataset->examples;
    return dataset->tokens <= DATASET_TOKENS_MAX
               ? 0
               : err_set(err, "the dataset has more than %lld tokens; train on a part of it",
                         (long long)DATASET_TOKENS_MAX);
}

int dataset_load(struct dataset **out, const struct dataset_source *sources, size_t count,
                 const struct dataset_options *options, struct err *err)
{
    struct dataset_loader loader = {.options = options, .failures = mem_failures()};
    if (record_encoder_open(&loader.encoder, options, err) != 0) {
        return -1;
    }
    loader.dataset = mem_alloc(1, sizeof *loader.dataset, err);
    loader.slots = mem_alloc(SLOTS, sizeof *loader.slots, err);
    if (options->show_progress) {
        progress_begin(&loader.progress, "reading data", 0);
    }
    int result = loader.dataset && loader.slots ? load_sources(&loader, sources, count, err) : -1;
    if (options->show_progress) {
        progress_end(&loader.progress);
    }
    for (size_t i = 0; loader.slots && i < SLOTS; i++) {
        encoding_free(&loader.slots[i].encoding);
        json_decref(loader.slots[i].value);
    }
    mem_free(loader.slots);
    record_reader_close(loader.reader);
    record_encoder_close(&loader.encoder);
    if (result != 0) {
        dataset_free(loader.dataset);
        return -1;
    }
    *out = loader.dataset;
    return 0;
}

void dataset_free(struct dataset *dataset)
{
    if (!dataset) {
        return;
    }
    for (size_t i = 0; i < dataset->source_count; i++) {
        mem_free(dataset->sources[i].path);
        mem_free(dataset->sources[i].sentence);
        mem_free(dataset->sources[i].first_bad);
    }
    mem_free(dataset->sources);
    mem_free(dataset->examples);
    arena_release(dataset->arena);
    mem_free(dataset);
}
