/*
 * ppo/program.h - a program of the user's that runs beside us, talked to by lines over pipes.
 *
 * It is started by `sh -c` in a process group of its own (Ctrl-C reaches us alone, and what it starts ends with it),
 * with standard input, output and error as pipes to us and no other descriptor of ours. Its standard error is passed on
 * line by line, with a prefix.
 *
 * Our ends never block: program_exchange() serves all of them at once, so neither side can wait for the other with full
 * pipes.
 *
 * Internal to this room.
 */
#ifndef ATTUNE_PPO_PROGRAM_H
#define ATTUNE_PPO_PROGRAM_H

#include "base/err.h"
#include "base/strbuf.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct program {
    const char *prefix;        /* borrowed; in front of its lines on standard error */
    pid_t pid;                 /* 0: not running */
    int status;                /* waitpid()'s, once it was reaped */
    bool killed;               /* because it did not end by itself */
    int input, output, errors; /* our ends of its pipes; -1: closed */
    struct strbuf answers;     /* what it wrote */
    size_t taken;              /* bytes of answers that program_line() gave out */
    struct strbuf complaint;   /* a line of its standard error that is not complete */
    struct strbuf last_words;  /* the last complete one */
};

int program_start(struct program *program, const char *command, const char *prefix, struct err *err);

/*
 * Waits up to `seconds` until a direction can go on, then serves all that can: *written of the `size` bytes went out
 * (-1 as its input afterwards: it takes no more), what came is appended to `answers` (-1 as its output: it said all).
 * Invalidates what program_line() gave.
 */
int program_exchange(struct program *program, const char *bytes, size_t size, size_t *written, double seconds,
                     struct err *err);

/* The next whole line that it wrote, without its end; false where there is none yet. */
bool program_line(struct program *program, const char **line, size_t *length);
/* Bytes that it wrote and nobody took. */
size_t program_unread(const struct program *program);

/*
 * Closes its input, gives it `grace` seconds to end by itself, then ends all of its group, and reaps it. Does nothing
 * where it does not run.
 */
void program_end(struct program *program, double grace);
void program_free(struct program *program);

/* How it ended, after program_end(): "ended with exit code 1". */
#define PROGRAM_FATE_SIZE 128
void program_fate(const struct program *program, char out[PROGRAM_FATE_SIZE]);

#endif
