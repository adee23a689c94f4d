/*
 * tests/support/backend_runs.h - whole short runs of a stage on other backends than the plain CPU's: on the guarded one
 * (a device far away), on the reference one, on one that breaks, and with other numbers of threads.
 *
 * The tests are cmocka's own, with a struct backend_runs as their state: cmocka_unit_test_prestate(TEST, &runs).
 */
#ifndef ATTUNE_TESTS_SUPPORT_BACKEND_RUNS_H
#define ATTUNE_TESTS_SUPPORT_BACKEND_RUNS_H

#include "support/stage_runs.h"

struct backend_runs {
    const struct tested_stage *stage;
    const struct stage_method *methods;
    size_t count;
    const char *compared[4];     /* files of every method's folder that must hold the same bytes; ends with NULL */
    const char *reference_lines; /* of a run of three steps, each recorded, that is compared with the reference's */
    int64_t breaks[4];           /* operations of the first method at which the device breaks; ends with 0 */
};

/* Fails the test unless both runs of a method left the same result, metrics and compared files. */
void assert_same_runs(const struct backend_runs *runs, const struct stage_method *method, const char *one,
                      const char *other);

/* Every method gives the same bytes on the guarded backend, and with other numbers of threads. */
void guarded_equals_plain(void **state);
void threads_change_nothing(void **state);
/* Losses and norms of the gradient are those of the reference backend, but for rounding. */
void steps_equal_the_reference(void **state);
/* Memory is taken before the first step: a longer run, with its evaluations and samples, asks for no more of it. */
void nothing_is_allocated_inside_steps(void **state);
/* A device that breaks in the middle ends the run with an error, and the run can be resumed. */
void a_broken_device_ends_the_run(void **state);

#endif
