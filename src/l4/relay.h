/* Relays: bytes between two streams, both ways, until both have ended or something breaks.
 *
 * Each way is a fiber that reads and writes in turn, so a reader that is slow slows its writer.
 * Short pieces go through a buffer; when long ones come, they move inside the kernel
 * (run/splice.h). The end of one way is passed on and the other goes on without it (half-close). A
 * silence is one of both ways. */
#pragma once

#include "base/metrics.h"
#include "run/fiber.h"
#include "run/stream.h"

/* Where bytes are counted while they move; each its own series. */
struct relay_meter {
    struct metrics_shard *shard; /* NULL: nowhere */
    uint32_t forth, back;        /* series */
};

struct relay {
    struct stream *client, *upstream; /* borrowed */
    int64_t idle_timeout;             /* nanoseconds; 0: none */
    struct relay_meter meter;

    uint64_t forth, back; /* bytes that were handed on, from and to the client */
    instant last;         /* when any were */
    enum status outcome;  /* the first that went wrong */
    struct fiber *fiber;  /* that called relay_run */
};

/* `relay` has its first three lines filled and the rest zero. On a fiber. OK when both ways ended
 * in peace; CLIENT_CLOSED or UPSTREAM_CLOSED when that one broke off, IDLE_TIMEOUT, CANCELLED,
 * NO_MEMORY.
 */
enum status relay_run(struct relay *relay);
