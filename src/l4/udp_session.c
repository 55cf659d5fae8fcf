#include "l4/udp_session.h"

#include <stdlib.h>
#include <unistd.h>

#include "l4/metrics.h"
#include "l4/quic_id.h"
#include "run/loop.h"

#define TRIES_MAX 3

/* --- keys */

/* The local address lies in the control message as the kernel made it. */
static void write_key(const struct datagram *from, char key[UDP_KEY_SIZE])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&from->peer;
    const struct cmsghdr *control = (const struct cmsghdr *)(const void *)from->local.control;
    memset(key, 0, UDP_KEY_SIZE);
    if (from->peer.sin6_family == AF_INET) {
        memcpy(key, &v4->sin_addr, 4);
        memcpy(key + 16, &v4->sin_port, 2);
    } else {
        memcpy(key, &from->peer.sin6_addr, 16);
        memcpy(key + 16, &from->peer.sin6_port, 2);
    }
    if (from->local.size < CMSG_LEN(0))
        return;
    if (control->cmsg_level == IPPROTO_IP)
        memcpy(
            key + 18, from->local.control + CMSG_LEN(offsetof(struct in_pktinfo, ipi_spec_dst)), 4);
    else
        memcpy(key + 18, from->local.control + CMSG_LEN(0), 16);
}

bool udp_session_is_of(const struct udp_session *session, const struct datagram *from)
{
    char key[UDP_KEY_SIZE];
    write_key(from, key);
    return memcmp(key, session->key, UDP_KEY_SIZE) == 0;
}

static void write_client(const struct datagram *from, struct address *address)
{
    address->size = from->peer_size;
    memcpy(&address->v6, &from->peer, sizeof address->v6);
}

static struct slice key_of(const struct udp_session *session)
{
    return slice_of(session->key, UDP_KEY_SIZE);
}

/* --- the account */

static void count_open(const struct udp_gate *gate, const struct udp_rules *rules)
{
    if (gate->server->shard)
        metric_set(gate->server->shard, rules->open_series, gate->open);
}

static void arm(struct udp_gate *gate)
{
    if (list_is_empty(&gate->sessions)) {
        timer_cancel(&gate->expiry);
        return;
    }
    const struct udp_session *first = list_entry(gate->sessions.next, struct udp_session, node);
    instant when = clock_after(first->last, first->rules->options->idle_timeout);
    if (!timer_is_set(&gate->expiry) || gate->expiry.when > when)
        timer_set(&gate->expiry, when);
}

void udp_session_touch(struct udp_session *session)
{
    session->last = loop_now();
    list_remove(&session->node);
    list_push_back(&session->gate->sessions, &session->node);
}

static void close_socket(struct udp_session *session)
{
    int descriptor = session->io.descriptor;
    if (descriptor < 0)
        return;
    io_remove(&session->io);
    close(descriptor);
}

static void forget_ids(struct udp_session *session)
{
    for (unsigned i = 0; i < session->id_count; i++)
        (void)table_remove(
            &session->gate->by_id, slice_of(session->ids[i].bytes, session->ids[i].size));
    session->id_count = 0;
}

void udp_session_end(struct udp_session *session, enum status reason)
{
    struct udp_gate *gate = session->gate;
    struct udp_server *server = gate->server;
    struct l4_facts *facts = &session->facts;
    (void)table_remove(&gate->by_address, key_of(session));
    forget_ids(session);
    list_remove(&session->node);
    close_socket(session);
    facts->reason = reason;
    facts->ended = loop_now();
    facts->endpoint = dial_endpoint(&session->dial);
    facts->tries += session->dial.tries;
    gate->open--;
    count_open(gate, session->rules);
    if (server->shard)
        l4_count(server->metrics, server->shard, session->rules->to, facts);
    server->ops->finish(server, facts);
    dial_end(&session->dial);
    server->ops->let_go(server, session->pinned); /* last: the dial used what is part of it */
    free(session);
}

/* --- the endpoint */

/* Chooses an endpoint and opens a socket to it. */
static enum status connect_session(struct udp_session *session)
{
    int descriptor = -1;
    enum status e = dial_choose(&session->dial);
    if (!e)
        e = datagram_connect(session->dial.endpoint->address, &descriptor);
    if (!e)
        e = io_watch(&session->io, descriptor, IO_READ, udp_answered, session);
    if (e && descriptor >= 0)
        close(descriptor);
    session->has_reply = false;
    return e;
}

static void begin_dial(struct udp_session *session, const struct service *service)
{
    struct dial_caller caller = {&session->facts.client, session->facts.listener};
    unsigned worker = session->gate->server->worker;
    service = dial_service(service, worker);
    session->facts.service = service_name(service);
    dial_begin(&session->dial, service, worker, &caller);
}

/* A service that has failed with `e` is left for the one that stands in for it, if there is one. */
static enum status fall_back(struct udp_session *session, enum status e)
{
    const struct service *other;
    while (e && (other = dial_instead(&session->dial, e))) {
        session->facts.replaced = e;
        session->facts.tries += session->dial.tries;
        dial_end(&session->dial);
        begin_dial(session, other);
        e = connect_session(session);
    }
    return e;
}

