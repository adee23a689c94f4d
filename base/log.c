#include "base/log.h"

#include "base/minmax.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_SECONDS      0.1
#define PLAIN_LINE_SECONDS  30.0
#define FIRST_DRAW_SECONDS  0.3  /* shorter work draws no bar */
#define WORTH_SUMMING_UP    2.0  /* shorter work leaves no line behind */
#define RATE_WINDOW_SECONDS 15.0 /* the rate shown is that of the last 15 to 30 seconds */
#define RESUME_SECONDS      0.01 /* an update this soon tells where the work starts */
#define BAR_COLUMNS_MOST    40
#define BAR_COLUMNS_LEAST   8

/* Standard error is one for the whole process, and so is what stands on it. */
static struct {
    pthread_mutex_t lock;
    bool quiet;
    struct progress *bar; /* the one that is shown; NULL: none */
    bool drawn;           /* it stands on the terminal's last line */
} screen = {.lock = PTHREAD_MUTEX_INITIALIZER};

double clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool is_terminal(void)
{
    const char *kind = getenv("TERM");
    return isatty(STDERR_FILENO) && kind && strcmp(kind, "dumb") != 0;
}

bool log_colours(void)
{
    const char *no_colour = getenv("NO_COLOR");
    return is_terminal() && !(no_colour && no_colour[0] != '\0');
}

static bool takes_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && value[0] != '\0') {
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
        }
    }
    return false;
}

int log_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    return 80;
}

static void put_duration(struct strbuf *out, double seconds)
{
    int64_t whole = seconds < 0 ? 0 : seconds > 1e9 ? 1000000000 : (int64_t)(seconds + 0.5);
    int hours = (int)(whole / 3600), minutes = (int)(whole / 60 % 60), rest = (int)(whole % 60);
    if (hours > 0) {
        strbuf_printf(out, "%d:%02d:%02d", hours, minutes, rest);
    } else {
        strbuf_printf(out, "%d:%02d", minutes, rest);
    }
}

static double rate_since(const struct progress *progress, struct progress_mark from, double now)
{
    return now > from.time ? (double)(progress->done - from.done) / (now - from.time) : 0;
}

/* "450/1000  12.3/s  0:45 left  loss 1.2" */
static void put_figures(struct strbuf *out, const struct progress *progress, double now)
{
    double rate = rate_since(progress, progress->older, now);
    strbuf_printf(out, "%lld", (long long)progress->done);
    if (progress->total > 0) {
        strbuf_printf(out, "/%lld", (long long)progress->total);
    }
    if (rate > 0) {
        strbuf_printf(out, rate >= 100 ? "  %.0f/s" : rate >= 1 ? "  %.1f/s" : "  %.3f/s", rate);
        if (progress->total > progress->done) {
            strbuf_puts(out, "  ");
            put_duration(out, (double)(progress->total - progress->done) / rate);
            strbuf_puts(out, " left");
        }
    }
    if (progress->note[0] != '\0') {
        strbuf_printf(out, "  %s", progress->note);
    }
}

static double fraction_done(const struct progress *progress)
{
    double fraction = progress->total > 0 ? (double)progress->done / (double)progress->total : 0;
    return clamp(fraction, 0, 1);
}

static int columns_of(const char *text)
{
    return (int)utf8_characters(text, strlen(text));
}

/* Cuts the text so that it takes at most `columns`. */
static void cut_columns(struct strbuf *text, int columns)
{
    size_t at = 0;
    for (; at < text->length; at++) {
        if (!utf8_continues(text->data[at]) && columns-- <= 0) {
            text->data[at] = '\0';
            text->length = at;
            return;
        }
    }
}

static void put_bar(struct strbuf *out, const struct progress *progress, int columns)
{
    bool utf8 = takes_utf8(), colours = log_colours();
    int filled = (int)(fraction_done(progress) * columns);
    strbuf_puts(out, colours ? "\033[32m" : "");
    for (int i = 0; i < columns; i++) {
        if (i == filled && colours) {
            strbuf_puts(out, "\033[2;39m");
        }
        if (utf8) {
            strbuf_puts(out, i < filled || colours ? "\u2501" : "\u2500");
        } else {
            strbuf_putc(out, i < filled ? '#' : '.');
        }
    }
    strbuf_puts(out, colours ? "\033[0m" : "");
}

static void draw_bar(double now)
{
    const struct progress *progress = screen.bar;
    struct strbuf line = {0}, label = {0}, figures = {0};
    int width = log_width() - 1; /* a full line would wrap */
    strbuf_printf(&label, "%s ", progress->what);
    if (progress->total > 0) {
        strbuf_printf(&label, "%4.0f%% ", 100 * fraction_done(progress));
    }
    put_figures(&figures, progress, now);
    cut_columns(&label, width);
    int left = width - columns_of(strbuf_text(&label));
    int bar_columns = left - columns_of(strbuf_text(&figures)) - 2;
    bar_columns = min(bar_columns, BAR_COLUMNS_MOST);
    bar_columns = bar_columns < BAR_COLUMNS_LEAST || progress->total <= 0 ? 0 : bar_columns;
    cut_columns(&figures, left - (bar_columns > 0 ? bar_columns + 2 : 0));
    strbuf_printf(&line, "\r\033[K%s", strbuf_text(&label));
    if (bar_columns > 0) {
        put_bar(&line, progress, bar_columns);
        strbuf_puts(&line, "  ");
    }
    strbuf_puts(&line, strbuf_text(&figures));
    if (!line.failed) {
        fputs(strbuf_text(&line), stderr);
        fflush(stderr);
        screen.drawn = true;
    }
    strbuf_free(&figures);
    strbuf_free(&label);
    strbuf_free(&line);
}

