#include "text/data/packing.h"

#include "base/mem.h"
#include "base/minmax.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64

/* An example on its way into a row. */
struct item {
    int32_t example, length;
    int32_t place; /* in the given order */
    int32_t row;
};

/*
 * Open rows by the space they have left. bit s of `open` is set where head[s] is a row with s tokens left; rows of the
 * same space are chained by `next`, the newest first.
 */
struct spaces {
    uint64_t *open;
    int32_t *head;
    int32_t *next; /* [rows] */
    size_t words;
};

static void spaces_free(struct spaces *spaces)
{
    mem_free(spaces->open);
    mem_free(spaces->head);
    mem_free(spaces->next);
}

/* To be freed after a failure too. */
static int spaces_create(struct spaces *spaces, int32_t max_length, size_t most_rows, struct err *err)
{
    size_t sizes = (size_t)max_length + 1;
    *spaces = (struct spaces){.words = sizes / WORD_BITS + 1};
    spaces->open = mem_alloc(spaces->words, sizeof *spaces->open, err);
    spaces->head = spaces->open ? mem_alloc(sizes, sizeof *spaces->head, err) : NULL;
    spaces->next = spaces->head ? mem_alloc(most_rows, sizeof *spaces->next, err) : NULL;
    if (!spaces->next) {
        return -1;
    }
    for (size_t i = 0; i < sizes; i++) {
        spaces->head[i] = -1;
    }
    return 0;
}

static void spaces_put(struct spaces *spaces, int32_t row, int32_t space)
{
    spaces->next[row] = spaces->head[space];
    spaces->head[space] = row;
    spaces->open[space / WORD_BITS] |= UINT64_C(1) << (space % WORD_BITS);
}

/* Takes out a row with the least space that holds `length`, and tells its space; -1 where there is none. */
static int32_t spaces_take(struct spaces *spaces, int32_t length, int32_t *space)
{
    size_t word = (size_t)length / WORD_BITS;
    uint64_t bits = spaces->open[word] & (UINT64_MAX << (length % WORD_BITS));
    while (bits == 0 && ++word < spaces->words) {
        bits = spaces->open[word];
    }
    if (bits == 0) {
        return -1;
    }
    *space = (int32_t)(word * WORD_BITS) + __builtin_ctzll(bits);
    int32_t row = spaces->head[*space];
    spaces->head[*space] = spaces->next[row];
    if (spaces->head[*space] < 0) {
        spaces->open[word] &= ~(UINT64_C(1) << (*space % WORD_BITS));
    }
    return row;
}

static int longest_first(const void *left, const void *right)
{
    const struct item *a = left, *b = right;
    if (a->length != b->length) {
        return a->length > b->length ? -1 : 1;
    }
    return (a->place > b->place) - (a->place < b->place);
}

static int by_place(const void *left, const void *right)
{
    const struct item *a = left, *b = right;
    return (a->place > b->place) - (a->place < b->place);
}

/* Gives each item its row, best-fit decreasing; the number of rows. */
static int32_t choose_rows(struct item *items, size_t count, struct spaces *spaces, int32_t max_length)
{
    int32_t rows = 0;
    qsort(items, count, sizeof *items, longest_first);
    for (size_t i = 0; i < count; i++) {
        int32_t space, row = spaces_take(spaces, items[i].length, &space);
        if (row < 0) {
            row = rows++;
            space = max_length;
        }
        items[i].row = row;
        spaces_put(spaces, row, space - items[i].length);
    }
    return rows;
}

/* Writes the rows in the order of their first examples. new_number is scratch of [rows]. */
static void write_rows(struct packed_rows *out, struct item *items, size_t count, int32_t *new_number)
{
    int32_t named = 0;
    qsort(items, count, sizeof *items, by_place);
    for (int32_t row = 0; row < out->rows; row++) {
        new_number[row] = -1;
    }
    for (size_t i = 0; i < count; i++) {
        int32_t *number = &new_number[items[i].row];
        *number = *number < 0 ? named++ : *number;
        items[i].row = *number;
        out->starts[*number + 1]++; /* how many examples, for now */
    }
    for (int32_t row = 0; row < out->rows; row++) {
        out->most = out->starts[row + 1] > out->most ? out->starts[row + 1] : out->most;
        out->starts[row + 1] += out->starts[row];
        new_number[row] = out->starts[row]; /* from here on: where the row's next example goes */
    }
    for (size_t i = 0; i < count; i++) {
        out->examples[new_number[items[i].row]++] = items[i].example;
        out->tokens += items[i].length;
    }
}

static int32_t fullest_row(const struct packed_rows *rows, const struct example *examples)
{
    int32_t most = 0;
    for (int32_t row = 0; row < rows->rows; row++) {
        int32_t tokens = 0;
        for (int32_t i = rows->starts[row]; i < rows->starts[row + 1]; i++) {
            tokens += examples[rows->examples[i]].length;
        }
        most = max(most, tokens);
    }
    return most;
}

int packed_rows_fill(struct packed_rows *rows, const struct example *examples, const int64_t *order, size_t count,
                     int32_t max_length, struct err *err)
{
    assert(count > 0 && count <= INT32_MAX);
    struct packed_rows filled = {0};
    struct spaces spaces = {0};
    struct item *items = mem_alloc(count, sizeof *items, err);
    int32_t *new_number = items ? mem_alloc(count, sizeof *new_number, err) : NULL;
    int result = -1;
    if (!new_number || spaces_create(&spaces, max_length, count, err) != 0) {
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        int64_t example = order ? order[i] : (int64_t)i;
        items[i] = (struct item){.example = (int32_t)example, .length = examples[example].length, .place = (int32_t)i};
        assert(items[i].length <= max_length);
    }
    filled.rows = choose_rows(items, count, &spaces, max_length);
    filled.examples = mem_alloc(count, sizeof *filled.examples, err);
    filled.starts = filled.examples ? mem_alloc((size_t)filled.rows + 1, sizeof *filled.starts, err) : NULL;
    if (!filled.starts) {
        mem_free(filled.examples);
        goto done;
    }
    write_rows(&filled, items, count, new_number);
    filled.longest = fullest_row(&filled, examples);
    *rows = filled;
    result = 0;
done:
    spaces_free(&spaces);
    mem_free(items);
    mem_free(new_number);
    return result;
}

void packed_rows_free(struct packed_rows *rows)
{
    mem_free(rows->examples);
    mem_free(rows->starts);
    *rows = (struct packed_rows){0};
}
