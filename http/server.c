#include "http/server.h"
#include "base/mem.h"
#include "http/internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COOKIE_NAME_SIZE 32

struct http_server {
    struct MHD_Daemon *daemon;
    struct http_site site;
    struct guard guard;
    struct peers peers;
    bool tls;
    uint16_t port;
    char cookie[COOKIE_NAME_SIZE]; /* its name; cookies of one host are shared by all its ports */
};

/* A request whose body is coming in. */
struct incoming {
    struct strbuf body;
    bool post;
};

unsigned http_error(struct strbuf *out, unsigned status, const char *sentence)
{
    strbuf_clear(out);
    strbuf_puts(out, "{\"error\":");
    strbuf_put_json(out, sentence, strlen(sentence));
    strbuf_putc(out, '}');
    return status;
}

/* ---- answers ---- */

static void add_headers(struct MHD_Response *response, const char *type)
{
    static const char *const headers[][2] = {
        {"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                    "base-uri 'none'; form-action 'none'; "
                                    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Cache-Control", "no-store"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };
    MHD_add_response_header(response, "Content-Type", type);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    }
}

/* Copies the body unless it is constant. */
static struct MHD_Response *make_response(const struct http_answer *answer)
{
    union {
        const char *constant;
        void *plain;
    } data = {answer->constant}; /* libmicrohttpd takes a void * also for what it only reads */
    if (answer->constant != NULL) {
        return MHD_create_response_from_buffer(answer->constant_size, data.plain, MHD_RESPMEM_PERSISTENT);
    }
    data.constant = strbuf_text(&answer->body);
    return MHD_create_response_from_buffer(answer->body.length, data.plain, MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result queue_answer(struct MHD_Connection *connection, const struct http_answer *answer,
                                    const char *cookie)
{
    struct MHD_Response *response = make_response(answer);
    if (response == NULL) {
        return MHD_NO;
    }
    add_headers(response, answer->type);
    if (cookie != NULL) {
        MHD_add_response_header(response, "Set-Cookie", cookie);
    }
    if (answer->status == 405) {
        MHD_add_response_header(response, "Allow", "GET, HEAD, POST");
    }
    if (answer->status == 411 || answer->status == 413) {
        MHD_add_response_header(response, "Connection", "close");
    }
    enum MHD_Result result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

/* Sends the answer and frees it. */
static enum MHD_Result send_answer(const struct http_server *server, struct MHD_Connection *connection,
                                   struct http_answer *answer)
{
    struct strbuf cookie = {0};
    struct err err;
    if (answer->sets_cookie) {
        strbuf_printf(&cookie, "%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s", server->cookie,
                      strbuf_text(&answer->cookie), answer->cookie_seconds, server->tls ? "; Secure" : "");
    }
    if (strbuf_check(&answer->body, &err) != 0 || strbuf_check(&answer->cookie, &err) != 0 ||
        strbuf_check(&cookie, &err) != 0) {
        answer->status = http_error(&answer->body, 503, "out of memory");
        answer->type = HTTP_JSON;
        answer->constant = NULL;
        strbuf_clear(&cookie);
    }
    enum MHD_Result result = queue_answer(connection, answer, cookie.length > 0 ? cookie.data : NULL);
    strbuf_free(&answer->body);
    strbuf_free(&answer->cookie);
    strbuf_free(&cookie);
    return result;
}

static enum MHD_Result refuse(const struct http_server *server, struct MHD_Connection *connection,
                              struct guard_answer guard)
{
    struct http_answer answer = {.status = guard.status, .type = HTTP_JSON};
    http_error(&answer.body, guard.status, guard.sentence);
    return send_answer(server, connection, &answer);
}

/* ---- requests ---- */

static struct peer *peer_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static enum MHD_Result answer_whole(struct http_server *server, struct MHD_Connection *connection, const char *path,
                                    const struct incoming *incoming)
{
    const struct http_request request = {
        .post = incoming->post,
        .path = path,
        .body = strbuf_text(&incoming->body),
        .body_length = incoming->body.length,
        .cookie = MHD_lookup_connection_value(connection, MHD_COOKIE_KIND, server->cookie),
    };
    struct http_answer answer = {0};
    struct err err;
    if (strbuf_check(&incoming->body, &err) != 0) {
        return MHD_NO; /* a piece of it found no memory */
    }
    struct peer *peer = peer_of(connection);
    peer_set_working(&server->peers, peer, true);
    server->site.answer(server->site.context, &request, &answer);
    peer_set_working(&server->peers, peer, false);
    return send_answer(server, connection, &answer);
}

/* Headers are in, the body is not: what can be refused now is. */
static struct guard_answer check_headers(const struct http_server *server, struct MHD_Connection *connection,
                                         const char *path, bool get, bool post)
{
    struct guard_answer guard = guard_host(&server->guard, connection);
    if (guard.status != 0) {
        return guard;
    }
    if (!get && !post) {
        return (struct guard_answer){405, "only GET, HEAD and POST"};
    }
    switch (server->site.find(server->site.context, path)) {
    case HTTP_CALL:
        return guard_call(connection, post);
    case HTTP_FILE:
        return get ? guard : (struct guard_answer){405, "this is only read"};
    case HTTP_NOTHING:
        break;
    }
    return (struct guard_answer){404, "there is nothing here"};
}

static enum MHD_Result begin(struct http_server *server, struct MHD_Connection *connection, const char *path,
                             const char *method, struct incoming **out)
{
    struct err err;
    struct incoming *incoming = mem_alloc(1, sizeof *incoming, &err);
    if (incoming == NULL) {
        return MHD_NO;
    }
    *out = incoming;
    if (peer_of(connection) == NULL) {
        return MHD_NO; /* there was no memory to put it under a deadline */
    }
    incoming->post = strcmp(method, "POST") == 0;
    struct guard_answer guard = check_headers(
        server, connection, path, strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0, incoming->post);
    return guard.status == 0 ? MHD_YES : refuse(server, connection, guard);
}

/* Called when the headers are in, for every piece of the body, and once more at its end. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **request_context)
{
    struct http_server *server = context;
    struct incoming *incoming = *request_context;
    (void)version;
    if (incoming == NULL) {
        return begin(server, connection, path, method, (struct incoming **)request_context);
    }
    if (*upload_size > 0) {
        strbuf_append(&incoming->body, upload, *upload_size);
        *upload_size = 0;
        /* More than was announced, or a body of a GET: the connection is closed. */
        return !incoming->post || incoming->body.length > HTTP_BODY_MAX ? MHD_NO : MHD_YES;
    }
    return answer_whole(server, connection, path, incoming);
}

static void completed(void *context, struct MHD_Connection *connection, void **request_context,
                      enum MHD_RequestTerminationCode how)
{
    struct http_server *server = context;
    struct incoming *incoming = *request_context;
    struct peer *peer = peer_of(connection);
    (void)how;
    if (incoming != NULL) {
        strbuf_free(&incoming->body);
        mem_free(incoming);
    }
    if (peer != NULL) {
        peer_set_working(&server->peers, peer, false);
    }
}

static void connection_changed(void *context, struct MHD_Connection *connection, void **socket_context,
                               enum MHD_ConnectionNotificationCode what)
{
    struct http_server *server = context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_context = peers_add(&server->peers,
                                    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
    } else if (*socket_context != NULL) {
        peers_remove(&server->peers, *socket_context);
        *socket_context = NULL;
    }
}

/* Paths are compared as they came: escapes such as "%2e" and "%00" name nothing here. */
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* ---- start and stop ---- */

static int start_daemon(struct http_server *server, const struct http_options *options, int listener, bool ipv6,
                        struct err *err)
{
    union {
        const char *constant;
        void *plain;
    } certificate = {options->certificate}, key = {options->key};
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, certificate.plain},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, key.plain},
                                   {MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
                     (ipv6 ? MHD_USE_IPv6 : 0u) | (server->tls ? MHD_USE_TLS : 0u);
    server->daemon =
        MHD_start_daemon(flags, server->port, NULL, NULL, handle, server, MHD_OPTION_LISTEN_SOCKET, listener,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                         (unsigned)HTTP_CONNECTIONS_IP, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_SECONDS,
                         MHD_OPTION_NOTIFY_COMPLETED, completed, server, MHD_OPTION_NOTIFY_CONNECTION,
                         connection_changed, server, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK,
                         keep_escapes, NULL, MHD_OPTION_ARRAY, server->tls ? tls : tls + 2, MHD_OPTION_END);
    if (server->daemon == NULL) {
        close(listener);
        return err_set(err, "cannot start the server%s",
                       server->tls ? "; are the certificate and the key in PEM form and of each other?" : "");
    }
    return 0;
}

static int start_server(struct http_server *server, const struct http_options *options, struct err *err)
{
    bool ipv6 = false;
    int listener = listen_on(options, &server->port, &ipv6, err);
    if (listener < 0) {
        return -1;
    }
    snprintf(server->cookie, sizeof server->cookie, "attune_%u", (unsigned)server->port);
    if (guard_init(&server->guard, options, server->port, server->site.host_help, err) != 0 ||
        peers_start(&server->peers, options->request_seconds > 0 ? options->request_seconds : HTTP_REQUEST_SECONDS,
                    err) != 0) {
        close(listener);
        return -1;
    }
    if (start_daemon(server, options, listener, ipv6, err) != 0) {
        peers_stop(&server->peers);
        return -1;
    }
    return 0;
}

int http_start(struct http_server **out, const struct http_site *site, const struct http_options *options,
               struct err *err)
{
    struct http_server *server = mem_alloc(1, sizeof *server, err);
    if (server == NULL) {
        return -1;
    }
    server->site = *site;
    server->tls = options->certificate != NULL;
    if (start_server(server, options, err) != 0) {
        mem_free(server);
        return -1;
    }
    *out = server;
    return 0;
}

uint16_t http_port(const struct http_server *server)
{
    return server->port;
}

void http_stop(struct http_server *server)
{
    MHD_stop_daemon(server->daemon);
    peers_stop(&server->peers);
    mem_free(server);
}
