/* What the server refuses, over real sockets, and that it goes on serving afterwards. */
#include "http/helper_http.h"
#include "prefs-db/helper_prefs.h"
#include "prefs-db/page.h"
#include "support/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_SECONDS 2

static struct test_server server;
static char token[PREFS_TOKEN_SIZE], admin_token[PREFS_TOKEN_SIZE], revoked_token[PREFS_TOKEN_SIZE];

/* The request with HOST replaced by the server's own. */
static int ask(const char *request, struct strbuf *headers, struct strbuf *body)
{
    struct strbuf text = {0};
    char host[32];
    snprintf(host, sizeof host, "127.0.0.1:%u", (unsigned)server.port);
    for (const char *at = request; *at != '\0';) {
        if (strncmp(at, "HOST", 4) == 0) {
            strbuf_puts(&text, host);
            at += 4;
        } else {
            strbuf_putc(&text, *at++);
        }
    }
    int status = http_raw(server.port, strbuf_text(&text), headers, body);
    strbuf_free(&text);
    return status;
}

static struct http_client logged_in(const char *with)
{
    struct http_client client = {.port = server.port, .socket = -1};
    assert_true(http_login(&client, with));
    return client;
}

static int64_t judgments(void)
{
    return number_of(scratch_path("server.db"), "SELECT count(*) FROM judgment");
}

static void test_headers_of_the_page(void **state)
{
    (void)state;
    static const char *const paths[] = {"/",          "/overview",    "/label.js",
                                        "/client.js", "/ranking.js",  "/decision.js",
                                        "/render.js", "/overview.js", "/style.css"};
    static const char *const wanted[] = {"default-src 'none'",
                                         "frame-ancestors 'none'",
                                         "require-trusted-types-for 'script'",
                                         "X-Content-Type-Options: nosniff",
                                         "Cache-Control: no-store",
                                         "Referrer-Policy: no-referrer"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct strbuf headers = {0}, body = {0};
        char request[128];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: HOST\r\n\r\n", paths[i]);
        assert_int_equal(ask(request, &headers, &body), 200);
        assert_true(body.length > 200);
        for (size_t j = 0; j < sizeof wanted / sizeof wanted[0]; j++) {
            assert_non_null(strstr(strbuf_text(&headers), wanted[j]));
        }
        assert_null(strstr(strbuf_text(&headers), "unsafe"));
        strbuf_free(&headers);
        strbuf_free(&body);
    }
}

static void test_foreign_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        int status;
    } cases[] = {
        {"Host: evil.example\r\n", 421},
        {"Host: 127.0.0.1\r\n", 421},
        {"Host: 127.0.0.1:1\r\n", 421},
        {"Host: HOST.evil.example\r\n", 421},
        {"Host: evil.example\r\nHost: HOST\r\n", 400},
        {"", 400},
        {"Host: \r\n", 421},
        {"Host: user@HOST\r\n", 421},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char request[256];
        snprintf(request, sizeof request, "GET / HTTP/1.1\r\n%s\r\n", cases[i].headers);
        assert_int_equal(ask(request, NULL, NULL), cases[i].status);
    }
    char request[128];
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", (unsigned)server.port);
    assert_int_equal(http_raw(server.port, request, NULL, NULL), 200);
}

static void test_paths_and_methods(void **state)
{
    (void)state;
    static const char *const paths[] = {"/../etc/passwd",
                                        "/%2e%2e/etc/passwd",
                                        "/..%2f..%2fetc/passwd",
                                        "//",
                                        "/label.js/",
                                        "/label.js%00.png",
                                        "/LABEL.JS",
                                        "/prefs.db",
                                        "/%ff",
                                        "/.",
                                        "/label.html",
                                        "/assets/label.js"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char request[256];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: HOST\r\n\r\n", paths[i]);
        assert_in_range(ask(request, NULL, NULL), 400, 404);
    }
    static const char *const methods[] = {"PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        char request[256];
        snprintf(request, sizeof request,
                 "%s /api/next HTTP/1.1\r\nHost: HOST\r\nOrigin: http://HOST\r\nContent-Length: 0\r\n\r\n", methods[i]);
        assert_int_equal(ask(request, NULL, NULL), 405);
    }
}

