/* ppo/program.c - see program.h. */
#include "ppo/program.h"
#include "base/log.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE          (64 << 10)
#define REMEMBERED_MAX     (1 << 20)
#define COMPLAINT_MAX      4096 /* longer lines of standard error are passed on in pieces */
#define TURN_SECONDS_MAX   60.0
#define ENDING_TURN        0.005 /* seconds between looks at a program that is to end */
#define SECONDS_AFTER_TERM 1.0

/* ---- start ---- */

static void close_end(int *file)
{
    if (*file >= 0) {
        close(*file);
    }
    *file = -1;
}

/* A pipe whose ends are none of the standard descriptors, where they would be in the way of the child's. */
static int make_pipe(int ends[2], struct err *err)
{
    if (pipe2(ends, O_CLOEXEC) != 0) {
        ends[0] = ends[1] = -1;
        return err_set_errno(err, "cannot make a pipe");
    }
    for (int i = 0; i < 2; i++) {
        if (ends[i] > STDERR_FILENO) {
            continue;
        }
        int moved = fcntl(ends[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (moved < 0) {
            return err_set_errno(err, "cannot make a pipe");
        }
        close(ends[i]);
        ends[i] = moved;
    }
    return 0;
}

/* Numbers of the child's standard descriptors, and which end of a pipe each is. */
enum { CHANNELS = 3 };
static int child_end(int channel)
{
    return channel == STDIN_FILENO ? 0 : 1;
}

/* posix_spawn() and not fork(): the address space beside us may be too large to be promised twice. */
static int spawn(struct program *program, const char *command, int pipes[CHANNELS][2])
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    int failure = posix_spawn_file_actions_init(&actions);
    if (failure != 0) {
        return failure;
    }
    failure = posix_spawnattr_init(&attributes);
    if (failure == 0) {
        for (int i = 0; i < CHANNELS && failure == 0; i++) {
            failure = posix_spawn_file_actions_adddup2(&actions, pipes[i][child_end(i)], i);
        }
        if (failure == 0) {
            failure = posix_spawn_file_actions_addclosefrom_np(&actions, CHANNELS);
        }
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        posix_spawnattr_setpgroup(&attributes, 0);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &defaults);
        char shell[] = "sh", option[] = "-c";
        char *arguments[] = {shell, option, (char *)command, NULL};
        if (failure == 0) {
            failure = posix_spawn(&program->pid, "/bin/sh", &actions, &attributes, arguments, environ);
        }
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return failure;
}

int program_start(struct program *program, const char *command, const char *prefix, struct err *err)
{
    *program = (struct program){.prefix = prefix, .input = -1, .output = -1, .errors = -1};
    int pipes[CHANNELS][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
    int *ours[CHANNELS] = {&program->input, &program->output, &program->errors};
    int status = 0;
    for (int i = 0; i < CHANNELS && status == 0; i++) {
        status = make_pipe(pipes[i], err);
    }
    if (status == 0) {
        int failure = spawn(program, command, pipes);
        if (failure != 0) {
            errno = failure;
            program->pid = 0;
            status = err_set_errno(err, "cannot start '%.300s' with /bin/sh", command);
        }
    }
    for (int i = 0; i < CHANNELS; i++) {
        int *end = &pipes[i][1 - child_end(i)];
        close_end(&pipes[i][child_end(i)]);
        if (status == 0 && fcntl(*end, F_SETFL, O_NONBLOCK) == 0) {
            *ours[i] = *end;
        } else {
            close_end(end);
        }
    }
    if (status == 0 && (program->input < 0 || program->output < 0 || program->errors < 0)) {
        program_end(program, 0);
        return err_set(err, "cannot start '%.300s': its pipes cannot be made non-blocking", command);
    }
    return status;
}

/* ---- talk ---- */

/*
 * write(), and EPIPE where nobody reads, without the signal that would end this process; what the process does with
 * SIGPIPE otherwise is not ours to change.
 */
static ssize_t write_quietly(int file, const char *bytes, size_t size)
{
    sigset_t pipe_signal, mask, pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &mask);
    ssize_t written = write(file, bytes, size);
    int cause = errno;
    if (written < 0 && cause == EPIPE && !sigismember(&pending, SIGPIPE)) {
        while (sigtimedwait(&pipe_signal, NULL, &(struct timespec){0}) < 0 && errno == EINTR) {
            continue;
        }
    }
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    errno = cause;
    return written;
}

static bool try_again(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* How many bytes were read; closes the end where there is nothing more to come. */
static size_t read_end(int *file, char *buffer)
{
    ssize_t count = read(*file, buffer, READ_SIZE);
    if (count == 0 || (count < 0 && !try_again())) {
        close_end(file);
    }
    return count > 0 ? (size_t)count : 0;
}

static void end_complaint(struct program *program)
{
    if (program->complaint.length == 0) {
        return;
    }
    log_info("%s: %s", program->prefix, program->complaint.data);
    strbuf_clear(&program->last_words);
    strbuf_append(&program->last_words, program->complaint.data, program->complaint.length);
    strbuf_clear(&program->complaint);
}

static void pass_complaints_on(struct program *program, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\n' || program->complaint.length >= COMPLAINT_MAX) {
            end_complaint(program);
        }
        if (bytes[i] != '\n' && bytes[i] != '\r') {
            strbuf_putc(&program->complaint, bytes[i]);
        }
    }
}

