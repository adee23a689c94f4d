/*
 * prefs-db/guard.h - which requests may pass: Host, Origin, Sec-Fetch-Site, the custom header, the announced length.
 *
 * Loopback is no wall against a browser: any page may send requests here (CSRF), and with a DNS name of its own that it
 * points to 127.0.0.1 even read the answers (DNS rebinding). The exact Host list stops the second, the rest the first.
 */
#ifndef ATTUNE_PREFS_DB_GUARD_H
#define ATTUNE_PREFS_DB_GUARD_H

#include "base/err.h"
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#define GUARD_HOSTS_MAX  8
#define GUARD_HOST_CHARS 256

struct guard {
    char hosts[GUARD_HOSTS_MAX][GUARD_HOST_CHARS];
    size_t count;
};
/* Allows address:port, localhost:port, 127.0.0.1:port and [::1]:port, without the port where it is the scheme's, and
 * `extra`. */
int guard_init(struct guard *guard, const char *address, uint16_t port, bool tls, const char *extra, struct err *err);

struct guard_answer {
    unsigned status; /* 0: may pass */
    const char *sentence;
};
/* For every request. */
struct guard_answer guard_host(const struct guard *guard, struct MHD_Connection *connection);
/* Further for the JSON interface; `changes` for POST, whose body must announce its length of at most `body_max` bytes.
 */
struct guard_answer guard_api(struct MHD_Connection *connection, bool changes, size_t body_max);

#endif
