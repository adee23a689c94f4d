/*
 * HTTP over plain sockets, so that a test can also send what no well-behaved client would.
 */
#ifndef ATTUNE_TESTS_HTTP_HELPER_HTTP_H
#define ATTUNE_TESTS_HTTP_HELPER_HTTP_H

#include "base/strbuf.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* A connection to 127.0.0.1, or -1. Reads give up after 60 seconds. */
int http_connect(uint16_t port);
/* Sends all bytes; false where the other side closed. */
bool http_send(int socket, const char *bytes, size_t length);
/*
 * Reads one answer: its status, 0 where the connection was closed without one. The body is appended to `body` and the
 * headers to `headers` (both may be NULL).
 */
int http_receive(int socket, struct strbuf *headers, struct strbuf *body);
/* One request on a connection of its own, written out whole; returns the status. */
int http_raw(uint16_t port, const char *request, struct strbuf *headers, struct strbuf *body);

/* A client that keeps its connection and its cookie. */
struct http_client {
    uint16_t port;
    int socket; /* -1: none */
    char cookie[128];
};
/* Sends JSON as the page does (`json` NULL: GET). *answer, if wanted, is the parsed body; 0: no answer came. */
int http_call(struct http_client *client, const char *path, const char *json, json_t **answer);
bool http_login(struct http_client *client, const char *token);
void http_close(struct http_client *client);

#endif
