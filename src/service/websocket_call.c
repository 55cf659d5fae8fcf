/* A WebSocket with a service that has agreed to it: what is left of the call, in as little memory
 * as can be, since it may live long and idle. It keeps the endpoint and the connection until the
 * end.
 */
#include <stdlib.h>

#include "http/h2_channel.h"
#include "http/websocket_handshake.h"
#include "http/websocket_relay.h"
#include "service/call.h"

struct websocket_call {
    struct tunnel tunnel;
    struct upstream *upstream;  /* owned, one of these two */
    struct h2_channel *channel; /* owned */
    struct endpoint *endpoint;  /* counted in its requests in flight */
    struct view *view;          /* in use, so that the endpoint lives */
    bool compresses;
    instant draining_from; /* said before it has begun; NEVER: it was not */
    struct websocket_relay relay;
};

static struct websocket_call *self_of(struct tunnel *tunnel)
{
    return list_entry(tunnel, struct websocket_call, tunnel);
}

static struct wire *service_of(struct websocket_call *websocket)
{
    return websocket->channel ? &websocket->channel->wire : &websocket->upstream->wire;
}

/* `in_peace`: there may be last words that are still to leave. */
static void free_call(struct websocket_call *websocket, bool in_peace)
{
    if (websocket->channel && in_peace)
        h2_channel_end(websocket->channel);
    else if (websocket->channel)
        h2_channel_free(websocket->channel);
    pool_discard(websocket->upstream);
    atomic_fetch_sub_explicit(&websocket->endpoint->load.in_flight, 1, memory_order_relaxed);
    view_release(websocket->view);
    free(websocket);
}

static void note(const struct websocket_relay *relay, struct exchange_facts *facts)
{
    const struct websocket_side *sides = relay->sides;
    facts->close_code = relay->code;
    facts->received += sides[WEBSOCKET_CLIENT].bytes;
    facts->sent += sides[WEBSOCKET_SERVICE].bytes;
    facts->messages_received = sides[WEBSOCKET_CLIENT].messages;
    facts->messages_sent = sides[WEBSOCKET_SERVICE].messages;
    if (relay->reason)
        facts->reason = relay->reason;
}

static void ended(struct websocket_relay *relay)
{
    struct websocket_call *websocket = list_entry(relay, struct websocket_call, relay);
    struct tunnel tunnel = websocket->tunnel;
    note(relay, &tunnel.x->facts);
    free_call(websocket, !relay->is_cut);
    tunnel.ended(tunnel.x);
}

static void begin(struct tunnel *tunnel, struct wire *client)
{
    struct websocket_call *websocket = self_of(tunnel);
    struct exchange *x = tunnel->x;
    x->deadline = NEVER;
    websocket_relay_init(&websocket->relay, client, service_of(websocket), websocket->compresses,
        x->websocket ? x->websocket : &websocket_usual_limits);
    websocket_relay_drain(&websocket->relay, websocket->draining_from);
    websocket_relay_begin(&websocket->relay, ended);
}

/* Until it begins the relay is all zeros. */
static void drain(struct tunnel *tunnel, instant when)
{
    struct websocket_call *websocket = self_of(tunnel);
    websocket->draining_from = clock_sooner(websocket->draining_from, when);
    if (websocket->relay.ended)
        websocket_relay_drain(&websocket->relay, when);
}

static void cut(struct tunnel *tunnel)
{
    websocket_relay_cut(&self_of(tunnel)->relay);
}

static void drop(struct tunnel *tunnel)
{
    free_call(self_of(tunnel), false);
}

static const struct tunnel_ops ops = {.begin = begin, .drain = drain, .cut = cut, .drop = drop};

/* What the call holds moves over; nothing is left of it. */
static void take_over(struct websocket_call *websocket, struct call *call)
{
    struct attempt *attempt = call->attempt;
    websocket->upstream = attempt->upstream;
    if (attempt->stream) {
        websocket->channel = h2_channel_of(attempt->stream);
        h2_channel_take(websocket->channel);
    }
    websocket->endpoint = attempt->endpoint;
    websocket->view = call->view;
    attempt->upstream = NULL;
    attempt->stream = NULL;
    attempt->is_counted = false;
    call->view = NULL;
    call_finish(call, false);
}

static enum status read_nothing(struct body *body, instant deadline, struct slice *ret_bytes)
{
    (void)body, (void)deadline, (void)ret_bytes;
    return END;
}

enum status websocket_call_begin(struct call *call, struct body *ret_body)
{
    static const struct body_ops body_ops = {.read = read_nothing};
    struct exchange *x = call->x;
    bool compresses;
    enum status e = websocket_check_response(&x->request, &call->attempt->response, &compresses);
    if (e)
        return e;
    struct websocket_call *websocket = calloc(1, sizeof *websocket);
    if (!websocket)
        return NO_MEMORY;
    websocket->tunnel.ops = &ops;
    websocket->compresses = compresses;
    websocket->draining_from = NEVER;
    take_over(websocket, call);
    x->tunnel = &websocket->tunnel;
    *ret_body = (struct body){.ops = &body_ops};
    return OK;
}
