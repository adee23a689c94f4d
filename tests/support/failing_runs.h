/*
 * tests/support/failing_runs.h - whole short runs of a stage with one allocation, or one write or fsync, failing: one
 * after the other. The run ends well or with a sentence of what was wanting, leaves nothing half-written, and the
 * same recipe goes on to the bytes of a run that nothing happened to.
 *
 * Everything here fails the running test with a sentence.
 */
#ifndef ATTUNE_TESTS_SUPPORT_FAILING_RUNS_H
#define ATTUNE_TESTS_SUPPORT_FAILING_RUNS_H

#include "support/stage_runs.h"

struct failing_runs {
    const struct tested_stage *stage;
    const struct stage_method *methods;
    size_t count;
    long most;               /* failures tried, evenly spread where there are more; 0: every one */
    const char *kept[4];     /* files that must be the same when a run has gone on; ends with NULL */
    const char *changing[4]; /* files that are written more than once, or hold times; ends with NULL */
};

/* Once in main(), before the tests. */
void failing_runs_begin(void);

/* cmocka's tests, with a struct failing_runs as their state: cmocka_unit_test_prestate(TEST, &runs). */
void failing_allocations(void **state);
void failing_writes(void **state);

#endif
