#include "prefs-db/server.h"
#include "base/log.h"
#include "base/mem.h"
#include "prefs-db/api.h"
#include "prefs-db/assets.h"
#include "prefs-db/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STATUS_CHARS   16
#define COOKIE_SECONDS (30 * 24 * 60 * 60)
#define COOKIE_NAME    32

/* A connection in the list that the deadline thread looks through. */
struct peer {
    struct peer *next, *previous;
    int socket;
    double since; /* its start, or when its last request was answered */
    bool working; /* a handler computes the answer: not the client's fault */
};

struct server {
    struct MHD_Daemon *daemon;
    struct prefs *store, *reader;
    struct guard guard;
    int64_t project;
    bool tls;
    double request_seconds;
    uint16_t port;
    char cookie[COOKIE_NAME]; /* its name; cookies of one host are shared by all its ports */
    pthread_mutex_t store_lock, reader_lock, peers_lock;
    struct strbuf overview; /* the last report, under reader_lock */
    double overview_at;
    struct peer peers; /* head of the ring */
    pthread_t deadlines;
    pthread_cond_t wake;
    bool stopping; /* under peers_lock */
};

struct request {
    struct strbuf body;
    bool post;
};

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

static enum MHD_Result send_bytes(struct MHD_Connection *connection, unsigned status, const char *type,
                                  const char *bytes, size_t size, enum MHD_ResponseMemoryMode mode, const char *cookie)
{
    union {
        const char *constant;
        void *plain;
    } data = {bytes}; /* libmicrohttpd takes a void * also for what it only reads */
    struct MHD_Response *response = MHD_create_response_from_buffer(size, data.plain, mode);
    if (response == NULL) {
        return MHD_NO;
    }
    add_headers(response, type);
    if (cookie != NULL) {
        MHD_add_response_header(response, "Set-Cookie", cookie);
    }
    if (status == 405) {
        MHD_add_response_header(response, "Allow", "GET, HEAD, POST");
    }
    if (status == 411 || status == 413) {
        MHD_add_response_header(response, "Connection", "close");
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_json(struct MHD_Connection *connection, unsigned status, struct strbuf *out,
                                 const char *cookie)
{
    struct err err;
    if (strbuf_check(out, &err) != 0) {
        status = api_error(out, 503, "out of memory");
    }
    return send_bytes(connection, status, "application/json; charset=utf-8", strbuf_text(out), out->length,
                      MHD_RESPMEM_MUST_COPY, cookie);
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *sentence)
{
    struct strbuf out = {0};
    enum MHD_Result result;
    api_error(&out, status, sentence);
    result = send_json(connection, status, &out, NULL);
    strbuf_free(&out);
    return result;
}

/* Under store_lock. 0: known, else the status. */
static unsigned authenticate(struct server *server, struct MHD_Connection *connection,
                             struct prefs_annotator *annotator, struct strbuf *out)
{
    struct err err;
    const char *token = MHD_lookup_connection_value(connection, MHD_COOKIE_KIND, server->cookie);
    if (token == NULL) {
        return api_error(out, 401, "log in with a token first");
    }
    int result = prefs_authenticate(server->store, token, annotator, &err);
    return result == 0 ? 0 : api_error(out, result == PREFS_REFUSED ? 401 : 503, err.text);
}

/* A long read on a connection of its own, so that labelling goes on meanwhile. */
static unsigned overview(struct server *server, struct strbuf *out)
{
    unsigned status = 200;
    pthread_mutex_lock(&server->reader_lock);
    if (server->overview.length == 0 || clock_seconds() - server->overview_at > SERVER_OVERVIEW_SECONDS) {
        strbuf_clear(&server->overview);
        status = api_overview(server->reader, server->project, &server->overview);
        server->overview_at = clock_seconds();
    }
    strbuf_append(out, strbuf_text(&server->overview), server->overview.length);
    if (status != 200) {
        strbuf_clear(&server->overview);
    }
    pthread_mutex_unlock(&server->reader_lock);
    return status;
}

static unsigned login(struct server *server, const struct request *request, struct strbuf *out, struct strbuf *cookie)
{
    char token[PREFS_TOKEN_SIZE];
    struct prefs_annotator annotator;
    struct err err;
    unsigned status = api_login_token(token, strbuf_text(&request->body), request->body.length, out);
    if (status != 0) {
        return status;
    }
    pthread_mutex_lock(&server->store_lock);
    int result = prefs_authenticate(server->store, token, &annotator, &err);
    pthread_mutex_unlock(&server->store_lock);
    if (result != 0) {
        return api_error(out, result == PREFS_REFUSED ? 401 : 503, err.text);
    }
    strbuf_printf(cookie, "%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s", server->cookie, token,
                  COOKIE_SECONDS, server->tls ? "; Secure" : "");
    strbuf_puts(out, "{}");
    return 200;
}

static unsigned dispatch_post(struct server *server, struct MHD_Connection *connection, const char *url,
                              const struct request *request, struct strbuf *out, struct strbuf *cookie)
{
    struct prefs_annotator annotator;
    const char *body = strbuf_text(&request->body);
    if (strcmp(url, "/api/login") == 0) {
        return login(server, request, out, cookie);
    }
    if (strcmp(url, "/api/logout") == 0) {
        strbuf_printf(cookie, "%s=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict%s", server->cookie,
                      server->tls ? "; Secure" : "");
        strbuf_puts(out, "{}");
        return 200;
    }
    pthread_mutex_lock(&server->store_lock);
    unsigned status = authenticate(server, connection, &annotator, out);
    if (status != 0) {
        /* said already */
    } else if (strcmp(url, "/api/next") == 0) {
        status = api_next(server->store, server->project, &annotator, out);
    } else if (strcmp(url, "/api/judgment") == 0) {
        status = api_judgment(server->store, server->project, &annotator, body, request->body.length, out);
    } else if (strcmp(url, "/api/undo") == 0) {
        status = api_undo(server->store, server->project, &annotator, body, request->body.length, out);
    } else {
        status = api_error(out, 404, "there is nothing here");
    }
    pthread_mutex_unlock(&server->store_lock);
    return status;
}

static unsigned dispatch_get(struct server *server, struct MHD_Connection *connection, const char *url,
                             struct strbuf *out)
{
    struct prefs_annotator annotator;
    pthread_mutex_lock(&server->store_lock);
    unsigned status = authenticate(server, connection, &annotator, out);
    bool report = strcmp(url, "/api/overview") == 0;
    if (status == 0 && strcmp(url, "/api/state") == 0) {
        status = api_state(server->store, server->project, &annotator, out);
    } else if (status == 0 && !report) {
        status = api_error(out, 404, "there is nothing here");
    } else if (status == 0 && annotator.role != PREFS_ROLE_ADMIN) {
        status = api_error(out, 403, "the overview is for admins");
    }
    pthread_mutex_unlock(&server->store_lock);
    return status == 0 ? overview(server, out) : status;
}

static enum MHD_Result answer(struct server *server, struct MHD_Connection *connection, const char *url, bool post,
                              const struct request *request)
{
    struct strbuf out = {0}, cookie = {0};
    struct peer *peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    pthread_mutex_lock(&server->peers_lock);
    peer->working = true;
    pthread_mutex_unlock(&server->peers_lock);
    unsigned status = post ? dispatch_post(server, connection, url, request, &out, &cookie)
                           : dispatch_get(server, connection, url, &out);
    pthread_mutex_lock(&server->peers_lock);
    peer->working = false;
    peer->since = clock_seconds(); /* from here on it is the client's time again */
    pthread_mutex_unlock(&server->peers_lock);
    enum MHD_Result result = send_json(connection, status, &out, cookie.length > 0 ? cookie.data : NULL);
    strbuf_free(&out);
    strbuf_free(&cookie);
    return result;
}

/* Headers are in, the body is not: what can be refused now is. */
static struct guard_answer check_headers(const struct server *server, struct MHD_Connection *connection,
                                         const char *url, bool get, bool post)
{
    struct guard_answer guard = guard_host(&server->guard, connection);
    struct asset room;
    if (guard.status != 0) {
        return guard;
    }
    if (!get && !post) {
        return (struct guard_answer){405, "only GET, HEAD and POST"};
    }
    if (strncmp(url, "/api/", 5) == 0) {
        return guard_api(connection, post, SERVER_BODY_MAX);
    }
    if (asset_find(url, &room) == NULL) {
        return (struct guard_answer){404, "there is nothing here"};
    }
    return get ? guard : (struct guard_answer){405, "this is only read"};
}

static enum MHD_Result begin(struct server *server, struct MHD_Connection *connection, const char *url,
                             const char *method, struct request **out)
{
    struct err err;
    struct request *request = mem_alloc(1, sizeof *request, &err);
    if (request == NULL) {
        return MHD_NO;
    }
    *out = request;
    request->post = strcmp(method, "POST") == 0;
    struct guard_answer guard = check_headers(server, connection, url,
                                              strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0, request->post);
    return guard.status == 0 ? MHD_YES : refuse(connection, guard.status, guard.sentence);
}

/* Called when the headers are in, for every piece of the body, and once more at its end. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **request_context)
{
    struct server *server = context;
    struct request *request = *request_context;
    struct asset asset;
    (void)version;
    if (request == NULL) {
        return begin(server, connection, url, method, (struct request **)request_context);
    }
    if (*upload_size > 0) {
        strbuf_append(&request->body, upload, *upload_size);
        *upload_size = 0;
        /* More than was announced, or a body of a GET: the connection is closed. */
        return !request->post || request->body.length > SERVER_BODY_MAX ? MHD_NO : MHD_YES;
    }
    if (strncmp(url, "/api/", 5) != 0) {
        const struct asset *found = asset_find(url, &asset);
        return send_bytes(connection, 200, found->type, found->bytes, found->size, MHD_RESPMEM_PERSISTENT, NULL);
    }
    return answer(server, connection, url, request->post, request);
}

