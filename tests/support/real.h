/*
 * tests/support/real.h - real models and data, which the repository does not hold: where they are, or why a test that
 * wants them is skipped.
 *
 *     ATTUNE_TEST_MODEL   folder of SmolLM2-135M-Instruct
 *     ATTUNE_TEST_DATA    folder with alpaca-1k.json and others; else ../shared/data beside the repository
 *
 * Under sanitizers a real model takes too long.
 */
#ifndef ATTUNE_TESTS_SUPPORT_REAL_H
#define ATTUNE_TESTS_SUPPORT_REAL_H

/* What a test program returns to CTest when it was skipped. */
#define SKIPPED 77

/* The model's folder; NULL where there is none to be used, and the reason is printed. */
const char *real_model(void);
/* The path of a data file, in a static buffer; NULL where it is not there, and the reason is printed. */
const char *real_data(const char *name);

#endif
