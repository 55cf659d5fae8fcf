/* The client side of HTTP/2 (RFC 9113): one connection of one loop, which carries many requests.
 *
 * A connection has two fibers: one reads, one writes. Requests hand their frames to the session
 * (nghttp2's); what all of them handed over in one round of the loop leaves in one system call.
 * What arrives is copied into the request's own queue, which its window bounds: who does not read
 * his answer stops its sender, and nobody else's.
 *
 * A request is a `struct h2_call` in its exchange's memory. It can be ended at any time; when the
 * connection ends before, it is told why and lets go of it. Everything happens on the loop. */
#pragma once

#include "base/list.h"
#include "http/h1.h"
#include "http/h2_fields.h"
#include "run/stream.h"

struct h2_client;

/* What a connection tells, to be counted. */
enum h2_news {
    H2_CALL_BEGUN, /* a request is under way */
    H2_CALL_OVER,  /* and is not any more */
    H2_CALL_RESET, /* the peer has reset one; `code` says why (RFC 9113 §7) */
    H2_GOODBYE     /* GOAWAY came, with `code` */
};

struct h2_client_options {
    uint32_t requests;              /* at a time, however many more the peer allows */
    uint32_t window;                /* bytes of an answer that may arrive before they are read */
    int64_t ping;                   /* nanoseconds of silence with requests under way; 0: never */
    int64_t ping_timeout;           /* nanoseconds for the answer to that */
    const struct h1_limits *limits; /* borrowed: of heads and trailers */
    struct slice scheme;            /* "http" or "https"; static */

    /* There may be room for more requests than before, or less. */
    void (*changed)(void *owner);
    /* Or NULL. Begins no request and ends none. */
    void (*told)(void *owner, enum h2_news news, uint32_t code);
    /* The connection has ended and is about to be freed: the last call. */
    void (*ended)(void *owner);
    void *owner;
};

/* Begins a connection on a stream, which it owns from then on, also on failure. NO_MEMORY,
 * CANCELLED when the loop is being stopped. */
enum status h2_client_new(
    struct stream *stream, const struct h2_client_options *options, struct h2_client **ret_client);

/* How many more requests it can take now: 0 once the peer or we are about to end it. */
uint32_t h2_client_room(const struct h2_client *client);

/* True once the peer has said how many requests it takes: until then there is room for one. */
bool h2_client_is_settled(const struct h2_client *client);

/* True when the peer takes requests that become WebSockets (RFC 8441); once it is settled. */
bool h2_client_connects(const struct h2_client *client);

/* Requests under way. */
uint32_t h2_client_load(const struct h2_client *client);

/* True when it will never have room again. */
bool h2_client_is_over(const struct h2_client *client);

/* Takes no more requests, and ends when those under way have ended. */
void h2_client_close(struct h2_client *client);

/* Asks the peer for a sign of life now; without one the connection ends. After an answer that did
 * not come in time, since the peer may be gone without a word. */
void h2_client_probe(struct h2_client *client);

struct h2_part; /* bytes that came */
struct h2_head; /* a head that came */

struct h2_call {
    struct body body; /* of the answer; see h2_call_body */
    struct list node;
    struct h2_client *client; /* NULL: the connection has let go, or it has not begun */
    struct arena *arena;      /* borrowed: for what comes */
    enum http_method method;
    int32_t id;
    int64_t idle; /* nanoseconds for each wait for a part of the answer's body; 0: none */

    /* The request's body. */
    struct slice out;              /* not taken yet; the sender's memory */
    const struct fields *trailers; /* borrowed: behind the last byte, or NULL */
    struct fiber *sender;          /* who waits until `out` was taken, or NULL */
    bool out_is_last;
    bool is_deferred; /* the session waits for more to send */
    bool is_begun;    /* the head has left, or is about to */
    bool is_sent;     /* and so has the rest */

    /* The answer. */
    struct fiber *reader; /* who waits for a part of it, or NULL */
    struct h2_head *heads, *last_head;
    uint32_t head_count;
    bool has_final;   /* the final head has come, perhaps not whole yet */
    bool has_ended;   /* everything has come */
    bool is_unseen;   /* the peer has surely not processed it */
    bool is_left;     /* of those: the peer goes, which others were told too */
    bool is_answered; /* something of an answer came */
    bool is_frozen;   /* the first part was looked at: it must not grow before it is read */
    int64_t length;   /* what Content-Length says, or BODY_LENGTH_UNKNOWN */
    struct h2_part *parts, *last_part, *current;
    enum status failure;                   /* why nothing more comes */
    uint32_t reset;                        /* with UPSTREAM_RESET: the code that the peer gave */
    void (*stirred)(struct h2_call *call); /* news came and nobody waits; NULL: never mind */
    bool has_trailers;                     /* they have begun to come */
    bool trailers_whole;                   /* and are here */
    struct h2_budget trailer_budget;
    struct fields received_trailers;
};

/* Sends a request's head: the target from path and query, Content-Length from `framing`, which also
 * says whether it asks for a WebSocket (is_upgrade): then it is an extended CONNECT, and goes on to
 * be sent. `has_body`: h2_call_offer follows. CLOSED: the connection takes none; NO_MEMORY. The
 * call can be ended in any case. */
enum status h2_call_begin(struct h2_call *call, struct h2_client *client, struct arena *arena,
    const struct http_request *request, const struct h1_framing *framing, bool has_body);

/* Hands over a part of the body, which must live until it was taken, or the call has ended; behind
 * the last part the trailers (or NULL). */
void h2_call_offer(
    struct h2_call *call, struct slice part, bool is_last, const struct fields *trailers);

/* The memory of what was offered goes, but what was not taken yet shall be sent: copies it.
 * NO_MEMORY.
 */
enum status h2_call_keep(struct h2_call *call);

/* Waits until what was offered was taken, in parts each of which may take `idle` nanoseconds.
 * CLOSED: the peer wants no more of it. TIMEOUT, CANCELLED. */
enum status h2_call_wait_taken(struct h2_call *call, int64_t idle, instant deadline);

/* What was offered and not taken yet is not to be sent: its memory goes. */
void h2_call_withdraw(struct h2_call *call);

/* The next head, interim or final. UPSTREAM_PROTOCOL, UPSTREAM_HEAD_TOO_LARGE, UPSTREAM_RESET (the
 * peer gave up the request), CLOSED, TIMEOUT, CANCELLED, NO_MEMORY. */
enum status h2_call_read_head(struct h2_call *call, instant deadline,
    struct http_response *response, struct h1_framing *ret_framing);

/* The body behind the final head. Fails as an h1_body's does; ends with the call. */
struct body *h2_call_body(struct h2_call *call, int64_t idle);

/* True when the peer has surely not processed the request: it may be sent again, whatever it is. */
bool h2_call_is_unseen(const struct h2_call *call);

/* For a tunnel, to whom a body is bytes without end: waits for some, for the end or a failure; then
 * takes as many as are there. END, or CLOSED. */
bool h2_call_has_news(const struct h2_call *call);
enum status h2_call_wait(struct h2_call *call, instant deadline);
enum status h2_call_take(struct h2_call *call, void *data, size_t capacity, size_t *ret_size);

/* The rest of the request will not come: the answer ends too, and reading it says `failure`. */
void h2_call_abort(struct h2_call *call, enum status failure);

/* Gives the request up, unless it is through, and releases what it holds. Again is harmless. */
void h2_call_end(struct h2_call *call);
