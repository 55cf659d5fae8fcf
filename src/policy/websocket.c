#include "http/websocket_relay.h"
#include "policy/policy.h"

/* What WebSockets of a route are held to, other than the usual. They need no leave to be opened. */

struct websocket {
    int64_t message_max, idle, ping;
    struct rate rate;
    struct websocket_limits limits; /* made of these */
};

#define WEBSOCKET(member) offsetof(struct websocket, member)

static const struct option options[] = {
    {"message-max", OPTION_SIZE, WEBSOCKET(message_max), .fallback = "16MiB", .minimum = 0,
        .maximum = INT64_MAX,
        .help = "The most bytes of a message, as sent, in either direction; then it is closed with "
                "1009. 0 is any number."},
    {"rate", OPTION_RATE, WEBSOCKET(rate),
        .help =
            "How many messages a client may send, as many at once as the rate counts; then it is "
            "closed with 1008. Pings and pongs count too, and fragments of up to 125 bytes. Any "
            "number by default."},
    {"idle", OPTION_DURATION, WEBSOCKET(idle), .fallback = "0s",
        .help = "How long there may be no message in either direction; then it is closed with "
                "1001. 0s, the default, is for ever."},
    {"ping", OPTION_DURATION, WEBSOCKET(ping), .fallback = "30s",
        .help = "After how much silence a side is pinged; it has as long to answer, or it is taken "
                "for gone. 0s is never."},
    {NULL},
};

static const struct option_table table = {
    .name = "websocket",
    .help = "Limits of WebSockets.",
    .options = options,
    .size = sizeof(struct websocket),
    .example = "websocket: {message-max: 64KiB, rate: 100/s, idle: 10m}",
};

static enum status prepare(struct prepare *prepare, void *config)
{
    struct websocket *websocket = config;
    (void)prepare;
    websocket->limits = (struct websocket_limits){.message_max = websocket->message_max,
        .rate_count = websocket->rate.count,
        .rate_per = websocket->rate.per,
        .idle = websocket->idle,
        .ping = websocket->ping};
    return OK;
}

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct websocket *websocket = config;
    x->websocket = &websocket->limits;
    return handler_serve(next, x);
}

const struct policy_type websocket_policy = {
    .name = "websocket",
    .plural = "websockets",
    .options = &table,
    .prepare = prepare,
    .serve = serve,
};
