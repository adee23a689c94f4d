/* The part of text/data/record.h that reads files: which file, which format, which records. */
#include "text/data/record.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/suggest.h"
#include "text/data/preference.h"
#include "text/data/record_file.h"
#include <string.h>

#define DETECT_RECORDS 16

struct record_reader {
    char *path, *split;
    struct record_file *file;              /* a file in one of our own formats */
    struct preference_reader *preferences; /* or one of preferences */
    enum record_format format;             /* of the values given out */
    const char *format_name;               /* of the file */
    char *sentence;
    int64_t preferences_read;
};

static const char *const format_names[RECORD_FORMATS] = {
    [RECORD_AUTO] = "auto",         [RECORD_ALPACA] = "alpaca",         [RECORD_SHAREGPT] = "sharegpt",
    [RECORD_MESSAGES] = "messages", [RECORD_COMPLETION] = "completion", [RECORD_TEXT] = "text",
    [RECORD_PROMPT] = "prompt",
};

bool record_path_is_text(const char *path)
{
    size_t length = strlen(path);
    return (length > 4 && strcmp(path + length - 4, ".txt") == 0) ||
           (length > 7 && strcmp(path + length - 7, ".txt.gz") == 0);
}

char *record_find_file(const char *path, const char **split, struct err *err)
{
    static const char *const endings[] = {".jsonl", ".json", ".jsonl.gz", ".json.gz", ".txt", ".txt.gz"};
    if (!file_is_dir(path)) {
        return mem_copy_string(path, strlen(path), err);
    }
    const char *name = *split ? *split : "train";
    char *found = NULL;
    struct strbuf file = {0};
    for (size_t i = 0; i < sizeof endings / sizeof *endings && !file.failed && !found; i++) {
        strbuf_clear(&file);
        strbuf_printf(&file, "%s%s", name, endings[i]);
        char *candidate = file_join(path, strbuf_text(&file), err);
        if (!candidate) {
            goto done;
        }
        if (file_exists(candidate)) {
            found = candidate;
            *split = NULL;
        } else {
            mem_free(candidate);
        }
    }
    if (!found && strbuf_check(&file, err) == 0) {
        err_set(err, "the folder '%s' holds no %s.jsonl, %s.json or %s.txt (or the same with .gz); name a file", path,
                name, name, name);
    }
done:
    strbuf_free(&file);
    return found;
}

static int unknown_format(const char *name, struct err *err)
{
    const char *names[RECORD_FORMATS + PREFERENCE_FORMATS];
    size_t count = 0;
    for (size_t i = RECORD_AUTO + 1; i < RECORD_FORMATS; i++) {
        names[count++] = format_names[i];
    }
    for (int i = PREFERENCE_AUTO + 1; i < PREFERENCE_FORMATS; i++) {
        names[count++] = preference_format_name((enum preference_format)i);
    }
    const char *nearest = suggest_nearest(name, names, count);
    if (nearest) {
        return err_set(err, "there is no dataset format '%s'; did you mean '%s'?", name, nearest);
    }
    return err_set(
        err,
        "there is no dataset format '%s'; known are %s, and for preferences trl, trl-implicit, sharegpt, hh, "
        "oasst, tldr, ultrafeedback, kto, pairs",
        name, record_formats_known);
}

/* The named format, of ours in *format or else of preferences in *preference. */
static int find_format(const char *name, enum record_format *format, enum preference_format *preference,
                       struct err *err)
{
    *format = RECORD_AUTO;
    *preference = PREFERENCE_AUTO;
    for (size_t i = 0; i < RECORD_FORMATS; i++) {
        if (strcmp(format_names[i], name) == 0) {
            *format = (enum record_format)i;
            return 0;
        }
    }
    struct err ignored;
    if (preference_format_find(preference, name, &ignored) != 0) {
        return unknown_format(name, err);
    }
    return 0;
}

static int say(struct record_reader *reader, const char *how, size_t count, struct err *err)
{
    struct strbuf text = {0};
    strbuf_printf(&text, "%s: %s records", reader->path, reader->format_name);
    if (count > 0) {
        strbuf_printf(&text, " (%s %zu)", how, count);
    } else if (how) {
        strbuf_printf(&text, " (%s)", how);
    }
    int result = strbuf_check(&text, err);
    if (result == 0) {
        reader->sentence = mem_copy_string(strbuf_text(&text), text.length, err);
        result = reader->sentence ? 0 : -1;
    }
    strbuf_free(&text);
    return result;
}

