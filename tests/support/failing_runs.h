/*
 * tests/support/failing_runs.h - whole short runs of a stage with one allocation, or one write or fsync, failing: one
 * after the other. The run ends well or with a sentence of what was wanting, leaves nothing half-written, and the
 * same recipe goes on to the bytes of a run that nothing happened to.
 *
 * Everything here fails the running test with a sentence.
 */
#ifndef ATTUNE_TESTS_SUPPORT_FAILING_RUNS_H
#define ATTUNE_TESTS_SUPPORT_FAILING_RUNS_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

/* What fails: the n-th allocation, or write, between failure_begin() and failure_end(); 0: none. */
struct failure {
    void (*fail_at)(long);
    long (*count)(void);
    long n;
    long made; /* how many there were */
};
void failure_begin(const struct failure *failure);
void failure_end(struct failure *failure);

struct failing_runs {
    /*
     * A run of method `method` with the temporary folder's `run` as output_dir. It begins the failure when recipe and
     * backend are made, and ends it before they are freed. True: the run was finished.
     */
    bool (*run)(size_t method, struct failure *failure, struct err *err);
    size_t methods;
    long most;                  /* failures tried, evenly spread where there are more; 0: every one */
    const char *const *results; /* by method: the file of the trained tensors */
    const char *kept[4];        /* files that must be the same when a run has gone on; ends with NULL */
    const char *changing[4];    /* files that are written more than once, or hold times; ends with NULL */
};

/* Once in main(), before the tests. */
void failing_runs_begin(void);

void failing_allocations(const struct failing_runs *runs);
void failing_writes(const struct failing_runs *runs);

#endif
