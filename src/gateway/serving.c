#include "gateway/serving.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/random.h"
#include "http/forwarded.h"
#include "proxy/proxy.h"
#include "run/loop.h"
#include "run/tls.h"

#define ID_NUMBER_BITS 48 /* of an exchange's number; those above say the worker */

const struct server_rules *serving_begin(struct carrier *carrier, struct exchange *x,
    struct stream *stream, const struct exchange_hooks *hooks)
{
    struct tls_facts facts;
    struct server *server = carrier->server;
    x->worker = server->worker;
    x->id_number = (uint64_t)x->worker << ID_NUMBER_BITS | ++server->id_number;
    x->connection = carrier;
    x->hooks = hooks;
    x->deadline = NEVER;
    address_copy(&x->peer, stream_peer(stream));
    address_copy(&x->client, &x->peer);
    x->entrance = carrier->entrance;
    x->facts.listener = carrier->entrance->name;
    x->facts.started = loop_now();
    x->is_secure = carrier->entrance->is_tls && tls_facts(stream, &facts);
    x->tls = x->is_secure ? stream : NULL;
    x->door = stream;
    x->request.scheme = x->is_secure ? SLICE("https") : SLICE("http");
    scope_init(&x->scope);
    fields_init(&x->response.fields, &x->arena);
    x->response.version = HTTP_1_1;
    server->exchange_count++;
    return server->ops->begin(server, x);
}

/* Cancelled is who is cut off by a stop, or whose client is gone. */
static bool is_cut_off(const struct exchange *x)
{
    const struct carrier *carrier = x->connection;
    return carrier->server->is_draining && !carrier->is_broken;
}

enum status serving_reason(const struct exchange *x, enum status e)
{
    if (status_http(e))
        return e;
    if (e == TIMEOUT)
        return loop_now() >= x->deadline ? exchange_lateness(x) : REQUEST_TIMEOUT;
    if (e == TOO_LARGE) /* trailers, or a head that has grown on its way */
        return FIELDS_TOO_LARGE;
    if (e == CANCELLED && is_cut_off(x))
        return SHUTTING_DOWN;
    if (e == CANCELLED || e == CLOSED || e == INCOMPLETE)
        return CLIENT_CLOSED;
    return INTERNAL;
}

void serving_refuse(struct exchange *x, enum status e)
{
    exchange_respond_problem(x, serving_reason(x, e), SLICE_NONE);
}

/* Unless the listener is a forward proxy; other protocols (RFC 8441) than WebSocket always are. */
static bool is_connect_refused(const struct exchange *x)
{
    return x->request.method == METHOD_CONNECT && !(x->entrance->is_proxy && proxy_is_tunnel(x));
}

/* A client that was refused a tunnel may have sent what was meant for its end already: nobody shall
 * take that for a request. */
static void close_after_connect(struct exchange *x)
{
    x->must_close = x->must_close || x->request.version != HTTP_2;
}

void serving_answer(struct exchange *x, const struct server_rules *rules)
{
    struct server *server = ((struct carrier *)x->connection)->server;
    x->deadline = clock_after(x->facts.started, rules->http->request_timeout);
    enum status e = is_connect_refused(x) ? NOT_IMPLEMENTED : OK;
    if (!e)
        e = forwarded_read(x, rules->trusted->items, rules->trusted->count);
    if (!e)
        e = server->ops->serve(server, x);
    if (e)
        serving_refuse(x, e);
    if (x->request.method == METHOD_CONNECT && !serving_is_tunnel(x))
        close_after_connect(x);
}

static struct slice date_now(struct server *server)
{
    int64_t second = loop_wall() / SECOND;
    if (second != server->date_second) {
        clock_http_date(second, server->date);
        server->date_second = second;
    }
    return slice_of(server->date, HTTP_DATE_SIZE);
}

/* Out of memory they are left out: the answer is whole without them. */
void serving_finish_fields(struct exchange *x, const struct server_rules *rules)
{
    struct server *server = ((struct carrier *)x->connection)->server;
    struct fields *fields = &x->response.fields;
    if (!fields_has(fields, FIELD_DATE))
        (void)fields_add_made(fields, FIELD_DATE, date_now(server));
    if (rules->http->via)
        (void)via_add(fields, x->response.version);
    if (x->is_secure && x->entrance->hsts_size) /* not over plain HTTP: RFC 6797 §7.2 */
        (void)fields_set_made(fields, FIELD_STRICT_TRANSPORT_SECURITY,
            slice_of(x->entrance->hsts, x->entrance->hsts_size));
    if (x->request_id.size)
        (void)fields_set_made(fields, FIELD_X_REQUEST_ID, x->request_id);
}

void serving_sent(struct exchange *x, enum status e, bool is_source)
{
    x->facts.ended = clock_now();
    if (e && x->facts.reason == OK)
        x->facts.reason = is_source || e == CANCELLED ? serving_reason(x, e) : CLIENT_CLOSED;
}

/* --- what has no end by itself */

