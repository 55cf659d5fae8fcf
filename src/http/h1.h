/* HTTP/1.1 (RFC 9112): heads and bodies, read strictly, written canonically, for both sides.
 *
 * `struct h1_connection` is one side of one connection: the stream, and at most one buffer of bytes
 * that have been read but not used. Between messages it holds no buffer unless the peer has sent
 * ahead (pipelining).
 *
 * Reading a head: bytes gather in the buffer until the head is whole (a malformed one is refused at
 * the first bad byte); then it is copied once into the exchange's arena, and all slices point
 * there. What is behind it stays in the buffer as the body's first bytes. */
#pragma once

#include "base/text.h"
#include "http/message.h"
#include "http/uri.h"
#include "run/buffer.h"
#include "run/stream.h"

struct h1_limits {
    size_t line;            /* request line or status line, bytes; beyond: TARGET_TOO_LONG */
    size_t head;            /* whole head, bytes; beyond: FIELDS_TOO_LARGE */
    uint32_t fields;        /* how many; beyond: FIELDS_TOO_LARGE */
    size_t trailers;        /* trailer section, bytes */
    size_t chunk_extension; /* bytes of extensions a chunk line may have */
    enum encoded_slash
        encoded_slash; /* what becomes of %2F in a request's path; refused by default */
};
#define H1_LIMITS_DEFAULT                                                                    \
    {                                                                                        \
        .line = 8192, .head = 32768, .fields = 100, .trailers = 8192, .chunk_extension = 256 \
    }

struct h1_connection {
    struct stream *stream; /* owned */
    struct buffer *buffer; /* owned, or NULL: nothing read ahead */
    uint32_t begin, end;   /* the unread bytes in the buffer */
};

void h1_init(struct h1_connection *connection, struct stream *stream);

/* Gives the buffer back and closes the stream. */
void h1_release(struct h1_connection *connection);

/* True when bytes of a next message are here already. */
static inline bool h1_has_bytes(const struct h1_connection *connection)
{
    return connection->begin != connection->end;
}

/* What a head says about its message's end and the connection after it. */
struct h1_framing {
    enum h1_body_kind { H1_NO_BODY, H1_LENGTH, H1_CHUNKED, H1_UNTIL_CLOSE } kind;
    uint64_t length; /* when H1_LENGTH */
    bool keep_alive; /* the peer lets the connection live on */
    bool expects_continue;
};

/* Reads the next request's head. Fills everything of `request` but scheme and body. END: the peer
 * closed before the first byte (no error). `first_byte` bounds the wait for the first byte,
 * `deadline` that for the whole head; REQUEST_TIMEOUT when the latter passes with part of a head
 * here. Otherwise one of the BAD_… statuses, TARGET_TOO_LONG, FIELDS_TOO_LARGE, NOT_IMPLEMENTED,
 * VERSION_NOT_SUPPORTED, CLOSED, CANCELLED. An empty line (CRLF) before a request line is skipped
 * once (RFC 9112 §2.2). */
enum status h1_read_request(struct h1_connection *connection, struct arena *arena,
    const struct h1_limits *limits, instant deadline, struct http_request *request,
    struct h1_framing *ret_framing);

/* Reads the next response's head, interim ones (1xx) too: the caller loops. `method` is that of the
 * request. Statuses: UPSTREAM_PROTOCOL, UPSTREAM_HEAD_TOO_LARGE, END (closed before the first
 * byte), CLOSED (broke off inside), TIMEOUT, CANCELLED. */
enum status h1_read_response(struct h1_connection *connection, struct arena *arena,
    const struct h1_limits *limits, enum http_method method, instant deadline,
    struct http_response *response, struct h1_framing *ret_framing);

/* A body read off the connection as the framing says. Statuses of its read: END; BAD_CHUNK,
 * INCOMPLETE (the peer closed too early), TIMEOUT, CLOSED, CANCELLED, TOO_LARGE (trailers). `idle`
 * bounds each wait for bytes (nanoseconds, 0: none). Dropping it gives back buffers; it does not
 * read the rest. */
struct h1_body {
    struct body body;
    struct h1_connection *connection; /* borrowed */
    const struct h1_limits *limits;   /* borrowed */
    struct arena *arena;              /* borrowed, for trailers */
    int64_t idle;
    struct h1_framing framing;
    uint64_t remaining; /* of the length, or of the chunk */
    uint8_t state;
    enum status failure; /* sticky */
    uint64_t received;   /* body bytes so far */
    struct fields trailers;
    void (*before_wait)(void *argument); /* called once, before the first wait for bytes: sends "100
                                            Continue"; or NULL */
    void *before_wait_argument;
};
struct body *h1_body_init(struct h1_body *body, struct h1_connection *connection,
    const struct h1_limits *limits, const struct h1_framing *framing, struct arena *arena,
    int64_t idle);

/* True when the body was read to its end, so that the connection stands at the next message. */
bool h1_body_is_complete(const struct h1_body *body);

/* Writes heads. `text` gets the whole head with the empty line. The framing fields (Content-Length,
 * Transfer-Encoding, Connection) are written by these alone, from `framing`; others of that name in
 * `fields` are left out. */
void h1_write_request_head(
    struct text *text, const struct http_request *request, const struct h1_framing *framing);
void h1_write_response_head(struct text *text, const struct http_response *response,
    enum http_version client, const struct h1_framing *framing);

/* Writes the head and the body to the stream: head and first bytes leave in one system call; bodies
 * of unknown length chunked if the framing says so. `head` is the finished text. On failure,
 * `*ret_source_failed` says whether reading the body failed (true) or writing it out (false);
 * `*ret_sent` counts body bytes handed over. Each write must make progress within `idle`
 * nanoseconds (0: none). */
enum status h1_send(struct stream *stream, struct slice head, struct body *body,
    const struct h1_framing *framing, int64_t idle, instant deadline, uint64_t *ret_sent,
    bool *ret_source_failed);
