/*
 * base/number.h - numbers of recipes and metrics as text.
 */
#ifndef ATTUNE_BASE_NUMBER_H
#define ATTUNE_BASE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#define NUMBER_TEXT_SIZE 32

/*
 * A finite number with as few digits as read back to the same bits. It is a number to JSON and to YAML 1.1 alike, so it
 * always has a point: "3.0", "0.0002", "1.0e-05" (PyYAML takes "1e-05" for a string).
 */
void number_format(char out[NUMBER_TEXT_SIZE], double number);

/*
 * Reads the whole of a decimal text, finite, with '_' allowed between digits ("2e-4", ".5", "1_000"). Returns false
 * when it is anything else, or does not fit.
 */
bool number_parse(const char *text, double *number);
/* The same for whole numbers; "1e3" and "1000.0" are whole. */
bool number_parse_whole(const char *text, int64_t *number);

#endif
