/* tests/report/helper_report.h - folders of runs made from text, and the pages that reports make of them. */
#ifndef ATTUNE_TESTS_REPORT_HELPER_REPORT_H
#define ATTUNE_TESTS_REPORT_HELPER_REPORT_H

#include "base/err.h"
#include "recipe/recipe.h"
#include <stddef.h>

/* Makes an empty folder in the scratch folder, in which the following calls work. */
void begin_run(const char *name);
/* Its path; valid until the next begin_run(). */
const char *run_folder(void);
/* Writes a file into it. */
void put_file(const char *name, const char *text);
/* Writes recipe.resolved.yaml, as a run does. */
void put_recipe(const struct recipe_stage *stage, const char *yaml);

/* Makes the report and returns the page, checked with assert_page(); valid until the next call. */
const char *make_page(void);
/* Makes no report; returns why. */
const char *why_no_page(void);
/* A page that was written to `path`; valid until the next call of this or make_page(). */
const char *read_page(const char *path);

/* Fails the test unless the page is whole: every element closed in its order, every attribute quoted, nothing loaded
 * from anywhere, one script. */
void assert_page(const char *page);
/* Fails the test if one of the texts (NULL ends) is in the page. */
void assert_lacks(const char *page, ...) __attribute__((sentinel));
/* Fails the test unless the texts (NULL ends) are in the page in this order. */
void assert_order(const char *page, ...) __attribute__((sentinel));
/* The path that draws the curve `name` ("M10,20L..."); fails the test where there is none. Valid until the next call.
 */
const char *path_of(const char *page, const char *name);
/* How often `what` is in `text`. */
size_t count_of(const char *text, const char *what);

#endif
