/* Which kind of entry it is, and the preference files; see source.h. */
#include "rankings/source.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "text/data/preference.h"
#include "text/data/record.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

#define SPLITS_NAMED 8 /* in an error */

_Static_assert(PREFERENCE_ANSWERS_MAX == RANKING_ANSWERS_MAX, "a record fits a judgment");

struct ranking_reader {
    char *path;
    struct ranking_prefs *prefs; /* a prefs.db */

    struct preference_reader *file; /* or a preference file */
    char *split;                    /* only records of it; NULL: all */
    char *splits[SPLITS_NAMED];     /* that other records name */
    int64_t number;                 /* records read */
};

/* ---- Judgments ---- */

void ranking_judgment_free(struct ranking_judgment *judgment)
{
    json_decref(judgment->messages);
    for (int32_t i = 0; i < judgment->count; i++) {
        mem_free(judgment->answers[i].text);
    }
    mem_free(judgment->annotator);
    *judgment = (struct ranking_judgment){0};
}

int ranking_judgment_add(struct ranking_judgment *judgment, const char *text, size_t length, int32_t rank,
                         struct err *err)
{
    char *copy = mem_copy_string(text, length, err);
    if (!copy) {
        return -1;
    }
    judgment->answers[judgment->count++] = (struct ranking_answer){.text = copy,
                                                                   .length = length,
                                                                   .rank = rank,
                                                                   .position = -1,
                                                                   .characters = (int32_t)utf8_characters(text, length),
                                                                   .score = NAN};
    return 0;
}

/* ---- Which kind ---- */

static int is_database(const char *path, bool *database, struct err *err)
{
    static const char magic[16] = "SQLite format 3";
    char head[sizeof magic];
    int file = file_open_read(path, err);
    if (file < 0) {
        return -1;
    }
    ssize_t got = read(file, head, sizeof head);
    close(file);
    *database = got == (ssize_t)sizeof head && memcmp(head, magic, sizeof head) == 0;
    return 0;
}

/* What only a prefs.db has. */
static int refuse_database_keys(const struct recipe_dataset *entry, struct err *err)
{
    const char *key = entry->project                                         ? "project"
                      : entry->annotators.count                              ? "annotators"
                      : entry->min_agreement > 0                             ? "min_agreement"
                      : entry->format && strcmp(entry->format, "prefs") == 0 ? "format: prefs"
                                                                             : NULL;
    return key ? err_set(err, "'%s' is no prefs.db, so '%s' says nothing of it; leave it out", entry->path, key) : 0;
}

static int open_file(struct ranking_reader *reader, const struct recipe_dataset *entry, const char *split,
                     struct err *err)
{
    enum preference_format format = PREFERENCE_AUTO;
    if (refuse_database_keys(entry, err) != 0 ||
        (entry->format && preference_format_find(&format, entry->format, err) != 0)) {
        return -1;
    }
    reader->split = split ? mem_copy_string(split, strlen(split), err) : NULL;
    if (split && !reader->split) {
        return -1;
    }
    return preference_open(&reader->file, reader->path, format, err);
}

static int open_reader(struct ranking_reader *reader, const struct recipe_dataset *entry, struct err *err)
{
    bool database = false;
    const char *split = entry->split;
    reader->path = record_find_file(entry->path, &split, err);
    if (!reader->path || is_database(reader->path, &database, err) != 0) {
        return -1;
    }
    return database ? ranking_prefs_open(&reader->prefs, entry, err) : open_file(reader, entry, split, err);
}

int ranking_reader_open(struct ranking_reader **out, const struct recipe_dataset *entry, struct err *err)
{
    struct ranking_reader *reader = mem_alloc(1, sizeof *reader, err);
    if (!reader) {
        return -1;
    }
    if (open_reader(reader, entry, err) != 0) {
        ranking_reader_close(reader);
        return -1;
    }
    *out = reader;
    return 0;
}

void ranking_reader_close(struct ranking_reader *reader)
{
    if (!reader) {
        return;
    }
    ranking_prefs_close(reader->prefs);
    preference_close(reader->file);
    for (int i = 0; i < SPLITS_NAMED; i++) {
        mem_free(reader->splits[i]);
    }
    mem_free(reader->split);
    mem_free(reader->path);
    mem_free(reader);
}

