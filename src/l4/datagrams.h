/* Datagrams by the dozen: a batch of them with room for each, received and sent by one system call.
 *
 * Room for the largest there is, of which the kernel only gives us what is used. */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/slice.h"
#include "base/status.h"
#include "run/address.h"

#define DATAGRAMS_MAX ((unsigned)64)
#define DATAGRAM_ROOM ((size_t)65536)

/* Where a datagram came to, so that what answers it comes from there (ip(7), IP_PKTINFO). */
struct datagram_local {
    uint32_t size; /* of `control` that is used; 0: not known */
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct datagram {
    struct sockaddr_in6 peer; /* or a sockaddr_in, by its family */
    socklen_t peer_size;      /* 0: that of the connected socket */
    struct datagram_local local;
};

struct datagrams {
    unsigned count;
    struct mmsghdr heads[DATAGRAMS_MAX];
    struct iovec parts[DATAGRAMS_MAX];
    struct datagram items[DATAGRAMS_MAX];
    char *room; /* owned */
};

enum status datagrams_new(struct datagrams **ret_datagrams);
void datagrams_free(struct datagrams *datagrams); /* NULL is fine */

/* Receives behind those that are there, without waiting, at most `most`. OK with what has come
 * counted, if anything; REFUSED when the peer of a connected socket has said that nobody is there;
 * IO_ERROR. */
enum status datagrams_receive(struct datagrams *datagrams, int descriptor, unsigned most);

/* Sends those from `first` on, `count` of them; returns how many were sent. Those that the kernel
 * does not take are left out. REFUSED as above, for the connected. */
unsigned datagrams_send(struct datagrams *datagrams, int descriptor, unsigned first, unsigned count,
    enum status *ret_trouble);

static inline struct slice datagrams_bytes(const struct datagrams *datagrams, unsigned i)
{
    return slice_of(datagrams->parts[i].iov_base, datagrams->parts[i].iov_len);
}

/* A bound socket for datagrams, which knows for each where it came to. EXISTS, UNREACHABLE,
 * IO_ERROR, NO_MEMORY. */
enum status datagram_listen(const struct address *address, int *ret_descriptor);

/* A socket for datagrams to and from one peer. */
enum status datagram_connect(const struct address *address, int *ret_descriptor);
