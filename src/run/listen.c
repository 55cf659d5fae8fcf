#include <errno.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/socket.h"

/* A path can be taken over when it is a socket on which nobody answers. */
static bool is_abandoned(const struct address *address)
{
    struct stat s;
    const char *path = address->local.sun_path;
    if (path[0] == 0 || lstat(path, &s) != 0 || !S_ISSOCK(s.st_mode))
        return false;
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return false;
    bool is_refused =
        connect(descriptor, &address->any, address->size) != 0 && errno == ECONNREFUSED;
    close(descriptor);
    return is_refused;
}

static enum status bind_to(int descriptor, const struct address *address)
{
    if (bind(descriptor, &address->any, address->size) == 0)
        return OK;
    if (errno == EADDRINUSE && address->any.sa_family == AF_UNIX && is_abandoned(address) &&
        unlink(address->local.sun_path) == 0 && bind(descriptor, &address->any, address->size) == 0)
        return OK;
    if (errno == EADDRINUSE)
        return EXISTS;
    return errno == EADDRNOTAVAIL ? UNREACHABLE : IO_ERROR;
}

/* [::] stands for IPv4 too, whatever the system's default; any other IPv6 address for itself. */
static void set_options(int descriptor, const struct address *address)
{
    if (address->any.sa_family == AF_UNIX)
        return;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (address->any.sa_family == AF_INET6) {
        int only_v6 = !IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
        setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof only_v6);
    }
}

enum status socket_listen(const struct address *address, int backlog, int *ret_descriptor)
{
    int descriptor = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return errno == ENOMEM || errno == ENOBUFS ? NO_MEMORY : IO_ERROR;
    set_options(descriptor, address);
    enum status e = bind_to(descriptor, address);
    if (e == OK && listen(descriptor, backlog) != 0)
        e = errno == EADDRINUSE ? EXISTS : IO_ERROR;
    if (e)
        close(descriptor);
    else
        *ret_descriptor = descriptor;
    return e;
}
