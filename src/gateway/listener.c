#include "gateway/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_PASSED_DESCRIPTOR 3 /* sd_listen_fds(3) */

static size_t passed_count(void)
{
    uint64_t process, count;
    const char *pid = getenv("LISTEN_PID"), *descriptors = getenv("LISTEN_FDS");
    if (!slice_to_u64(slice_of_text(pid), &process) ||
        !slice_to_u64(slice_of_text(descriptors), &count) || process != (uint64_t)getpid())
        return 0;
    return (size_t)count;
}

static bool is_at(int descriptor, const struct address *address)
{
    struct address bound = {.size = sizeof bound.local};
    int listens = 0;
    socklen_t size = sizeof listens;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) || !listens)
        return false;
    return !getsockname(descriptor, &bound.any, &bound.size) && address_equal(&bound, address);
}

/* A copy of the passed descriptor, so that closing the listener and opening it again in a later
 * reload works. */
static int find_passed(const struct address *address)
{
    for (size_t i = 0; i < passed_count(); i++) {
        int passed = (int)(FIRST_PASSED_DESCRIPTOR + i);
        if (!is_at(passed, address))
            continue;
        int copy = fcntl(passed, F_DUPFD_CLOEXEC, 3);
        if (copy >= 0 && fcntl(copy, F_SETFL, fcntl(copy, F_GETFL) | O_NONBLOCK) == 0)
            return copy;
    }
    return -1;
}

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

enum status listener_open(const struct listen_address *at, struct listener **ret_listener)
{
    struct listener *listener = new_listener(at);
    if (!listener)
        return NO_MEMORY;
    listener->descriptor = find_passed(&at->address);
    listener->is_inherited = listener->descriptor >= 0;
    enum status e = OK;
    if (!listener->is_inherited)
        e = socket_listen(&at->address, LISTENER_BACKLOG, &listener->descriptor);
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
