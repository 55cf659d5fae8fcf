/* A request of HTTP/2 that may become a tunnel, as a WebSocket does (RFC 8441): a call that lives
 * by itself, and may outlive the exchange that made it; and then what its DATA frames carry, both
 * ways, as a stream of bytes like any other. The stream's end is END_STREAM, its breaking
 * RST_STREAM, its back-pressure the window. What is written is copied, a little of it, and counts
 * as handed over then.
 *
 * It belongs to an arena until it is taken. */
#pragma once

#include "http/h2_client.h"
#include "run/parking.h"
#include "run/wire.h"

struct h2_channel {
    struct stream stream;       /* first */
    struct h2_call call;        /* begun by who made the channel; its memory is `arena` */
    struct arena arena;         /* owned: of the answer's head too */
    struct wire wire;           /* on the stream */
    struct h2_channel **keeper; /* in the arena to which it belongs; NULL: it was taken */
    struct buffer *out;         /* owned: what was written and has not left; NULL: nothing */
    struct parking parking;
};

/* A channel whose call is to be begun. NO_MEMORY. */
enum status h2_channel_new(struct arena *arena, struct h2_channel **ret_channel);

/* The channel of a call that was begun as one. */
struct h2_channel *h2_channel_of(struct h2_call *call);

/* The caller's from now on. */
void h2_channel_take(struct h2_channel *channel);

/* On a fiber: ends our side, waits a moment for that to have left and for the peer to end its own,
 * and frees it. */
void h2_channel_end(struct h2_channel *channel);

/* Gives it up at once. */
void h2_channel_free(struct h2_channel *channel);