/* ---- Files ---- */

/* Whether the record is of the split; another's name is kept for ranking_reader_empty(). */
static int is_wanted(struct ranking_reader *reader, const char *split, bool *wanted, struct err *err)
{
    *wanted = !reader->split || (split && strcmp(split, reader->split) == 0);
    for (int i = 0; !*wanted && split && i < SPLITS_NAMED; i++) {
        if (!reader->splits[i]) {
            reader->splits[i] = mem_copy_string(split, strlen(split), err);
            return reader->splits[i] ? 0 : -1;
        }
        if (strcmp(reader->splits[i], split) == 0) {
            break;
        }
    }
    return 0;
}

static int copy_record(struct ranking_judgment *judgment, const struct preference *record, struct err *err)
{
    judgment->messages = json_incref(record->messages);
    judgment->thumb = record->thumb;
    judgment->strength = record->strength;
    judgment->margin = record->margin;
    judgment->place = record->line;
    if (record->annotator) {
        judgment->annotator = mem_copy_string(record->annotator, strlen(record->annotator), err);
        if (!judgment->annotator) {
            return -1;
        }
    }
    for (size_t i = 0; i < record->count; i++) {
        const struct preference_answer *answer = &record->answers[i];
        if (ranking_judgment_add(judgment, answer->text, answer->length, answer->rank, err) != 0) {
            return -1;
        }
        judgment->answers[i].score = answer->score;
    }
    return 0;
}

static int next_record(struct ranking_reader *reader, struct ranking_judgment *judgment, struct err *err)
{
    for (;;) {
        const struct preference *record;
        bool wanted;
        int got = preference_next(reader->file, &record, err);
        if (got == PREFERENCE_REJECTED) {
            return RANKING_BAD;
        }
        if (got != PREFERENCE_RECORD) {
            return got;
        }
        reader->number++;
        if (is_wanted(reader, record->split, &wanted, err) != 0) {
            return -1;
        }
        if (wanted) {
            judgment->number = reader->number;
            return copy_record(judgment, record, err) == 0 ? RANKING_JUDGMENT : -1;
        }
    }
}

int ranking_reader_next(struct ranking_reader *reader, struct ranking_judgment *judgment, struct err *err)
{
    int got = reader->prefs ? ranking_prefs_next(reader->prefs, judgment, err) : next_record(reader, judgment, err);
    if (got < 0) {
        ranking_judgment_free(judgment);
    }
    return got;
}

int ranking_reader_blame(const struct ranking_reader *reader, int64_t place, struct err *err)
{
    return reader->prefs ? err_prefix(err, "%s, judgment %lld", reader->path, (long long)place)
                         : err_prefix(err, "%s:%lld", reader->path, (long long)place);
}

const char *ranking_reader_path(const struct ranking_reader *reader)
{
    return reader->path;
}

void ranking_reader_describe(const struct ranking_reader *reader, struct strbuf *sentence)
{
    strbuf_printf(sentence, "%s: ", reader->path);
    if (reader->prefs) {
        ranking_prefs_describe(reader->prefs, sentence);
        return;
    }
    strbuf_printf(sentence, "%s records", preference_format_name(preference_reader_format(reader->file)));
    if (reader->split) {
        strbuf_printf(sentence, " of split '%s'", reader->split);
    }
}

int ranking_reader_empty(const struct ranking_reader *reader, struct err *err)
{
    if (reader->prefs) {
        return ranking_prefs_empty(reader->prefs, err);
    }
    if (!reader->split) {
        return err_set(err, "'%s' holds no preference record; its formats are those of docs/prefs.md", reader->path);
    }
    struct strbuf names = {0};
    for (int i = 0; i < SPLITS_NAMED && reader->splits[i]; i++) {
        strbuf_printf(&names, "%s'%s'", i > 0 ? ", " : "", reader->splits[i]);
    }
    if (names.length > 0) {
        err_set(err, "'%s' holds no record of split '%s'; its records name %s", reader->path, reader->split,
                strbuf_text(&names));
    } else {
        err_set(err, "'%s' holds no record of split '%s': its records have no member \"split\"; leave split out",
                reader->path, reader->split);
    }
    strbuf_free(&names);
    return -1;
}
