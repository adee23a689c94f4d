/*
 * commands/data_lengths.h - how many examples, conversations or prompts are how long: a drawing, and the same as JSON.
 */
#ifndef ATTUNE_COMMANDS_DATA_LENGTHS_H
#define ATTUNE_COMMANDS_DATA_LENGTHS_H

#include "base/json.h"
#include <stddef.h>
#include <stdint.h>

#define DATA_BINS_MAX 16

/* Bin i counts what has i * width + 1 .. (i + 1) * width tokens. */
struct data_lengths {
    int32_t width;
    size_t bins;
    int64_t counts[DATA_BINS_MAX];
};

/* Empty, with room for lengths up to `longest`. */
struct data_lengths data_lengths_for(int32_t longest);
void data_lengths_add(struct data_lengths *lengths, int32_t tokens);

/* `what` is counted: "examples". */
void data_lengths_print(const struct data_lengths *lengths, const char *what);
/* [{"from", "to", <what>: count}, ...]; NULL when memory runs out. */
json_t *data_lengths_json(const struct data_lengths *lengths, const char *what);

/* "  7 <what>" on a line of its own, unless it is 0. */
void data_print_count(int64_t count, const char *what);
/* Prints *summary, which is taken over (NULL: memory was short when it was made). */
int data_print_json(json_t *summary, struct err *err);

#endif
