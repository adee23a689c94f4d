/* Loading: judgments are read in order, encoded side by side, and stored in order; see set.h. */
#include "rankings/set.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "rankings/internal.h"
#include "text/data/dataset_arena.h"
#include "text/data/record.h"
#include <math.h>
#include <string.h>

#define SLOTS 128 /* judgments encoded side by side */

/* One judgment on its way. */
struct judgment_slot {
    struct ranking_judgment judgment; /* its answers sorted, the ranked ones only */
    int32_t unranked;
    uint64_t prompt_hash, opening_hash;
    struct family family;
    bool fits[RANKING_ANSWERS_MAX];
    int outcome; /* 0, or -1 with err */
    struct err err;
};

struct ranking_loader {
    const struct ranking_set_options *options;
    struct family_encoder *encoder;
    struct ranking_set *set;
    size_t capacity; /* of its rankings */
    struct judgment_slot *slots;
    int64_t read;  /* of all entries */
    long failures; /* mem_failures() at the start */
    struct progress progress;

    /* The entry being read. */
    struct ranking_source *source;
    struct ranking_reader *reader;
    struct ranking_thumbs thumbs;
    int32_t number;
};

struct ranking_set_options ranking_set_options(const struct recipe *recipe, const struct model_text *text,
                                               struct pool *pool)
{
    return (struct ranking_set_options){
        .text = {.tokenizer = text->tokenizer,
                 .chat = text->chat,
                 .max_length = (int32_t)recipe->max_length,
                 .too_long = recipe->on_too_long == RECIPE_TOO_LONG_KEEP_END ? FAMILY_KEEP_END : FAMILY_DROP},
        .skip_bad_records = recipe->on_bad_record == RECIPE_BAD_RECORD_SKIP,
        .pool = pool,
        .show_progress = true,
    };
}

/* ---- A judgment to its tokens ---- */

/* The ranked answers, best first, equals in their order. Returns how many were not ranked. */
static int32_t sort_answers(struct ranking_judgment *judgment)
{
    int32_t kept = 0, all = judgment->count;
    for (int32_t i = 0; i < all; i++) {
        struct ranking_answer answer = judgment->answers[i];
        int32_t at = kept;
        if (answer.rank <= 0) {
            mem_free(answer.text);
            continue;
        }
        for (; at > 0 && judgment->answers[at - 1].rank > answer.rank; at--) {
            judgment->answers[at] = judgment->answers[at - 1];
        }
        judgment->answers[at] = answer;
        kept++;
    }
    judgment->count = kept;
    return all - kept;
}

/* The messages before the first answer of the conversation. */
static size_t opening_of(const json_t *messages)
{
    size_t count = 0;
    for (; count < json_array_size(messages); count++) {
        const char *role = json_string_value(json_object_get(json_array_get(messages, count), "role"));
        if (role && strcmp(role, "assistant") == 0) {
            break;
        }
    }
    return count;
}

static int encode(const struct ranking_loader *loader, struct judgment_slot *slot)
{
    const struct ranking_judgment *judgment = &slot->judgment;
    const json_t *messages = judgment->messages;
    struct family_answer answers[RANKING_ANSWERS_MAX];
    for (int32_t i = 0; i < judgment->count; i++) {
        answers[i] = (struct family_answer){judgment->answers[i].text, judgment->answers[i].length};
    }
    if (ranking_hash_messages(&slot->prompt_hash, messages, json_array_size(messages), &slot->err) != 0 ||
        ranking_hash_messages(&slot->opening_hash, messages, opening_of(messages), &slot->err) != 0) {
        return -1;
    }
    return family_encode(loader->encoder, messages, answers, judgment->count, &slot->family, slot->fits, &slot->err);
}

/* Runs on any thread. */
static void encode_slot(void *context, int64_t index)
{
    struct ranking_loader *loader = context;
    struct judgment_slot *slot = &loader->slots[index];
    if (slot->outcome == 0) {
        slot->outcome = encode(loader, slot);
    }
}

/* ---- A judgment to a ranking ---- */

static const void *keep(struct ranking_loader *loader, const void *bytes, size_t count, size_t size, struct err *err)
{
    void *copy = arena_take(loader->set->arena, count * size, err);
    return copy ? memcpy(copy, bytes, count * size) : NULL;
}