/* Every change needs all of its headers; what another page's form or script can send lacks one. */
static void test_forged_changes(void **state)
{
    (void)state;
    struct http_client client = logged_in(token);
    static const struct {
        const char *what, *headers;
        int status;
    } cases[] = {
        {"another origin", "Origin: http://evil.example\r\nX-Attune: 1\r\nContent-Type: application/json\r\n", 403},
        {"an opaque origin", "Origin: null\r\nX-Attune: 1\r\nContent-Type: application/json\r\n", 403},
        {"an origin that begins as ours",
         "Origin: http://HOST.evil.example\r\nX-Attune: 1\r\nContent-Type: application/json\r\n", 403},
        {"another port", "Origin: http://127.0.0.1:1\r\nX-Attune: 1\r\nContent-Type: application/json\r\n", 403},
        {"a cross-site fetch", "Sec-Fetch-Site: cross-site\r\nX-Attune: 1\r\nContent-Type: application/json\r\n", 403},
        {"a same-site fetch", "Sec-Fetch-Site: same-site\r\nX-Attune: 1\r\nContent-Type: application/json\r\n", 403},
        {"no custom header", "Origin: http://HOST\r\nContent-Type: application/json\r\n", 403},
        {"a form", "Origin: http://HOST\r\nX-Attune: 1\r\nContent-Type: application/x-www-form-urlencoded\r\n", 415},
        {"a form of text", "Origin: http://HOST\r\nX-Attune: 1\r\nContent-Type: text/plain\r\n", 415},
        {"a multipart form", "Origin: http://HOST\r\nX-Attune: 1\r\nContent-Type: multipart/form-data; boundary=x\r\n",
         415},
        {"what the page sends",
         "Origin: http://HOST\r\nSec-Fetch-Site: same-origin\r\nX-Attune: 1\r\nContent-Type: application/json\r\n",
         200},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char request[1024];
        snprintf(request, sizeof request,
                 "POST /api/next HTTP/1.1\r\nHost: HOST\r\nCookie: %s\r\n%sContent-Length: 2\r\n\r\n{}", client.cookie,
                 cases[i].headers);
        int status = ask(request, NULL, NULL);
        if (status != cases[i].status) {
            fail_msg("%s: %d instead of %d", cases[i].what, status, cases[i].status);
        }
    }
    /* Nothing changes on GET. */
    assert_int_equal(http_call(&client, "/api/next", NULL, NULL), 404);
    assert_int_equal(http_call(&client, "/api/judgment", NULL, NULL), 404);
    http_close(&client);
}

