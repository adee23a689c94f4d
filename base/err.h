/*
 * base/err.h - how a failure travels: one full sentence, made where it is known what went wrong.
 *
 * Functions that can fail take `struct err *err` last and return 0 or -1 (or a pointer, NULL on failure).
 * *err is untouched on success. The first sentence says what, where and how to mend it; callers add context in front
 * with err_prefix() ("cannot open model 'x': ..."). A programmer's mistake is an assert(), never an err.
 */
#ifndef ATTUNE_BASE_ERR_H
#define ATTUNE_BASE_ERR_H

#define ERR_TEXT_MAX 8192

struct err {
    char text[ERR_TEXT_MAX]; /* UTF-8, zero-terminated, no trailing newline; cut with "..." when longer */
};

/* Sets the sentence. Always returns -1, so that `return err_set(err, ...)` reads well. */
int err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same, followed by ": " and the text of errno as it stood on entry. */
int err_set_errno(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "<context>: " in front of the sentence. Always returns -1. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
