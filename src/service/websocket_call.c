/* The call of a service that has agreed to a WebSocket: it lasts, with its endpoint and connection,
 * until the WebSocket ends. */
#include "http/websocket_handshake.h"
#include "http/websocket_relay.h"
#include "service/call.h"

struct websocket_call {
    struct tunnel tunnel;
    struct call *call;
    bool compresses, is_draining, is_running;
    struct websocket_relay relay;
};

static void note(struct websocket_call *websocket, struct exchange_facts *facts)
{
    const struct websocket_relay *relay = &websocket->relay;
    const struct websocket_side *sides = relay->sides;
    facts->close_code = relay->code;
    facts->received += sides[WEBSOCKET_CLIENT].bytes;
    facts->sent += sides[WEBSOCKET_SERVICE].bytes;
    facts->messages_received = sides[WEBSOCKET_CLIENT].messages;
    facts->messages_sent = sides[WEBSOCKET_SERVICE].messages;
    if (relay->reason)
        facts->reason = relay->reason;
}

static void run(struct tunnel *tunnel, struct exchange *x, struct wire *client)
{
    struct websocket_call *websocket = list_entry(tunnel, struct websocket_call, tunnel);
    struct call *call = websocket->call;
    x->deadline = NEVER;
    websocket_relay_init(&websocket->relay, client, &call->upstream->wire, websocket->compresses,
        x->websocket ? x->websocket : &websocket_usual_limits);
    websocket->is_running = true;
    websocket->relay.is_draining = websocket->is_draining;
    websocket_relay_run(&websocket->relay);
    note(websocket, &x->facts);
    call_finish(call, false);
}

static void drain(struct tunnel *tunnel)
{
    struct websocket_call *websocket = list_entry(tunnel, struct websocket_call, tunnel);
    websocket->is_draining = true;
    if (websocket->is_running)
        websocket_relay_drain(&websocket->relay);
}

static enum status read_nothing(struct body *body, instant deadline, struct slice *ret_bytes)
{
    (void)body, (void)deadline, (void)ret_bytes;
    return END;
}

/* Dropped without having been run, when a policy puts another answer in its place. */
static void drop(struct body *body)
{
    call_finish(list_entry(body, struct call, answer.body), false);
}

enum status websocket_call_begin(struct call *call, struct body *ret_body)
{
    static const struct body_ops ops = {.read = read_nothing, .drop = drop};
    struct exchange *x = call->x;
    struct websocket_call *websocket = arena_zalloc(&x->arena, sizeof *websocket);
    if (!websocket)
        return NO_MEMORY;
    enum status e = websocket_check_response(&x->request, &call->response, &websocket->compresses);
    if (e)
        return e;
    websocket->tunnel = (struct tunnel){.run = run, .drain = drain};
    websocket->call = call;
    x->tunnel = &websocket->tunnel;
    *ret_body = (struct body){.ops = &ops};
    return OK;
}
