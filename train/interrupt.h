/*
 * train/interrupt.h - Ctrl-C and the scheduler's TERM: the run saves and stops at the next step, and at once when asked
 * twice.
 *
 * The first SIGINT or SIGTERM after interrupt_install() only sets a flag that the loop looks at between steps; the
 * signal's default action is back from then on, so a second one of the same kind ends the process.
 */
#ifndef ATTUNE_TRAIN_INTERRUPT_H
#define ATTUNE_TRAIN_INTERRUPT_H

#include "base/err.h"
#include <stdbool.h>

/* Forgets an earlier request. A signal that was ignored stays ignored (nohup, background jobs of a plain shell). */
int interrupt_install(struct err *err);
/* Whether the run was asked to stop. */
bool interrupt_requested(void);
/* The signal that asked, 0 if none: a command that stopped for it exits with 128 + signal, as shells expect. */
int interrupt_signal(void);

#endif
