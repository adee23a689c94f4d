/*
 * Any bytes as requests to the server of preferences, over sockets: the input is divided by bytes 0xFF, and the first
 * byte of each part says what becomes of the rest.
 *
 *     =    sent as it is, on a connection of its own; requests may follow each other in it
 *     l o n j u    body of a POST to /api/login, logout, next, judgment, undo, with the headers that the page sends
 *     others       path of a GET
 *
 * Bytes that UTF-8 never has stand for what an input cannot know: 0xFB the cookie's name, 0xFC the token of the
 * annotator, who is an admin, 0xFD a nonce that was not used yet, 0xFE the assignment that was handed out last. The
 * server also goes by the name "h". One database serves many inputs, and is checked before it makes place for another.
 */
#include "base/json.h"
#include "base/log.h"
#include "fuzz/folder.h"
#include "http/helper_http.h"
#include "prefs-db/page.h"
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUTS_PER_DATABASE 500
#define ITEMS               200
#define SHAPES              4 /* of items: one answer, two, ... */

static struct {
    struct prefs *store, *reader;
    struct page *page;
    struct http_client client;
    char name[32], token[PREFS_TOKEN_SIZE], cookie[128];
    json_int_t assignment;
    uint64_t nonces;
    int inputs;
} session;

static void must(int result, const struct err *err)
{
    if (result != 0) {
        fprintf(stderr, "%s\n", err->text);
        abort();
    }
}

/* ---- the database and its server ---- */

static void add_item(int number)
{
    struct err err;
    struct prefs_new_item item = {.project = 1, .count = 1 + (size_t)number % SHAPES, .state = PREFS_OPEN};
    char text[64];
    int64_t id;
    snprintf(text, sizeof text, "[{\"role\":\"user\",\"content\":\"prompt %d\"}]", number);
    must(prefs_add_prompt(session.store, text, NULL, 0, &item.prompt, &err), &err);
    for (size_t a = 0; a < item.count; a++) {
        int length = snprintf(text, sizeof text, "answer %zu \"<b>\"\n", a);
        must(prefs_add_answer(session.store, item.prompt, text, (size_t)length, &item.answers[a], &err), &err);
    }
    must(prefs_add_item(session.store, &item, &id, NULL, NULL, &err), &err);
}

/* A project in which some tasks are gold, and some come again. */
static void add_project(void)
{
    struct err err;
    int64_t id;
    struct prefs_settings settings;
    must(prefs_batch_begin(session.store, &err), &err);
    must(prefs_add_project(session.store, "default", &id, &err), &err);
    must(prefs_get_settings(session.store, id, &settings, &err), &err);
    settings.gold_permille = settings.repeat_permille = 200;
    must(prefs_set_settings(session.store, id, &settings, &err), &err);
    for (int i = 0; i < ITEMS; i++) {
        add_item(i);
    }
    for (int64_t item = 1; item <= ITEMS; item += SHAPES) {
        must(prefs_add_gold(session.store, item, -1, -1, 1, "", &err), &err);
    }
    must(prefs_add_annotator(session.store, "ann", PREFS_ROLE_ADMIN, &id, &err), &err);
    must(prefs_new_token(session.store, id, 1, session.token, &err), &err);
    must(prefs_batch_commit(session.store, &err), &err);
}

static void begin(void)
{
    struct err err;
    struct page_options options = {.http = {.address = "127.0.0.1", .host = "h"}, .project = 1};
    char path[256];
    snprintf(path, sizeof path, "%s", folder_path("prefs.db"));
    must(prefs_create(path, &err), &err);
    must(prefs_open(&session.store, path, PREFS_WRITE, &err), &err);
    must(prefs_open(&session.reader, path, PREFS_READ, &err), &err);
    add_project();
    must(page_start(&session.page, session.store, session.reader, &options, &err), &err);
    session.client = (struct http_client){.port = page_port(session.page), .socket = -1};
    if (!http_login(&session.client, session.token)) {
        fprintf(stderr, "the token does not log in\n");
        abort();
    }
    memcpy(session.cookie, session.client.cookie, sizeof session.cookie);
    snprintf(session.name, sizeof session.name, "%.*s", (int)strcspn(session.cookie, "="), session.cookie);
}

static void end(void)
{
    struct err err;
    struct strbuf report = {0};
    int64_t faults = 0;
    if (!session.page) {
        return;
    }
    http_close(&session.client);
    page_stop(session.page);
    must(prefs_check(session.store, &report, &faults, &err), &err);
    if (faults > 0) {
        fprintf(stderr, "%s\n", strbuf_text(&report));
        abort();
    }
    strbuf_free(&report);
    prefs_close(session.reader);
    prefs_close(session.store);
    prefs_discard(folder_path("prefs.db"));
    session.page = NULL;
}

/* ---- requests ---- */

