#include "service/check_question.h"

#include <errno.h>
#include <unistd.h>

#include "run/descriptor.h"

/* The refusal, an ICMP message, comes as the error of a socket's next call. */
static enum status look(int descriptor)
{
    char byte;
    if (recv(descriptor, &byte, 1, MSG_DONTWAIT | MSG_TRUNC) >= 0 || errno != ECONNREFUSED)
        return OK;
    return UPSTREAM_REFUSED;
}

static enum status ask_on(int descriptor, const struct question *q)
{
    const struct address *address = &q->address;
    if (connect(descriptor, &address->any, address->size) != 0)
        return UPSTREAM_UNREACHABLE;
    if (send(descriptor, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return errno == ECONNREFUSED ? UPSTREAM_REFUSED : UPSTREAM_UNREACHABLE;
    enum status e = descriptor_wait_readable(descriptor, q->deadline);
    if (e == TIMEOUT)
        return OK; /* whoever does not know what to answer is there */
    return e ? e : look(descriptor);
}

enum status check_ask_udp(const struct question *q)
{
    int family = q->address.any.sa_family;
    int descriptor = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return OVERLOADED;
    enum status e = ask_on(descriptor, q);
    close(descriptor);
    return e;
}
