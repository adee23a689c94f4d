/* What stands on standard error: plain lines into a file, a bar on a terminal (a pseudo-terminal of a given width). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/strbuf.h"
#include <cmocka.h>
#include <errno.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs `body` in a process whose standard error is a pipe or a terminal, and returns what it wrote there. */
static void capture(struct strbuf *out, void (*body)(void), int terminal_columns)
{
    int reading, pipes[2] = {-1, -1};
    pid_t child;
    fflush(NULL);
    if (terminal_columns > 0) {
        struct winsize size = {.ws_col = (unsigned short)terminal_columns, .ws_row = 24};
        child = forkpty(&reading, NULL, NULL, &size);
    } else {
        assert_int_equal(pipe(pipes), 0);
        reading = pipes[0];
        child = fork();
    }
    if (child < 0 && terminal_columns > 0) {
        print_message("skipped: this system gives no pseudo-terminals (%s)\n", strerror(errno));
        skip();
    }
    assert_true(child >= 0);
    if (child == 0) {
        if (terminal_columns <= 0) {
            dup2(pipes[1], STDERR_FILENO);
        }
        body();
        fflush(NULL);
        _exit(0);
    }
    if (terminal_columns <= 0) {
        close(pipes[1]);
    }
    char chunk[4096];
    ssize_t got;
    while ((got = read(reading, chunk, sizeof chunk)) > 0 || (got < 0 && errno == EINTR)) {
        strbuf_append(out, chunk, (size_t)got);
    }
    close(reading);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void write_lines(void)
{
    log_info("reading %d files", 3);
    log_warn("'%s' is empty", "a.json");
    log_set_quiet(true);
    log_info("not shown");
    log_warn("shown all the same");
}

static void lines_into_a_pipe(void **state)
{
    (void)state;
    struct strbuf text = {0};
    capture(&text, write_lines, 0);
    assert_string_equal(strbuf_text(&text),
                        "reading 3 files\nwarning: 'a.json' is empty\nwarning: shown all the same\n");
    strbuf_free(&text);
}

static void quick_work(void)
{
    struct progress progress;
    progress_begin(&progress, "quick", 100);
    for (int i = 0; i <= 100; i++) {
        progress_update(&progress, i, NULL);
    }
    progress_end(&progress);
}

/* The inner bar stands in the outer one's place, which comes back. */
static void nested_work(void)
{
    setenv("TERM", "xterm", 1);
    struct progress outer, inner;
    progress_begin(&outer, "outer", 10);
    progress_begin(&inner, "inner", 10);
    usleep(350000);
    progress_update(&outer, 3, NULL); /* not shown now */
    progress_update(&inner, 4, NULL);
    progress_end(&inner);
    progress_update(&outer, 5, NULL);
    progress_end(&outer);
}

static void a_bar_within_another(void **state)
{
    (void)state;
    struct strbuf text = {0};
    capture(&text, nested_work, 80);
    const char *inner = strstr(strbuf_text(&text), "4/10"), *outer = strstr(strbuf_text(&text), "5/10");
    assert_non_null(inner);
    assert_non_null(outer);
    assert_true(inner < outer);
    assert_null(strstr(strbuf_text(&text), "3/10"));
    strbuf_free(&text);
}

static void quick_work_shows_nothing(void **state)
{
    (void)state;
    struct strbuf text = {0};
    capture(&text, quick_work, 0);
    capture(&text, quick_work, 80);
    assert_string_equal(strbuf_text(&text), "");
    strbuf_free(&text);
}

static void slow_work(void)
{
    setenv("TERM", "xterm", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    unsetenv("NO_COLOR");
    struct progress progress;
    progress_begin(&progress, "tuning", 250);
    progress_update(&progress, 100, "resumed");
    usleep(350000);
    progress_update(&progress, 110, "loss\n1.25 \u2211");
    for (int i = 0; i < 1000; i++) {
        progress_update(&progress, 111, "many updates, few of them drawn");
    }
    log_info("saved");
    usleep(150000);
    progress_update(&progress, 200, NULL);
    progress_end(&progress);
}

static void bar_on_a_terminal(void **state)
{
    (void)state;
    struct strbuf text = {0};
    capture(&text, slow_work, 100);
    const char *all = strbuf_text(&text);
    const char *first = strstr(all, "\r\033[Ktuning   44% ");
    assert_non_null(first);
    assert_non_null(strstr(first, "\u2501\u2501"));
    assert_non_null(strstr(first, "110/250  "));
    assert_non_null(strstr(first, " left  loss 1.25 \u2211"));
    /* The rate counts from where the work was resumed: 10 in 0.35 seconds, not 110. */
    assert_true(strtod(strstr(first, "110/250  ") + 9, NULL) < 30);
    assert_non_null(strstr(first, "\r\033[Ksaved\r\n\r\033[Ktuning   44% ")); /* above the bar */
    assert_non_null(strstr(first, "\r\033[Ktuning   80% "));
    int draws = 0;
    for (const char *at = all; (at = strstr(at, "\033[Ktuning")); at++) {
        draws++;
    }
    assert_in_range(draws, 3, 20); /* of a thousand updates, ten a second */
    const char *end = "\r\033[K";
    assert_string_equal(all + text.length - strlen(end), end); /* gone at the end */
    strbuf_free(&text);
}

static void narrow_work(void)
{
    setenv("TERM", "xterm", 1);
    setenv("LC_ALL", "C", 1);
    setenv("NO_COLOR", "1", 1);
    struct progress progress;
    progress_begin(&progress, "narrow", 10);
    usleep(350000);
    progress_update(&progress, 5, "a note that is much too long to stand on a line as short as this one is");
    progress_end(&progress);
}

/* No line is longer than the terminal is wide: it would wrap, and could not be redrawn in place. */
static void bars_fit_the_terminal(void **state)
{
    (void)state;
    for (int columns = 12; columns < 90; columns += 11) {
        struct strbuf text = {0};
        capture(&text, narrow_work, columns);
        const char *begin = strstr(strbuf_text(&text), "\033[Knarrow");
        assert_non_null(begin);
        begin += 3;
        const char *end = strchr(begin, '\r');
        assert_non_null(end);
        assert_in_range(end - begin, 6, columns - 1);
        assert_null(memchr(begin, '\033', (size_t)(end - begin))); /* NO_COLOR */
        strbuf_free(&text);
    }
}

static void long_work(void)
{
    struct progress progress;
    progress_begin(&progress, "long", 0);
    usleep(2050000);
    progress_update(&progress, 41, "done");
    progress_end(&progress);
}

static void long_work_is_summed_up(void **state)
{
    (void)state;
    struct strbuf text = {0};
    capture(&text, long_work, 0);
    assert_memory_equal(strbuf_text(&text), "long: 41 in 0:0", 15);
    assert_string_equal(strbuf_text(&text) + 16, "  done\n");
    strbuf_free(&text);
}

static void dumb_terminal(void)
{
    setenv("TERM", "dumb", 1);
    struct progress progress;
    progress_begin(&progress, "dumb", 10);
    usleep(350000);
    progress_update(&progress, 5, NULL);
    progress_end(&progress);
    log_info("%s %d", log_colours() ? "colours" : "plain", log_width());
}

static void dumb_terminals_get_plain_lines(void **state)
{
    (void)state;
    struct strbuf text = {0};
    capture(&text, dumb_terminal, 63);
    assert_string_equal(strbuf_text(&text), "plain 63\r\n");
    strbuf_free(&text);
}

static void the_clock_goes_forward(void **state)
{
    (void)state;
    double before = clock_seconds();
    usleep(20000);
    double passed = clock_seconds() - before;
    assert_true(passed >= 0.02 && passed < 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_into_a_pipe),
        cmocka_unit_test(quick_work_shows_nothing),
        cmocka_unit_test(a_bar_within_another),
        cmocka_unit_test(bar_on_a_terminal),
        cmocka_unit_test(bars_fit_the_terminal),
        cmocka_unit_test(long_work_is_summed_up),
        cmocka_unit_test(dumb_terminals_get_plain_lines),
        cmocka_unit_test(the_clock_goes_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