/* A text to show, cut between two characters where it is long. */
static const char *keep_text(struct ranking_loader *loader, const char *text, size_t length, struct err *err)
{
    static const char more[] = "...";
    size_t shown = utf8_cut(text, length, RANKING_SHOWN_MAX);
    char *copy = arena_take(loader->set->arena, shown + sizeof more, err);
    if (copy) {
        memcpy(copy, text, shown);
        memcpy(copy + shown, shown < length ? more : "", shown < length ? sizeof more : 1);
    }
    return copy;
}

/* Levels whose differences are the margins; false: the label has none. */
static bool find_levels(const struct ranking_set_options *options, const struct ranking_judgment *judgment,
                        float levels[RANKING_ANSWERS_MAX])
{
    bool two = judgment->count == 2, column = options->margin == RANKING_MARGIN_COLUMN;
    double margin = column ? judgment->margin : judgment->strength >= 0 ? (double)judgment->strength : NAN;
    if (two && !isnan(margin)) {
        levels[0] = (float)(options->margin_scale * margin);
        levels[1] = 0;
        return true;
    }
    for (int32_t i = 0; i < judgment->count; i++) {
        double score = judgment->answers[i].score;
        if (!column || isnan(score)) {
            return false;
        }
        levels[i] = (float)(options->margin_scale * score);
    }
    return true;
}

/* Drops the answers that are not in the family. */
static void drop_misfits(struct judgment_slot *slot)
{
    struct ranking_judgment *judgment = &slot->judgment;
    int32_t kept = 0;
    for (int32_t i = 0; i < judgment->count; i++) {
        if (slot->fits[i]) {
            judgment->answers[kept++] = judgment->answers[i];
        } else {
            mem_free(judgment->answers[i].text);
        }
    }
    judgment->count = kept;
}

static void count_pairs(struct ranking *ranking, const struct ranking_judgment *judgment)
{
    for (int32_t a = 0; a < judgment->count; a++) {
        for (int32_t b = a + 1; b < judgment->count; b++) {
            bool tie = judgment->answers[a].rank == judgment->answers[b].rank;
            ranking->ties += tie;
            ranking->pairs += !tie;
        }
    }
}

/* What the ranking has by answer. */
static int keep_answers(struct ranking_loader *loader, struct ranking *ranking, const struct judgment_slot *slot,
                        struct err *err)
{
    const struct ranking_judgment *judgment = &slot->judgment;
    int32_t ranks[RANKING_ANSWERS_MAX], positions[RANKING_ANSWERS_MAX], characters[RANKING_ANSWERS_MAX];
    uint64_t hashes[RANKING_ANSWERS_MAX];
    const char *texts[RANKING_ANSWERS_MAX];
    size_t count = (size_t)judgment->count;
    for (size_t i = 0; i < count; i++) {
        const struct ranking_answer *answer = &judgment->answers[i];
        ranks[i] = answer->rank;
        positions[i] = answer->position;
        characters[i] = answer->characters;
        hashes[i] = hash_u64(answer->text, answer->length, 0);
        texts[i] = keep_text(loader, answer->text, answer->length, err);
        if (!texts[i]) {
            return -1;
        }
    }
    const struct family *family = &slot->family;
    int32_t *ids = arena_take(loader->set->arena, (size_t)family_tokens(family) * sizeof *ids, err);
    int32_t *starts = ids ? arena_take(loader->set->arena, (count + 1) * sizeof *starts, err) : NULL;
    if (!starts) {
        return -1;
    }
    memcpy(ids, family->ids, (size_t)family_tokens(family) * sizeof *ids);
    memcpy(starts, family->starts, (count + 1) * sizeof *starts);
    ranking->family = (struct family){
        .ids = ids, .starts = starts, .shared = family->shared, .count = family->count, .cut = family->cut};
    ranking->ranks = keep(loader, ranks, count, sizeof *ranks, err);
    ranking->positions = ranking->ranks ? keep(loader, positions, count, sizeof *positions, err) : NULL;
    ranking->characters = ranking->positions ? keep(loader, characters, count, sizeof *characters, err) : NULL;
    ranking->hashes = ranking->characters ? keep(loader, hashes, count, sizeof *hashes, err) : NULL;
    ranking->texts = ranking->hashes ? keep(loader, texts, count, sizeof *texts, err) : NULL;
    return ranking->texts ? 0 : -1;
}

