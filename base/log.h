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
/* Turns log_info() and the bars off (tests, --quiet). */
void log_set_quiet(bool quiet);
/* Whether standard error is a terminal that takes colours (NO_COLOR is honoured). */
bool log_colours(void);
/* The terminal's width in columns, 80 where it is unknown. */
int log_width(void);

/*
 * How far a piece of work is. `total` <= 0: unknown. `note`, NULL or text, stands after the bar ("loss 1.234  290
 * tok/s"). Work that does not start at 0 (a resumed run) tells so by an update right after the beginning; only what
 * comes then counts for the rate.
 *
 * Owned by whoever does the work, and left where it is from progress_begin() to progress_end(). A bar that begins while
 * another stands is shown in its place until it ends; bars end in the opposite order.
 */
struct progress_mark {
    double time;
    int64_t done;
};
struct progress {
    struct progress *below; /* the bar in whose place this one stands, or NULL */
    char what[80], note[200];
    int64_t total, done;
    struct progress_mark start, older, newer;
    double last_drawn;
    bool updated;
};
void progress_begin(struct progress *progress, const char *what, int64_t total);
void progress_update(struct progress *progress, int64_t done, const char *note);
void progress_end(struct progress *progress);

/* Seconds since some fixed moment; never goes back. */
double clock_seconds(void);

#endif
