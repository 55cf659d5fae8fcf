#include "l4/tcp.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "l4/metrics.h"
#include "l4/opening.h"
#include "l4/relay.h"
#include "run/loop.h"
#include "run/scope.h"
#include "run/tls.h"
#include "service/dial.h"

/* A listener, as this worker counts its connections. They may outlive it. */
struct gate {
    struct list node;
    uint32_t open;
    size_t name_size;
    char name[];
};

struct session {
    struct list node; /* in server->sessions */
    struct tcp_server *server;
    struct gate *gate;
    const struct tcp_rules *rules;
    void *pinned;
    struct fiber *fiber;     /* until its relay has begun */
    struct stream *client;   /* owned */
    struct stream *upstream; /* owned; NULL until connected */
    const struct l4_target *target;
    bool is_broken;             /* the client has gone while it waited */
    struct text early;          /* owned: what was read before the service was known */
    struct client_hello *hello; /* owned; what the client's TLS asks for; NULL: not known */
    struct dial dial;
    struct relay relay; /* once it is connected */
    struct l4_facts facts;
};

/* --- the server */

void tcp_server_init(struct tcp_server *server, const struct tcp_ops *ops, unsigned worker,
    struct metrics *metrics, struct metrics_shard *shard)
{
    *server = (struct tcp_server){.ops = ops, .worker = worker, .metrics = metrics, .shard = shard};
    list_init(&server->sessions);
    list_init(&server->gates);
}

void tcp_server_release(struct tcp_server *server)
{
    struct list *node;
    while ((node = list_pop_front(&server->gates)))
        free(list_entry(node, struct gate, node));
}

void tcp_server_drain(struct tcp_server *server)
{
    server->is_draining = true;
}

void tcp_server_cut(struct tcp_server *server)
{
    server->is_draining = server->is_cut = true;
    list_each (node, &server->sessions) {
        struct session *session = list_entry(node, struct session, node);
        if (session->fiber)
            fiber_cancel(session->fiber);
        else if (session->relay.ended)
            relay_cut(&session->relay, CANCELLED);
    }
}

/* There are as many as listeners ever had names. */
static struct gate *find_gate(struct tcp_server *server, struct slice name)
{
    list_each (node, &server->gates) {
        struct gate *gate = list_entry(node, struct gate, node);
        if (slice_equal(slice_of(gate->name, gate->name_size), name))
            return gate;
    }
    struct gate *gate = calloc(1, sizeof *gate + name.size + 1);
    if (!gate)
        return NULL;
    gate->name_size = name.size;
    memcpy(gate->name, name.data, name.size);
    list_push_front(&server->gates, &gate->node);
    return gate;
}

static void count_open(const struct session *session, int more)
{
    struct tcp_server *server = session->server;
    session->gate->open += (uint32_t)more;
    server->session_count += (uint32_t)more;
    if (server->shard)
        metric_set(server->shard, session->rules->open_series, session->gate->open);
}

/* --- the life of a connection */

static enum status read_proxy_header(
    struct session *session, instant deadline, struct proxy_header *ret_header)
{
    const struct tcp_rules *rules = session->rules;
    const struct address *peer = stream_peer(session->client);
    bool is_trusted = false;
    for (size_t i = 0; i < rules->trusted->count && !is_trusted; i++)
        is_trusted = network_contains(&rules->trusted->items[i], peer);
    if (!is_trusted)
        return PEER_NOT_TRUSTED;
    enum status e = opening_read_proxy_header(session->client, deadline, ret_header);
    if (!e && !ret_header->is_local)
        address_copy(&session->facts.client, &ret_header->source);
    return e;
}

/* The peer is told as TLS does it: a fatal alert, unrecognized_name (RFC 6066 §3). */
static void refuse_name(struct session *session)
{
    static const char alert[] = {21, 3, 3, 0, 2, 2, 112};
    instant soon = loop_now() + SECOND;
    (void)stream_write(session->client, alert, sizeof alert, soon, NULL);
}

static enum status make_hello(struct session *session)
{
    session->hello = malloc(sizeof *session->hello);
    if (!session->hello)
        return NO_MEMORY;
    session->hello->name_size = session->hello->protocols_size = 0;
    return OK;
}

static enum status look_at_hello(struct session *session, instant deadline)
{
    enum status e = make_hello(session);
    return e ? e
             : opening_read_client_hello(
                   session->client, deadline, &session->early, session->hello);
}

static enum status status_of_handshake(enum status e)
{
    if (e == TIMEOUT)
        return OPENING_TIMEOUT;
    return e == CLOSED || e == END ? CLIENT_CLOSED : e;
}

/* Puts TLS on the client's connection. What it asked for is kept as if it had been looked at. A
 * proof for a certificate authority is all that its connection is for. */
