/*
 * tests/text/helper_tokenizer.h - what the tokenizer's tests share: the real files, made-up text, and hashes as
 * tests/reference/tokenizer_ids.py makes them.
 */
#ifndef ATTUNE_TESTS_TEXT_HELPER_TOKENIZER_H
#define ATTUNE_TESTS_TEXT_HELPER_TOKENIZER_H

#include "base/json.h"
#include "base/strbuf.h"
#include "text/tokenizer/tokenizer.h"

/* A file of the folder of real data, $ATTUNE_TEST_DATA or ../shared/data, in a static buffer; NULL where it is not
 * there. */
const char *real_data(const char *name);
/* A tokenizer.json of the real data; the running test is skipped aloud where it is not there. */
struct tokenizer *real_tokenizer(const char *name);
/* A file read whole; fails the test where it cannot be. */
void read_whole(struct strbuf *out, const char *path);

/* splitmix64 */
struct made_up {
    uint64_t state;
};
uint64_t made_up_below(struct made_up *random, uint64_t n);
/* Appends runs of 1 to 12 characters of one range, or of words of a list, until the text has grown by `size` bytes. */
void made_up_text(struct strbuf *out, size_t size, uint64_t seed);

/* The longest start of whole characters in `size` bytes. */
size_t cut_text(const char *text, size_t length, size_t size);

/* FNV-1a, 64 bits. */
uint64_t fnv(const void *bytes, size_t size);
/* The same of ids as four bytes each, least first. */
uint64_t fnv_ids(const int32_t *ids, size_t count);

/* A tokenizer from the text of a tokenizer.json; fails the test where it cannot be opened. */
struct tokenizer *tokenizer_of(const char *json);
/* Opens what must be refused, and looks for `part` in the sentence. */
void assert_refused(const char *json, const char *part);

#endif
