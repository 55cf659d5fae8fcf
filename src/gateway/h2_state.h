/* The inside of HTTP/2 connections, for the h2_ files alone. */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdatomic.h>

#include "gateway/connection.h"
#include "gateway/http2_options.h"
#include "http/h2_request.h"
#include "run/buffer.h"
#include "run/wait.h"

#define H2_FRAME_HEAD 9  /* bytes (RFC 9113 §4.1) */
#define H2_PREFACE    24 /* bytes that come before a client's first frame */
#define H2_TURN       16 /* requests that begin or end before other connections have their turn */

struct h2_session {
    nghttp2_session *nghttp2;      /* owned */
    struct connection *connection; /* borrowed: whose protocol this is */
    struct list streams;           /* all, with fibers but for those whose head is on its way */
    uint32_t stream_count;
    struct scope exchanges;    /* their fibers */
    struct scope senders;      /* the fiber that writes, while there is something to */
    struct wait_queue changed; /* a stream has ended; something was written */

    struct buffer *output; /* owned, while there is something in it */
    size_t begin, end;     /* what is in it and not written */
    struct slice left;     /* of a frame, in nghttp2's memory, for which there was no room */
    bool is_sending;       /* there is a sender */
    enum status failure;   /* writing has failed */

    uint8_t frame_head[H2_FRAME_HEAD]; /* of the frame that is coming, as far as it is here */
    uint8_t frame_have;
    uint32_t frame_left; /* what is still to come of the frame itself */
    struct flood_count {
        instant since;
        int64_t count;
    } floods[H2_RATES];
    uint64_t updates_due;  /* WINDOW_UPDATE frames that the client may send for what it was sent */
    uint32_t begun;        /* requests in this turn */
    uint64_t head_decoded; /* bytes that the header section that is coming has yielded */
    instant head_since;    /* a header section that has begun and not ended; NEVER: none */
    instant goodbye_since; /* the client was asked to go; NEVER: it was not */
    bool is_goodbye_heard; /* it has answered the ping behind that */
    bool is_goodbye_final; /* it was told which stream is the last */
    bool is_ended;         /* by an error or a flood: nothing more is read */
};

/* The body of a request: what has come and was not read lies in pieces. */
struct h2_piece;
struct h2_body {
    struct body body;
    struct h2_stream *stream;      /* borrowed */
    struct h2_piece *first, *last; /* owned */
    struct h2_piece *lent;         /* what the last read yielded; owned */
    uint64_t received;             /* bytes that have come */
    struct fiber *reader;          /* who waits for more, or NULL */
    int64_t idle;                  /* nanoseconds for each wait */
    bool has_ended, is_dropped, was_asked_for;
    enum status failure; /* sticky */
    struct fields trailers;
    struct h2_budget trailer_budget;
    enum status trailer_failure;
};

/* The body of an answer on its way. */
struct h2_answer {
    struct slice pending; /* to go into the next frames */
    bool is_last;         /* the body ends with it */
    bool is_sent;         /* all of it is in frames, END_STREAM with it */
    uint64_t sent;        /* bytes that went into frames */
    struct h2_list trailers;
};

struct h2_tunnel;

struct h2_stream {
    struct carrier carrier;     /* first */
    struct h2_session *session; /* borrowed */
    struct list node;           /* in session->streams */
    int32_t id;
    bool is_open;         /* nghttp2 knows it by its user data */
    bool is_reset;        /* we have reset it */
    bool is_end;          /* the request ends with its head */
    bool has_begun;       /* its fiber was started */
    bool is_told;         /* that the connection ends */
    struct fiber *waiter; /* waits for something to be sent */
    struct h2_request_head head;
    struct h2_body body;
    struct h2_answer answer;
    struct h2_tunnel *tunnel; /* on its fiber's stack; NULL: it is none */
    struct body nothing;      /* of the request that asks for a tunnel */
    struct exchange x;
    _Alignas(max_align_t) char block[]; /* the first of its arena */
};

/* Only the worker's own thread writes: others may read, and nothing need be locked. */
static inline void h2_tally(_Atomic uint64_t *count, int64_t change)
{
    uint64_t now = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, now + (uint64_t)change, memory_order_relaxed);
}

static inline const struct http_options *h2_options(const struct h2_session *session)
{
    struct server *server = session->connection->carrier.server;
    return server->ops->rules(server)->http;
}

/* --- h2_events.c */

/* nghttp2's own state of a new session; NO_MEMORY. */
enum status h2_events_begin(struct h2_session *session);

/* Counts the frames in what has come; before nghttp2 reads it. */
void h2_count_frames(struct h2_session *session, struct slice bytes);

/* One more of what is bound by a rate; beyond that, `h2_flooded`. */
void h2_count(struct h2_session *session, enum h2_flood flood);

/* The client floods: counted, and the session is ended. */
void h2_flooded(struct h2_session *session, enum h2_flood flood);

/* --- h2_stream.c */

/* A stream whose head begins to come; NULL without memory. */
struct h2_stream *h2_stream_new(struct h2_session *session, int32_t id);

/* Its head is whole: begins the exchange. NO_MEMORY: no fiber. */
enum status h2_stream_begin(struct h2_stream *stream);

/* nghttp2 knows it no longer: the client has reset it, or it is complete. */
void h2_stream_closed(struct h2_stream *stream);

/* Waits until what is pending has gone into frames, or with `all` until the last frame has. Each
 * `idle` must let some bytes through. */
enum status h2_stream_wait(struct h2_stream *stream, int64_t idle, bool all);

/* Of one whose fiber was not started. */
void h2_stream_free(struct h2_stream *stream);

/* --- h2_body.c */

void h2_body_init(struct h2_body *self, struct h2_stream *stream, int64_t length, int64_t idle);

/* Something has come: bytes, a field of the trailers, the end. False: it is not what the head
 * promised, and the stream must be reset. */
bool h2_body_put(struct h2_body *self, struct slice bytes);
void h2_body_put_trailer(struct h2_body *self, struct slice name, struct slice value);
bool h2_body_end(struct h2_body *self);

/* Nothing more will come. */
void h2_body_fail(struct h2_body *self, enum status e);

/* For a tunnel, to whom a body is bytes without end: waits for some, for the end or a failure; then
 * takes as many as are there. END, or what it has failed with. */
bool h2_body_has_news(const struct h2_body *self);
enum status h2_body_wait(struct h2_body *self, instant deadline);
enum status h2_body_take(struct h2_body *self, void *data, size_t capacity, size_t *ret_size);

/* --- h2_tunnel.c */

/* Runs the tunnel that the stream's exchange has become, behind an answer that is on its way, and
 * ends the stream. On the stream's fiber. TIMEOUT, CLOSED, CANCELLED: it is to be reset. */
enum status h2_tunnel_run(struct h2_stream *stream);

/* Something has come, or nothing more will. */
void h2_tunnel_stir(struct h2_tunnel *tunnel);

/* The client is gone: nothing can be said to it any more. */
void h2_tunnel_lose(struct h2_tunnel *tunnel);

/* --- h2_output.c */

/* What nghttp2 has to send goes into the output as far as there is room, and from there on its
 * way. Not from nghttp2's callbacks. */
void h2_output_push(struct h2_session *session);

/* nghttp2's callback for a DATA frame whose bytes it has not seen. */
int h2_output_data(nghttp2_session *nghttp2, nghttp2_frame *frame, const uint8_t *head,
    size_t length, nghttp2_data_source *source, void *user_data);

/* Waits until all is written, or the deadline. */
void h2_output_wait(struct h2_session *session, instant deadline);