static int keep_levels(struct ranking_loader *loader, struct ranking *ranking, const struct ranking_judgment *judgment,
                       struct err *err)
{
    float levels[RANKING_ANSWERS_MAX];
    if (loader->options->margin == RANKING_MARGIN_NONE) {
        return 0;
    }
    if (!find_levels(loader->options, judgment, levels)) {
        loader->source->counts.without_margin++;
        return 0;
    }
    ranking->levels = keep(loader, levels, (size_t)judgment->count, sizeof *levels, err);
    return ranking->levels ? 0 : -1;
}

static int push_ranking(struct ranking_loader *loader, const struct ranking *ranking, struct err *err)
{
    struct ranking_set *set = loader->set;
    if (set->count >= RANKING_SET_MAX) {
        return err_set(err, "the dataset has more than %d rankings; train on a part of it", RANKING_SET_MAX);
    }
    struct ranking *rankings = mem_grow(set->rankings, &loader->capacity, set->count + 1, sizeof *rankings, err);
    if (!rankings) {
        return -1;
    }
    set->rankings = rankings;
    rankings[set->count++] = *ranking;
    return 0;
}

static int store_ranking(struct ranking_loader *loader, const struct judgment_slot *slot, struct err *err)
{
    const struct ranking_judgment *judgment = &slot->judgment;
    const json_t *words = messages_to_show(judgment->messages);
    const int64_t key[] = {loader->number, judgment->number};
    struct ranking ranking = {
        .strength = judgment->strength,
        .agreement = NAN,
        .weight = 1,
        .record = hash_u64(key, sizeof key, 0),
        .prompt_hash = slot->prompt_hash,
        .opening_hash = slot->opening_hash,
        .place = judgment->place,
        .source = loader->number,
    };
    count_pairs(&ranking, judgment);
    if (ranking.pairs == 0 && !loader->options->ties) {
        loader->source->counts.all_ties++;
        return 0;
    }
    if (keep_answers(loader, &ranking, slot, err) != 0 || keep_levels(loader, &ranking, judgment, err) != 0) {
        return -1;
    }
    if (judgment->annotator) {
        ranking.annotator = keep_text(loader, judgment->annotator, strlen(judgment->annotator), err);
        if (!ranking.annotator) {
            return -1;
        }
    }
    const char *text = json_string_value(words);
    ranking.prompt = keep_text(loader, text ? text : "", json_string_length(words), err);
    return ranking.prompt ? push_ranking(loader, &ranking, err) : -1;
}

static int store_judgment(struct ranking_loader *loader, struct judgment_slot *slot, struct err *err)
{
    struct ranking_counts *counts = &loader->source->counts;
    int32_t answers = slot->judgment.count;
    drop_misfits(slot);
    counts->unranked_answers += slot->unranked;
    counts->too_long_answers += answers - slot->judgment.count;
    if (slot->judgment.count < 2) {
        counts->too_long++;
        return 0;
    }
    counts->truncated += slot->family.cut > 0;
    return store_ranking(loader, slot, err);
}

/* A judgment that cannot be used, for a reason that names its place: the end, or one more to count. */
static int store_bad(struct ranking_loader *loader, const struct err *reason, struct err *err)
{
    struct ranking_source *source = loader->source;
    if (!loader->options->skip_bad_records) {
        return err_set(err, "%s; mend the record, or skip such records with on_bad_record: skip", reason->text);
    }
    source->counts.bad++;
    if (!source->first_bad) {
        source->first_bad = mem_copy_string(reason->text, strlen(reason->text), err);
        return source->first_bad ? 0 : -1;
    }
    return 0;
}

/* ---- Many of them ---- */

static int store_slot(struct ranking_loader *loader, struct judgment_slot *slot, struct err *err)
{
    if (slot->outcome == 0) {
        return store_judgment(loader, slot, err);
    }
    ranking_reader_blame(loader->reader, slot->judgment.place, &slot->err);
    return store_bad(loader, &slot->err, err);
}

/* Encodes and stores what the slots hold. */
static int flush(struct ranking_loader *loader, size_t count, struct err *err)
{
    int result = 0;
    if (loader->options->pool) {
        pool_run(loader->options->pool, encode_slot, loader, (int64_t)count);
    }
    for (size_t i = 0; i < count && !loader->options->pool; i++) {
        encode_slot(loader, (int64_t)i);
    }
    if (mem_failures() != loader->failures) { /* no fault of the records, whatever it made of them */
        result =
            err_set(err, "%s: out of memory while reading its judgments; close other programs", loader->source->path);
    }
    for (size_t i = 0; i < count; i++) {
        struct judgment_slot *slot = &loader->slots[i];
        if (result == 0) {
            result = store_slot(loader, slot, err);
        }
        ranking_judgment_free(&slot->judgment);
    }
    if (loader->options->show_progress) {
        progress_update(&loader->progress, loader->read, loader->source->path);
    }
    return result;
}

