/* Relays: bytes between two streams, both ways, until both have ended or something breaks.
 *
 * While nothing comes both streams are parked: an idle relay is this struct and nothing else,
 * neither fiber nor buffer. What comes starts a fiber for each way, which reads, writes it on, and
 * ends when nothing has come for a moment. A reader that is slow slows its writer, since nothing is
 * gathered. (http/websocket_relay.h does the same with frames.)
 *
 * Short pieces go through a buffer; when long ones come, they move inside the kernel
 * (run/splice.h). The end of one way is passed on and the other goes on without it (half-close). A
 * silence is one of both ways. */
#pragma once

#include "base/metrics.h"
#include "run/fiber.h"
#include "run/stream.h"
#include "run/timer.h"

/* Where bytes are counted while they move; each its own series. */
struct relay_meter {
    struct metrics_shard *shard; /* NULL: nowhere */
    uint32_t forth, back;        /* series of bytes from and to the client */
    uint32_t spliced;            /* of those of them that moved inside the kernel */
};

struct relay;

struct relay_way {
    struct relay *relay;
    struct stream *from, *to; /* borrowed */
    struct fiber *fiber;      /* that moves its bytes; NULL: none, or one that has not begun yet */
    uint64_t moved;           /* bytes that were handed on */
    bool has_fiber;
    bool is_waiting; /* its fiber does, for more bytes */
    bool has_ended;  /* nothing more comes, and that was passed on */
    bool splices;    /* by what came lately */
    uint8_t row;     /* pieces in a row that speak against `splices` */
    uint8_t pieces;  /* since its fiber began, up to a few */
};

enum { RELAY_FORTH, RELAY_BACK }; /* from the client, and to it */

struct relay {
    struct relay_way ways[2];
    int64_t idle_timeout; /* nanoseconds; 0: none */
    struct relay_meter meter;
    instant last;        /* when any bytes were handed on */
    struct timer timer;  /* not later than the end of a silence */
    enum status outcome; /* the first that went wrong */
    bool is_parked;
    void (*ended)(struct relay *relay);
};

void relay_init(struct relay *relay, struct stream *client, struct stream *upstream,
    int64_t idle_timeout, const struct relay_meter *meter);

/* Passes on until the end. Then `ended` is called, once, from a fiber that touches nothing of the
 * relay afterwards; `outcome` says how it ended: OK when both ways did in peace, CLIENT_CLOSED or
 * UPSTREAM_CLOSED when that one broke off, IDLE_TIMEOUT, NO_MEMORY, or with what it was cut. On a
 * fiber, which is made use of while there is something to pass on: the relay may be gone when this
 * returns. */
void relay_begin(struct relay *relay, void (*ended)(struct relay *relay));

/* Ends it soon, from outside its fibers. */
void relay_cut(struct relay *relay, enum status outcome);