static void test_tokens(void **state)
{
    (void)state;
    struct http_client client = {.port = server.port, .socket = -1};
    static const char *const paths[] = {"/api/next", "/api/judgment", "/api/undo", "/api/nothing"};
    char wrong[PREFS_TOKEN_SIZE];
    memset(wrong, 'a', sizeof wrong - 1);
    wrong[sizeof wrong - 1] = '\0';
    assert_false(http_login(&client, wrong));
    assert_false(http_login(&client, ""));
    assert_false(http_login(&client, "' OR 1=1 --"));
    assert_false(http_login(&client, revoked_token));
    assert_string_equal(client.cookie, "");
    /* No cookie of ours, an empty one, a wrong one, the right one under another name. */
    for (int c = 0; c < 4; c++) {
        snprintf(client.cookie, sizeof client.cookie, "%s_%u=%s", c == 0 || c == 3 ? "other" : "attune",
                 (unsigned)server.port,
                 c == 1   ? ""
                 : c == 3 ? token
                          : wrong);
        for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
            assert_int_equal(http_call(&client, paths[i], "{}", NULL), 401);
        }
        assert_int_equal(http_call(&client, "/api/state", NULL, NULL), 401);
        assert_int_equal(http_call(&client, "/api/overview", NULL, NULL), 401);
    }
    http_close(&client);
    /* The cookie is out of reach of scripts and of other sites; the overview is for admins. */
    struct strbuf headers = {0};
    char request[512];
    snprintf(request, sizeof request,
             "POST /api/login HTTP/1.1\r\nHost: HOST\r\nX-Attune: 1\r\nContent-Type: "
             "application/json\r\nContent-Length: %d\r\n\r\n{\"token\":\"%s\"}",
             PREFS_TOKEN_SIZE + 11, token);
    assert_int_equal(ask(request, &headers, NULL), 200);
    assert_non_null(strstr(strbuf_text(&headers), "; HttpOnly; SameSite=Strict"));
    strbuf_free(&headers);
    struct http_client annotator = logged_in(token), admin = logged_in(admin_token);
    json_t *report = NULL;
    assert_int_equal(http_call(&annotator, "/api/overview", NULL, NULL), 403);
    assert_int_equal(http_call(&admin, "/api/overview", NULL, &report), 200);
    assert_true(json_is_array(json_object_get(report, "annotators")));
    json_decref(report);
    assert_int_equal(http_call(&annotator, "/api/logout", "{}", NULL), 200);
    assert_int_equal(http_call(&annotator, "/api/state", NULL, NULL), 401);
    http_close(&annotator);
    http_close(&admin);
}

static void test_no_model_names_reach_annotators(void **state)
{
    (void)state;
    struct http_client client = logged_in(token);
    json_t *answer = NULL;
    assert_int_equal(http_call(&client, "/api/next", "{}", &answer), 200);
    const json_t *task = json_object_get(answer, "task");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)task, key, value)
    {
        assert_true(strcmp(key, "assignment") == 0 || strcmp(key, "messages") == 0 || strcmp(key, "answers") == 0 ||
                    strcmp(key, "previous") == 0);
    }
    json_t *answers = json_object_get(task, "answers");
    assert_int_equal(json_array_size(answers), 2);
    assert_true(json_is_string(json_array_get(answers, 0)));
    json_decref(answer);
    http_close(&client);
}

static void test_bad_bodies(void **state)
{
    (void)state;
    struct http_client client = logged_in(token);
    int64_t before = judgments();
    static const struct {
        const char *body;
        int status;
    } cases[] = {
        {"", 400},
        {"{", 400},
        {"[]", 400},
        {"null", 400},
        {"{\"assignment\":1}", 400},
        {"{\"assignment\":\"1\",\"verdict\":\"ranked\",\"nonce\":\"00000000000000000000000000000001\"}", 400},
        {"{\"assignment\":1,\"verdict\":\"ranked\",\"nonce\":\"zz\"}", 400},
        {"{\"assignment\":1,\"verdict\":\"best\",\"nonce\":\"00000000000000000000000000000001\"}", 400},
        {"{\"assignment\":1,\"verdict\":\"ranked\",\"nonce\":\"00000000000000000000000000000001\",\"ranks\":[1,2,3,4,5,"
         "6,7,8,9,1,1,1,1,1,1,1,1]}",
         400},
        {"{\"assignment\":1,\"verdict\":\"ranked\",\"nonce\":\"00000000000000000000000000000001\",\"ranks\":[1,99]}",
         400},
        {"{\"assignment\":1,\"verdict\":\"ranked\",\"nonce\":\"00000000000000000000000000000001\",\"ranks\":[1,2],"
         "\"flags\":[[\"x\"]]}",
         400},
        {"{\"assignment\":1,\"verdict\":\"ranked\",\"nonce\":\"00000000000000000000000000000001\",\"ranks\":[1,2],"
         "\"active_ms\":-5}",
         400},
        {"{\"assignment\":999999,\"verdict\":\"ranked\",\"nonce\":\"00000000000000000000000000000001\",\"ranks\":[1,2]"
         "}",
         409},
        {"{\"assignment\":1,\"verdict\":\"ranked\",\"nonce\":\"00000000000000000000000000000001\",\"ranks\":[2,3]}",
         409},
        {"{\"assignment\":1,\"verdict\":\"ranked\",\"nonce\":\"00000000000000000000000000000001\",\"ranks\":[1,2],"
         "\"comment\":\"a\\u0000b\"}",
         400},
    };
    assert_int_equal(http_call(&client, "/api/next", "{}", NULL), 200);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status = http_call(&client, "/api/judgment", cases[i].body, NULL);
        if (status != cases[i].status) {
            fail_msg("%s: %d instead of %d", cases[i].body, status, cases[i].status);
        }
    }
    struct strbuf deep = {0};
    for (int i = 0; i < 100000; i++) {
        strbuf_putc(&deep, '[');
    }
    assert_int_equal(http_call(&client, "/api/judgment", strbuf_text(&deep), NULL), 400);
    strbuf_free(&deep);
    assert_int_equal(judgments(), before);
    http_close(&client);
}

