#include "run/acceptor.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "run/loop_core.h"

/* A round: the rest stays in the queue, for the next round or for another worker. */
#define ACCEPTS_A_ROUND 64
#define PAUSE           (100 * MILLISECOND)

static enum status watch(struct acceptor *acceptor, int descriptor);

/* Most likely no descriptor is left, or no memory: to try again at once would only burn time, and
 * connections that end make room. */
static void pause_accepting(struct acceptor *acceptor)
{
    int descriptor = acceptor->io.descriptor;
    io_remove(&acceptor->io);
    acceptor->io.descriptor = -1 - descriptor; /* remembered; negative: not watched */
    tally_add(&loop_here->tally.accept_pauses, 1);
    timer_set(&acceptor->pause, loop_here->now + PAUSE);
}

static bool is_paused(const struct acceptor *acceptor)
{
    return acceptor->io.descriptor < 0;
}

static void go_on(struct timer *timer)
{
    struct acceptor *acceptor = list_entry(timer, struct acceptor, pause);
    int descriptor = -1 - acceptor->io.descriptor;
    if (watch(acceptor, descriptor)) {
        acceptor->io.descriptor = -1 - descriptor;
        timer_set(timer, loop_here->now + PAUSE);
    }
}

/* Accepts one and hands it on; false when there is none, or none can be had. */
static bool accept_one(struct acceptor *acceptor)
{
    struct address peer = {.size = sizeof peer - offsetof(struct address, any)};
    int descriptor =
        accept4(acceptor->io.descriptor, &peer.any, &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
        acceptor->accepted(acceptor->argument, descriptor, &peer);
        return true;
    }
    switch (errno) {
    case EAGAIN:
        return false;
    case ECONNABORTED: /* this connection is lost already; the next may be well */
    case EINTR:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
        return true;
    default:
        pause_accepting(acceptor);
        return false;
    }
}

void acceptor_hold(struct acceptor *acceptor)
{
    acceptor->is_busy = true;
}

void acceptor_let_go(struct acceptor *acceptor)
{
    acceptor->is_busy = false;
    if (acceptor->is_closed)
        acceptor_free(acceptor);
}

static void accept_some(struct acceptor *acceptor, int most)
{
    acceptor_hold(acceptor);
    for (int i = 0; i < most && !acceptor->is_closed; i++)
        if (!accept_one(acceptor))
            break;
    acceptor_let_go(acceptor);
}

static void arrived(void *argument, unsigned ready)
{
    (void)ready;
    accept_some(argument, ACCEPTS_A_ROUND);
}

static enum status watch(struct acceptor *acceptor, int descriptor)
{
    return io_watch(&acceptor->io, descriptor, IO_READ | IO_EXCLUSIVE, arrived, acceptor);
}

enum status acceptor_open(
    struct acceptor *acceptor, int descriptor, accept_callback *accepted, void *argument)
{
    *acceptor = (struct acceptor){.accepted = accepted, .argument = argument};
    timer_init(&acceptor->pause, go_on);
    return watch(acceptor, descriptor);
}

enum status acceptor_new(
    int descriptor, accept_callback *accepted, void *argument, struct acceptor **ret_acceptor)
{
    struct acceptor *acceptor = malloc(sizeof *acceptor);
    enum status e = acceptor ? acceptor_open(acceptor, descriptor, accepted, argument) : NO_MEMORY;
    if (e)
        free(acceptor);
    else
        *ret_acceptor = acceptor;
    return e;
}

void acceptor_free(struct acceptor *acceptor)
{
    if (!acceptor)
        return;
    timer_cancel(&acceptor->pause);
    io_remove(&acceptor->io);
    acceptor->is_closed = true;
    if (acceptor->is_busy)
        return;
    if (acceptor->closed)
        acceptor->closed(acceptor);
    free(acceptor);
}

void acceptor_drain(struct acceptor *acceptor)
{
    if (is_paused(acceptor)) {
        timer_cancel(&acceptor->pause);
        go_on(&acceptor->pause);
    }
    if (!is_paused(acceptor))
        accept_some(acceptor, INT32_MAX);
}