static void completed(void *context, struct MHD_Connection *connection, void **request_context,
                      enum MHD_RequestTerminationCode how)
{
    struct server *server = context;
    struct request *request = *request_context;
    struct peer *peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    (void)how;
    if (request != NULL) {
        strbuf_free(&request->body);
        mem_free(request);
    }
    if (peer != NULL) {
        pthread_mutex_lock(&server->peers_lock);
        peer->since = clock_seconds();
        pthread_mutex_unlock(&server->peers_lock);
    }
}

static void connection_changed(void *context, struct MHD_Connection *connection, void **socket_context,
                               enum MHD_ConnectionNotificationCode what)
{
    struct server *server = context;
    struct peer *peer = *socket_context;
    struct err err;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        peer = mem_alloc(1, sizeof *peer, &err);
        if (peer == NULL) {
            return; /* answer() would miss it, but mem_alloc() for the request fails then too */
        }
        peer->socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        peer->since = clock_seconds();
        pthread_mutex_lock(&server->peers_lock);
        peer->next = server->peers.next;
        peer->previous = &server->peers;
        peer->next->previous = peer->previous->next = peer;
        pthread_mutex_unlock(&server->peers_lock);
        *socket_context = peer;
    } else if (peer != NULL) {
        pthread_mutex_lock(&server->peers_lock);
        peer->next->previous = peer->previous;
        peer->previous->next = peer->next;
        pthread_mutex_unlock(&server->peers_lock);
        mem_free(peer);
        *socket_context = NULL;
    }
}

