#include "gateway/door.h"

#include <stdlib.h>

#include "base/hash.h"
#include "run/loop.h"
#include "run/sharing.h"

struct door {
    struct list node;
    struct worker *worker;
    struct listener *listener;
    const struct entrance *entrance; /* the listener's; it outlives the door */
    struct acceptor *acceptor;       /* NULL: for datagrams */
    struct udp_gate *gate;           /* for datagrams; else NULL */
    const struct tcp_rules *tcp;     /* for TCP: what connections are held to */
    const struct udp_rules *udp;     /* the same for UDP */
    struct snapshot *pinned;         /* what the rules are part of */
};

/* --- who serves */

static void accepted_http(void *argument, int descriptor, const struct address *peer)
{
    struct door *door = argument;
    server_accept(&door->worker->server, descriptor, peer, door->entrance);
}

static void accepted_tcp(void *argument, int descriptor, const struct address *peer)
{
    const struct door *door = argument;
    struct worker *worker = door->worker;
    snapshot_pin(door->pinned, worker->index);
    if (!tcp_accept(&worker->tcp, descriptor, peer, door->tcp, door->pinned))
        snapshot_unpin(door->pinned, worker->index);
}

static void finish_tcp(struct tcp_server *server, const struct l4_facts *facts)
{
    const struct worker *worker = list_entry(server, struct worker, tcp);
    access_log_add_l4(worker->log, worker->index, facts, loop_wall());
}

static void let_go_tcp(struct tcp_server *server, void *pinned)
{
    snapshot_unpin(pinned, list_entry(server, struct worker, tcp)->index);
}

static void closed_tcp(struct tcp_server *server)
{
    worker_connection_closed(list_entry(server, struct worker, tcp));
}

static const struct tcp_ops tcp_ops = {
    .finish = finish_tcp, .let_go = let_go_tcp, .closed = closed_tcp};

static void hold_udp(struct udp_server *server, void *pinned)
{
    snapshot_pin(pinned, list_entry(server, struct worker, udp)->index);
}

static void finish_udp(struct udp_server *server, const struct l4_facts *facts)
{
    const struct worker *worker = list_entry(server, struct worker, udp);
    access_log_add_l4(worker->log, worker->index, facts, loop_wall());
}

static void let_go_udp(struct udp_server *server, void *pinned)
{
    snapshot_unpin(pinned, list_entry(server, struct worker, udp)->index);
}

static const struct udp_ops udp_ops = {
    .hold = hold_udp, .finish = finish_udp, .let_go = let_go_udp};

void doors_init(struct worker *worker)
{
    list_init(&worker->doors);
    tcp_server_init(&worker->tcp, &tcp_ops, worker->index, worker->metrics, worker->shard);
    udp_server_init(&worker->udp, &udp_ops, worker->index, worker->metrics, worker->shard);
}

void doors_release(struct worker *worker)
{
    tcp_server_release(&worker->tcp);
    udp_server_release(&worker->udp);
}

/* --- rules */

static void pin(struct door *door, struct snapshot *snapshot)
{
    unsigned worker = door->worker->index;
    if (snapshot)
        snapshot_pin(snapshot, worker);
    if (door->pinned)
        snapshot_unpin(door->pinned, worker);
    door->pinned = snapshot;
}

/* The rules of the current snapshot. A listener that this has no more keeps those that it had, for
 * who connected to it before it is shut. */
static enum status renew(struct door *door)
{
    struct snapshot *snapshot = door->worker->snapshot;
    struct slice name = door->entrance->name;
    const struct tcp_rules *tcp = NULL;
    const struct udp_rules *udp = NULL;
    if (door->entrance->kind == LISTEN_HTTP)
        return OK;
    if (door->entrance->kind == LISTEN_TCP)
        tcp = l4_rules_of_tcp(&snapshot->l4, name);
    else
        udp = l4_rules_of_udp(&snapshot->l4, name);
    if (!tcp && !udp)
        return door->pinned ? OK : NOT_FOUND;
    door->tcp = tcp;
    door->udp = udp;
    if (door->gate)
        udp_use(door->gate, udp, snapshot);
    pin(door, snapshot);
    return OK;
}

void doors_renew(struct worker *worker)
{
    list_each (node, &worker->doors)
        (void)renew(list_entry(node, struct door, node));
}

/* --- opening and shutting */

static bool is_for(const struct worker *worker, const struct listener *listener)
{
    if (listener->kind != LISTEN_UDP)
        return true;
    return hash_bytes(listener_name(listener)) % worker->count == worker->index;
}

static enum status watch(struct door *door)
{
    struct worker *worker = door->worker;
    int descriptor = door->listener->descriptor;
    switch (door->entrance->kind) {
    case LISTEN_TCP:
        return acceptor_new_shared(descriptor, worker->member, accepted_tcp, door, &door->acceptor);
    case LISTEN_UDP:
        return udp_open(&worker->udp, descriptor, door->udp, door->pinned, &door->gate);
    case LISTEN_HTTP:
    default:
        return acceptor_new_shared(
            descriptor, worker->member, accepted_http, door, &door->acceptor);
    }
}

enum status door_open(struct worker *worker, struct listener *listener)
{
    struct door *door = is_for(worker, listener) ? calloc(1, sizeof *door) : NULL;
    if (!door)
        return is_for(worker, listener) ? NO_MEMORY : OK;
    door->worker = worker;
    door->listener = listener;
    door->entrance = entrance_keep(&worker->entrances, listener);
    enum status e = door->entrance ? renew(door) : NO_MEMORY;
    if (!e)
        e = watch(door);
    if (e) {
        pin(door, NULL);
        free(door);
        return e;
    }
    list_push_back(&worker->doors, &door->node);
    return OK;
}

static void shut(struct door *door, bool drains)
{
    if (drains && door->acceptor)
        acceptor_drain(door->acceptor);
    acceptor_free(door->acceptor);
    if (door->gate)
        udp_shut(door->gate);
    if (door->entrance->kind == LISTEN_HTTP)
        server_leave(&door->worker->server, door->entrance);
    pin(door, NULL);
    list_remove(&door->node);
    free(door);
}

void doors_shut(struct worker *worker, const struct listener *listener, bool drains)
{
    list_each (node, &worker->doors) {
        struct door *door = list_entry(node, struct door, node);
        if (door->listener == listener)
            shut(door, drains);
    }
}