static enum status end_tls(struct session *session, instant deadline)
{
    struct tls_server *tls = session->rules->tls[session->server->worker];
    struct tls_facts facts;
    struct stream *stream;
    enum status e = make_hello(session);
    if (!e)
        e = tls_accept(session->client, tls, SLICE_NONE, &stream);
    if (e)
        return e;
    session->client = stream;
    e = status_of_handshake(tls_handshake(stream, deadline));
    if (e || !tls_facts(stream, &facts))
        return e;
    struct slice name = slice_head(facts.name, sizeof session->hello->name);
    session->hello->name_size = name.size;
    if (name.size)
        memcpy(session->hello->name, name.data, name.size);
    return facts.is_challenge ? NO_ROUTE : OK;
}

static enum status find_by_name(struct session *session)
{
    struct slice protocols = client_hello_protocols(session->hello);
    session->facts.server_name = client_hello_name(session->hello);
    (void)client_hello_next_protocol(&protocols, &session->facts.protocol);
    if (!session->target)
        session->target = tcp_rules_find(session->rules, session->hello);
    if (!session->target && !session->rules->tls)
        refuse_name(session);
    return session->target ? OK : NO_ROUTE;
}

/* What comes before the service is known, and what a proxy said. */
static enum status open_session(struct session *session, struct proxy_header *ret_header)
{
    const struct tcp_options *options = session->rules->options;
    instant deadline = clock_after(loop_now(), options->opening_timeout);
    enum status e = OK;
    if (options->proxy_protocol)
        e = read_proxy_header(session, deadline, ret_header);
    session->target = session->rules->to;
    if (!e && session->rules->tls)
        e = end_tls(session, deadline);
    else if (!e && !session->target)
        e = look_at_hello(session, deadline);
    if (!e && session->hello)
        e = find_by_name(session);
    return e;
}

/* What the listener wants the service to be told of the client, or else the service itself. */
static size_t write_proxy_header(const struct session *session, const struct service *service,
    const struct proxy_header *heard, char room[PROXY_HEADER_ROOM])
{
    int version = session->rules->options->send_proxy;
    const struct address *destination =
        heard->is_local ? stream_local(session->client) : &heard->destination;
    if (!version)
        version = service->options->send_proxy;
    return proxy_header_write(
        (enum proxy_version)version, &session->facts.client, destination, room);
}

static enum status dial_to(
    struct session *session, const struct service *service, const struct proxy_header *heard)
{
    struct l4_facts *facts = &session->facts;
    char header[PROXY_HEADER_ROOM];
    struct slice first = slice_of(header, write_proxy_header(session, service, heard, header));
    struct dial_caller caller = {&facts->client, facts->listener, first};
    facts->service = service_name(service);
    dial_begin(&session->dial, service, session->server->worker, &caller);
    enum status e = dial_connect(&session->dial, NEVER, &session->upstream);
    facts->tries += session->dial.tries;
    facts->endpoint = dial_endpoint(&session->dial);
    return e;
}

/* A client that goes while it waits has no use for what it waits for. */
static void broken(void *argument)
{
    struct session *session = argument;
    session->is_broken = true;
    fiber_cancel(session->fiber);
}

static enum status connect_session(struct session *session, const struct proxy_header *heard)
{
    struct l4_facts *facts = &session->facts;
    unsigned worker = session->server->worker;
    const struct service *service = dial_service(session->target->service, worker), *other = NULL;
    instant began = loop_now();
    enum status e;
    stream_on_break(session->client, broken, session);
    do {
        if (other) {
            dial_end(&session->dial);
            service = dial_service(other, worker);
        }
        e = dial_to(session, service, heard);
        other = e ? dial_instead(&session->dial, e) : NULL;
        facts->replaced = other ? e : facts->replaced;
    } while (other);
    stream_on_break(session->client, NULL, NULL);
    facts->connect_time = loop_now() > began ? loop_now() - began : 1;
    return e == CANCELLED && session->is_broken ? CLIENT_CLOSED : e;
}

/* What the client has said already. */
static enum status send_early(struct session *session)
{
    struct text *early = &session->early;
    instant deadline = clock_after(loop_now(), session->rules->options->idle_timeout);
    if (early->size == 0)
        return OK;
    size_t done = 0;
    enum status e = stream_write(session->upstream, early->data, early->size, deadline, &done);
    session->facts.received = done;
    text_release(early);
    if (e == TIMEOUT)
        return UPSTREAM_WRITE_TIMEOUT;
    return e == CANCELLED || e == NO_MEMORY || !e ? e : UPSTREAM_CLOSED;
}