/* Who begins as late as that has the rest of the time. */
static instant pick_leave(const struct server *server)
{
    instant last = server->draining_since + server->leaving_time;
    int64_t left = last - loop_now();
    return left > 0 ? loop_now() + (int64_t)random_below(loop_random(), (uint64_t)left)
                    : loop_now();
}

void serving_drain(struct carrier *carrier)
{
    if (!carrier->leaves)
        carrier->leaves = pick_leave(carrier->server);
    if (carrier->tunnel)
        carrier->tunnel->ops->drain(carrier->tunnel, carrier->leaves);
    if (carrier->dozer)
        fiber_expire(carrier->dozer);
}

instant serving_leaves(const struct exchange *x)
{
    struct carrier *carrier = x->connection;
    if (!carrier->server->is_draining)
        return NEVER;
    if (!carrier->leaves)
        carrier->leaves = pick_leave(carrier->server);
    return carrier->leaves;
}

void serving_doze(struct exchange *x, bool begins)
{
    struct carrier *carrier = x->connection;
    carrier->dozer = begins ? fiber_current() : NULL;
}

/* --- tunnels */

static _Atomic uint64_t *open_tunnels(const struct exchange *x)
{
    struct server *server = ((struct carrier *)x->connection)->server;
    return x->request.method == METHOD_CONNECT ? &server->tunnels : &server->websockets;
}

static void begin_tunnel(struct tunnel *tunnel, struct exchange *x, struct wire *client,
    void (*ended)(struct exchange *x))
{
    struct carrier *carrier = x->connection;
    struct server *server = carrier->server;
    carrier->tunnel = tunnel;
    tunnel->x = x;
    tunnel->ended = ended;
    atomic_fetch_add_explicit(open_tunnels(x), 1, memory_order_relaxed);
    if (server->is_draining)
        serving_drain(carrier);
    tunnel->ops->begin(tunnel, client);
}

static void end_tunnel(struct exchange *x)
{
    struct carrier *carrier = x->connection;
    atomic_fetch_sub_explicit(open_tunnels(x), 1, memory_order_relaxed);
    carrier->tunnel = NULL;
    carrier->is_torn = x->is_torn;
    x->facts.ended = clock_now();
}

static struct tunnel *take_tunnel(struct exchange *x)
{
    struct tunnel *tunnel = x->tunnel;
    x->tunnel = NULL;
    return tunnel;
}

static void wake_who_waits(struct exchange *x)
{
    struct carrier *carrier = x->connection;
    end_tunnel(x);
    fiber_wake(carrier->fiber);
}

void serving_run_tunnel(struct exchange *x, struct wire *client)
{
    struct carrier *carrier = x->connection;
    begin_tunnel(take_tunnel(x), x, client, wake_who_waits);
    while (carrier->tunnel && fiber_wait(NEVER) != CANCELLED)
        continue;
    fiber_shield();
    if (carrier->tunnel)
        carrier->tunnel->ops->cut(carrier->tunnel);
    while (carrier->tunnel)
        (void)fiber_wait(NEVER);
    fiber_unshield();
}

static void end_settled(struct exchange *x)
{
    struct carrier *carrier = x->connection;
    end_tunnel(x);
    serving_end(x, false);
    free(x);
    carrier->tunnel_ended(carrier);
}

bool serving_leave_to_tunnel(
    struct exchange *x, struct wire *client, void (*ended)(struct carrier *carrier))
{
    struct carrier *carrier = x->connection;
    struct exchange *settled = exchange_settle(x);
    if (!settled) {
        x->facts.reason = NO_MEMORY;
        return false;
    }
    struct tunnel *tunnel = take_tunnel(x);
    arena_release(&x->arena);
    carrier->fiber = NULL;
    carrier->tunnel_ended = ended;
    begin_tunnel(tunnel, settled, client, end_settled);
    return true;
}

/* --- the end */

void serving_end(struct exchange *x, bool is_silent)
{
    struct server *server = ((struct carrier *)x->connection)->server;
    if (!x->facts.ended) /* nothing could be sent */
        x->facts.ended = clock_now();
    if (x->tunnel) /* another answer was put in its place, or could not be sent */
        x->tunnel->ops->drop(x->tunnel);
    x->tunnel = NULL;
    exchange_run_ends(x);
    if (is_silent) /* the configuration may go with it */
        server->ops->abandon(server, x);
    else
        server->ops->finish(server, x);
    server->exchange_count--;
    arena_release(&x->arena);
}

void serving_break(struct carrier *carrier)
{
    carrier->is_broken = true;
    if (carrier->fiber)
        fiber_cancel(carrier->fiber);
}

void serving_ask_for_body(void *argument)
{
    struct exchange *x = argument;
    if (!x->expects_continue)
        return;
    struct http_response interim = {.status = 100};
    fields_init(&interim.fields, &x->arena);
    (void)x->hooks->send_interim(
        x, &interim); /* a client that is gone shows itself in the read that follows */
}
