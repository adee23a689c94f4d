/* A scratch folder for one test program, and fault injection loops that all tests of base/ share. */
#ifndef ATTUNE_TESTS_BASE_HELPER_FOLDER_H
#define ATTUNE_TESTS_BASE_HELPER_FOLDER_H

/* Group setup and teardown of cmocka: makes an empty folder, and removes it with everything in it. */
int folder_setup(void **state);
int folder_teardown(void **state);

/* "<folder>/<name>"; valid until the eighth call from now. */
const char *in_folder(const char *name);

/* Number of names in the folder. */
int folder_count(void);

/* Runs a shell command made by printf; fails the test unless it exits with 0. */
void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
