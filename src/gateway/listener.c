#include "gateway/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "l4/datagrams.h"

static struct listener *new_listener(const struct listen_address *at)
{
    struct listener *listener = calloc(1, sizeof *listener + at->text.size + 1);
    if (!listener)
        return NULL;
    listener->address = at->address;
    listener->is_tls = at->is_tls;
    listener->kind = at->kind;
    listener->name_size = at->text.size;
    memcpy(listener->name, at->text.data, at->text.size);
    return listener;
}

enum status listener_rename(
    const struct listener *old, const struct listen_address *at, struct listener **ret_listener)
{
    struct listener *listener = new_listener(at);
    if (!listener)
        return NO_MEMORY;
    listener->is_inherited = true;
    listener->descriptor = fcntl(old->descriptor, F_DUPFD_CLOEXEC, 3);
    if (listener->descriptor < 0) {
        free(listener);
        return IO_ERROR;
    }
    *ret_listener = listener;
    return OK;
}

static int socket_type(enum listen_kind kind)
{
    return kind == LISTEN_UDP ? SOCK_DGRAM : SOCK_STREAM;
}

enum status listener_open(struct inheritance *inheritance, const struct listen_address *at,
    struct listener **ret_listener)
{
    struct listener *listener = new_listener(at);
    if (!listener)
        return NO_MEMORY;
    struct inherited_socket given;
    enum status e = OK;
    if (inheritance_take(inheritance, socket_type(at->kind), &at->address, at->text, &given)) {
        listener->descriptor = given.descriptor;
        listener->is_inherited = given.is_managed;
        listener->lender = given.is_managed ? NULL : inheritance;
    } else if (at->kind == LISTEN_UDP) {
        e = datagram_listen(&at->address, &listener->descriptor);
    } else {
        e = (at->is_private ? socket_listen_private : socket_listen)(
            &at->address, LISTENER_BACKLOG, &listener->descriptor);
    }
    if (e) {
        int error = errno;
        free(listener);
        errno = error;
        return e;
    }
    *ret_listener = listener;
    return OK;
}

/* The port that it has, which the kernel picked when 0 was asked for. 0 when it is no TCP, or is
 * somebody else's and will go on listening when it is closed here. */
static uint16_t own_port(const struct listener *listener)
{
    struct address bound = {.size = sizeof bound.local};
    bool is_own = listener->address.any.sa_family != AF_UNIX && listener->kind != LISTEN_UDP &&
                  !listener->is_inherited;
    if (!is_own || getsockname(listener->descriptor, &bound.any, &bound.size))
        return 0;
    return address_port(&bound);
}

static bool is_at_port(const struct listener *listener, uint16_t port)
{
    return port && own_port(listener) == port;
}

#define BESIDE_MAX 64

enum status listener_open_beside(const struct listen_address *at, struct listener *const *leaving,
    struct listener **ret_listener)
{
    int others[BESIDE_MAX];
    size_t count = 0;
    bool has_none = at->address.any.sa_family == AF_UNIX || at->kind == LISTEN_UDP;
    uint16_t port = has_none ? 0 : address_port(&at->address);
    for (struct listener *const *l = leaving; *l && count < BESIDE_MAX; l++)
        if (is_at_port(*l, port))
            others[count++] = (*l)->descriptor;
    if (count == 0)
        return EXISTS;
    struct listener *listener = new_listener(at);
    if (!listener)
        return NO_MEMORY;
    enum status e =
        socket_listen_beside(&at->address, LISTENER_BACKLOG, others, count, &listener->descriptor);
    if (e) {
        free(listener);
        return e;
    }
    for (struct listener *const *l = leaving; *l; l++)
        (*l)->is_succeeded |= is_at_port(*l, port);
    *ret_listener = listener;
    return OK;
}

void listener_retire(struct listener *listener)
{
    if (listener->is_succeeded)
        (void)socket_stop_listening(listener->descriptor); /* then one or two may be lost */
}

void listener_close(struct listener *listener)
{
    if (!listener)
        return;
    close(listener->descriptor);
    bool is_path =
        listener->address.any.sa_family == AF_UNIX && listener->address.local.sun_path[0];
    bool is_lent = listener->lender && !inheritance_is_settled(listener->lender);
    if (is_path && !listener->is_inherited && !is_lent)
        unlink(listener->address.local.sun_path);
    free(listener);
}

struct slice listener_name(const struct listener *listener)
{
    return slice_of(listener->name, listener->name_size);
}

enum status listener_bound(const struct listener *listener, struct address *ret_address)
{
    struct address bound = {.size = sizeof bound.local};
    if (getsockname(listener->descriptor, &bound.any, &bound.size))
        return UNREACHABLE;
    *ret_address = bound;
    return OK;
}

enum status listener_offer(const struct listener *listener, struct inheritance *offer)
{
    struct address bound;
    enum status e = listener_bound(listener, &bound);
    if (e || inheritance_find(offer, socket_type(listener->kind), &bound))
        return e;
    int copy = fcntl(listener->descriptor, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return IO_ERROR;
    return inheritance_add(offer, listener_name(listener), listener->is_inherited, copy);
}

bool listener_is_taken(const struct listener *listener, const struct inheritance *offer)
{
    struct address bound;
    if (listener_bound(listener, &bound))
        return false;
    const struct inherited *item = inheritance_find(offer, socket_type(listener->kind), &bound);
    return item && item->is_taken;
}

bool listener_is_for(const struct listener *listener, const struct listen_address *at)
{
    return listener->kind == at->kind && listener->is_tls == at->is_tls &&
           slice_equal(listener_name(listener), at->text);
}
