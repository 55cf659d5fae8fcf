#include "l4/udp.h"

#include <stdlib.h>

#include "base/must.h"
#include "l4/quic_id.h"
#include "l4/udp_session.h"
#include "run/loop.h"
#include "run/scope.h"

#define ANSWERS_AT_ONCE 16 /* of one session, so that one that is busy lets others have a turn */

/* --- the server */

void udp_server_init(struct udp_server *server, const struct udp_ops *ops, unsigned worker,
    struct metrics *metrics, struct metrics_shard *shard)
{
    *server = (struct udp_server){.ops = ops, .worker = worker, .metrics = metrics, .shard = shard};
}

void udp_server_release(struct udp_server *server)
{
    datagrams_free(server->in);
    datagrams_free(server->out);
    server->in = server->out = NULL;
}

static void count(const struct udp_server *server, uint32_t series, uint64_t n)
{
    if (server->shard && n)
        metric_add(server->shard, series, n);
}

/* --- answers */

static void send_answers(struct udp_server *server)
{
    struct udp_gate *gate = server->out_gate;
    unsigned all = server->out->count;
    enum status ignored;
    if (!gate || all == 0)
        return;
    unsigned sent = datagrams_send(server->out, gate->io.descriptor, 0, all, &ignored);
    count(server, gate->rules->dropped_series, all - sent);
    server->out->count = 0;
}

/* The fiber that sends what has been gathered when all events of a round were dealt with. */
static void run_sender(void *argument)
{
    struct udp_server *server = argument;
    server->sender = fiber_current();
    while (fiber_wait(NEVER) == OK)
        send_answers(server);
    server->sender = NULL;
}

static bool is_whole(const struct udp_session *session)
{
    uint64_t replies = (uint64_t)session->rules->options->replies;
    const struct l4_facts *facts = &session->facts;
    return replies && facts->sent_datagrams >= replies * facts->received_datagrams;
}

/* Those from `first` on are the session's. */
static void address_answers(struct udp_session *session, unsigned first)
{
    struct udp_server *server = session->gate->server;
    struct datagrams *out = server->out;
    const struct l4_target *target = session->rules->to;
    uint64_t bytes = 0;
    struct quic_ids ids;
    for (unsigned i = first; i < out->count; i++) {
        out->items[i] = session->client;
        bytes += datagrams_bytes(out, i).size;
        if (session->rules->options->quic && quic_ids_read(datagrams_bytes(out, i), &ids) &&
            ids.is_long)
            udp_session_learn(session, ids.from);
    }
    session->facts.sent += bytes;
    session->facts.sent_datagrams += out->count - first;
    count(server, target->sent, bytes);
    count(server, target->sent_datagrams, out->count - first);
}

void udp_answered(void *argument, unsigned ready)
{
    struct udp_session *session = argument;
    struct udp_server *server = session->gate->server;
    struct datagrams *out = server->out;
    (void)ready;
    if (server->out_gate != session->gate || out->count == DATAGRAMS_MAX)
        send_answers(server);
    server->out_gate = session->gate;
    unsigned first = out->count;
    enum status e = datagrams_receive(out, session->io.descriptor, ANSWERS_AT_ONCE);
    if (e) {
        (void)udp_session_move(session);
        return;
    }
    if (out->count == first)
        return;
    address_answers(session, first);
    udp_session_touch(session);
    if (!session->has_reply)
        dial_good(&session->dial);
    session->has_reply = true;
    if (server->sender)
        fiber_wake(server->sender);
    else
        send_answers(server);
    if (is_whole(session))
        udp_session_end(session, OK);
}

/* --- what clients send */

/* Those of one session that came one after another. */
static void forward(
    struct udp_gate *gate, struct udp_session *session, unsigned first, unsigned end)
{
    struct udp_server *server = gate->server;
    struct datagrams *in = server->in;
    const struct udp_rules *rules = session->rules;
    uint64_t bytes = 0;
    enum status e;
    for (unsigned i = first; i < end; i++) {
        bytes += datagrams_bytes(in, i).size;
        in->items[i].peer_size = 0;
        in->items[i].local.size = 0;
    }
    session->facts.received += bytes;
    session->facts.received_datagrams += end - first;
    count(server, rules->to->received, bytes);
    count(server, rules->to->received_datagrams, end - first);
    udp_session_touch(session);
    unsigned sent = datagrams_send(in, session->io.descriptor, first, end - first, &e);
    while (e == REFUSED && udp_session_move(session))
        sent += datagrams_send(in, session->io.descriptor, first + sent, end - first - sent, &e);
    count(server, gate->rules->dropped_series, end - first - sent);
}

static void arrived(void *argument, unsigned ready)
{
    struct udp_gate *gate = argument;
    struct datagrams *in = gate->server->in;
    (void)ready;
    in->count = 0;
    if (datagrams_receive(in, gate->io.descriptor, DATAGRAMS_MAX))
        return;
    struct udp_session *session = NULL;
    unsigned first = 0;
    for (unsigned i = 0; i < in->count; i++) {
        const struct datagram *from = &in->items[i];
        if (session && udp_session_is_of(session, from))
            continue;
        if (session) /* before another may take its place */
            forward(gate, session, first, i);
        session = udp_session_of(gate, from, datagrams_bytes(in, i));
        first = i;
        count(gate->server, gate->rules->dropped_series, session == NULL);
    }
    if (session)
        forward(gate, session, first, in->count);
}

/* --- gates */

static void expire(struct timer *timer)
{
    struct udp_gate *gate = list_entry(timer, struct udp_gate, expiry);
    instant now = loop_now();
    list_each (node, &gate->sessions) {
        struct udp_session *session = list_entry(node, struct udp_session, node);
        instant when = clock_after(session->last, session->rules->options->idle_timeout);
        if (when > now) {
            timer_set(timer, when);
            return;
        }
        udp_session_end(session, OK);
    }
}

static enum status make_room(struct udp_server *server)
{
    enum status e = server->in ? OK : datagrams_new(&server->in);
    if (!e && !server->out)
        e = datagrams_new(&server->out);
    if (!e && !server->has_sender) {
        e = scope_start(loop_scope(loop_current()), run_sender, server);
        server->has_sender = !e;
    }
    return e;
}

enum status udp_open(struct udp_server *server, int descriptor, const struct udp_rules *rules,
    void *pinned, struct udp_gate **ret_gate)
{
    struct udp_gate *gate = calloc(1, sizeof *gate);
    enum status e = gate ? make_room(server) : NO_MEMORY;
    if (e) {
        free(gate);
        return e;
    }
    *gate = (struct udp_gate){.server = server, .rules = rules, .pinned = pinned};
    list_init(&gate->sessions);
    table_init(&gate->by_address, SIZE_MAX);
    table_init(&gate->by_id, SIZE_MAX);
    timer_init(&gate->expiry, expire);
    e = io_watch(&gate->io, descriptor, IO_READ, arrived, gate);
    if (e)
        free(gate);
    else
        *ret_gate = gate;
    return e;
}

void udp_use(struct udp_gate *gate, const struct udp_rules *rules, void *pinned)
{
    gate->rules = rules;
    gate->pinned = pinned;
}

void udp_shut(struct udp_gate *gate)
{
    struct udp_server *server = gate->server;
    if (server->out_gate == gate)
        send_answers(server);
    server->out_gate = NULL;
    list_each (node, &gate->sessions)
        udp_session_end(list_entry(node, struct udp_session, node), SHUTTING_DOWN);
    timer_cancel(&gate->expiry);
    io_remove(&gate->io);
    table_release(&gate->by_address);
    table_release(&gate->by_id);
    free(gate);
}