/* A service that has answered before begins anew: it has restarted, perhaps. */
bool udp_session_move(struct udp_session *session)
{
    struct dial *dial = &session->dial;
    close_socket(session);
    dial_failed(dial, UPSTREAM_REFUSED);
    dial_leave(dial);
    enum status e = dial->tries < TRIES_MAX ? connect_session(session) : UPSTREAM_REFUSED;
    e = fall_back(session, e == NO_ENDPOINT ? UPSTREAM_REFUSED : e);
    if (e)
        udp_session_end(session, e);
    return !e;
}

/* --- beginning */

static enum status register_session(struct udp_session *session)
{
    struct udp_gate *gate = session->gate;
    write_key(&session->client, session->key);
    return table_put(&gate->by_address, key_of(session), session);
}

static struct udp_session *oldest(struct udp_gate *gate)
{
    return list_is_empty(&gate->sessions)
               ? NULL
               : list_entry(gate->sessions.next, struct udp_session, node);
}

static void make_room(struct udp_gate *gate)
{
    while (gate->open >= gate->rules->options->sessions_max)
        udp_session_end(oldest(gate), SESSION_EVICTED);
}

static struct udp_session *new_session(struct udp_gate *gate, const struct datagram *from)
{
    struct udp_session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->gate = gate;
    session->rules = gate->rules;
    session->pinned = gate->pinned;
    session->io.descriptor = -1;
    session->client = *from;
    session->facts = (struct l4_facts){.transport = L4_UDP,
        .listener = gate->rules->listener,
        .service = gate->rules->to->service_name,
        .started = loop_now()};
    write_client(from, &session->facts.client);
    if (register_session(session)) {
        free(session);
        return NULL;
    }
    return session;
}

/* Without a descriptor for its socket another session gives its own. */
static enum status connect_with_room(struct udp_session *session)
{
    enum status e = connect_session(session);
    struct udp_session *victim = oldest(session->gate);
    if (e != IO_ERROR || victim == session)
        return e;
    udp_session_end(victim, SESSION_EVICTED);
    dial_leave(&session->dial);
    session->dial.choice.tried_count = 0;
    e = connect_session(session);
    return e == IO_ERROR ? OVERLOADED : e;
}

static struct udp_session *begin_session(struct udp_gate *gate, const struct datagram *from)
{
    make_room(gate);
    struct udp_session *session = new_session(gate, from);
    if (!session)
        return NULL;
    gate->open++;
    count_open(gate, session->rules);
    gate->server->ops->hold(gate->server, session->pinned);
    list_push_back(&gate->sessions, &session->node);
    session->last = loop_now();
    begin_dial(session, gate->rules->to->service);
    enum status e = fall_back(session, connect_with_room(session));
    arm(gate);
    if (!e)
        return session;
    udp_session_end(session, e);
    return NULL;
}

/* --- QUIC: sessions by connection id */

void udp_session_learn(struct udp_session *session, struct slice id)
{
    struct udp_gate *gate = session->gate;
    if (id.size == 0 || id.size > QUIC_ID_MAX || session->id_count == UDP_IDS_MAX)
        return;
    char *kept = session->ids[session->id_count].bytes;
    memcpy(kept, id.data, id.size);
    if (table_put(&gate->by_id, slice_of(kept, id.size), session))
        return; /* it is known already, whosever it is */
    session->ids[session->id_count++].size = (uint8_t)id.size;
    gate->id_sizes |= 1u << id.size;
}

static struct udp_session *find_by_id(struct udp_gate *gate, const struct quic_ids *ids)
{
    if (ids->is_long)
        return table_get(&gate->by_id, ids->to);
    for (size_t size = ids->to.size; size > 0; size--) {
        struct udp_session *found = NULL;
        if (gate->id_sizes >> size & 1)
            found = table_get(&gate->by_id, slice_head(ids->to, size));
        if (found)
            return found;
    }
    return NULL;
}

/* The client has another address. */
static struct udp_session *follow(struct udp_session *session, const struct datagram *from)
{
    struct udp_gate *gate = session->gate;
    (void)table_remove(&gate->by_address, key_of(session));
    session->client = *from;
    write_client(from, &session->facts.client);
    if (register_session(session) == OK)
        return session;
    udp_session_end(session, NO_MEMORY);
    return NULL;
}

static struct udp_session *quic_session_of(
    struct udp_gate *gate, const struct datagram *from, struct slice bytes)
{
    struct quic_ids ids;
    if (!quic_ids_read(bytes, &ids))
        return begin_session(gate, from);
    struct udp_session *session = find_by_id(gate, &ids);
    if (session)
        return follow(session, from);
    session = begin_session(gate, from);
    if (session && ids.is_long)
        udp_session_learn(session, ids.to);
    return session;
}

struct udp_session *udp_session_of(
    struct udp_gate *gate, const struct datagram *from, struct slice bytes)
{
    char key[UDP_KEY_SIZE];
    write_key(from, key);
    struct udp_session *session = table_get(&gate->by_address, slice_of(key, UDP_KEY_SIZE));
    if (session)
        return session;
    return gate->rules->options->quic ? quic_session_of(gate, from, bytes)
                                      : begin_session(gate, from);
}
