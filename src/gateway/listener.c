#include "gateway/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static struct listener *new_listener(const struct listen_address *at)
{
    struct listener *listener = calloc(1, sizeof *listener + at->text.size + 1);
    if (!listener)
        return NULL;
    listener->address = at->address;
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

enum status listener_open(struct inheritance *inheritance, const struct listen_address *at,
    struct listener **ret_listener)
{
    struct listener *listener = new_listener(at);
    if (!listener)
        return NO_MEMORY;
    struct inherited_socket given;
    enum status e = OK;
    if (inheritance_take(inheritance, SOCK_STREAM, &at->address, at->text, &given)) {
        listener->descriptor = given.descriptor;
        listener->is_inherited = given.is_managed;
    } else {
        e = socket_listen(&at->address, LISTENER_BACKLOG, &listener->descriptor);
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

void listener_close(struct listener *listener)
{
    if (!listener)
        return;
    close(listener->descriptor);
    bool is_path =
        listener->address.any.sa_family == AF_UNIX && listener->address.local.sun_path[0];
    if (is_path && !listener->is_inherited)
        unlink(listener->address.local.sun_path);
    free(listener);
}

struct slice listener_name(const struct listener *listener)
{
    return slice_of(listener->name, listener->name_size);
}