/* libmicrohttpd closes idle connections; one that trickles bytes for ever is not idle, and is ended here. */
static void *enforce_deadlines(void *context)
{
    struct server *server = context;
    pthread_mutex_lock(&server->peers_lock);
    while (!server->stopping) {
        double now = clock_seconds();
        for (struct peer *peer = server->peers.next; peer != &server->peers; peer = peer->next) {
            if (!peer->working && now - peer->since > server->request_seconds) {
                shutdown(peer->socket, SHUT_RDWR);
            }
        }
        struct timespec next;
        clock_gettime(CLOCK_REALTIME, &next);
        next.tv_sec += 1;
        pthread_cond_timedwait(&server->wake, &server->peers_lock, &next);
    }
    pthread_mutex_unlock(&server->peers_lock);
    return NULL;
}

static void stop_deadlines(struct server *server)
{
    pthread_mutex_lock(&server->peers_lock);
    server->stopping = true;
    pthread_cond_signal(&server->wake);
    pthread_mutex_unlock(&server->peers_lock);
    pthread_join(server->deadlines, NULL);
}

/* Paths are compared as they came: "%2e", "%00" and their like name nothing here. */
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static void free_server(struct server *server)
{
    strbuf_free(&server->overview);
    pthread_mutex_destroy(&server->store_lock);
    pthread_mutex_destroy(&server->reader_lock);
    pthread_mutex_destroy(&server->peers_lock);
    pthread_cond_destroy(&server->wake);
    mem_free(server);
}