static void drop_taken(struct program *program)
{
    struct strbuf *answers = &program->answers;
    if (program->taken == 0) {
        return;
    }
    memmove(answers->data, answers->data + program->taken, answers->length - program->taken + 1);
    answers->length -= program->taken;
    program->taken = 0;
}

int program_exchange(struct program *program, const char *bytes, size_t size, size_t *written, double seconds,
                     struct err *err)
{
    char buffer[READ_SIZE];
    struct pollfd ends[CHANNELS] = {{.fd = size > 0 ? program->input : -1, .events = POLLOUT},
                                    {.fd = program->output, .events = POLLIN},
                                    {.fd = program->errors, .events = POLLIN}};
    *written = 0;
    drop_taken(program);
    seconds = seconds < 0 ? 0 : seconds > TURN_SECONDS_MAX ? TURN_SECONDS_MAX : seconds;
    if (poll(ends, CHANNELS, (int)(seconds * 1000 + 0.999)) < 0) {
        return try_again() ? 0 : err_set_errno(err, "cannot wait for a program");
    }
    if (ends[STDERR_FILENO].revents) {
        pass_complaints_on(program, buffer, read_end(&program->errors, buffer));
    }
    if (ends[STDOUT_FILENO].revents) {
        strbuf_append(&program->answers, buffer, read_end(&program->output, buffer));
    }
    if (ends[STDIN_FILENO].revents) {
        ssize_t count = write_quietly(program->input, bytes, size);
        if (count < 0 && !try_again()) {
            close_end(&program->input);
        }
        *written = count > 0 ? (size_t)count : 0;
    }
    return strbuf_check(&program->answers, err);
}

bool program_line(struct program *program, const char **line, size_t *length)
{
    size_t unread = program_unread(program);
    const char *start = program->answers.data + program->taken;
    const char *end = unread > 0 ? memchr(start, '\n', unread) : NULL;
    if (!end) {
        return false;
    }
    *line = start;
    *length = (size_t)(end - start);
    program->taken += *length + 1;
    *length -= *length > 0 && end[-1] == '\r';
    return true;
}

size_t program_unread(const struct program *program)
{
    return program->answers.length - program->taken;
}

/* ---- end ---- */

/* It waits to be reaped then. */
static bool has_ended(const struct program *program)
{
    siginfo_t what = {0};
    return program->pid == 0 ||
           (waitid(P_PID, (id_t)program->pid, &what, WEXITED | WNOHANG | WNOWAIT) == 0 && what.si_pid != 0);
}

/* One turn with a program that is to end: it may write (an end with full pipes would not come), of which a little is
 * kept. */
static void listen(struct program *program, double seconds)
{
    struct err ignored;
    size_t none;
    bool failed = program_exchange(program, NULL, 0, &none, seconds, &ignored) != 0;
    if (failed || program->answers.length > REMEMBERED_MAX) {
        strbuf_clear(&program->answers);
    }
}

static bool wait_for_end(struct program *program, double seconds)
{
    double until = clock_seconds() + seconds;
    while (!has_ended(program)) {
        double left = until - clock_seconds();
        if (left <= 0) {
            return false;
        }
        listen(program, left < ENDING_TURN ? left : ENDING_TURN);
    }
    return true;
}

void program_end(struct program *program, double grace)
{
    close_end(&program->input);
    if (program->pid == 0) {
        return;
    }
    if (!wait_for_end(program, grace)) {
        program->killed = true;
        kill(-program->pid, SIGTERM);
        if (!wait_for_end(program, SECONDS_AFTER_TERM)) {
            kill(-program->pid, SIGKILL);
            wait_for_end(program, TURN_SECONDS_MAX);
        }
    }
    /* What it left behind; its own process, not reaped yet, keeps the group's number from being another's. */
    kill(-program->pid, SIGKILL);
    for (double until = clock_seconds() + SECONDS_AFTER_TERM;
         (program->output >= 0 || program->errors >= 0) && clock_seconds() < until;) {
        listen(program, ENDING_TURN);
    }
    end_complaint(program);
    while (waitpid(program->pid, &program->status, 0) < 0 && errno == EINTR) {
        continue;
    }
    program->pid = 0;
    close_end(&program->output);
    close_end(&program->errors);
}

void program_free(struct program *program)
{
    assert(program->pid == 0);
    strbuf_free(&program->answers);
    strbuf_free(&program->complaint);
    strbuf_free(&program->last_words);
}

void program_fate(const struct program *program, char out[PROGRAM_FATE_SIZE])
{
    int code = WIFEXITED(program->status) ? WEXITSTATUS(program->status) : 0;
    if (program->killed) {
        snprintf(out, PROGRAM_FATE_SIZE, "closed its output, but did not end");
    } else if (WIFSIGNALED(program->status)) {
        snprintf(out, PROGRAM_FATE_SIZE, "was ended by signal %d (%s)", WTERMSIG(program->status),
                 strsignal(WTERMSIG(program->status)));
    } else {
        snprintf(out, PROGRAM_FATE_SIZE, "ended with exit code %d%s", code,
                 code == 127   ? " (the shell did not find it)"
                 : code == 126 ? " (the shell could not run it)"
                               : "");
    }
}