static void erase_bar(void)
{
    if (screen.drawn) {
        fputs("\r\033[K", stderr);
        screen.drawn = false;
    }
}

static void print_line(const char *prefix, const char *format, va_list arguments)
{
    bool bar = screen.drawn;
    erase_bar();
    fputs(prefix, stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    if (bar) {
        draw_bar(clock_seconds());
    }
}

void log_info(const char *format, ...)
{
    pthread_mutex_lock(&screen.lock);
    if (!screen.quiet) {
        va_list arguments;
        va_start(arguments, format);
        print_line("", format, arguments);
        va_end(arguments);
    }
    pthread_mutex_unlock(&screen.lock);
}

void log_warn(const char *format, ...)
{
    pthread_mutex_lock(&screen.lock);
    va_list arguments;
    va_start(arguments, format);
    print_line(log_colours() ? "\033[33mwarning:\033[0m " : "warning: ", format, arguments);
    va_end(arguments);
    pthread_mutex_unlock(&screen.lock);
}

void log_set_quiet(bool quiet)
{
    pthread_mutex_lock(&screen.lock);
    screen.quiet = quiet;
    pthread_mutex_unlock(&screen.lock);
}

/* Copies what fits, cut between two characters; a control character would break the line and becomes a space. */
static void copy_shown(char *out, size_t size, const char *text)
{
    size_t length = utf8_cut(text, strnlen(text, size), size - 1);
    for (size_t i = 0; i < length; i++) {
        out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7F ? ' ' : text[i];
    }
    out[length] = '\0';
}

void progress_begin(struct progress *progress, const char *what, int64_t total)
{
    double now = clock_seconds();
    *progress = (struct progress){.total = total, .last_drawn = now + FIRST_DRAW_SECONDS - REDRAW_SECONDS};
    copy_shown(progress->what, sizeof progress->what, what);
    progress->start = progress->older = progress->newer = (struct progress_mark){.time = now};
    if (!is_terminal()) {
        progress->last_drawn = now;
    }
    pthread_mutex_lock(&screen.lock);
    erase_bar();
    progress->below = screen.bar;
    screen.bar = progress;
    pthread_mutex_unlock(&screen.lock);
}

static void print_plain(const struct progress *progress, double now)
{
    struct strbuf line = {0};
    strbuf_printf(&line, "%s: ", progress->what);
    if (progress->total > 0) {
        strbuf_printf(&line, "%.0f%%  ", 100 * fraction_done(progress));
    }
    put_figures(&line, progress, now);
    fprintf(stderr, "%s\n", strbuf_text(&line));
    strbuf_free(&line);
}

void progress_update(struct progress *progress, int64_t done, const char *note)
{
    pthread_mutex_lock(&screen.lock);
    double now = clock_seconds();
    progress->done = done;
    copy_shown(progress->note, sizeof progress->note, note ? note : "");
    struct progress_mark here = {.time = now, .done = done};
    if (!progress->updated && now - progress->start.time < RESUME_SECONDS) {
        progress->start = progress->older = progress->newer = here;
    }
    progress->updated = true;
    if (now - progress->newer.time >= RATE_WINDOW_SECONDS) {
        progress->older = progress->newer;
        progress->newer = here;
    }
    bool terminal = is_terminal();
    bool shown = screen.bar == progress && !screen.quiet;
    if (shown && now - progress->last_drawn >= (terminal ? REDRAW_SECONDS : PLAIN_LINE_SECONDS)) {
        progress->last_drawn = now;
        if (terminal) {
            draw_bar(now);
        } else {
            print_plain(progress, now);
        }
    }
    pthread_mutex_unlock(&screen.lock);
}

void progress_end(struct progress *progress)
{
    pthread_mutex_lock(&screen.lock);
    assert(screen.bar == progress);
    double now = clock_seconds();
    erase_bar();
    if (!screen.quiet && now - progress->start.time >= WORTH_SUMMING_UP) {
        struct strbuf line = {0};
        strbuf_printf(&line, "%s: %lld in ", progress->what, (long long)progress->done);
        put_duration(&line, now - progress->start.time);
        if (progress->note[0] != '\0') {
            strbuf_printf(&line, "  %s", progress->note);
        }
        fprintf(stderr, "%s\n", strbuf_text(&line));
        strbuf_free(&line);
    }
    fflush(stderr);
    screen.bar = progress->below;
    pthread_mutex_unlock(&screen.lock);
}