static int nothing_shows(const struct record_reader *reader, const json_t *value, struct err *err)
{
    struct strbuf members = {0};
    if (!json_is_object(value)) {
        strbuf_puts(&members, "they are no JSON objects");
    } else {
        const char *key, *between = "they have the members ";
        json_t *member;
        json_object_foreach((json_t *)value, key, member)
        {
            strbuf_printf(&members, "%s\"%.40s\"", between, key);
            between = ", ";
            if (members.length > 300) {
                strbuf_puts(&members, ", ...");
                break;
            }
        }
    }
    err_set(err, "'%s': the first records show no known format: %s; known are %s", reader->path, strbuf_text(&members),
            record_formats_known);
    strbuf_free(&members);
    return -1;
}

struct format_tally {
    size_t votes[RECORD_FORMATS];
    size_t records; /* whole ones among those looked at */
    json_t *first;  /* the first of them */
};

/* What the first records look like. Lines that are no JSON are met again, and blamed, when they are read. */
static int take_votes(struct record_reader *reader, struct format_tally *tally, struct err *err)
{
    for (int looked = 0; looked < DETECT_RECORDS; looked++) {
        json_t *value;
        int got = record_file_next(reader->file, &value, err);
        if (got <= 0) {
            if (got < 0) {
                return -1;
            }
            break;
        }
        if (got == RECORD_FILE_VALUE) {
            tally->votes[record_detect(value)]++;
            tally->records++;
            if (!tally->first) {
                tally->first = json_incref(value);
            }
            json_decref(value);
        }
    }
    return 0;
}

/* Which format of preferences it is: their own reader decides by its first record that can be read. */
static int open_preferences(struct record_reader *reader, enum preference_format format, struct err *err)
{
    if (preference_open(&reader->preferences, reader->path, format, err) != 0) {
        return -1;
    }
    reader->format = RECORD_COMPLETION;
    reader->format_name = preference_format_name(format);
    record_file_close(reader->file);
    reader->file = NULL;
    return 0;
}

/* PREFERENCE_AUTO: it is none of theirs. What is wrong with the file was said already, unless memory ran out. */
static int detect_preferences(enum preference_format *format, const char *path, struct err *err)
{
    struct err ignored;
    long failures = mem_failures();
    struct preference_reader *probe;
    const struct preference *record;
    *format = PREFERENCE_AUTO;
    if (preference_open(&probe, path, PREFERENCE_AUTO, &ignored) == 0) {
        int got = PREFERENCE_REJECTED;
        for (int i = 0; i < DETECT_RECORDS && got == PREFERENCE_REJECTED; i++) {
            got = preference_next(probe, &record, &ignored);
        }
        *format = preference_reader_format(probe);
        preference_close(probe);
    }
    return mem_failures() == failures ? 0 : err_set(err, "out of memory while looking for the format of '%s'", path);
}

static int detect(struct record_reader *reader, struct err *err)
{
    struct format_tally tally = {0};
    int result = take_votes(reader, &tally, err);
    if (result == 0 && tally.records == 0) {
        result = err_set(
            err, "'%s' holds no record that can be read; it should hold a JSON object a line, or one array of them",
            reader->path);
    }
    size_t best = RECORD_AUTO;
    for (size_t i = RECORD_AUTO + 1; i < RECORD_FORMATS && result == 0; i++) {
        bool more = tally.votes[i] > (best == RECORD_AUTO ? 0 : tally.votes[best]);
        best = more ? i : best;
    }
    if (result == 0 && best != RECORD_AUTO) {
        reader->format = (enum record_format)best;
        reader->format_name = format_names[best];
        result = say(reader, "told from the first", tally.records, err);
        result = result == 0 ? record_file_rewind(reader->file, err) : -1;
    } else if (result == 0) {
        enum preference_format preference;
        result = detect_preferences(&preference, reader->path, err);
        if (result == 0) {
            result = preference == PREFERENCE_AUTO ? nothing_shows(reader, tally.first, err)
                                                   : open_preferences(reader, preference, err);
        }
        result = result == 0 ? say(reader, "preferences, of which the best answers are learned", 0, err) : -1;
    }
    json_decref(tally.first);
    return result;
}

