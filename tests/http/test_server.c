/* A small site of a file and an interface: what reaches it, and what is refused before. */
#include "base/mem.h"
#include "http/helper_http.h"
#include "http/server.h"
#include "support/cmocka.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct http_server *server;
static atomic_int calls;

static enum http_resource find(void *context, const char *path)
{
    assert_ptr_equal(context, &calls);
    return strcmp(path, "/file") == 0 ? HTTP_FILE : strncmp(path, "/call/", 6) == 0 ? HTTP_CALL : HTTP_NOTHING;
}

/* Calls say what came; /call/in sets the cookie, /call/out takes it back. */
static void answer_request(void *context, const struct http_request *request, struct http_answer *answer)
{
    (void)context;
    answer->status = 200;
    if (strcmp(request->path, "/file") == 0) {
        answer->type = "text/plain";
        answer->constant = "a file";
        answer->constant_size = 6;
        return;
    }
    atomic_fetch_add(&calls, 1);
    answer->type = HTTP_JSON;
    answer->sets_cookie = request->post;
    if (strcmp(request->path, "/call/in") == 0) {
        answer->cookie_seconds = 60;
        strbuf_puts(&answer->cookie, "me");
    }
    strbuf_printf(&answer->body, "{\"post\":%s,\"cookie\":\"%s\",\"bytes\":%zu}", request->post ? "true" : "false",
                  request->cookie ? request->cookie : "", request->body_length);
}

static int ask(const char *format, const char *more, struct strbuf *headers, struct strbuf *body)
{
    char request[1024];
    snprintf(request, sizeof request, format, (unsigned)http_port(server), more);
    return http_raw(http_port(server), request, headers, body);
}

static void files_are_read(void **state)
{
    (void)state;
    struct strbuf headers = {0}, body = {0};
    assert_int_equal(ask("GET /file HTTP/1.1\r\nHost: localhost:%u\r\n%s\r\n", "", &headers, &body), 200);
    assert_string_equal(strbuf_text(&body), "a file");
    assert_non_null(strstr(strbuf_text(&headers), "Content-Type: text/plain"));
    assert_non_null(strstr(strbuf_text(&headers), "default-src 'none'"));
    assert_null(strstr(strbuf_text(&headers), "Set-Cookie"));
    assert_int_equal(ask("POST /file HTTP/1.1\r\nHost: localhost:%u\r\n%s\r\n", "Content-Length: 0\r\n", NULL, NULL),
                     405);
    assert_int_equal(ask("GET /other HTTP/1.1\r\nHost: localhost:%u\r\n%s\r\n", "", NULL, NULL), 404);
    strbuf_free(&headers);
    strbuf_free(&body);
}

static void an_unknown_host_is_told_the_way_out(void **state)
{
    (void)state;
    struct strbuf body = {0};
    assert_int_equal(ask("GET /file HTTP/1.1\r\nHost: elsewhere:%u\r\n%s\r\n", "", NULL, &body), 421);
    assert_string_equal(strbuf_text(&body), "{\"error\":\"this Host is not served here; --host NAME allows it\"}");
    strbuf_free(&body);
}

static void refused_calls_do_not_reach_the_site(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        int status;
    } cases[] = {
        {"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", 403},
        {"X-Attune: 1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415},
        {"X-Attune: 1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411},
        {"X-Attune: 1\r\nContent-Type: application/json\r\nContent-Length: 262145\r\n\r\n", 413},
        {"Origin: http://elsewhere\r\nX-Attune: 1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
         403},
    };
    int before = atomic_load(&calls);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(ask("POST /call/in HTTP/1.1\r\nHost: localhost:%u\r\n%s", cases[i].headers, NULL, NULL),
                         cases[i].status);
    }
    assert_int_equal(atomic_load(&calls), before);
}

static void the_cookie_goes_round(void **state)
{
    (void)state;
    struct http_client client = {.port = http_port(server), .socket = -1};
    json_t *answer = NULL;
    assert_int_equal(http_call(&client, "/call/in", "{\"a\":1}", &answer), 200);
    assert_true(json_is_true(json_object_get(answer, "post")));
    assert_int_equal(json_integer_value(json_object_get(answer, "bytes")), 7);
    json_decref(answer);
    assert_int_equal(http_call(&client, "/call/state", NULL, &answer), 200);
    assert_true(json_is_false(json_object_get(answer, "post")));
    assert_string_equal(json_string_value(json_object_get(answer, "cookie")), "me");
    json_decref(answer);
    http_close(&client);
}

static void a_slow_client_is_ended(void **state)
{
    (void)state;
    int connection = http_connect(http_port(server));
    time_t start = time(NULL);
    assert_true(http_send(connection, "GET /file HTTP/1.1\r\n", 20));
    assert_int_equal(http_receive(connection, NULL, NULL), 0);
    assert_in_range(time(NULL) - start, 0, 10);
    close(connection);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(an_unknown_host_is_told_the_way_out),
        cmocka_unit_test(refused_calls_do_not_reach_the_site),
        cmocka_unit_test(the_cookie_goes_round),
        cmocka_unit_test(a_slow_client_is_ended),
    };
    struct http_site site = {&calls, find, answer_request, "--host NAME allows it"};
    struct http_options options = {.address = "127.0.0.1", .request_seconds = 2};
    struct err err;
    mem_hook_libraries();
    signal(SIGPIPE, SIG_IGN);
    if (http_start(&server, &site, &options, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    http_stop(server);
    return failed;
}
