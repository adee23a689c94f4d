#include "train/interrupt.h"

#include <signal.h>
#include <stddef.h>

static const int signals[] = {SIGINT, SIGTERM};
#define SIGNAL_COUNT (sizeof signals / sizeof signals[0])

/* A signal handler can reach nothing else: the one place where the process itself is the state. */
static volatile sig_atomic_t requested_by;

static void remember(int signal)
{
    requested_by = signal;
}

int interrupt_install(struct err *err)
{
    struct sigaction action = {.sa_handler = remember, .sa_flags = (int)(SA_RESTART | SA_RESETHAND)};
    struct sigaction before;
    sigemptyset(&action.sa_mask);
    requested_by = 0;
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (sigaction(signals[i], NULL, &before) != 0) {
            return err_set_errno(err, "cannot look at the action of signal %d", signals[i]);
        }
        if (before.sa_handler != SIG_IGN && sigaction(signals[i], &action, NULL) != 0) {
            return err_set_errno(err, "cannot set the action of signal %d", signals[i]);
        }
    }
    return 0;
}

bool interrupt_requested(void)
{
    return requested_by != 0;
}

int interrupt_signal(void)
{
    return requested_by;
}