static double seconds_since(const struct timespec *begin)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) / 1e9;
}

static void test_large_and_endless_bodies(void **state)
{
    (void)state;
    struct http_client client = logged_in(token);
    char request[512];
    static const char *const lengths[] = {"262145", "99999999999", "18446744073709551616", "-1", "2x", ""};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        snprintf(request, sizeof request,
                 "POST /api/judgment HTTP/1.1\r\nHost: HOST\r\nCookie: %s\r\nX-Attune: 1\r\nContent-Type: "
                 "application/json\r\nContent-Length: %s\r\n\r\n{}",
                 client.cookie, lengths[i]);
        int status = ask(request, NULL, NULL);
        assert_true(status == 413 || status == 400 || status == 0);
    }
    snprintf(request, sizeof request,
             "POST /api/judgment HTTP/1.1\r\nHost: HOST\r\nCookie: %s\r\nX-Attune: 1\r\nContent-Type: "
             "application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
             client.cookie);
    assert_int_equal(ask(request, NULL, NULL), 411);
    /* A megabyte of headers, and a GET with a body without end: the connection does not take it all. */
    static const char *const endless[] = {"GET / HTTP/1.1\r\nX: ",
                                          "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nTransfer-Encoding: chunked\r\n\r\n"};
    for (size_t i = 0; i < sizeof endless / sizeof endless[0]; i++) {
        int socket = http_connect(server.port), sent = 0;
        char line[8 + 4096 + 3];
        snprintf(request, sizeof request, endless[i], (unsigned)server.port);
        http_send(socket, request, strlen(request));
        memset(line, 'a', sizeof line - 1);
        memcpy(line, "1000\r\n", 6);
        memcpy(line + sizeof line - 3, "\r\n", 2);
        line[sizeof line - 1] = '\0';
        while (sent < 4096 && http_send(socket, i == 0 ? line + 6 : line, i == 0 ? 4096 : sizeof line - 1)) {
            sent++;
        }
        assert_true(sent < 4096);
        close(socket);
    }
    http_close(&client);
}

