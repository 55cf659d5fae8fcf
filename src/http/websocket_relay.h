/* A WebSocket on its way through the gateway: frames pass between a client and a service, as they
 * are, in both directions at once.
 *
 * While nothing comes both streams are parked: an idle WebSocket is this struct and nothing else,
 * neither fiber nor buffer. What comes starts a fiber, which reads, looks at the frames, writes
 * them on, and ends when there is no more. A receiver that is slow makes its sender wait, since
 * nothing is gathered; meanwhile the other direction has a fiber of its own. The *keeper* is a
 * fiber that a timer starts when a ping or a Close frame is due; it stays until the end once
 * closing has begun.
 *
 * The client's side is whatever reads and writes as a stream does (run/stream.h): a connection of
 * its own, or a stream of HTTP/2 (RFC 8441) that is made to look like one. */
#pragma once

#include "http/websocket.h"
#include "run/scope.h"
#include "run/timer.h"
#include "run/wire.h"

struct websocket_limits {
    int64_t message_max; /* bytes of a message as it was sent; 0: any number. Then 1009 */
    int64_t
        rate_count; /* messages that a client may send in `rate_per` nanoseconds; 0: any number. */
    int64_t rate_per; /* Then 1008 */
    int64_t idle;     /* nanoseconds without a message in either direction; 0: any. Then 1001 */
    int64_t ping;     /* nanoseconds of a side's silence before it is pinged, and before it is
                         given up then; 0: never */
};

extern const struct websocket_limits websocket_usual_limits;

struct websocket_relay;

struct websocket_side {
    struct websocket_relay *relay;
    struct wire *wire;              /* borrowed: where its bytes come from and go to */
    struct websocket_reader reader; /* of what it sends */
    struct fiber *fiber;            /* reads it; NULL: none, or one that has not begun yet */
    bool has_fiber;
    bool is_waiting;          /* its fiber does, for more bytes */
    bool is_busy;             /* somebody writes to it at this moment */
    bool is_passing;          /* what it sent is being passed on */
    bool is_ignored;          /* what it sends is read and thrown away */
    bool is_pinged;           /* and has sent nothing since */
    bool was_closed;          /* a Close frame has gone to it: nothing may follow */
    bool has_left;            /* nothing will come from it any more */
    bool is_lost;             /* nothing can be sent to it any more, and nobody waits for it */
    uint16_t close_with;      /* the code of a Close frame that is due to it; 0: none */
    uint16_t closed_with;     /* the code of the Close frame that it sent; 0: none */
    instant heard;            /* when it last sent something, or was pinged */
    uint64_t bytes, messages; /* that it sent and that were passed on */
};

enum { WEBSOCKET_CLIENT, WEBSOCKET_SERVICE };

struct websocket_relay {
    struct websocket_side sides[2];
    const struct websocket_limits *limits; /* borrowed */
    struct scope scope;                    /* of the fibers that read */
    struct timer timer;                    /* not later than what is due next */
    struct fiber *keeper;                  /* NULL: none, or one that has not begun yet */
    bool has_keeper, is_parked, is_closing, is_cut;
    instant draining_from; /* it shall end from then on; NEVER: it need not */
    instant spoke;         /* the newest message */
    instant closing_until; /* who has not closed by then is cut off */
    instant allowed;       /* of the rate: the time up to which messages are used up */
    uint64_t word;         /* by which the gateway's own pings are known */
    enum status reason;    /* why the gateway ended it; OK when a peer did */
    uint16_t code;         /* with which it ended: of the first Close frame, or 1006 */
    void (*ended)(struct websocket_relay *relay);
};

/* `compresses`: permessage-deflate was agreed on. */
void websocket_relay_init(struct websocket_relay *relay, struct wire *client, struct wire *service,
    bool compresses, const struct websocket_limits *limits);

/* Passes on until the end, and first what either has read ahead. Then `ended` is called, once, from
 * a fiber that touches nothing of the relay afterwards; `reason` and `code` say how it ended.
 * Neither wire is closed, nor of use for anything else then. */
void websocket_relay_begin(
    struct websocket_relay *relay, void (*ended)(struct websocket_relay *relay));

/* Closes both sides with 1001 at that time, or at an earlier one that was said before. Also before
 * it has begun. From the relay's loop, as the next. */
void websocket_relay_drain(struct websocket_relay *relay, instant when);

/* Ends it soon, whether or not a Close frame can still be sent. */
void websocket_relay_cut(struct websocket_relay *relay);
