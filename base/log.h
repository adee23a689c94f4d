/*
 * base/log.h - what a person reads while a command runs: lines and a progress bar on standard error.
 *
 * On a terminal the bar is redrawn in place, elsewhere a plain line is printed every half minute. Lines printed while a
 * bar stands go above it. Standard output is left to what a script would read.
 */
#ifndef ATTUNE_BASE_LOG_H
#define ATTUNE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Begins with "warning: ". */
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Turns log_info() and the bar off (tests, --quiet). */
void log_set_quiet(bool quiet);
/* Whether standard error is a terminal that takes colours (NO_COLOR is honoured). */
bool log_colours(void);
/* The terminal's width in columns, 80 where it is unknown. */
int log_width(void);

/*
 * One bar at a time. `total` <= 0: unknown. `note`, NULL or text, stands behind the bar ("loss 1.234  290 tok/s"). Work
 * that does not start at 0 (a resumed run) tells so by an update right after the beginning; only what comes then counts
 * for the rate.
 */
void progress_begin(const char *what, int64_t total);
void progress_update(int64_t done, const char *note);
void progress_end(void);

/* Seconds since some fixed moment; never goes back. */
double clock_seconds(void);

#endif
