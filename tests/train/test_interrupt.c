/* Ctrl-C: a flag the first time, the end of the process the second. */
#include "support/cmocka.h"
#include "train/interrupt.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void first_one_asks(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    struct err err;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        assert_int_equal(interrupt_install(&err), 0);
        assert_false(interrupt_requested());
        assert_int_equal(interrupt_signal(), 0);
        assert_int_equal(raise(signals[i]), 0);
        assert_true(interrupt_requested());
        assert_int_equal(interrupt_signal(), signals[i]);
        assert_int_equal(interrupt_install(&err), 0); /* of another run: the request is forgotten */
        assert_false(interrupt_requested());
    }
}

/* Runs `what` in a child and returns how it ended. */
static int ending_of(void (*what)(void))
{
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        what();
        _exit(77);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void interrupted_twice(void)
{
    struct err err;
    if (interrupt_install(&err) == 0) {
        raise(SIGINT);
        raise(SIGINT);
    }
}

static void interrupted_and_terminated(void)
{
    struct err err;
    if (interrupt_install(&err) == 0) {
        raise(SIGINT);
        raise(SIGTERM); /* another kind: still only asked */
        _exit(interrupt_signal() == SIGTERM ? 42 : 1);
    }
}

static void second_one_ends(void **state)
{
    (void)state;
    int status = ending_of(interrupted_twice);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGINT);
    status = ending_of(interrupted_and_terminated);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

static void actions_before_and_after(void **state)
{
    (void)state;
    struct err err;
    struct sigaction action;
    signal(SIGINT, SIG_IGN);
    assert_int_equal(interrupt_install(&err), 0);
    assert_int_equal(raise(SIGINT), 0); /* nohup: ignored before, ignored now */
    assert_false(interrupt_requested());
    assert_int_equal(sigaction(SIGINT, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_IGN);
    signal(SIGINT, SIG_DFL);
    assert_int_equal(interrupt_install(&err), 0);
    assert_int_equal(raise(SIGINT), 0); /* the second one is to end the process */
    assert_int_equal(sigaction(SIGINT, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_one_asks),
        cmocka_unit_test(second_one_ends),
        cmocka_unit_test(actions_before_and_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
