#include "prefs-db/helper_prefs.h"
#include "prefs-db/page.h"
#include "support/cmocka.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

static char folder[160];

int scratch_setup(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    int length = snprintf(folder, sizeof folder, "%s/attune-prefs-XXXXXX", parent && *parent ? parent : "/tmp");
    return length < (int)sizeof folder && mkdtemp(folder) != NULL ? 0 : -1;
}

int scratch_teardown(void **state)
{
    struct err err;
    (void)state;
    return file_remove_tree(folder, &err);
}

const char *scratch_folder(void)
{
    return folder;
}

const char *scratch_path(const char *name)
{
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

struct prefs *open_store(const char *name)
{
    struct prefs *store = NULL;
    struct err err = {""};
    if (prefs_open(&store, scratch_path(name), PREFS_WRITE, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return store;
}

struct prefs *new_store(const char *name)
{
    struct err err = {""};
    if (prefs_create(scratch_path(name), &err) != 0) {
        fail_msg("%s", err.text);
    }
    struct prefs *store = open_store(name);
    int64_t project = 0;
    assert_int_equal(prefs_add_project(store, "default", &project, &err), 0);
    assert_int_equal(project, 1);
    return store;
}

int64_t add_texts(struct prefs *store, const char *prompt, const char *const *texts, size_t count)
{
    struct prefs_new_item item = {.project = 1, .count = count, .state = PREFS_OPEN};
    struct err err = {""};
    struct strbuf messages = {0};
    int64_t id = 0;
    strbuf_puts(&messages, "[{\"role\":\"user\",\"content\":");
    strbuf_put_json(&messages, prompt, strlen(prompt));
    strbuf_puts(&messages, "}]");
    if (prefs_add_prompt(store, strbuf_text(&messages), NULL, 0, &item.prompt, &err) != 0) {
        fail_msg("%s", err.text);
    }
    strbuf_free(&messages);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(prefs_add_answer(store, item.prompt, texts[i], strlen(texts[i]), &item.answers[i], &err), 0);
    }
    if (prefs_add_item(store, &item, &id, NULL, NULL, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return id;
}

void add_items(struct prefs *store, int64_t first, int64_t count, size_t k)
{
    struct err err = {""};
    assert_int_equal(prefs_batch_begin(store, &err), 0);
    for (int64_t i = first; i < first + count; i++) {
        char prompt[64], answers[PREFS_ANSWERS_MAX][64];
        const char *texts[PREFS_ANSWERS_MAX];
        snprintf(prompt, sizeof prompt, "prompt %lld", (long long)i);
        for (size_t s = 0; s < k; s++) {
            snprintf(answers[s], sizeof answers[s], "answer %zu to prompt %lld", s, (long long)i);
            texts[s] = answers[s];
        }
        add_texts(store, prompt, texts, k);
    }
    assert_int_equal(prefs_batch_commit(store, &err), 0);
}

int64_t add_person(struct prefs *store, const char *handle, enum prefs_role role, char token[PREFS_TOKEN_SIZE])
{
    struct err err = {""};
    int64_t id = 0;
    assert_int_equal(prefs_add_annotator(store, handle, role, &id, &err), 0);
    if (token != NULL) {
        assert_int_equal(prefs_new_token(store, id, 1, token, &err), 0);
    }
    return id;
}

struct prefs_judgment ranked_as_shown(const struct prefs_task *task)
{
    struct prefs_judgment judgment = {
        .assignment = task->assignment, .strength = -1, .active_ms = 1500, .wall_ms = 2000};
    for (size_t i = 0; i < task->count; i++) {
        judgment.ranks[i] = task->count == 1 ? 0 : (int)i + 1;
    }
    judgment.thumb = task->count == 1 ? 1 : 0;
    assert_int_equal(getrandom(judgment.nonce, sizeof judgment.nonce, 0), sizeof judgment.nonce);
    return judgment;
}

int64_t number_of(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, PREFS_BUSY_MS);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(row, 0);
    sqlite3_finalize(row);
    sqlite3_close(db);
    return value;
}

void assert_clean(const char *path)
{
    struct prefs *store = NULL;
    struct strbuf report = {0};
    struct err err = {""};
    int64_t faults = -1;
    if (prefs_open(&store, path, PREFS_READ, &err) != 0 || prefs_check(store, &report, &faults, &err) != 0) {
        fail_msg("%s", err.text);
    }
    if (faults != 0) {
        fail_msg("%s", strbuf_text(&report));
    }
    strbuf_free(&report);
    prefs_close(store);
}

/* The child: serves until it is killed or gets SIGTERM, having told its port through the pipe. */
static void serve_in_child(const char *path, uint16_t port, int seconds, int pipe_end)
{
    struct page_options options = {.http = {.address = "127.0.0.1", .port = port, .request_seconds = seconds},
                                   .project = 1};
    struct prefs *store = NULL, *reader = NULL;
    struct page *page = NULL;
    struct err err = {""};
    sigset_t stop;
    int got = 0;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (prefs_open(&store, path, PREFS_WRITE, &err) != 0 || prefs_open(&reader, path, PREFS_READ, &err) != 0 ||
        page_start(&page, store, reader, &options, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
    }
    uint16_t bound = page_port(page);
    if (write(pipe_end, &bound, sizeof bound) != sizeof bound) {
        _exit(1);
    }
    sigwait(&stop, &got);
    page_stop(page);
    prefs_close(reader);
    prefs_close(store);
    _exit(0);
}

void server_begin(struct test_server *server, const char *path, uint16_t port, int seconds)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    server->process = fork();
    assert_true(server->process >= 0);
    if (server->process == 0) {
        close(ends[0]);
        serve_in_child(path, port, seconds, ends[1]);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &server->port, sizeof server->port), sizeof server->port);
    close(ends[0]);
}

void server_kill(struct test_server *server)
{
    int status = 0;
    assert_int_equal(kill(server->process, SIGKILL), 0);
    assert_int_equal(waitpid(server->process, &status, 0), server->process);
    assert_true(WIFSIGNALED(status));
}

void server_end(struct test_server *server)
{
    int status = 0;
    assert_int_equal(kill(server->process, SIGTERM), 0);
    assert_int_equal(waitpid(server->process, &status, 0), server->process);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}
