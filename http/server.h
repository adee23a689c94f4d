/*
 * http/server.h - serving a program's pages and its JSON interface to the browsers of the people who use it.
 *
 * Browsers are hostile ground: other pages in them reach loopback too. So every request must name an allowed Host,
 * nothing changes on GET, and calls of the JSON interface need an Origin and Sec-Fetch-Site of this server where the
 * browser sends them; a call that changes something (POST) also needs Content-Type application/json, the header
 * X-Attune: 1 and an announced length. Answers carry a Content-Security-Policy that lets a page load its own files
 * alone. The session is one cookie (HttpOnly, SameSite=Strict).
 *
 * Limits: HTTP_BODY_MAX bytes a body; every request complete within HTTP_REQUEST_SECONDS of the connection's start or
 * of its last answer; HTTP_CONNECTIONS in all, HTTP_CONNECTIONS_IP from one address.
 *
 * What is refused here is answered with {"error":"a sentence"} and a status from 400 on; the site never sees it.
 */
#ifndef ATTUNE_HTTP_SERVER_H
#define ATTUNE_HTTP_SERVER_H

#include "base/strbuf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_BODY_MAX        ((size_t)256 << 10)
#define HTTP_REQUEST_SECONDS 30
#define HTTP_IDLE_SECONDS    20
#define HTTP_CONNECTIONS     256
#define HTTP_CONNECTIONS_IP  64

#define HTTP_JSON "application/json; charset=utf-8"

struct http_request {
    bool post;        /* else GET, or HEAD, whose answer is sent without its body */
    const char *path; /* as it came: escapes are not resolved, what follows '?' is cut off */
    const char *body; /* zero-terminated */
    size_t body_length;
    const char *cookie; /* the session's; NULL: none came */
};

/* What a site fills in; zeros at first. */
struct http_answer {
    unsigned status;
    const char *type;     /* Content-Type */
    const char *constant; /* a body of `constant_size` bytes that outlives the server; NULL: `body` */
    size_t constant_size;
    struct strbuf body;   /* freed by the server */
    struct strbuf cookie; /* where it sets the session's cookie: its value, freed by the server */
    int cookie_seconds;   /* how long the browser keeps it */
    bool sets_cookie;
};

enum http_resource {
    HTTP_NOTHING, /* 404 */
    HTTP_FILE,    /* only read; for all who name an allowed Host */
    HTTP_CALL,    /* of the JSON interface */
};

/* Both are called from many threads at once. */
struct http_site {
    void *context;
    enum http_resource (*find)(void *context, const char *path);
    void (*answer)(void *context, const struct http_request *request, struct http_answer *answer);
    const char *host_help; /* how to allow a further Host: the end of the sentence that refuses one; NULL: none */
};

struct http_options {
    const char *address;     /* an IP address in numbers */
    uint16_t port;           /* 0: any free one */
    const char *host;        /* a further allowed Host, e.g. "labels.example.org"; NULL: the address and localhost */
    const char *certificate; /* PEM texts; NULL: plain HTTP */
    const char *key;
    int request_seconds; /* 0: HTTP_REQUEST_SECONDS; tests take less */
};

struct http_server;
/* Serves in threads of its own until http_stop(). The strings of both arguments are borrowed; the caller ignores
 * SIGPIPE. */
int http_start(struct http_server **out, const struct http_site *site, const struct http_options *options,
               struct err *err);
uint16_t http_port(const struct http_server *server);
void http_stop(struct http_server *server);

/* Puts {"error":"<sentence>"} in the place of what `out` held, and returns `status`. */
unsigned http_error(struct strbuf *out, unsigned status, const char *sentence);

#endif