/* The bytes with what they stand for. */
static struct strbuf filled_in(const uint8_t *bytes, size_t size)
{
    struct strbuf text = {0};
    for (size_t i = 0; i < size; i++) {
        switch (bytes[i]) {
        case 0xFB:
            strbuf_puts(&text, session.name);
            break;
        case 0xFC:
            strbuf_puts(&text, session.token);
            break;
        case 0xFD:
            strbuf_printf(&text, "%032llx", (unsigned long long)++session.nonces);
            break;
        case 0xFE:
            strbuf_printf(&text, "%lld", (long long)session.assignment);
            break;
        default:
            strbuf_putc(&text, (char)bytes[i]);
        }
    }
    return text;
}

/* Nothing, or answers that begin as HTTP does; the connection is closed at the end. */
static void send_raw(const struct strbuf *request)
{
    static const char begins[] = "HTTP/1.";
    char piece[4096], first[sizeof begins - 1];
    size_t kept = 0;
    ssize_t got;
    int connection = http_connect(session.client.port);
    assert(connection >= 0);
    http_send(connection, strbuf_text(request), request->length);
    shutdown(connection, SHUT_WR);
    while ((got = recv(connection, piece, sizeof piece, 0)) > 0) {
        size_t more = sizeof first - kept < (size_t)got ? sizeof first - kept : (size_t)got;
        memcpy(first + kept, piece, more);
        kept += more;
    }
    assert(kept == 0 || (kept == sizeof first && memcmp(first, begins, sizeof first) == 0));
    close(connection);
}

/* What a page's request is answered with. */
static void check_answer(const char *path, int status, const json_t *answer)
{
    static const int statuses[] = {200, 400, 401, 404, 409};
    bool known = false, refused = json_is_string(json_object_get(answer, "error"));
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        known = known || status == statuses[i];
    }
    if (!known || !json_is_object(answer) || refused != (status != 200)) {
        fprintf(stderr, "%s is answered with %d%s\n", path, status, answer ? "" : " and what is no JSON");
        abort();
    }
}

static void send_post(const char *path, const struct strbuf *body)
{
    json_t *answer = NULL;
    int status = http_call(&session.client, path, strbuf_text(body), &answer);
    check_answer(path, status, answer);
    json_int_t assignment = json_integer_value(json_object_get(json_object_get(answer, "task"), "assignment"));
    session.assignment = assignment > 0 ? assignment : session.assignment;
    json_decref(answer);
}

/* A path holds no blanks and no lines here: those are for raw requests. */
static void send_get(const struct strbuf *path)
{
    const char *text = strbuf_text(path);
    if (text[0] != '/' || strlen(text) != path->length || strpbrk(text, " \t\r\n\v\f")) {
        return;
    }
    json_t *answer = NULL;
    int status = http_call(&session.client, text, NULL, &answer);
    assert(status >= 200 && status < 500 && status != 206);
    json_decref(answer);
}

static void send_part(struct input_rest part)
{
    static const struct {
        char letter;
        const char *path;
    } posts[] = {
        {'l', "/api/login"}, {'o', "/api/logout"}, {'n', "/api/next"}, {'j', "/api/judgment"}, {'u', "/api/undo"}};
    if (part.size == 0) {
        return;
    }
    struct strbuf text = filled_in(part.bytes + 1, part.size - 1);
    const char *post = NULL;
    for (size_t i = 0; i < sizeof posts / sizeof *posts; i++) {
        post = part.bytes[0] == (uint8_t)posts[i].letter ? posts[i].path : post;
    }
    if (part.bytes[0] == '=') {
        send_raw(&text);
    } else if (post && text.length <= HTTP_BODY_MAX) {
        send_post(post, &text);
    } else if (!post) {
        send_get(&text);
    }
    strbuf_free(&text);
}

/* libFuzzer would look for leaks after every input, while the server's threads still end their connections; they are
 * looked for at the end, when it has stopped. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char option[] = "-detect_leaks=0", *arguments[64];
    assert(*argc + 2 <= (int)(sizeof arguments / sizeof *arguments));
    memcpy(arguments, *argv, (size_t)*argc * sizeof *arguments);
    arguments[(*argc)++] = option;
    *argv = arguments;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool at_exit;
    if (!at_exit) {
        folder_path(NULL); /* removed at exit, after end() */
        signal(SIGPIPE, SIG_IGN);
        log_set_quiet(true);
        at_exit = atexit(end) == 0;
    }
    if (session.inputs++ % INPUTS_PER_DATABASE == 0) {
        end();
        begin();
    }
    memcpy(session.client.cookie, session.cookie, sizeof session.cookie); /* an input may have logged out */
    for (struct input_rest rest = {data, size}; rest.size > 0;) {
        send_part(input_part(&rest));
    }
    return 0;
}