static int open_reader(struct record_reader *reader, const char *path, const char *format, const char *split,
                       struct err *err)
{
    enum preference_format preference = PREFERENCE_AUTO;
    reader->path = mem_copy_string(path, strlen(path), err);
    reader->split = reader->path && split ? mem_copy_string(split, strlen(split), err) : NULL;
    if (!reader->path || (split && !reader->split) ||
        (format && find_format(format, &reader->format, &preference, err) != 0)) {
        return -1;
    }
    if (preference != PREFERENCE_AUTO) {
        if (open_preferences(reader, preference, err) != 0) {
            return -1;
        }
    } else if (record_file_open(&reader->file, path, RECORD_FILE_DETECT, err) != 0) {
        return -1;
    } else if (reader->format == RECORD_AUTO) {
        return detect(reader, err);
    }
    reader->format_name = preference != PREFERENCE_AUTO ? reader->format_name : format_names[reader->format];
    return say(reader, NULL, 0, err);
}

int record_reader_open(struct record_reader **out, const char *path, const char *format, const char *split,
                       struct err *err)
{
    struct record_reader *reader = mem_alloc(1, sizeof *reader, err);
    if (!reader) {
        return -1;
    }
    int result = open_reader(reader, path, format, split, err);
    if (result == 0 && split && reader->preferences) {
        result =
            err_set(err, "'%s' holds preferences, which have no split '%s' to choose; leave split out", path, split);
    }
    if (result != 0) {
        record_reader_close(reader);
        return -1;
    }
    *out = reader;
    return 0;
}

void record_reader_close(struct record_reader *reader)
{
    if (reader) {
        record_file_close(reader->file);
        preference_close(reader->preferences);
        mem_free(reader->path);
        mem_free(reader->split);
        mem_free(reader->sentence);
        mem_free(reader);
    }
}

/* The answer to learn; NULL: none is known to be good. */
static const struct preference_answer *best_answer(const struct preference *record)
{
    if (record->count == 1) {
        return record->thumb >= 0 ? &record->answers[0] : NULL;
    }
    const struct preference_answer *best = NULL;
    for (size_t i = 0; i < record->count; i++) {
        const struct preference_answer *answer = &record->answers[i];
        if (answer->rank > 0 && (!best || answer->rank < best->rank)) {
            best = answer;
        }
    }
    return best;
}

/* A preference as a completion; where no answer is good, the completion is empty and nothing is learned. */
static int next_preference(struct record_reader *reader, json_t **value, struct record_place *place, struct err *err)
{
    const struct preference *record;
    int got = preference_next(reader->preferences, &record, err);
    if (got != PREFERENCE_RECORD) {
        return got == PREFERENCE_REJECTED ? RECORD_BAD : got;
    }
    *place = (struct record_place){.line = record->line, .number = ++reader->preferences_read};
    const struct preference_answer *best = best_answer(record);
    json_t *completion = json_array();
    if (completion && best) {
        json_t *answer = json_pack("{s:s, s:s%}", "role", "assistant", "content", best->text, best->length);
        if (!answer || json_array_append_new(completion, answer) != 0) {
            json_decref(completion);
            completion = NULL;
        }
    }
    *value = completion ? json_pack("{s:O, s:o}", "prompt", record->messages, "completion", completion) : NULL;
    return *value ? RECORD_VALUE : err_set(err, "out of memory while reading '%s'", reader->path);
}

static bool is_wanted(const struct record_reader *reader, const json_t *value)
{
    const char *split = json_string_value(json_object_get(value, "split"));
    return !reader->split || (split && strcmp(split, reader->split) == 0);
}

int record_reader_next(struct record_reader *reader, json_t **value, struct record_place *place, struct err *err)
{
    if (reader->preferences) {
        return next_preference(reader, value, place, err);
    }
    for (;;) {
        int got = record_file_next(reader->file, value, err);
        if (got <= 0) {
            return got;
        }
        *place =
            (struct record_place){.line = record_file_line(reader->file), .number = record_file_number(reader->file)};
        if (got == RECORD_FILE_BAD) {
            record_reader_blame(reader, place, err);
            return RECORD_BAD;
        }
        if (is_wanted(reader, *value)) {
            return RECORD_VALUE;
        }
        json_decref(*value);
        *value = NULL;
    }
}

enum record_format record_reader_format(const struct record_reader *reader)
{
    return reader->format;
}

const char *record_reader_format_name(const struct record_reader *reader)
{
    return reader->format_name;
}

const char *record_reader_sentence(const struct record_reader *reader)
{
    return reader->sentence;
}

int record_reader_blame(const struct record_reader *reader, const struct record_place *place, struct err *err)
{
    if (reader->file && record_file_is_array(reader->file)) {
        return err_prefix(err, "%s:%lld (record %lld)", reader->path, (long long)place->line, (long long)place->number);
    }
    return err_prefix(err, "%s:%lld", reader->path, (long long)place->line);
}
