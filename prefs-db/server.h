/*
 * prefs-db/server.h - the labelling page over HTTP.
 *
 * The page is hostile ground on both sides. Model answers may be anything: they travel as JSON strings only and the
 * page shows them as text. Other pages in the labeler's browser reach loopback too: so every request must name an
 * allowed Host, nothing changes on GET, and every change needs Content-Type application/json, the header X-Attune, and
 * an Origin and Sec-Fetch-Site of this server where the browser sends them. The session is a cookie (HttpOnly,
 * SameSite=Strict) that holds the annotator's token.
 *
 * Limits: SERVER_BODY_MAX bytes a body, its length announced; every request complete within SERVER_REQUEST_SECONDS of
 * the connection's start or of its last answer; SERVER_CONNECTIONS in all, SERVER_CONNECTIONS_IP from one address.
 *
 *     GET  / overview and the files they load           POST /api/login {"token"}     sets the cookie
 *     GET  /api/state     who, progress, rules          POST /api/logout {}
 *     GET  /api/overview  the report, admins only       POST /api/next {}             {"task":{..}} or {"task":null}
 *                                                       POST /api/judgment {..}       {"judgment":id}, and "task"
 *                                                       where the body says "next": true
 *                                                       POST /api/undo {"nonce"}      {"undone":true|false}
 * An error is {"error":"a sentence"}: 4xx stays wrong, 503 may be sent again (same nonce).
 */
#ifndef ATTUNE_PREFS_DB_SERVER_H
#define ATTUNE_PREFS_DB_SERVER_H

#include "prefs-db/store.h"

#define SERVER_BODY_MAX         ((size_t)256 << 10)
#define SERVER_REQUEST_SECONDS  30
#define SERVER_IDLE_SECONDS     20
#define SERVER_CONNECTIONS      256
#define SERVER_CONNECTIONS_IP   64
#define SERVER_OVERVIEW_SECONDS 10 /* a report is kept this long */

struct server_options {
    const char *address; /* an IP address in numbers */
    uint16_t port;       /* 0: any free one */
    const char *host;    /* a further allowed Host, e.g. "labels.example.org"; NULL: only the address and localhost */
    const char *certificate; /* PEM texts; NULL: plain HTTP */
    const char *key;
    int64_t project;
    int request_seconds; /* 0: SERVER_REQUEST_SECONDS; tests take less */
};

struct server;
/*
 * Serves in threads of its own until server_stop(). `store` (for writing) and `reader` (a second store of the same
 * file, for reports) are borrowed and may not be used by others meanwhile. The caller ignores SIGPIPE.
 */
int server_start(struct server **out, struct prefs *store, struct prefs *reader, const struct server_options *options,
                 struct err *err);
uint16_t server_port(const struct server *server);
void server_stop(struct server *server);

#endif
