#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/socket.h"

#define LIFE_SILENCE  120 /* seconds, until a peer is asked for a sign of life */
#define LIFE_INTERVAL 15  /* and until it is asked again */
#define LIFE_TIMES    4   /* so often, and the connection is over */

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

/* Streams may be silent for ever, so a peer that is gone without a word must be found by other
 * means: the kernel asks it for a sign of life. Accepted connections inherit all this. */
static void look_for_life(int descriptor)
{
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &(int){LIFE_SILENCE}, sizeof(int));
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &(int){LIFE_INTERVAL}, sizeof(int));
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &(int){LIFE_TIMES}, sizeof(int));
}

/* [::] stands for IPv4 too, whatever the system's default; any other IPv6 address for itself. */
static void set_options(int descriptor, const struct address *address)
{
    if (address->any.sa_family == AF_UNIX)
        return;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    look_for_life(descriptor);
    if (address->any.sa_family == AF_INET6) {
        int only_v6 = !IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
        setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof only_v6);
    }
}

static void set_shared(int descriptor, int is_shared)
{
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &is_shared, sizeof is_shared);
}

enum reach { REACH_USUAL, REACH_SHARED, REACH_PRIVATE };

static enum status open_at(
    const struct address *address, int backlog, enum reach reach, int *ret_descriptor)
{
    int descriptor = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return errno == ENOMEM || errno == ENOBUFS ? NO_MEMORY : IO_ERROR;
    set_options(descriptor, address);
    set_shared(descriptor, reach == REACH_SHARED);
    enum status e = OK;
    if (reach == REACH_PRIVATE && fchmod(descriptor, 0600)) /* the path will have this mode */
        e = IO_ERROR;
    if (e == OK)
        e = bind_to(descriptor, address);
    if (e == OK && listen(descriptor, backlog) != 0)
        e = errno == EADDRINUSE ? EXISTS : IO_ERROR;
    if (e)
        close(descriptor);
    else
        *ret_descriptor = descriptor;
    return e;
}

enum status socket_listen(const struct address *address, int backlog, int *ret_descriptor)
{
    return open_at(address, backlog, REACH_USUAL, ret_descriptor);
}

enum status socket_listen_private(const struct address *address, int backlog, int *ret_descriptor)
{
    return open_at(address, backlog, REACH_PRIVATE, ret_descriptor);
}

/* Sharing is asked for only while the address is taken: else another process of this user could
 * take its place here unnoticed. */
enum status socket_listen_beside(const struct address *address, int backlog, const int *others,
    size_t count, int *ret_descriptor)
{
    int descriptor;
    for (size_t i = 0; i < count; i++)
        set_shared(others[i], true);
    enum status e = open_at(address, backlog, REACH_SHARED, &descriptor);
    int error = errno;
    for (size_t i = 0; i < count; i++)
        set_shared(others[i], false);
    errno = error;
    if (e)
        return e;
    set_shared(descriptor, false);
    *ret_descriptor = descriptor;
    return OK;
}

enum status socket_stop_listening(int descriptor)
{
    enum { FLAGS = 13, SYN = 0x02, ACK = 0x10 }; /* of a TCP header (RFC 9293 §3.1) */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN | ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    int failed = setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    return failed ? IO_ERROR : OK;
}
