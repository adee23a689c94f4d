/*
 * tests/support/run_files.h - what a stage left in its run's folder, which stands in the temporary folder
 * (support/temporary.h) under `name`.
 *
 * Everything here fails the running test with a sentence where it cannot do what it is for.
 */
#ifndef ATTUNE_TESTS_SUPPORT_RUN_FILES_H
#define ATTUNE_TESTS_SUPPORT_RUN_FILES_H

#include "base/strbuf.h"

/* The value of `key` in the first record of step `step` of <name>/metrics.jsonl that has the key; NaN where it is null.
 */
double run_metric(const char *name, int step, const char *key);

/* <name>/metrics.jsonl without what depends on the clock or the machine; free with strbuf_free(). */
struct strbuf run_metrics(const char *name);

#endif
