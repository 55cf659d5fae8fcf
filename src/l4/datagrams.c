#include "l4/datagrams.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RECEIVE_BUFFER (4 * 1024 * 1024) /* of a listener, if the system lets us */

enum status datagrams_new(struct datagrams **ret_datagrams)
{
    struct datagrams *datagrams = calloc(1, sizeof *datagrams);
    if (!datagrams)
        return NO_MEMORY;
    datagrams->room = mmap(NULL, DATAGRAMS_MAX * DATAGRAM_ROOM, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (datagrams->room == MAP_FAILED) {
        free(datagrams);
        return NO_MEMORY;
    }
    for (unsigned i = 0; i < DATAGRAMS_MAX; i++) {
        datagrams->parts[i].iov_base = datagrams->room + i * DATAGRAM_ROOM;
        datagrams->heads[i].msg_hdr.msg_iov = &datagrams->parts[i];
        datagrams->heads[i].msg_hdr.msg_iovlen = 1;
    }
    *ret_datagrams = datagrams;
    return OK;
}

void datagrams_free(struct datagrams *datagrams)
{
    if (!datagrams)
        return;
    munmap(datagrams->room, DATAGRAMS_MAX * DATAGRAM_ROOM);
    free(datagrams);
}

static enum status status_of(int error)
{
    if (error == EAGAIN || error == EINTR)
        return OK;
    bool is_refused = error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH;
    return is_refused ? REFUSED : IO_ERROR;
}

static void clear_for_receiving(struct datagrams *datagrams, unsigned i)
{
    struct datagram *item = &datagrams->items[i];
    struct msghdr *head = &datagrams->heads[i].msg_hdr;
    datagrams->parts[i].iov_len = DATAGRAM_ROOM;
    head->msg_name = &item->peer;
    head->msg_namelen = sizeof item->peer;
    head->msg_control = item->local.control;
    head->msg_controllen = sizeof item->local.control;
}

/* The interface stays out of it: the answer takes the way that the routes say. But a link-local
 * address is none without its interface. */
static void forget_interface(struct msghdr *head)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(head);
    if (control && control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo *info = (struct in_pktinfo *)(void *)CMSG_DATA(control);
        info->ipi_ifindex = 0;
    } else if (control && control->cmsg_level == IPPROTO_IPV6 &&
               control->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo *info = (struct in6_pktinfo *)(void *)CMSG_DATA(control);
        if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
            info->ipi6_ifindex = 0;
    }
}

static void note_received(struct datagrams *datagrams, unsigned i)
{
    struct datagram *item = &datagrams->items[i];
    struct msghdr *head = &datagrams->heads[i].msg_hdr;
    datagrams->parts[i].iov_len = datagrams->heads[i].msg_len;
    item->peer_size = head->msg_namelen;
    item->local.size = (uint32_t)head->msg_controllen;
    forget_interface(head);
}

enum status datagrams_receive(struct datagrams *datagrams, int descriptor, unsigned most)
{
    unsigned first = datagrams->count, room = DATAGRAMS_MAX - first;
    if (most > room)
        most = room;
    for (unsigned i = first; i < first + most; i++)
        clear_for_receiving(datagrams, i);
    int count = recvmmsg(descriptor, datagrams->heads + first, most, MSG_DONTWAIT, NULL);
    if (count < 0)
        return status_of(errno);
    datagrams->count += (unsigned)count;
    for (unsigned i = first; i < datagrams->count; i++)
        note_received(datagrams, i);
    return OK;
}

static void aim(struct datagrams *datagrams, unsigned i)
{
    struct datagram *item = &datagrams->items[i];
    struct msghdr *head = &datagrams->heads[i].msg_hdr;
    head->msg_name = item->peer_size ? &item->peer : NULL;
    head->msg_namelen = item->peer_size;
    head->msg_control = item->local.size ? item->local.control : NULL;
    head->msg_controllen = item->local.size;
}

/* What comes first may fail by itself: the rest is tried without it. */
unsigned datagrams_send(struct datagrams *datagrams, int descriptor, unsigned first, unsigned count,
    enum status *ret_trouble)
{
    unsigned end = first + count, sent = 0;
    *ret_trouble = OK;
    for (unsigned i = first; i < end; i++)
        aim(datagrams, i);
    while (first < end) {
        int done = sendmmsg(
            descriptor, datagrams->heads + first, end - first, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done > 0) {
            sent += (unsigned)done;
            first += (unsigned)done;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN)
            break;
        *ret_trouble = status_of(errno);
        if (*ret_trouble == REFUSED)
            break;
        first++;
    }
    return sent;
}

/* --- sockets */

static int open_datagram(const struct address *address)
{
    return socket(address->any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static enum status no_socket(void)
{
    return errno == ENOMEM || errno == ENOBUFS ? NO_MEMORY : IO_ERROR;
}

/* [::] stands for IPv4 too, as with TCP. A socket for every address is told by control messages
 * where a datagram came to; the same send the answer from there. */
static void set_options(int descriptor, const struct address *address)
{
    int on = 1, off = 0, size = RECEIVE_BUFFER;
    bool is_v6 = address->any.sa_family == AF_INET6;
    bool is_any = is_v6 ? IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr)
                        : address->v4.sin_addr.s_addr == INADDR_ANY;
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (is_v6)
        setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, is_any ? &off : &on, sizeof on);
    if (is_any && is_v6)
        setsockopt(descriptor, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    else if (is_any)
        setsockopt(descriptor, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
}

enum status datagram_listen(const struct address *address, int *ret_descriptor)
{
    int descriptor = open_datagram(address);
    if (descriptor < 0)
        return no_socket();
    set_options(descriptor, address);
    if (bind(descriptor, &address->any, address->size) == 0) {
        *ret_descriptor = descriptor;
        return OK;
    }
    int error = errno;
    close(descriptor);
    errno = error;
    if (error == EADDRINUSE)
        return EXISTS;
    return error == EADDRNOTAVAIL ? UNREACHABLE : IO_ERROR;
}

enum status datagram_connect(const struct address *address, int *ret_descriptor)
{
    int descriptor = open_datagram(address);
    if (descriptor < 0)
        return no_socket();
    if (connect(descriptor, &address->any, address->size) == 0) {
        *ret_descriptor = descriptor;
        return OK;
    }
    close(descriptor);
    return UNREACHABLE;
}
