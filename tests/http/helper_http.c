#include "http/helper_http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define READ_SECONDS 60

int http_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval patience = {READ_SECONDS, 0};
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (made < 0 || setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        connect(made, (struct sockaddr *)&address, sizeof address) != 0) {
        if (made >= 0) {
            close(made);
        }
        return -1;
    }
    return made;
}

bool http_send(int socket, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(socket, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

static size_t content_length(const char *headers)
{
    const char *line = strcasestr(headers, "\r\ncontent-length:");
    return line == NULL ? 0 : (size_t)strtoull(line + strlen("\r\ncontent-length:"), NULL, 10);
}

int http_receive(int socket, struct strbuf *headers, struct strbuf *body)
{
    struct strbuf all = {0};
    char piece[16384];
    ssize_t got;
    int status = 0;
    const char *end = NULL;
    while ((end = all.length == 0 ? NULL : strstr(all.data, "\r\n\r\n")) == NULL &&
           (got = recv(socket, piece, sizeof piece, 0)) > 0) {
        strbuf_append(&all, piece, (size_t)got);
    }
    if (end != NULL && sscanf(all.data, "HTTP/1.%*d %d", &status) == 1) {
        size_t start = (size_t)(end - all.data) + 4;
        if (headers != NULL) {
            strbuf_append(headers, all.data, start);
        }
        all.data[start - 2] = '\0';
        size_t wanted = start + content_length(all.data);
        while (all.length < wanted && (got = recv(socket, piece, sizeof piece, 0)) > 0) {
            strbuf_append(&all, piece, (size_t)got);
        }
        if (body != NULL) {
            strbuf_append(body, all.data + start, all.length - start);
        }
        status = all.length < wanted ? 0 : status;
    }
    strbuf_free(&all);
    return status;
}

int http_raw(uint16_t port, const char *request, struct strbuf *headers, struct strbuf *body)
{
    int socket = http_connect(port), status = 0;
    if (socket >= 0) {
        http_send(socket, request, strlen(request));
        status = http_receive(socket, headers, body);
        close(socket);
    }
    return status;
}

void http_close(struct http_client *client)
{
    if (client->socket >= 0) {
        close(client->socket);
    }
    client->socket = -1;
}

static int exchange(struct http_client *client, const struct strbuf *request, struct strbuf *headers,
                    struct strbuf *body)
{
    if (client->socket < 0) {
        client->socket = http_connect(client->port);
    }
    int status = client->socket >= 0 && http_send(client->socket, request->data, request->length)
                     ? http_receive(client->socket, headers, body)
                     : 0;
    if (status == 0 || strcasestr(strbuf_text(headers), "\r\nconnection: close") != NULL) {
        http_close(client);
    }
    return status;
}

int http_call(struct http_client *client, const char *path, const char *json, json_t **answer)
{
    struct strbuf request = {0}, headers = {0}, body = {0};
    strbuf_printf(
        &request,
        "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nOrigin: http://127.0.0.1:%u\r\nSec-Fetch-Site: same-origin\r\n",
        json == NULL ? "GET" : "POST", path, (unsigned)client->port, (unsigned)client->port);
    if (client->cookie[0] != '\0') {
        strbuf_printf(&request, "Cookie: %s\r\n", client->cookie);
    }
    if (json != NULL) {
        strbuf_printf(&request, "X-Attune: 1\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n",
                      strlen(json));
    }
    strbuf_printf(&request, "\r\n%s", json == NULL ? "" : json);
    int status = exchange(client, &request, &headers, &body);
    const char *cookie = strcasestr(strbuf_text(&headers), "\r\nset-cookie: ");
    if (cookie != NULL) {
        cookie += strlen("\r\nset-cookie: ");
        snprintf(client->cookie, sizeof client->cookie, "%.*s", (int)strcspn(cookie, ";"), cookie);
    }
    if (answer != NULL) {
        *answer = json_loads(strbuf_text(&body), 0, NULL);
    }
    strbuf_free(&request);
    strbuf_free(&headers);
    strbuf_free(&body);
    return status;
}

bool http_login(struct http_client *client, const char *token)
{
    char json[128];
    snprintf(json, sizeof json, "{\"token\":\"%s\"}", token);
    return http_call(client, "/api/login", json, NULL) == 200;
}