/* An endpoint that takes a connection and breaks it off without a byte has failed. */
static void judge_endpoint(struct session *session, enum status e)
{
    if (!session->upstream)
        return;
    if (session->facts.sent > 0 || e == OK)
        dial_good(&session->dial);
    else if (e == UPSTREAM_CLOSED)
        dial_failed(&session->dial, e);
}

/* A connection that did not end in peace is reset, so that the other side does not take what came
 * so far for the whole. */
static void end_stream(struct stream *stream, bool in_peace)
{
    if (in_peace)
        stream_close(stream);
    else
        stream_break_off(stream);
}

static void free_session(struct session *session)
{
    struct tcp_server *server = session->server;
    text_release(&session->early);
    free(session->hello);
    list_remove(&session->node);
    free(session);
    server->ops->closed(server);
}

static void account(struct session *session)
{
    struct tcp_server *server = session->server;
    struct l4_facts *facts = &session->facts;
    const struct l4_target *target = session->target ? session->target : session->rules->nowhere;
    facts->ended = loop_now();
    if (server->shard)
        l4_count(server->metrics, server->shard, target, facts);
    count_open(session, -1);
    server->ops->finish(server, facts);
    dial_end(&session->dial);
    server->ops->let_go(server, session->pinned); /* last: the dial used what is part of it */
}

static void finish(struct session *session, enum status e)
{
    bool in_peace = e == OK || e == IDLE_TIMEOUT;
    judge_endpoint(session, e);
    session->facts.reason = e == CANCELLED && session->server->is_draining ? SHUTTING_DOWN : e;
    end_stream(session->upstream, in_peace);
    end_stream(session->client, in_peace || e == NO_ROUTE); /* which was told by an alert */
    account(session);
    free_session(session);
}

static void relay_ended(struct relay *relay)
{
    struct session *session = list_entry(relay, struct session, relay);
    session->facts.received += relay->ways[RELAY_FORTH].moved;
    session->facts.sent += relay->ways[RELAY_BACK].moved;
    finish(session, relay->outcome);
}

static void begin_relay(struct session *session)
{
    struct metrics_shard *shard = session->server->shard;
    const struct l4_target *target = session->target;
    struct relay_meter meter = {shard, target->received, target->sent, target->spliced};
    relay_init(&session->relay, session->client, session->upstream,
        session->rules->options->idle_timeout, &meter);
    if (shard)
        metric_add(shard, target->received, session->facts.received);
    session->fiber = NULL;
    relay_begin(&session->relay, relay_ended);
}

static void run_session(void *argument)
{
    struct session *session = argument;
    struct proxy_header heard = {.is_local = true};
    session->fiber = fiber_current();
    if (session->server->is_cut)
        fiber_cancel(session->fiber);
    enum status e = open_session(session, &heard);
    if (!e)
        e = connect_session(session, &heard);
    if (!e)
        e = send_early(session);
    if (e)
        finish(session, e);
    else
        begin_relay(session);
}

static struct session *new_session(struct tcp_server *server, const struct address *peer,
    const struct tcp_rules *rules, void *pinned)
{
    struct gate *gate = find_gate(server, rules->listener);
    struct session *session = gate ? calloc(1, sizeof *session) : NULL;
    if (!session)
        return NULL;
    session->server = server;
    session->gate = gate;
    session->rules = rules;
    session->pinned = pinned;
    session->early = text_growing(CLIENT_HELLO_BYTES_MAX);
    session->facts.listener = rules->listener;
    session->facts.started = loop_now();
    address_copy(&session->facts.client, peer);
    return session;
}

static bool is_full(const struct session *session)
{
    int64_t most = session->rules->options->connections_max;
    return most && session->gate->open >= (uint64_t)most;
}

/* Closes before it began: with a reset, so that nothing of it stays behind. */
static bool refuse(struct tcp_server *server, struct session *session, int descriptor)
{
    struct linger hard = {.l_onoff = 1};
    atomic_fetch_add_explicit(&server->refused, 1, memory_order_relaxed);
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(descriptor);
    free(session);
    server->ops->closed(server);
    return false;
}

bool tcp_accept(struct tcp_server *server, int descriptor, const struct address *peer,
    const struct tcp_rules *rules, void *pinned)
{
    struct session *session = new_session(server, peer, rules, pinned);
    if (!session || is_full(session))
        return refuse(server, session, descriptor);
    if (socket_adopt(descriptor, peer, &session->client)) {
        free(session);
        server->ops->closed(server);
        return false;
    }
    list_push_front(&server->sessions, &session->node);
    count_open(session, 1);
    if (scope_start(loop_scope(loop_current()), run_session, session) == OK)
        return true;
    stream_close(session->client);
    count_open(session, -1);
    free_session(session);
    return false;
}