/* Sorts out what is no ranking. *used: the slot holds one. */
static int take_judgment(struct ranking_loader *loader, struct judgment_slot *slot, bool *used, struct err *err)
{
    struct ranking_judgment *judgment = &slot->judgment;
    struct ranking_counts *counts = &loader->source->counts;
    int result = 0;
    *used = false;
    counts->read++;
    loader->read++;
    if (judgment->count == 1 && judgment->thumb != 0) {
        counts->thumbs++;
        result = ranking_thumbs_add(&loader->thumbs, judgment, err);
    } else {
        slot->unranked = sort_answers(judgment);
        *used = judgment->count >= 2;
        counts->one_answer += !*used;
    }
    if (!*used) {
        ranking_judgment_free(judgment);
    }
    slot->outcome = 0;
    return result;
}

/* The next rankings, at most SLOTS: 1, 0 at the end of the entry, -1. */
static int read_slots(struct ranking_loader *loader, size_t *count, struct err *err)
{
    *count = 0;
    while (*count < SLOTS) {
        struct judgment_slot *slot = &loader->slots[*count];
        struct err reason;
        bool used = false;
        int got = ranking_reader_next(loader->reader, &slot->judgment, &reason);
        if (got < 0) {
            *err = reason;
        }
        if (got <= 0) {
            return got;
        }
        if (got == RANKING_BAD) {
            loader->source->counts.read++;
            loader->read++;
        }
        if (got == RANKING_BAD ? store_bad(loader, &reason, err) != 0 : take_judgment(loader, slot, &used, err) != 0) {
            return -1;
        }
        *count += used;
    }
    return 1;
}

/* The same of the thumbs, when the entry has ended. */
static int read_thumbs(struct ranking_loader *loader, size_t *count, struct err *err)
{
    int got = 1;
    for (*count = 0; *count < SLOTS; ++*count) {
        struct judgment_slot *slot = &loader->slots[*count];
        got = ranking_thumbs_next(&loader->thumbs, &slot->judgment, err);
        if (got != 1) {
            break;
        }
        slot->unranked = sort_answers(&slot->judgment);
        slot->outcome = 0;
    }
    return got;
}

static int load_judgments(struct ranking_loader *loader, int (*read)(struct ranking_loader *, size_t *, struct err *),
                          struct err *err)
{
    int got;
    do {
        size_t count;
        struct err read_err;
        got = read(loader, &count, &read_err);
        if (flush(loader, count, err) != 0) {
            return -1;
        }
        if (got < 0) {
            *err = read_err;
        }
    } while (got > 0);
    return got;
}

/* ---- Entries ---- */

static int nothing_left(const struct ranking_loader *loader, struct err *err)
{
    const struct ranking_source *source = loader->source;
    const struct ranking_counts *counts = &source->counts;
    if (counts->read == 0) {
        return ranking_reader_empty(loader->reader, err);
    }
    if (counts->all_ties > 0 && counts->all_ties == counts->read) {
        return err_set(err,
                       "'%s' gives no pair to learn from: all of its %lld judgments are ties; ties: half would train "
                       "on them",
                       source->path, (long long)counts->read);
    }
    return err_set(
        err,
        "'%s' gives no ranking: of %lld judgments %lld are bad, %lld rank fewer than two answers, %lld are "
        "thumbs without a counterpart, %lld ties only, %lld too long%s%s%s; look at max_length, on_too_long, "
        "ties and the format",
        source->path, (long long)counts->read, (long long)counts->bad, (long long)counts->one_answer,
        (long long)counts->unpaired_thumbs, (long long)counts->all_ties, (long long)counts->too_long,
        source->first_bad ? " (the first bad one: " : "", source->first_bad ? source->first_bad : "",
        source->first_bad ? ")" : "");
}

static int describe(struct ranking_loader *loader, struct err *err)
{
    struct strbuf sentence = {0};
    ranking_reader_describe(loader->reader, &sentence);
    int result = strbuf_check(&sentence, err);
    if (result == 0) {
        loader->source->sentence = mem_copy_string(strbuf_text(&sentence), sentence.length, err);
        result = loader->source->sentence ? 0 : -1;
    }
    strbuf_free(&sentence);
    return result;
}