static int read_address(const char *text, uint16_t port, struct sockaddr_storage *address, bool *ipv6, struct err *err)
{
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof *address);
    *ipv6 = inet_pton(AF_INET6, text, &six->sin6_addr) == 1;
    if (*ipv6) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        return 0;
    }
    if (inet_pton(AF_INET, text, &four->sin_addr) != 1) {
        return err_set(err, "'%s' is no IP address; give one in numbers, such as 127.0.0.1", text);
    }
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    return 0;
}

/* A listening socket of our own: the port must be known before the first request is answered. */
static int listen_on(struct server *server, const struct server_options *options, bool *ipv6, struct err *err)
{
    struct sockaddr_storage address;
    socklen_t size;
    const int yes = 1;
    if (read_address(options->address, options->port, &address, ipv6, err) != 0) {
        return -1;
    }
    size = *ipv6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int listener = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, SOMAXCONN) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        err_set_errno(err, "cannot serve on %s port %u (--port takes another one)", options->address,
                      (unsigned)options->port);
        if (listener >= 0) {
            close(listener);
        }
        return -1;
    }
    server->port =
        ntohs(*ipv6 ? ((struct sockaddr_in6 *)&address)->sin6_port : ((struct sockaddr_in *)&address)->sin_port);
    return listener;
}

static int start_daemon(struct server *server, const struct server_options *options, int listener, bool ipv6,
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
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)SERVER_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                         (unsigned)SERVER_CONNECTIONS_IP, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SERVER_IDLE_SECONDS,
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

static int start_server(struct server *server, const struct server_options *options, struct err *err)
{
    bool ipv6 = false;
    int listener = listen_on(server, options, &ipv6, err);
    if (listener < 0) {
        return -1;
    }
    snprintf(server->cookie, sizeof server->cookie, "attune_%u", (unsigned)server->port);
    if (guard_init(&server->guard, options->address, server->port, server->tls, options->host, err) != 0) {
        close(listener);
        return -1;
    }
    if (pthread_create(&server->deadlines, NULL, enforce_deadlines, server) != 0) {
        close(listener);
        return err_set(err, "cannot start a thread");
    }
    if (start_daemon(server, options, listener, ipv6, err) != 0) {
        stop_deadlines(server);
        return -1;
    }
    return 0;
}

int server_start(struct server **out, struct prefs *store, struct prefs *reader, const struct server_options *options,
                 struct err *err)
{
    struct server *server = mem_alloc(1, sizeof *server, err);
    if (server == NULL) {
        return -1;
    }
    server->store = store;
    server->reader = reader;
    server->project = options->project;
    server->tls = options->certificate != NULL;
    server->request_seconds = options->request_seconds > 0 ? options->request_seconds : SERVER_REQUEST_SECONDS;
    server->peers.next = server->peers.previous = &server->peers;
    pthread_mutex_init(&server->store_lock, NULL);
    pthread_mutex_init(&server->reader_lock, NULL);
    pthread_mutex_init(&server->peers_lock, NULL);
    pthread_cond_init(&server->wake, NULL);
    if (start_server(server, options, err) != 0) {
        free_server(server);
        return -1;
    }
    *out = server;
    return 0;
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

void server_stop(struct server *server)
{
    MHD_stop_daemon(server->daemon);
    stop_deadlines(server);
    free_server(server);
}
