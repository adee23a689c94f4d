#include "http/internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
int listen_on(const struct http_options *options, uint16_t *port, bool *ipv6, struct err *err)
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
    *port = ntohs(*ipv6 ? ((struct sockaddr_in6 *)&address)->sin6_port : ((struct sockaddr_in *)&address)->sin_port);
    return listener;
}
