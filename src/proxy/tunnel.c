#include "proxy/tunnel.h"

#include <stdlib.h>

#include "l4/relay.h"
#include "run/loop.h"
#include "run/wire.h"

/* It has a fiber from the first, which waits for the tunnel's beginning: then there is nothing left
 * that could fail. From then on it is a relay. */
struct proxy_tunnel {
    struct tunnel tunnel;
    const struct proxy *proxy; /* borrowed from the snapshot, which the exchange keeps */
    unsigned worker;
    struct stream *upstream; /* owned; NULL: given up */
    struct wire *client;     /* borrowed; NULL: it has not begun */
    struct fiber *fiber;     /* until the relay has begun; NULL: has not run yet */
    uint64_t early;          /* bytes that the client has said before */
    struct relay relay;
    bool is_dropped, is_cut;
};

static struct proxy_tunnel *self_of(struct tunnel *tunnel)
{
    return list_entry(tunnel, struct proxy_tunnel, tunnel);
}

static void wait_for_beginning(struct proxy_tunnel *self)
{
    fiber_shield();
    while (!self->client && !self->is_dropped)
        (void)fiber_wait(NEVER);
    fiber_unshield();
    if (self->is_cut)
        fiber_cancel(self->fiber);
}

/* What the client has said without waiting for the answer. */
static enum status send_early(struct proxy_tunnel *self)
{
    struct slice early = wire_unread(self->client);
    instant deadline = clock_after(loop_now(), self->proxy->options->idle_timeout);
    size_t sent = 0;
    if (early.size == 0)
        return OK;
    enum status e = stream_write(self->upstream, early.data, early.size, deadline, &sent);
    wire_skip(self->client, early.size);
    self->early = sent;
    if (e == TIMEOUT)
        return IDLE_TIMEOUT;
    return e == CANCELLED || e == NO_MEMORY || !e ? e : UPSTREAM_CLOSED;
}

/* Who did not end in peace is reset, so that nobody takes what came for the whole. */
static void end(struct proxy_tunnel *self, enum status e)
{
    struct tunnel tunnel = self->tunnel;
    bool in_peace = e == OK || e == IDLE_TIMEOUT;
    if (in_peace)
        stream_close(self->upstream);
    else
        stream_break_off(self->upstream);
    proxy_leave(self->proxy, self->worker);
    free(self);
    tunnel.x->is_torn = !in_peace;
    tunnel.x->facts.reason = e;
    tunnel.ended(tunnel.x);
}

static void finish(struct proxy_tunnel *self, enum status e)
{
    struct exchange *x = self->tunnel.x;
    x->facts.received = self->early + self->relay.ways[RELAY_FORTH].moved;
    x->facts.sent = self->relay.ways[RELAY_BACK].moved;
    end(self, e == CANCELLED ? SHUTTING_DOWN : e);
}

static void relay_ended(struct relay *relay)
{
    finish(list_entry(relay, struct proxy_tunnel, relay), relay->outcome);
}

static void relay(struct proxy_tunnel *self)
{
    const struct proxy_load *load = &self->proxy->loads[self->worker];
    struct metrics_shard *shard = self->proxy->shards[self->worker];
    struct relay_meter meter = {
        shard, load->received_series, load->sent_series, load->spliced_series};
    enum status e = send_early(self);
    metric_add(shard, load->received_series, self->early);
    if (e) {
        finish(self, e);
        return;
    }
    relay_init(&self->relay, self->client->stream, self->upstream,
        self->proxy->options->idle_timeout, &meter);
    self->fiber = NULL;
    relay_begin(&self->relay, relay_ended);
}

static void run(void *argument)
{
    struct proxy_tunnel *self = argument;
    self->fiber = fiber_current();
    wait_for_beginning(self);
    if (self->is_dropped)
        free(self);
    else
        relay(self);
}

static void begin(struct tunnel *tunnel, struct wire *client)
{
    struct proxy_tunnel *self = self_of(tunnel);
    tunnel->x->deadline = NEVER;
    self->client = client;
    if (self->fiber)
        fiber_wake(self->fiber);
}

static void drain(struct tunnel *tunnel, instant when)
{
    (void)tunnel;
    (void)when;
}

static void cut(struct tunnel *tunnel)
{
    struct proxy_tunnel *self = self_of(tunnel);
    self->is_cut = true;
    if (self->fiber)
        fiber_cancel(self->fiber);
    else if (self->relay.ended)
        relay_cut(&self->relay, SHUTTING_DOWN);
}

/* The snapshot may go before the fiber has ended. */
static void drop(struct tunnel *tunnel)
{
    struct proxy_tunnel *self = self_of(tunnel);
    stream_break_off(self->upstream);
    self->upstream = NULL;
    proxy_leave(self->proxy, self->worker);
    self->is_dropped = true;
    if (self->fiber)
        fiber_wake(self->fiber);
}

enum status proxy_tunnel_new(const struct proxy *proxy, struct exchange *x, struct stream *upstream,
    struct tunnel **ret_tunnel)
{
    static const struct tunnel_ops ops = {.begin = begin, .drain = drain, .cut = cut, .drop = drop};
    struct proxy_tunnel *self = calloc(1, sizeof *self);
    if (!self || scope_start(loop_scope(loop_current()), run, self)) {
        free(self);
        stream_close(upstream);
        return NO_MEMORY;
    }
    self->tunnel.ops = &ops;
    self->proxy = proxy;
    self->worker = x->worker;
    self->upstream = upstream;
    *ret_tunnel = &self->tunnel;
    return OK;
}
