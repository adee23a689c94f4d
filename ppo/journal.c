/* ppo/journal.c - see journal.h. */
#include "ppo/journal.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/number.h"
#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRIES_MAX ((size_t)1 << 28)

struct known {
    struct journal_entry entry;
    size_t order; /* in the file */
    bool taken;
};

struct journal {
    char *path;
    int file;
    off_t mark;
    struct known *known; /* sorted */
    size_t count, capacity;
};

static int compare_keys(const struct journal_entry *a, const struct journal_entry *b)
{
    if (a->iteration != b->iteration) {
        return a->iteration < b->iteration ? -1 : 1;
    }
    if (a->index != b->index) {
        return a->index < b->index ? -1 : 1;
    }
    if (a->hash.high != b->hash.high) {
        return a->hash.high < b->hash.high ? -1 : 1;
    }
    return a->hash.low < b->hash.low ? -1 : a->hash.low > b->hash.low;
}

static int compare_known(const void *left, const void *right)
{
    const struct known *a = left, *b = right;
    int keys = compare_keys(&a->entry, &b->entry);
    return keys != 0 ? keys : a->order < b->order ? -1 : 1;
}

/* ---- reading ---- */

static int parse_hash(const char *text, struct hash *hash)
{
    char half[17] = {0};
    if (strlen(text) != HASH_TEXT_SIZE - 1 || strspn(text, "0123456789abcdef") != HASH_TEXT_SIZE - 1) {
        return -1;
    }
    memcpy(half, text, 16);
    hash->high = strtoull(half, NULL, 16);
    memcpy(half, text + 16, 16);
    hash->low = strtoull(half, NULL, 16);
    return 0;
}

static int parse_entry(const char *line, size_t length, const char *where, struct journal_entry *entry, struct err *err)
{
    json_t *object = json_read_text(line, length, where, err);
    const char *hash = "";
    bool read = object &&
                json_need_int(object, "iteration", &entry->iteration, INT64_MIN, INT64_MAX, where, err) == 0 &&
                json_need_int(object, "index", &entry->index, INT64_MIN, INT64_MAX, where, err) == 0 &&
                json_need_string(object, "hash", &hash, where, err) == 0;
    const json_t *score = json_object_get(object, "score");
    if (read && (parse_hash(hash, &entry->hash) != 0 || !json_is_number(score))) {
        read = err_set(err, "%s: \"hash\" must be 32 hexadecimal digits and \"score\" a number", where) == 0;
    }
    if (read) {
        entry->score = json_number_value(score);
    }
    json_decref(object);
    return read ? 0
                : err_prefix(err, "cannot go on with the scores of this run; remove the line, or the file, whose "
                                  "answers are then scored again");
}

static int keep(struct journal *journal, const struct journal_entry *entry, struct err *err)
{
    if (journal->count >= ENTRIES_MAX) {
        return err_set(err, "'%s' has more than %zu entries; remove the file", journal->path, ENTRIES_MAX);
    }
    struct known *grown = mem_grow(journal->known, &journal->capacity, journal->count + 1, sizeof *grown, err);
    if (!grown) {
        return -1;
    }
    journal->known = grown;
    journal->known[journal->count] = (struct known){.entry = *entry, .order = journal->count};
    journal->count++;
    return 0;
}

/* *whole: bytes up to the end of the last whole line. */
static int read_lines(struct journal *journal, const struct file_map *map, int64_t first_iteration, size_t *whole,
                      struct err *err)
{
    const char *text = (const char *)map->data, *newline;
    int64_t number = 1;
    for (*whole = 0; *whole < map->size; *whole = (size_t)(newline - text) + 1, number++) {
        newline = memchr(text + *whole, '\n', map->size - *whole);
        if (!newline) {
            break;
        }
        char where[PATH_MAX + 32];
        struct journal_entry entry = {0};
        snprintf(where, sizeof where, "%.*s:%lld", PATH_MAX, journal->path, (long long)number);
        size_t length = (size_t)(newline - text) - *whole;
        if (parse_entry(text + *whole, length, where, &entry, err) != 0) {
            return -1;
        }
        if (entry.iteration >= first_iteration && keep(journal, &entry, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_journal(struct journal *journal, int64_t first_iteration, struct err *err)
{
    struct file_map map;
    size_t whole;
    if (file_map_open(&map, journal->path, err) != 0) {
        return -1;
    }
    int status = read_lines(journal, &map, first_iteration, &whole, err);
    if (status == 0 && whole < map.size && ftruncate(journal->file, (off_t)whole) != 0) {
        status = err_set_errno(err, "cannot cut the torn last line of '%s'", journal->path);
    }
    file_map_close(&map);
    if (journal->count > 0) {
        qsort(journal->known, journal->count, sizeof *journal->known, compare_known);
    }
    return status;
}

int journal_open(struct journal **out, const char *path, bool fresh, int64_t first_iteration, struct err *err)
{
    struct journal *journal = mem_alloc(1, sizeof *journal, err);
    if (!journal) {
        return -1;
    }
    journal->file = -1;
    journal->path = mem_copy_string(path, strlen(path), err);
    int status = journal->path ? 0 : -1;
    if (status == 0) {
        journal->file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (fresh ? O_TRUNC : 0), 0666);
        if (journal->file < 0) {
            status = err_set_errno(err, "cannot open '%s' to keep scores", path);
        }
    }
    if (status == 0) {
        status = read_journal(journal, first_iteration, err);
    }
    if (status != 0) {
        journal_close(journal);
        return -1;
    }
    journal_mark(journal);
    *out = journal;
    return 0;
}

void journal_close(struct journal *journal)
{
    if (!journal) {
        return;
    }
    if (journal->file >= 0) {
        close(journal->file);
    }
    mem_free(journal->path);
    mem_free(journal->known);
    mem_free(journal);
}

bool journal_take(struct journal *journal, int64_t iteration, int64_t index, struct hash hash, double *score)
{
    const struct journal_entry wanted = {.iteration = iteration, .index = index, .hash = hash};
    size_t low = 0, high = journal->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_keys(&journal->known[middle].entry, &wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < journal->count && compare_keys(&journal->known[low].entry, &wanted) == 0; low++) {
        struct known *known = &journal->known[low];
        if (known->taken) {
            continue;
        }
        known->taken = true;
        *score = known->entry.score;
        return true;
    }
    return false;
}

/* ---- writing ---- */

int journal_append(struct journal *journal, const struct journal_entry *entry, struct err *err)
{
    char hash[HASH_TEXT_SIZE], score[NUMBER_TEXT_SIZE], line[256];
    hash_text(hash, entry->hash);
    number_format(score, entry->score);
    int length =
        snprintf(line, sizeof line, "{\"iteration\": %lld, \"index\": %lld, \"hash\": \"%s\", \"score\": %s}\n",
                 (long long)entry->iteration, (long long)entry->index, hash, score);
    assert(length > 0 && (size_t)length < sizeof line);
    return file_append(journal->file, journal->path, line, (size_t)length, err);
}

int journal_sync(struct journal *journal, struct err *err)
{
    return file_sync(journal->file, journal->path, err);
}

void journal_mark(struct journal *journal)
{
    journal->mark = lseek(journal->file, 0, SEEK_END);
}

int journal_forget(struct journal *journal, struct err *err)
{
    if (journal->mark < 0 || ftruncate(journal->file, journal->mark) != 0) {
        return err_set_errno(err, "cannot take the last scores out of '%s'; remove the file", journal->path);
    }
    return 0;
}
