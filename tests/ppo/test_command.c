/*
 * tests/ppo/test_command.c - programs that score: well-behaved ones, and every way there is to misbehave.
 *
 * Most are small shell programs. Where it comes to amounts, the program is this one: `test-ppo-command scorer` answers
 * each request with its index and `padding` more bytes, `ahead` requests at a time.
 */
#include "support/cmocka.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "ppo/command.h"
#include "support/fixture.h"
#include "support/temporary.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT 8

/* Answers every line with its index. */
#define GOOD "sed -u 's/.*\"index\": \\([0-9]*\\),.*/{\"score\": \\1}/'"

static struct reward_command *open_command(const char *text, double timeout, bool fresh)
{
    struct reward_command *command = NULL;
    struct err err;
    struct reward_command_options options = {
        .command = text, .timeout = timeout, .journal = temporary("rewards.jsonl"), .fresh = fresh};
    must(reward_command_open(&command, &options, &err));
    return command;
}

static void make_requests(struct reward_request *requests, size_t count, const char *response)
{
    for (size_t i = 0; i < count; i++) {
        requests[i] = (struct reward_request){.iteration = 3,
                                              .index = (int64_t)i,
                                              .prompt = "Say \"hello\"\n",
                                              .messages = i % 2 ? "[{\"role\": \"user\"}]" : NULL,
                                              .response = response,
                                              .response_length = strlen(response)};
    }
}

/* One call with COUNT requests. */
static int score(struct reward_command *command, double scores[COUNT], struct err *err)
{
    struct reward_request requests[COUNT];
    make_requests(requests, COUNT, "An answer.");
    return reward_command_score(command, requests, COUNT, scores, err);
}

/* The number that a program wrote into a file of the temporary folder. */
static long number_in(const char *name)
{
    struct strbuf text = read_bytes(temporary("%s", name));
    long number = strtol(strbuf_text(&text), NULL, 10);
    strbuf_free(&text);
    return number;
}

