/*
 * tests/backend/helper_time.h - how long the operations take, at the sizes of a small real model.
 */
#ifndef ATTUNE_TESTS_BACKEND_HELPER_TIME_H
#define ATTUNE_TESTS_BACKEND_HELPER_TIME_H

/* Prints a table: operation, backend, ms, GFLOP/s or GB/s. All threads this process may use. Returns 0. */
int time_operations(void);

#endif
