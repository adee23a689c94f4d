#include "http/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct guard_answer pass = {0, NULL};

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static int allow(struct guard *guard, struct err *err, const char *name, unsigned port, bool with_port)
{
    if (guard->count == GUARD_HOSTS_MAX) {
        return err_set(err, "too many host names");
    }
    char *host = guard->hosts[guard->count];
    int length = with_port ? snprintf(host, GUARD_HOST_CHARS, "%s:%u", name, port)
                           : snprintf(host, GUARD_HOST_CHARS, "%s", name);
    if (length < 0 || length >= GUARD_HOST_CHARS) {
        return err_set(err, "the host name '%.40s...' is longer than %d characters", name, GUARD_HOST_CHARS - 1);
    }
    guard->count++;
    return 0;
}

int guard_init(struct guard *guard, const struct http_options *options, uint16_t port, const char *host_help,
               struct err *err)
{
    const char *address = options->address;
    bool plain = port == (options->certificate != NULL ? 443 : 80); /* then browsers leave it out */
    char bracketed[80];
    snprintf(bracketed, sizeof bracketed, strchr(address, ':') != NULL ? "[%s]" : "%s", address);
    guard->count = 0;
    if (allow(guard, err, bracketed, port, !plain) != 0 || allow(guard, err, "localhost", port, !plain) != 0 ||
        allow(guard, err, "127.0.0.1", port, !plain) != 0 || allow(guard, err, "[::1]", port, !plain) != 0) {
        return -1;
    }
    snprintf(guard->unknown_host, sizeof guard->unknown_host, "this Host is not served here%s%s",
             host_help != NULL ? "; " : "", host_help != NULL ? host_help : "");
    return options->host == NULL ? 0 : allow(guard, err, options->host, port, false);
}

struct host_count {
    int count;
    const char *value;
};

static enum MHD_Result count_host(void *context, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct host_count *hosts = context;
    (void)kind;
    if (strcasecmp(key, "Host") == 0) {
        hosts->count++;
        hosts->value = value;
    }
    return MHD_YES;
}

struct guard_answer guard_host(const struct guard *guard, struct MHD_Connection *connection)
{
    struct host_count hosts = {0};
    MHD_get_connection_values(connection, MHD_HEADER_KIND, count_host, &hosts);
    if (hosts.count != 1 || hosts.value == NULL) {
        return (struct guard_answer){400, "a request names one Host"};
    }
    for (size_t i = 0; i < guard->count; i++) {
        if (strcasecmp(hosts.value, guard->hosts[i]) == 0) {
            return pass;
        }
    }
    return (struct guard_answer){421, guard->unknown_host};
}

/* "http://" or "https://" and the request's own Host: a TLS proxy in front makes the one into the other. */
static bool same_origin(struct MHD_Connection *connection, const char *origin)
{
    const char *host = header(connection, "Host");
    const char *rest = strncmp(origin, "http://", 7) == 0    ? origin + 7
                       : strncmp(origin, "https://", 8) == 0 ? origin + 8
                                                             : NULL;
    return host != NULL && rest != NULL && strcasecmp(rest, host) == 0;
}

static struct guard_answer check_change(struct MHD_Connection *connection)
{
    const char *type = header(connection, "Content-Type"), *length = header(connection, "Content-Length");
    const char *custom = header(connection, "X-Attune");
    if (custom == NULL || strcmp(custom, "1") != 0) {
        return (struct guard_answer){403, "a change needs the header X-Attune: 1"};
    }
    if (type == NULL ||
        (strcasecmp(type, "application/json") != 0 && strcasecmp(type, "application/json; charset=utf-8") != 0)) {
        return (struct guard_answer){415, "a change needs Content-Type: application/json"};
    }
    if (length == NULL || header(connection, "Transfer-Encoding") != NULL) {
        return (struct guard_answer){411, "a change must announce its Content-Length"};
    }
    char *end = NULL;
    unsigned long long bytes = strtoull(length, &end, 10);
    if (length[0] < '0' || length[0] > '9' || *end != '\0' || bytes > HTTP_BODY_MAX) {
        return (struct guard_answer){413, "the request is too large"};
    }
    return pass;
}

struct guard_answer guard_call(struct MHD_Connection *connection, bool changes)
{
    const char *origin = header(connection, "Origin"), *site = header(connection, "Sec-Fetch-Site");
    if (origin != NULL && !same_origin(connection, origin)) {
        return (struct guard_answer){403, "requests from other pages are refused"};
    }
    if (site != NULL && strcmp(site, "same-origin") != 0) {
        return (struct guard_answer){403, "requests from other sites are refused"};
    }
    return changes ? check_change(connection) : pass;
}