static int load_entry(struct ranking_loader *loader, const struct recipe_dataset *entry, struct err *err)
{
    struct ranking_source *source = loader->source = &loader->set->sources[loader->number];
    size_t first = loader->set->count;
    source->weight = entry->weight > 0 ? entry->weight : 1;
    if (ranking_reader_open(&loader->reader, entry, err) != 0) {
        return -1;
    }
    const char *path = ranking_reader_path(loader->reader);
    source->path = mem_copy_string(path, strlen(path), err);
    if (!source->path || load_judgments(loader, read_slots, err) != 0) {
        return -1;
    }
    ranking_thumbs_add_up(&loader->thumbs);
    if (load_judgments(loader, read_thumbs, err) != 0) {
        return -1;
    }
    source->counts.unpaired_thumbs = loader->thumbs.unpaired;
    int result = describe(loader, err);
    if (result == 0 && loader->set->count == first) {
        result = nothing_left(loader, err);
    }
    ranking_thumbs_free(&loader->thumbs);
    ranking_reader_close(loader->reader);
    loader->reader = NULL;
    return result;
}

static void add_counts(struct ranking_counts *sum, const struct ranking_counts *counts)
{
    sum->read += counts->read;
    sum->bad += counts->bad;
    sum->one_answer += counts->one_answer;
    sum->thumbs += counts->thumbs;
    sum->unpaired_thumbs += counts->unpaired_thumbs;
    sum->unranked_answers += counts->unranked_answers;
    sum->truncated += counts->truncated;
    sum->too_long_answers += counts->too_long_answers;
    sum->too_long += counts->too_long;
    sum->all_ties += counts->all_ties;
    sum->duplicates += counts->duplicates;
    sum->weightless += counts->weightless;
    sum->without_margin += counts->without_margin;
}

static int load_entries(struct ranking_loader *loader, const struct recipe_datasets *entries, struct err *err)
{
    struct ranking_set *set = loader->set;
    set->sources = mem_alloc(entries->count, sizeof *set->sources, err);
    if (!set->sources || arena_create(&set->arena, err) != 0) {
        return -1;
    }
    set->source_count = entries->count;
    for (size_t i = 0; i < entries->count; i++) {
        loader->number = (int32_t)i;
        if (load_entry(loader, &entries->items[i], err) != 0) {
            return -1;
        }
    }
    if (ranking_set_drop_duplicates(set, err) != 0 || ranking_set_agree(set, err) != 0 ||
        ranking_set_sum_up(set, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < entries->count; i++) {
        add_counts(&set->counts, &set->sources[i].counts);
    }
    set->bytes = arena_bytes(set->arena) + loader->capacity * sizeof *set->rankings;
    return 0;
}

static void loader_close(struct ranking_loader *loader)
{
    for (size_t i = 0; loader->slots && i < SLOTS; i++) {
        ranking_judgment_free(&loader->slots[i].judgment);
        family_free(&loader->slots[i].family);
    }
    mem_free(loader->slots);
    ranking_thumbs_free(&loader->thumbs);
    ranking_reader_close(loader->reader);
    family_encoder_close(loader->encoder);
}

int ranking_set_load(struct ranking_set **out, const struct recipe_datasets *entries,
                     const struct ranking_set_options *options, struct err *err)
{
    struct ranking_loader loader = {.options = options, .failures = mem_failures()};
    if (family_encoder_open(&loader.encoder, &options->text, err) != 0) {
        return -1;
    }
    loader.set = mem_alloc(1, sizeof *loader.set, err);
    loader.slots = mem_alloc(SLOTS, sizeof *loader.slots, err);
    if (options->show_progress) {
        progress_begin(&loader.progress, "reading preferences", 0);
    }
    int result = loader.set && loader.slots ? load_entries(&loader, entries, err) : -1;
    if (options->show_progress) {
        progress_end(&loader.progress);
    }
    loader_close(&loader);
    if (result != 0) {
        ranking_set_free(loader.set);
        return -1;
    }
    *out = loader.set;
    return 0;
}

void ranking_set_free(struct ranking_set *set)
{
    if (!set) {
        return;
    }
    for (size_t i = 0; set->sources && i < set->source_count; i++) {
        mem_free(set->sources[i].path);
        mem_free(set->sources[i].sentence);
        mem_free(set->sources[i].first_bad);
    }
    mem_free(set->sources);
    mem_free(set->rankings);
    arena_release(set->arena);
    mem_free(set);
}
