/* HTTP/1.1 (RFC 9112): heads and bodies, read strictly, written canonically, for both sides.
 *
 * Reading a head: bytes gather in the wire's buffer (run/wire.h) until the head is whole (a
 * malformed one is refused at the first bad byte); then it is copied once into the exchange's
 * arena, and all slices point there. What is behind it stays in the buffer as the body's first
 * bytes. */
#pragma once

#include "base/text.h"
#include "http/message.h"
#include "http/uri.h"
#include "run/wire.h"

struct h1_parser;

struct h1_limits {
    size_t line;            /* request line or status line, bytes; beyond: TARGET_TOO_LONG */
    size_t head;            /* whole head, bytes; beyond: FIELDS_TOO_LARGE */
    uint32_t fields;        /* how many; beyond: FIELDS_TOO_LARGE */
    size_t trailers;        /* trailer section, bytes */
    size_t chunk_extension; /* bytes of extensions a chunk line may have */
    enum encoded_slash encoded_slash; /* %2F in a request's path; by default refused */
};
#define H1_LIMITS_DEFAULT                                                                    \
    {                                                                                        \
        .line = 8192, .head = 32768, .fields = 100, .trailers = 8192, .chunk_extension = 256 \
    }

/* What a head says about its message's end and the connection after it. */
struct h1_framing {
    enum h1_body_kind { H1_NO_BODY, H1_LENGTH, H1_CHUNKED, H1_UNTIL_CLOSE } kind;
    uint64_t length; /* what Content-Length says: of the body when H1_LENGTH */
    bool keep_alive; /* the peer lets the connection live on */
    bool expects_continue;
    bool is_upgrade; /* what is written asks for a WebSocket, or agrees to it */
};

/* Reads the next request's head. Fills everything of `request` but scheme and body; its fields are
 * begun anew in `arena`. `deadline` is for the whole head. Empty lines (CRLF) before a
 * request line are skipped (RFC 9112 §2.2).
 *
 * END: the peer closed before the first byte (no error). TIMEOUT: nothing came. REQUEST_TIMEOUT:
 * part of a head came. CLOSED: the connection ended within a head. Otherwise one of the BAD_…
 * statuses, TARGET_TOO_LONG, FIELDS_TOO_LARGE, NOT_IMPLEMENTED, EXPECTATION_FAILED,
 * VERSION_NOT_SUPPORTED, OVERLOADED (no buffer that is large enough), NO_MEMORY, CANCELLED. After
 * any failure the connection is of no more use than to send an answer. */
enum status h1_read_request(struct wire *connection, struct arena *arena,
    const struct h1_limits *limits, instant deadline, struct http_request *request,
    struct h1_framing *ret_framing);

/* Reads the next response's head, interim ones (1xx) too: the caller loops. `method` is that of the
 * request. Fills everything but the body. UPSTREAM_PROTOCOL, UPSTREAM_HEAD_TOO_LARGE, END (closed
 * before the first byte), CLOSED (broke off inside), TIMEOUT, CANCELLED, OVERLOADED, NO_MEMORY. */
enum status h1_read_response(struct wire *connection, struct arena *arena,
    const struct h1_limits *limits, enum http_method method, instant deadline,
    struct http_response *response, struct h1_framing *ret_framing);

/* A body read off the connection as the framing says. Statuses of its read: END; BAD_CHUNK,
 * INCOMPLETE (the peer closed too early), TIMEOUT, CLOSED, CANCELLED, TOO_LARGE, BAD_FIELD
 * (trailers), NO_MEMORY. What it yields lies in the connection's buffer, without a copy; the data
 * of small chunks is moved together, so that one read yields as much as is there.
 *
 * Trailers that would change how the message is understood, routed or trusted (RFC 9110 §6.5.1) are
 * dropped, and so are chunk extensions.
 *
 * Dropping it gives the buffer back (unless the next message's bytes are in it); it does not read
 * the rest: then h1_body_is_complete is false and the connection must be closed. */
struct h1_body {
    struct body body;
    struct wire *connection;        /* borrowed */
    const struct h1_limits *limits; /* borrowed */
    struct arena *arena;            /* borrowed, for trailers */
    int64_t idle;                   /* nanoseconds for each wait for bytes; 0: none */
    struct h1_framing framing;
    uint64_t remaining; /* of the length, or of the chunk */
    uint64_t received;  /* body bytes that were read so far */
    struct slice ready; /* was peeked at, will be read next */
    uint32_t line;      /* bytes of the chunk's size, then of its extensions */
    uint8_t state;
    enum status failure;      /* sticky */
    struct h1_parser *parser; /* in the arena: of trailers that are not whole yet */

    /* Called once, before the first wait for bytes, unless some came unasked: sends "100 Continue";
     * or NULL. To be set after init. */
    void (*before_wait)(void *argument);
    void *before_wait_argument;

    struct fields trailers; /* last: begun when there are some */
};
struct body *h1_body_init(struct h1_body *body, struct wire *connection,
    const struct h1_limits *limits, const struct h1_framing *framing, struct arena *arena,
    int64_t idle);

/* True when the body was read to its end, so that the connection stands at the next message. */
bool h1_body_is_complete(const struct h1_body *body);

/* Writes heads. `text` gets the whole head with the empty line, or `text->failed`. What frames the
 * message (Content-Length, Transfer-Encoding, Connection) is written from `framing` alone, and Host
 * from `request->authority`; fields of these names are left out. The target is made of path and
 * query. With H1_NO_BODY a Content-Length in `fields`, else a length in `framing`, is said in
 * answers that have one without a body (to HEAD, and 304). A request whose fields have TE names it
 * in Connection, as it must. `client` is the version to whom the answer goes: one of HTTP/1.0 is
 * told when the connection stays open, and must not get H1_CHUNKED. */
void h1_write_request_head(
    struct text *text, const struct http_request *request, const struct h1_framing *framing);
void h1_write_response_head(struct text *text, const struct http_response *response,
    enum http_version client, const struct h1_framing *framing);

/* Writes a head, which is finished text, and the body: what the body has at once leaves with the
 * head in one system call, and every part that is read in one more, in chunks if the framing says
 * so, with the body's trailers. It neither drops the body nor closes anything.
 *
 * Fails as writing and the body's read do; also INCOMPLETE or TOO_LARGE when the body does not have
 * the length that the head promised. The message is broken then: the connection must be closed.
 * `*ret_source_failed` says whether the body was at fault (true) or the stream (false); `*ret_sent`
 * counts body bytes handed over; both are set in any case. Each write must make progress within
 * `idle` nanoseconds (0: no matter). */
enum status h1_send(struct stream *stream, struct slice head, struct body *body,
    const struct h1_framing *framing, int64_t idle, instant deadline, uint64_t *ret_sent,
    bool *ret_source_failed);