static void check_gone(pid_t pid)
{
    assert_true(pid > 1);
    /* What init has to reap takes a moment. */
    for (int i = 0; i < 200 && kill(pid, 0) == 0; i++) {
        usleep(10000);
    }
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

/* ---- programs that do what they should ---- */

static void test_scores(void **state)
{
    (void)state;
    struct err err;
    double scores[COUNT];
    struct reward_command *command = open_command(GOOD, 60, true);
    for (int call = 0; call < 3; call++) {
        must(score(command, scores, &err));
        for (int i = 0; i < COUNT; i++) {
            assert_true(scores[i] == i);
        }
    }
    reward_command_close(command);
    assert_int_equal(lines_in(temporary("rewards.jsonl")), 3 * COUNT);
}

/* What a request says is what it was made of. */
static void test_request(void **state)
{
    (void)state;
    struct err err;
    double scores[2];
    char text[512];
    snprintf(text, sizeof text, "tee '%s' | " GOOD, temporary("requests.jsonl"));
    struct reward_request requests[2];
    make_requests(requests, 2, "");
    static const char response[] = "a\0b\"\\\n\xff\xc3\xa9";
    requests[1].response = response;
    requests[1].response_length = sizeof response - 1;
    struct reward_command *command = open_command(text, 60, true);
    must(reward_command_score(command, requests, 2, scores, &err));
    reward_command_close(command);
    struct strbuf lines = read_bytes(temporary("requests.jsonl"));
    size_t first = strcspn(lines.data, "\n");
    json_t *plain = json_read_text(lines.data, first, "first", &err);
    json_t *chat = json_read_text(lines.data + first, lines.length - first, "second", &err);
    assert_non_null(plain);
    assert_non_null(chat);
    assert_null(json_object_get(plain, "messages"));
    assert_string_equal(json_string_value(json_object_get(plain, "prompt")), "Say \"hello\"\n");
    assert_string_equal(json_string_value(json_object_get(plain, "response")), "");
    assert_string_equal(json_string_value(json_object_get(chat, "id")), "3/1");
    assert_int_equal(json_integer_value(json_object_get(chat, "iteration")), 3);
    assert_int_equal(json_integer_value(json_object_get(chat, "index")), 1);
    assert_int_equal(json_array_size(json_object_get(chat, "messages")), 1);
    static const char as_utf8[] = "a\0b\"\\\n\xef\xbf\xbd\xc3\xa9";
    const json_t *answer = json_object_get(chat, "response");
    assert_int_equal(json_string_length(answer), sizeof as_utf8 - 1);
    assert_memory_equal(json_string_value(answer), as_utf8, sizeof as_utf8);
    assert_true(json_equal(json_object_get(chat, "completion"), answer));
    json_decref(plain);
    json_decref(chat);
    strbuf_free(&lines);
}

/* Every form that a score may have. */
static void test_forms(void **state)
{
    (void)state;
    static const double expected[COUNT] = {1.5, -2, 0.25, 1e-3, 7, 8, 0.5, 3};
    struct err err;
    double scores[COUNT];
    struct reward_command *command = open_command("for s in '{\"score\": 1.5}' -2 .25 1e-3 "
                                                  "'{\"why\": \"x\", \"score\": 7}' ' 8 ' \"0.5$(printf '\\r')\" 3.; "
                                                  "do read -r a; printf '%s\\n' \"$s\"; done; cat",
                                                  60, true);
    must(score(command, scores, &err));
    for (int i = 0; i < COUNT; i++) {
        assert_true(scores[i] == expected[i]);
    }
    reward_command_close(command);
}

/* The time runs from answer to answer, not over all of them. */
static void test_slow(void **state)
{
    (void)state;
    struct err err;
    double scores[COUNT];
    struct reward_command *command = open_command("while read -r line; do sleep 0.3; echo 1; done", 1.5, true);
    double start = clock_seconds();
    must(score(command, scores, &err));
    assert_true(clock_seconds() - start > 1.5);
    reward_command_close(command);
}

static void test_leaves_nothing_behind(void **state)
{
    (void)state;
    struct err err;
    double scores[COUNT];
    char text[1024];
    int spare = open("/dev/null", O_RDONLY);
    assert_int_equal(dup2(spare, 77), 77); /* without close-on-exec */
    snprintf(text, sizeof text,
             "echo $$ >'%s'; sleep 1000 & echo $! >'%s'; [ -e /proc/$$/fd/77 ] && n=1 || n=0; "
             "while read -r line; do echo $n; done",
             temporary("pid"), temporary("sleeper"));
    struct reward_command *command = open_command(text, 60, true);
    must(score(command, scores, &err));
    assert_true(scores[0] == 0); /* the descriptor is not there */
    pid_t pid = (pid_t)number_in("pid");
    assert_int_equal(getpgid(pid), pid);
    assert_int_equal(kill(pid, 0), 0);
    reward_command_close(command);
    check_gone(pid);
    check_gone((pid_t)number_in("sleeper"));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* reaped */
    close(77);
    close(spare);
}

/* ---- amounts ---- */

static int scorer(size_t ahead, size_t padding)
{
    char *line = NULL, *note = malloc(padding + 1);
    size_t capacity = 0;
    long *indexes = malloc(ahead * sizeof *indexes);
    if (!note || !indexes) {
        return 1;
    }
    memset(note, 'x', padding);
    note[padding] = '\0';
    for (bool more = true; more;) {
        size_t count = 0;
        for (; count < ahead && (more = getline(&line, &capacity, stdin) > 0); count++) {
            indexes[count] = strtol(strstr(line, "\"index\": ") + 9, NULL, 10);
        }
        for (size_t i = 0; i < count; i++) {
            printf("{\"note\": \"%s\", \"score\": %ld}\n", note, indexes[i]);
        }
        fflush(stdout);
    }
    free(line);
    free(note);
    free(indexes);
    return 0;
}

static char own_path[4096];

static void run_many(size_t count, size_t response_length, size_t ahead, size_t padding)
{
    struct err err;
    char text[5000];
    snprintf(text, sizeof text, "exec '%s' scorer %zu %zu", own_path, ahead, padding);
    struct reward_request *requests = mem_alloc(count, sizeof *requests, &err);
    double *scores = mem_alloc(count, sizeof *scores, &err);
    char *response = mem_alloc(response_length + 1, 1, &err);
    assert_true(requests && scores && response);
    memset(response, '"', response_length);
    make_requests(requests, count, response);
    struct reward_command *command = open_command(text, 60, true);
    must(reward_command_score(command, requests, count, scores, &err));
    for (size_t i = 0; i < count; i++) {
        assert_true(scores[i] == (double)i);
    }
    reward_command_close(command);
    mem_free(requests);
    mem_free(scores);
    mem_free(response);
}

static void test_many(void **state)
{
    (void)state;
    run_many(10000, 1000, 1, 3000);    /* both pipes are full most of the time */
    run_many(10000, 1000, 10000, 100); /* all requests before the first answer */
    run_many(3, 5 << 20, 1, 900000);   /* lines that no pipe holds */
}

/* ---- programs that do not ---- */

/* The call fails with all the words in its sentence, nothing is left, and later calls fail too. */
static void check_failure(const char *text, double timeout, const char *const words[4])
{
    struct err err;
    double scores[COUNT];
    char with_pid[2048];
    snprintf(with_pid, sizeof with_pid, "echo $$ >'%s'; %s", temporary("pid"), text);
    struct reward_command *command = open_command(with_pid, timeout, true);
    assert_int_equal(score(command, scores, &err), -1);
    static const char *always[4] = {"reward_command \"echo $$", "run the same recipe again", "rewards.jsonl", NULL};
    for (int i = 0; i < 4; i++) {
        if (always[i] && !strstr(err.text, always[i])) {
            fail_msg("no '%s' in: %s", always[i], err.text);
        }
        if (words[i] && !strstr(err.text, words[i])) {
            fail_msg("no '%s' in: %s", words[i], err.text);
        }
    }
    check_gone((pid_t)number_in("pid"));
    assert_int_equal(score(command, scores, &err), -1);
    assert_non_null(strstr(err.text, "failed before"));
    reward_command_close(command);
}

static void test_failures(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double timeout;
        const char *words[4];
    } cases[] = {
        {"echo 'no such rule' >&2; exit 3", 60, {"exit code 3", "request 1 of 8", "no such rule", "iteration 3"}},
        {"/no/such/program", 60, {"exit code 127", "did not find it"}},
        {"read -r a; read -r b; echo 1; echo 2; exit 7", 60, {"exit code 7", "request 3 of 8", "answer 2"}},
        {"read -r a; echo 1; kill -9 $$", 60, {"signal 9", "request 2 of 8"}},
        {"exec <&-; exec >&-; sleep 1000", 60, {"closed its output", "request 1 of 8"}},
        {"sleep 1000", 1, {"for 1 seconds", "request 1 of 8", "flush", "reward_timeout"}},
        {"trap '' TERM; read -r a; echo 1; while :; do sleep 1; done", 0.5, {"for 0.5 seconds", "request 2 of 8"}},
        {"while read -r a; do echo hello; done", 60, {"line 1", "\"hello\"", "no score", "standard error"}},
        {"read -r a; echo 1; while read -r a; do echo; done", 60, {"line 2", "no score"}},
        {"while read -r a; do echo '{\"score\": NaN}'; done", 60, {"line 1", "finite number"}},
        {"while read -r a; do echo nan; done", 60, {"line 1", "finite number"}},
        {"while read -r a; do echo -inf; done", 60, {"finite number"}},
        {"while read -r a; do echo 1e999; done", 60, {"finite number"}},
        {"while read -r a; do echo '{\"score\": \"1\"}'; done", 60, {"no number \"score\""}},
        {"while read -r a; do echo '{\"reward\": 1}'; done", 60, {"no number \"score\""}},
        {"while read -r a; do echo true; done", 60, {"no score"}},
        {"while read -r a; do echo '{\"id\": \"3/0\", \"score\": 1}'; done", 60, {"line 2", "\"3/1\""}},
        {"yes 1", 60, {"more lines than it was asked for"}},
        {"head -c 3000000 /dev/zero | tr '\\0' 1; sleep 1000", 60, {"more than a MiB"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_failure(cases[i].text, cases[i].timeout, cases[i].words);
    }
}

/* Says too much after the call: the next one finds out. */
static void test_unasked(void **state)
{
    (void)state;
    struct err err;
    double scores[COUNT];
    char text[512];
    snprintf(text, sizeof text,
             "for i in 1 2 3 4 5 6 7 8; do read -r a; echo $i; done; sleep 0.2; echo 9; touch '%s'; cat",
             temporary("said"));
    struct reward_command *command = open_command(text, 60, true);
    must(score(command, scores, &err));
    for (int i = 0; i < 1000 && !file_exists(temporary("said")); i++) {
        usleep(10000);
    }
    assert_int_equal(score(command, scores, &err), -1);
    assert_non_null(strstr(err.text, "more lines than it was asked for (\"9"));
    reward_command_close(command);
    assert_int_equal(lines_in(temporary("rewards.jsonl")), 0); /* none of its scores is trusted */
}

/* A program that writes two lines a request: the call finds out where it is the faster one, and else the next call. */
static void check_two_lines_a_request(const char *answer)
{
    struct err err;
    double scores[COUNT];
    char text[512];
    remove_tree(temporary("twice"));
    snprintf(text, sizeof text, "n=0; while read -r a; do %s; n=$((n + 2)); [ $n -le 8 ] || touch '%s'; done", answer,
             temporary("twice"));
    struct reward_command *command = open_command(text, 60, true);
    int first = score(command, scores, &err);
    for (int i = 0; first == 0 && i < 1000 && !file_exists(temporary("twice")); i++) {
        usleep(10000);
    }
    if (first == 0) {
        assert_int_equal(score(command, scores, &err), -1);
    }
    assert_non_null(strstr(err.text, "more lines than it was asked for"));
    reward_command_close(command);
    assert_int_equal(lines_in(temporary("rewards.jsonl")), 0);
}

static void test_two_lines_a_request(void **state)
{
    (void)state;
    check_two_lines_a_request("printf '1\\n1\\n'");
    check_two_lines_a_request("sleep 0.05; echo 1; sleep 0.05; echo 1");
}

static void test_ended_early(void **state)
{
    (void)state;
    struct err err;
    struct reward_command *command = open_command("exit 4", 60, true);
    double scores[COUNT];
    usleep(100000);
    assert_int_equal(score(command, scores, &err), -1);
    assert_non_null(strstr(err.text, "exit code 4"));
    reward_command_close(command);
}

/* Writing to a program that is gone neither ends us nor changes what SIGPIPE does here. */
static void test_sigpipe(void **state)
{
    (void)state;
    struct sigaction action;
    sigset_t mask, pending;
    struct err err;
    double scores[COUNT];
    struct reward_command *command = open_command("exec <&-; sleep 0.2", 60, true);
    usleep(100000);
    assert_int_equal(score(command, scores, &err), -1);
    assert_non_null(strstr(err.text, "exit code 0"));
    reward_command_close(command);
    sigaction(SIGPIPE, NULL, &action);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    sigpending(&pending);
    assert_true(action.sa_handler == SIG_DFL);
    assert_false(sigismember(&mask, SIGPIPE));
    assert_false(sigismember(&pending, SIGPIPE));
}

/* ---- the journal ---- */

/*
 * A program whose scores are the number in the file "offset" as it was when it started, and that writes a line to the
 * file "asked" for each request. In its first life, where the number is 1, it falls silent after five answers.
 */
static const char *changing_program(char text[2048])
{
    snprintf(text, 2048,
             "echo $$ >'%s'; n=$(cat '%s'); while read -r line; do echo >>'%s'; "
             "if [ $n = 1 ] && [ $(wc -l <'%s') -gt 5 ]; then :; else echo $n; fi; done",
             temporary("pid"), temporary("offset"), temporary("asked"), temporary("asked"));
    return text;
}

static void test_resume_after_kill(void **state)
{
    (void)state;
    struct err err;
    double scores[COUNT];
    char text[2048];
    changing_program(text);
    write_bytes(temporary("offset"), "1", 1);
    pid_t child = fork();
    if (child == 0) {
        struct reward_command *command = open_command(text, 1000, true);
        score(command, scores, &err);
        _exit(1);
    }
    for (int i = 0; i < 2000 && (!file_exists(temporary("rewards.jsonl")) || lines_in(temporary("rewards.jsonl")) < 5);
         i++) {
        usleep(10000);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    check_gone((pid_t)number_in("pid")); /* its input ended */
    assert_int_equal(lines_in(temporary("rewards.jsonl")), 5);

    write_bytes(temporary("offset"), "2", 1);
    remove_tree(temporary("asked"));
    struct reward_command *command = open_command(text, 60, false);
    must(score(command, scores, &err));
    for (int i = 0; i < COUNT; i++) {
        assert_true(scores[i] == (i < 5 ? 1 : 2));
    }
    assert_int_equal(lines_in(temporary("asked")), COUNT - 5);
    reward_command_close(command);

    /* All of it is known now: nothing is asked. The same again in the same run is: it was never asked for in this. */
    command = open_command(text, 60, false);
    must(score(command, scores, &err));
    assert_int_equal(lines_in(temporary("asked")), COUNT - 5);
    must(score(command, scores, &err));
    assert_int_equal(lines_in(temporary("asked")), 2 * COUNT - 5);
    reward_command_close(command);
}

/* A score by another program, or of another text, is not the one asked for. */
static void test_other_entries(void **state)
{
    (void)state;
    struct err err;
    double scores[COUNT];
    struct reward_command *command = open_command("while read -r a; do echo 1; done", 60, true);
    must(score(command, scores, &err));
    reward_command_close(command);
    command = open_command("while read -r a; do echo 2; done", 60, false);
    must(score(command, scores, &err));
    assert_true(scores[0] == 2);
    assert_int_equal(lines_in(temporary("rewards.jsonl")), 2 * COUNT);
    struct reward_request request;
    make_requests(&request, 1, "Another answer.");
    must(reward_command_score(command, &request, 1, scores, &err));
    assert_int_equal(lines_in(temporary("rewards.jsonl")), 2 * COUNT + 1);
    reward_command_close(command);
}

/* Whichever write or sync of the journal fails, the call says so, and the next run has all that was kept. */
static void test_failing_writes(void **state)
{
    (void)state;
    struct err err;
    double scores[COUNT];
    int status = -1;
    long n = 0;
    reward_command_close(open_command(GOOD, 60, true));
    while (status != 0) {
        assert_true(++n < 100);
        struct reward_command *command = open_command(GOOD, 60, false);
        file_fail_at(n);
        status = score(command, scores, &err);
        file_fail_at(0);
        if (status != 0) {
            assert_non_null(strstr(err.text, "rewards.jsonl"));
        }
        reward_command_close(command);
    }
    assert_true(n > 1);
    for (int i = 0; i < COUNT; i++) {
        assert_true(scores[i] == i);
    }
    assert_int_equal(lines_in(temporary("rewards.jsonl")), COUNT); /* none twice, none torn */
}

static void test_failing_allocations(void **state)
{
    (void)state;
    struct err err;
    double scores[COUNT];
    int status = -1;
    for (long n = 1; status != 0; n++) {
        assert_true(n < 1000);
        struct reward_command *command = NULL;
        struct reward_command_options options = {
            .command = GOOD, .timeout = 60, .journal = temporary("rewards.jsonl"), .fresh = true};
        memset(err.text, 0, sizeof err.text);
        mem_fail_at(n);
        status = reward_command_open(&command, &options, &err);
        if (status == 0) {
            status = score(command, scores, &err);
        }
        mem_fail_at(0);
        assert_true(status == 0 || err.text[0]);
        reward_command_close(command);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_true(scores[i] == i);
    }
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "scorer") == 0) {
        return scorer((size_t)atol(argv[2]), (size_t)atol(argv[3]));
    }
    if (readlink("/proc/self/exe", own_path, sizeof own_path - 1) < 0) {
        return 1;
    }
    log_set_quiet(true);
    mem_hook_libraries();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_leaves_nothing_behind),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_unasked),
        cmocka_unit_test(test_two_lines_a_request),
        cmocka_unit_test(test_ended_early),
        cmocka_unit_test(test_sigpipe),
        cmocka_unit_test(test_resume_after_kill),
        cmocka_unit_test(test_other_entries),
        cmocka_unit_test(test_failing_writes),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, temporary_setup, temporary_teardown);
}