/* Bytes that trickle are no sign of life: the whole request has a deadline. */
static void test_slow_senders(void **state)
{
    (void)state;
    struct http_client client = logged_in(token);
    static const char *const beginnings[] = {
        "",
        "GET / HTTP/1.1\r\nX: ",
        ("POST /api/next HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nCookie: %s\r\nX-Attune: 1\r\n"
         "Content-Type: application/json\r\nContent-Length: 200000\r\n\r\n"),
    };
    int sockets[3];
    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < 3; i++) {
        char request[512];
        snprintf(request, sizeof request, beginnings[i], (unsigned)server.port, client.cookie);
        sockets[i] = http_connect(server.port);
        http_send(sockets[i], request, strlen(request));
    }
    int open = 3;
    while (open > 0 && seconds_since(&begin) < 10 * DEADLINE_SECONDS) {
        for (int i = 0; i < 3; i++) {
            if (sockets[i] >= 0 && !http_send(sockets[i], "a", 1)) {
                close(sockets[i]);
                sockets[i] = -1;
                open--;
            }
        }
        nanosleep(&(struct timespec){0, 200000000}, NULL);
    }
    assert_int_equal(open, 0);
    assert_true(seconds_since(&begin) >= 0.8 * DEADLINE_SECONDS);
    http_close(&client);
}

/* Many connections that say nothing leave room for others only up to the limit of one address; they do not stop the
 * server. */
static void test_many_connections(void **state)
{
    (void)state;
    int sockets[2 * HTTP_CONNECTIONS_IP];
    for (size_t i = 0; i < sizeof sockets / sizeof sockets[0]; i++) {
        sockets[i] = http_connect(server.port);
    }
    for (size_t i = 0; i < sizeof sockets / sizeof sockets[0]; i++) {
        if (sockets[i] >= 0) {
            close(sockets[i]);
        }
    }
    int status = 0;
    for (int i = 0; i < 100 && status != 200; i++) {
        status = ask("GET / HTTP/1.1\r\nHost: HOST\r\n\r\n", NULL, NULL);
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
    assert_int_equal(status, 200);
}

static void test_a_good_judgment_passes(void **state)
{
    (void)state;
    struct http_client client = logged_in(token);
    json_t *answer = NULL;
    char body[512];
    int64_t before = judgments();
    assert_int_equal(http_call(&client, "/api/next", "{}", &answer), 200);
    long long assignment = json_integer_value(json_object_get(json_object_get(answer, "task"), "assignment"));
    json_decref(answer);
    snprintf(body, sizeof body,
             "{\"assignment\":%lld,\"verdict\":\"ranked\",\"nonce\":\"0123456789abcdef0123456789abcdef\",\"ranks\":[2,"
             "1],\"strength\":2,"
             "\"comment\":\"<script>\",\"flags\":[[],[\"pii\"]],\"active_ms\":10,\"wall_ms\":20}",
             assignment);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(http_call(&client, "/api/judgment", body, NULL), 200);
    }
    assert_int_equal(judgments(), before + 1);
    assert_int_equal(http_call(&client, "/api/undo", "{\"nonce\":\"0123456789abcdef0123456789abcde0\"}", NULL), 200);
    http_close(&client);
}

static int begin(void **state)
{
    scratch_setup(state);
    struct prefs *store = new_store("server.db");
    struct err err;
    int64_t revoked = 0;
    add_items(store, 0, 20, 2);
    add_person(store, "ann", PREFS_ROLE_ANNOTATOR, token);
    add_person(store, "eve", PREFS_ROLE_ADMIN, admin_token);
    int64_t gone = add_person(store, "gone", PREFS_ROLE_ANNOTATOR, revoked_token);
    int result = prefs_revoke(store, gone, &revoked, &err);
    prefs_close(store);
    server_begin(&server, scratch_path("server.db"), 0, DEADLINE_SECONDS);
    return result == 0 && revoked == 1 ? 0 : -1;
}

static int end(void **state)
{
    server_end(&server);
    assert_clean(scratch_path("server.db"));
    return scratch_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_of_the_page),
        cmocka_unit_test(test_foreign_hosts),
        cmocka_unit_test(test_paths_and_methods),
        cmocka_unit_test(test_forged_changes),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_no_model_names_reach_annotators),
        cmocka_unit_test(test_bad_bodies),
        cmocka_unit_test(test_large_and_endless_bodies),
        cmocka_unit_test(test_slow_senders),
        cmocka_unit_test(test_many_connections),
        cmocka_unit_test(test_a_good_judgment_passes),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
