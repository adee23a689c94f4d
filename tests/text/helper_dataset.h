/*
 * Files of the temporary folder (support/temporary.h), the tokenizer of support/byte_tokenizer.h with <|im_end|> as its
 * end of text, and examples as text, for the tests of datasets.
 */
#ifndef ATTUNE_TESTS_TEXT_HELPER_DATASET_H
#define ATTUNE_TESTS_TEXT_HELPER_DATASET_H

#include "text/data/dataset.h"

/* Group teardown of cmocka; the setup is temporary_setup(). */
int dataset_teardown(void **state);

/* Writes a file of the folder and returns its path, as temporary() does. */
const char *scratch_file(const char *name, const char *text);
const char *scratch_bytes(const char *name, const char *bytes, size_t length);
/* The same, compressed. */
const char *scratch_gzip(const char *name, const char *text);

enum byte_tokenizer { WITHOUT_BOS, WITH_BOS };
/* With WITH_BOS the post-processor puts <s> in front. Opened once, freed by dataset_teardown(). */
const struct tokenizer *byte_tokenizer(enum byte_tokenizer kind);
/* The built-in template chatml. */
const struct chat_template *chatml(void);

/* Byte tokenizer without BOS, chatml. */
struct dataset_options plain_options(void);

/* Loads one file, or fails the test. */
struct dataset *load_one(const char *path, const char *format, const struct dataset_options *options);
/* Loads one file and expects an error with `part` in it. */
void expect_load_error(const char *path, const char *format, const struct dataset_options *options, const char *part);

/* The tokens as text, the trained ones in [brackets]; valid until the eighth call from now. */
const char *shown(const struct example *example);
const char *shown_ids(const int32_t *ids, int32_t count);

/* The folder of the real model, $ATTUNE_TEST_MODEL; NULL where there is none. */
const char *real_model(void);

#endif
